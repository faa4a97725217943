//! The lines of a text, as documents.

use super::{Document, Fault, Item, MOST_DOCUMENTS, MOST_FAULTS};
use crate::baseline::{
    dimension::{Context, Dimension},
    subject::Subject,
};

/// Version of the form.
const SCHEMA: &str = "1";

/// What a behaviour may say, each once, and what it must.
const ITEM_KEYS: [&str; 5] = ["behaviour", "seen", "confirmed", "denied", "unused"];
const NEEDED_KEYS: [&str; 3] = ["behaviour", "seen", "confirmed"];

/// Reads all documents.
pub(super) fn read(text: &str) -> Result<Vec<Document>, Vec<Fault>> {
    let mut reader = Reader::default();
    let mut last = 0;
    for (at, line) in text.lines().enumerate() {
        last = at + 1;
        let is_empty = line.trim().is_empty() || line.trim_start().starts_with('#');
        if !is_empty && let Err(text) = reader.line(last, line) {
            reader.faults.push(Fault { line: last, text });
            if reader.faults.len() >= MOST_FAULTS {
                return Err(reader.faults);
            }
        }
    }
    let Reader { draft, documents, mut faults, .. } = reader;
    if let Some(draft) = draft {
        let text = format!("the profile of line {} does not end with `...`: it is cut", draft.line);
        faults.push(Fault { line: last, text });
    } else if documents.is_empty() && faults.is_empty() {
        faults.push(Fault { line: last.max(1), text: "there is no profile".to_owned() });
    }
    if faults.is_empty() { Ok(documents) } else { Err(faults) }
}

#[derive(Default)]
struct Reader {
    documents: Vec<Document>,
    faults: Vec<Fault>,
    draft: Option<Draft>,
}

/// A document that has not ended.
#[derive(Default)]
struct Draft {
    line: usize,
    has_schema: bool,
    image: Option<String>,
    digest: Option<String>,
    variant: Option<String>,
    service: Option<String>,
    dimensions: Vec<Dimension>,
    /// Whether behaviours of the latest of them may follow.
    is_open: bool,
    items: Vec<Item>,
    /// The keys that the latest of them has said, until it is whole.
    said: Option<Vec<&'static str>>,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        let Some(draft) = &mut self.draft else {
            if line != "---" {
                return Err("a profile begins with `---`".to_owned());
            }
            if self.documents.len() >= MOST_DOCUMENTS {
                return Err(format!("there are more than {MOST_DOCUMENTS} profiles"));
            }
            self.draft = Some(Draft { line: number, ..Draft::default() });
            return Ok(());
        };
        if line == "..." {
            let draft = self.draft.take().unwrap_or_default();
            self.documents.push(draft.finish()?);
            return Ok(());
        }
        if let Some(rest) = line.strip_prefix("  - ") {
            draft.begin_item(number, rest)
        } else if let Some(rest) = line.strip_prefix("    ") {
            draft.item_line(rest)
        } else {
            draft.head(line)
        }
    }
}

impl Draft {
    /// A line about the whole profile.
    fn head(&mut self, line: &str) -> Result<(), String> {
        self.item_is_whole()?;
        let (key, value) = key_value(line)?;
        if !self.has_schema && key != "schema" {
            return Err("the schema comes first: `schema: 1`".to_owned());
        }
        let text = match key {
            "schema" => {
                if value != SCHEMA || std::mem::replace(&mut self.has_schema, true) {
                    return Err(format!("the schema is {SCHEMA}, said once"));
                }
                return Ok(());
            }
            "image" => &mut self.image,
            "digest" => &mut self.digest,
            "variant" => &mut self.variant,
            "service" => &mut self.service,
            _ => return self.begin_dimension(key, value),
        };
        if text.is_some() {
            return Err(format!("`{key}` is said twice"));
        }
        *text = Some(quoted(value)?);
        Ok(())
    }

    fn begin_dimension(&mut self, key: &str, value: &str) -> Result<(), String> {
        let known = written().find(|it| it.name() == key);
        let Some(dimension) = known else { return Err(format!("`{key}` is no key of a profile")) };
        if self.dimensions.contains(&dimension) {
            return Err(format!("`{key}` is said twice"));
        }
        if self.service.is_some() != dimension.is_of_service() {
            let whose = if dimension.is_of_service() { "a service's" } else { "an image's" };
            return Err(format!(
                "`{key}` is {whose}: `digest` and `variant`, or `service`, come first"
            ));
        }
        self.dimensions.push(dimension);
        self.is_open = match value {
            "" => true,
            "[]" => false,
            _ => return Err(format!("`{key}:` is followed by behaviours, or by `[]`")),
        };
        Ok(())
    }

