//! One line of the check: what, found, and where something is wrong, consequence and remedy.

use serde::Serialize;

/// How an item ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// As it should be.
    Pass,
    /// The agent runs, and does less.
    Warn,
    /// The agent does not start, or cannot do its work.
    Fail,
}

/// One line of the check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Item {
    pub(super) what: &'static str,
    pub(super) status: Status,
    pub(super) found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) consequence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

impl Item {
    pub(super) fn pass(what: &'static str, found: impl Into<String>) -> Self {
        let found = found.into();
        Self { what, status: Status::Pass, found, consequence: None, remedy: None }
    }

    pub(super) fn warn(what: &'static str, found: impl Into<String>) -> Self {
        Self { status: Status::Warn, ..Self::pass(what, found) }
    }

    pub(super) fn fail(what: &'static str, found: impl Into<String>) -> Self {
        Self { status: Status::Fail, ..Self::pass(what, found) }
    }

    /// What follows from it.
    pub(super) fn so(self, consequence: impl Into<String>) -> Self {
        Self { consequence: Some(consequence.into()), ..self }
    }

    /// What helps.
    pub(super) fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}
