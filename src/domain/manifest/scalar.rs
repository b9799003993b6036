//! What a YAML scalar means to kubectl: the rules of go-yaml v2, which are
//! those of YAML 1.1 without base 60 and timestamps, and the JSON that
//! sigs.k8s.io/yaml makes of the result.
//!
//! No message of this file quotes the scalar: it may be a secret.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Number, Value};

/// A resolved scalar.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// `null`, `~` or nothing.
    Null,
    /// `yes`, `off`, `True`, …
    Bool(bool),
    /// An integer that fits `int64`.
    Int(i64),
    /// An integer that fits only `uint64`.
    Uint(u64),
    /// Any other number.
    Float(f64),
    /// Everything else.
    Text(String),
}

const PREFIX: &str = "tag:yaml.org,2002:";

/// Resolves a scalar by its tag, or by its form if it is plain and has no tag.
///
/// # Errors
/// The text is not of the type that the tag names.
pub fn resolve(tag: Option<&str>, plain: bool, text: String) -> Result<Scalar, String> {
    let Some(tag) = tag else {
        return Ok(if plain { by_form(text) } else { Scalar::Text(text) });
    };
    let Some(short) = tag.strip_prefix(PREFIX) else { return Ok(Scalar::Text(text)) };
    match (short, by_tag(short, text)?) {
        ("bool", found @ Scalar::Bool(_))
        | ("null", found @ Scalar::Null)
        | ("int", found @ (Scalar::Int(_) | Scalar::Uint(_)))
        | ("float", found @ Scalar::Float(_)) => Ok(found),
        ("float", Scalar::Int(int)) => Ok(Scalar::Float(int as f64)),
        ("bool" | "null" | "int" | "float", _) => Err(format!("the value is not a !!{short}")),
        (_, found) => Ok(found),
    }
}

fn by_tag(short: &str, text: String) -> Result<Scalar, String> {
    match short {
        "bool" | "null" | "int" | "float" => Ok(by_form(text)),
        "timestamp" if !is_timestamp(&text) => Err("the value is not a !!timestamp".into()),
        "binary" => decode_binary(&text).map(Scalar::Text),
        _ => Ok(Scalar::Text(text)),
    }
}

/// Go's `base64.StdEncoding`: padded, line breaks ignored, stray bits allowed.
fn decode_binary(text: &str) -> Result<String, String> {
    const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical);
    let text: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let bytes = GeneralPurpose::new(&STANDARD, CONFIG)
        .decode(text)
        .map_err(|_| "the !!binary value is not base64".to_owned())?;
    // kubectl would replace what is not UTF-8 with U+FFFD, and send that.
    String::from_utf8(bytes)
        .map_err(|_| "the !!binary value is not UTF-8 text, which JSON cannot represent".to_owned())
}

fn by_form(text: String) -> Scalar {
    let found = match text.as_bytes().first() {
        None => Some(Scalar::Null),
        Some(b'~' | b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O') => word(&text),
        Some(b'.') => special_float(&text).or_else(|| dotted_float(&text)),
        Some(b'+' | b'-' | b'0'..=b'9') => special_float(&text).or_else(|| number(&text)),
        Some(_) => None,
    };
    found.unwrap_or(Scalar::Text(text))
}

fn word(text: &str) -> Option<Scalar> {
    Some(match text {
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Bool(false)
        }
        _ => return None,
    })
}

/// Whether a plain scalar is a boolean in YAML 1.1 only.
pub(super) fn is_old_bool(text: &str) -> bool {
    matches!(word(text), Some(Scalar::Bool(_)))
        && !matches!(text.as_bytes().first(), Some(b't' | b'T' | b'f' | b'F'))
}

fn special_float(text: &str) -> Option<Scalar> {
    Some(Scalar::Float(match text {
        ".nan" | ".NaN" | ".NAN" => f64::NAN,
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => f64::INFINITY,
        "-.inf" | "-.Inf" | "-.INF" => f64::NEG_INFINITY,
        _ => return None,
    }))
}

/// A float that begins with its point. Here go-yaml leaves the underscores to
/// `strconv.ParseFloat`, which takes each only between two digits.
fn dotted_float(text: &str) -> Option<Scalar> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let placed = |at: usize| bytes[at] != b'_' || (at > 0 && digit(at - 1) && digit(at + 1));
    if !(0..bytes.len()).all(placed) {
        return None;
    }
    float(&text.replace('_', ""))
}

/// An integer in any base, or a float. Underscores are ignored.
fn number(text: &str) -> Option<Scalar> {
    let cleaned;
    let plain = if text.contains('_') {
        cleaned = text.replace('_', "");
        cleaned.as_str()
    } else {
        text
    };
    integer(plain).or_else(|| float(plain)).or_else(|| signed_binary(plain))
}

