//! The steps of the revision, and the objects that failed in the last run.

use maud::{Markup, html};
use serde_json::Value;

use crate::domain::message::and_more;
use crate::domain::shown::fields::text;
use crate::ui::view::parts::{message, said, time_of};

/// The section.
pub fn section(release: &Value) -> Option<Markup> {
    let list =
        |pointer: &str| release.pointer(pointer).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (steps, failures) = (list("/status/steps"), list("/status/failures"));
    let more = release.pointer("/status/moreFailures").and_then(Value::as_u64).unwrap_or_default();
    let any = !steps.is_empty() || !failures.is_empty();
    any.then(|| {
        html! {
            @if !failures.is_empty() {
                section aria-labelledby="failures" {
                    h2 #failures { "Failures of the last run" }
                    ul.failures {
                        @for failure in failures {
                            li { span.object { (said(text(failure, "/object"))) } " "
                                span.reason { (said(text(failure, "/reason"))) }
                                span.message { (message(text(failure, "/message"))) } }
                        }
                    }
                    @if let Some(more) = and_more(usize::try_from(more).unwrap_or(usize::MAX)) { p.none { (more) } }
                }
            }
            @if !steps.is_empty() {
                section aria-labelledby="steps" {
                    h2 #steps { "Steps" }
                    ul.failures { @for step in steps { (line(step)) } }
                }
            }
        }
    })
}

fn line(step: &Value) -> Markup {
    let outcome = text(step, "/outcome");
    let class = match outcome {
        "Succeeded" | "Skipped" => "ready",
        "Started" => "progressing",
        _ => "failing",
    };
    html! {
        li {
            span class={ "badge small " (class) } { (said(outcome)) } " "
            span.object { (said(text(step, "/step"))) } " "
            span.since { (said(text(step, "/phase"))) ", " (time_of(text(step, "/at"))) }
            span.message { (message(text(step, "/message"))) }
        }
    }
}
