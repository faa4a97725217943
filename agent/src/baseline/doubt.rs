//! Which behaviours vouch for an act, and which are doubted, since only one container showed them.

use super::{
    dimension::Context,
    entries::Entry,
    profile::{Contributor, Profile},
};

/// Units of sessions that a behaviour needs to be known in one.
const LEAST_SESSIONS: u32 = 2;
/// Other containers that have worked long enough without something for it to be doubted, how many
/// units that is, and by how many seconds those may have begun later than it was shown: replicas do
/// not start at once.
const LEAST_DOUBTERS: usize = 2;
const DOUBTING_UNITS: u32 = 24;
const DOUBTING_S: u64 = 3600;

impl Profile {
    /// Whether an entry vouches for an act of a container in a context.
    pub fn vouches(&self, entry: &Entry, context: Context, actor: u64) -> bool {
        let is_enough = |by: &&Context| {
            let least = if **by == Context::Session { LEAST_SESSIONS } else { 1 };
            entry.seen[**by as usize].units >= least
        };
        let mut vouching = context.vouched_by().iter().filter(is_enough);
        !entry.is_denied && vouching.any(|by| !self.is_doubted_in(entry, *by, actor))
    }

    /// Whether only one container ever showed what would vouch for an act, while others did without
    /// it for long.
    pub fn is_doubted(&self, entry: &Entry, context: Context, actor: u64) -> bool {
        let mut seen = context.vouched_by().iter().filter(|by| entry.seen[**by as usize].units > 0);
        seen.any(|by| self.is_doubted_in(entry, *by, actor)) && !self.vouches(entry, context, actor)
    }

    fn is_doubted_in(&self, entry: &Entry, context: Context, actor: u64) -> bool {
        let Some(lone) = entry.lone_in(context) else { return false };
        // Of who showed a few of its names it is not known which.
        if lone.others > 0 && lone.container != actor {
            return false;
        }
        let find = |hash: u64| self.contributors.iter().find(|it| it.hash == hash);
        let (its, acting) = (find(lone.container), find(actor));
        // Who came after it had gone, and does the same, confirms it.
        if let Some((its, acting)) = its.zip(acting)
            && its.last_s != 0
            && its.last_s < acting.first_s
        {
            return false;
        }
        // Who was started otherwise is not expected to do the same, nor is who was not there then: it
        // may be due no sooner than in a week. Of who is remembered no more the role is not known.
        let role = its.or(acting).map(|it| it.role);
        let was_there = |it: &Contributor| {
            let is_dated = it.first_s != 0;
            let is_then = it.first_s <= lone.since_s + DOUBTING_S && it.last_s >= lone.since_s;
            if is_dated { is_then } else { its.is_some() }
        };
        let is_doubter = |it: &&Contributor| {
            let is_like = role.is_none_or(|role| it.role == role) && it.hash != lone.container;
            is_like && it.units >= DOUBTING_UNITS && was_there(it)
        };
        self.contributors.iter().filter(is_doubter).count() >= LEAST_DOUBTERS
    }
}
