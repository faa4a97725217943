//! A metric with all its series, kept in plain atomics and copied when it is read.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use prometheus::proto::{self, LabelPair, MetricType};

use super::roll::Roll;

/// Whether a metric only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Grows until the agent restarts.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// How a series is kept in 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A whole number.
    Whole,
    /// Nanoseconds, shown as seconds.
    Nanoseconds,
    /// The bits of a floating-point number.
    Float,
}

/// Labels with their values, of which the first tells the row apart.
pub type Row = Vec<(&'static str, &'static str)>;

/// The labels of a family and their values.
pub enum Labels {
    /// One series without labels.
    None,
    /// One series for each value of one label.
    Each(&'static str, Vec<&'static str>),
    /// One series for each row: what tells it apart comes first, and what follows from that after it.
    Rows(Vec<Row>),
    /// One series with these labels.
    Fixed(Vec<(&'static str, String)>),
    /// One series for each configured sink, by name and type; one for each value of another label
    /// where there is one.
    Sinks(Vec<[String; 2]>, Option<(&'static str, Vec<&'static str>)>),
    /// One series for each name on a roll; one for each of these rows where there are any.
    Named(&'static str, Roll, Vec<Row>),
}

/// The labels that name a sink.
pub const SINK_LABELS: [&str; 2] = ["sink", "sink_type"];

/// What a metric is.
pub struct Description {
    /// Full name.
    pub name: &'static str,
    /// One or more sentences.
    pub help: &'static str,
    /// Whether it only grows.
    pub kind: Kind,
    /// How its series are kept.
    pub unit: Unit,
}

/// A metric with its series. Updating one is a single relaxed atomic operation.
pub struct Family {
    description: Description,
    labels: Labels,
    cells: Box<[AtomicU64]>,
}

impl Family {
    pub(super) fn new(description: Description, labels: Labels) -> Self {
        let count = match &labels {
            Labels::Each(_, values) => values.len(),
            Labels::Rows(rows) => rows.len(),
            Labels::None | Labels::Fixed(_) => 1,
            Labels::Sinks(sinks, more) => sinks.len() * more.as_ref().map_or(1, |it| it.1.len()),
            Labels::Named(_, _, rows) => Roll::PLACES * rows.len().max(1),
        };
        Self { description, labels, cells: (0..count).map(|_| AtomicU64::new(0)).collect() }
    }

    /// What it is.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Its labels.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Whether it has no series.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Adds to the only series.
    pub fn add(&self, amount: u64) {
        self.add_at(0, amount);
    }

    /// Sets the only series: of a counter that is counted elsewhere, or of a gauge.
    pub fn set(&self, value: u64) {
        self.set_at(0, value);
    }

    /// Adds to the series at an index: for events, [`plimsoll_ebpf::catalog::Kind::index`].
    pub fn add_at(&self, index: usize, amount: u64) {
        if let Some(cell) = self.cells.get(index) {
            cell.fetch_add(amount, Relaxed);
        }
    }

    /// Sets the series at an index.
    pub fn set_at(&self, index: usize, value: u64) {
        if let Some(cell) = self.cells.get(index) {
            cell.store(value, Relaxed);
        }
    }

    /// Takes from the series at an index, down to nothing: of a gauge that several threads change.
    pub fn take_at(&self, index: usize, amount: u64) {
        if let Some(cell) = self.cells.get(index) {
            // It cannot fail: the closure always gives a value.
            let _ = cell.fetch_update(Relaxed, Relaxed, |it| Some(it.saturating_sub(amount)));
        }
    }

    /// Adds to the series with a label value; a value outside the set counts as `unknown`.
    pub fn add_to(&self, value: &str, amount: u64) {
        if let Some(index) = self.index_of(value).or_else(|| self.index_of(super::labels::UNKNOWN))
        {
            self.add_at(index, amount);
        }
    }

    /// Sets the series with a label value.
    pub fn set_to(&self, value: &str, number: u64) {
        if let Some(index) = self.index_of(value) {
            self.set_at(index, number);
        }
    }

    /// Sets the series with a label value to a share or another broken number.
    pub fn set_float_to(&self, value: &str, number: f64) {
        debug_assert_eq!(self.description.unit, Unit::Float, "{}", self.description.name);
        self.set_to(value, number.to_bits());
    }

    /// Sets the only series to a broken number.
    pub fn set_float(&self, number: f64) {
        debug_assert_eq!(self.description.unit, Unit::Float, "{}", self.description.name);
        self.set(number.to_bits());
    }

    /// Index of the series with a label value.
    pub fn index_of(&self, value: &str) -> Option<usize> {
        match &self.labels {
            Labels::Each(_, values) => values.iter().position(|it| *it == value),
            Labels::Rows(rows) => rows.iter().position(|row| row[0].1 == value),
            Labels::None | Labels::Fixed(_) | Labels::Sinks(..) | Labels::Named(..) => None,
        }
    }

    /// Index of the series of a name with a row's value, empty where there are no rows. A name that is
    /// new begins at zero.
    pub fn index_of_name(&self, name: &str, value: &str) -> Option<usize> {
        let Labels::Named(_, roll, rows) = &self.labels else { return None };
        let (count, at) = match rows.as_slice() {
            [] => (1, 0),
            rows => (rows.len(), rows.iter().position(|row| row[0].1 == value)?),
        };
        let (place, is_new) = roll.place(name);
        if is_new {
            (place * count..(place + 1) * count).for_each(|index| self.set_at(index, 0));
        }
        Some(place * count + at)
    }

    /// Adds to the series of a name with a row's value.
    pub fn add_to_name(&self, name: &str, value: &str, amount: u64) {
        if let Some(index) = self.index_of_name(name, value) {
            self.add_at(index, amount);
        }
    }

    /// Sets the series of a name with a row's value.
    pub fn set_to_name(&self, name: &str, value: &str, number: u64) {
        if let Some(index) = self.index_of_name(name, value) {
            self.set_at(index, number);
        }
    }

    /// Whether a name has series of its own.
    pub fn knows(&self, name: &str) -> bool {
        matches!(&self.labels, Labels::Named(_, roll, _) if roll.knows(name))
    }

    /// Forgets all names but these, with their series.
    pub fn keep_names(&self, stays: impl Fn(&str) -> bool) {
        if let Labels::Named(_, roll, _) = &self.labels {
            roll.keep_only(stays);
        }
    }

    /// The same after a while, for what is counted: so that those who look now and then see it.
    pub fn keep_names_for_a_while(&self, now: Instant, stays: impl Fn(&str) -> bool) {
        if let Labels::Named(_, roll, _) = &self.labels {
            roll.keep_for_a_while(now, stays);
        }
    }

    /// Index of the series of a sink, by its place in the configuration, with another label's
    /// value.
    pub fn index_of_sink(&self, sink: usize, value: &str) -> Option<usize> {
        let Labels::Sinks(sinks, Some((_, values))) = &self.labels else { return None };
        let place = values.iter().position(|it| *it == value)?;
        (sink < sinks.len()).then_some(sink * values.len() + place)
    }

    /// What the series at an index shows.
    pub fn value_at(&self, index: usize) -> Option<f64> {
        let bits = self.cells.get(index)?.load(Relaxed);
        Some(match self.description.unit {
            Unit::Whole => bits as f64,
            Unit::Nanoseconds => bits as f64 / 1e9,
            Unit::Float => f64::from_bits(bits),
        })
    }

    /// A copy for the encoder.
    pub(super) fn copy(&self) -> proto::MetricFamily {
        let shown = (0..self.cells.len()).filter(|index| self.is_shown(*index));
        let series = shown.map(|index| {
            let mut metric = proto::Metric::from_label(self.pairs(index));
            let value = self.value_at(index).unwrap_or_default();
            match self.description.kind {
                Kind::Counter => {
                    let mut counter = proto::Counter::default();
                    counter.set_value(value);
                    metric.set_counter(counter);
                }
                Kind::Gauge => {
                    let mut gauge = proto::Gauge::default();
                    gauge.set_value(value);
                    metric.set_gauge(gauge);
                }
            }
            metric
        });
        let mut family = proto::MetricFamily::default();
        family.set_name(self.description.name.to_owned());
        family.set_help(self.description.help.trim().to_owned());
        family.set_field_type(match self.description.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
        });
        family.set_metric(series.collect());
        family
    }

    /// Whether there is such a series: of a name that has gone there is none.
    fn is_shown(&self, index: usize) -> bool {
        match &self.labels {
            Labels::Named(_, roll, rows) => roll.name_at(index / rows.len().max(1)).is_some(),
            Labels::None
            | Labels::Each(..)
            | Labels::Rows(_)
            | Labels::Fixed(_)
            | Labels::Sinks(..) => true,
        }
    }

    fn pairs(&self, index: usize) -> Vec<LabelPair> {
        match &self.labels {
            Labels::None => Vec::new(),
            Labels::Each(name, values) => {
                values.get(index).map(|value| pair(name, value)).into_iter().collect()
            }
            Labels::Rows(rows) => rows
                .get(index)
                .into_iter()
                .flatten()
                .map(|(name, value)| pair(name, value))
                .collect(),
            Labels::Fixed(pairs) => pairs.iter().map(|(name, value)| pair(name, value)).collect(),
            Labels::Sinks(sinks, more) => {
                let per_sink = more.as_ref().map_or(1, |it| it.1.len()).max(1);
                let names = sinks.get(index / per_sink).into_iter().flatten();
                let sink = SINK_LABELS.iter().zip(names).map(|(name, value)| pair(name, value));
                let more = more.iter().map(|(name, values)| pair(name, values[index % per_sink]));
                sink.chain(more).collect()
            }
            Labels::Named(label, roll, rows) => {
                let count = rows.len().max(1);
                let name = roll.name_at(index / count).unwrap_or_default();
                let row = rows.get(index % count).into_iter().flatten();
                let more = row.map(|(name, value)| pair(name, value));
                std::iter::once(pair(label, &name)).chain(more).collect()
            }
        }
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(unit: Unit, labels: Labels) -> Family {
        let description = Description { name: "x_total", help: " X.", kind: Kind::Counter, unit };
        Family::new(description, labels)
    }

    #[test]
    fn a_value_outside_the_set_counts_as_unknown() {
        let family = family(Unit::Whole, Labels::Each("reason", vec!["full", "unknown"]));
        family.add_to("full", 2);
        family.add_to("surprise", 3);
        assert_eq!((family.value_at(0), family.value_at(1)), (Some(2.0), Some(3.0)));
    }

    #[test]
    fn nanoseconds_are_shown_as_seconds() {
        let family = family(Unit::Nanoseconds, Labels::None);
        family.add(1_500_000_000);
        assert_eq!(family.value_at(0), Some(1.5));
    }

    #[test]
    fn each_sink_has_its_series() {
        let sinks = ["a", "b"].map(|name| [name.to_owned(), "file".to_owned()]);
        let more = Some(("result", vec!["delivered", "refused"]));
        let family = family(Unit::Whole, Labels::Sinks(sinks.into(), more));
        let index = family.index_of_sink(1, "refused").expect("there is one");
        family.add_at(index, 7);
        let text = prometheus::TextEncoder::new().encode_to_string(&[family.copy()]);
        let line = "x_total{sink=\"b\",sink_type=\"file\",result=\"refused\"} 7\n";
        assert!(text.expect("encodes").contains(line));
        assert_eq!(family.index_of_sink(2, "refused"), None);
    }

    #[test]
    fn a_name_that_comes_begins_at_zero_and_one_that_goes_has_no_series() {
        let rows = ["low", "high"].map(|it| vec![("severity", it)]);
        let family = family(Unit::Whole, Labels::Named("image", Roll::default(), rows.into()));
        let text = || prometheus::TextEncoder::new().encode_to_string(&[family.copy()]);
        let text = || text().expect("encodes");
        family.add_to_name("web:1", "high", 2);
        assert!(text().contains("x_total{image=\"web:1\",severity=\"high\"} 2\n"), "{}", text());
        assert!(text().contains("x_total{image=\"web:1\",severity=\"low\"} 0\n"));
        family.keep_names(|_| false);
        assert!(!text().contains("web:1"));
        family.add_to_name("db:1", "low", 1);
        assert!(text().contains("x_total{image=\"db:1\",severity=\"high\"} 0\n"));
        assert_eq!(family.index_of_name("db:1", "none"), None);
    }

    #[test]
    fn an_index_beyond_the_set_changes_nothing() {
        let family = family(Unit::Whole, Labels::Each("kind", vec!["exec"]));
        family.add_at(7, 1);
        assert_eq!((family.value_at(0), family.value_at(7)), (Some(0.0), None));
    }
}
