//! Arguments with a closed set of values, which completions know.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use plimsoll_ebpf::rules::{Class, Mode, Rule, Severity};

use crate::{
    api::messages::DEFAULT,
    policy::{names, pattern::Pattern, selector::Selector},
};

/// Which containers are meant.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct SelectorArgs {
    /// Containers of this image: repository:tag, repository for any tag, or sha256:… ; * stands for
    /// anything
    #[arg(long, value_name = "IMAGE", value_parser = Pattern::parse)]
    image: Option<Pattern>,
    /// Containers of this Swarm or compose service
    #[arg(long, value_name = "NAME", value_parser = Pattern::parse)]
    service: Option<Pattern>,
    /// The container of this name, or of an id that begins so
    #[arg(long, value_name = "NAME|ID", value_parser = Pattern::parse)]
    container: Option<Pattern>,
}

impl From<SelectorArgs> for Selector {
    fn from(args: SelectorArgs) -> Self {
        let SelectorArgs { image, service, container } = args;
        Self { image, service, container }
    }
}

/// A mode to set, or to take back what was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// This mode.
    Set(Mode),
    /// What the command line set before is forgotten.
    Default,
}

impl Choice {
    /// As the agent is told.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Set(mode) => mode.name(),
            Self::Default => DEFAULT,
        }
    }
}

/// Modes, and `default`.
pub(super) fn modes() -> impl TypedValueParser<Value = Choice> {
    let help = |mode| match mode {
        Mode::Learn => "Alert only what no image does",
        Mode::Monitor => "Alert every broken rule",
        Mode::Enforce => "Alert every broken rule, and stop the act",
    };
    let value = |mode: Mode| PossibleValue::new(mode.name()).help(help(mode));
    let default = PossibleValue::new(DEFAULT).help("Take back what was set at the command line");
    let values: Vec<PossibleValue> = Mode::ALL.into_iter().map(value).chain([default]).collect();
    PossibleValuesParser::new(values).try_map(|name| {
        if name == DEFAULT { Ok(Choice::Default) } else { names::mode(&name).map(Choice::Set) }
    })
}

/// Classes.
pub(super) fn classes() -> impl TypedValueParser<Value = Class> {
    let help = |class| match class {
        Class::Exec => "Programs, scripts and libraries that run",
        Class::File => "Files that are written, renamed or removed",
        Class::Network => "Peers and ports",
    };
    let value = |class: Class| PossibleValue::new(class.name()).help(help(class));
    PossibleValuesParser::new(Class::ALL.map(value)).try_map(|name| names::class(&name))
}

/// Rules.
pub(super) fn rules() -> impl TypedValueParser<Value = Rule> {
    let value = |rule: &Rule| PossibleValue::new(rule.info().name).help(rule.info().summary);
    let values: Vec<PossibleValue> = Rule::ALL.iter().map(value).collect();
    PossibleValuesParser::new(values).try_map(|name| names::rule(&name))
}

/// Severities.
pub(super) fn severities() -> impl TypedValueParser<Value = Severity> {
    let help = |severity| match severity {
        Severity::Info => "Worth keeping",
        Severity::Low => "Worth a look some day",
        Severity::Medium => "Worth a look today",
        Severity::High => "Worth a look now",
        Severity::Critical => "An intrusion, most likely",
    };
    let value = |it: Severity| PossibleValue::new(it.name()).help(help(it));
    PossibleValuesParser::new(Severity::ALL.map(value)).map(|name| {
        let found = Severity::ALL.into_iter().find(|it| it.name() == name);
        found.expect("other names are refused")
    })
}
