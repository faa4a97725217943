//! A directory of templates: names that are said, patterns of names, and what is below each.

use std::collections::BTreeMap;

use super::{mining::Found, pattern::Pattern};

/// Called when two templates become one: the entry that stays and the one that goes.
pub(super) type Merge<'m> = dyn FnMut(u32, u32) + 'm;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    /// By name.
    pub(super) literals: BTreeMap<Box<str>, Node>,
    /// Those are few.
    pub(super) patterns: Vec<(Pattern, Node)>,
    /// The entry of the path that ends here.
    pub(super) leaf: Option<u32>,
    /// Whether more names were seen here than are kept, so that most are taken.
    pub(super) is_open: bool,
}

impl Node {
    /// What is below a name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        let by_pattern = || self.patterns.iter().find(|(pattern, _)| pattern.matches(name));
        self.literals.get(name).or_else(|| by_pattern().map(|(_, node)| node))
    }

    /// What is below a name, made where nothing is; tells whether it was.
    pub(super) fn child_or_new(&mut self, name: &str) -> (&mut Self, bool) {
        self.child_or_made(name, Pattern::at_first_sight)
    }

    /// The same, where a new name is known by this pattern, if there is one.
    pub(super) fn child_or_made(
        &mut self,
        name: &str,
        known_by: impl FnOnce(&str) -> Option<Pattern>,
    ) -> (&mut Self, bool) {
        if self.literals.contains_key(name) {
            return (self.literals.entry(name.into()).or_default(), false);
        }
        if let Some(at) = self.patterns.iter().position(|(pattern, _)| pattern.matches(name)) {
            return (&mut self.patterns[at].1, false);
        }
        if let Some(pattern) = known_by(name) {
            let at = self.place_of(pattern);
            return (&mut self.patterns[at].1, true);
        }
        (self.literals.entry(name.into()).or_default(), true)
    }

    /// The place of a pattern, which takes in others of its shape.
    pub(super) fn place_of(&mut self, pattern: Pattern) -> usize {
        if let Some(at) = self.patterns.iter().position(|(it, _)| it.has_shape_of(&pattern)) {
            self.patterns[at].0.widen(&pattern);
            return at;
        }
        self.patterns.push((pattern, Self::default()));
        self.patterns.len() - 1
    }

    /// Children of either kind.
    pub(super) fn fan_out(&self) -> usize {
        self.literals.len() + self.patterns.len()
    }

    /// Nodes from here down.
    pub(super) fn count(&self) -> usize {
        let below = self.literals.values().chain(self.patterns.iter().map(|(_, node)| node));
        1 + below.map(Self::count).sum::<usize>()
    }

    /// Takes in all that another holds.
    pub(super) fn absorb(&mut self, other: Self, merge: &mut Merge<'_>) {
        match (self.leaf, other.leaf) {
            (Some(stays), Some(goes)) => merge(stays, goes),
            (None, Some(leaf)) => self.leaf = Some(leaf),
            (_, None) => {}
        }
        self.is_open |= other.is_open;
        for (pattern, node) in other.patterns {
            let at = self.place_of(pattern);
            self.patterns[at].1.absorb(node, merge);
        }
        for (name, node) in other.literals {
            self.child_or_new(&name).0.absorb(node, merge);
        }
    }

    /// Has one pattern take in what is below others and below names.
    pub(super) fn pool(&mut self, found: &Found, merge: &mut Merge<'_>) {
        let named = found.names.iter().filter_map(|name| self.literals.remove(name));
        let mut pooled: Vec<Self> = named.collect();
        let is_pooled = |it: &mut (Pattern, Self)| found.patterns.contains(&it.0);
        pooled.extend(self.patterns.extract_if(.., is_pooled).map(|(_, node)| node));
        let at = self.place_of(found.into.clone());
        for node in pooled {
            self.patterns[at].1.absorb(node, merge);
        }
    }
}
