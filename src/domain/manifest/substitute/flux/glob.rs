//! Patterns of Flux's engine: Go's `path.Match`, except that `*` takes a slash, too, and that a `*` at
//! the end takes everything.

use super::error::OperatorFault;
use super::limits::FluxLimits;
use super::text::{REPLACEMENT, first};

/// Whether the whole text matches; `None` when the pattern is malformed.
pub(super) fn matches(
    pattern: &[u8],
    text: &[u8],
    limits: &mut FluxLimits,
) -> Result<Option<bool>, OperatorFault> {
    let (mut pattern, mut text) = (pattern, text);
    'next: while !pattern.is_empty() {
        let (star, chunk, rest) = chunk(pattern);
        pattern = rest;
        if star && chunk.is_empty() {
            return Ok(Some(true));
        }
        match at_start(chunk, text, limits)? {
            Chunk::Rest(left) if left.is_empty() || !pattern.is_empty() => {
                text = left;
                continue;
            }
            Chunk::Malformed => return Ok(None),
            Chunk::Rest(_) | Chunk::No => {}
        }
        if star {
            for at in 1..=text.len() {
                match at_start(chunk, &text[at..], limits)? {
                    Chunk::Rest(left) if !pattern.is_empty() || left.is_empty() => {
                        text = left;
                        continue 'next;
                    }
                    Chunk::Malformed => return Ok(None),
                    Chunk::Rest(_) | Chunk::No => {}
                }
            }
        }
        return Ok(Some(false));
    }
    Ok(Some(text.is_empty()))
}

/// The next part of a pattern without `*`, whether one is before it, and what follows.
fn chunk(pattern: &[u8]) -> (bool, &[u8], &[u8]) {
    let stars = pattern.iter().take_while(|byte| **byte == b'*').count();
    let pattern = &pattern[stars..];
    let (mut in_range, mut at) = (false, 0);
    while at < pattern.len() {
        match pattern[at] {
            b'\\' if at + 1 < pattern.len() => at += 1,
            b'[' => in_range = true,
            b']' => in_range = false,
            b'*' if !in_range => break,
            _ => {}
        }
        at += 1;
    }
    (stars > 0, &pattern[..at], &pattern[at..])
}

/// What a part of a pattern does with the beginning of a text.
enum Chunk<'t> {
    Rest(&'t [u8]),
    No,
    Malformed,
}

fn at_start<'t>(chunk: &[u8], text: &'t [u8], limits: &mut FluxLimits) -> Result<Chunk<'t>, OperatorFault> {
    let (mut chunk, mut text) = (chunk, text);
    loop {
        if !limits.step(1) {
            return Err(OperatorFault::TooExpensive);
        }
        let (Some(&byte), Some((rune, width))) = (chunk.first(), first(text)) else {
            return Ok(if chunk.is_empty() { Chunk::Rest(text) } else { Chunk::No });
        };
        match byte {
            b'[' => {
                text = &text[width..];
                match class(&chunk[1..], rune) {
                    None => return Ok(Chunk::Malformed),
                    Some((false, _)) => return Ok(Chunk::No),
                    Some((true, rest)) => chunk = rest,
                }
                continue;
            }
            b'?' => {
                (text, chunk) = (&text[width..], &chunk[1..]);
                continue;
            }
            b'\\' => {
                chunk = &chunk[1..];
                if chunk.is_empty() {
                    return Ok(Chunk::Malformed);
                }
            }
            _ => {}
        }
        if chunk.first() != text.first() {
            return Ok(Chunk::No);
        }
        (text, chunk) = (&text[1..], &chunk[1..]);
    }
}

/// Whether a class has a rune, and what follows the class; `None` when it is malformed.
fn class(chunk: &[u8], rune: char) -> Option<(bool, &[u8])> {
    let (negated, mut chunk) = match chunk.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, chunk),
    };
    let (mut found, mut ranges) = (false, 0);
    loop {
        if let Some(rest) = chunk.strip_prefix(b"]").filter(|_| ranges > 0) {
            return Some((found != negated, rest));
        }
        let (low, rest) = member(chunk)?;
        let (high, rest) = match rest.strip_prefix(b"-") {
            Some(rest) => member(rest)?,
            None => (low, rest),
        };
        found |= (low..=high).contains(&rune);
        (chunk, ranges) = (rest, ranges + 1);
    }
}

/// A rune of a class, which may be escaped; something has to follow it.
fn member(chunk: &[u8]) -> Option<(char, &[u8])> {
    if chunk.is_empty() || matches!(chunk[0], b'-' | b']') {
        return None;
    }
    let chunk = chunk.strip_prefix(b"\\").unwrap_or(chunk);
    let (rune, width) = first(chunk)?;
    let rest = &chunk[width..];
    let is_malformed = rest.is_empty() || rune == REPLACEMENT && width == 1;
    (!is_malformed).then_some((rune, rest))
}
