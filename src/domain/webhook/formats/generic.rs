//! Our own form, for whoever has another sender: one push, or a list of them,
//! each `{"repository": "oci://host/path", "tag": "…", "digest": "…"}`.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::delivery::{Malformed, Reading};

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
    /// For people: what a tag points at is always asked of the registry.
    #[serde(rename = "digest")]
    _digest: Option<IgnoredAny>,
}

pub fn read(reading: &mut Reading<'_>) -> Result<(), Malformed> {
    let pushes = match reading.json()? {
        Hook::One(pushed) => vec![pushed],
        Hook::Many(pushes) => pushes,
    };
    pushes.iter().try_for_each(|Pushed { repository, tag, .. }| {
        reading.push_to(repository.strip_prefix("oci://").unwrap_or(repository), tag.as_deref())
    })
}
