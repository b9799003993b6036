//! What differs: objects, and the lines of each.

use maud::{Markup, html};
use serde_json::Value;

use super::frame::{PageView, Tab};
use super::parts::{address, command, counted, message, revision, said};
use crate::domain::artifact::digest::shortened;
use crate::domain::identity::ReleaseId;
use crate::domain::message::and_more;
use crate::domain::shown::fields::text;
use crate::reconcile::frontend::compare::Difference;
use crate::ui::entry::viewer::Abilities;
use crate::ui::read::compare::Comparison;

/// The most lines of all objects together.
pub const MAX_LINES: usize = 3000;
/// The most bytes of these lines: the page is in memory until a slow reader has it.
const MAX_BYTES: usize = 1 << 20;

/// How much more is shown.
struct Room {
    lines: usize,
    bytes: usize,
}

impl Room {
    /// How many lines of a text are shown. After the first that does not fit, there is room for none.
    fn take(&mut self, text: &str) -> usize {
        let mut count = 0;
        for line in text.lines() {
            if self.lines == 0 || line.len() > self.bytes {
                self.lines = 0;
                break;
            }
            self.lines -= 1;
            self.bytes -= line.len();
            count += 1;
        }
        count
    }
}

/// The view.
pub fn view(
    id: &ReleaseId,
    release: &Value,
    (revisions, can): (Option<(&str, &str)>, Abilities),
    compared: &Result<Comparison, String>,
) -> PageView {
    let content = html! {
        nav.crumbs aria-label="Breadcrumb" { a href="/releases" { "Releases" } " / " a href=(address(id)) { (said(&id.to_string())) } }
        div.head {
            h1 {
                @if revisions.is_some() { "Compare revisions" }
                @else if can.compare_spec { "What a run would change now" }
                @else { "What differs from the applied revision" }
            }
            p.lead {
                @match revisions {
                    Some((from, to)) => { "From " (revision(from)) " to " (revision(to)) ", each rendered with the present spec" },
                    None if can.compare_spec => { "The objects in the cluster, and what the operator would apply: drift and new content" },
                    None => { "The objects in the cluster, compared with revision " (revision(text(release, "/status/lastAppliedRevision")))
                        ", which was applied last, rendered with the present spec and inputs" },
                }
            }
            @if revisions.is_none() && !can.compare_spec { (attempted(id, release)) }
        }
        (choice(id, release, (revisions, can)))
        @match compared {
            Err(why) => { section.why.failing { h2 { "No comparison" } p.message { (message(why)) } } },
            Ok(compared) => { (result(compared)) },
        }
    };
    PageView {
        title: format!("Compare {id}"),
        tab: Tab::Releases,
        live: String::new(),
        lists: Vec::new(),
        content,
        notice: None,
    }
}

/// What the operator tries to apply now, where that is another revision than the one that was applied last.
fn attempted(id: &ReleaseId, release: &Value) -> Markup {
    let field = |pointer: &str| text(release, pointer);
    let [applied, attempted] = ["/status/lastAppliedRevision", "/status/lastAttemptedRevision"].map(field);
    html! {
        @if !attempted.is_empty() && attempted != applied {
            p.none { "The operator has tried to apply revision " (revision(attempted)) " since then. To compare the cluster with it: " }
            (command(&format!("supercargo diff release {} -n {}", id.name, id.namespace)))
        }
    }
}

/// A form for two revisions of the history.
fn choice(id: &ReleaseId, release: &Value, (revisions, can): (Option<(&str, &str)>, Abilities)) -> Markup {
    let history = release.pointer("/status/history").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (from, to) = revisions.unwrap_or_default();
    let select = |name: &str, label: &str, chosen: &str| {
        html! {
            div.field {
                label for=(name) { (label) }
                select id=(name) name=(name) {
                    @for entry in history {
                        @let revision = text(entry, "/revision");
                        option value=(said(revision)) selected[revision == chosen] { (said(&shortened(revision))) }
                    }
                }
            }
        }
    };
    html! {
        @if history.len() > 1 {
            form.filters action={ (address(id)) "/diff" } {
                (select("from", "From revision", from)) (select("to", "To revision", to))
                button type="submit" { "Compare" }
                @if revisions.is_some() && can.compare { a.clear href={ (address(id)) "/diff" } { "With the cluster" } }
            }
        }
    }
}

fn result(compared: &Comparison) -> Markup {
    let mut left = Room { lines: MAX_LINES, bytes: MAX_BYTES };
    html! {
        @if !compared.notes.is_empty() {
            ul.failures { @for note in &compared.notes { li { (message(note)) } } }
        }
        @if compared.differences.is_empty() && compared.notes.is_empty() { p.calm { "Nothing differs." } }
        @if !compared.differences.is_empty() { p.none { (counted(compared.differences.len(), "object differs", "objects differ")) } }
        @for difference in &compared.differences { (object(difference, &mut left)) }
    }
}

fn object(difference: &Difference, left: &mut Room) -> Markup {
    let count = difference.diff.lines().count();
    let shown = left.take(&difference.diff);
    let hidden = count - shown + difference.more_lines;
    html! {
        section.difference {
            h2 { span class={ "badge small " (class(&difference.change)) } { (said(&difference.change)) } " "
                span.object { (said(&difference.object)) } }
            @if count > 0 {
                pre.unified tabindex="0" role="region" aria-label={ "Difference of " (said(&difference.object)) } {
                    @for line in difference.diff.lines().take(shown) { span class=(side(line)) { (said(line)) "\n" } }
                }
            }
            @if let Some(more) = and_more(hidden) { p.none { (more) " lines" } }
        }
    }
}

fn class(change: &str) -> &'static str {
    match change {
        "created" | "added" => "ready",
        "deleted" | "removed" | "recreated" | "missing" => "failing",
        "drifted" | "changed" | "not in this revision" => "waiting",
        _ => "quiet",
    }
}

fn side(line: &str) -> &'static str {
    match line.chars().next() {
        Some('+') => "ins",
        Some('-') => "del",
        Some('@') => "place",
        _ => "same",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_lines_are_cut_over_all_objects() {
        let difference = |lines: usize| Difference {
            object: "ConfigMap/a/b".into(),
            group: String::new(),
            change: "changed".into(),
            diff: "+<b>\n".repeat(lines),
            more_lines: 0,
        };
        let counted = Difference { more_lines: 40, ..difference(0) };
        let differences = vec![difference(2000), difference(2000), difference(3), counted];
        let html = result(&Comparison { differences, notes: Vec::new() }).into_string();
        assert_eq!(html.matches("<span class=\"ins\">+&lt;b&gt;").count(), MAX_LINES);
        assert!(html.contains("and 1000 more lines") && html.contains("and 3 more lines"), "{}", html.len());
        assert!(html.contains("and 40 more lines"), "{}", html.len());
        // Lines may be long.
        let wide = Difference { diff: format!("+{}\n", "b".repeat(1000)).repeat(2000), ..difference(0) };
        let html =
            result(&Comparison { differences: vec![wide, difference(3)], notes: Vec::new() }).into_string();
        let shown = MAX_BYTES / 1001;
        assert_eq!(html.matches("<span class=\"ins\">").count(), shown);
        assert!(html.contains(&and_more(2000 - shown).unwrap()) && html.contains("and 3 more lines"));
        assert!(result(&Comparison::default()).into_string().contains("Nothing differs."));
    }
}
