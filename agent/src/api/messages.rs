//! What is asked and answered about modes and exceptions, as JSON; both sides of the socket use it.

use std::sync::atomic::Ordering::Relaxed;

use plimsoll_ebpf::rules::{Class, Mode};
use serde::{Deserialize, Serialize};

use crate::{
    policy::{
        exception::{Exception, Source, Terms},
        modes::SomeModes,
        names,
        pattern::Pattern,
        place::Place,
        selector::Selector,
    },
    query::moment::{self, rfc3339},
};

/// In the place of a mode: what was set is taken back.
pub const DEFAULT: &str = "default";

/// The body of `POST /v1/modes`. The keys are those of `[[policy]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModesRequest {
    /// See [`Selector`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Pattern>,
    /// See [`Selector`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Pattern>,
    /// See [`Selector`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Pattern>,
    /// A mode, or `default` to take back what was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<String>,
    /// As `exec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// As `exec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}

/// The body of `POST /v1/exceptions`. The keys are those of `[[exception]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionRequest {
    /// See [`Selector`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Pattern>,
    /// See [`Selector`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Pattern>,
    /// See [`Selector`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Pattern>,
    /// Name of the rule.
    pub rule: String,
    /// Where it may be broken.
    pub place: Place,
    /// When that ends, as RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// The answer of `GET /v1/policy`.
#[derive(Debug, Serialize, Deserialize)]
pub struct PolicyAnswer {
    /// Modes where no policy says otherwise.
    pub modes: SomeModes,
    /// Later ones win.
    pub policies: Vec<PolicyLine>,
    /// All, those that have expired among them.
    pub exceptions: Vec<ExceptionLine>,
    /// Those that run.
    pub containers: Vec<ContainerLine>,
}

/// A policy.
#[derive(Debug, Serialize, Deserialize)]
pub struct PolicyLine {
    /// In which containers.
    #[serde(flatten)]
    pub selector: Selector,
    /// What it sets.
    pub modes: SomeModes,
    /// Who decided that.
    #[serde(flatten)]
    pub source: SourceLine,
}

/// An exception.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExceptionLine {
    /// Its id.
    pub id: String,
    /// To which containers.
    #[serde(flatten)]
    pub selector: Selector,
    /// The rule that may be broken.
    pub rule: String,
    /// Where.
    pub place: String,
    /// Why; may be empty.
    pub reason: String,
    /// When it ends, as RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Whether that is past.
    pub expired: bool,
    /// How often something was let pass because of it.
    pub uses: u64,
    /// When that was last, as RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<String>,
    /// Who decided that.
    #[serde(flatten)]
    pub source: SourceLine,
}

/// A running container and the modes in effect there.
#[derive(Debug, Serialize, Deserialize)]
pub struct ContainerLine {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// The modes.
    pub modes: SomeModes,
}

/// Who decided something.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "lowercase")]
pub enum SourceLine {
    /// The configuration file.
    Config {
        /// The line of its table.
        line: usize,
    },
    /// Somebody at the command line.
    Operator {
        /// When, as RFC 3339.
        made: String,
    },
}

/// The answer to a change.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangeAnswer {
    /// The exception, where the change was one of exceptions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<ExceptionLine>,
    /// How many running containers are concerned.
    pub containers: usize,
    /// Why the change will be forgotten when the agent ends, where it will.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsaved: Option<String>,
}

impl ModesRequest {
    /// What is set, and the classes for which it is taken back. Only one of them is not empty.
    pub(super) fn modes(&self) -> Result<(SomeModes, SomeModes), String> {
        let text = |class| match class {
            Class::Exec => self.exec.as_deref(),
            Class::File => self.file.as_deref(),
            Class::Network => self.network.as_deref(),
        };
        let (mut set, mut taken_back) = (SomeModes::default(), SomeModes::default());
        for class in Class::ALL {
            match text(class) {
                None => {}
                Some(DEFAULT) => taken_back.set(class, Some(Mode::default())),
                Some(name) => {
                    set.set(class, Some(names::mode(name).map_err(|error| error.to_string())?));
                }
            }
        }
        match (set.is_empty(), taken_back.is_empty()) {
            (true, true) => Err("no mode is given: set exec, file or network".to_owned()),
            (false, false) => {
                Err("modes are set or taken back, not both in one request".to_owned())
            }
            _ => Ok((set, taken_back)),
        }
    }
}

impl ExceptionRequest {
    pub(super) fn terms(self) -> Result<Terms, String> {
        let expires_ns = self.expires.as_deref().map(moment::parse).transpose();
        Ok(Terms {
            selector: Selector {
                image: self.image,
                service: self.service,
                container: self.container,
            },
            rule: names::rule(&self.rule).map_err(|error| error.to_string())?,
            place: self.place,
            expires_ns: expires_ns.map_err(|error| format!("expires: {error}"))?,
            reason: self.reason,
        })
    }
}

impl ExceptionLine {
    pub(super) fn of(it: &Exception, now_ns: u64) -> Self {
        let last_used_ns = it.last_used_ns.load(Relaxed);
        Self {
            id: it.id.clone(),
            selector: it.selector.clone(),
            rule: it.rule.info().name.to_owned(),
            place: it.place.as_str().to_owned(),
            reason: it.reason.clone(),
            expires: it.expires_ns.map(rfc3339),
            expired: it.is_expired(now_ns),
            uses: it.uses.load(Relaxed),
            last_used: (last_used_ns > 0).then(|| rfc3339(last_used_ns)),
            source: SourceLine::of(it.source),
        }
    }
}

impl SourceLine {
    pub(super) fn of(source: Source) -> Self {
        match source {
            Source::Config { line } => Self::Config { line },
            Source::Operator { made_ns } => Self::Operator { made: rfc3339(made_ns) },
        }
    }
}
