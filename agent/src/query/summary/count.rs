//! Counts by the values of fields, in bounded memory.
//!
//! Groups are counted exactly until there are too many of them. Then the smaller half is given up,
//! and the largest count that was given up is added to how far any count may be too low: groups
//! that are frequent stay, and the answer says how wrong it may be.

use std::collections::HashMap;

use plimsoll_ebpf::{catalog::FieldInfo, value::Value};
use serde_json::{Map, Value as Json};

use super::Amount;
use crate::{fields::Fields, query::json::json};

/// Groups that are kept at once.
const MAX_GROUPS: usize = 50_000;
/// Bytes of their keys that are kept at once.
const MAX_BYTES: usize = 8 << 20;

/// See the module.
pub(super) struct Counter {
    fields: Vec<&'static FieldInfo>,
    /// Groups that are told, most first.
    limit: usize,
    groups: HashMap<Box<[u8]>, Group>,
    key_bytes: usize,
    bounds: Bounds,
    given_up: Amount,
    /// By how much a count that is told may be too low.
    short_by: u64,
    key: Vec<u8>,
}

struct Bounds {
    groups: usize,
    bytes: usize,
}

struct Group {
    values: Box<[Json]>,
    amount: Amount,
}

impl Counter {
    pub(super) fn new(fields: Vec<&'static FieldInfo>, limit: Option<u64>) -> Self {
        Self {
            fields,
            limit: limit.map_or(usize::MAX, |it| it.try_into().unwrap_or(usize::MAX)),
            groups: HashMap::new(),
            key_bytes: 0,
            bounds: Bounds { groups: MAX_GROUPS, bytes: MAX_BYTES },
            given_up: Amount::default(),
            short_by: 0,
            key: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, fields: &impl Fields) {
        self.key.clear();
        for field in &self.fields {
            put_key(&mut self.key, fields.get(field.name));
        }
        let amount = Amount::of(fields);
        if let Some(group) = self.groups.get_mut(self.key.as_slice()) {
            group.amount.add(amount);
            return;
        }
        let value = |field: &&FieldInfo| fields.get(field.name).map_or(Json::Null, json);
        let values = self.fields.iter().map(value).collect();
        self.key_bytes += self.key.len();
        self.groups.insert(self.key.as_slice().into(), Group { values, amount });
        if self.groups.len() > self.bounds.groups || self.key_bytes > self.bounds.bytes {
            self.give_up_half();
        }
    }

    /// Forgets the half of the groups that are counted least.
    fn give_up_half(&mut self) {
        let mut counts: Vec<u64> = self.groups.values().map(|it| it.amount.count).collect();
        let half = counts.len() / 2;
        let (_, &mut least, _) = counts.select_nth_unstable(half);
        // Of those that are as frequent as the one in the middle, as many as make it half.
        let mut ties = half - counts.iter().filter(|it| **it < least).count();
        let (given_up, key_bytes) = (&mut self.given_up, &mut self.key_bytes);
        let mut most = 0;
        self.groups.retain(|key, group| {
            let is_tie = group.amount.count == least && ties > 0;
            let stays = group.amount.count >= least && !is_tie;
            if !stays {
                ties -= usize::from(is_tie);
                most = most.max(group.amount.count);
                given_up.add(group.amount);
                *key_bytes -= key.len();
            }
            stays
        });
        self.short_by = self.short_by.saturating_add(most);
    }

    pub(super) fn end(self) -> (Vec<Map<String, Json>>, Option<String>) {
        let mut groups: Vec<(Box<[u8]>, Group)> = self.groups.into_iter().collect();
        groups.sort_unstable_by(|(one, a), (other, b)| {
            b.amount.count.cmp(&a.amount.count).then_with(|| one.cmp(other))
        });
        let rest = groups.split_off(self.limit.min(groups.len()));
        let mut lines: Vec<Map<String, Json>> =
            groups.into_iter().map(|(_, group)| line(&self.fields, group)).collect();
        let mut others = self.given_up;
        for (_, group) in &rest {
            others.add(group.amount);
        }
        if others.observations > 0 {
            lines.push(others_line(others, rest.len()));
        }
        let notice = (self.given_up.observations > 0).then(|| {
            format!(
                "there are more groups than are kept: {} observations are counted as others, and a count may be too low by up to {}",
                self.given_up.observations, self.short_by
            )
        });
        (lines, notice)
    }
}

/// Appends a value to a key, so that no two lists of values have the same key.
fn put_key(key: &mut Vec<u8>, value: Option<Value<'_>>) {
    let start = key.len();
    key.extend_from_slice(&[0; 4]);
    match value {
        None => {}
        Some(Value::Text(bytes) | Value::Path(bytes) | Value::List(bytes)) => {
            key.push(1);
            key.extend_from_slice(bytes);
        }
        Some(value) => {
            use std::io::Write;
            key.push(1);
            // Writing to a vector cannot fail.
            let _ = write!(key, "{value}");
        }
    }
    let length = (key.len() - start - 4) as u32;
    key[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

fn line(fields: &[&'static FieldInfo], group: Group) -> Map<String, Json> {
    let names = fields.iter().map(|field| field.name.to_owned());
    let by: Map<String, Json> = names.zip(group.values).collect();
    let mut line = Map::new();
    group.amount.put(&mut line);
    line.insert("by".to_owned(), by.into());
    line
}

/// What is not told by itself; `groups` of it are known.
fn others_line(amount: Amount, groups: usize) -> Map<String, Json> {
    let mut line = Map::new();
    amount.put(&mut line);
    line.insert("by".to_owned(), Json::Null);
    line.insert("other_groups".to_owned(), groups.into());
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{attribution::fields, store::sample::Sample};

    fn counted(by: &[&str], limit: Option<u64>, numbers: impl Iterator<Item = u64>) -> Counter {
        let fields = by.iter().map(|name| fields::by_name(name).expect("is a field")).collect();
        let mut counter = Counter::new(fields, limit);
        let sample = Sample::new();
        numbers.for_each(|number| sample.with(number, |it| counter.add(it)));
        counter
    }

    fn told(counter: Counter) -> Vec<String> {
        counter.end().0.into_iter().map(|it| Json::Object(it).to_string()).collect()
    }

    #[test]
    fn groups_are_counted_most_first_and_the_rest_is_told_as_such() {
        assert_eq!(
            told(counted(&["kind"], None, 0..10)),
            [
                r#"{"count":4,"observations":4,"by":{"kind":"exec"}}"#,
                r#"{"count":4,"observations":4,"by":{"kind":"file_write"}}"#,
                r#"{"count":2,"observations":2,"by":{"kind":"connect"}}"#,
            ]
        );
        assert_eq!(
            told(counted(&["kind"], Some(1), 0..10))[1],
            r#"{"count":6,"observations":6,"by":null,"other_groups":2}"#
        );
    }

    #[test]
    fn what_has_no_value_is_a_group_and_types_stay() {
        let lines = told(counted(&["net.rport", "net.proto"], None, 0..5));
        assert_eq!(
            lines[0],
            r#"{"count":4,"observations":4,"by":{"net.rport":null,"net.proto":null}}"#
        );
        assert_eq!(
            lines[1],
            r#"{"count":1,"observations":1,"by":{"net.rport":443,"net.proto":"tcp"}}"#
        );
    }

    #[test]
    fn beyond_the_bound_the_frequent_stay_and_the_answer_says_how_wrong_it_may_be() {
        // Of 997 files one is written as often as all others together.
        let frequent = std::iter::repeat_n(3, 4000);
        let rare = (0..5000).filter(|it| it % 5 > 2);
        let mut counter = counted(&["file.path"], None, std::iter::empty());
        counter.bounds.groups = 100;
        let sample = Sample::new();
        let mixed = frequent.zip(rare.cycle()).flat_map(|(one, other)| [one, other]);
        mixed.for_each(|number| sample.with(number, |it| counter.add(it)));
        assert!(counter.groups.len() <= 100);
        let (lines, notice) = counter.end();
        let count = |line: &Map<String, Json>| line["count"].as_u64().unwrap_or_default();
        assert_eq!(lines[0]["by"]["file.path"], "/var/lib/app/file-3");
        assert!(count(&lines[0]) >= 4000, "{:?}", lines[0]);
        assert_eq!(lines.iter().map(count).sum::<u64>(), 8000, "nothing is lost without a word");
        let notice = notice.expect("says so");
        assert!(notice.contains("too low by up to"), "{notice}");
    }

    #[test]
    fn long_keys_count_against_the_bound_too() {
        let mut counter = counted(&["proc.args"], None, std::iter::empty());
        counter.bounds.bytes = 1000;
        let sample = Sample::new();
        (0..900).for_each(|number| sample.with(number, |it| counter.add(it)));
        assert!(counter.key_bytes <= 1000);
        let kept: usize = counter.groups.keys().map(|key| key.len()).sum();
        assert_eq!(counter.key_bytes, kept);
    }

    #[test]
    fn no_two_lists_of_values_have_one_key() {
        let key = |values: [Option<&[u8]>; 2]| {
            let mut key = Vec::new();
            for it in values {
                put_key(&mut key, it.map(Value::Text));
            }
            key
        };
        assert_ne!(key([Some(b"ab"), Some(b"c")]), key([Some(b"a"), Some(b"bc")]));
        assert_ne!(key([Some(b""), None]), key([None, Some(b"")]));
    }
}
