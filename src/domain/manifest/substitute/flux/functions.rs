//! What the operators of Flux's engine do with a value.

use super::error::OperatorFault;
use super::glob::matches;
use super::limits::FluxLimits;
use super::text::{first, lower, mapped, runes, upper};

/// Applies an operator to a value.
///
/// # Errors
/// The engine of Flux would fail, or it costs too much.
pub(super) fn apply(
    operator: &str,
    value: &[u8],
    arguments: &[Vec<u8>],
    limits: &mut FluxLimits,
) -> Result<Vec<u8>, OperatorFault> {
    // These look at all of a value, whatever is left of it.
    let looks = matches!(operator, "^^" | ",," | "/" | "//" | "/#" | "/%" | "%" | "%%");
    if looks && !limits.step(value.len() / 8) {
        return Err(OperatorFault::TooExpensive);
    }
    match (operator, arguments) {
        (",", _) => Ok(first_mapped(value, lower)),
        (",,", _) => Ok(all_mapped(value, lower)),
        ("^", _) => Ok(first_mapped(value, upper)),
        ("^^", _) => Ok(all_mapped(value, upper)),
        ("#", []) => Ok(value.len().to_string().into_bytes()),
        ("#", [pattern, ..]) => shortest(value, pattern, limits),
        ("##", [pattern, ..]) => longest(value, pattern, limits),
        ("%", [pattern, ..]) => reversed(value, pattern, limits, shortest),
        ("%%", [pattern, ..]) => reversed(value, pattern, limits, longest),
        (":", _) => part(value, arguments),
        ("/#", [text, other]) if value.starts_with(text) => replaced(value, text, other, 1, limits),
        ("/%", [text, other]) if value.ends_with(text) => {
            Ok([&value[..value.len() - text.len()], other].concat())
        }
        ("/", [text]) => replaced(value, text, b"", 1, limits),
        ("/", [text, other, ..]) => replaced(value, text, other, 1, limits),
        ("//", [text]) => replaced(value, text, b"", usize::MAX, limits),
        ("//", [text, other, ..]) => replaced(value, text, other, usize::MAX, limits),
        ("##" | "%" | "%%" | "/#" | "/%" | "/" | "//", _) => Ok(value.to_vec()),
        // The default, also for the operators that mean something else in a shell.
        _ if value.is_empty() => Ok(arguments.concat()),
        _ => Ok(value.to_vec()),
    }
}

fn first_mapped(value: &[u8], map: impl Fn(char) -> char) -> Vec<u8> {
    let Some((rune, width)) = first(value) else { return Vec::new() };
    let mut out = map(rune).to_string().into_bytes();
    out.extend_from_slice(&value[width..]);
    out
}

fn all_mapped(value: &[u8], map: impl Fn(char) -> char) -> Vec<u8> {
    mapped(value, map)
}

/// `strconv.Atoi`.
fn number(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok())?
}

/// Bytes from an offset, which counts from the end if it is negative. So does a negative length.
fn part(value: &[u8], arguments: &[Vec<u8>]) -> Result<Vec<u8>, OperatorFault> {
    let Some(mut from) = arguments.first().and_then(|text| number(text)) else { return Ok(value.to_vec()) };
    let length = i64::try_from(value.len()).unwrap_or(i64::MAX);
    if from < 0 {
        from = (length + from).max(0);
    }
    let slice = |from: i64, to: i64| {
        let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
        range.and_then(|(from, to)| value.get(from..to)).map(<[u8]>::to_vec)
    };
    let to = match arguments.get(1).map(|text| number(text)) {
        None => length,
        Some(None) => return Ok(value.to_vec()),
        Some(Some(count)) if count < 0 => {
            return Ok(slice(from, length.saturating_add(count)).unwrap_or_default());
        }
        Some(Some(count)) => from.wrapping_add(count),
    };
    if to >= length {
        return Ok(slice(from, length).unwrap_or_default());
    }
    slice(from, to).ok_or(OperatorFault::Panic)
}

/// `strings.Replace`.
fn replaced(
    value: &[u8],
    text: &[u8],
    other: &[u8],
    most: usize,
    limits: &mut FluxLimits,
) -> Result<Vec<u8>, OperatorFault> {
    let mut out = Vec::with_capacity(value.len());
    let (mut rest, mut count) = (value, 0);
    while count < most {
        let (before, after) = match text {
            // Between all runes.
            [] if count == 0 => (&[][..], rest),
            [] => match first(rest) {
                Some((_, width)) => rest.split_at(width),
                None => break,
            },
            _ => match find(rest, text, limits)? {
                Some(at) => (&rest[..at], &rest[at + text.len()..]),
                None => break,
            },
        };
        if !limits.write(before.len() + other.len()) {
            return Err(OperatorFault::TooLarge);
        }
        out.extend_from_slice(before);
        out.extend_from_slice(other);
        rest = after;
        count += 1;
    }
    out.extend_from_slice(rest);
    Ok(out)
}

/// Where a text is in a value.
fn find(value: &[u8], text: &[u8], limits: &mut FluxLimits) -> Result<Option<usize>, OperatorFault> {
    if let (Ok(value), Ok(text)) = (std::str::from_utf8(value), std::str::from_utf8(text)) {
        return Ok(value.find(text));
    }
    match limits.step(value.len().saturating_mul(text.len())) {
        true => Ok(value.windows(text.len()).position(|window| window == text)),
        false => Err(OperatorFault::TooExpensive),
    }
}

/// Without the shortest beginning that matches.
fn shortest(value: &[u8], pattern: &[u8], limits: &mut FluxLimits) -> Result<Vec<u8>, OperatorFault> {
    let mut found = 0;
    for end in (1..=value.len()).rev() {
        match matches(pattern, &value[..end], limits)? {
            None => return Ok(value.to_vec()),
            Some(true) => found = end,
            Some(false) => {}
        }
    }
    Ok(value[found..].to_vec())
}

/// Without the longest beginning that matches.
fn longest(value: &[u8], pattern: &[u8], limits: &mut FluxLimits) -> Result<Vec<u8>, OperatorFault> {
    for end in (1..=value.len()).rev() {
        match matches(pattern, &value[..end], limits)? {
            None => return Ok(value.to_vec()),
            Some(true) => return Ok(value[end..].to_vec()),
            Some(false) => {}
        }
    }
    Ok(value.to_vec())
}

type Trim = fn(&[u8], &[u8], &mut FluxLimits) -> Result<Vec<u8>, OperatorFault>;

/// The same from the end, as the engine does it: with value and pattern reversed.
fn reversed(
    value: &[u8],
    pattern: &[u8],
    limits: &mut FluxLimits,
    trim: Trim,
) -> Result<Vec<u8>, OperatorFault> {
    Ok(reverse(&trim(&reverse(value), &reverse(pattern), limits)?))
}

fn reverse(text: &[u8]) -> Vec<u8> {
    let mut runes: Vec<char> = runes(text).collect();
    runes.reverse();
    runes.into_iter().collect::<String>().into_bytes()
}
