//! CNCF distribution: an envelope of events (`application/vnd.docker.distribution.events.v2+json`,
//! its notifications/event.go). Only a manifest that was pushed counts; most
//! events are of blobs and pulls.

use serde::Deserialize;

use super::reading::{Malformed, Pushed, Reading};

#[derive(Deserialize)]
struct Envelope {
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    action: String,
    #[serde(default)]
    target: Target,
    #[serde(default)]
    request: Request,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Target {
    media_type: String,
    repository: String,
    url: String,
    tag: Option<String>,
    digest: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Request {
    host: String,
}

/// The media types of manifests and of lists of them.
const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

pub fn read(reading: &mut Reading<'_>) -> Result<(), Malformed> {
    for event in reading.json::<Envelope>()?.events {
        let Event { action, target, request } = event;
        if action != "push" {
            reading.ignore("an event is not a push");
        } else if !MANIFESTS.contains(&target.media_type.as_str()) {
            reading.ignore("a pushed object is not a manifest");
        } else {
            // The registry's own name overrides the name that the client has used.
            let host = target.url.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
            let host = host.map_or(request.host.as_str(), |(host, _)| host);
            let pushed = Pushed { tag: target.tag.as_deref(), digest: target.digest.as_deref() };
            reading.push(host, &target.repository, pushed)?;
        }
    }
    Ok(())
}
