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
         Labels take their values from closed sets: never a path, an address, a process or a \
         container. Every series is there from the start at 0, so that `increase()` sees the first \
         occurrence.\n\n\
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
    let mut told: Vec<(&str, &[&str])> = Vec::new();
    for family in metrics.families() {
        if let Labels::Each(label, values) | Labels::Sinks(_, Some((label, values))) =
            family.labels()
            && !told.contains(&(label, values))
        {
            told.push((label, values));
            let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            let of = if *label == "reason" {
                format!(" of `{}`", family.description().name)
            } else {
                String::new()
            };
            let _ = writeln!(page, "| `{label}`{of} | {} |", values.join(", "));
        }
    }
    page += "| `sink`, `sink_type` | the configured sinks; without any there is no series |\n";
    page += "\n<!-- Generated from agent/src/metrics/names.rs: \
             UPDATE_DOCS=1 cargo test -p plimsoll metrics -->\n";
    page
}

fn label_names(family: &Family) -> String {
    match family.labels() {
        Labels::None => String::new(),
        Labels::Each(label, _) => format!("`{label}`"),
        Labels::Fixed(pairs) => {
            let names: Vec<String> = pairs.iter().map(|(name, _)| format!("`{name}`")).collect();
            names.join(", ")
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
