//! Messages for a workflow of Microsoft Teams that starts when a webhook request comes: an Adaptive Card. Its
//! text is in runs, in which Markdown has no meaning.

use serde_json::{Value, json};

use super::text::{ChatFormat, Span, Style, lines, printable};
use crate::domain::run::notify::news::News;
use crate::domain::run::notify::template::Template;

/// A message of Teams has at most 28 KB, with its frame and what JSON escapes.
const TEAMS: ChatFormat =
    ChatFormat { escape: printable, write: |span| run(span).to_string(), most: 26_000, line: 64 };

/// The card about these.
pub fn card(news: &[&News], template: Option<&Template>) -> Value {
    let lines = lines(news, template, TEAMS);
    let body: Vec<Value> = lines.iter().map(|line| block(line)).collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": { "width": "Full" },
                "body": body,
            },
        }],
    })
}

fn block(line: &[Span]) -> Value {
    let inlines: Vec<Value> = line.iter().map(run).collect();
    json!({ "type": "RichTextBlock", "inlines": inlines, "spacing": "Small" })
}

fn run(span: &Span) -> Value {
    let mut run = json!({ "type": "TextRun", "text": printable(&span.text) });
    match span.style {
        Style::Bold => run["weight"] = json!("Bolder"),
        Style::Code => run["fontType"] = json!("Monospace"),
        Style::Plain | Style::Ready => {}
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::notify::news::tests::news;

    #[test]
    fn a_card_has_the_text_in_runs() {
        let news = News { message: "**a** [x](http://e.example)\n<at>b</at>\u{202e}".into(), ..news() };
        let made = card(&[&news], None);
        assert_eq!(made["type"], "message");
        let attachment = &made["attachments"][0];
        assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
        assert_eq!(attachment["content"]["type"], "AdaptiveCard");
        let body = attachment["content"]["body"].as_array().unwrap();
        let texts: Vec<String> = body
            .iter()
            .map(|block| {
                // Nothing else may be in it: a block of the type TextBlock reads Markdown.
                assert_eq!(block["type"], "RichTextBlock");
                let runs = block["inlines"].as_array().unwrap();
                runs.iter().map(|run| run["text"].as_str().unwrap()).collect()
            })
            .collect();
        let expected = [
            "❌ web in apps has failed (prod) 1.0@sha256:a",
            "ApplyFailed: **a** [x](http://e.example)",
            "<at>b</at> ",
        ];
        assert_eq!(texts, expected);
        assert_eq!(body[0]["inlines"][1]["weight"], "Bolder");
    }

    #[test]
    fn a_card_fits() {
        let many: Vec<News> = (0..1000).map(|_| News { message: "\"\\é".repeat(300), ..news() }).collect();
        let many: Vec<&News> = many.iter().collect();
        assert!(card(&many, None).to_string().len() <= 28_000);
        for message in ["\"\\é".repeat(300), "a\n".repeat(512)] {
            let news = News { message, ..news() };
            assert!(card(&[&news], None).to_string().len() <= 28_000);
        }
    }
}
