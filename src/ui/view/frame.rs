//! What is around every view.

use maud::{DOCTYPE, Markup, html};

use super::parts::{counted, inner, said, single, time};
use crate::ui::delta::Blocks;
use crate::ui::entry::viewer::Place;
use crate::ui::index::{Rows, Sync};

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

/// The state of the watch, which every view shows.
pub fn sync(rows: &Rows) -> Blocks {
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
                    @if place.is_partial && rows.rows.is_empty() && rows.sync == Sync::Following {
                        p.partial {
                            "You see no release: you may not list those of any namespace that has some. You need the right to "
                            code { "list" } " " code { "ociartifactreleases.supercargo.dev" } "."
                        }
                    }
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
