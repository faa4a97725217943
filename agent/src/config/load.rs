//! Puts the layers together: defaults, file, environment, flags.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    document::{self, Document, Entry},
    error::{ConfigError, Problem},
    key::Key,
    nearest::nearest,
    rules::RULES,
    sections::{Config, KEYS, SECTIONS},
    table_reader,
    tables::TABLES,
};

/// Where the file is looked for when none is named; it need not exist.
pub const DEFAULT_FILE: &str = "/etc/plimsoll/plimsoll.toml";

/// Variables with this prefix and a double underscore are settings.
const PREFIX: &str = "PLIMSOLL_";

/// Where values come from, besides the defaults.
#[derive(Debug, Default)]
pub struct Sources {
    /// The file, if the user named one; it must exist then.
    pub file: Option<PathBuf>,
    /// Environment variables.
    pub variables: Vec<(String, String)>,
    /// Values given by flags.
    pub flags: Vec<Flag>,
}

/// A value given by a flag.
#[derive(Debug)]
pub struct Flag {
    /// Dotted name of the setting.
    pub key: &'static str,
    /// The flag, such as `--data-dir`.
    pub flag: &'static str,
    /// Its value.
    pub value: String,
}

/// Where a value comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    #[default]
    Default,
    /// A line of the file.
    File(usize),
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag(&'static str),
}

/// The configuration in effect, and where each value comes from.
#[derive(Debug)]
pub struct Effective {
    /// The values.
    pub config: Config,
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// One for each of [`KEYS`], in its order.
    pub origins: Vec<Origin>,
}

impl Sources {
    /// The environment of this process.
    pub fn from_environment(file: Option<PathBuf>, flags: Vec<Flag>) -> Self {
        let text = |it: std::ffi::OsString| it.to_string_lossy().into_owned();
        let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        Self { file, variables: variables.collect(), flags }
    }

    /// Puts the layers together.
    ///
    /// # Errors
    /// When the file cannot be read, or with everything that is wrong in any layer.
    pub fn load(&self) -> Result<Effective, ConfigError> {
        let mut layers = Layers::default();
        let file = self.read_file(Path::new(DEFAULT_FILE))?;
        if let Some((path, text)) = &file {
            layers.read_file(path, text);
        }
        layers.read_variables(&self.variables);
        for Flag { key, flag, value } in &self.flags {
            layers.set(key, value, Origin::Flag(flag), flag);
        }
        layers.check_rules();
        if layers.problems.is_empty() {
            let Layers { config, origins, .. } = layers;
            Ok(Effective { config, file: file.map(|(path, _)| path), origins })
        } else {
            Err(ConfigError::Wrong(layers.problems))
        }
    }

    fn read_file(&self, default: &Path) -> Result<Option<(PathBuf, String)>, ConfigError> {
        let path = self.file.as_deref().unwrap_or(default);
        match fs::read(path) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Ok(Some((path.to_owned(), text))),
                Err(_) => Err(ConfigError::Wrong(vec![Problem {
                    place: path.display().to_string(),
                    message: "this is no text (UTF-8)".to_owned(),
                }])),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.file.is_none() => {
                Ok(None)
            }
            Err(source) => Err(ConfigError::Unreadable { path: path.to_owned(), source }),
        }
    }
}

/// The configuration while it is put together.
struct Layers {
    config: Config,
    origins: Vec<Origin>,
    /// Where each value was written, for messages that come later.
    places: Vec<String>,
    problems: Vec<Problem>,
}

impl Default for Layers {
    fn default() -> Self {
        Self {
            config: Config::default(),
            origins: vec![Origin::Default; KEYS.len()],
            places: vec!["default".to_owned(); KEYS.len()],
            problems: Vec::new(),
        }
    }
}

impl Layers {
    fn problem(&mut self, place: &str, message: String) {
        self.problems.push(Problem { place: place.to_owned(), message });
    }

    fn read_file(&mut self, path: &Path, text: &str) {
        let place = path.display().to_string();
        match document::read(text) {
            Ok(Document { entries, tables }) => {
                for entry in &entries {
                    self.read_entry(&place, entry);
                }
                let mut messages = Vec::new();
                self.config.tables = table_reader::read(tables, &mut messages);
                for message in messages {
                    self.problem(&place, message);
                }
            }
            Err(fault) => {
                self.problem(&place, format!("no TOML at line {}: {}", fault.line, fault.message));
            }
        }
    }

