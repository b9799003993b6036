//! The fleet over time: how many revisions were rolled out and how many have failed, and the latest of them.

use std::cmp::Reverse;

use jiff::Timestamp;
use maud::{Markup, html};

use super::frame::{PageView, Tab, around};
use super::parts::{counted, inner, link, revision, said, single, time};
use crate::domain::identity::ReleaseId;
use crate::ui::delta::{Block, Blocks};
use crate::ui::index::Rows;
use crate::ui::row::PastRollout;

/// The most rollouts that are listed.
const MAX_LISTED: usize = 50;
/// The size of the picture, and the gap between two bars.
const WIDTH: usize = 960;
const HEIGHT: usize = 120;
const GAP: usize = 4;

/// How far back the view looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeSpan {
    /// 24 hours.
    #[default]
    Day,
    /// Seven days.
    Week,
}

impl TimeSpan {
    /// From the word in an address.
    pub fn named(word: &str) -> Self {
        if word == "week" { Self::Week } else { Self::Day }
    }

    /// The word in an address.
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
        }
    }

    /// The length of a bar in seconds, and how many there are.
    fn bars(self) -> (i64, usize) {
        match self {
            Self::Day => (3600, 24),
            Self::Week => (6 * 3600, 28),
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Day => "the last 24 hours",
            Self::Week => "the last 7 days",
        }
    }
}

/// The rollouts of a part of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bar {
    succeeded: usize,
    failed: usize,
}

/// The bar of a time. The last one ends now, so that all of them are the whole time. A clock may be ahead by one bar.
fn place(at: Timestamp, span: TimeSpan, now: Timestamp) -> Option<usize> {
    let (seconds, count) = span.bars();
    let age = now.duration_since(at).as_secs();
    let bars = (age > -seconds).then(|| age.max(0) / seconds)?;
    (count - 1).checked_sub(usize::try_from(bars).ok()?)
}

/// The bars up to a time, the oldest first.
fn bars<'r>(rollouts: impl Iterator<Item = &'r PastRollout>, span: TimeSpan, now: Timestamp) -> Vec<Bar> {
    let mut bars = vec![Bar::default(); span.bars().1];
    for rollout in rollouts {
        if let Some(bar) = place(rollout.at, span, now).and_then(|place| bars.get_mut(place)) {
            if rollout.has_failed() { bar.failed += 1 } else { bar.succeeded += 1 }
        }
    }
    bars
}

/// The view.
pub fn view(rows: &Rows, span: TimeSpan, now: Timestamp) -> PageView {
    let all = || rows.rows.values().flat_map(|row| row.rollouts.iter().map(|rollout| (&row.id, rollout)));
    let bars = bars(all().map(|(_, rollout)| rollout), span, now);
    let mut latest: Vec<(&ReleaseId, &PastRollout)> =
        all().filter(|(_, rollout)| place(rollout.at, span, now).is_some()).collect();
    latest.sort_by_key(|(id, rollout)| (Reverse(rollout.at), *id));
    latest.truncate(MAX_LISTED);
    // Where all that is kept of a release is in the span, there may have been more.
    let is_cut = rows
        .rows
        .values()
        .filter(|row| row.has_more_rollouts)
        .any(|row| row.rollouts.iter().all(|rollout| place(rollout.at, span, now).is_some()));
    let head = single("head", head(&bars, span, is_cut));
    let picture = single("picture", picture(&bars, span));
    let list = Blocks { name: "rows", blocks: blocks(&latest) };
    let tab = |one: TimeSpan| (one == span).then_some("true");
    let content = html! {
        div data-blocks="head" { (inner(&head)) }
        nav.actions aria-label="Time" {
            @for (one, label) in [(TimeSpan::Day, "24 hours"), (TimeSpan::Week, "7 days")] {
                a.button href={ "/fleet?span=" (one.word()) } aria-current=[tab(one)] { (label) }
            }
        }
        div data-blocks="picture" { (inner(&picture)) }
        h2.space { "Latest rollouts" }
        div.scroll tabindex="0" role="region" aria-label="Table of rollouts" {
            table {
                thead { tr {
                    th scope="col" { "Release" } th scope="col" { "Revision" } th scope="col" { "Outcome" } th scope="col" { "When" }
                } }
                tbody data-blocks="rows" { (inner(&list)) }
            }
        }
    };
    PageView {
        title: "Fleet".to_owned(),
        tab: Tab::Fleet,
        live: format!("/live/fleet?span={}", span.word()),
        lists: around(rows, [head, picture, list]),
        content,
        notice: None,
    }
}

