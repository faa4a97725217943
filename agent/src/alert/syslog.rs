//! An alert as a message of RFC 5424, whose text is its JSON.

use plimsoll_ebpf::rules::Severity;

use super::native::Alert;
use crate::config::sink::Format;

/// Digits of a second's fraction that the format has room for.
const FRACTION: usize = 6;
/// Longest host name and message id that the format allows.
const LONGEST_HOST: usize = 255;
const LONGEST_ID: usize = 32;

/// The message, without any framing.
pub fn message(alert: &Alert, facility: u8, format: Format) -> String {
    let priority = u16::from(facility) * 8 + u16::from(severity(alert.severity()));
    format!(
        "<{priority}>1 {} {} plimsoll {} {} - {}",
        moment(alert.text("ts")),
        name(alert.text("node.name"), LONGEST_HOST),
        std::process::id(),
        name(alert.text("rule"), LONGEST_ID),
        alert.line(format),
    )
}

/// Numerical severity (RFC 5424, table 2).
const fn severity(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Info => 6,
    }
}

/// A moment of ours with as many digits as the format has room for.
fn moment(ts: &str) -> String {
    match ts.split_once('.') {
        Some((seconds, rest)) => {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let digits = digits.get(..FRACTION).unwrap_or(&digits);
            format!("{seconds}.{digits}Z")
        }
        None => "-".to_owned(),
    }
}

/// A text as a name of the header: printable ASCII without spaces; `-` where nothing is left.
fn name(text: &str, longest: usize) -> String {
    let name: String = text.chars().filter(char::is_ascii_graphic).take(longest).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::{
        super::native::tests::{LINE, alert},
        *,
    };

    #[test]
    fn the_header_says_how_bad_when_where_and_which_rule() {
        let told = message(&alert(), 3, Format::Native);
        let pid = std::process::id();
        let header = format!(
            "<26>1 2026-11-25T15:06:40.007000Z host-a plimsoll {pid} new_executable - {LINE}"
        );
        assert_eq!(told, header);
    }

    #[test]
    fn what_does_not_fit_into_a_header_is_left_out() {
        assert_eq!(name("host a\n", 5), "hosta");
        assert_eq!(name("\u{e9}", 5), "-");
        assert_eq!(name("abcdef", 5), "abcde");
        assert_eq!(moment("soon"), "-");
        assert_eq!(moment("2026-01-01T00:00:00.5Z"), "2026-01-01T00:00:00.5Z");
    }
}