/// `strconv.ParseInt` and then `ParseUint`, both with base 0.
fn integer(text: &str) -> Option<Scalar> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("+", &text[1..]),
        _ => ("", text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', _, ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // Rust's parser would accept a second sign.
    if !digits.as_bytes().first()?.is_ascii_alphanumeric() {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if sign == "-" {
        return 0_i64.checked_sub_unsigned(magnitude).map(Scalar::Int);
    }
    match i64::try_from(magnitude) {
        Ok(int) => Some(Scalar::Int(int)),
        Err(_) => sign.is_empty().then_some(Scalar::Uint(magnitude)),
    }
}

/// go-yaml reads what follows `0b` a second time, with its own sign.
fn signed_binary(text: &str) -> Option<Scalar> {
    let digits = text.strip_prefix("0b")?;
    i64::from_str_radix(digits, 2).ok().map(Scalar::Int)
}

/// The float form of YAML 1.1; one too large for 64 bits is text.
fn float(text: &str) -> Option<Scalar> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    if let Some(exponent) = exponent {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if exponent.is_empty() || !digits(exponent) {
            return None;
        }
    }
    text.parse().ok().filter(|float: &f64| float.is_finite()).map(Scalar::Float)
}

/// The four layouts of go-yaml's `parseTimestamp`.
pub(in crate::domain::manifest) fn is_timestamp(text: &str) -> bool {
    let number = |text: &str, max: u32| {
        let fits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        fits && text.parse().is_ok_and(|number: u32| number <= max)
    };
    let clock = |text: &str| {
        let (clock, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
        let parts: Vec<&str> = clock.split(':').collect();
        let whole = matches!(parts[..], [h, m, s] if number(h, 23) && number(m, 59) && number(s, 59));
        whole && !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit())
    };
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let dated = year.len() == 4
        && year.bytes().all(|byte| byte.is_ascii_digit())
        && number(month, 12)
        && number(day, 31)
        && jiff::civil::Date::new(
            year.parse().unwrap_or_default(),
            month.parse().unwrap_or_default(),
            day.parse().unwrap_or_default(),
        )
        .is_ok();
    let timed = match time {
        None => true,
        Some(time) if text[date.len()..].starts_with(' ') => clock(time),
        Some(time) => match time.strip_suffix('Z') {
            Some(time) => clock(time),
            None => time.len().checked_sub(6).filter(|at| time.is_char_boundary(*at)).is_some_and(|at| {
                let (time, zone) = time.split_at(at);
                let zone_parts = zone[1..].split_once(':');
                zone.starts_with(['+', '-'])
                    && zone_parts.is_some_and(|(h, m)| m.len() == 2 && number(h, 24) && number(m, 60))
                    && clock(time)
            }),
        },
    };
    dated && timed
}

/// A float as the JSON that reaches the API server: kubectl prints it and reads it
/// back, and what is printed without point or exponent becomes an integer.
/// `None` for NaN and the infinities.
pub fn float_to_json(float: f64) -> Option<Number> {
    if float.abs() < 1e21 && float.fract() == 0.0 {
        // By its shortest digits: the exact value of the float differs.
        let (mantissa, exponent) = shortest(&format!("{float:e}"), |digits| format!("{float:.digits$e}"));
        let digits = mantissa.replace('.', "");
        let zeros = usize::try_from(exponent).unwrap_or_default() + 1 + usize::from(float < 0.0);
        if let Ok(int) = format!("{digits:0<zeros$}").parse::<i64>() {
            return Some(int.into());
        }
    }
    Number::from_f64(float)
}

/// Mantissa and exponent of the shortest digits that read back as the float.
/// Where two are as short and as near, Go takes the even one and Rust's `{:e}`
/// does not; rounded to a number of digits, Rust does as well.
pub(in crate::domain::manifest) fn shortest(text: &str, rounded: impl Fn(usize) -> String) -> (String, i32) {
    let mantissa = text.split_once('e').map_or(text, |(mantissa, _)| mantissa);
    let digits = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let text = rounded(digits);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (mantissa.to_owned(), exponent.parse().unwrap_or_default())
}

impl Scalar {
    /// The JSON value.
    ///
    /// # Errors
    /// JSON has no NaN and no infinity.
    pub fn into_value(self) -> Result<Value, String> {
        let float = |float| {
            let number = float_to_json(float).map(Value::Number);
            number.ok_or_else(|| "the value is not a finite number, which JSON cannot represent".to_owned())
        };
        match self {
            Self::Null => Ok(Value::Null),
            Self::Bool(bool) => Ok(bool.into()),
            Self::Int(int) => Ok(int.into()),
            // What is not an int64 is a float to Kubernetes' JSON decoder.
            Self::Uint(uint) => float(uint as f64),
            Self::Float(number) => float(number),
            Self::Text(text) => Ok(text.into()),
        }
    }

