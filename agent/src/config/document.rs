//! Reads a TOML file into dotted names, values and their lines.

use toml::de::{DeTable, DeValue};

use super::setting::Form;

/// A value of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Dotted name.
    pub(super) name: String,
    /// Line, from 1.
    pub(super) line: usize,
    /// The value as text and how it was written; `None` where it is no single value.
    pub(super) value: Option<(Form, String)>,
}

/// A fault of the syntax.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Line, from 1.
    pub(super) line: usize,
    /// What the parser says.
    pub(super) message: String,
}

/// Every value of the file, in its order.
pub(super) fn entries(text: &str) -> Result<Vec<Entry>, Fault> {
    let root = DeTable::parse(text).map_err(|error| Fault {
        line: line_at(text, error.span().map_or(0, |span| span.start)),
        message: error.message().replace('\n', ", "),
    })?;
    let mut entries = Vec::new();
    flatten(text, "", root.get_ref(), &mut entries);
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

fn flatten(text: &str, prefix: &str, table: &DeTable<'_>, entries: &mut Vec<Entry>) {
    for (key, value) in table {
        let dot = if prefix.is_empty() { "" } else { "." };
        let name = format!("{prefix}{dot}{}", key.get_ref());
        let line = line_at(text, key.span().start);
        if let DeValue::Table(inner) = value.get_ref()
            && prefix.is_empty()
            && !inner.is_empty()
        {
            flatten(text, &name, inner, entries);
        } else {
            entries.push(Entry { name, line, value: single(value.get_ref()) });
        }
    }
}

fn single(value: &DeValue<'_>) -> Option<(Form, String)> {
    match value {
        DeValue::String(text) => Some((Form::Text, text.to_string())),
        DeValue::Integer(number) => {
            let value = u64::from_str_radix(number.as_str(), number.radix()).ok();
            let text = value.map_or_else(|| number.to_string(), |value| value.to_string());
            Some((Form::Number, text))
        }
        DeValue::Float(number) => Some((Form::Number, number.as_str().to_owned())),
        DeValue::Boolean(value) => Some((Form::Boolean, value.to_string())),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn line_at(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|&byte| byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_names_and_lines() {
        let text = "# store\n[store]\nmax_bytes = 4_096\n\n[probe]\nwindow = \"1s\"\n";
        let entries = entries(text).expect("parses");
        assert_eq!(
            entries,
            [
                Entry {
                    name: "store.max_bytes".into(),
                    line: 3,
                    value: Some((Form::Number, "4096".into()))
                },
                Entry {
                    name: "probe.window".into(),
                    line: 6,
                    value: Some((Form::Text, "1s".into()))
                },
            ]
        );
    }

    #[test]
    fn a_fault_names_its_line() {
        let fault = entries("[store]\nmax_bytes = \n").expect_err("is no TOML");
        assert_eq!(fault.line, 2, "{fault:?}");
    }

    #[test]
    fn what_is_no_single_value_is_kept_as_such() {
        let entries = entries("[stor]\n[store]\nmax_age = [1]\n").expect("parses");
        assert_eq!(entries.iter().map(|it| it.value.is_none()).collect::<Vec<_>>(), [true, true]);
        assert_eq!((entries[0].name.as_str(), entries[0].line), ("stor", 1));
    }
}
