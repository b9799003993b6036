//! All releases, as a table.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::frame::{PageView, Tab, around};
use super::parts::{badge, counted, inner, link, number, revision, said, single, time};
use crate::ui::delta::{Block, Blocks};
use crate::ui::index::{Rows, Sync};
use crate::ui::listing::{Column, PAGE, Query, RowPage};
use crate::ui::row::{ReleaseState, Row};

/// The most namespaces that are suggested.
const MAX_SUGGESTED: usize = 200;
/// The columns, and which of them sort.
const COLUMNS: [(&str, Option<Column>); 6] = [
    ("Release", Some(Column::Name)),
    ("State", Some(Column::State)),
    ("Reason", Some(Column::Reason)),
    ("Since", Some(Column::Since)),
    ("Revision", Some(Column::Revision)),
    ("Message", None),
];

/// The view.
pub fn view(rows: &Rows, query: &Query) -> PageView {
    let listing = RowPage::of(rows.rows.values(), query);
    let query = &query.at(listing.page);
    let head = single("head", head(rows, query, &listing));
    let list = Blocks { name: "rows", blocks: blocks(rows, &listing) };
    let pager = single("pager", pager(query, &listing));
    let content = html! {
        div data-blocks="head" { (inner(&head)) }
        (filters(rows, query))
        div.scroll tabindex="0" role="region" aria-label="Table of releases" {
            table.releases {
                thead { tr { @for (title, column) in COLUMNS { (header(title, column, query)) } } }
                tbody data-blocks="rows" { (inner(&list)) }
            }
        }
        div data-blocks="pager" { (inner(&pager)) }
    };
    let live = format!("/live/releases?{}", query.address());
    let title =
        if query.text.is_empty() { "Releases".to_owned() } else { format!("{} · Releases", query.text) };
    PageView {
        title,
        tab: Tab::Releases,
        live,
        lists: around(rows, [head, list, pager]),
        content,
        notice: None,
    }
}

fn head(rows: &Rows, query: &Query, listing: &RowPage) -> Markup {
    let is_all = listing.total == rows.rows.len() && query.text.is_empty();
    html! {
        div.head data-key="head" {
            h1 { "Releases" }
            p.lead {
                @if is_all { (counted(listing.total, "release", "releases")) }
                @else { (number(listing.total)) " of " (counted(rows.rows.len(), "release", "releases")) }
            }
        }
    }
}

fn filters(rows: &Rows, query: &Query) -> Markup {
    let namespaces: BTreeSet<&str> = rows.rows.keys().map(|id| id.namespace.as_str()).collect();
    let sort = (query.sort != Column::default()).then(|| query.sort.key());
    html! {
        form.filters action="/releases" {
            @if let Some(sort) = sort { input type="hidden" name="sort" value=(sort); }
            @if query.descending { input type="hidden" name="order" value="desc"; }
            div.field {
                label for="q" { "Search" }
                input #q type="search" name="q" value=(said(&query.text)) placeholder="Name, source, reason or message" autocomplete="off";
            }
            div.field {
                label for="state" { "State" }
                select #state name="state" {
                    option value="" { "All" }
                    @for standing in ReleaseState::ALL {
                        option value=(standing.key()) selected[query.standing == Some(standing)] { (standing.label()) }
                    }
                }
            }
            div.field {
                label for="namespace" { "Namespace" }
                input #namespace name="namespace" value=(said(&query.namespace)) list="namespaces" placeholder="All" autocomplete="off";
                datalist #namespaces {
                    @for namespace in namespaces.into_iter().take(MAX_SUGGESTED) { option value=(said(namespace)); }
                }
            }
            button type="submit" { "Show" }
            @if *query != (Query { page: query.page, ..Query::default() }) { a.clear href="/releases" { "Clear" } }
        }
    }
}

fn header(title: &str, column: Option<Column>, query: &Query) -> Markup {
    let Some(column) = column else { return html! { th scope="col" { (title) } } };
    let is_sorted = query.sort == column;
    let direction = match (is_sorted, query.descending) {
        (false, _) => None,
        (true, false) => Some("ascending"),
        (true, true) => Some("descending"),
    };
    html! {
        th scope="col" aria-sort=[direction] {
            a.sort href={ "/releases?" (query.sorted_by(column).address()) } { (title) }
        }
    }
}

fn blocks(rows: &Rows, listing: &RowPage) -> Vec<Block> {
    if listing.total > 0 {
        return listing.rows.iter().map(|row| block(row)).collect();
    }
    let why = match (&rows.sync, rows.rows.len()) {
        (Sync::Reading, _) => "Reading the releases of the cluster…",
        (_, 0) if rows.coverage.unchecked > 0 => "There are none in what is checked so far.",
        (_, 0) => "There are no releases yet.",
        _ => "No release is like that.",
    };
    let html = html! { tr data-key="none" { td.nothing colspan=(COLUMNS.len()) { (why) } } };
    vec![Block { key: "none".into(), html: html.into_string(), news: String::new() }]
}

