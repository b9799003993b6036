//! Messages for chats with incoming webhooks: Slack, Mattermost and Discord.
//!
//! What a publisher wrote must not call a channel, link to anything or format anything. Slack has no sign that
//! takes the meaning from the next one, so that some characters are replaced by ones that look alike. The other
//! two have the backslash of Markdown.

use serde_json::{Value, json};

use super::text::{ChatFormat, Span, Style, lines, printable, text};
use crate::domain::run::notify::news::News;
use crate::domain::run::notify::template::Template;

/// Between two characters that must not be read together. It is not shown.
const APART: char = '\u{200b}';

/// Slack takes 40000 characters and recommends 4000; Rocket.Chat, which takes the same format, takes 5000.
const SLACK: ChatFormat = ChatFormat { escape: escape_slack, write: write_slack, most: 3900, line: 1 };
/// Mattermost takes 16383 characters, and 4000 in an old database.
const MATTERMOST: ChatFormat =
    ChatFormat { escape: escape_markdown, write: write_markdown, most: 3900, line: 1 };
/// Discord takes 2000 characters.
const DISCORD: ChatFormat =
    ChatFormat { escape: escape_markdown, write: write_markdown, most: 1990, line: 1 };

/// For an incoming webhook of Slack.
pub fn slack(news: &[&News], template: Option<&Template>) -> Value {
    json!({ "text": text(&lines(news, template, SLACK), SLACK) })
}

/// For an incoming webhook of Mattermost.
pub fn mattermost(news: &[&News], template: Option<&Template>) -> Value {
    json!({ "text": text(&lines(news, template, MATTERMOST), MATTERMOST) })
}

/// For a webhook of Discord. It mentions nobody, and shows no previews of links (flag 4).
pub fn discord(news: &[&News], template: Option<&Template>) -> Value {
    let content = text(&lines(news, template, DISCORD), DISCORD);
    json!({ "content": content, "allowed_mentions": { "parse": [] }, "flags": 4 })
}

fn write_slack(span: &Span) -> String {
    match span.style {
        Style::Plain => escape_slack(&span.text),
        Style::Bold => format!("*{}*", escape_slack(&span.text)),
        Style::Code => format!("`{}`", escape_slack(&span.text)),
        Style::Ready => span.text.clone(),
    }
}

fn write_markdown(span: &Span) -> String {
    match span.style {
        Style::Plain => escape_markdown(&span.text),
        Style::Bold => format!("**{}**", escape_markdown(&span.text)),
        // A backslash is shown there, and nothing else has a meaning.
        Style::Code => format!("`{}`", printable(&span.text).replace('`', "'")),
        Style::Ready => span.text.clone(),
    }
}

fn escape_slack(text: &str) -> String {
    escape(text, |escaped, c, place| match c {
        '&' => escaped.push_str("&amp;"),
        // A receiver that takes this format may read what is behind it once it is decoded.
        '<' => escaped.extend("&lt;".chars().chain([APART])),
        '>' if place.begins_line => escaped.push('›'),
        '>' => escaped.push_str("&gt;"),
        '*' => escaped.push('∗'),
        '~' => escaped.push('∼'),
        '_' if !place.within_word => escaped.push('＿'),
        '#' if place.begins_line => escaped.push('＃'),
        '`' => escaped.push('\''),
        // Others read links and spoilers.
        '(' if place.before == Some(']') => escaped.extend([APART, c]),
        '|' if place.before == Some('|') => escaped.extend([APART, c]),
        c => escaped.push(c),
    })
}

fn escape_markdown(text: &str) -> String {
    escape(text, |escaped, c, place| match c {
        '\\' | '`' | '*' | '_' | '|' | '[' | ']' | '!' => escaped.extend(['\\', c]),
        // Mattermost reads channels behind the first one, and tags behind the second one.
        '~' => escaped.extend(['\\', c, APART]),
        '#' => escaped.extend([c, APART]),
        '<' => escaped.extend([c, APART]),
        '>' | '-' | '+' if place.begins_line => escaped.extend(['\\', c]),
        c => escaped.push(c),
    })
}

/// Where a character is.
#[derive(Clone, Copy)]
struct Place {
    before: Option<char>,
    begins_line: bool,
    within_word: bool,
}

/// Without mentions and links, and with the other characters as `write` writes them.
fn escape(text: &str, write: impl Fn(&mut String, char, Place)) -> String {
    let text = printable(text);
    let mut escaped = String::with_capacity(text.len());
    let (mut before, mut begins_line) = (None, true);
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let after = chars.peek().map(|(_, c)| *c);
        let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let place = Place { before, begins_line, within_word: is_word(before) && is_word(after) };
        match c {
            '@' => escaped.extend([c, APART]),
            ':' if text[at..].starts_with("://") => escaped.extend([c, APART]),
            '.' if is_after_www(&text[..at]) => escaped.extend([APART, c]),
            c => write(&mut escaped, c, place),
        }
        begins_line = c == '\n' || begins_line && c.is_whitespace();
        before = Some(c);
    }
    escaped
}

