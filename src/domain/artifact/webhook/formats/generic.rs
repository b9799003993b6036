//! The generic format, for other senders: one push, or a list of them, each
//! `{"repository": "oci://host/path", "tag": "…", "digest": "…"}`.

use serde::Deserialize;

use super::reading::{self, Malformed, Reading};

#[derive(Deserialize)]
#[serde(untagged)]
enum Hook {
    One(Pushed),
    Many(Vec<Pushed>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pushed {
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

pub fn read(reading: &mut Reading<'_>) -> Result<(), Malformed> {
    let pushes = match reading.json()? {
        Hook::One(pushed) => vec![pushed],
        Hook::Many(pushes) => pushes,
    };
    pushes.iter().try_for_each(|Pushed { repository, tag, digest }| {
        let pushed = reading::Pushed { tag: tag.as_deref(), digest: digest.as_deref() };
        reading.push_to(repository.strip_prefix("oci://").unwrap_or(repository), pushed)
    })
}
