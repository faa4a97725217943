//! Reads the arrays of tables of a file.

use jiff::Timestamp;
use plimsoll_ebpf::rules::{Class, Mode, Rule};

use super::{
    document::{Cell, Table, Written},
    nearest::nearest,
    setting::Setting,
    sink_reader,
    tables::{
        ExceptionTable, PolicyTable, SELECTOR, SelectorTable, TABLES, TableInfo, Tables, Text,
    },
};

/// Reads the tables; what is wrong goes to `problems`, each with its line.
pub(super) fn read(tables: Vec<Table>, problems: &mut Vec<String>) -> Tables {
    let mut read = Tables::default();
    for table in tables {
        let Some(info) = TABLES.iter().find(|info| info.name == table.name) else {
            problems.push(unknown(&table.name, table.line, TABLES.iter().map(|info| info.name)));
            continue;
        };
        let mut reader = Reader { info, line: table.line, cells: Vec::new(), problems };
        reader.keep_known(table.cells);
        match info.name {
            "policy" => read.policies.push(reader.policy()),
            "exception" => read.exceptions.extend(reader.exception()),
            _ => read.sinks.extend(reader.sink()),
        }
    }
    sink_reader::check_all(&read.sinks, problems);
    read
}

fn unknown(name: &str, line: usize, known: impl Iterator<Item = &'static str>) -> String {
    match nearest(name, known) {
        Some(known) => format!("unknown key '{name}' at line {line}: did you mean '{known}'?"),
        None => format!("unknown key '{name}' at line {line}"),
    }
}

/// Reads one table.
pub(super) struct Reader<'p> {
    pub(super) info: &'static TableInfo,
    pub(super) line: usize,
    pub(super) cells: Vec<Cell>,
    pub(super) problems: &'p mut Vec<String>,
}

