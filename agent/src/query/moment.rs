//! Moments as people write them, in the formats of `docker logs`.

use jiff::{Timestamp, Zoned, civil::DateTime, tz::TimeZone};

use crate::clock;

/// A text that names no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no moment: use a duration before now such as 10m or 1h30m, a time such as 2026-11-24T14:12:00Z, 2026-11-24T14:12:00 or 2026-11-24, or seconds since 1970"
)]
pub struct MomentError(pub String);

/// Reads a moment: how long ago, a time with or without zone, a date, or seconds since the
/// epoch. Returns nanoseconds since the Unix epoch.
pub fn parse(text: &str) -> Result<u64, MomentError> {
    parse_at(text, clock::now_ns(), &TimeZone::system())
}

fn parse_at(text: &str, now_ns: u64, zone: &TimeZone) -> Result<u64, MomentError> {
    let text = text.trim();
    seconds(text)
        .or_else(|| ago(text).map(|ago| now_ns.saturating_sub(ago)))
        .or_else(|| zoned(text, zone))
        .ok_or_else(|| MomentError(text.to_owned()))
}

/// `1764000000` or `1764000000.123456789`
fn seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 9 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let fraction: u64 = format!("{fraction:0<9}").parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(fraction)
}

/// Nanoseconds of `90s`, `10m`, `1h30m`, `2d`; none where it is no duration.
pub fn duration(text: &str) -> Option<u64> {
    ago(text.trim())
}

/// `90s`, `10m`, `1h30m`, `2d`
fn ago(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|it: char| !it.is_ascii_digit() && it != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_len = rest.find(|it: char| it.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..unit_len] {
            "ns" => 1.0,
            "us" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "d" => 86400e9,
            "w" => 7.0 * 86400e9,
            _ => return None,
        };
        total = total.checked_add((number * unit) as u64)?;
        rest = &rest[unit_len..];
    }
    (!text.is_empty()).then_some(total)
}

fn zoned(text: &str, zone: &TimeZone) -> Option<u64> {
    let timestamp = text.parse::<Timestamp>().ok().or_else(|| {
        let zoned = text.parse::<Zoned>().ok().or_else(|| {
            let local: DateTime = text.parse().ok()?;
            local.to_zoned(zone.clone()).ok()
        })?;
        Some(zoned.timestamp())
    })?;
    u64::try_from(timestamp.as_nanosecond()).ok()
}

/// A moment as [`rfc3339`] writes it, in nanoseconds since the Unix epoch.
pub fn of_rfc3339(text: &str) -> Option<u64> {
    u64::try_from(text.parse::<Timestamp>().ok()?.as_nanosecond()).ok()
}

/// `2026-11-24T14:12:00.123456789Z`
pub fn rfc3339(ns: u64) -> String {
    let timestamp = Timestamp::from_nanosecond(i128::from(ns)).unwrap_or(Timestamp::MAX);
    format!("{timestamp:.9}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_764_000_000_000_000_000;
    const HOUR: u64 = 3_600_000_000_000;

    fn parsed(text: &str) -> Result<u64, MomentError> {
        parse_at(text, NOW, &TimeZone::fixed(jiff::tz::offset(2)))
    }

    #[test]
    fn every_format_of_docker_logs_is_read() {
        for (text, moment) in [
            ("10m", NOW - HOUR / 6),
            ("1h30m", NOW - HOUR / 2 * 3),
            ("2h", NOW - 2 * HOUR),
            ("1.5h", NOW - HOUR / 2 * 3),
            ("0s", NOW),
            ("1764000000", NOW),
            ("1764000000.5", NOW + 500_000_000),
            ("1764000000.000000001", NOW + 1),
            ("2025-11-24T16:00:00Z", NOW),
            ("2025-11-24T16:00:00.25Z", NOW + 250_000_000),
            ("2025-11-24T17:00:00+01:00", NOW),
            ("2025-11-24T18:00:00", NOW),
            ("2025-11-24T18:00", NOW),
            ("2025-11-24", NOW - 18 * HOUR),
        ] {
            assert_eq!(parsed(text), Ok(moment), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "m", "10x", "yesterday", "2025-13-01", "1.2.3", "-5m", "99999999999999999999"]
        {
            assert!(parsed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_have_nine_digits() {
        assert_eq!(rfc3339(NOW), "2025-11-24T16:00:00.000000000Z");
        assert_eq!(rfc3339(NOW + 120), "2025-11-24T16:00:00.000000120Z");
        let _ = rfc3339(u64::MAX);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[0-9a-zA-Z:.+-]{0,40}|.{0,40}") {
            let _ = parsed(&text);
        }
    }
}
