//! Prints the check as a table or as JSON lines.

use std::fmt::Write;

use serde::Serialize;

use super::{
    explain::Setting,
    item::{Item, Status},
};

/// Items one below the other, with consequence and remedy where something is wrong.
pub(super) fn table(items: &[Item], settings: &[Setting]) -> String {
    let width = widest(items.iter().map(|item| item.what));
    let mut text = format!("STATUS  {:width$}  FOUND\n", "WHAT");
    for item in items {
        let status = match item.status {
            Status::Pass => "pass",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        let _ = writeln!(text, "{status}    {:width$}  {}", item.what, item.found);
        let notes = [("so", &item.consequence), ("remedy", &item.remedy)];
        for (name, note) in notes {
            if let Some(note) = note {
                let _ = writeln!(text, "        {:width$}  {name}: {note}", "");
            }
        }
    }
    if !settings.is_empty() {
        let width = widest(settings.iter().map(|it| it.name));
        let value_width = widest(settings.iter().map(|it| it.value.as_str()));
        let _ = writeln!(text, "\n{:width$}  {:value_width$}  FROM", "SETTING", "VALUE");
        for Setting { name, value, origin } in settings {
            let _ = writeln!(text, "{name:width$}  {value:value_width$}  {origin}");
        }
    }
    text
}

/// One object a line: items have `what`, settings have `setting`.
pub(super) fn json(items: &[Item], settings: &[Setting]) -> String {
    let items = items.iter().map(line);
    items.chain(settings.iter().map(line)).collect()
}

fn line(of: &impl Serialize) -> String {
    serde_json::to_string(of).expect("plain structs of text are always JSON") + "\n"
}

fn widest<'t>(texts: impl Iterator<Item = &'t str>) -> usize {
    texts.map(str::len).max().unwrap_or_default().max(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items() -> [Item; 2] {
        [
            Item::pass("kernel", "6.1.0"),
            Item::fail("kernel types", "none").so("nothing is seen").remedy("another kernel"),
        ]
    }

    fn setting() -> Setting {
        Setting { name: "a.b", value: "1".to_owned(), origin: "default".to_owned() }
    }

    #[test]
    fn the_table_explains_what_is_wrong() {
        let table = table(&items(), &[setting()]);
        let expected = "\
STATUS  WHAT          FOUND
pass    kernel        6.1.0
FAIL    kernel types  none
                      so: nothing is seen
                      remedy: another kernel

SETTING  VALUE    FROM
a.b      1        default
";
        assert_eq!(table, expected);
    }

    #[test]
    fn json_is_one_object_a_line() {
        let json = json(&items(), &[setting()]);
        let expected = [
            r#"{"what":"kernel","status":"pass","found":"6.1.0"}"#,
            r#"{"what":"kernel types","status":"fail","found":"none","consequence":"nothing is seen","remedy":"another kernel"}"#,
            r#"{"setting":"a.b","value":"1","origin":"default"}"#,
        ];
        assert_eq!(json.lines().collect::<Vec<_>>(), expected);
    }
}
