//! `plimsoll alerts`: what broke a rule.

use plimsoll_ebpf::rules::{Rule, Severity};

use super::{
    answer::{self, Look},
    choices,
    exit::{Exit, Failure},
    selection::Selection,
};
use crate::{api::params::Params, query::table::Layout};

/// Show what broke a rule.
///
/// Asks the daemon where it runs, and reads its store otherwise. Oldest first. Values of one
/// option are alternatives; different options must all agree. Alerts that are alike are one
/// within ten seconds, and one more that counts the others. The JSON of an alert has the command
/// that allows the act from now on, as `alert.allow`; `-o falco` prints what falcosidekick takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Only alerts that are as bad as this or worse
    #[arg(long, value_name = "LEVEL", value_parser = choices::severities())]
    severity: Option<Severity>,
    /// Only alerts of this rule
    #[arg(long = "rule", id = "rules", value_name = "RULE", value_parser = choices::rules())]
    rules: Vec<Rule>,
    /// End with exit code 1 if an alert is shown that is as bad as this or worse
    #[arg(long, value_name = "LEVEL", value_parser = choices::severities())]
    fail_on: Option<Severity>,
    #[command(flatten)]
    selection: Selection,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let look = Look { layout: Layout::Alerts, finding: args.fail_on };
    answer::show(&args.selection, args.params(), look)
}

impl Args {
    fn params(&self) -> Params {
        let mut params = self.selection.params();
        params.kinds.push("alert".to_owned());
        if let Some(least) = self.severity {
            let names = Severity::ALL.into_iter().filter(|it| *it >= least).map(Severity::name);
            params.expressions.push(one_of("severity", names));
        }
        if !self.rules.is_empty() {
            params.expressions.push(one_of("rule", self.rules.iter().map(|it| it.info().name)));
        }
        params
    }
}

/// The expression that a field has one of these values.
fn one_of(field: &str, values: impl Iterator<Item = &'static str>) -> String {
    format!("{field} in ({})", values.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse as parsed;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        parsed(line)
    }

    #[test]
    fn a_severity_means_that_and_worse() {
        let args =
            parse("--severity high --rule new_executable --rule setuid_made --where proc.uid");
        let params = args.expect("is right").params();
        assert_eq!(params.kinds, ["alert"]);
        assert_eq!(
            params.expressions,
            ["proc.uid", "severity in (high, critical)", "rule in (new_executable, setuid_made)"]
        );
        assert!(params.query().is_ok(), "{:?}", params.query());
        for level in Severity::ALL.map(Severity::name) {
            let args = parse(&format!("--severity {level} --fail-on {level}")).expect("is right");
            assert!(args.params().query().is_ok(), "{level}");
        }
    }

    #[test]
    fn what_is_no_rule_or_severity_is_refused() {
        assert!(parse("--rule new_exe").is_err());
        assert!(parse("--severity bad").is_err());
        assert!(parse("--fail-on bad").is_err());
    }
}
