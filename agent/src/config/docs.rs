//! The documentation page and the commented default file, from the list of settings.

use std::fmt::Write;

use super::{
    load::DEFAULT_FILE,
    rules::bound_of,
    sections::{KEYS, SECTIONS},
    tables::TABLES,
};

/// Lines of the default file are no longer than this.
const WIDTH: usize = 96;

/// `docs/config.md`
pub fn page() -> String {
    let mut page = format!(
        "# Configuration\n\n\
         Plimsoll needs none: every setting has a safe default. Values come from, in rising \
         order:\n\n\
         1. the defaults below;\n\
         2. one TOML file, `{DEFAULT_FILE}` or the one named by `--config`;\n\
         3. environment variables, `PLIMSOLL_SECTION__KEY`;\n\
         4. flags of the command line.\n\n\
         Unknown keys are refused by name and line. `plimsoll check --config` prints the values \
         in effect and where each comes from. The commented default file is \
         [deploy/plimsoll.toml](../deploy/plimsoll.toml).\n"
    );
    for (section, doc) in SECTIONS {
        let _ = write!(page, "\n## `[{section}]`\n\n{}\n\n", doc.trim());
        page += "| key | default | meaning |\n| --- | --- | --- |\n";
        for key in KEYS.iter().filter(|key| key.section == *section) {
            let bound = bound_of(key.name).map(|bound| format!(" Must be {bound}."));
            let _ = writeln!(
                page,
                "| `{}` | `{}` | {}{} Variable: `{}`. |",
                key.field,
                key.written(key.default),
                key.doc.trim(),
                bound.unwrap_or_default(),
                key.variable(),
            );
        }
    }
    for table in TABLES {
        let _ = write!(page, "\n## `[[{}]]`\n\n{}\n\n", table.name, table.doc);
        page += "| key | meaning |\n| --- | --- |\n";
        for (key, doc) in table.keys {
            let _ = writeln!(page, "| `{key}` | {doc} |");
        }
        let _ = write!(page, "\n```toml\n{}```\n", table.example);
    }
    page += "\n<!-- Generated from agent/src/config/sections.rs and tables.rs: \
             UPDATE_DOCS=1 cargo test -p plimsoll config -->\n";
    page
}

/// `deploy/plimsoll.toml`: every setting, commented out at its default.
pub fn default_file() -> String {
    let mut file = String::from(
        "# Configuration of Plimsoll, with every setting at its default.\n\
         # Generated from agent/src/config/sections.rs and tables.rs: UPDATE_DOCS=1 cargo test -p \
         plimsoll config\n",
    );
    for (section, doc) in SECTIONS {
        let _ = write!(file, "\n{}[{section}]\n", comment(doc));
        for key in KEYS.iter().filter(|key| key.section == *section) {
            let value = key.written(key.default);
            let _ = write!(file, "\n{}#{} = {value}\n", comment(key.doc), key.field);
        }
    }
    for table in TABLES {
        let _ = write!(file, "\n{}", comment(table.doc));
        table.example.lines().for_each(|line| {
            let _ = writeln!(file, "#{line}");
        });
    }
    file
}

/// A text as comment lines.
fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            lines += &line;
            lines.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line += word;
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{document, pages::assert_fresh};

    #[test]
    fn the_page_and_the_default_file_are_fresh() {
        assert_fresh("docs/config.md", &page());
        assert_fresh("deploy/plimsoll.toml", &default_file());
    }

    #[test]
    fn the_default_file_sets_nothing_and_uncommented_sets_every_key() {
        let unset = document::read(&default_file()).expect("parses");
        assert!(unset.tables.is_empty());
        assert!(
            unset.entries.iter().all(|it| SECTIONS.iter().any(|(section, _)| *section == it.name))
        );
        let is_setting = |line: &&str| line.starts_with('[') || line.starts_with('#');
        let file = default_file();
        let uncommented: Vec<&str> = (file.lines().filter(is_setting))
            .map(|line| if line.starts_with("# ") { line } else { line.trim_start_matches('#') })
            .collect();
        let set = document::read(&uncommented.join("\n")).expect("parses");
        assert_eq!(set.tables.len(), TABLES.len());
        let names: Vec<&str> = set.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
    }
}
