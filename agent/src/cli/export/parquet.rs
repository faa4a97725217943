//! Observations as a Parquet file, written in groups of rows so that memory stays the same.

use std::{collections::BTreeSet, io::Write, sync::Arc};

use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    data_type::{BoolType, ByteArrayType, Int32Type, Int64Type},
    errors::Result,
    file::{
        metadata::KeyValue,
        properties::WriterProperties,
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
};
use serde_json::{Map, Value as Json};

use super::columns::{Column, Columns, REST, Values};
use crate::query::{json::SCHEMA, table::text};

/// Rows of a group: as many as half a minute of much work makes, and a few tens of megabytes.
const GROUP_ROWS: u32 = 1 << 16;
/// Bytes of texts of a group, beyond which it is written though it has fewer rows.
const GROUP_BYTES: usize = 32 << 20;
/// Nodes that the metadata names.
const MAX_NODES: usize = 64;

/// See the module.
pub(super) struct Table<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Columns,
    rows: u32,
    /// Rows at which a group is written.
    group_rows: u32,
    bytes: usize,
    about: About,
}

/// What the metadata says of the whole.
#[derive(Default)]
struct About {
    nodes: BTreeSet<(String, String)>,
    /// The first and the last moment.
    time: Option<(String, String)>,
    observations: u64,
}

impl<W: Write + Send> Table<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn new(out: W) -> anyhow::Result<Self> {
        let (columns, schema) = Columns::new()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_encoding(Encoding::PLAIN)
            .set_created_by(format!("plimsoll {}", env!("CARGO_PKG_VERSION")))
            .build();
        let file = SerializedFileWriter::new(out, schema, Arc::new(properties))?;
        Ok(Self {
            file,
            columns,
            rows: 0,
            group_rows: GROUP_ROWS,
            bytes: 0,
            about: About::default(),
        })
    }

    /// Adds an observation.
    ///
    /// # Errors
    /// When a group that is full cannot be written.
    pub(super) fn add(&mut self, object: &Map<String, Json>) -> anyhow::Result<()> {
        self.about.note(object);
        let mut rest = Map::new();
        let mut row =
            RowValues { columns: &mut self.columns, row: self.rows, bytes: 0, rest: &mut rest };
        row.put(object, &mut String::new());
        let bytes = row.bytes;
        if !rest.is_empty() {
            let text = Json::String(Json::Object(rest).to_string());
            self.columns.put(self.rows, REST, &text);
        }
        self.rows += 1;
        self.bytes += bytes;
        if self.rows >= self.group_rows || self.bytes >= GROUP_BYTES {
            self.write_group()?;
        }
        Ok(())
    }

    /// Writes what is left and the end of the file.
    ///
    /// # Errors
    /// When that cannot be written.
    pub(super) fn close(mut self) -> anyhow::Result<()> {
        self.write_group()?;
        for (key, value) in self.about.told() {
            self.file.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        self.file.close()?;
        Ok(())
    }

    fn write_group(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for column in self.columns.iter() {
            let Some(mut writer) = group.next_column()? else { break };
            write_column(&mut writer, column, self.rows)?;
            writer.close()?;
        }
        group.close()?;
        self.columns.clear();
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

/// Where a row's values go.
struct RowValues<'c> {
    columns: &'c mut Columns,
    row: u32,
    bytes: usize,
    rest: &'c mut Map<String, Json>,
}

impl RowValues<'_> {
    /// Puts the values of an object whose name is `name`, with a dot behind it unless it is empty.
    fn put(&mut self, object: &Map<String, Json>, name: &mut String) {
        let start = name.len();
        for (part, value) in object {
            name.push_str(part);
            if self.columns.put(self.row, name, value) {
                self.bytes += size(value);
            } else if let Json::Object(inner) = value {
                name.push('.');
                self.put(inner, name);
            } else {
                self.bytes += size(value);
                self.rest.insert(name.clone(), value.clone());
            }
            name.truncate(start);
        }
    }
}

