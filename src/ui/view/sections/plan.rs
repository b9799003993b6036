//! The plan of a revision: what it would change, and the command that approves it.

use maud::{Markup, html};

use super::actions::approve;
use crate::api::plan::{PlanEntry, PlanField};
use crate::domain::gate::counted;
use crate::domain::identity::ReleaseId;
use crate::domain::message::and_more;
use crate::reconcile::frontend::published::PlanView;
use crate::ui::entry::viewer::Abilities;
use crate::ui::view::parts::{command, revision, said, time_of};

/// The most changes that are shown with their fields.
const MAX_OPEN: usize = 50;

/// The section.
pub fn section(id: &ReleaseId, plan: &Result<Option<PlanView>, String>, can: Abilities) -> Option<Markup> {
    let content = match plan {
        Ok(None) => return None,
        Ok(Some(plan)) => content(id, plan, can),
        Err(why) => html! { p.none { "Cannot be read: " (said(why)) } },
    };
    Some(html! { section.plan aria-labelledby="plan" { h2 #plan { "Plan" } (content) } })
}

fn content(id: &ReleaseId, plan: &PlanView, can: Abilities) -> Markup {
    html! {
        p {
            (said(&counted(&plan.counts))) " with revision " (revision(&plan.revision))
            @if let Some(since) = &plan.since { ", made " (time_of(since)) }
        }
        @match &plan.approved {
            Some(approval) => {
                p.none {
                    "Approved"
                    @if let Some(by) = &approval.by { " by " (said(by)) }
                    ", is being applied"
                }
            },
            None => {
                @if can.act { p.choice { (approve(id, &plan.hash)) } }
                (command(&format!("supercargo approve release {} -n {} --hash {}", id.name, id.namespace, plan.hash)))
            },
        }
        @if let Some(outdated) = &plan.changed_since {
            p { "It differs from the plan that was approved before:" }
            ul { @for difference in &outdated.differences { li { (said(difference)) } } }
        }
        ul.changes { @for (n, entry) in plan.changes.iter().enumerate() { (change(n, entry)) } }
        @if let Some(more) = and_more(plan.more_changes.unwrap_or_default()) { p.none { (more) } }
    }
}

fn change(number: usize, entry: &PlanEntry) -> Markup {
    let word = if entry.action == "handedOver" { "handed over" } else { entry.action.as_str() };
    let title = html! {
        span class={ "badge small action " (class(&entry.action)) } { (said(word)) } " "
        span.object { (said(&entry.object)) }
        @if let Some(detail) = &entry.detail { " " span.none { (said(detail)) } }
    };
    html! {
        li {
            @if entry.fields.is_empty() || number >= MAX_OPEN { div.node { (title) } }
            @else {
                details #{ "change-" (number) } open[number < 10] {
                    summary { (title) }
                    @for field in &entry.fields { (difference(field)) }
                    @let more = entry.more_fields.and_then(|more| usize::try_from(more).ok()).unwrap_or_default();
                    @if let Some(more) = and_more(more) { p.none { (more) } }
                }
            }
        }
    }
}

fn class(action: &str) -> &'static str {
    match action {
        "created" => "ready",
        "pruned" | "recreated" => "failing",
        "unknown" => "progressing",
        _ => "quiet",
    }
}

/// A field before and after.
pub fn difference(field: &PlanField) -> Markup {
    html! {
        div.diff {
            p.path { (said(&field.path)) @if field.unstable { span.none { " differs between two dry runs; not part of the hash" } } }
            (side("del", "−", field.before.as_deref()))
            (side("ins", "+", field.after.as_deref()))
        }
    }
}

fn side(class: &str, sign: &str, value: Option<&str>) -> Markup {
    let word = if class == "del" { "before: " } else { "after: " };
    html! {
        @if let Some(value) = value {
            pre class=(class) { span.hidden { (word) } span.sign aria-hidden="true" { (sign) } (said(value)) }
        }
    }
}
