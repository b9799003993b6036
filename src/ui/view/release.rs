//! One release: its state, its plan, what it waits for, its objects, its revisions and its events.

use maud::{Markup, html};

use super::frame::{PageView, Tab, around};
use super::parts::{address, badge, command, cure, inner, message, revision, said, time};
use super::releases::tags;
use super::sections::{actions, conditions, events, history, objects, plan, signatures, steps, waits};
use super::wrong::happened;
use crate::domain::identity::ReleaseId;
use crate::domain::shown::fields::text;
use crate::ui::cure::AdviceBook;
use crate::ui::delta::{Block, Blocks};
use crate::ui::entry::viewer::Abilities;
use crate::ui::index::Rows;
use crate::ui::read::detail::Detail;
use crate::ui::row::{ReleaseState, Row};

/// The element of the blocks.
const SECTIONS: &str = "sections";

/// The view.
pub fn view(
    rows: &Rows,
    id: &ReleaseId,
    detail: &Detail,
    (cures, can): (&AdviceBook, Abilities),
) -> PageView {
    let row = Row::of(&detail.release);
    let release = &detail.release;
    let sections = [
        ("head", Some(head(detail, &row, can))),
        ("why", why(&row, cures)),
        ("plan", plan::section(id, &detail.plan, can)),
        ("waits", waits::section(release)),
        ("objects", Some(objects::section(id, &detail.objects))),
        ("steps", steps::section(release)),
        ("history", history::section(id, release, can)),
        ("signatures", Some(signatures::section(release))),
        ("conditions", conditions::section(release)),
        ("events", Some(events::section(&detail.events))),
    ];
    let news = format!("{id} is {}: {}", row.standing.label(), row.reason);
    let blocks = sections.into_iter().filter_map(|(key, section)| {
        let section = section?;
        let html = html! { div.block data-key=(key) { (section) } };
        let news = if key == "head" { news.clone() } else { String::new() };
        Some(Block { key: key.to_owned(), html: html.into_string(), news })
    });
    let list = Blocks { name: SECTIONS, blocks: blocks.collect() };
    let content = html! {
        nav.crumbs aria-label="Breadcrumb" {
            a href="/releases" { "Releases" } " / "
            a href={ "/releases?namespace=" (said(&id.namespace)) } { (said(&id.namespace)) }
        }
        div.sections data-blocks=(SECTIONS) { (inner(&list)) }
    };
    PageView {
        title: format!("{id}"),
        tab: Tab::Releases,
        live: format!("/live{}", address(id)),
        lists: around(rows, [list]),
        content,
        notice: None,
    }
}

/// What an open page shows in place of a release that is gone, or that one may not read any more.
pub fn gone(title: &str, why: &str) -> Blocks {
    let html = html! {
        div.block data-key="gone" { section.why.waiting { h1 { (title) } p.message { (said(why)) } p { a href="/releases" { "All releases" } } } }
    };
    let block = Block { key: "gone".into(), html: html.into_string(), news: why.to_owned() };
    Blocks { name: SECTIONS, blocks: vec![block] }
}

fn head(detail: &Detail, row: &Row, can: Abilities) -> Markup {
    let release = &detail.release;
    let field = |pointer: &str| text(release, pointer);
    let is_behind = release.pointer("/metadata/generation") != release.pointer("/status/observedGeneration");
    html! {
        header.release {
            h1 { span.namespace { (said(&row.id.namespace)) "/" } wbr; (said(&row.id.name)) }
            p.state {
                (badge(row.standing))
                @if !row.reason.is_empty() { span.reason { (said(&row.reason)) } }
                @if row.since.is_some() { span.since { (time(row.since)) } }
                (tags(row))
            }
            (actions::links(&row.id, release, can))
            dl.facts {
                div { dt { "Source" } dd { code { (said(&row.source)) } } }
                (of_revision("Applied", field("/status/lastAppliedRevision")))
                @if field("/status/lastAttemptedRevision") != field("/status/lastAppliedRevision") {
                    (of_revision("Attempted", field("/status/lastAttemptedRevision")))
                }
                @if field("/status/lastHealthyRevision") != field("/status/lastAppliedRevision") {
                    (of_revision("Healthy", field("/status/lastHealthyRevision")))
                }
                (of_revision("Held back", field("/status/heldRevision")))
                (fact("Built from", &built_from(detail)))
                (fact("Cluster", field("/status/cluster")))
                (fact("Interval", field("/spec/interval")))
                (fact("Account", field("/spec/serviceAccountName")))
                @if is_behind { (fact("Note", "The latest spec is not reconciled yet")) }
            }
        }
    }
}

fn built_from(detail: &Detail) -> String {
    let part = |field: &str| text(&detail.release, &format!("/status/artifact/{field}"));
    [part("source"), part("sourceRevision")].join(" ").trim().to_owned()
}

fn fact(label: &str, value: &str) -> Markup {
    html! { @if !value.is_empty() { div { dt { (label) } dd { (said(value)) } } } }
}

fn of_revision(label: &str, value: &str) -> Markup {
    html! { @if !value.is_empty() { div { dt { (label) } dd { (revision(value)) } } } }
}

/// Why it is not Ready, and what to do.
fn why(row: &Row, cures: &AdviceBook) -> Option<Markup> {
    let is_quiet = matches!(row.standing, ReleaseState::Ready | ReleaseState::Suspended | ReleaseState::New);
    let known = cures.of(&row.reason, &row.id);
    (!is_quiet).then(|| {
        html! {
            section class={ "why " (row.standing.key()) } aria-labelledby="why-title" {
                h2 #why-title { @if row.standing == ReleaseState::Progressing { "What is going on" } @else { "Why" } }
                p.message { (message(&row.message)) }
                (happened(row))
                @if let Some(known) = known { h3 { "What to do" } (cure(&known)) }
                (command(&format!("supercargo status release {} -n {}", row.id.name, row.id.namespace)))
            }
        }
    })
}
