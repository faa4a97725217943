//! A behaviour that was learned, with the units, containers and starts that showed it.

use serde::{Deserialize, Serialize};

use super::dimension::Context;

/// Containers remembered of one entry.
pub const MOST_SUPPORTERS: usize = 4;

/// Names that are many, and how many of one container outweigh each of others.
const MANY_NAMES: u32 = 16;

/// Units of one context in which a behaviour was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// How many.
    pub units: u32,
    /// The latest.
    pub last: u64,
}

/// The one container that showed a behaviour in a context, and in one start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lone {
    /// The context.
    pub context: Context,
    /// Hash of its id.
    pub container: u64,
    /// When it was started, in seconds since the Unix epoch; where nobody saw that, the next.
    pub start_s: u64,
    /// When it showed it first, likewise.
    pub since_s: u64,
    /// Of names that became one, how many more than one it showed alone.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub names: u32,
    /// And how many others did.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub others: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(it: &u32) -> bool {
    *it == 0
}

/// A behaviour that was learned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// By context.
    pub seen: [Seen; Context::COUNT],
    /// The first containers that showed it, as hashes of their ids; 0 for none.
    pub supporters: [u64; MOST_SUPPORTERS],
    /// Who alone showed it, of each context in which no other did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lone: Vec<Lone>,
    /// How many names became this one, but for the first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub names: u32,
    /// Starts far enough apart that showed it, at most 2.
    pub starts: u8,
    /// When the latest of them was, in seconds since the Unix epoch.
    pub last_start_s: u64,
    /// When it was seen first, likewise.
    pub first_s: u64,
    /// When it was seen last, likewise.
    pub last_s: u64,
    /// Whether an operator said that it does not belong here: it is told, and never learned.
    #[serde(default)]
    pub is_denied: bool,
    /// Whether it was taken over from the version of the image before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_inherited: bool,
}

/// When and by whom something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// The context.
    pub context: Context,
    /// Number of the unit, which no other of the profile has.
    pub unit: u64,
    /// The container, as a hash of its id.
    pub container: u64,
    /// When it was started, in seconds since the Unix epoch; `None` where nobody saw that.
    pub start_s: Option<u64>,
    /// The moment, likewise.
    pub now_s: u64,
    /// How far two starts must lie apart to be told apart, in seconds.
    pub apart_s: u64,
}

impl Entry {
    /// Whether more than one container, or more than one start, showed it, wherever it was seen.
    pub fn is_confirmed(&self) -> bool {
        let mut seen = Context::ALL.into_iter().filter(|it| self.seen[*it as usize].units > 0);
        let is_seen = self.seen.iter().any(|it| it.units > 0);
        (is_seen || self.has_quorum()) && seen.all(|it| self.is_confirmed_in(it))
    }

    /// The same of one context, or one of those that vouch for it. Health checks are everybody's.
    pub fn is_confirmed_in(&self, context: Context) -> bool {
        context.vouched_by().iter().any(|by| {
            let is_seen = self.seen[*by as usize].units > 0;
            let is_shared = self.has_quorum() && self.lone_in(*by).is_none();
            is_seen && (*by == Context::Health || is_shared)
        })
    }

    /// Whether more than one container, or more than one start, showed it in any context.
    fn has_quorum(&self) -> bool {
        self.starts >= 2 || self.supporters.iter().filter(|it| **it != 0).count() >= 2
    }

    /// Who alone showed it in a context, or nearly all the names that it takes in.
    pub fn lone_in(&self, context: Context) -> Option<&Lone> {
        self.lone.iter().find(|it| it.context == context && it.is_so())
    }

    /// What of it is confirmed; `None` where nothing is.
    pub fn confirmed(&self) -> Option<Self> {
        let mut confirmed = Self { lone: Vec::new(), ..self.clone() };
        for context in Context::ALL.into_iter().filter(|it| !self.is_confirmed_in(*it)) {
            confirmed.seen[context as usize] = Seen::default();
        }
        confirmed.seen.iter().any(|it| it.units > 0).then_some(confirmed)
    }

    /// Says of one that was kept before contexts were told apart who alone showed it.
    pub(super) fn tell_contexts_apart(&mut self) {
        let container = self.supporters[0];
        if container == 0 || self.has_quorum() || !self.lone.is_empty() {
            return;
        }
        let of = |context: Context| {
            let (start_s, since_s) = (self.last_start_s, self.first_s);
            Lone { context, container, start_s, since_s, names: 0, others: 0 }
        };
        let seen = Context::ALL.into_iter().filter(|it| self.seen[*it as usize].units > 0);
        self.lone = seen.filter(|it| *it != Context::Health).map(of).collect();
    }

    /// Units of some contexts.
    pub fn units(&self, contexts: &[Context]) -> u32 {
        contexts.iter().map(|it| self.seen[*it as usize].units).sum()
    }

