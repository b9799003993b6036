//! What people read of notifications in a chat, before it is written in the format of that chat.

use std::collections::BTreeMap;

use crate::domain::artifact::digest::shortened;
use crate::domain::message::{List, and_more};
use crate::domain::run::notify::news::{MAX_NEWS_BYTES, News, cut};
use crate::domain::run::notify::situation::NewsKind;
use crate::domain::run::notify::template::Template;

/// How many releases a message names.
const MOST_NAMED: usize = 20;
/// The longest message of a release among others, in bytes.
const SHORT_BYTES: usize = 200;
/// The shortest message of a release, in bytes, if its escaped text is too long.
const LEAST_BYTES: usize = 64;
/// What is kept free for the line that counts the others, in bytes.
const MORE_BYTES: usize = 48;

/// How a part of a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As text.
    Plain,
    /// Strong.
    Bold,
    /// As code.
    Code,
    /// As the administrator has written it: already in the format of the chat.
    Ready,
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The text, which may come from a publisher.
    pub text: String,
    /// How it looks.
    pub style: Style,
}

/// A chat: how it writes a line, and how much it takes.
#[derive(Clone, Copy, Debug)]
pub struct ChatFormat {
    /// Takes formatting, links and mentions out of the values in a template.
    pub escape: fn(&str) -> String,
    /// Writes a part of a line.
    pub write: fn(&Span) -> String,
    /// The longest text, in bytes.
    pub most: usize,
    /// How many bytes a line takes more than its parts.
    pub line: usize,
}

type Line = Vec<Span>;

fn span(style: Style, text: impl Into<String>) -> Span {
    Span { text: text.into(), style }
}

/// The lines about these notifications, that fit into the chat.
pub fn lines(news: &[&News], template: Option<&Template>, format: ChatFormat) -> Vec<Line> {
    let bytes = |line: &Line| line.iter().map(|span| (format.write)(span).len()).sum::<usize>() + format.line;
    let size = |lines: &[Line]| lines.iter().map(bytes).sum::<usize>();
    if let [only] = news {
        let mut most = MAX_NEWS_BYTES;
        loop {
            let lines = about(only, most, template, format);
            if size(&lines) <= format.most || most <= LEAST_BYTES {
                return lines;
            }
            most = most * 3 / 4;
        }
    }
    let mut worst: Vec<&&News> = news.iter().collect();
    worst.sort_by_key(|news| std::cmp::Reverse(news.kind.severity()));
    let mut lines = vec![vec![span(Style::Bold, summary(news))]];
    let (mut used, mut named) = (size(&lines), 0);
    for one in worst.iter().take(MOST_NAMED) {
        let next = about(one, SHORT_BYTES, template, format);
        used += size(&next);
        if used + MORE_BYTES > format.most {
            break;
        }
        lines.extend(next);
        named += 1;
    }
    lines.extend(and_more(news.len() - named).map(|more| vec![span(Style::Plain, more)]));
    lines
}

fn about(news: &News, most: usize, template: Option<&Template>, format: ChatFormat) -> Vec<Line> {
    let news = News { message: cut(&news.message, most), ..news.clone() };
    match template {
        Some(template) => {
            let text = template.fill(&news, format.escape);
            text.lines().map(|line| vec![span(Style::Ready, line)]).collect()
        }
        None => usual(&news),
    }
}

fn usual(news: &News) -> Vec<Line> {
    let mark = match news.kind {
        kind if kind.is_good() => "✅ ",
        NewsKind::ApprovalRequired => "✋ ",
        NewsKind::Drifted => "⚠️ ",
        _ => "❌ ",
    };
    let mut head = vec![span(Style::Plain, mark), span(Style::Bold, news.headline())];
    head.extend(news.cluster.as_deref().map(|cluster| span(Style::Plain, format!(" ({cluster})"))));
    if let Some(revision) = news.revision.as_deref() {
        head.extend([span(Style::Plain, " "), span(Style::Code, shortened(revision))]);
    }
    let said = match news.kind.is_good() {
        true => String::new(),
        false => format!("{}: {}", news.reason, news.message),
    };
    let said = said.lines().map(|line| vec![span(Style::Plain, line)]);
    std::iter::once(head).chain(said).collect()
}

/// `3 notifications: 2 Failed, 1 Recovered`.
fn summary(news: &[&News]) -> String {
    let mut counts: BTreeMap<NewsKind, usize> = BTreeMap::new();
    for one in news {
        *counts.entry(one.kind).or_default() += 1;
    }
    let counts = counts.iter().rev().map(|(kind, count)| format!("{count} {}", kind.as_str()));
    let cluster = news.first().and_then(|one| one.cluster.as_deref());
    let place = cluster.map(|cluster| format!("{cluster}: ")).unwrap_or_default();
    format!("{place}{} notifications: {}", news.len(), List::Names.few(counts, NewsKind::ALL.len()))
}

/// The whole text.
pub fn text(lines: &[Line], format: ChatFormat) -> String {
    let line = |line: &Line| line.iter().map(format.write).collect::<String>();
    let all: Vec<String> = lines.iter().map(line).collect();
    cut(&all.join("\n"), format.most)
}

/// The text without what changes its direction or is not shown; lines stay.
pub fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\n' || is_bidi(c) { ' ' } else { c };
    text.chars().map(shown).collect()
}

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
