//! The picture of a terminal, out of what commands have printed: an SVG that needs no font and no
//! script of others.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use regex::Regex;

/// Characters in a line.
const COLUMNS: usize = 118;
/// Of a line and of a character, in pixels.
const LINE: usize = 18;
const WIDTH: f64 = 7.83;
/// What is left free around the text.
const MARGIN: usize = 18;
/// The commands that are shown, by how they begin, and whether with their output.
const SHOWN: &[(&str, bool)] = &[
    ("helm install", false),
    ("supercargo push artifact", true),
    ("kubectl -n hello wait", true),
    ("supercargo status", true),
    ("sed \"s|from", false),
    ("supercargo reconcile", true),
    ("supercargo history", true),
];

/// A line of text in pieces of one colour.
type Pieces = Vec<(String, Option<&'static str>)>;

/// Writes the picture where `UPDATE_PICTURE` is set; else it has to show what was printed now.
#[track_caller]
pub fn check(path: &Path, printed: &[(String, String)]) {
    let drawn = draw(&lines(printed));
    if std::env::var_os("UPDATE_PICTURE").is_some() {
        fs::write(path, drawn).expect("write the picture");
        return;
    }
    let present = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        alike(&drawn),
        alike(&present),
        "{} shows something else than the commands print; `make picture` draws it anew",
        path.display()
    );
}

/// The words of a picture, without what is another in every run.
fn alike(picture: &str) -> Vec<String> {
    let tags = Regex::new("<[^>]*>").expect("a pattern");
    let digests = Regex::new("[0-9a-f]{12,64}").expect("a pattern");
    let ages = Regex::new(r"\b\d+(ms|s|m)?\b").expect("a pattern");
    let text = tags.replace_all(picture, " ");
    let text = digests.replace_all(&text, "DIGEST");
    ages.replace_all(&text, "N").split_whitespace().map(str::to_owned).collect()
}

fn lines(printed: &[(String, String)]) -> Vec<Pieces> {
    let mut lines = Vec::new();
    for (command, output) in printed {
        let Some((_, with_output)) = SHOWN.iter().find(|(begin, _)| command.starts_with(begin)) else {
            continue;
        };
        if !lines.is_empty() {
            lines.push(Vec::new());
        }
        for (n, part) in words(command).into_iter().enumerate() {
            let prompt = if n == 0 { "$ " } else { "    " };
            lines.push(vec![(prompt.to_owned(), Some("#7ee787")), (part, Some("#f0f6fc"))]);
        }
        for line in output.lines().filter(|_| *with_output) {
            lines.extend(wrapped(&coloured(line)));
        }
    }
    lines
}

/// A command in lines that fit, as a person would write them.
fn words(command: &str) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in command.split(' ') {
        let last = lines.last_mut().expect("a line");
        if !last.is_empty() && last.len() + word.len() + 6 > COLUMNS {
            last.push_str(" \\");
            lines.push(word.to_owned());
        } else {
            *last = format!("{last} {word}").trim_start().to_owned();
        }
    }
    lines
}

/// The pieces of a line that has escape sequences for colours.
fn coloured(line: &str) -> Pieces {
    let (mut pieces, mut colour) = (Vec::new(), None);
    for (n, part) in line.split("\u{1b}[").enumerate() {
        let text = match part.split_once('m') {
            Some((code, text)) if n > 0 => {
                colour = match code {
                    "31" => Some("#ff7b72"),
                    "32" => Some("#7ee787"),
                    "33" => Some("#e3b341"),
                    "36" => Some("#76e3ea"),
                    "1" => Some("#f0f6fc"),
                    "2" => Some("#8b949e"),
                    _ => None,
                };
                text
            }
            _ => part,
        };
        if !text.is_empty() {
            pieces.push((text.to_owned(), colour));
        }
    }
    pieces
}

/// The same in lines that fit.
fn wrapped(pieces: &[(String, Option<&'static str>)]) -> Vec<Pieces> {
    let (mut lines, mut used): (Vec<Pieces>, usize) = (vec![Vec::new()], 0);
    for (text, colour) in pieces {
        let chars: Vec<char> = text.chars().collect();
        let mut rest = chars.as_slice();
        while !rest.is_empty() {
            if used == COLUMNS {
                lines.push(Vec::new());
                used = 0;
            }
            let (now, later) = rest.split_at(rest.len().min(COLUMNS - used));
            used += now.len();
            lines.last_mut().expect("a line").push((now.iter().collect(), *colour));
            rest = later;
        }
    }
    lines
}

fn draw(lines: &[Pieces]) -> String {
    let width = MARGIN * 2 + (WIDTH * (COLUMNS + 2) as f64).ceil() as usize;
    let height = MARGIN * 3 + 16 + lines.len() * LINE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\">\n<title>A terminal</title>\n<desc>A release from its installation to its second version, as the commands of the \
         README print it.</desc>\n<rect width=\"{width}\" height=\"{height}\" rx=\"10\" fill=\"#0d1117\"/>\n"
    );
    for (n, colour) in ["#ff5f57", "#febc2e", "#28c840"].iter().enumerate() {
        writeln!(svg, "<circle cx=\"{}\" cy=\"20\" r=\"6\" fill=\"{colour}\"/>", 22 + n * 20)
            .expect("write to a string");
    }
    svg.push_str(
        "<g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"13\" \
         fill=\"#c9d1d9\" style=\"white-space:pre\">\n",
    );
    for (n, pieces) in lines.iter().enumerate().filter(|(_, pieces)| !pieces.is_empty()) {
        let y = MARGIN * 2 + 16 + n * LINE;
        write!(svg, "<text x=\"{MARGIN}\" y=\"{y}\">").expect("write to a string");
        for (text, colour) in pieces {
            let text =
                text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace(' ', "\u{a0}");
            match colour {
                Some(colour) => write!(svg, "<tspan fill=\"{colour}\">{text}</tspan>"),
                None => write!(svg, "<tspan>{text}</tspan>"),
            }
            .expect("write to a string");
        }
        svg.push_str("</text>\n");
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}