fn block(row: &Row) -> Block {
    let key = row.id.to_string();
    let html = html! {
        tr data-key=(key) {
            th scope="row" { (link(&row.id)) (tags(row)) }
            td { (badge(row.standing)) }
            td.reason { (said(&row.reason)) }
            td.time { (time(row.since)) }
            td { @if !row.revision.is_empty() { (revision(&row.revision)) } }
            td.message { span { (said(first_line(&row.message))) } }
        }
    };
    Block { key, html: html.into_string(), news: String::new() }
}

/// What else is special about a release.
pub fn tags(row: &Row) -> Markup {
    html! { @for tag in &row.tags { " " span.tag { (tag) } } }
}

/// The longest message of a table, in bytes.
const MAX_LINE: usize = 160;

fn first_line(message: &str) -> &str {
    let line = message.lines().next().unwrap_or_default();
    let mut end = line.len().min(MAX_LINE);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    &line[..end]
}

fn pager(query: &Query, listing: &RowPage) -> Markup {
    let pages = listing.pages(PAGE);
    let to = |page: usize| format!("/releases?{}", query.at(page).address());
    let first = listing.page * PAGE;
    html! {
        nav.pager data-key="pager" aria-label="Pages" hidden[pages == 1] {
            @if listing.page > 0 {
                a href=(to(0)) { "First" }
                a rel="prev" href=(to(listing.page - 1)) { "Previous" }
            }
            span { (number(first + 1)) "–" (number(first + listing.rows.len())) " of " (number(listing.total)) }
            @if listing.page + 1 < pages {
                a rel="next" href=(to(listing.page + 1)) { "Next" }
                a href=(to(pages - 1)) { "Last" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::ui::cure::AdviceBook;
    use crate::ui::entry::viewer::Place;
    use crate::ui::view::fleet::{self, TimeSpan};
    use crate::ui::view::{frame, wrong};

    /// The most bytes of a page with its style and script.
    const MAX_BYTES: usize = 200 << 10;

    fn rows(count: usize) -> Rows {
        let row = |n: usize| {
            let (ready, reason) = if n.is_multiple_of(7) {
                ("False", "HealthTimeout")
            } else {
                ("True", "ReconciliationSucceeded")
            };
            let revision = format!("1.{n}.0@sha256:{}", "a1".repeat(32));
            Row::of(&json!({
                "metadata": {"namespace": format!("team-{}", n % 300), "name": format!("service-{n:05}"),
                    "resourceVersion": n.to_string(), "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"url": format!("oci://registry.example.com/team/service-{n:05}")},
                "status": {"lastAppliedRevision": revision, "lastAttemptedRevision": format!("2{revision}"),
                    "history": [{"revision": revision, "digest": format!("sha256:{}", "a1".repeat(32)), "outcome": "Failed",
                        "appliedAt": "2026-01-01T00:00:00Z", "changes": {"created": 1, "configured": 0,
                        "unchanged": 0, "pruned": 0, "failed": 0}}],
                    "conditions": [{"type": "Ready", "status": ready, "reason": reason,
                        "lastTransitionTime": "2026-01-01T00:00:00Z", "message": "a long message about objects. ".repeat(20)}]}}))
        };
        let rows: BTreeMap<_, _> = (0..count).map(row).map(|row| (row.id.clone(), Arc::new(row))).collect();
        Rows { rows: Arc::new(rows), sync: Sync::Following, ..Rows::default() }
    }

    #[test]
    fn ten_thousand_releases_are_a_small_page() {
        let rows = rows(10_000);
        let assets = include_str!("../assets/page.css").len() + include_str!("../assets/page.js").len();
        let check = |view: PageView, expected: &str| {
            let html = frame::page(&Place::default(), &rows, &view, 0).into_string();
            let bytes = html.len() + assets;
            assert!(bytes < MAX_BYTES, "{}: {bytes} bytes", view.title);
            assert!(html.contains(expected), "{}", view.title);
        };
        check(view(&rows, &Query::default()), "10,000 releases");
        check(view(&rows, &Query::parse("page=100&sort=state&order=desc")), "9,901–10,000");
        check(view(&rows, &Query::parse("q=service-09999")), "1 of 10,000 releases");
        check(wrong::view(&rows, &AdviceBook::default(), 0), "1,429 of 10,000 releases need attention");
        check(wrong::view(&rows, &AdviceBook::default(), 57), "Page 58 of 58");
        let now = "2026-01-01T06:00:00Z".parse().expect("a time");
        check(fleet::view(&rows, TimeSpan::Week, now), "10,000");
    }

    #[test]
    fn a_message_of_a_table_is_one_short_line() {
        let check = |message: &str, expected: &str| assert_eq!(first_line(message), expected);
        check("a\nb", "a");
        check("", "");
        check(&"ä".repeat(200), &"ä".repeat(80));
    }
}
