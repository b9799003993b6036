//! Azure Container Registry: one event, a push by `action` and `target`.

use serde::Deserialize;

use super::reading::{Malformed, Pushed, Reading};

#[derive(Deserialize)]
struct Hook {
    action: String,
    #[serde(default)]
    target: Target,
    #[serde(default)]
    request: Request,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Target {
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Request {
    host: String,
}

pub fn read(reading: &mut Reading<'_>) -> Result<(), Malformed> {
    let Hook { action, target, request } = reading.json()?;
    match action.as_str() {
        "push" => {
            let pushed = Pushed { tag: target.tag.as_deref(), digest: target.digest.as_deref() };
            reading.push(&request.host, &target.repository, pushed)
        }
        "ping" => {
            reading.ignore("it is a ping");
            Ok(())
        }
        _ => {
            reading.ignore("an event is not a push");
            Ok(())
        }
    }
}
