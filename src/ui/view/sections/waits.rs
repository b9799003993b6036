//! What a new revision waits for, and which revisions are not applied any more.

use maud::{Markup, html};
use serde_json::Value;

use crate::domain::shown::fields::text;
use crate::ui::view::parts::{message, revision, said, time_of};

/// The section.
pub fn section(release: &Value) -> Option<Markup> {
    let list =
        |pointer: &str| release.pointer(pointer).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (dependencies, quarantine) = (list("/status/dependencies"), list("/status/quarantine"));
    let pending = release.pointer("/status/pending").filter(|pending| !text(pending, "/reason").is_empty());
    let any = pending.is_some() || !dependencies.is_empty() || !quarantine.is_empty();
    any.then(|| {
        html! {
            section aria-labelledby="waits" {
                h2 #waits { "Waits and gates" }
                ul.waits {
                    @if let Some(pending) = pending { (waiting(pending)) }
                    @for dependency in dependencies {
                        li {
                            span.badge.small.waiting { "Dependency" } " "
                            span.object { (said(text(dependency, "/kind"))) " " (said(text(dependency, "/namespace"))) "/" (said(text(dependency, "/name"))) }
                            span.since { "since " (time_of(text(dependency, "/since"))) }
                            span.message { (message(text(dependency, "/message"))) }
                        }
                    }
                    @for entry in quarantine {
                        li {
                            span.badge.small.failing { "Quarantined" } " "
                            (revision(text(entry, "/revision"))) " "
                            span.reason { (said(text(entry, "/reason"))) }
                            span.since { "since " (time_of(text(entry, "/since"))) }
                            span.message { (message(text(entry, "/message"))) }
                        }
                    }
                }
            }
        }
    })
}

fn waiting(pending: &Value) -> Markup {
    let opens = text(pending, "/opensAt");
    html! {
        li {
            span.badge.small.waiting { (said(text(pending, "/reason"))) } " "
            (revision(text(pending, "/revision")))
            span.since { "seen first " (time_of(text(pending, "/since"))) @if !opens.is_empty() { ", until " (time_of(opens)) } }
        }
    }
}
