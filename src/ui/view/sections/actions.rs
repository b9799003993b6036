//! What a person can request of a release. Each link leads to a page that asks again.

use maud::{Markup, html};
use serde_json::Value;

use crate::domain::identity::ReleaseId;
use crate::ui::act::follows;
use crate::ui::entry::viewer::Abilities;
use crate::ui::view::parts::address;

/// The links at the head of the page.
pub fn links(id: &ReleaseId, release: &Value, can: Abilities) -> Markup {
    let to = |verb: &str| format!("{}/confirm?do={verb}", address(id));
    let is_suspended = release.pointer("/spec/suspend") == Some(&Value::Bool(true));
    html! {
        @if can.compare || can.act {
            nav.actions aria-label="Actions" {
                @if can.compare { a.button href={ (address(id)) "/diff" } { "Compare with the cluster" } }
                @if can.act {
                    a.button href=(to("reconcile")) { "Reconcile" }
                    @if !is_suspended { a.button href=(to("suspend")) { "Suspend" } }
                    @if !follows(release) { a.button href=(to("resume")) { "Resume" } }
                }
            }
        }
    }
}

/// The link that approves a plan.
pub fn approve(id: &ReleaseId, hash: &str) -> Markup {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("hash", hash).finish();
    html! { a.button.primary href={ (address(id)) "/confirm?do=approve&" (query) } { "Approve this plan…" } }
}

/// The link that compares a revision with the applied one.
pub fn compare(id: &ReleaseId, from: &str, to: &str) -> Markup {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let query = query.append_pair("from", from).append_pair("to", to).finish();
    html! { a href={ (address(id)) "/diff?" (query) } { "Compare" } }
}

/// The link that goes back to a revision.
pub fn rollback(id: &ReleaseId, revision: &str) -> Markup {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("to", revision).finish();
    html! { a href={ (address(id)) "/confirm?do=rollback&" (query) } { "Roll back…" } }
}