    fn read_entry(&mut self, place: &str, Entry { name, line, value }: &Entry) {
        let is_section = SECTIONS.iter().any(|(section, _)| section == name);
        if is_section && value.is_none() {
            return;
        }
        let Some(key) = Key::by_name(name) else {
            let message = unknown(name, &format!(" at line {line}"));
            return self.problem(place, message);
        };
        let at = format!(" at line {line}");
        match value {
            Some((form, text)) if key.forms.contains(form) => {
                self.set_at(key, text, Origin::File(*line), place, &at);
            }
            Some((_, text)) => self.problem(place, refused(key, text, &at)),
            None => self.problem(place, refused(key, "a list or table", &at)),
        }
    }

    fn read_variables(&mut self, variables: &[(String, String)]) {
        for (variable, value) in variables {
            let Some((section, field)) =
                variable.strip_prefix(PREFIX).and_then(|rest| rest.split_once("__"))
            else {
                continue;
            };
            let name = format!("{section}.{field}").to_lowercase();
            let place = format!("environment variable {variable}");
            if Key::by_name(&name).is_some() {
                self.set(&name, value, Origin::Variable(variable.clone()), &place);
            } else {
                self.problem(&place, unknown(&name, ""));
            }
        }
    }

    fn set(&mut self, name: &str, value: &str, origin: Origin, place: &str) {
        match Key::by_name(name) {
            Some(key) => self.set_at(key, value, origin, place, ""),
            None => self.problem(place, unknown(name, "")),
        }
    }

    fn set_at(&mut self, key: &'static Key, value: &str, origin: Origin, place: &str, at: &str) {
        if !(key.set)(&mut self.config, value) {
            return self.problem(place, refused(key, &format!("'{value}'"), at));
        }
        if let Some(index) = KEYS.iter().position(|it| std::ptr::eq(it, key)) {
            self.origins[index] = origin;
            place.clone_into(&mut self.places[index]);
        }
    }

    fn check_rules(&mut self) {
        for rule in RULES {
            if (rule.holds)(&self.config) {
                continue;
            }
            let index = KEYS.iter().position(|key| key.name == rule.key).unwrap_or_default();
            let at = match &self.origins[index] {
                Origin::File(line) => format!(" at line {line}"),
                Origin::Default | Origin::Variable(_) | Origin::Flag(_) => String::new(),
            };
            let place = self.places[index].clone();
            self.problem(&place, format!("'{}'{at} must be {}", rule.key, rule.bound));
        }
    }
}

fn refused(key: &Key, value: &str, at: &str) -> String {
    format!("'{}'{at} cannot be {value}: expected {}", key.name, key.expected)
}

