//! Owns what was decided: takes changes from the command line, keeps them, tells the pipeline.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, atomic::Ordering::Relaxed},
};

use crossbeam_channel::{Sender, TrySendError};

use super::{
    book::{Book, MOST},
    exception::{Exception, Source, Terms, TermsError},
    file::{Saved, set_aside},
    modes::SomeModes,
    selector::Selector,
};

/// Name of the file in the data directory.
const FILE: &str = "policy.json";
/// Use counts are saved, and what could not be saved is tried again, once in this time in
/// nanoseconds.
const SAVE_NS: u64 = 60_000_000_000;

/// Where each new book goes.
pub struct Publisher {
    /// The channel. Only the newest book in it matters.
    pub tell: Sender<Arc<Book>>,
    /// Called after a book went into it.
    pub wake: Box<dyn Fn() + Send + Sync>,
}

/// Why a change is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// There is none of this id.
    #[error("there is no exception '{0}'")]
    NoException(String),
    /// The command line does not change the file.
    #[error(
        "exception '{id}' stands in the configuration file at line {line}: change it there, and restart the agent"
    )]
    Configured {
        /// Its id.
        id: String,
        /// Line of its table.
        line: usize,
    },
    /// There are too many.
    #[error("there are {MOST} {0} already, and no more are kept")]
    Full(&'static str),
    /// It would end before it begins.
    #[error("the exception would be over already")]
    Over,
    /// It is not narrow, or not fit to be shown.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// There is nothing to take back.
    #[error("no mode was set at the command line for {0}")]
    NothingSet(String),
}

/// A change that was made.
#[derive(Debug)]
pub struct Changed<T> {
    /// What was changed.
    pub value: T,
    /// Why it will not outlive the agent, where it will not. It is tried again.
    pub unsaved: Option<String>,
}

/// See the module. Its calls wait for the disk, but for [`Self::is_due`].
pub struct Keeper {
    path: PathBuf,
    publisher: Publisher,
    state: Mutex<State>,
}

struct State {
    book: Arc<Book>,
    /// Whether the file holds less than the book.
    is_unsaved: bool,
    /// Whether the newest book found no room in the channel.
    is_untold: bool,
    /// All uses there were when the file was written last.
    saved_uses: u64,
    tried_ns: u64,
    /// When the next exception expires.
    next_expiry_ns: Option<u64>,
}

/// What an agent with this data directory judges by: the configuration's book, with what was set at
/// the command line.
///
/// # Errors
/// When what was set cannot be read.
pub fn read_book(configured: Book, data_dir: &Path) -> anyhow::Result<Book> {
    let saved = Saved::read(&data_dir.join(FILE))?;
    Ok(match saved {
        Some(saved) => saved.applied_to(configured),
        None => configured,
    })
}

impl Keeper {
    /// Puts the book of the configuration together with what was saved in the data directory. A
    /// file that is damaged is moved aside.
    pub fn open(configured: Book, data_dir: &Path, publisher: Publisher, now_ns: u64) -> Self {
        let path = data_dir.join(FILE);
        let book = match Saved::read(&path) {
            Ok(Some(saved)) => saved.applied_to(configured),
            Ok(None) => configured,
            Err(error) => {
                let aside = set_aside(&path, now_ns).map_or_else(
                    |error| format!("stays where it is ({error})"),
                    |aside| format!("is kept as {}", aside.display()),
                );
                tracing::warn!(
                    "{} is damaged and {aside}: modes and exceptions set at the command line are \
                     lost, those of the configuration hold: {error:#}",
                    path.display(),
                );
                configured
            }
        };
        let state = State {
            is_unsaved: false,
            is_untold: false,
            saved_uses: uses(&book),
            tried_ns: now_ns,
            next_expiry_ns: next_expiry_ns(&book, now_ns),
            book: Arc::new(book),
        };
        Self { path, publisher, state: Mutex::new(state) }
    }

    /// What holds at this moment.
    pub fn book(&self) -> Arc<Book> {
        Arc::clone(&self.state().book)
    }

    /// Sets the modes of classes in some containers.
    ///
    /// # Errors
    /// When there are too many policies.
    pub fn set_modes(
        &self,
        selector: Selector,
        modes: SomeModes,
        now_ns: u64,
    ) -> Result<Changed<()>, ChangeError> {
        let mut state = self.state();
        let book = state.book.with_modes(selector, modes, now_ns);
        if book.policies.len() > MOST {
            return Err(ChangeError::Full("policies"));
        }
        Ok(Changed { value: (), unsaved: self.replace(&mut state, book, now_ns) })
    }

    /// Takes back what the command line set for exactly this selector, for the classes that are
    /// set in `classes`.
    ///
    /// # Errors
    /// When it set nothing.
    pub fn reset_modes(
        &self,
        selector: &Selector,
        classes: SomeModes,
        now_ns: u64,
    ) -> Result<Changed<()>, ChangeError> {
        let mut state = self.state();
        let book = state.book.without_modes(selector, classes);
        if book.policies == state.book.policies {
            return Err(ChangeError::NothingSet(selector.to_string()));
        }
        Ok(Changed { value: (), unsaved: self.replace(&mut state, book, now_ns) })
    }

