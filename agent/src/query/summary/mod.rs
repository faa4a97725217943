//! Answers that say how much there is instead of what: counts by fields, and counts over time.
//!
//! Observations are looked at one by one and forgotten; what is kept of them has a bound.

mod count;
mod histogram;

use std::ops::ControlFlow;

use plimsoll_ebpf::{catalog::FieldInfo, value::Value};
use serde_json::{Map, Value as Json};

use self::{count::Counter, histogram::Histogram};
use super::search::{Answer, Query, Tell};
use crate::{
    fields::Fields,
    store::{error::StoreError, reader::Reader},
};

/// What is told instead of observations.
#[derive(Clone, Debug)]
pub enum Summary {
    /// How many there are of each combination of values of these fields, most first.
    CountBy(Vec<&'static FieldInfo>),
    /// How many there are in each interval, in order of time.
    Histogram {
        /// Length of an interval in nanoseconds; chosen by what is found where absent.
        every_ns: Option<u64>,
    },
}

/// What is made of observations.
enum Made {
    Counts(Counter),
    Histogram(Histogram),
}

/// How many observations there are, and how many occurrences they stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    observations: u64,
    count: u64,
}

impl Amount {
    fn of(fields: &impl Fields) -> Self {
        let count = match fields.get("count") {
            Some(Value::Number(count)) => count,
            _ => 1,
        };
        Self { observations: 1, count }
    }

    fn add(&mut self, other: Self) {
        self.observations = self.observations.saturating_add(other.observations);
        self.count = self.count.saturating_add(other.count);
    }

    fn put(self, object: &mut Map<String, Json>) {
        object.insert("count".to_owned(), self.count.into());
        object.insert("observations".to_owned(), self.observations.into());
    }
}

impl Summary {
    fn begin(&self, limit: Option<u64>) -> Made {
        match self {
            Self::CountBy(fields) => Made::Counts(Counter::new(fields.clone(), limit)),
            Self::Histogram { every_ns } => Made::Histogram(Histogram::new(*every_ns)),
        }
    }
}

impl Made {
    fn add(&mut self, ts_ns: u64, fields: &impl Fields) {
        match self {
            Self::Counts(counter) => counter.add(fields),
            Self::Histogram(histogram) => histogram.add(ts_ns, fields),
        }
    }

    /// The lines of the answer, and what has to be said of them.
    fn end(self) -> (Vec<Map<String, Json>>, Option<String>) {
        match self {
            Self::Counts(counter) => counter.end(),
            Self::Histogram(histogram) => histogram.end(),
        }
    }
}

/// Answers a query by its summary. What was counted until `tell` breaks is told all the same: it
/// then says by itself that there is more.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn run(
    reader: &mut Reader,
    query: &Query,
    summary: &Summary,
    tell: &mut Tell<'_>,
) -> Result<(), StoreError> {
    let mut scan = reader.scan(query.filter.request(query.since_ns, query.until_ns))?;
    let filter = query.filter.rest();
    let mut made = summary.begin(query.limit);
    let mut told_at = 0;
    while let Some(found) = scan.next() {
        let told = match found {
            Ok(row) => {
                if filter.matches(&row) {
                    made.add(row.ts_ns(), &row);
                }
                if scan.opened() > told_at {
                    told_at = scan.opened();
                    tell(Answer::At(row.ts_ns()))
                } else {
                    ControlFlow::Continue(())
                }
            }
            Err(damage) => tell(Answer::Damage(damage)),
        };
        if told.is_break() {
            break;
        }
    }
    let (lines, notice) = made.end();
    if let Some(notice) = notice {
        let _ = tell(Answer::Notice(notice));
    }
    for line in lines {
        if tell(Answer::Line(line)).is_break() {
            break;
        }
    }
    Ok(())
}
