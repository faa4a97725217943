//! What holds of every dashboard. The rules are those of Grafana's dashboard-linter, and this
//! project's own.

use std::{collections::HashSet, fs};

use serde_json::Value as Json;

use super::{pages, queries};
use crate::{monitoring::documented, paths};

fn dashboards() -> Vec<(String, Json)> {
    let parse = |text: String| serde_json::from_str(&text).expect("is JSON");
    pages().iter().map(|page| (page.file(), parse(page.text()))).collect()
}

fn panels(dashboard: &Json) -> Vec<&Json> {
    let all = dashboard["panels"].as_array().expect("is a list");
    all.iter().filter(|panel| panel["type"] != "row").collect()
}

#[test]
fn the_files_are_fresh() {
    for page in pages() {
        let path = paths::root().join("dashboards").join(page.file());
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == page.text(), "{} is stale: run `cargo xtask dashboards`", path.display());
    }
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit() {
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().unwrap_or_default();
            let description = panel["description"].as_str().unwrap_or_default();
            assert!(!title.is_empty() && description.ends_with('.'), "{file}: {title:?}");
            if panel["type"] == "text" {
                continue;
            }
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(defaults["unit"].is_string(), "{file}: {title} has no unit");
            assert!(
                defaults["thresholds"]["steps"].is_array(),
                "{file}: {title} has no thresholds"
            );
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{file}: {title}");
            assert!(!panel["targets"].as_array().expect("is a list").is_empty(), "{file}: {title}");
        }
    }
}

#[test]
fn no_two_panels_share_a_number_or_a_place() {
    for (file, dashboard) in dashboards() {
        let (mut ids, mut cells) = (HashSet::new(), HashSet::new());
        for panel in dashboard["panels"].as_array().expect("is a list") {
            assert!(ids.insert(panel["id"].as_u64()), "{file}: {panel}");
            let at = |name: &str| panel["gridPos"][name].as_u64().expect("is a number");
            assert!(at("x") + at("w") <= 24, "{file}: {panel}");
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(cells.insert((x, y)), "{file}: {} overlaps", panel["title"]);
                }
            }
        }
    }
}

#[test]
fn every_query_keeps_to_the_chosen_jobs_and_nodes() {
    for page in pages() {
        for expression in page.panels().flat_map(super::panel::Panel::expressions) {
            let selectors = expression.matches('{').count();
            let kept = expression.matches("{job=~\"$job\", instance=~\"$instance\"").count();
            assert!(selectors == kept && kept > 0, "{}: {expression}", page.file());
        }
    }
}

#[test]
fn counters_are_asked_for_their_growth_over_the_right_span() {
    for (file, query) in pages().iter().flat_map(|page| {
        let all = page.panels().flat_map(super::panel::Panel::expressions);
        all.map(|it| (page.file(), it.to_owned())).collect::<Vec<_>>()
    }) {
        for (at, _) in query.match_indices("_total{") {
            let start = query[..at].rfind(|it: char| !it.is_ascii_alphanumeric() && it != '_');
            let before = start.map_or("", |start| &query[..=start]);
            let grows = before.ends_with("rate(") || before.ends_with("increase(");
            assert!(grows, "{file}: {query}");
        }
        for span in query.split('[').skip(1).filter_map(|it| it.split(']').next()) {
            assert!(["$__rate_interval", "$__range", "1d"].contains(&span), "{file}: {query}");
        }
    }
}

#[test]
fn every_metric_is_one_of_the_agents_and_every_one_of_those_is_shown() {
    let known = documented();
    let all: String = queries().into_iter().map(|(_, query)| query + "\n").collect();
    let shown = crate::monitoring::metrics_in(&all);
    let strange: Vec<_> = shown.difference(&known).collect();
    assert!(strange.is_empty(), "there are no metrics {strange:?}");
    let hidden: Vec<_> = known.difference(&shown).collect();
    assert!(hidden.is_empty(), "no dashboard shows {hidden:?}");
}

#[test]
fn dashboards_lead_to_each_other_and_to_runbooks_that_are_there() {
    for (file, dashboard) in dashboards() {
        assert_eq!(dashboard["links"][0]["tags"][0], "plimsoll", "{file}");
        let text = dashboard.to_string();
        for link in text.split("${docs}/").skip(1).filter_map(|it| it.split('"').next()) {
            assert!(crate::monitoring::is_there(link), "{file}: docs/{link} leads nowhere");
        }
        for uid in text.split("\"/d/").skip(1).filter_map(|it| it.split('?').next()) {
            assert!(pages().iter().any(|page| page.uid == uid), "{file}: {uid} leads nowhere");
        }
    }
}
