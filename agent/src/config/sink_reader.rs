//! Reads a `[[sink]]`.

use std::{path::PathBuf, time::Duration};

use plimsoll_ebpf::rules::Severity;

use super::{
    document::Written,
    setting::{Bytes, Setting},
    sink::{
        FileTarget, Format, HttpTarget, MOST_SINKS, SinkTable, SyslogAddress, SyslogTarget, Target,
        Url,
    },
    sink_keys::{FACILITIES, OF_TYPES},
    table_reader::Reader,
};

const NAME: &str = "up to 32 lower case letters, digits, '-' and '_'";
const LONGEST_NAME: usize = 32;
/// Fewer bytes than this hold hardly more than an alert.
const LEAST_FILE: u64 = 64 << 10;
const LEAST_QUEUE: u64 = 1 << 20;
const DEFAULT_BYTES: u64 = 64 << 20;
const MOST_KEPT: u32 = 1000;
const DEFAULT_KEPT: u32 = 5;

impl Reader<'_> {
    /// Reads the table; `None` where something is wrong.
    pub(super) fn sink(mut self) -> Option<SinkTable> {
        let before = self.problems.len();
        let is_name = |text: &str| {
            let is_in =
                |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || b"-_".contains(&it);
            (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(is_in)
        };
        let name = self.needed("name").and_then(|text| {
            self.read("name", &text, |it| is_name(it).then(|| it.to_owned()), NAME)
        });
        let of_type = self.needed("type").and_then(|text| {
            let known = |it: &str| Target::TYPES.into_iter().find(|known| *known == it);
            self.read("type", &text, known, "stdout, file, syslog, webhook or alertmanager")
        })?;
        self.refuse_keys_of_others(of_type);
        let severity = |text: &str| Severity::ALL.into_iter().find(|it| it.name() == text);
        let min_severity = self.or(
            "min_severity",
            severity,
            "info, low, medium, high or critical",
            Severity::Info,
        );
        let format = |text: &str| match text {
            "native" => Some(Format::Native),
            "falco" => Some(Format::Falco),
            _ => None,
        };
        let format = self.or("format", format, "native or falco", Format::Native);
        let target = match of_type {
            "stdout" => Some(Target::Stdout),
            "file" => self.file().map(Target::File),
            "syslog" => Some(Target::Syslog(self.syslog())),
            "webhook" => self.http().map(Target::Webhook),
            _ => {
                let fifteen = Duration::from_mins(15);
                let resolve_after = self.time("resolve_after", fifteen, Duration::from_secs(1));
                self.http().map(|http| Target::Alertmanager(http, resolve_after))
            }
        };
        let (line, is_right) = (self.line, self.problems.len() == before);
        let sink = SinkTable { line, name: name?, min_severity, format, target: target? };
        is_right.then_some(sink)
    }

    fn refuse_keys_of_others(&mut self, of_type: &str) {
        let info = self.info.name;
        for cell in &self.cells {
            let of = OF_TYPES.iter().find(|(key, _)| *key == cell.key);
            if of.is_some_and(|(_, types)| !types.contains(&of_type)) {
                let (key, line) = (&cell.key, cell.line);
                self.problems.push(format!(
                    "[[{info}]]: '{key}' at line {line} means nothing to a sink of type {of_type}"
                ));
            }
        }
    }

    fn file(&mut self) -> Option<FileTarget> {
        let path = self.needed("path");
        let path = path.and_then(|it| self.read("path", &it, PathBuf::parse, PathBuf::EXPECTED));
        let max_bytes = self.size("max_bytes", LEAST_FILE, true);
        let keep = self.number("keep", MOST_KEPT).unwrap_or(DEFAULT_KEPT);
        Some(FileTarget { path: path?, max_bytes, keep })
    }

    fn syslog(&mut self) -> SyslogTarget {
        let address = self.or(
            "address",
            syslog_address,
            "unix:PATH, udp://HOST:PORT or tcp://HOST:PORT",
            SyslogAddress::Unix("/dev/log".into()),
        );
        let number = |text: &str| FACILITIES.iter().position(|it| *it == text);
        let facility = self.or("facility", number, "one such as daemon, authpriv or local0", 3);
        let queue_bytes = self.size("queue_bytes", LEAST_QUEUE, false);
        SyslogTarget { address, facility: facility as u8, queue_bytes }
    }

    fn http(&mut self) -> Option<HttpTarget> {
        let url = self.needed("url").and_then(|text| {
            let url = Url::parse(&text.value);
            if url.is_none() {
                // Not shown: it may hold what nobody else is to know.
                let expected = "http:// or https:// with a host, and no user or password: a secret \
                                belongs into the file that secret_file names";
                self.refuse("url", text.line, "this", expected);
            }
            url
        });
        let path = |it: &mut Self, key| {
            let text = it.text(key)?;
            it.read(key, &text, PathBuf::parse, PathBuf::EXPECTED)
        };
        let (secret_file, ca_file) = (path(self, "secret_file"), path(self, "ca_file"));
        let is_header = |it: &str| {
            let is_token = |it: u8| it.is_ascii_alphanumeric() || it == b'-' || it == b'_';
            (!it.is_empty() && it.bytes().all(is_token)).then(|| Some(it.to_owned()))
        };
        let header = self.or("header", is_header, "the name of a header, such as X-Api-Key", None);
        if header.is_some() && secret_file.is_none() {
            self.lacks("secret_file, which holds what the header is to say");
        }
        let timeout = self.time("timeout", Duration::from_secs(10), Duration::from_millis(100));
        let queue_bytes = self.size("queue_bytes", LEAST_QUEUE, false);
        Some(HttpTarget { url: url?, secret_file, header, ca_file, timeout, queue_bytes })
    }

    /// The value of a key, or what holds where it is left out.
    fn or<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Option<T>,
        expected: &str,
        otherwise: T,
    ) -> T {
        let text = self.text(key);
        text.and_then(|text| self.read(key, &text, parse, expected)).unwrap_or(otherwise)
    }

    /// A size of at least so many bytes, or, where that means something, none at all.
    fn size(&mut self, key: &str, least: u64, may_be_none: bool) -> u64 {
        let Some(cell) = self.cells.iter().find(|cell| cell.key == key) else {
            return DEFAULT_BYTES;
        };
        let line = cell.line;
        let (Written::Text(text) | Written::Number(text)) = &cell.value else {
            self.refuse(key, line, "this", Bytes::EXPECTED);
            return DEFAULT_BYTES;
        };
        let is_right = |bytes: &u64| *bytes >= least || may_be_none && *bytes == 0;
        if let Some(Bytes(bytes)) = Bytes::parse(text).filter(|it| is_right(&it.0)) {
            return bytes;
        }
        let value = format!("'{text}'");
        let least = format!("a size of at least {}", Bytes(least));
        self.refuse(key, line, &value, &least);
        DEFAULT_BYTES
    }

    fn time(&mut self, key: &str, otherwise: Duration, least: Duration) -> Duration {
        let range = least..=Duration::from_hours(24);
        let parse = |text: &str| Duration::parse(text).filter(|it| range.contains(it));
        let expected = format!("a time from {} to {}", range.start().show(), range.end().show());
        self.or(key, parse, &expected, otherwise)
    }

    fn number(&mut self, key: &str, most: u32) -> Option<u32> {
        let cell = self.cells.iter().find(|cell| cell.key == key)?;
        let line = cell.line;
        if let Written::Number(text) = &cell.value
            && let Ok(number) = text.parse()
            && number <= most
        {
            return Some(number);
        }
        self.refuse(key, line, "this", &format!("a number from 0 to {most}"));
        None
    }
}