/// About how much memory a value takes.
fn size(value: &Json) -> usize {
    match value {
        Json::String(text) => 32 + text.len(),
        Json::Array(parts) => parts.iter().map(size).sum(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => 8,
    }
}

fn write_column(writer: &mut SerializedColumnWriter<'_>, column: &Column, rows: u32) -> Result<()> {
    let mut levels = vec![0i16; rows as usize];
    column.rows.iter().for_each(|row| levels[*row as usize] = 1);
    let levels = Some(levels.as_slice());
    match &column.values {
        Values::Flags(values) => writer.typed::<BoolType>().write_batch(values, levels, None),
        Values::Ports(values) => writer.typed::<Int32Type>().write_batch(values, levels, None),
        Values::Numbers(values) | Values::Times(values) => {
            writer.typed::<Int64Type>().write_batch(values, levels, None)
        }
        Values::Texts(values) => writer.typed::<ByteArrayType>().write_batch(values, levels, None),
        Values::Lists { parts, counts } => {
            let (defined, repeated) = list_levels(&column.rows, counts, rows);
            let writer = writer.typed::<ByteArrayType>();
            writer.write_batch(parts, Some(&defined), Some(&repeated))
        }
    }?;
    Ok(())
}

/// How far each part of each row's list is there, and whether it goes on with a list.
fn list_levels(with_list: &[u32], counts: &[usize], rows: u32) -> (Vec<i16>, Vec<i16>) {
    const ABSENT: i16 = 0;
    const EMPTY: i16 = 1;
    const PART: i16 = 2;
    let (mut defined, mut repeated) = (Vec::new(), Vec::new());
    let mut lists = with_list.iter().zip(counts).peekable();
    for row in 0..rows {
        let count = lists.next_if(|(with_list, _)| **with_list == row).map(|(_, count)| *count);
        let (level, entries) = match count {
            None => (ABSENT, 1),
            Some(0) => (EMPTY, 1),
            Some(count) => (PART, count),
        };
        defined.extend(std::iter::repeat_n(level, entries));
        repeated.push(0);
        repeated.extend(std::iter::repeat_n(1, entries - 1));
    }
    (defined, repeated)
}

impl About {
    fn note(&mut self, object: &Map<String, Json>) {
        self.observations += 1;
        let ts = text(object, "ts");
        match &mut self.time {
            None => self.time = Some((ts.clone(), ts)),
            Some((_, last)) => *last = ts,
        }
        if self.nodes.len() < MAX_NODES {
            self.nodes.insert((text(object, "node.name"), text(object, "node.id")));
        }
    }

    /// Keys and values, all as text.
    fn told(&self) -> Vec<(&'static str, String)> {
        let nodes: Vec<Json> = self
            .nodes
            .iter()
            .map(|(name, id)| serde_json::json!({ "name": name, "id": id }))
            .collect();
        let (first, last) = self.time.clone().unwrap_or_default();
        vec![
            ("plimsoll.schema", SCHEMA.to_owned()),
            ("plimsoll.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("plimsoll.nodes", Json::Array(nodes).to_string()),
            ("plimsoll.observations", self.observations.to_string()),
            ("plimsoll.first", first),
            ("plimsoll.last", last),
        ]
    }
}

#[cfg(test)]
mod tests {
    use parquet::{
        file::{
            metadata::RowGroupMetaData,
            reader::{FileReader, SerializedFileReader},
        },
        record::{Field, Row},
    };
    use serde_json::json;

    use super::*;
    use crate::{
        query::json,
        store::sample::{START_NS, Sample},
    };

    fn written(objects: &[Map<String, Json>]) -> SerializedFileReader<bytes::Bytes> {
        let mut bytes = Vec::new();
        let mut table = Table::new(&mut bytes).expect("begins");
        table.group_rows = 100;
        for it in objects {
            table.add(it).expect("is added");
        }
        table.close().expect("ends");
        SerializedFileReader::new(bytes::Bytes::from(bytes)).expect("is whole")
    }

    /// Rows as one reads them: groups within each other.
    fn rows(reader: &SerializedFileReader<bytes::Bytes>) -> Vec<Json> {
        let rows = reader.get_row_iter(None).expect("has rows");
        rows.map(|row| object(&row.expect("is sound"))).collect()
    }

    /// Without what is not there.
    fn object(row: &Row) -> Json {
        let fields = row.get_column_iter().map(|(name, field)| (name.clone(), value(field)));
        Json::Object(fields.filter(|(_, it)| !it.is_null() && *it != json!({})).collect())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "a type that is not written is a fault")]
    fn value(field: &Field) -> Json {
        match field {
            Field::Null => Json::Null,
            Field::Bool(flag) => (*flag).into(),
            Field::Long(number) => (*number).into(),
            Field::ULong(number) => (*number).into(),
            Field::UShort(number) => (*number).into(),
            Field::Str(text) => text.as_str().into(),
            Field::Group(row) => object(row),
            Field::ListInternal(list) => list.elements().iter().map(value).collect(),
            other => panic!("{other} is of no type that is written"),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let sample = Sample::new();
        let objects: Vec<_> =
            (0..20).map(|number| sample.with(number, |it| json::object(it))).collect();
        let reader = written(&objects);
        let rows = rows(&reader);
        assert_eq!(rows.len(), 20);
        for (row, object) in rows.iter().zip(&objects) {
            for name in ["kind", "count", "proc", "ctr", "net", "file", "schema", "node"] {
                let expected = object.get(name).cloned().unwrap_or(Json::Null);
                assert_eq!(row.get(name).cloned().unwrap_or(Json::Null), expected, "{name}");
            }
        }
        assert_eq!(rows[5]["ts"], START_NS + 5_000_000);
    }

    #[test]
    fn the_metadata_says_whose_it_is() {
        let object = Sample::new().with(7, |it| json::object(it));
        let reader = written(&[object]);
        let metadata = reader.metadata().file_metadata().key_value_metadata().expect("is there");
        let get = |key: &str| {
            metadata
                .iter()
                .find(|it| it.key == key)
                .and_then(|it| it.value.clone())
                .unwrap_or_default()
        };
        assert_eq!(get("plimsoll.schema"), SCHEMA);
        assert_eq!(get("plimsoll.nodes"), r#"[{"name":"host-a","id":"abc"}]"#);
        assert_eq!(get("plimsoll.observations"), "1");
        assert_eq!(get("plimsoll.first"), get("plimsoll.last"));
    }

    #[test]
    fn what_has_no_column_is_not_lost() {
        let object = json!({
            "ts": "2026-01-01T00:00:00.000000001Z", "kind": "future", "count": u64::MAX,
            "future": {"thing": 7}, "proc": {"args": [], "pid": "no number"},
        });
        let reader = written(&[object.as_object().expect("an object").clone()]);
        let row = &rows(&reader)[0];
        let rest: Json = serde_json::from_str(row["rest"].as_str().expect("a text")).expect("JSON");
        assert_eq!(rest, json!({"future.thing": 7, "proc.pid": "no number"}));
        assert_eq!(row["count"], u64::MAX);
        assert_eq!(row["proc"], json!({"args": []}), "an empty list is no absent one");
    }

    #[test]
    fn rows_are_written_in_groups() {
        let object = Sample::new().with(5, |it| json::object(it));
        let objects = vec![object; 103];
        let reader = written(&objects);
        let groups = reader.metadata().row_groups().iter().map(RowGroupMetaData::num_rows);
        let groups: Vec<i64> = groups.collect();
        assert_eq!(groups, [100, 3]);
    }

    #[test]
    fn nothing_at_all_is_a_file_too() {
        assert_eq!(rows(&written(&[])).len(), 0);
    }

    #[test]
    fn levels_tell_absent_empty_and_filled_lists_apart() {
        let (defined, repeated) = list_levels(&[1, 2], &[0, 3], 4);
        assert_eq!(defined, [0, 1, 2, 2, 2, 0]);
        assert_eq!(repeated, [0, 0, 0, 1, 1, 0]);
    }
}