    fn begin_item(&mut self, line: usize, rest: &str) -> Result<(), String> {
        self.item_is_whole()?;
        let Some(dimension) = self.dimensions.last().copied().filter(|_| self.is_open) else {
            return Err("a behaviour stands below its dimension".to_owned());
        };
        let mut item = Item {
            line,
            dimension,
            scope: String::new(),
            key: String::new(),
            seen: [false; Context::COUNT],
            is_confirmed: false,
            is_denied: false,
        };
        self.said = Some(Vec::new());
        let (key, value) = key_value(rest)?;
        match key {
            "behaviour" => {
                item.key = quoted(value)?;
                self.said = Some(vec!["behaviour"]);
            }
            "by" if matches!(dimension, Dimension::Write | Dimension::Arguments) => {
                item.scope = quoted(value)?;
                if item.scope.is_empty() {
                    return Err("`by` is not empty".to_owned());
                }
            }
            "by" => return Err("`by` stands with `arguments` and `write` only".to_owned()),
            _ => {
                return Err(format!(
                    "`{key}` does not begin a behaviour: `by` or `behaviour` does"
                ));
            }
        }
        self.items.push(item);
        Ok(())
    }

    fn item_line(&mut self, rest: &str) -> Result<(), String> {
        let is_open = self.is_open;
        let Some(item) = self.items.last_mut().filter(|_| is_open) else {
            return Err("it belongs to no behaviour".to_owned());
        };
        let (key, value) = key_value(rest)?;
        let Some(known) = ITEM_KEYS.into_iter().find(|it| *it == key) else {
            return Err(format!("`{key}` is no key of a behaviour"));
        };
        let Some(said) = &mut self.said else {
            return Err("it belongs to no behaviour".to_owned());
        };
        if said.contains(&known) {
            return Err(format!("`{key}` is said twice"));
        }
        said.push(known);
        match key {
            "behaviour" => item.key = quoted(value)?,
            "seen" => item.seen = contexts(value)?,
            "confirmed" => item.is_confirmed = boolean(value)?,
            "denied" => item.is_denied = boolean(value)?,
            // What an agent counted says nothing to another.
            _ => drop(boolean(value)?),
        }
        Ok(())
    }

    /// Whether the latest behaviour says all that it has to.
    fn item_is_whole(&mut self) -> Result<(), String> {
        let (Some(item), Some(said)) = (self.items.last(), self.said.take()) else {
            return Ok(());
        };
        let at = item.line;
        if NEEDED_KEYS.iter().any(|key| !said.contains(key)) {
            return Err(format!("that of line {at} lacks one of {}", NEEDED_KEYS.join(", ")));
        }
        if !item.is_denied && !item.seen.contains(&true) {
            return Err(format!("that of line {at} was seen nowhere and is not denied"));
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Document, String> {
        self.item_is_whole()?;
        let subject = match (self.digest, self.variant, self.service) {
            (Some(digest), Some(variant), None) if is_digest(&digest) => {
                Subject::Image { digest, variant }
            }
            (Some(_), Some(_), None) => return Err("`digest` is no sha256:…".to_owned()),
            (None, None, Some(name)) if !name.is_empty() => Subject::Service { name },
            _ => return Err("a profile has `digest` and `variant`, or `service`".to_owned()),
        };
        let is_image = subject.is_image();
        let lacks =
            |it: &Dimension| it.is_of_service() != is_image && !self.dimensions.contains(it);
        if let Some(dimension) = written().find(lacks) {
            return Err(format!("`{}` is missing", dimension.name()));
        }
        let image = self.image.ok_or("`image` is missing")?;
        Ok(Document { line: self.line, subject, image, items: self.items })
    }
}

/// The dimensions that are written down: how much is used is each host's own.
fn written() -> impl Iterator<Item = Dimension> {
    Dimension::ALL.into_iter().filter(|it| *it != Dimension::Volume)
}

fn is_digest(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    digits.len() == 64 && digits.bytes().all(|it| it.is_ascii_hexdigit())
}

fn key_value(line: &str) -> Result<(&str, &str), String> {
    let (key, value) = line.split_once(':').ok_or("a line is `key: value`")?;
    let is_name = !key.is_empty() && key.bytes().all(|it| it.is_ascii_lowercase());
    if !is_name || !(value.is_empty() || value.starts_with(' ')) {
        return Err("a line is `key: value`, indented as the export has it".to_owned());
    }
    Ok((key, value.trim()))
}

fn quoted(value: &str) -> Result<String, String> {
    let read = serde_json::from_str(value).ok().filter(|_| value.starts_with('"'));
    read.ok_or_else(|| "a text stands in double quotes, escaped as in JSON".to_owned())
}

fn boolean(value: &str) -> Result<bool, String> {
    value.parse().map_err(|_| "it is true or false".to_owned())
}

fn contexts(value: &str) -> Result<[bool; Context::COUNT], String> {
    let inner = value.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let inner = inner.ok_or("contexts stand in brackets: `[start, steady]`")?;
    let mut seen = [false; Context::COUNT];
    for name in inner.split(',').map(str::trim).filter(|_| !inner.trim().is_empty()) {
        let known = Context::ALL.into_iter().find(|it| it.name() == name);
        let context = known.ok_or_else(|| {
            format!("'{name}' is no context: there are start, steady, health and session")
        })?;
        if std::mem::replace(&mut seen[context as usize], true) {
            return Err(format!("{name} is said twice"));
        }
    }
    Ok(seen)
}
