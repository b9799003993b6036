//! What is around every view.

use maud::{DOCTYPE, Markup, html};

use super::parts::{counted, inner, number, said, single, time};
use crate::ui::delta::{Block, Blocks};
use crate::ui::entry::rights::MAX_NAMESPACES;
use crate::ui::entry::viewer::Place;
use crate::ui::index::{Coverage, Rows, Sync};

/// A view, ready for its frame.
pub struct PageView {
    /// Its title.
    pub title: String,
    /// The part of the site that it belongs to.
    pub tab: Tab,
    /// The address of its stream; empty for a view that does not change.
    pub live: String,
    /// What of it changes.
    pub lists: Vec<Blocks>,
    /// Its content, with the blocks in it.
    pub content: Markup,
    /// What has just been done.
    pub notice: Option<Markup>,
}

/// A part of the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    /// What is wrong.
    Wrong,
    /// All releases, and each.
    Releases,
    /// The fleet over time.
    Fleet,
}

/// What every view shows, and then what one shows.
pub fn around(rows: &Rows, lists: impl IntoIterator<Item = Blocks>) -> Vec<Blocks> {
    [sync(rows), notes(rows)].into_iter().chain(lists).collect()
}

/// The names of the lists that every view shows.
pub const AROUND: [&str; 2] = ["sync", "notes"];

/// What is not shown because of the rights of the person.
fn notes(rows: &Rows) -> Blocks {
    let Coverage { is_partial, unchecked, beyond, is_stuck } = rows.coverage;
    let note = |key: &str, html: Markup| {
        let html = html! { p.partial data-key=(key) { (html) } };
        Block { key: key.to_owned(), html: html.into_string(), news: String::new() }
    };
    let right = html! { code { "list" } " " code { "ociartifactreleases.supercargo.dev" } };
    let mut blocks = Vec::new();
    if unchecked > 0 {
        let are = if unchecked == 1 { " is not checked yet" } else { " are not checked yet" };
        let why = match is_stuck {
            true => {
                ": the API server does not say whether you may list their releases. The log of the operator has the cause."
            }
            false => ": their releases appear when the API server has said that you may list them.",
        };
        blocks.push(note("unchecked", html! { (counted(unchecked, "namespace", "namespaces")) (are) (why) }));
    }
    if beyond > 0 {
        let html = html! {
            "The releases of " (counted(beyond, "more namespace", "more namespaces")) " are not shown: the page checks no more than "
            (number(MAX_NAMESPACES)) " namespaces for a person without the right to " (right) " in all of them. Ask for that right, or use "
            code { "supercargo get releases -n NAMESPACE" } "."
        };
        blocks.push(note("beyond", html));
    }
    if is_partial && unchecked == 0 && rows.rows.is_empty() && rows.sync == Sync::Following {
        let html = html! {
            "You see no release: you may not list those of any namespace that has some. You need the right to " (right) "."
        };
        blocks.push(note("none", html));
    }
    Blocks { name: "notes", blocks }
}

/// The state of the watch, which every view shows.
fn sync(rows: &Rows) -> Blocks {
    let html = match &rows.sync {
        Sync::Reading => html! { p.sync data-key="sync" { span.dot.progressing {} "Reading releases…" } },
        Sync::Following => html! {
            p.sync data-key="sync" { span.dot.ready {} (counted(rows.rows.len(), "release", "releases")) }
        },
        Sync::Away(since) => html! {
            p.sync.broken role="alert" data-key="sync" {
                span.dot.failing {} "No news since " (time(Some(*since))) ": the API server gives no answer"
            }
        },
        Sync::Failed(why) => html! {
            p.sync.broken data-key="sync" { span.dot.failing {} "Not current: " (said(why)) }
        },
    };
    single("sync", html)
}

/// The whole page.
pub fn page(place: &Place, rows: &Rows, view: &PageView, seen: u64) -> Markup {
    let tab = |tab: Tab| (view.tab == tab).then_some("page");
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (view.title) " · Supercargo" }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/page.css";
                script src="/assets/page.js" defer {}
            }
            body data-live=(view.live) data-seen=(seen) {
                a.skip href="#content" { "Skip to content" }
                header.top {
                    a.brand href="/" { span.mark aria-hidden="true" {} "Supercargo" }
                    nav aria-label="Main" {
                        a href="/" aria-current=[tab(Tab::Wrong)] { "What is wrong" }
                        a href="/releases" aria-current=[tab(Tab::Releases)] { "Releases" }
                        a href="/fleet" aria-current=[tab(Tab::Fleet)] { "Fleet" }
                    }
                    form.find action="/releases" role="search" {
                        label.hidden for="find" { "Search releases" }
                        input #find type="search" name="q" placeholder="Search releases  /" autocomplete="off";
                    }
                }
                main #content tabindex="-1" {
                    @if let Some(notice) = &view.notice { (notice) }
                    div data-blocks="notes" role="status" { (inner(&notes(rows))) }
                    (view.content)
                }
                footer.bottom {
                    div data-blocks="sync" { (inner(&sync(rows))) }
                    p.place {
                        @if let Some(namespace) = &place.namespace { "Namespace " b { (said(namespace)) } " of " }
                        (said(&place.server))
                    }
                    @if let Some(person) = &place.person {
                        form.person method="post" action="/sign-out" {
                            span { (said(person)) } button type="submit" { "Sign out" }
                        }
                    }
                    p #connection.connection hidden { "Connection lost; trying again" }
                }
                p #news.hidden role="status" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_shown_is_said_with_what_to_do() {
        let check = |coverage: Coverage, expected: &[&str]| {
            let rows = Rows { sync: Sync::Following, coverage, ..Rows::default() };
            let html = inner(&notes(&rows)).into_string();
            assert_eq!(html.matches("<p ").count(), expected.len(), "{html}");
            expected.iter().for_each(|text| assert!(html.contains(text), "{text}: {html}"));
        };
        let all = Coverage::default();
        let some = Coverage { is_partial: true, ..all };
        check(all, &[]);
        check(some, &["You see no release"]);
        check(Coverage { unchecked: 1, ..some }, &["1 namespace is not checked yet: their releases appear"]);
        check(Coverage { unchecked: 1234, ..some }, &["1,234 namespaces are not checked yet"]);
        let stuck = Coverage { unchecked: 2, is_stuck: true, ..some };
        check(stuck, &["2 namespaces are not checked yet: the API server does not say"]);
        let beyond = Coverage { beyond: 7, unchecked: 1, ..some };
        check(beyond, &["1 namespace is not", "The releases of 7 more namespaces are not shown"]);
        // Not before it is known.
        let rows = Rows { coverage: some, ..Rows::default() };
        assert_eq!(notes(&rows).blocks, Vec::new());
    }
}