fn unknown(name: &str, at: &str) -> String {
    let first = name.split('.').next().unwrap_or_default();
    if TABLES.iter().any(|table| table.name == first) {
        return format!("'{name}'{at} belongs into a table of its own: write [[{first}]]");
    }
    let suggestion = if name.contains('.') || SECTIONS.iter().all(|(it, _)| *it != name) {
        nearest(name, KEYS.iter().map(|key| key.name).chain(SECTIONS.iter().map(|(it, _)| *it)))
    } else {
        None
    };
    match suggestion {
        Some(known) => format!("unknown key '{name}'{at}: did you mean '{known}'?"),
        None => format!("unknown key '{name}'{at}"),
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, time::Duration};

    use super::*;

    fn load(text: &str, variables: &[(&str, &str)], flags: Vec<Flag>) -> Result<Effective, String> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        let path = file.path().to_owned();
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let sources = Sources { file: Some(path.clone()), variables: variables.collect(), flags };
        sources.load().map_err(|error| error.to_string().replace(path.to_str().expect("text"), "F"))
    }

    fn origin<'e>(effective: &'e Effective, name: &str) -> &'e Origin {
        let index = KEYS.iter().position(|key| key.name == name).expect("is a key");
        &effective.origins[index]
    }

    #[test]
    fn later_layers_win_and_each_value_knows_its_own() {
        let flag = Flag { key: "agent.data_dir", flag: "--data-dir", value: "/flag".into() };
        let effective = load(
            "[agent]\ndata_dir = \"/file\"\nsocket = \"/file.sock\"\n[store]\nmax_age = \"3d\"\n",
            &[("PLIMSOLL_AGENT__DATA_DIR", "/env"), ("PLIMSOLL_STORE__MAX_AGE", "2d")],
            vec![flag],
        )
        .expect("loads");
        assert_eq!(effective.config.agent.data_dir, Path::new("/flag"));
        assert_eq!(effective.config.agent.socket, Path::new("/file.sock"));
        assert_eq!(effective.config.store.max_age, Duration::from_hours(48));
        assert_eq!(*origin(&effective, "agent.data_dir"), Origin::Flag("--data-dir"));
        assert_eq!(*origin(&effective, "agent.socket"), Origin::File(3));
        assert_eq!(
            *origin(&effective, "store.max_age"),
            Origin::Variable("PLIMSOLL_STORE__MAX_AGE".into())
        );
        assert_eq!(*origin(&effective, "probe.window"), Origin::Default);
    }

    #[test]
    fn an_unknown_key_is_refused_by_file_line_and_name() {
        let error = load("\n\n[stor]\nmax_byte = 1\n", &[], vec![]).expect_err("is refused");
        assert_eq!(
            error,
            "F: unknown key 'stor.max_byte' at line 4: did you mean 'store.max_bytes'?"
        );
    }

    #[test]
    fn an_unknown_section_is_refused_even_when_empty() {
        let error = load("[metric]\n", &[], vec![]).expect_err("is refused");
        assert_eq!(error, "F: unknown key 'metric' at line 1: did you mean 'metrics'?");
        assert!(load("[metrics]\n", &[], vec![]).is_ok());
    }

    #[test]
    fn what_is_no_array_of_tables_is_told_how_to_be_one() {
        for text in ["[policy]\nexec = \"learn\"\n", "policy = 1\n", "[exception]\n"] {
            let error = load(text, &[], vec![]).expect_err("is refused");
            assert!(error.contains("belongs into a table of its own: write [["), "{error}");
        }
        let error = load("[[policy]]\nexce = \"learn\"\n", &[], vec![]).expect_err("is refused");
        assert!(
            error.starts_with("F: [[policy]]: unknown key 'exce' at line 2: did you mean 'exec'?;"),
            "{error}"
        );
    }

    #[test]
    fn a_wrong_value_says_what_was_expected() {
        let error = load("[store]\nmax_age = 7\n", &[], vec![]).expect_err("is refused");
        assert_eq!(
            error,
            "F: 'store.max_age' at line 2 cannot be 7: expected a time with its unit, such as \
             \"200ms\", \"10s\" or \"7d\""
        );
        let error =
            load("[probe]\nbulk_ring_bytes = \"3MiB\"\n", &[], vec![]).expect_err("refused");
        let start = "F: 'probe.bulk_ring_bytes' at line 2 cannot be '3MiB': expected";
        assert!(error.starts_with(start), "{error}");
    }

    #[test]
    fn bounds_hold_in_every_layer() {
        let error = load("[store]\nflush_every = \"5s\"\n", &[], vec![]).expect_err("is refused");
        assert_eq!(error, "F: 'store.flush_every' at line 2 must be between 10ms and 1s");
        let variables = [("PLIMSOLL_STORE__MAX_BYTES", "1")];
        let error = load("", &variables, vec![]).expect_err("is refused");
        assert_eq!(
            error,
            "environment variable PLIMSOLL_STORE__MAX_BYTES: 'store.max_bytes' must be at least \
             1MiB"
        );
    }

    #[test]
    fn all_problems_are_told_in_one_line() {
        let error = load("a = 1\nb = 2\n", &[("PLIMSOLL_X__Y", "")], vec![]).expect_err("refused");
        assert_eq!(
            error,
            "F: unknown key 'a' at line 1; unknown key 'b' at line 2; environment variable \
             PLIMSOLL_X__Y: unknown key 'x.y'"
        );
    }

    #[test]
    fn variables_without_a_section_are_not_ours() {
        assert!(load("", &[("PLIMSOLL_LOG", "debug"), ("HOME", "/")], vec![]).is_ok());
    }

    #[test]
    fn faulty_syntax_names_its_line() {
        let error = load("[store]\nmax_age = 7d\n", &[], vec![]).expect_err("is refused");
        assert!(error.starts_with("F: no TOML at line 2: "), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn a_named_file_must_exist_and_the_default_one_need_not() {
        let sources = Sources { file: Some("/nonexistent/p.toml".into()), ..Sources::default() };
        assert!(matches!(sources.load(), Err(ConfigError::Unreadable { .. })));
        let sources = Sources::default();
        assert_eq!(sources.read_file(Path::new("/nonexistent/p.toml")).expect("is fine"), None);
    }

    #[test]
    fn bytes_that_are_no_text_are_wrong_content() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"\xff\xfe").expect("written");
        let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
        assert!(matches!(sources.load(), Err(ConfigError::Wrong(_))));
    }
}