fn head(bars: &[Bar], span: TimeSpan, is_cut: bool) -> Markup {
    let (succeeded, failed) = totals(bars);
    html! {
        div.head data-key="head" {
            h1 { "Fleet" }
            p.lead {
                @if is_cut { "at least " }
                (counted(succeeded + failed, "rollout", "rollouts")) " in " (span.title()) ", "
                @if failed == 0 { "none failed" } @else { (failed) " failed" }
            }
        }
    }
}

fn totals(bars: &[Bar]) -> (usize, usize) {
    bars.iter().fold((0, 0), |(good, bad), bar| (good + bar.succeeded, bad + bar.failed))
}

fn picture(bars: &[Bar], span: TimeSpan) -> Markup {
    let most = bars.iter().map(|bar| bar.succeeded + bar.failed).max().unwrap_or_default().max(1);
    let step = WIDTH / bars.len().max(1);
    let height = |count: usize| (count * HEIGHT).div_ceil(most);
    let (succeeded, failed) = totals(bars);
    let hours = span.bars().0 / 3600;
    html! {
        figure.bars data-key="picture" {
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT + 1) } role="img"
                aria-label={ "Rollouts in " (span.title()) ": " (succeeded) " succeeded, " (failed) " failed" } {
                @for (n, bar) in bars.iter().enumerate() {
                    @let (good, bad) = (height(bar.succeeded), height(bar.failed));
                    @let bad = bad.min(HEIGHT);
                    @let good = good.min(HEIGHT - bad);
                    g {
                        title { (bar.succeeded) " succeeded, " (bar.failed) " failed" }
                        rect.base x=(n * step) y=(HEIGHT) width=(step - GAP) height="1" {}
                        rect.ready x=(n * step) y=(HEIGHT - good) width=(step - GAP) height=(good) {}
                        rect.failing x=(n * step) y=(HEIGHT - good - bad) width=(step - GAP) height=(bad) {}
                    }
                }
            }
            figcaption { span { (span.title()) } span { "each bar " (hours) @if hours == 1 { " hour" } @else { " hours" } } span { "now" } }
        }
    }
}

