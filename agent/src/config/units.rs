//! Sizes and times as people write them: `64MiB`, `200ms`.

use std::time::Duration;

/// Units of size, largest first, with their bytes.
const SIZES: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Units of time, largest first, with their nanoseconds.
const TIMES: &[(&str, u64)] = &[
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads a size; a number without unit counts bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    if let Ok(bytes) = text.parse() {
        return Some(bytes);
    }
    quantity(text, SIZES).filter(|(_, rest)| rest.is_empty()).map(|(bytes, _)| bytes)
}

/// Reads a time such as `7d` or `1h30m`; only `0` needs no unit.
pub(super) fn time(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut total, mut rest) = quantity(text, TIMES)?;
    while !rest.is_empty() {
        let (more, after) = quantity(rest, TIMES)?;
        (total, rest) = (total.checked_add(more)?, after);
    }
    Some(Duration::from_nanos(total))
}

/// Reads a whole number and its unit from the front of `text`.
fn quantity<'t>(text: &'t str, units: &[(&str, u64)]) -> Option<(u64, &'t str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let text = text[digits..].trim_start();
    let letters = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (unit, rest) = text.split_at(letters);
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    Some((number.checked_mul(*factor)?, rest))
}

/// Writes a size in the largest binary unit that divides it.
pub(super) fn show_size(bytes: u64) -> String {
    let unit = SIZES[..4].iter().find(|(_, factor)| bytes > 0 && bytes.is_multiple_of(*factor));
    unit.map_or_else(|| format!("{bytes}B"), |(name, factor)| format!("{}{name}", bytes / factor))
}

/// Writes a time in the largest unit that divides it, weeks aside.
pub(super) fn show_time(time: Duration) -> String {
    let nanoseconds = time.as_nanos() as u64;
    let unit = TIMES[1..].iter().find(|(_, factor)| nanoseconds.is_multiple_of(*factor));
    match unit {
        Some((name, factor)) if nanoseconds > 0 => format!("{}{name}", nanoseconds / factor),
        _ => "0s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_in_any_unit() {
        let cases = [("1GiB", 1 << 30), ("4 MiB", 4 << 20), ("10MB", 10_000_000), ("512", 512)];
        for (text, bytes) in cases {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "GiB", "1.5GiB", "-1", "1GiB2", "3 apples", "99999999TiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn times_read_alone_and_joined() {
        assert_eq!(time("200ms"), Some(Duration::from_millis(200)));
        assert_eq!(time("1h30m"), Some(Duration::from_mins(90)));
        assert_eq!(time("7d"), Some(Duration::from_hours(168)));
        for text in ["", "5", "ms", "1x", "1h30"] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for bytes in [0, 1, 1000, 4096, 1 << 30, (1 << 30) + 1] {
            assert_eq!(size(&show_size(bytes)), Some(bytes));
        }
        for ms in [0, 1, 999, 60_000, 604_800_000] {
            let value = Duration::from_millis(ms);
            assert_eq!(time(&show_time(value)), Some(value));
        }
    }
}