    /// What was seen after a unit, by these containers; `None` where nothing was.
    pub fn since_unit(&self, unit: u64, containers: &[u64]) -> Option<Self> {
        let seen = self.seen.map(|it| {
            if it.last > unit { Seen { units: 1, last: it.last } } else { Seen::default() }
        });
        let supporters = self.supporters.map(|it| if containers.contains(&it) { it } else { 0 });
        let is_seen = seen.iter().any(|it| it.units > 0);
        let since = Self { seen, supporters, starts: 1, is_inherited: false, ..self.clone() };
        is_seen.then_some(Self { first_s: self.last_s, lone: Vec::new(), ..since })
    }

    pub(super) fn support(&mut self, at: &Occasion, is_first: bool) {
        let (context, container) = (at.context, at.container);
        if is_first && context != Context::Health {
            let (start_s, since_s) = (at.start_s.unwrap_or(at.now_s), at.now_s);
            self.lone.push(Lone { context, container, start_s, since_s, names: 0, others: 0 });
        } else {
            self.lone.retain(|it| it.context != context || !it.is_joined_by(at));
        }
        if !self.supporters.contains(&at.container)
            && let Some(free) = self.supporters.iter_mut().find(|it| **it == 0)
        {
            *free = at.container;
        }
        let start_s = at.start_s.unwrap_or(at.now_s);
        if self.starts == 0 || self.starts < 2 && at.is_apart_from(self.last_start_s) {
            self.starts += 1;
            self.last_start_s = start_s;
        }
    }

    /// Who alone showed either in a context. Where others showed one of them, they vouch for both, since
    /// the name differs each time; but not for many, of which they showed hardly any.
    fn lone_of_both(&self, other: &Self, context: Context) -> Option<Lone> {
        let is_seen = |it: &Self| it.seen[context as usize].units > 0;
        let lone = |it: &Self| it.lone.iter().find(|it| it.context == context).copied();
        match (is_seen(self), is_seen(other)) {
            (true, false) => lone(self),
            (false, _) => lone(other),
            (true, true) => match (lone(self), lone(other)) {
                (Some(own), Some(others)) => Some(own.joined(others)),
                (Some(it), None) => Some(it.beside(other.names)),
                (None, Some(it)) => Some(it.beside(self.names)),
                (None, None) => None,
            },
        }
    }

    pub(super) fn absorb(&mut self, other: &Self) {
        self.lone =
            Context::ALL.into_iter().filter_map(|it| self.lone_of_both(other, it)).collect();
        for (own, others) in self.seen.iter_mut().zip(&other.seen) {
            // Who showed both in one unit showed the joined one in one.
            let is_same_unit = own.units == 1 && others.units == 1 && own.last == others.last;
            own.units = own.units.saturating_add(others.units) - u32::from(is_same_unit);
            own.last = own.last.max(others.last);
        }
        for supporter in other.supporters.into_iter().filter(|it| *it != 0) {
            if !self.supporters.contains(&supporter)
                && let Some(free) = self.supporters.iter_mut().find(|it| **it == 0)
            {
                *free = supporter;
            }
        }
        // What resembles a denied one so much that both become one template is not told from it.
        self.is_denied |= other.is_denied;
        self.is_inherited &= other.is_inherited;
        self.names = self.names.saturating_add(other.names).saturating_add(1);
        self.starts = self.starts.max(other.starts);
        self.last_start_s = self.last_start_s.max(other.last_start_s);
        self.first_s = self.first_s.min(other.first_s);
        self.last_s = self.last_s.max(other.last_s);
    }
}

impl Occasion {
    /// Whether its start is another than one at this moment. That the agent comes anew makes no second
    /// start of who runs on.
    fn is_apart_from(&self, start_s: u64) -> bool {
        self.start_s.is_some_and(|it| it != start_s && it.abs_diff(start_s) >= self.apart_s)
    }
}

impl Lone {
    /// Whether it is no more so than others are.
    fn is_joined_by(&self, at: &Occasion) -> bool {
        // Which of the names others show from now on is not known.
        let is_own = at.container == self.container;
        !is_own && self.others == 0 || is_own && at.is_apart_from(self.start_s)
    }

    /// Whether others showed none of its names, or hardly any of many.
    fn is_so(&self) -> bool {
        let names = self.names.saturating_add(1);
        self.others == 0 || names >= MANY_NAMES && names / MANY_NAMES >= self.others
    }

    fn joined(self, other: Self) -> Self {
        if self.container == other.container {
            return Self {
                start_s: self.start_s.max(other.start_s),
                since_s: self.since_s.min(other.since_s),
                names: self.names.saturating_add(other.names).saturating_add(1),
                others: self.others.saturating_add(other.others),
                ..self
            };
        }
        let (more, less) = if self.names < other.names { (other, self) } else { (self, other) };
        Self { others: more.others.saturating_add(less.others), ..more }.beside(less.names)
    }

    /// The same beside names that others showed, one more than so many.
    fn beside(self, names: u32) -> Self {
        Self { others: self.others.saturating_add(names).saturating_add(1), ..self }
    }
}
