//! Parts of times and durations, in UTC unless the expression says otherwise.

use jiff::tz::{Offset, TimeZone};

use crate::domain::expression::error::EvaluationError;
use crate::domain::expression::value::CelValue;

pub(super) fn call<'a>(name: &str, values: &[CelValue<'a>]) -> Result<Option<CelValue<'a>>, EvaluationError> {
    let (time, zone) = match values {
        [CelValue::Duration(span)] => {
            let part = match name {
                "getHours" => span.as_hours(),
                "getMinutes" => span.as_mins(),
                "getSeconds" => span.as_secs(),
                "getMilliseconds" => i64::from(span.subsec_millis()),
                _ => return Ok(None),
            };
            return Ok(Some(CelValue::Int(part)));
        }
        [CelValue::Time(time)] => (time, TimeZone::UTC),
        [CelValue::Time(time), CelValue::Text(zone)] => (time, zone_named(zone.as_str())?),
        _ => return Ok(None),
    };
    let time = time.to_zoned(zone);
    let part = match name {
        "getFullYear" => i64::from(time.year()),
        "getMonth" => i64::from(time.month()) - 1,
        "getDate" => i64::from(time.day()),
        "getDayOfMonth" => i64::from(time.day()) - 1,
        "getDayOfWeek" => i64::from(time.weekday().to_sunday_zero_offset()),
        "getDayOfYear" => i64::from(time.day_of_year()) - 1,
        "getHours" => i64::from(time.hour()),
        "getMinutes" => i64::from(time.minute()),
        "getSeconds" => i64::from(time.second()),
        "getMilliseconds" => i64::from(time.millisecond()),
        _ => return Ok(None),
    };
    Ok(Some(CelValue::Int(part)))
}

/// A time zone: UTC, or an offset such as `+02:00`. Names of places change their offset with
/// the tables of the machine.
fn zone_named(name: &str) -> Result<TimeZone, EvaluationError> {
    let offset = || {
        let (sign, rest) = match name.split_at_checked(1)? {
            ("-", rest) => (-1, rest),
            ("+", rest) => (1, rest),
            _ => (1, name),
        };
        let (hours, minutes) = rest.split_once(':')?;
        let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
        let is_valid = (0..24).contains(&hours) && (0..60).contains(&minutes);
        Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok().filter(|_| is_valid)
    };
    match name {
        "UTC" | "" => Ok(TimeZone::UTC),
        _ => offset().map(TimeZone::fixed).ok_or_else(|| {
            EvaluationError::Invalid(format!("the time zone {name} is not UTC or an offset such as +02:00"))
        }),
    }
}
