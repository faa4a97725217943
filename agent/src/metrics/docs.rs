//! The documentation page of the metrics, from their list.

use std::fmt::Write;

use super::{
    family::{Family, Kind, Labels, SINK_LABELS},
    names::Metrics,
};

/// `docs/metrics.md`
pub fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         Served in the text format of Prometheus at `/metrics` on `metrics.listen` \
         (see [config.md](config.md)), beside `/healthz`, which answers 200 while what the kernel \
         reports reaches the store and 503 with the reason while it does not.\n\n\
         Labels take their values from closed sets, or are names of images and services, in bounded \
         number: never a path, an address, a process or a container. Every series is there from the \
         start at 0, those of an image or service from its first container on, so that `increase()` \
         sees the first occurrence.\n\n\
         | metric | type | labels | meaning |\n| --- | --- | --- | --- |\n",
    );
    let metrics = Metrics::new();
    for family in metrics.families() {
        let it = family.description();
        let kind = match it.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let _ = writeln!(
            page,
            "| `{}` | {kind} | {} | {} |",
            it.name,
            label_names(family),
            it.help.trim()
        );
    }
    page += "\n## Labels\n\n| label | values |\n| --- | --- |\n";
    let mut told = Vec::new();
    for family in metrics.families() {
        for (label, values) in value_sets(family.labels()) {
            if told.contains(&(label, values.clone())) {
                continue;
            }
            let quoted: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            let of = if label == "reason" {
                format!(" of `{}`", family.description().name)
            } else {
                String::new()
            };
            let _ = writeln!(page, "| `{label}`{of} | {} |", quoted.join(", "));
            told.push((label, values));
        }
    }
    page += "| `image`, `service` | those of containers that run, and for what is counted ten minutes \
             more; at most 48 of each on a node, all beyond are `other`. A service is a Swarm service, or `PROJECT.SERVICE` of compose; other \
             containers are counted by image alone |\n";
    page += "| `sink`, `sink_type` | the configured sinks; without any there is no series |\n";
    page += "\n<!-- Generated from agent/src/metrics/names.rs: \
             UPDATE_DOCS=1 cargo test -p plimsoll metrics -->\n";
    page
}

/// Labels with the values that they may have, where those are a set.
fn value_sets(labels: &Labels) -> Vec<(&'static str, Vec<&'static str>)> {
    match labels {
        Labels::None | Labels::Fixed(_) | Labels::Sinks(_, None) => Vec::new(),
        Labels::Each(label, values) | Labels::Sinks(_, Some((label, values))) => {
            vec![(label, values.clone())]
        }
        Labels::Rows(rows) | Labels::Named(.., rows) => {
            let mut sets: Vec<(&str, Vec<&str>)> = Vec::new();
            for &(label, value) in rows.iter().flatten() {
                match sets.iter_mut().find(|(known, _)| *known == label) {
                    None => sets.push((label, vec![value])),
                    Some((_, values)) if !values.contains(&value) => values.push(value),
                    Some(_) => {}
                }
            }
            sets
        }
    }
}

fn label_names(family: &Family) -> String {
    match family.labels() {
        Labels::None => String::new(),
        Labels::Each(label, _) => format!("`{label}`"),
        Labels::Rows(rows) => {
            let names = rows.first().into_iter().flatten().map(|(name, _)| format!("`{name}`"));
            names.collect::<Vec<_>>().join(", ")
        }
        Labels::Fixed(pairs) => {
            let names: Vec<String> = pairs.iter().map(|(name, _)| format!("`{name}`")).collect();
            names.join(", ")
        }
        Labels::Named(label, _, rows) => {
            let more = rows.first().into_iter().flatten().map(|(name, _)| name);
            let names = std::iter::once(label).chain(more);
            names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        }
        Labels::Sinks(_, more) => {
            let more = more.iter().map(|(name, _)| name);
            let names = SINK_LABELS.iter().chain(more).map(|name| format!("`{name}`"));
            names.collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::pages::assert_fresh;

    #[test]
    fn the_page_is_fresh() {
        assert_fresh("docs/metrics.md", &page());
    }
}
