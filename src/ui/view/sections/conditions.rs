//! The conditions of a release.

use maud::{Markup, html};
use serde_json::Value;

use crate::api::status::condition;
use crate::domain::shown::fields::{condition_of, text};
use crate::ui::view::parts::{message, said, time_of};

/// Of these, True is bad.
const UNWANTED: [&str; 3] = [condition::DRIFTED, condition::FETCH_FAILED, condition::STALLED];

fn class(kind: &str, status: &str) -> &'static str {
    match (UNWANTED.contains(&kind), status) {
        _ if kind == condition::RECONCILING => "progressing",
        (true, "True") | (false, "False") => "failing",
        (true, "False") | (false, "True") => "ready",
        _ => "progressing",
    }
}

/// The section.
pub fn section(release: &Value) -> Option<Markup> {
    let conditions = release.pointer("/status/conditions")?.as_array().filter(|list| !list.is_empty())?;
    let ready = condition_of(release, condition::READY).map_or("", |ready| text(ready, "/message"));
    Some(html! {
        section aria-labelledby="conditions" {
            h2 #conditions { "Conditions" }
            div.scroll tabindex="0" role="region" aria-label="Table of conditions" {
                table {
                    thead { tr {
                        th scope="col" { "Condition" } th scope="col" { "Status" } th scope="col" { "Reason" }
                        th scope="col" { "Since" } th scope="col" { "Message" }
                    } }
                    tbody {
                        @for condition in conditions {
                            @let (kind, status) = (text(condition, "/type"), text(condition, "/status"));
                            tr {
                                th scope="row" { (said(kind)) }
                                td { span class={ "badge small " (class(kind, status)) } { (said(status)) } }
                                td { (said(text(condition, "/reason"))) }
                                td.time { (time_of(text(condition, "/lastTransitionTime"))) }
                                td.message {
                                    @match text(condition, "/message") {
                                        same if kind != condition::READY && same == ready => { span.none { "Same as Ready" } },
                                        other => { (message(other)) },
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_say_what_is_wanted() {
        let check =
            |kind: &str, status: &str, expected: &str| assert_eq!(class(kind, status), expected, "{kind}");
        check("Ready", "True", "ready");
        check("Ready", "False", "failing");
        check("Ready", "Unknown", "progressing");
        check("Drifted", "True", "failing");
        check("Drifted", "False", "ready");
        check("Stalled", "True", "failing");
        check("Reconciling", "True", "progressing");
    }
}