fn blocks(latest: &[(&ReleaseId, &PastRollout)]) -> Vec<Block> {
    let row = |(id, rollout): &(&ReleaseId, &PastRollout)| {
        let key = format!("{id} {} {}", rollout.revision, rollout.at);
        let class = if rollout.has_failed() { "failing" } else { "ready" };
        let html = html! {
            tr data-key=(said(&key)) {
                th scope="row" { (link(id)) }
                td { (revision(&rollout.revision)) }
                td { span class={ "badge small " (class) } { (said(&rollout.outcome)) }
                    @if !rollout.reason.is_empty() { " " span.reason { (said(&rollout.reason)) } } }
                td.time { (time(Some(rollout.at))) }
            }
        };
        Block { key, html: html.into_string(), news: String::new() }
    };
    if !latest.is_empty() {
        return latest.iter().map(row).collect();
    }
    let html =
        html! { tr data-key="none" { td.nothing colspan="4" { "Nothing was rolled out in this time." } } };
    vec![Block { key: "none".into(), html: html.into_string(), news: String::new() }]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::ui::index::Sync;
    use crate::ui::row::Row;

    fn rollout(at: &str, outcome: &str) -> PastRollout {
        PastRollout {
            at: at.parse().unwrap(),
            revision: "1".into(),
            outcome: outcome.into(),
            reason: String::new(),
        }
    }

    #[test]
    fn a_rollout_is_in_the_bar_of_its_age() {
        let now: Timestamp = "2026-01-02T12:30:00Z".parse().unwrap();
        let check = |at: &str, outcome: &str, span: TimeSpan, expected: Option<usize>| {
            let bars = bars([rollout(at, outcome)].iter(), span, now);
            let found = bars.iter().position(|bar| *bar != Bar::default());
            assert_eq!(found, expected, "{at}");
            let failed: usize = bars.iter().map(|bar| bar.failed).sum();
            assert_eq!(failed, usize::from(outcome == "Failed" && expected.is_some()));
        };
        check("2026-01-02T12:30:00Z", "Healthy", TimeSpan::Day, Some(23));
        check("2026-01-02T11:30:01Z", "Failed", TimeSpan::Day, Some(23));
        check("2026-01-02T11:30:00Z", "Failed", TimeSpan::Day, Some(22));
        check("2026-01-01T12:30:01Z", "Applied", TimeSpan::Day, Some(0));
        check("2026-01-01T12:30:00Z", "Applied", TimeSpan::Day, None);
        check("2026-01-01T12:30:00Z", "Applied", TimeSpan::Week, Some(23));
        check("2026-01-01T06:30:01Z", "Applied", TimeSpan::Week, Some(23));
        // A clock that is ahead.
        check("2026-01-02T13:29:59Z", "Applied", TimeSpan::Day, Some(23));
        check("2026-01-02T13:30:00Z", "Applied", TimeSpan::Day, None);
        assert_eq!(TimeSpan::named("week").word(), "week");
        assert_eq!(TimeSpan::named("bogus").word(), "day");
    }

    #[test]
    fn rollouts_that_may_be_forgotten_are_said() {
        let now: Timestamp = "2026-01-02T12:30:00Z".parse().unwrap();
        let check = |count: usize, limit: usize, span: TimeSpan, expected: &str| {
            let entry = |n| json!({"revision": "1", "outcome": "Healthy", "endedAt": format!("2026-01-{:02}T12:00:00Z", 2 - n / 6)});
            let history: Vec<_> = (0..count).map(entry).collect();
            let row =
                Row::of(&json!({"metadata": {"namespace": "a", "name": "b"}, "status": {"history": history},
                "spec": {"url": "oci://r/a", "historyLimit": limit}}));
            let rows = Rows { rows: Arc::new([(row.id.clone(), Arc::new(row))].into()), ..Rows::default() };
            let html = view(&rows, span, now).content.into_string();
            let found = html.split("<p class=\"lead\">").nth(1).unwrap_or_default();
            assert!(found.trim_start().starts_with(expected), "{count} {limit}: {found}");
        };
        check(5, 20, TimeSpan::Day, "5 rollouts");
        check(5, 5, TimeSpan::Day, "at least 5 rollouts");
        check(8, 20, TimeSpan::Week, "at least 8 rollouts");
        // The last of them are older.
        check(8, 20, TimeSpan::Day, "6 rollouts");
    }

    #[test]
    fn the_latest_rollouts_are_listed_first_and_no_more_than_can_be_read() {
        let now: Timestamp = "2026-01-02T12:30:00Z".parse().unwrap();
        let row = |n: usize| {
            let outcome = if n == 7 { "Failed" } else { "Healthy" };
            Row::of(
                &json!({"metadata": {"namespace": "a", "name": format!("r{n:02}")}, "spec": {"url": "oci://r/a"},
                "status": {"history": [{"revision": "1", "outcome": outcome, "endedAt": format!("2026-01-02T11:{:02}:00Z", n % 60)}]}}),
            )
        };
        let rows: BTreeMap<_, _> = (0..60).map(row).map(|row| (row.id.clone(), Arc::new(row))).collect();
        let rows = Rows { rows: Arc::new(rows), sync: Sync::Following, ..Rows::default() };
        let html = view(&rows, TimeSpan::Day, now).content.into_string();
        assert!(html.contains("60 rollouts in the last 24 hours, 1 failed"), "{html}");
        assert!(!html.contains("at least"), "{html}");
        assert_eq!(html.matches("<th scope=\"row\">").count(), MAX_LISTED);
        assert!(html.find("r59") < html.find("r58"));
        let none = view(&Rows::default(), TimeSpan::Week, now).content.into_string();
        assert!(
            none.contains("0 rollouts in the last 7 days, none failed")
                && none.contains("Nothing was rolled out")
        );
    }
}
