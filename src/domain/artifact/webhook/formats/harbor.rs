//! Harbor: `PUSH_ARTIFACT` in its own format, `harbor.artifact.pushed` as a
//! CloudEvent. A tag that is a digest means that there is no tag.

use serde::Deserialize;

use super::reading::{Malformed, Pushed, Reading, without_tag};

#[derive(Deserialize)]
struct Hook {
    #[serde(rename = "type")]
    kind: String,
    #[serde(alias = "data")]
    event_data: Option<EventData>,
}

#[derive(Deserialize)]
struct EventData {
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    tag: Option<String>,
    #[serde(default)]
    digest: Option<String>,
    resource_url: String,
}

pub fn read(reading: &mut Reading<'_>) -> Result<(), Malformed> {
    let Hook { kind, event_data } = reading.json()?;
    if !["PUSH_ARTIFACT", "harbor.artifact.pushed"].contains(&kind.as_str()) {
        reading.ignore("an event is not a push");
        return Ok(());
    }
    let resources = event_data.map(|data| data.resources).unwrap_or_default();
    if resources.is_empty() {
        reading.ignore("a push does not name an artifact");
    }
    for Resource { tag, digest, resource_url } in resources {
        reading
            .push_to(without_tag(&resource_url), Pushed { tag: tag.as_deref(), digest: digest.as_deref() })?;
    }
    Ok(())
}
