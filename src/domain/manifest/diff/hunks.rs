//! Lines to hunks, as `diff -u` writes them, within limits: neither the time nor
//! the output grows with the size of a ConfigMap.

use std::fmt::Write;
use std::ops::Range;

use sha2::{Digest, Sha256};
use similar::{Algorithm, DiffOp, capture_diff_slices, group_diff_ops};

/// Lines around a difference.
const CONTEXT: usize = 3;
/// Most lines, between the common beginning and end of both texts, that are compared
/// one by one; with more lines, the whole middle counts as replaced.
const MAX_COMPARED: usize = 20_000;
/// Most lines of one object's hunks that are shown.
const MAX_SHOWN: usize = 10_000;
/// Most bytes of a line that are shown.
const MAX_LINE_BYTES: usize = 1_000;
/// Hex digits that distinguish the rest of one long line from that of another.
const REST_DIGITS: usize = 12;

/// The hunks between two texts; empty when they are equal.
pub(super) fn between(before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let mut hunks = Hunks { text: String::new(), lines: 0 };
    for group in group_diff_ops(operations(&old, &new), CONTEXT) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let whole = |range: fn(&DiffOp) -> Range<usize>| range(first).start..range(last).end;
        hunks.head(&whole(DiffOp::old_range), &whole(DiffOp::new_range));
        for operation in &group {
            let (from, to) = (operation.old_range(), operation.new_range());
            if let DiffOp::Equal { .. } = operation {
                hunks.lines(' ', &old, from);
            } else {
                hunks.lines('-', &old, from);
                hunks.lines('+', &new, to);
            }
        }
    }
    hunks.finish()
}

fn operations(old: &[&str], new: &[&str]) -> Vec<DiffOp> {
    let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[start..], &new[start..]);
    let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old_len, new_len) = (old_rest.len() - end, new_rest.len() - end);
    if old_len.max(new_len) <= MAX_COMPARED {
        return capture_diff_slices(Algorithm::Myers, old, new);
    }
    let replaced = DiffOp::Replace { old_index: start, old_len, new_index: start, new_len };
    let equal = |old_index, new_index, len| DiffOp::Equal { old_index, new_index, len };
    let all = [equal(0, 0, start), replaced, equal(start + old_len, start + new_len, end)];
    all.into_iter().filter(|op| !op.old_range().is_empty() || !op.new_range().is_empty()).collect()
}

struct Hunks {
    text: String,
    lines: usize,
}

impl Hunks {
    fn head(&mut self, old: &Range<usize>, new: &Range<usize>) {
        if self.lines < MAX_SHOWN {
            self.text.push_str(&format!("@@ -{} +{} @@\n", place(old), place(new)));
        }
    }

    fn lines(&mut self, sign: char, lines: &[&str], range: Range<usize>) {
        for line in lines.get(range).unwrap_or_default() {
            self.lines += 1;
            if self.lines > MAX_SHOWN {
                continue;
            }
            self.text.push(sign);
            push_line(&mut self.text, line);
        }
    }

    fn finish(mut self) -> String {
        if let Some(more) = self.lines.checked_sub(MAX_SHOWN).filter(|more| *more > 0) {
            // As diff marks a line that belongs to neither side.
            self.text.push_str(&format!("\\ {more} more lines\n"));
        }
        self.text
    }
}

/// `first line,lines`, from 1, as in POSIX: one line needs no count, and an empty
/// range has the number of the line before it.
fn place(range: &Range<usize>) -> String {
    match range.len() {
        0 => format!("{},0", range.start),
        1 => (range.start + 1).to_string(),
        len => format!("{},{len}", range.start + 1),
    }
}

/// The line, or its beginning and a hash of its rest.
fn push_line(text: &mut String, line: &str) {
    let mut cut = line.len().min(MAX_LINE_BYTES);
    while !line.is_char_boundary(cut) {
        cut -= 1;
    }
    let (shown, rest) = line.split_at(cut);
    text.push_str(shown);
    if !rest.is_empty() {
        let mut hash = hex::encode(Sha256::digest(rest));
        hash.truncate(REST_DIGITS);
        // Writing to a string does not fail.
        let _ = write!(text, "… ({} more bytes, sha256 {hash})", rest.len());
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(range: Range<usize>) -> String {
        range.map(|n| format!("{n}\n")).collect()
    }

    #[test]
    fn hunks_are_those_of_diff_u() {
        let check = |before: &str, after: &str, expected: &str| {
            assert_eq!(between(before, after), expected, "{before:?} {after:?}");
        };
        check("", "", "");
        check("a\n", "a\n", "");
        check("a\n", "b\n", "@@ -1 +1 @@\n-a\n+b\n");
        check("", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n");
        check("a\nb\n", "a\n", "@@ -1,2 +1 @@\n a\n-b\n");
        let changed = numbers(0..30).replace("\n5\n", "\nfive\n").replace("\n25\n", "\n");
        check(
            &numbers(0..30),
            &changed,
            "@@ -3,7 +3,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n@@ -23,7 +23,6 @@\n 22\n 23\n 24\n-25\n 26\n 27\n 28\n",
        );
    }

    #[test]
    fn what_is_too_long_is_cut_and_still_distinguished() {
        let (one, two) = ("x".repeat(5 << 20), format!("{}y", "x".repeat((5 << 20) - 1)));
        let shown = between(&one, &two);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].len() < 1_100 && lines[1][1..] != lines[2][1..], "{shown}");
        let umlauts = between("", &"ä".repeat(1_000));
        assert!(umlauts.contains("… (1000 more bytes"), "{umlauts}");
    }

    #[test]
    fn huge_texts_take_neither_long_nor_much() {
        // Nothing in common but their ends; then everything in common but the order.
        let (old, new) =
            (format!("a\n{}z\n", numbers(0..400_000)), format!("a\n{}z\n", numbers(400_000..900_000)));
        let shown = between(&old, &new);
        assert!(shown.starts_with("@@ -1,400002 +1,500002 @@\n a\n-0\n"), "{}", &shown[..60]);
        assert!(shown.ends_with("\\ 890002 more lines\n"), "{}", &shown[shown.len() - 40..]);
        let shuffled: String = (0..MAX_COMPARED).map(|n| format!("{}\n", n * 7_919 % MAX_COMPARED)).collect();
        assert!(between(&numbers(0..MAX_COMPARED), &shuffled).lines().count() <= MAX_SHOWN + 10_000);
    }
}