    /// The key that sigs.k8s.io/yaml makes of it.
    ///
    /// # Errors
    /// Null, and integers that do not fit `int64`, cannot be keys.
    pub fn into_key(self) -> Result<String, String> {
        match self {
            Self::Null => Err("a key must not be null".into()),
            Self::Bool(bool) => Ok(bool.to_string()),
            Self::Int(int) => Ok(int.to_string()),
            Self::Uint(_) => Err("a key is an integer that does not fit in 64 bits".into()),
            Self::Float(float) => Ok(float_key(float)),
            Self::Text(text) => Ok(text),
        }
    }
}

/// Go's `FormatFloat(f, 'g', -1, 32)`: the shortest digits of a *32-bit* float,
/// with an exponent below 1e-4 and from 1e6 on.
fn float_key(float: f64) -> String {
    let float = float as f32;
    if float.is_nan() {
        return ".nan".into();
    }
    if float.is_infinite() {
        return if float > 0.0 { ".inf" } else { "-.inf" }.into();
    }
    let (mantissa, exponent) = shortest(&format!("{float:e}"), |digits| format!("{float:.digits$e}"));
    if (-4..6).contains(&exponent) {
        let whole = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len()) as i32;
        let decimals = usize::try_from(whole - exponent).unwrap_or_default();
        return format!("{float:.decimals$}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(tag: Option<&str>, text: &str) -> String {
        let tag = tag.map(|tag| format!("{PREFIX}{tag}"));
        match resolve(tag.as_deref(), true, text.into()).and_then(Scalar::into_value) {
            Ok(value) => value.to_string(),
            Err(_) => "error".into(),
        }
    }

    #[test]
    fn plain_scalars_are_what_kubectl_reads() {
        let check = |text: &str, expected: &str| assert_eq!(json(None, text), expected, "{text}");
        for text in ["", "~", "null", "Null", "NULL"] {
            check(text, "null");
        }
        for text in ["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"] {
            check(text, "true");
        }
        for text in ["n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"] {
            check(text, "false");
        }
        for text in ["yEs", "tRue", "nULL", "1:30", "2001-12-14", "1.2.3", "1e", "0x", "0b2", "._1", ".", "-"]
        {
            check(text, &format!("\"{text}\""));
        }
        for (text, expected) in [
            ("0644", "420"),
            ("0o644", "420"),
            ("08", "8"),
            ("00", "0"),
            ("+12", "12"),
            ("-0x10", "-16"),
            ("0b101", "5"),
            ("0b-101", "-5"),
            ("1_000", "1000"),
            ("0x_ff", "255"),
            ("1_", "1"),
            ("1e3", "1000"),
            ("1.", "1"),
            (".5_0", "0.5"),
            ("-0.0", "0"),
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("1e21", "1e+21"),
            ("1.5", "1.5"),
            ("-100.0", "-100"),
            ("9e18", "9000000000000000000"),
            ("1e19", "1e+19"),
            ("-18446744073709551.615", "-18446744073709550"),
            (".nan", "error"),
            ("-.inf", "error"),
            ("1e400", "\"1e400\""),
            ("1234e5678", "\"1234e5678\""),
            ("0e123456", "0"),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn tags_decide() {
        let check = |tag: &str, text: &str, expected: &str| {
            assert_eq!(json(Some(tag), text), expected, "{tag} {text}")
        };
        check("str", "123", "\"123\"");
        check("int", "5", "5");
        check("int", "5.0", "error");
        check("float", "3", "3");
        check("bool", "yes", "true");
        check("bool", "maybe", "error");
        check("null", "~", "null");
        check("null", "x", "error");
        check("binary", "aGk=", "\"hi\"");
        check("binary", "aG\nk=", "\"hi\"");
        check("binary", "aGk", "error");
        check("binary", "/w==", "error");
        check("timestamp", "2001-12-14", "\"2001-12-14\"");
        check("timestamp", "2001-1-1T1:2:3.5+01:00", "\"2001-1-1T1:2:3.5+01:00\"");
        check("timestamp", "2001-02-30", "error");
        check("timestamp", "soon", "error");
        check("set", "x", "\"x\"");
        assert_eq!(resolve(Some("!"), true, "12".into()), Ok(Scalar::Text("12".into())));
        assert_eq!(resolve(None, false, "12".into()), Ok(Scalar::Text("12".into())));
    }

    #[test]
    fn keys_are_strings() {
        let check = |text: &str, expected: &str| {
            let key = resolve(None, true, text.into()).and_then(Scalar::into_key);
            assert_eq!(key.unwrap_or_else(|_| "error".into()), expected, "{text}");
        };
        check("yes", "true");
        check("0644", "420");
        check("1e3", "1000");
        check("1e6", "1e+06");
        check("123456789.5", "1.2345679e+08");
        check("1e-5", "1e-05");
        check("2.5", "2.5");
        check("-392340.6259935694", "-392340.62");
        check("100000.0", "100000");
        check("0.0001", "0.0001");
        check(".inf", ".inf");
        check("~", "error");
        check("18446744073709551615", "error");
    }
}
