//! Observations as lines of comma-separated values, as RFC 4180 has them.

use anyhow::anyhow;
use plimsoll_ebpf::{catalog::FieldInfo, value::readable};
use serde_json::{Map, Value as Json};

use super::exit::Failure;
use crate::{
    attribution::fields,
    query::{parser, table::find},
};

/// Fields as columns.
pub(super) struct Sheet {
    fields: Vec<&'static FieldInfo>,
}

impl Sheet {
    /// With these columns, or with all fields there are where none is named.
    ///
    /// # Errors
    /// When a name is no field's.
    pub(super) fn of(names: &[String]) -> Result<Self, Failure> {
        if names.is_empty() {
            return Ok(Self { fields: fields::all() });
        }
        let fields = names.iter().map(|name| parser::field(name)).collect::<Result<_, _>>();
        Ok(Self { fields: fields.map_err(|error| Failure::usage(anyhow!("--fields: {error}")))? })
    }

    /// The line above all others, without its end.
    pub(super) fn heading(&self) -> String {
        line(self.fields.iter().map(|field| field.name.to_owned()))
    }

    /// An observation, without the line's end.
    pub(super) fn line(&self, object: &Map<String, Json>) -> String {
        let value = |field: &&FieldInfo| find(object, field.name).map_or_else(String::new, text);
        line(self.fields.iter().map(value))
    }
}

/// A value as a cell has it: lists with a space between their parts.
pub(super) fn text(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        // Another program may have made the object: its texts are not trusted to be harmless.
        Json::String(text) if text.contains(char::is_control) => {
            readable(text.as_bytes()).into_owned()
        }
        Json::String(text) => text.clone(),
        Json::Array(parts) => parts.iter().map(text).collect::<Vec<_>>().join(" "),
        Json::Bool(_) | Json::Number(_) | Json::Object(_) => value.to_string(),
    }
}

/// Cells as a line without its end.
pub(super) fn line(cells: impl Iterator<Item = String>) -> String {
    let mut writer = ::csv::WriterBuilder::new().from_writer(Vec::new());
    writer
        .write_record(cells.map(String::into_bytes))
        .expect("memory takes it, and it is the first");
    let bytes = writer.into_inner().expect("memory takes it");
    String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{query::json, store::sample::Sample};

    fn sheet(names: &[&str]) -> Sheet {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        Sheet::of(&names).unwrap_or_else(|failure| panic!("{failure}"))
    }

    #[test]
    fn columns_are_the_fields_that_were_named() {
        let sheet = sheet(&["kind", "net.rport", "proc.args", "file.path"]);
        assert_eq!(sheet.heading(), "kind,net.rport,proc.args,file.path");
        let line = Sample::new().with(5, |it| sheet.line(&json::object(it)));
        assert_eq!(line, "connect,443,tool --number 1,");
    }

    #[test]
    fn without_names_nothing_is_left_out() {
        let sheet = sheet(&[]);
        let heading = sheet.heading();
        let columns: Vec<&str> = heading.split(',').collect();
        assert_eq!(columns.len(), fields::all().len());
        assert!(columns.contains(&"net.raddr") && columns.contains(&"gap.lost"));
    }

    #[test]
    fn quotes_commas_and_line_ends_stay_within_their_cell() {
        let object = serde_json::from_str(r#"{"proc":{"exe":"/a,\"b\"\nc"},"kind":"exec"}"#);
        let line = sheet(&["proc.exe", "kind"]).line(&object.expect("is an object"));
        assert_eq!(line, r#""/a,""b""\x0ac",exec"#);
    }

    #[test]
    fn a_name_that_is_no_field_is_refused_with_the_one_that_was_meant() {
        let failure = Sheet::of(&["proc.exee".to_owned()]).err().expect("is refused");
        assert!(failure.to_string().contains("did you mean 'proc.exe'?"), "{failure}");
    }
}
