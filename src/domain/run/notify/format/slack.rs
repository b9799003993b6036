//! Messages in the format of Slack's incoming webhooks, which Mattermost, Rocket.Chat and Discord (at
//! `/slack`) take, too.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::domain::message::{List, and_more};
use crate::domain::run::notify::news::{News, cut};
use crate::domain::run::notify::situation::NewsKind;
use crate::domain::run::notify::template::Template;

/// How many releases a message names.
const MOST_NAMED: usize = 20;
/// The longest message of a release among others, in bytes.
const SHORT_BYTES: usize = 200;
/// The longest text, in bytes: the shortest limit of those that take this format.
const MAX_TEXT_BYTES: usize = 3900;

/// The message about these.
pub fn message(news: &[&News], template: Option<&Template>) -> Value {
    let one = |news: &News, most: usize| match template {
        Some(template) => template.fill(news, escape),
        None => line(news, most),
    };
    let text = match news {
        [only] => one(only, usize::MAX),
        news => {
            let mut worst: Vec<&&News> = news.iter().collect();
            worst.sort_by_key(|news| std::cmp::Reverse(news.kind.severity()));
            let lines: Vec<String> =
                worst.iter().take(MOST_NAMED).map(|news| one(news, SHORT_BYTES)).collect();
            let more = news.len().saturating_sub(MOST_NAMED);
            let lines: Vec<String> = lines.into_iter().chain(and_more(more)).collect();
            format!("*{}*\n{}", summary(news), lines.join("\n"))
        }
    };
    json!({ "text": cut(&text, MAX_TEXT_BYTES) })
}

/// `3 releases: 2 Failed, 1 Recovered`.
fn summary(news: &[&News]) -> String {
    let mut counts: BTreeMap<NewsKind, usize> = BTreeMap::new();
    for one in news {
        *counts.entry(one.kind).or_default() += 1;
    }
    let counts = counts.iter().rev().map(|(kind, count)| format!("{count} {}", kind.as_str()));
    let cluster = news.first().and_then(|one| one.cluster.as_deref());
    let place = cluster.map(|cluster| format!("{}: ", escape(cluster))).unwrap_or_default();
    format!("{place}{} notifications: {}", news.len(), List::Names.few(counts, NewsKind::ALL.len()))
}

fn line(news: &News, most: usize) -> String {
    let mark = match news.kind {
        kind if kind.is_good() => "✅",
        NewsKind::ApprovalRequired => "✋",
        NewsKind::Drifted => "⚠️",
        _ => "❌",
    };
    let cluster =
        news.cluster.as_deref().map(|cluster| format!(" ({})", escape(cluster))).unwrap_or_default();
    let revision = news.revision.as_deref().map(crate::domain::artifact::digest::shortened);
    let revision = revision.map(|revision| format!(" `{}`", escape(&revision))).unwrap_or_default();
    let said = match news.kind {
        NewsKind::Succeeded | NewsKind::Recovered => String::new(),
        _ => format!("\n{}: {}", escape(&news.reason), escape(&cut(&news.message, most))),
    };
    format!("{mark} *{}*{cluster}{revision}{said}", escape(&news.headline()))
}

/// Nothing in the text is a link, a mention or formatting of its own: what a publisher wrote must not call
/// a whole channel.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // Mattermost and Discord read names behind it.
            '@' => escaped.push_str("@\u{200b}"),
            '`' => escaped.push('\''),
            // The other ones change the direction of the text, or are not shown.
            c if c.is_control() && c != '\n' || is_bidi(c) => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::notify::news::tests::news;

    fn text(news: &[&News], template: Option<&str>) -> String {
        let template = template.map(|text| Template::parse(text).unwrap());
        message(news, template.as_ref())["text"].as_str().unwrap().to_owned()
    }

    #[test]
    fn one_release_is_shown_whole() {
        let expected = "❌ *web in apps has failed* (prod) `1.0@\u{200b}sha256:a`\nApplyFailed: Deployment/apps/web: refused";
        assert_eq!(text(&[&news()], None), expected);
        assert_eq!(text(&[&news()], Some("{outcome}: {name}")), "Failed: web");
        let good = News { kind: NewsKind::Succeeded, cluster: None, ..news() };
        assert_eq!(text(&[&good], None), "✅ *web in apps is applied* `1.0@\u{200b}sha256:a`");
    }

    #[test]
    fn what_a_publisher_says_calls_nobody_and_formats_nothing() {
        let check = |message: &str, expected: &str| {
            let shown = text(&[&News { message: message.into(), ..news() }], Some("{message}"));
            assert_eq!(shown, expected);
        };
        check(
            "<!channel> & <https://evil.example|click>",
            "&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;",
        );
        check("@everyone", "@\u{200b}everyone");
        check("```x\u{202e}\u{7}", "'''x  ");
    }

    #[test]
    fn ten_thousand_failures_are_one_message() {
        let many: Vec<News> = (0..10_000)
            .map(|n| News {
                kind: if n < 3 { NewsKind::Recovered } else { NewsKind::Failed },
                message: "é".repeat(1000),
                ..news()
            })
            .collect();
        let many: Vec<&News> = many.iter().collect();
        let shown = text(&many, Some("{outcome}"));
        let head = "*prod: 10000 notifications: 9997 Failed, 3 Recovered*\nFailed\nFailed\n";
        assert!(shown.starts_with(head) && shown.ends_with("\nand 9980 more"), "{shown}");
        assert_eq!(shown.lines().count(), 22);
        assert!(text(&many, None).len() <= MAX_TEXT_BYTES);
    }
}