    /// Adds an exception. One that allows the same to the same containers is replaced, and counted
    /// on.
    ///
    /// # Errors
    /// When it is not narrow, is over, stands in the configuration, or there are too many.
    pub fn allow(&self, terms: Terms, now_ns: u64) -> Result<Changed<Arc<Exception>>, ChangeError> {
        terms.check()?;
        let exception = Exception::new(terms, Source::Operator { made_ns: now_ns });
        if exception.is_expired(now_ns) {
            return Err(ChangeError::Over);
        }
        let mut state = self.state();
        if let Some(earlier) = state.book.exception(&exception.id) {
            operators(earlier)?;
            exception.count(earlier.uses.load(Relaxed), earlier.last_used_ns.load(Relaxed));
        } else if state.book.exceptions.len() >= MOST {
            return Err(ChangeError::Full("exceptions"));
        }
        let exception = Arc::new(exception);
        let book = state.book.with_exception(Arc::clone(&exception));
        Ok(Changed { value: exception, unsaved: self.replace(&mut state, book, now_ns) })
    }

    /// Takes back an exception of the command line.
    ///
    /// # Errors
    /// When there is none of this id, or it stands in the configuration.
    pub fn revoke(&self, id: &str, now_ns: u64) -> Result<Changed<Arc<Exception>>, ChangeError> {
        let mut state = self.state();
        let found = state.book.exception(id).map(Arc::clone);
        let exception = found.ok_or_else(|| ChangeError::NoException(id.to_owned()))?;
        operators(&exception)?;
        let book = state.book.without_exception(id);
        Ok(Changed { value: exception, unsaved: self.replace(&mut state, book, now_ns) })
    }

    /// Whether [`Self::tick`] has something to do. It has not while a change is being made: this
    /// call alone never waits.
    pub fn is_due(&self, now_ns: u64) -> bool {
        let state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        state.is_untold
            || state.next_expiry_ns.is_some_and(|at| at <= now_ns)
            || state.is_time_to_save(now_ns)
    }

    /// Does what is due: tells the book once more when an exception in it has expired, and saves.
    pub fn tick(&self, now_ns: u64) {
        let mut state = self.state();
        let has_expired = state.next_expiry_ns.is_some_and(|at| at <= now_ns);
        if state.is_untold || has_expired {
            state.next_expiry_ns = next_expiry_ns(&state.book, now_ns);
            self.tell(&mut state);
        }
        if state.is_time_to_save(now_ns) {
            self.save(&mut state, now_ns);
        }
    }

    /// Saves what is not saved yet.
    pub fn close(&self, now_ns: u64) {
        let mut state = self.state();
        if state.has_more() {
            self.save(&mut state, now_ns);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A book is replaced as a whole: there is no state in between that a panic could leave.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, state: &mut State, book: Book, now_ns: u64) -> Option<String> {
        state.next_expiry_ns = next_expiry_ns(&book, now_ns);
        state.book = Arc::new(book);
        state.is_unsaved = true;
        self.tell(state);
        self.save(state, now_ns)
    }

    fn tell(&self, state: &mut State) {
        let told = self.publisher.tell.try_send(Arc::clone(&state.book));
        state.is_untold = matches!(told, Err(TrySendError::Full(_)));
        (self.publisher.wake)();
    }

    /// Returns why it could not.
    fn save(&self, state: &mut State, now_ns: u64) -> Option<String> {
        let uses = uses(&state.book);
        state.tried_ns = now_ns;
        match Saved::of(&state.book).write(&self.path) {
            Ok(()) => {
                state.is_unsaved = false;
                state.saved_uses = uses;
                None
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(error, "modes and exceptions are not saved; this is tried again");
                Some(error)
            }
        }
    }
}

impl State {
    /// Whether there is more than the file holds.
    fn has_more(&self) -> bool {
        self.is_unsaved || uses(&self.book) != self.saved_uses
    }

    fn is_time_to_save(&self, now_ns: u64) -> bool {
        // Also where the clock was set back.
        now_ns.abs_diff(self.tried_ns) >= SAVE_NS && self.has_more()
    }
}

fn operators(exception: &Exception) -> Result<(), ChangeError> {
    match exception.source {
        Source::Config { line } => Err(ChangeError::Configured { id: exception.id.clone(), line }),
        Source::Operator { .. } => Ok(()),
    }
}

fn uses(book: &Book) -> u64 {
    book.exceptions.iter().fold(0, |sum, it| sum.wrapping_add(it.uses.load(Relaxed)))
}

fn next_expiry_ns(book: &Book, now_ns: u64) -> Option<u64> {
    let expiries = book.exceptions.iter().filter_map(|it| it.expires_ns);
    expiries.filter(|at| *at > now_ns).min()
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use super::*;

    #[test]
    fn who_asks_what_is_due_does_not_wait_for_the_disk() {
        let dir = tempfile::tempdir().expect("a directory");
        let (tell, _hear) = crossbeam_channel::unbounded();
        let publisher = Publisher { tell, wake: Box::new(|| {}) };
        let keeper = Arc::new(Keeper::open(Book::default(), dir.path(), publisher, 1));
        keeper.state().is_untold = true;
        let (answer, answered) = mpsc::channel();
        let saving = keeper.state();
        let asked = Arc::clone(&keeper);
        thread::spawn(move || answer.send(asked.is_due(1)));
        assert_eq!(answered.recv_timeout(Duration::from_secs(10)), Ok(false));
        drop(saving);
        assert!(keeper.is_due(1));
    }
}
