//! The arrays of tables: `[[policy]]` and `[[exception]]`, which keys they have and their values.
//!
//! What patterns and paths mean is read by the stage `policy`; here each value keeps its line.

use jiff::Timestamp;
use plimsoll_ebpf::rules::{Class, Mode, Rule};

use super::{
    document::{Cell, Table, Written},
    nearest::nearest,
    setting::Setting,
};

/// What the arrays of tables say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// `[[policy]]`, in the order of the file.
    pub policies: Vec<PolicyTable>,
    /// `[[exception]]`, in the order of the file.
    pub exceptions: Vec<ExceptionTable>,
}

/// A text of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The text.
    pub value: String,
    /// Its line, from 1.
    pub line: usize,
}

/// Which containers are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelectorTable {
    /// Pattern of the image.
    pub image: Option<Text>,
    /// Pattern of the service.
    pub service: Option<Text>,
    /// Pattern of the container.
    pub container: Option<Text>,
}

/// How classes are treated in some containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTable {
    /// Line of its heading, from 1.
    pub line: usize,
    /// In which.
    pub selector: SelectorTable,
    /// The mode of each class, by [`Class`]; at least one is set.
    pub modes: [Option<Mode>; Class::ALL.len()],
}

/// What is allowed to some containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionTable {
    /// Line of its heading, from 1.
    pub line: usize,
    /// To which; at least one part is given.
    pub selector: SelectorTable,
    /// The rules that may be broken; at least one.
    pub rules: Vec<Rule>,
    /// Where.
    pub path: Text,
    /// Until when, in nanoseconds since the Unix epoch.
    pub expires_ns: Option<u64>,
    /// Why.
    pub reason: Text,
}

/// What is documented of an array of tables.
pub(super) struct TableInfo {
    /// Name of the array.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) doc: &'static str,
    /// Its keys and what each means.
    pub(super) keys: &'static [(&'static str, &'static str)],
    /// One, as it may stand in a file.
    pub(super) example: &'static str,
}

const SELECTOR: [(&str, &str); 3] = [
    (
        "image",
        "Containers of this image: `repository:tag`, `repository` for any tag, or a digest `sha256:…`.",
    ),
    ("service", "Containers of this Swarm or compose service."),
    (
        "container",
        "The container of this name, or of an id that begins with these 12 digits or more.",
    ),
];

/// Every array of tables.
pub(super) static TABLES: &[TableInfo] = &[
    TableInfo {
        name: "policy",
        doc: "How classes are treated in some containers, other than `[modes]` says. All parts that are given must match; in each, `*` stands for anything. Without any it is about every container. Of several that match, the later one wins, and `plimsoll mode` wins over the file.",
        keys: &[
            SELECTOR[0],
            SELECTOR[1],
            SELECTOR[2],
            ("exec", "Mode for programs, scripts and libraries: `learn`, `monitor` or `enforce`."),
            ("file", "Mode for files that are written, renamed or removed."),
            ("network", "Mode for peers and ports."),
        ],
        example: "[[policy]]\nimage = \"nginx:*\"\nexec = \"enforce\"\nfile = \"monitor\"\n",
    },
    TableInfo {
        name: "exception",
        doc: "What some containers may do although it breaks a rule. At least one of `image`, `service` and `container` is needed; all that are given must match.",
        keys: &[
            SELECTOR[0],
            SELECTOR[1],
            SELECTOR[2],
            ("rule", "The rule that may be broken, such as `write_outside_volumes`."),
            ("rules", "Several of them, in place of `rule`: a list."),
            (
                "path",
                "Where, as the container sees it: `/a/b` exactly; `/a/b/*` or `/a/b/pre*` for one name in a directory; `/a/b/**` for everything below it.",
            ),
            (
                "expires",
                "When it ends, such as `\"2026-12-31T00:00:00Z\"`; never, where it is left out.",
            ),
            ("reason", "Why it is allowed. Must be there."),
        ],
        example: "[[exception]]\nservice = \"shop_web\"\nrule = \"write_outside_volumes\"\npath = \"/var/cache/app/**\"\nexpires = \"2026-12-31T00:00:00Z\"\nreason = \"renders its templates at start\"\n",
    },
];

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
        if info.name == "policy" {
            read.policies.push(reader.policy());
        } else {
            read.exceptions.extend(reader.exception());
        }
    }
    read
}

fn unknown(name: &str, line: usize, known: impl Iterator<Item = &'static str>) -> String {
    match nearest(name, known) {
        Some(known) => format!("unknown key '{name}' at line {line}: did you mean '{known}'?"),
        None => format!("unknown key '{name}' at line {line}"),
    }
}

/// Reads one table.
struct Reader<'p> {
    info: &'static TableInfo,
    line: usize,
    cells: Vec<Cell>,
    problems: &'p mut Vec<String>,
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
        let path = self.needed("path");
        let reason = self.needed("reason");
        if let Some(reason) = reason.as_ref().filter(|reason| reason.value.trim().is_empty()) {
            self.refuse("reason", reason.line, "empty", "why this is allowed");
        }
        Some(ExceptionTable {
            line: self.line,
            selector,
            rules,
            path: path?,
            expires_ns,
            reason: reason?,
        })
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
        let names = match &cell.value {
            Written::Text(name) if key == "rule" => vec![name.clone()],
            Written::Texts(names) if key == "rules" && !names.is_empty() => names.clone(),
            Written::Text(_) | Written::Texts(_) | Written::Other if key == "rules" => {
                self.refuse(&key, line, "this", "a list of names of rules");
                return Vec::new();
            }
            Written::Text(_) | Written::Texts(_) | Written::Other => {
                self.refuse(&key, line, "this", EXPECTED);
                return Vec::new();
            }
        };
        let texts = names.into_iter().map(|value| Text { value, line });
        texts.filter_map(|text| self.read(&key, &text, Rule::by_name, EXPECTED)).collect()
    }

    fn needed(&mut self, key: &str) -> Option<Text> {
        if !self.cells.iter().any(|cell| cell.key == key) {
            self.lacks(key);
        }
        self.text(key)
    }

    /// The text of a key, if it is there; anything else is refused.
    fn text(&mut self, key: &str) -> Option<Text> {
        let cell = self.cells.iter().find(|cell| cell.key == key)?;
        let line = cell.line;
        if let Written::Text(value) = &cell.value {
            return Some(Text { value: value.clone(), line });
        }
        self.refuse(key, line, "this", "a text in quotes");
        None
    }

    fn read<T>(
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

    fn refuse(&mut self, key: &str, line: usize, value: &str, expected: &str) {
        let name = self.info.name;
        self.problems.push(format!(
            "[[{name}]]: '{key}' at line {line} cannot be {value}: expected {expected}"
        ));
    }

    fn lacks(&mut self, what: &str) {
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
            assert_eq!(read.policies.len() + read.exceptions.len(), 1);
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
        assert_eq!(exception.path, Text { value: "/b".into(), line: 4 });
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
                "[[exception]] at line 1 needs path",
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
