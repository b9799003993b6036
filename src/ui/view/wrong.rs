//! The first view: what is wrong, the most urgent first.

use std::collections::BTreeMap;
use std::sync::Arc;

use maud::{Markup, html};

use super::frame::{PageView, Tab, around};
use super::parts::{
    badge, command, counted, cure, inner, link, message, number, revision, said, single, time,
};
use crate::ui::cure::AdviceBook;
use crate::ui::delta::{Block, Blocks};
use crate::ui::index::{Rows, Sync};
use crate::ui::listing::RowPage;
use crate::ui::row::{ReleaseState, Row};

/// Releases on a page of this view.
pub const PAGE: usize = 25;

/// How many releases have each standing.
fn counts(rows: &Rows) -> BTreeMap<ReleaseState, usize> {
    let mut counts = BTreeMap::new();
    rows.rows.values().for_each(|row| *counts.entry(row.standing).or_default() += 1);
    counts
}

/// The view.
pub fn view(rows: &Rows, cures: &AdviceBook, page: usize) -> PageView {
    let listing = RowPage::wrong(rows.rows.values(), page, PAGE);
    let summary = single("summary", summary(rows));
    let head = single("head", head(rows, &listing));
    let list = Blocks { name: "wrong", blocks: blocks(rows, &listing, cures) };
    let pager = single("pager", pager(&listing));
    let content = html! {
        div data-blocks="head" { (inner(&head)) }
        div data-blocks="summary" { (inner(&summary)) }
        ol.cards data-blocks="wrong" { (inner(&list)) }
        div data-blocks="pager" { (inner(&pager)) }
    };
    let live = format!("/live/wrong?page={}", listing.page + 1);
    let title = match listing.total {
        0 => "Nothing is wrong".to_owned(),
        total => format!("{} wrong", number(total)),
    };
    PageView {
        title,
        tab: Tab::Wrong,
        live,
        lists: around(rows, [head, summary, list, pager]),
        content,
        notice: None,
    }
}

fn head(rows: &Rows, listing: &RowPage) -> Markup {
    let all = counted(rows.rows.len(), "release", "releases");
    html! {
        div.head data-key="head" {
            h1 { "What is wrong" }
            p.lead {
                @match (listing.total, rows.rows.len()) {
                    (0, _) => { (all) },
                    (1, _) => { "1 of " (all) " needs attention" },
                    (wrong, _) => { (number(wrong)) " of " (all) " need attention" },
                }
            }
        }
    }
}

fn summary(rows: &Rows) -> Markup {
    let counts = counts(rows);
    html! {
        ul.summary data-key="summary" aria-label="Releases by state" {
            @for (standing, count) in &counts {
                li { a class={ "count " (standing.key()) } href={ "/releases?state=" (standing.key()) } title=(standing.meaning()) {
                    b { (number(*count)) } span { (standing.label()) }
                } }
            }
        }
    }
}

fn blocks(rows: &Rows, listing: &RowPage, cures: &AdviceBook) -> Vec<Block> {
    if listing.total > 0 {
        return listing.rows.iter().map(|row| block(row, cures)).collect();
    }
    let html = match (&rows.sync, rows.rows.len()) {
        (Sync::Reading, _) => {
            html! { li.calm data-key="none" { p { "Reading the releases of the cluster…" } } }
        }
        _ if rows.coverage.unchecked > 0 => {
            html! { li.calm data-key="none" { p { "Nothing is wrong in what is checked so far." } } }
        }
        (_, 0) => html! {
            li.calm data-key="none" {
                h2 { "There are no releases yet" }
                p { "A release is an " code { "OCIArtifactRelease" } ". It appears here as soon as it exists." }
            }
        },
        _ => html! {
            li.calm data-key="none" {
                h2 { "Nothing is wrong" }
                p { "Every release is Ready, in progress or suspended." }
            }
        },
    };
    vec![Block { key: "none".into(), html: html.into_string(), news: String::new() }]
}

fn block(row: &Arc<Row>, cures: &AdviceBook) -> Block {
    let id = &row.id;
    let key = id.to_string();
    let html = html! {
        li class={ "card " (row.standing.key()) } data-key=(key) {
            article {
                header {
                    h2 { (link(id)) }
                    (badge(row.standing))
                    @if !row.reason.is_empty() { span.reason { (said(&row.reason)) } }
                    @if let Some(since) = row.since { span.since { (time(Some(since))) } }
                }
                @if !row.message.is_empty() { p.message { (message(&row.message)) } }
                (happened(row))
                @if let Some(known) = cures.of(&row.reason, id) {
                    details #{ "cure-" (key) } { summary { "What to do" } (cure(&known)) (command(&status_command(row))) }
                }
            }
        }
    };
    Block { key, html: html.into_string(), news: format!("{id} is {}: {}", row.standing.label(), row.reason) }
}

/// What changed before, and what is running.
pub fn happened(row: &Row) -> Markup {
    html! {
        dl.facts {
            @if let Some(cause) = &row.cause {
                div { dt { "Before" } dd { (said(&cause.what)) ", " (time(Some(cause.at))) } }
            }
            @if let Some(attempted) = &row.attempted {
                div { dt { "Attempted" } dd { (revision(attempted)) } }
            }
            div {
                dt { "Running" }
                dd { @if row.revision.is_empty() { "nothing was applied yet" } @else { (revision(&row.revision)) } }
            }
        }
    }
}

fn status_command(row: &Row) -> String {
    format!("supercargo status release {} -n {}", row.id.name, row.id.namespace)
}

fn pager(listing: &RowPage) -> Markup {
    let pages = listing.pages(PAGE);
    html! {
        nav.pager data-key="pager" aria-label="Pages" hidden[pages == 1] {
            @if listing.page > 0 { a rel="prev" href={ "/?page=" (listing.page) } { "Previous" } }
            span { "Page " (number(listing.page + 1)) " of " (number(pages)) }
            @if listing.page + 1 < pages { a rel="next" href={ "/?page=" (listing.page + 2) } { "Next" } }
        }
    }
}
