//! The last revisions of a release.

use maud::{Markup, html};
use serde_json::Value;

use super::actions::{compare, rollback};
use crate::domain::identity::ReleaseId;
use crate::domain::shown::fields::text;
use crate::ui::entry::viewer::Abilities;
use crate::ui::view::parts::{revision, said, time_of};

fn class(outcome: &str) -> &'static str {
    match outcome {
        "Failed" => "failing",
        "Healthy" | "Applied" => "ready",
        _ => "progressing",
    }
}

/// The section.
pub fn section(id: &ReleaseId, release: &Value, can: Abilities) -> Option<Markup> {
    let history = release.pointer("/status/history")?.as_array().filter(|list| !list.is_empty())?;
    let quarantine = release.pointer("/status/quarantine").and_then(Value::as_array);
    let is_quarantined = |entry: &Value| {
        let key = entry.get("key");
        key.is_some() && quarantine.into_iter().flatten().any(|other| other.get("key") == key)
    };
    let applied = text(release, "/status/lastAppliedRevision");
    Some(html! {
        section aria-labelledby="history" {
            h2 #history { "Revisions" }
            div.scroll tabindex="0" role="region" aria-label="Table of revisions" {
                table {
                    thead { tr {
                        th scope="col" { "Revision" } th scope="col" { "Outcome" } th scope="col" { "When" }
                        th scope="col" { "Changes" } th scope="col" { "Signed by" } th scope="col" { "Approved by" }
                        th scope="col" { span.hidden { "Actions" } }
                    } }
                    tbody { @for entry in history { (row(id, entry, (is_quarantined(entry), can), applied)) } }
                }
            }
        }
    })
}

fn row(id: &ReleaseId, entry: &Value, (is_quarantined, can): (bool, Abilities), applied: &str) -> Markup {
    let name = text(entry, "/revision");
    let is_target = name != applied && !is_quarantined && text(entry, "/outcome") != "Failed";
    let outcome = text(entry, "/outcome");
    let ended = text(entry, "/endedAt");
    let when = if ended.is_empty() { text(entry, "/appliedAt") } else { ended };
    html! {
        tr {
            th scope="row" { (revision(text(entry, "/revision"))) }
            td {
                span class={ "badge small " (class(outcome)) } { (said(outcome)) }
                @if is_quarantined { " " span.tag { "quarantined" } }
                @if !text(entry, "/reason").is_empty() { " " span.reason { (said(text(entry, "/reason"))) } }
            }
            td.time { (time_of(when)) }
            td { (changes(entry)) }
            td { (or_none(text(entry, "/signer"))) }
            td { (or_none(text(entry, "/approvedBy"))) }
            td.choices {
                @if can.compare && name != applied && !applied.is_empty() { (compare(id, name, applied)) }
                @if can.act && is_target { " " (rollback(id, name)) }
            }
        }
    }
}

fn or_none(value: &str) -> Markup {
    html! { @if value.is_empty() { span.none { "–" } } @else { (said(value)) } }
}

fn changes(entry: &Value) -> Markup {
    let count =
        |field: &str| entry.pointer(&format!("/changes/{field}")).and_then(Value::as_i64).unwrap_or_default();
    let counts = [
        (count("created"), "created", "+"),
        (count("configured"), "configured", "~"),
        (count("pruned"), "pruned", "−"),
        (count("failed"), "failed", "!"),
    ];
    html! {
        @if counts.iter().all(|(count, ..)| *count == 0) { span.none { "none" } }
        @for (count, word, sign) in counts.into_iter().filter(|(count, ..)| *count > 0) {
            span class={ "change " (word) } title={ (count) " " (word) } { (sign) (count) span.hidden { " " (word) } } " "
        }
    }
}
