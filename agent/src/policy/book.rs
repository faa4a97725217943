//! Everything that was decided, at one moment.

use std::sync::Arc;

use super::{
    exception::{Exception, Source},
    modes::{Modes, SomeModes},
    selector::Selector,
};
use crate::attribution::container::Container;

/// Most policies, and most exceptions.
pub const MOST: usize = 4096;

/// How the classes are treated in some containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// In which.
    pub selector: Selector,
    /// How; what is not set here is left to the policies before.
    pub modes: SomeModes,
    /// Who decided that.
    pub source: Source,
}

/// What was decided. It does not change once made: a change makes a new one, with the same
/// exceptions, so that they are counted on.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// Modes where no policy says otherwise.
    pub modes: Modes,
    /// A later one wins: those of the configuration in its order, then those of the command line.
    pub policies: Vec<Policy>,
    /// Those of the configuration, then those of the command line; expired ones among them.
    pub exceptions: Vec<Arc<Exception>>,
}

impl Book {
    /// How each class is treated in a container.
    pub fn modes_of(&self, container: &Container) -> Modes {
        let meant = self.policies.iter().filter(|it| it.selector.matches(container));
        meant.fold(self.modes, |modes, policy| modes.overlaid(policy.modes))
    }

    /// The exceptions for a container that hold at this moment since the Unix epoch.
    pub fn exceptions_of(&self, container: &Container, now_ns: u64) -> Vec<Arc<Exception>> {
        let holds = |it: &&Arc<Exception>| !it.is_expired(now_ns) && it.selector.matches(container);
        self.exceptions.iter().filter(holds).map(Arc::clone).collect()
    }

    /// How many exceptions hold at this moment since the Unix epoch.
    pub fn holding(&self, now_ns: u64) -> usize {
        self.exceptions.iter().filter(|it| !it.is_expired(now_ns)).count()
    }

    /// The exception of this id.
    pub fn exception(&self, id: &str) -> Option<&Arc<Exception>> {
        self.exceptions.iter().find(|it| it.id == id)
    }

    /// A book in which the command line sets these modes, last of all. What it had set for the same
    /// selector and classes is forgotten.
    #[must_use]
    pub fn with_modes(&self, selector: Selector, modes: SomeModes, made_ns: u64) -> Self {
        let mut book = self.without_modes(&selector, modes);
        book.policies.push(Policy { selector, modes, source: Source::Operator { made_ns } });
        book
    }

    /// A book in which the command line leaves these classes as they are, for this selector.
    #[must_use]
    pub fn without_modes(&self, selector: &Selector, classes: SomeModes) -> Self {
        let mut book = self.clone();
        for policy in book.operators().filter(|it| it.selector == *selector) {
            policy.modes = SomeModes::of(|class| {
                policy.modes.get(class).filter(|_| classes.get(class).is_none())
            });
        }
        book.policies.retain(|policy| !policy.modes.is_empty());
        book
    }

    /// A book with this exception, in the place of the one with its id.
    #[must_use]
    pub fn with_exception(&self, exception: Arc<Exception>) -> Self {
        let mut book = self.without_exception(&exception.id);
        book.exceptions.push(exception);
        book
    }

    /// A book without the exception of this id.
    #[must_use]
    pub fn without_exception(&self, id: &str) -> Self {
        let mut book = self.clone();
        book.exceptions.retain(|it| it.id != id);
        book
    }

    fn operators(&mut self) -> impl Iterator<Item = &mut Policy> {
        self.policies.iter_mut().filter(|it| matches!(it.source, Source::Operator { .. }))
    }
}