impl Reader<'_> {
    fn keep_known(&mut self, cells: Vec<Cell>) {
        for cell in cells {
            if self.info.keys.iter().any(|(key, _)| *key == cell.key) {
                self.cells.push(cell);
            } else {
                let known = self.info.keys.iter().map(|(key, _)| *key);
                let found = unknown(&cell.key, cell.line, known);
                self.problems.push(format!("[[{}]]: {found}", self.info.name));
            }
        }
    }

    fn policy(mut self) -> PolicyTable {
        let selector = self.selector();
        let modes = Class::ALL.map(|class| {
            let text = self.text(class.name())?;
            self.read(class.name(), &text, Mode::parse, Mode::EXPECTED)
        });
        let has_mode =
            self.cells.iter().any(|cell| Class::ALL.iter().any(|it| it.name() == cell.key));
        if !has_mode {
            self.lacks("a mode: exec, file or network");
        }
        PolicyTable { line: self.line, selector, modes }
    }

    fn exception(mut self) -> Option<ExceptionTable> {
        let selector = self.selector();
        if !self.cells.iter().any(|cell| SELECTOR.iter().any(|(key, _)| *key == cell.key)) {
            self.lacks("image, service or container: an exception for every container is too wide");
        }
        let rules = self.rules();
        let expires_ns = self.text("expires").and_then(|text| {
            let moment = |text: &str| {
                let moment: Timestamp = text.parse().ok()?;
                u64::try_from(moment.as_nanosecond()).ok()
            };
            self.read("expires", &text, moment, "a moment such as \"2026-12-31T00:00:00Z\"")
        });
        let place = self.place();
        let reason = self.needed("reason");
        if let Some(reason) = reason.as_ref().filter(|reason| reason.value.trim().is_empty()) {
            self.refuse("reason", reason.line, "empty", "why this is allowed");
        }
        let (place_key, place) = place?;
        let (line, reason) = (self.line, reason?);
        Some(ExceptionTable { line, selector, rules, place_key, place, expires_ns, reason })
    }

    /// A path or peers, with the key.
    fn place(&mut self) -> Option<(&'static str, Text)> {
        let is_given = |key: &&str| self.cells.iter().any(|cell| cell.key == *key);
        let given: Vec<&'static str> = ["path", "peer"].into_iter().filter(is_given).collect();
        let [key] = given[..] else {
            self.lacks("either path or peer, and not both");
            return None;
        };
        let place = self.text(key)?;
        let is_path = place.value.starts_with('/');
        if is_path != (key == "path") {
            let expected = if is_path {
                "an address with its port, such as \"10.0.0.0/8:5432/tcp\""
            } else {
                "a path that begins with a slash"
            };
            self.refuse(key, place.line, &format!("'{}'", place.value), expected);
            return None;
        }
        Some((key, place))
    }

    fn selector(&mut self) -> SelectorTable {
        SelectorTable {
            image: self.text("image"),
            service: self.text("service"),
            container: self.text("container"),
        }
    }

    fn rules(&mut self) -> Vec<Rule> {
        const EXPECTED: &str = "the name of a rule, such as \"write_outside_volumes\"";
        let is_rule = |cell: &&Cell| cell.key == "rule" || cell.key == "rules";
        let written: Vec<&Cell> = self.cells.iter().filter(is_rule).collect();
        let [cell] = written[..] else {
            self.lacks("either rule or rules, and not both");
            return Vec::new();
        };
        let (key, line) = (cell.key.clone(), cell.line);
        let names = match (cell.key.as_str(), &cell.value) {
            ("rule", Written::Text(name)) => vec![name.clone()],
            ("rules", Written::Texts(names)) if !names.is_empty() => names.clone(),
            _ => {
                let expected = if key == "rule" { EXPECTED } else { "a list of names of rules" };
                self.refuse(&key, line, "this", expected);
                return Vec::new();
            }
        };
        let texts = names.into_iter().map(|value| Text { value, line });
        texts.filter_map(|text| self.read(&key, &text, Rule::by_name, EXPECTED)).collect()
    }

    /// The text of a key that must be there.
    pub(super) fn needed(&mut self, key: &str) -> Option<Text> {
        if !self.cells.iter().any(|cell| cell.key == key) {
            self.lacks(key);
        }
        self.text(key)
    }

    /// The text of a key, if it is there; anything else is refused.
    pub(super) fn text(&mut self, key: &str) -> Option<Text> {
        let cell = self.cells.iter().find(|cell| cell.key == key)?;
        let line = cell.line;
        if let Written::Text(value) = &cell.value {
            return Some(Text { value: value.clone(), line });
        }
        self.refuse(key, line, "this", "a text in quotes");
        None
    }

    /// What a text means; where it means nothing, it is refused.
    pub(super) fn read<T>(
        &mut self,
        key: &str,
        text: &Text,
        parse: impl Fn(&str) -> Option<T>,
        expected: &str,
    ) -> Option<T> {
        let value = parse(&text.value);
        if value.is_none() {
            self.refuse(key, text.line, &format!("'{}'", text.value), expected);
        }
        value
    }

    pub(super) fn refuse(&mut self, key: &str, line: usize, value: &str, expected: &str) {
        let name = self.info.name;
        self.problems.push(format!(
            "[[{name}]]: '{key}' at line {line} cannot be {value}: expected {expected}"
        ));
    }

    pub(super) fn lacks(&mut self, what: &str) {
        self.problems.push(format!("[[{}]] at line {} needs {what}", self.info.name, self.line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document;

    fn tables(text: &str) -> (Tables, Vec<String>) {
        let mut problems = Vec::new();
        let tables = read(document::read(text).expect("parses").tables, &mut problems);
        (tables, problems)
    }

    #[test]
    fn every_example_reads_and_every_text_is_made_of_sentences() {
        for info in TABLES {
            let (read, problems) = tables(info.example);
            assert_eq!(problems, [""; 0], "{}", info.name);
            assert_eq!(read.policies.len() + read.exceptions.len() + read.sinks.len(), 1);
            for doc in info.keys.iter().map(|(_, doc)| *doc).chain([info.doc]) {
                assert!(doc.ends_with('.'), "{doc}");
            }
        }
    }

    #[test]
    fn a_table_keeps_its_values_and_their_lines() {
        let (read, problems) = tables(
            "[[exception]]\nimage = \"a\"\nrules = [\"new_executable\", \"foreign_script\"]\n\
             path = \"/b\"\nreason = \"c\"\nexpires = 2026-12-31T00:00:00Z\n",
        );
        assert_eq!(problems, [""; 0]);
        let [exception] = &read.exceptions[..] else { panic!("{read:?}") };
        assert_eq!(exception.rules, [Rule::NewExecutable, Rule::ForeignScript]);
        assert_eq!(exception.expires_ns, Some(1_798_675_200_000_000_000));
        assert_eq!((exception.place_key, exception.place.line), ("path", 4));
        assert_eq!(exception.place.value, "/b");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, expected) in [
            ("[[polcy]]\n", "unknown key 'polcy' at line 1: did you mean 'policy'?"),
            (
                "[[policy]]\nexec = \"learn\"\nimge = \"a\"\n",
                "[[policy]]: unknown key 'imge' at line 3: did you mean 'image'?",
            ),
            ("\n[[policy]]\n", "[[policy]] at line 2 needs a mode: exec, file or network"),
            (
                "[[policy]]\nexec = \"block\"\n",
                "[[policy]]: 'exec' at line 2 cannot be 'block': expected \"learn\", \"monitor\" \
                 or \"enforce\"",
            ),
            (
                "[[policy]]\nexec = 1\n",
                "[[policy]]: 'exec' at line 2 cannot be this: expected a text in quotes",
            ),
        ] {
            assert_eq!(tables(text).1, [expected], "{text}");
        }
    }

    #[test]
    fn an_exception_needs_somebody_a_rule_a_path_and_a_reason() {
        assert_eq!(
            tables("[[exception]]\n").1,
            [
                "[[exception]] at line 1 needs image, service or container: an exception for \
                 every container is too wide",
                "[[exception]] at line 1 needs either rule or rules, and not both",
                "[[exception]] at line 1 needs either path or peer, and not both",
                "[[exception]] at line 1 needs reason",
            ]
        );
        let (_, problems) = tables(
            "[[exception]]\nimage = \"a\"\npath = \"/b\"\nrule = \"write\"\nreason = \" \"\n\
             expires = \"soon\"\n",
        );
        assert_eq!(
            problems,
            [
                "[[exception]]: 'rule' at line 4 cannot be 'write': expected the name of a rule, \
                 such as \"write_outside_volumes\"",
                "[[exception]]: 'expires' at line 6 cannot be 'soon': expected a moment such as \
                 \"2026-12-31T00:00:00Z\"",
                "[[exception]]: 'reason' at line 5 cannot be empty: expected why this is allowed",
            ]
        );
    }
}