fn is_after_www(text: &str) -> bool {
    text.len().checked_sub(3).and_then(|at| text.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case("www"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::and_more;
    use crate::domain::run::notify::news::tests::news;
    use crate::domain::run::notify::situation::NewsKind;

    type Format = fn(&[&News], Option<&Template>) -> Value;

    fn shown(format: Format, news: &[&News], template: Option<&str>) -> String {
        let template = template.map(|text| Template::parse(text).unwrap());
        let made = format(news, template.as_ref());
        made.get("text").or(made.get("content")).unwrap().as_str().unwrap().to_owned()
    }

    #[test]
    fn one_release_is_shown_whole() {
        let expected = "❌ *web in apps has failed* (prod) `1.0@\u{200b}sha256:a`\nApplyFailed: Deployment/apps/web: refused";
        assert_eq!(shown(slack, &[&news()], None), expected);
        assert_eq!(shown(slack, &[&news()], Some("*{outcome}*: {name}")), "*Failed*: web");
        let good = News { kind: NewsKind::Succeeded, cluster: None, ..news() };
        assert_eq!(shown(slack, &[&good], None), "✅ *web in apps is applied* `1.0@\u{200b}sha256:a`");
        for format in [mattermost as Format, discord] {
            assert_eq!(shown(format, &[&good], None), "✅ **web in apps is applied** `1.0@sha256:a`");
            assert_eq!(shown(format, &[&news()], Some("**{outcome}**")), "**Failed**");
        }
        assert_eq!(discord(&[&good], None)["allowed_mentions"], json!({"parse": []}));
    }

    #[test]
    fn what_a_publisher_says_calls_nobody_links_to_nothing_and_formats_nothing() {
        let check = |message: &str, in_slack: &str, in_markdown: &str| {
            let news = News { message: message.replace('¦', "|"), ..news() };
            for (format, expected) in
                [(slack as Format, in_slack), (mattermost, in_markdown), (discord, in_markdown)]
            {
                let expected = expected.replace('|', "\u{200b}").replace('¦', "|");
                assert_eq!(shown(format, &[&news], Some("{message}")), expected);
                let line = format!("ApplyFailed: {expected}");
                // At the beginning of a line, some characters have another meaning.
                if !message.starts_with(['#', '>', '-']) {
                    assert_eq!(shown(format, &[&news], None).split_once('\n').unwrap().1, line);
                }
            }
        };
        check("<!channel> & <#C1>", "&lt;|!channel&gt; &amp; &lt;|#C1&gt;", "<|\\!channel> & <|#|C1>");
        check("<https://e.example|x>", "&lt;|https:|//e.example¦x&gt;", "<|https:|//e.example\\¦x>");
        check("[x](http://e.example)", "[x]|(http:|//e.example)", "\\[x\\](http:|//e.example)");
        check("![x](y) WWW.e.example", "![x]|(y) WWW|.e.example", "\\!\\[x\\](y) WWW|.e.example");
        check("@everyone a@b.c", "@|everyone a@|b.c", "@|everyone a@|b.c");
        check("*a* _b_ ~c~ a_b", "∗a∗ ＿b＿ ∼c∼ a_b", "\\*a\\* \\_b\\_ \\~|c\\~| a\\_b");
        check("```x\u{202e}\u{7}`", "'''x  '", "\\`\\`\\`x  \\`");
        check("¦¦x¦¦", "¦|¦x¦|¦", "\\¦\\¦x\\¦\\¦");
        check("# a\n> b\n- c", "＃ a\n› b\n- c", "#| a\n\\> b\n\\- c");
        check("a\\*b", "a\\∗b", "a\\\\\\*b");
    }

    #[test]
    fn code_stays_code() {
        let news = News { revision: Some("1`<!here>_@sha256:a".into()), ..news() };
        assert!(shown(slack, &[&news], None).contains("`1'&lt;\u{200b}!here&gt;＿@\u{200b}sha256:a`"));
        assert!(shown(discord, &[&news], None).contains("`1'<!here>_@sha256:a`"));
    }

    #[test]
    fn ten_thousand_failures_are_one_message() {
        let many: Vec<News> = (0..10_000)
            .map(|n| News {
                kind: if n < 3 { NewsKind::Recovered } else { NewsKind::Failed },
                message: "é*".repeat(500),
                ..news()
            })
            .collect();
        let many: Vec<&News> = many.iter().collect();
        let all = shown(slack, &many, Some("{outcome}"));
        let head = "*prod: 10000 notifications: 9997 Failed, 3 Recovered*\nFailed\nFailed\n";
        assert!(all.starts_with(head) && all.ends_with("\nand 9980 more"), "{all}");
        assert_eq!(all.lines().count(), 22);
        for (format, most) in [(slack as Format, 3900), (mattermost, 3900), (discord, 1990)] {
            let all = shown(format, &many, None);
            let named = all.matches("web in apps").count();
            assert!(all.len() <= most && all.ends_with(&and_more(10_000 - named).unwrap()), "{all}");
        }
    }

    #[test]
    fn a_long_message_fits_and_is_cut_before_it_is_escaped() {
        let news = News { message: "&<".repeat(512), ..news() };
        for (format, most) in [(slack as Format, 3900), (mattermost, 3900), (discord, 1990)] {
            for template in [None, Some("{message}{message}{message}")] {
                let all = shown(format, &[&news], template);
                assert!(all.len() <= most && all.len() > most / 2, "{all}");
                // No entity is cut.
                for end in ["&a ...", "&am ...", "&amp ...", "&l ...", "&lt ..."] {
                    assert!(!all.contains(end), "{all}");
                }
            }
        }
    }
}
