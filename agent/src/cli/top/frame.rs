//! What is shown: rows made of two looks, in an order, through a filter.

use std::{cmp::Ordering, collections::HashMap};

use clap::ValueEnum;
use plimsoll_ebpf::{rules::Class, value::readable};
use serde_json::{Map, Value as Json, json};

use super::watch::Seen;
use crate::{api::activity::AtWork, attribution::roster::Acts, policy::modes::SomeModes};

/// By what rows are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Sort {
    /// All acts a second.
    Rate,
    /// Programs a second.
    Exec,
    /// Writes a second.
    Write,
    /// Connects a second.
    Connect,
    /// Name of the container.
    Name,
    /// Image.
    Image,
}

impl Sort {
    const ALL: [Self; 6] =
        [Self::Rate, Self::Exec, Self::Write, Self::Connect, Self::Name, Self::Image];

    /// As it is shown.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Exec => "exec",
            Self::Write => "write",
            Self::Connect => "connect",
            Self::Name => "name",
            Self::Image => "image",
        }
    }
}

/// A container.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub id: String,
    pub name: String,
    pub image: String,
    pub service: String,
    pub profile: String,
    pub modes: SomeModes,
    /// Execs, writes and connects a second; `None` before the second look.
    pub rates: Option<[f64; 3]>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Frame {
    seen: Seen,
    rates: HashMap<String, [f64; 3]>,
    sort: Sort,
    is_turned: bool,
    pub(super) filter: String,
    /// Whether keys are letters of the filter.
    pub(super) is_typing: bool,
    /// Rows above the first that is shown.
    pub(super) above: usize,
    /// Why the agent does not answer, while it does not.
    pub(super) trouble: Option<String>,
}

impl Frame {
    pub(super) fn new(sort: Sort, filter: String) -> Self {
        Self {
            seen: Seen::default(),
            rates: HashMap::new(),
            sort,
            is_turned: false,
            filter,
            is_typing: false,
            above: 0,
            trouble: None,
        }
    }

    /// Shows what was seen now; rates are those since the look before.
    pub(super) fn show(&mut self, seen: Seen) {
        let before: HashMap<&str, Acts> =
            self.seen.activity.containers.iter().map(|it| (it.id.as_str(), it.acts)).collect();
        let passed_ns = seen.activity.now_ns.saturating_sub(self.seen.activity.now_ns);
        let is_first = self.seen.activity.now_ns == 0 || passed_ns == 0;
        let rates = |it: &AtWork| {
            let before = before.get(it.id.as_str()).copied().unwrap_or_default();
            let rate = |now: u64, before: u64| {
                // After a restart of the agent the counts begin anew.
                now.saturating_sub(before) as f64 / (passed_ns as f64 / 1e9)
            };
            let (now, before) = (it.acts, before);
            [
                rate(now.exec, before.exec),
                rate(now.write, before.write),
                rate(now.connect, before.connect),
            ]
        };
        self.rates = if is_first {
            HashMap::new()
        } else {
            seen.activity.containers.iter().map(|it| (it.id.clone(), rates(it))).collect()
        };
        self.seen = seen;
        self.trouble = None;
        self.scroll(0);
    }

    /// The agent does not answer; what was seen last stays.
    pub(super) fn lose(&mut self, why: String) {
        self.trouble = Some(why);
    }

    /// Sorts by the next column.
    pub(super) fn sort_next(&mut self) {
        let at = Sort::ALL.iter().position(|it| *it == self.sort).unwrap_or_default();
        self.sort = Sort::ALL[(at + 1) % Sort::ALL.len()];
        self.above = 0;
    }

    /// Turns the order round.
    pub(super) fn turn(&mut self) {
        self.is_turned = !self.is_turned;
    }

    /// By what it is sorted, as it is shown.
    pub(super) fn order(&self) -> String {
        format!("{}{}", self.sort.name(), if self.is_turned { " turned" } else { "" })
    }

    /// Moves by so many rows.
    pub(super) fn scroll(&mut self, rows: isize) {
        let last = self.rows().len().saturating_sub(1);
        self.above = self.above.saturating_add_signed(rows).min(last);
    }

    /// When it was seen, in nanoseconds since the Unix epoch.
    pub(super) fn now_ns(&self) -> u64 {
        self.seen.activity.now_ns
    }

    /// Containers that run, whether the filter shows them or not.
    pub(super) fn count(&self) -> usize {
        self.seen.activity.containers.len()
    }

    /// The latest alerts of the containers that are shown, the newest first.
    pub(super) fn alerts(&self) -> impl Iterator<Item = &Map<String, Json>> {
        let text = |alert: &Map<String, Json>, name| {
            let found = crate::query::table::find(alert, name).and_then(Json::as_str);
            found.unwrap_or_default().to_owned()
        };
        self.seen.alerts.iter().filter(move |alert| {
            ["ctr.name", "ctr.image", "swarm.service", "compose.service"]
                .iter()
                .any(|name| self.is_asked(&text(alert, name)))
        })
    }

    fn is_asked(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.filter.to_lowercase())
    }

    /// The rows in their order.
    pub(super) fn rows(&self) -> Vec<Row> {
        let row = |it: &AtWork| {
            let plain = |text: &str| readable(text.as_bytes()).into_owned();
            let profile = self.seen.profiles.get(&it.subject).map_or("-", String::as_str);
            Row {
                id: it.id.clone(),
                name: plain(if it.name.is_empty() { &it.id } else { &it.name }),
                image: plain(&it.image),
                service: plain(&it.service),
                profile: plain(profile),
                modes: it.modes,
                rates: self.rates.get(&it.id).copied(),
            }
        };
        let mut rows: Vec<Row> = self.seen.activity.containers.iter().map(row).collect();
        rows.retain(|it| [&it.name, &it.image, &it.service].iter().any(|it| self.is_asked(it)));
        rows.sort_by(|a, b| {
            let order = self.compare(a, b);
            let order = if self.is_turned { order.reverse() } else { order };
            order.then_with(|| (&a.name, &a.id).cmp(&(&b.name, &b.id)))
        });
        rows
    }

    /// The busiest first, names from their beginning.
    fn compare(&self, a: &Row, b: &Row) -> Ordering {
        let rate = |row: &Row, of: usize| row.rates.unwrap_or_default()[of];
        let busier = |of: usize| rate(b, of).total_cmp(&rate(a, of));
        let sum = |row: &Row| row.rates.unwrap_or_default().iter().sum::<f64>();
        match self.sort {
            Sort::Rate => sum(b).total_cmp(&sum(a)),
            Sort::Exec => busier(0),
            Sort::Write => busier(1),
            Sort::Connect => busier(2),
            Sort::Name => a.name.cmp(&b.name),
            Sort::Image => a.image.cmp(&b.image),
        }
    }

    /// The rows as objects.
    pub(super) fn objects(&self) -> Vec<Json> {
        let rate = |rates: Option<[f64; 3]>, of: usize| rates.map(|it| it[of]);
        let object = |it: Row| {
            json!({
                "id": it.id, "name": it.name, "image": it.image, "service": it.service,
                "profile": it.profile, "modes": it.modes,
                "exec_per_s": rate(it.rates, 0),
                "write_per_s": rate(it.rates, 1),
                "connect_per_s": rate(it.rates, 2),
            })
        };
        self.rows().into_iter().map(object).collect()
    }
}

/// The modes in three letters: of programs, files and network.
pub(super) fn letters(modes: SomeModes) -> String {
    let letter = |class| modes.get(class).map_or("-", |mode| &mode.name()[..1]);
    Class::ALL.map(letter).join(" ")
}
