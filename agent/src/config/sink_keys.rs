//! The keys of a `[[sink]]`: what each means, and which types have it.

use super::tables::TableInfo;

/// Facilities by their numbers (RFC 5424, table 1), as syslog daemons name them.
pub(super) const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

/// Keys that only some types have.
pub(super) const OF_TYPES: &[(&str, &[&str])] = &[
    ("format", &["stdout", "file", "syslog", "webhook"]),
    ("path", &["file"]),
    ("max_bytes", &["file"]),
    ("keep", &["file"]),
    ("address", &["syslog"]),
    ("facility", &["syslog"]),
    ("url", &["webhook", "alertmanager"]),
    ("secret_file", &["webhook", "alertmanager"]),
    ("header", &["webhook", "alertmanager"]),
    ("ca_file", &["webhook", "alertmanager"]),
    ("timeout", &["webhook", "alertmanager"]),
    ("queue_bytes", &["syslog", "webhook", "alertmanager"]),
    ("resolve_after", &["alertmanager"]),
];

/// What is documented of it.
pub(super) const INFO: TableInfo = TableInfo {
    name: "sink",
    doc: "Where alerts are told; each sink has a name, a queue of its own and counters. Examples are in docs/alerts.md. `plimsoll sink test NAME` sends a test alert.",
    keys: &[
        ("name", "Its name: up to 32 lower case letters, digits, `-` and `_`. Must be there."),
        ("type", "`stdout`, `file`, `syslog`, `webhook` or `alertmanager`. Must be there."),
        (
            "min_severity",
            "Only alerts that are as bad as this or worse: `info`, `low`, `medium`, `high` or `critical`; `info` where it is left out.",
        ),
        (
            "format",
            "`native`, as `plimsoll alerts -o json` writes them, or `falco`, as falcosidekick takes them. All types but alertmanager.",
        ),
        ("path", "File: where it is, an absolute path. Its directory must exist."),
        (
            "max_bytes",
            "File: how long it may become before it is renamed to `PATH.1`, `64MiB` where it is left out. `0` leaves that to others, such as logrotate.",
        ),
        ("keep", "File: how many older ones are kept, from 0 to 1000; 5 where it is left out."),
        (
            "address",
            "Syslog: `unix:/dev/log` where it is left out, or another socket; `udp://HOST:PORT`; `tcp://HOST:PORT`.",
        ),
        (
            "facility",
            "Syslog: `daemon` where it is left out, or another, such as `authpriv` or `local0`.",
        ),
        (
            "url",
            "Webhook: where alerts are posted to. Alertmanager: its address, without `/api/v2/alerts`. Never shown beyond the port.",
        ),
        (
            "secret_file",
            "Webhook and alertmanager: file with a secret that is sent as bearer token. Read for each request, so that it may be replaced.",
        ),
        (
            "header",
            "Webhook and alertmanager: header in which the secret is sent instead, as it is, such as `X-Api-Key`.",
        ),
        (
            "ca_file",
            "Webhook and alertmanager: file with the certificates (PEM) that are trusted, in place of the host's.",
        ),
        (
            "timeout",
            "Webhook and alertmanager: how long an answer may take, `10s` where it is left out.",
        ),
        (
            "queue_bytes",
            "Syslog, webhook and alertmanager: most disk space for alerts that wait, `64MiB` where it is left out. The oldest go first.",
        ),
        (
            "resolve_after",
            "Alertmanager: how long an alert stands after it was last told, `15m` where it is left out.",
        ),
    ],
    example: "[[sink]]\nname = \"pager\"\ntype = \"alertmanager\"\nmin_severity = \"high\"\nurl = \"http://alertmanager:9093\"\n",
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sink::Target;

    #[test]
    fn every_key_is_documented() {
        for (key, types) in OF_TYPES {
            assert!(INFO.keys.iter().any(|(name, _)| name == key), "{key}");
            assert!(types.iter().all(|it| Target::TYPES.contains(it)), "{key}");
        }
    }
}
