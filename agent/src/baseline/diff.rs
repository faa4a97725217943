//! What one profile knows and another does not.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    dimension::{Context, Dimension},
    import::{Document, Item},
};

/// How a behaviour differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The second knows it alone.
    Added,
    /// The first knows it alone.
    Removed,
    /// Both know it, in other contexts, or one denies it.
    Changed,
}

impl Change {
    /// As it is shown.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Added => "+",
            Self::Removed => "-",
            Self::Changed => "~",
        }
    }
}

/// A behaviour that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// How.
    pub change: Change,
    /// What it is about.
    pub dimension: Dimension,
    /// Of a path template, who writes it how and where; else empty.
    pub by: String,
    /// The key or template.
    pub behaviour: String,
    /// In which contexts the first knows it.
    pub before: Vec<&'static str>,
    /// In which contexts the second does.
    pub after: Vec<&'static str>,
}

/// What differs, by dimension, in a fixed order.
pub fn diff(a: &Document, b: &Document) -> Vec<Difference> {
    type Pair<'d> = (Option<&'d Item>, Option<&'d Item>);
    let mut all: BTreeMap<(Dimension, &str, &str), Pair<'_>> = BTreeMap::new();
    let place = |it| {
        let Item { dimension, scope, key, .. }: &Item = it;
        (*dimension, scope.as_str(), key.as_str())
    };
    for item in &a.items {
        all.entry(place(item)).or_default().0 = Some(item);
    }
    for item in &b.items {
        all.entry(place(item)).or_default().1 = Some(item);
    }
    let different = all.into_iter().filter_map(|((dimension, by, behaviour), (a, b))| {
        let change = match (a, b) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            (Some(a), Some(b)) if (a.seen, a.is_denied) != (b.seen, b.is_denied) => Change::Changed,
            (Some(_), Some(_)) => return None,
        };
        let (by, behaviour) = (by.to_owned(), behaviour.to_owned());
        let (before, after) = (contexts(a), contexts(b));
        Some(Difference { change, dimension, by, behaviour, before, after })
    });
    different.collect()
}

fn contexts(item: Option<&Item>) -> Vec<&'static str> {
    let Some(item) = item else { return Vec::new() };
    if item.is_denied {
        return vec!["denied"];
    }
    let seen = Context::ALL.into_iter().filter(|it| item.seen[*it as usize]);
    seen.map(Context::name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::subject::Subject;

    fn document(keys: &[(&str, bool)]) -> Document {
        let item = |(key, is_steady): &(&str, bool)| Item {
            line: 0,
            dimension: Dimension::Process,
            scope: String::new(),
            key: (*key).to_owned(),
            seen: [true, *is_steady, false, false],
            is_confirmed: true,
            is_denied: false,
        };
        let subject = Subject::Service { name: "x".to_owned() };
        let items = keys.iter().map(item).collect();
        Document { line: 0, subject, image: String::new(), items }
    }

    #[test]
    fn what_either_knows_alone_or_otherwise_differs() {
        let a = document(&[("/a", true), ("/b", true), ("/c", true)]);
        let b = document(&[("/a", true), ("/c", false), ("/d", true)]);
        let shown: Vec<String> =
            diff(&a, &b).iter().map(|it| format!("{}{}", it.change.sign(), it.behaviour)).collect();
        assert_eq!(shown, ["-/b", "~/c", "+/d"]);
        assert_eq!(diff(&a, &a), []);
    }
}
