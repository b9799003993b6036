//! The page that asks a person whether a request is meant, and what is said once it is made.

use maud::{Markup, html};

use super::frame::{PageView, Tab};
use super::parts::{address, command, revision, said};
use crate::domain::identity::ReleaseId;
use crate::domain::shown::verbs::PersonRequest;
use crate::ui::act;

/// What the button says.
fn button(verb: &PersonRequest) -> &'static str {
    match verb {
        PersonRequest::Reconcile => "Reconcile now",
        PersonRequest::Suspend => "Suspend",
        PersonRequest::Resume => "Resume",
        PersonRequest::Approve { .. } => "Approve this plan",
        PersonRequest::Rollback { .. } => "Roll back",
    }
}

/// What follows.
fn consequence(verb: &PersonRequest) -> &'static str {
    match verb {
        PersonRequest::Reconcile => {
            "The operator checks the registry and the objects now. A suspended release runs once, and stays suspended."
        }
        PersonRequest::Suspend => {
            "Applied objects keep running. New revisions are not applied and drift is not corrected until the release \
             is resumed. A run in progress ends first."
        }
        PersonRequest::Resume => {
            "The release follows its spec again: a pin is removed, and the operator runs now."
        }
        PersonRequest::Approve { .. } => {
            "The operator makes the plan again before the first write. If it has become another one, nothing is \
             applied, and the new plan waits."
        }
        PersonRequest::Rollback { .. } => {
            "The operator applies this revision, by its digest, and does not follow the spec until the release is \
             resumed. What newer revisions have changed in databases and other places is not undone."
        }
    }
}

/// The view: a form that sends the request.
pub fn view(id: &ReleaseId, verb: &PersonRequest, user: Option<&str>, token: &str) -> PageView {
    let content = html! {
        nav.crumbs aria-label="Breadcrumb" { a href="/releases" { "Releases" } " / " a href=(address(id)) { (said(&id.to_string())) } }
        section.confirm aria-labelledby="confirm" {
            h1 #confirm { (button(verb)) "?" }
            dl.facts {
                div { dt { "Release" } dd { (said(&id.to_string())) } }
                @match verb {
                    PersonRequest::Approve { hash } => { div { dt { "Plan" } dd { code { (said(hash)) } } } },
                    PersonRequest::Rollback { to, .. } => { div { dt { "Revision" } dd { (revision(&to.name)) } } },
                    _ => {},
                }
                @if let Some(user) = user { div { dt { "As" } dd { (said(user)) } } }
            }
            p.step { (consequence(verb)) }
            form method="post" action={ (address(id)) "/act" } {
                input type="hidden" name="token" value=(token);
                input type="hidden" name="do" value=(act::word(verb));
                @match verb {
                    PersonRequest::Approve { hash } => { input type="hidden" name="hash" value=(said(hash)); },
                    PersonRequest::Rollback { to, .. } => {
                        input type="hidden" name="to" value=(said(&to.name));
                        div.field {
                            label for="reason" { "Reason, for the status of the release" }
                            input #reason name="reason" maxlength="256" autocomplete="off";
                        }
                    },
                    _ => {},
                }
                div.choice {
                    button.primary type="submit" { (button(verb)) }
                    a href=(address(id)) { "Cancel" }
                }
            }
            p.none { "The same on the command line:" }
            (command(&act::command(verb, id)))
        }
    };
    PageView {
        title: format!("{} {id}", button(verb)),
        tab: Tab::Releases,
        live: String::new(),
        lists: Vec::new(),
        content,
        notice: None,
    }
}

/// What is said on the page of the release after a request: only these sentences.
pub fn notice(done: &str, is_unreported: bool) -> Option<Markup> {
    let sentence = match done {
        "reconcile" => "Reconciliation requested.",
        "suspend" => "Suspended.",
        "resume" => "Resumed.",
        "approve" => "Plan approved.",
        "rollback" => "Rollback requested.",
        _ => return None,
    };
    Some(html! {
        p.notice role="status" {
            (sentence)
            @if is_unreported { " No event names you: you may not create events in this namespace." }
        }
    })
}