fn syslog_address(text: &str) -> Option<SyslogAddress> {
    let host_and_port = |text: &str| {
        let (host, port) = text.rsplit_once(':')?;
        let port: u16 = port.parse().ok()?;
        let is_bare_ipv6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
        (!host.is_empty() && !is_bare_ipv6 && port > 0).then(|| text.to_owned())
    };
    if let Some(path) = text.strip_prefix("unix:") {
        PathBuf::parse(path).map(SyslogAddress::Unix)
    } else if let Some(address) = text.strip_prefix("udp://") {
        host_and_port(address).map(SyslogAddress::Udp)
    } else {
        host_and_port(text.strip_prefix("tcp://")?).map(SyslogAddress::Tcp)
    }
}

/// What is wrong with all sinks together.
pub(super) fn check_all(sinks: &[SinkTable], problems: &mut Vec<String>) {
    if let Some(sink) = sinks.get(MOST_SINKS) {
        problems.push(format!(
            "[[sink]] at line {} is one too many: there may be {MOST_SINKS}",
            sink.line
        ));
    }
    for (index, sink) in sinks.iter().enumerate() {
        let others = &sinks[..index];
        if let Some(other) = others.iter().find(|it| it.name == sink.name) {
            let (line, name) = (sink.line, &sink.name);
            let first = other.line;
            problems.push(format!(
                "[[sink]] at line {line} is named '{name}' like the one at line {first}"
            ));
        }
        let path = |it: &SinkTable| match &it.target {
            Target::File(file) => Some(file.path.clone()),
            Target::Stdout | Target::Syslog(_) | Target::Webhook(_) | Target::Alertmanager(..) => {
                None
            }
        };
        let own = path(sink);
        if let Some(other) = others.iter().find(|it| own.is_some() && path(it) == own) {
            let (line, first) = (sink.line, other.line);
            problems
                .push(format!("[[sink]] at line {line} has the path of the one at line {first}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tables::Tables, *};
    use crate::config::{document, table_reader};

    fn tables(text: &str) -> (Tables, Vec<String>) {
        let mut problems = Vec::new();
        let document = document::read(text).expect("parses");
        let tables = table_reader::read(document.tables, &mut problems);
        (tables, problems)
    }

    fn sink(keys: &str) -> (Tables, Vec<String>) {
        tables(&format!("[[sink]]\nname = \"s\"\n{keys}"))
    }

    #[test]
    fn each_type_reads_with_its_keys_and_without() {
        for keys in [
            "type = \"stdout\"\nformat = \"falco\"\nmin_severity = \"high\"\n",
            "type = \"file\"\npath = \"/a\"\n",
            "type = \"file\"\npath = \"/a\"\nmax_bytes = 65536\nkeep = 0\n",
            "type = \"file\"\npath = \"/a\"\nmax_bytes = 0\n",
            "type = \"syslog\"\n",
            "type = \"syslog\"\naddress = \"tcp://[::1]:601\"\nfacility = \"local7\"\n",
            "type = \"webhook\"\nurl = \"https://a/b\"\nsecret_file = \"/s\"\nheader = \"X-Key\"\n",
            "type = \"alertmanager\"\nurl = \"http://a:9093\"\nresolve_after = \"1h\"\n",
        ] {
            let (tables, problems) = sink(keys);
            assert_eq!(problems, [""; 0], "{keys}");
            assert_eq!(tables.sinks.len(), 1, "{keys}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (keys, expected) in [
            ("", "[[sink]] at line 1 needs type"),
            ("type = \"file\"\n", "[[sink]] at line 1 needs path"),
            (
                "type = \"mail\"\n",
                "[[sink]]: 'type' at line 3 cannot be 'mail': expected stdout, file, syslog, \
                 webhook or alertmanager",
            ),
            (
                "type = \"stdout\"\npath = \"/a\"\n",
                "[[sink]]: 'path' at line 4 means nothing to a sink of type stdout",
            ),
            (
                "type = \"webhook\"\nurl = \"http://a\"\ntimeuot = \"1s\"\n",
                "[[sink]]: unknown key 'timeuot' at line 5: did you mean 'timeout'?",
            ),
            (
                "type = \"webhook\"\nurl = \"http://a\"\nqueue_bytes = \"1KiB\"\n",
                "[[sink]]: 'queue_bytes' at line 5 cannot be '1KiB': expected a size of at least \
                 1MiB",
            ),
            (
                "type = \"webhook\"\nurl = \"http://a\"\ntimeout = \"1ms\"\n",
                "[[sink]]: 'timeout' at line 5 cannot be '1ms': expected a time from 100ms to 1d",
            ),
            (
                "type = \"file\"\npath = \"/a\"\nkeep = \"5\"\n",
                "[[sink]]: 'keep' at line 5 cannot be this: expected a number from 0 to 1000",
            ),
            (
                "type = \"syslog\"\naddress = \"udp://host\"\n",
                "[[sink]]: 'address' at line 4 cannot be 'udp://host': expected unix:PATH, \
                 udp://HOST:PORT or tcp://HOST:PORT",
            ),
            (
                "type = \"webhook\"\nurl = \"http://a\"\nheader = \"X-Key\"\n",
                "[[sink]] at line 1 needs secret_file, which holds what the header is to say",
            ),
        ] {
            assert_eq!(sink(keys).1, [expected], "{keys}");
        }
        let (_, problems) = tables("[[sink]]\nname = \"A b\"\ntype = \"stdout\"\n");
        assert!(problems[0].contains("'name' at line 2 cannot be 'A b'"), "{problems:?}");
    }

    #[test]
    fn a_wrong_address_is_not_repeated() {
        let (_, problems) = sink("type = \"webhook\"\nurl = \"https://user:s3cret@host/s3cret\"\n");
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("[[sink]]: 'url' at line 4 cannot be this: "));
        assert!(!problems[0].contains("s3cret"), "{problems:?}");
    }

    #[test]
    fn two_sinks_have_neither_name_nor_file_in_common() {
        let one = "[[sink]]\nname = \"a\"\ntype = \"file\"\npath = \"/f\"\n";
        let (_, problems) = tables(&one.repeat(2));
        assert_eq!(
            problems,
            [
                "[[sink]] at line 5 is named 'a' like the one at line 1",
                "[[sink]] at line 5 has the path of the one at line 1"
            ]
        );
        let sink = |number| format!("[[sink]]\nname = \"s{number}\"\ntype = \"stdout\"\n");
        let many: Vec<String> = (0..=MOST_SINKS).map(sink).collect();
        assert_eq!(
            tables(&many.concat()).1,
            ["[[sink]] at line 49 is one too many: there may be 16"]
        );
    }
}
