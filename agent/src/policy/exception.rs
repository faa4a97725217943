//! An act that breaks a rule and is allowed all the same: of these containers, at this place.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use plimsoll_ebpf::rules::Rule;
use serde::{Deserialize, Serialize};

use super::{
    names,
    place::{Object, Place, is_broken_with_peer},
    selector::Selector,
};
use crate::stable_hash::stable_hash;

/// Longest reason in bytes.
const MOST_REASON_BYTES: usize = 500;

/// Who decided something, and where that can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The configuration file.
    Config {
        /// Line of its table, from 1.
        line: usize,
    },
    /// Somebody at the command line.
    Operator {
        /// When, in nanoseconds since the Unix epoch.
        made_ns: u64,
    },
}

/// What is allowed, to whom, until when, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// To which containers; never to all.
    #[serde(flatten)]
    pub selector: Selector,
    /// The rule that may be broken.
    #[serde(with = "names::rule_name")]
    pub rule: Rule,
    /// Where it may be broken. Earlier versions knew paths only.
    #[serde(alias = "path")]
    pub place: Place,
    /// When that ends, in nanoseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ns: Option<u64>,
    /// Why; may be empty.
    #[serde(default)]
    pub reason: String,
}

/// Why something is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// It would hold for every container.
    #[error("an exception for every container is too wide: name an image, service or container")]
    Wide,
    /// It would never be used.
    #[error("rule {rule} is broken {with}, not '{place}'", rule = .0.info().name, with = with(*.0), place = .1)]
    Kind(Rule, String),
    /// No act breaks it.
    #[error("rule {} is about a profile as a whole: no exception covers it", .0.info().name)]
    Whole(Rule),
    /// Nobody would read it.
    #[error("a reason has at most {MOST_REASON_BYTES} bytes and no control characters")]
    Reason,
}

/// With what a rule is broken, in words.
const fn with(rule: Rule) -> &'static str {
    if is_broken_with_peer(rule) { "with a peer, such as 10.0.0.0/8:5432/tcp" } else { "at a path" }
}

impl Terms {
    /// Looks whether it is narrow enough and fit to be shown.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self) -> Result<(), TermsError> {
        if self.selector.is_wide() {
            return Err(TermsError::Wide);
        }
        if matches!(self.rule, Rule::ReleaseDiff | Rule::ReplicaDiffers) {
            return Err(TermsError::Whole(self.rule));
        }
        if !self.place.is_for(self.rule) {
            return Err(TermsError::Kind(self.rule, self.place.as_str().to_owned()));
        }
        if self.reason.len() > MOST_REASON_BYTES || self.reason.contains(char::is_control) {
            return Err(TermsError::Reason);
        }
        Ok(())
    }

    /// Twelve hexadecimal digits of what is allowed to whom. Until when and why are left out: the
    /// same exception for another time is the same one.
    fn id(&self) -> String {
        let Selector { image, service, container } = &self.selector;
        let parts = [image, service, container].map(|it| it.as_ref().map_or("", |it| it.as_str()));
        let parts = parts.into_iter().chain([self.rule.info().name, self.place.as_str()]);
        let bytes: Vec<u8> = parts.flat_map(|part| part.bytes().chain([0])).collect();
        format!("{:012x}", stable_hash(&bytes) >> 16)
    }
}

/// An exception, with how often it was used.
#[derive(Debug)]
pub struct Exception {
    /// Short name, the same as long as it allows the same to the same containers.
    pub id: String,
    /// To which containers.
    pub selector: Selector,
    /// The rule that may be broken.
    pub rule: Rule,
    /// Where it may be broken.
    pub place: Place,
    /// When that ends, in nanoseconds since the Unix epoch.
    pub expires_ns: Option<u64>,
    /// Why; may be empty.
    pub reason: String,
    /// Who decided that.
    pub source: Source,
    /// How often something was let pass because of it.
    pub uses: AtomicU64,
    /// When that was last, in nanoseconds since the Unix epoch; 0 for never.
    pub last_used_ns: AtomicU64,
}

