//! Orders to the kernel side on what is stopped where, and what is let pass all the same.

use anyhow::Context;
use aya::{
    Ebpf,
    maps::{
        HashMap, MapData, MapError,
        lpm_trie::{Key, LpmTrie},
    },
};
use plimsoll_ebpf::{
    orders::{ALLOWED_HEAD_BITS, ALLOWED_PATH_BYTES, Allowed, AllowedPath, Policy},
    rules::Rule,
};

use super::plain::Plain;

/// The maps through which the agent tells its programs what to stop.
pub struct Policies {
    policies: HashMap<MapData, u64, Plain<Policy>>,
    allowed: LpmTrie<MapData, Plain<AllowedPath>, Plain<Allowed>>,
}

/// Paths that a rule does not hold for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paths<'p> {
    /// How they begin, or the whole path; at most [`ALLOWED_PATH_BYTES`] less one byte.
    pub text: &'p [u8],
    /// Whether `text` is the whole path.
    pub is_whole: bool,
    /// How many components they have; 0 for any number.
    pub components: u32,
}

impl Policies {
    /// Takes the maps out of the loaded object.
    pub fn take(ebpf: &mut Ebpf) -> anyhow::Result<Self> {
        let mut take = |name: &'static str| {
            ebpf.take_map(name).with_context(|| format!("the object has no map {name}"))
        };
        Ok(Self { policies: take("POLICIES")?.try_into()?, allowed: take("ALLOWED")?.try_into()? })
    }

    /// Stops acts in a container from now on.
    pub fn stop(&mut self, container: u64, policy: Policy) -> Result<(), MapError> {
        self.policies.insert(container, Plain(policy), 0)
    }

    /// Leaves a container alone.
    pub fn leave(&mut self, container: u64) {
        // It may not have been told to stop anything.
        let _ = self.policies.remove(&container);
    }

    /// Lets acts pass that break a rule, for policies with this set, until a moment since boot.
    pub fn allow(
        &mut self,
        set: u32,
        rule: Rule,
        paths: Paths<'_>,
        until_ns: u64,
    ) -> Result<(), MapError> {
        let value = Allowed { until_ns, components: paths.components, reserved: 0 };
        self.allowed.insert(&key(set, rule, paths), Plain(value), 0)
    }

    /// Ends what [`Self::allow`] began.
    pub fn disallow(&mut self, set: u32, rule: Rule, paths: Paths<'_>) {
        // It may have found no room.
        let _ = self.allowed.remove(&key(set, rule, paths));
    }

    /// Entries in both maps.
    pub fn entries(&self) -> (usize, usize) {
        (self.policies.keys().count(), self.allowed.keys().count())
    }
}

fn key(set: u32, rule: Rule, paths: Paths<'_>) -> Key<Plain<AllowedPath>> {
    let mut path = [0; ALLOWED_PATH_BYTES];
    let bytes = paths.text.len().min(ALLOWED_PATH_BYTES - 1);
    path[..bytes].copy_from_slice(&paths.text[..bytes]);
    let compared = bytes + usize::from(paths.is_whole);
    let bits = ALLOWED_HEAD_BITS + 8 * compared as u32;
    Key::new(bits, Plain(AllowedPath { set, rule: rule as u32, path }))
}
