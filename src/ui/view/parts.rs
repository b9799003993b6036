//! Parts of several views.

use jiff::Timestamp;
use maud::{Markup, PreEscaped, Render, html};
use percent::segment;

use crate::domain::artifact::digest::shortened;
use crate::domain::health::HealthState;
use crate::domain::identity::ReleaseId;
use crate::domain::message::printable::printable;
use crate::ui::cure::{Advice, Piece};
use crate::ui::delta::{Block, Blocks};
use crate::ui::row::ReleaseState;

/// Text that others wrote: of the cluster, a registry or an artifact.
pub struct Said<'t>(pub &'t str);

impl Render for Said<'_> {
    fn render_to(&self, buffer: &mut String) {
        printable(self.0).as_ref().render_to(buffer);
    }
}

/// Text that others wrote.
pub fn said(text: &str) -> Said<'_> {
    Said(text)
}

/// Blocks in their element.
pub fn inner(blocks: &Blocks) -> Markup {
    // Each was rendered by a view.
    PreEscaped(blocks.blocks.iter().map(|block| block.html.as_str()).collect())
}

/// A list of one block.
pub fn single(name: &'static str, html: Markup) -> Blocks {
    Blocks {
        name,
        blocks: vec![Block { key: name.to_owned(), html: html.into_string(), news: String::new() }],
    }
}

/// A time: a script writes it as an age.
pub fn time(at: Option<Timestamp>) -> Markup {
    html! {
        @match at {
            Some(at) => { @let seconds = at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
                time datetime=(at) title=(seconds) { (seconds) } },
            None => { span.none { "unknown" } },
        }
    }
}

/// The same of the text of a field.
pub fn time_of(text: &str) -> Markup {
    time(text.parse().ok())
}

/// How a release is, by a word and a colour.
pub fn badge(standing: ReleaseState) -> Markup {
    html! { span class={ "badge " (standing.key()) } title=(standing.meaning()) { (standing.label()) } }
}

/// How an object is.
pub fn health(state: &str) -> Markup {
    let is = |known: HealthState| state == known.as_str();
    let class = match state {
        "NotFound" => "failing",
        _ if is(HealthState::Current) => "ready",
        _ if is(HealthState::Failed) => "failing",
        _ if is(HealthState::Suspended) => "suspended",
        _ => "progressing",
    };
    html! { span class={ "badge small " (class) } { (state) } }
}

/// The address of a release's page.
pub fn address(id: &ReleaseId) -> String {
    format!("/release/{}/{}", segment(&id.namespace), segment(&id.name))
}

/// The name of a release, as a link.
pub fn link(id: &ReleaseId) -> Markup {
    html! {
        a.name href=(address(id)) { span.namespace { (said(&id.namespace)) "/" } wbr; (said(&id.name)) }
    }
}

/// A command to copy.
pub fn command(text: &str) -> Markup {
    html! {
        div.command { code { (said(text)) } button type="button" data-copy hidden { "Copy" } }
    }
}

/// A message: what stands between backticks is a command or a name.
pub fn message(text: &str) -> Markup {
    let is_even = text.matches('`').count().is_multiple_of(2);
    html! {
        @for (n, part) in text.split('`').enumerate() {
            @if !is_even && n > 0 { "`" }
            @if is_even && n % 2 == 1 { code { (said(part)) } } @else { (said(part)) }
        }
    }
}

/// A revision in short; the whole of it appears under the pointer.
pub fn revision(text: &str) -> Markup {
    let short = shortened(text);
    html! { code.revision title=[(short != text).then_some(said(text))] { (said(&short)) } }
}

/// A paragraph of the documentation.
pub fn prose(pieces: &[Piece]) -> Markup {
    html! {
        @for piece in pieces {
            @match piece {
                Piece::Text(text) => { (said(text)) },
                Piece::Code(code) => { code { (said(code)) } },
            }
        }
    }
}

/// What a reason means and what to do.
pub fn cure(cure: &Advice) -> Markup {
    html! {
        p.meaning { (prose(&cure.meaning)) }
        @for step in &cure.steps { p.step { (prose(step)) } }
    }
}

/// A number with separators.
pub fn number(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of things.
pub fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// Names as parts of addresses.
mod percent {
    /// A segment of a path: what is no letter, digit, dash or dot is encoded.
    pub fn segment(text: &str) -> String {
        let mut encoded = String::with_capacity(text.len());
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => encoded.push(char::from(byte)),
                b'.' if !text.trim_matches('.').is_empty() => encoded.push('.'),
                _ => encoded.push_str(&format!("%{byte:02X}")),
            }
        }
        encoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_text() {
        let check = |text: &str, expected: &str| assert_eq!(html! { (said(text)) }.into_string(), expected);
        check("<script>alert('x')</script>&\"", "&lt;script&gt;alert('x')&lt;/script&gt;&amp;&quot;");
        check("a\u{202e}b\u{0}", "a?b?");
    }

    #[test]
    fn what_a_message_quotes_is_code() {
        let check = |text: &str, expected: &str| assert_eq!(message(text).into_string(), expected);
        check("run `a <b>` now", "run <code>a &lt;b&gt;</code> now");
        check("an odd ` one", "an odd ` one");
        check("", "");
    }

    #[test]
    fn a_name_is_one_segment_of_an_address() {
        let check = |namespace: &str, name: &str, expected: &str| {
            assert_eq!(address(&ReleaseId { namespace: namespace.into(), name: name.into() }), expected);
        };
        check("apps", "web-1.2", "/release/apps/web-1.2");
        check("..", "a/../../enter?token=\"x", "/release/%2E%2E/a%2F..%2F..%2Fenter%3Ftoken%3D%22x");
    }

    #[test]
    fn numbers_are_easy_to_read() {
        let check =
            |count: usize, expected: &str| assert_eq!(counted(count, "release", "releases"), expected);
        check(0, "0 releases");
        check(1, "1 release");
        check(999, "999 releases");
        check(10_000, "10,000 releases");
        check(1_234_567, "1,234,567 releases");
    }
}