impl Exception {
    /// One that was never used.
    pub fn new(terms: Terms, source: Source) -> Self {
        let id = terms.id();
        let Terms { selector, rule, place, expires_ns, reason } = terms;
        let (uses, last_used_ns) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { id, selector, rule, place, expires_ns, reason, source, uses, last_used_ns }
    }

    /// What was agreed.
    pub fn terms(&self) -> Terms {
        Terms {
            selector: self.selector.clone(),
            rule: self.rule,
            place: self.place.clone(),
            expires_ns: self.expires_ns,
            reason: self.reason.clone(),
        }
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now_ns: u64) -> bool {
        self.expires_ns.is_some_and(|expires_ns| expires_ns <= now_ns)
    }

    /// Whether it lets this pass, in a container that it is for.
    pub fn covers(&self, rule: Rule, object: Object<'_>) -> bool {
        self.rule == rule && self.place.matches(object)
    }

    /// Counts that it let something pass `times` times, the last time at `now_ns`.
    pub fn count(&self, times: u64, now_ns: u64) {
        self.uses.fetch_add(times, Relaxed);
        self.last_used_ns.fetch_max(now_ns, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::pattern::Pattern;

    fn terms(image: Option<&str>, path: &str) -> Terms {
        let image = image.map(|it| Pattern::parse(it).expect("is a pattern"));
        Terms {
            selector: Selector { image, ..Selector::default() },
            rule: Rule::WriteOutsideVolumes,
            place: Place::parse(path).expect("is a place"),
            expires_ns: None,
            reason: "cache".to_owned(),
        }
    }

    #[test]
    fn an_exception_is_for_somebody_in_particular() {
        assert_eq!(terms(None, "/a").check(), Err(TermsError::Wide));
        assert_eq!(terms(Some("**"), "/a").check(), Err(TermsError::Wide));
        assert_eq!(terms(Some("nginx"), "/a").check(), Ok(()));
        let peers = Place::parse("*:53").expect("are peers");
        let wrong = Terms { place: peers, ..terms(Some("x"), "/a") }.check();
        let error = wrong.expect_err("is of another kind").to_string();
        assert_eq!(error, "rule write_outside_volumes is broken at a path, not '*:53'");
        let whole = Terms { rule: Rule::ReleaseDiff, ..terms(Some("x"), "/a") }.check();
        assert_eq!(whole, Err(TermsError::Whole(Rule::ReleaseDiff)));
        let reason = "a\nb".to_owned();
        assert_eq!(Terms { reason, ..terms(Some("x"), "/a") }.check(), Err(TermsError::Reason));
    }

    #[test]
    fn the_id_tells_what_is_allowed_to_whom() {
        let source = Source::Operator { made_ns: 1 };
        let id = |terms| Exception::new(terms, source).id;
        let first = id(terms(Some("nginx"), "/a"));
        assert_eq!((first.len(), &first), (12, &id(terms(Some("nginx"), "/a"))));
        let longer =
            Terms { expires_ns: Some(9), reason: String::new(), ..terms(Some("nginx"), "/a") };
        assert_eq!(first, id(longer));
        assert_ne!(first, id(terms(Some("nginx"), "/b")));
        let service = Pattern::parse("nginx").ok();
        let selector = Selector { service, ..Selector::default() };
        assert_ne!(first, id(Terms { selector, ..terms(Some("nginx"), "/a") }));
    }

    #[test]
    fn it_covers_its_rule_at_its_path_until_it_expires() {
        let terms = Terms { expires_ns: Some(100), ..terms(Some("nginx"), "/a/*") };
        let exception = Exception::new(terms, Source::Config { line: 1 });
        assert!(exception.covers(Rule::WriteOutsideVolumes, Object::Path(b"/a/b")));
        assert!(!exception.covers(Rule::NewExecutable, Object::Path(b"/a/b")));
        assert!(!exception.is_expired(99) && exception.is_expired(100));
        exception.count(3, 50);
        exception.count(1, 40);
        let used = [&exception.uses, &exception.last_used_ns].map(|it| it.load(Relaxed));
        assert_eq!(used, [4, 50]);
    }
}
