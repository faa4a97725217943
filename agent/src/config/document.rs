//! Reads a TOML file into dotted names, values and their lines.

use toml::de::{DeArray, DeTable, DeValue};

use super::setting::Form;

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Document {
    /// Single values, in the order of the file.
    pub(super) entries: Vec<Entry>,
    /// Tables of arrays, `[[name]]`, in the order of the file.
    pub(super) tables: Vec<Table>,
}

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

/// A table of an array.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// Name of the array.
    pub(super) name: String,
    /// Line of its heading, from 1.
    pub(super) line: usize,
    /// Its values, in the order of the file.
    pub(super) cells: Vec<Cell>,
}

/// A value of such a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// Name within the table.
    pub(super) key: String,
    /// Line, from 1.
    pub(super) line: usize,
    /// The value.
    pub(super) value: Written,
}

/// How a value of a table is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// A text, or a moment.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// A whole number, in digits.
    Number(String),
    /// Anything else.
    Other,
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
pub(super) fn read(text: &str) -> Result<Document, Fault> {
    let root = DeTable::parse(text).map_err(|error| Fault {
        line: line_at(text, error.span().map_or(0, |span| span.start)),
        message: error.message().replace('\n', ", "),
    })?;
    let mut document = Document::default();
    flatten(text, "", root.get_ref(), &mut document);
    document.entries.sort_by_key(|entry| entry.line);
    document.tables.sort_by_key(|table| table.line);
    Ok(document)
}

fn flatten(text: &str, prefix: &str, table: &DeTable<'_>, document: &mut Document) {
    for (key, value) in table {
        let dot = if prefix.is_empty() { "" } else { "." };
        let name = format!("{prefix}{dot}{}", key.get_ref());
        let line = line_at(text, key.span().start);
        if let DeValue::Table(inner) = value.get_ref()
            && prefix.is_empty()
            && !inner.is_empty()
        {
            flatten(text, &name, inner, document);
        } else if let DeValue::Array(items) = value.get_ref()
            && prefix.is_empty()
            && let Some(tables) = tables(text, &name, items)
        {
            document.tables.extend(tables);
        } else {
            document.entries.push(Entry { name, line, value: single(value.get_ref()) });
        }
    }
}

/// The tables of an array; `None` where it is none of tables.
fn tables(text: &str, name: &str, items: &DeArray<'_>) -> Option<Vec<Table>> {
    let table = |item: &toml::Spanned<DeValue<'_>>| {
        let cells = cells(text, item.get_ref().as_table()?);
        Some(Table { name: name.to_owned(), line: line_at(text, item.span().start), cells })
    };
    let tables: Option<Vec<Table>> = items.iter().map(table).collect();
    tables.filter(|tables| !tables.is_empty())
}

fn cells(text: &str, table: &DeTable<'_>) -> Vec<Cell> {
    let cell = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| Cell {
        key: std::string::ToString::to_string(key.get_ref()),
        line: line_at(text, key.span().start),
        value: written(value.get_ref()),
    };
    let mut cells: Vec<Cell> = table.iter().map(cell).collect();
    cells.sort_by_key(|cell| cell.line);
    cells
}

fn written(value: &DeValue<'_>) -> Written {
    match value {
        DeValue::String(text) => Written::Text(text.to_string()),
        DeValue::Datetime(moment) => Written::Text(moment.to_string()),
        DeValue::Array(items) => {
            let texts = items.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
            texts.collect::<Option<_>>().map_or(Written::Other, Written::Texts)
        }
        DeValue::Integer(_) => match single(value) {
            Some((Form::Number, digits)) => Written::Number(digits),
            _ => Written::Other,
        },
        DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Table(_) => Written::Other,
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
        let document = read(text).expect("parses");
        assert_eq!(
            document.entries,
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
        assert_eq!(document.tables, []);
    }

    #[test]
    fn tables_of_arrays_keep_their_order_and_lines() {
        let text =
            "\n[[b]]\nz = \"1\"\na = [\"x\"]\n[[a]]\n[[b]]\ny = 2026-12-31T00:00:00Z\nx = 1\n";
        let cell = |key: &str, line, value| Cell { key: key.into(), line, value };
        let table = |name: &str, line, cells| Table { name: name.into(), line, cells };
        assert_eq!(
            read(text).expect("parses").tables,
            [
                table(
                    "b",
                    2,
                    vec![
                        cell("z", 3, Written::Text("1".into())),
                        cell("a", 4, Written::Texts(vec!["x".into()])),
                    ]
                ),
                table("a", 5, vec![]),
                table(
                    "b",
                    6,
                    vec![
                        cell("y", 7, Written::Text("2026-12-31T00:00:00Z".into())),
                        cell("x", 8, Written::Number("1".into())),
                    ]
                ),
            ]
        );
    }

    #[test]
    fn a_fault_names_its_line() {
        let fault = read("[store]\nmax_bytes = \n").expect_err("is no TOML");
        assert_eq!(fault.line, 2, "{fault:?}");
    }

    #[test]
    fn what_is_no_single_value_is_kept_as_such() {
        let entries = read("[stor]\n[store]\nmax_age = [1]\n").expect("parses").entries;
        assert_eq!(entries.iter().map(|it| it.value.is_none()).collect::<Vec<_>>(), [true, true]);
        assert_eq!((entries[0].name.as_str(), entries[0].line), ("stor", 1));
    }
}
