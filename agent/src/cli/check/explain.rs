//! Every setting in effect and where its value comes from.

use std::path::Path;

use serde::Serialize;

use crate::{
    config::{
        load::{Effective, Origin},
        sections::KEYS,
    },
    policy::{configured, exception::Source},
};

/// A setting in effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Setting {
    #[serde(rename = "setting")]
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) origin: String,
}

/// Every setting, in the order of the documentation.
pub(super) fn settings(effective: &Effective) -> Vec<Setting> {
    let value = |(key, origin): (&crate::config::key::Key, &Origin)| Setting {
        name: key.name,
        value: key.written(&(key.show)(&effective.config)),
        origin: describe(origin, effective.file.as_deref()),
    };
    let mut settings: Vec<Setting> = KEYS.iter().zip(&effective.origins).map(value).collect();
    settings.extend(decided(effective));
    settings
}

/// The policies, exceptions and sinks of the file.
fn decided(effective: &Effective) -> Vec<Setting> {
    // A configuration that means nothing was refused when it was loaded.
    let book = configured::book(&effective.config).unwrap_or_default();
    let setting = |name, value, source| {
        let origin = match source {
            Source::Config { line } => Origin::File(line),
            Source::Operator { .. } => Origin::Default,
        };
        Setting { name, value, origin: describe(&origin, effective.file.as_deref()) }
    };
    let policies = book
        .policies
        .iter()
        .map(|it| setting("[[policy]]", format!("{}: {}", it.selector, it.modes), it.source));
    let exceptions = book.exceptions.iter().map(|it| {
        let value = format!("{}: {} {}", it.selector, it.rule.info().name, it.place.as_str());
        setting("[[exception]]", value, it.source)
    });
    let sinks = effective.config.tables.sinks.iter().map(|it| {
        let value = format!("{}: {}, {} or worse", it.name, it.target, it.min_severity.name());
        setting("[[sink]]", value, Source::Config { line: it.line })
    });
    policies.chain(exceptions).chain(sinks).collect()
}

fn describe(origin: &Origin, file: Option<&Path>) -> String {
    match origin {
        Origin::Default => "default".to_owned(),
        Origin::File(line) => {
            let file = file.unwrap_or(Path::new("file"));
            format!("{}:{line}", file.display())
        }
        Origin::Variable(name) => format!("environment {name}"),
        Origin::Flag(flag) => format!("flag {flag}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::Sources;

    #[test]
    fn each_value_tells_its_origin() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(
            file.path(),
            "[store]\nmax_bytes = 2097152\n[[policy]]\nimage = \"a\"\nexec = \"learn\"\n\
             [[sink]]\nname = \"w\"\ntype = \"webhook\"\nurl = \"https://h/s3cret\"\n",
        )
        .expect("written");
        let variables = vec![("PLIMSOLL_PROBE__WINDOW".to_owned(), "60s".to_owned())];
        let sources =
            Sources { file: Some(file.path().to_owned()), variables, ..Sources::default() };
        let values = settings(&sources.load().expect("loads"));
        let of = |name: &str| {
            let value = values.iter().find(|value| value.name == name).expect("is a setting");
            format!("{} {}", value.value, value.origin)
        };
        assert_eq!(of("store.max_bytes"), format!("\"2MiB\" {}:2", file.path().display()));
        assert_eq!(of("probe.window"), "\"1m\" environment PLIMSOLL_PROBE__WINDOW");
        assert_eq!(of("metrics.bpf_stats"), "false default");
        let sink = format!("w: webhook https://h:443, info or worse {}:6", file.path().display());
        assert_eq!(of("[[sink]]"), sink);
        assert_eq!(of("[[policy]]"), format!("image a: exec learn {}:3", file.path().display()));
    }
}
