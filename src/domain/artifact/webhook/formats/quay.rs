//! Quay: `docker_url` and the tags that have moved, as a list or, from older
//! versions, as an object of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::reading::{Malformed, Pushed, Reading};

#[derive(Deserialize)]
struct Hook {
    docker_url: String,
    updated_tags: Option<Tags>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Tags {
    List(Vec<String>),
    Object(BTreeMap<String, IgnoredAny>),
}

pub fn read(reading: &mut Reading<'_>) -> Result<(), Malformed> {
    let Hook { docker_url, updated_tags } = reading.json()?;
    let tags = match updated_tags {
        None => {
            reading.ignore("an event is not a push");
            return Ok(());
        }
        Some(Tags::List(tags)) => tags,
        Some(Tags::Object(tags)) => tags.into_keys().collect(),
    };
    if tags.is_empty() {
        return reading.push_to(&docker_url, Pushed::default());
    }
    tags.iter().try_for_each(|tag| reading.push_to(&docker_url, Pushed { tag: Some(tag), digest: None }))
}
