//! Makes the dashboards in `dashboards/` from one source: a file here for each.

mod fleet;
mod health;
mod image;
mod page;
mod panel;
mod service;

#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;

use std::fs;

use anyhow::{Context, Result};

use crate::{paths, say};
use page::Page;

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn main(_: &Args) -> Result<()> {
    for page in pages() {
        let path = paths::root().join("dashboards").join(page.file());
        fs::write(&path, page.text()).with_context(|| format!("writing {}", path.display()))?;
        say(&format!("made dashboards/{}", page.file()));
    }
    Ok(())
}

/// Every dashboard.
fn pages() -> [Page; 4] {
    [fleet::page(), image::page(), service::page(), health::page()]
}

/// Every query of every dashboard, as Prometheus would be asked it, with where it stands.
pub(crate) fn queries() -> Vec<(String, String)> {
    let pages = pages();
    let of_page = |page: &Page| {
        let own = page.panels().flat_map(|panel| panel.expressions().map(asked));
        own.map(|query| (page.file(), query)).collect::<Vec<_>>()
    };
    pages.iter().flat_map(of_page).collect()
}

/// A query with Grafana's variables filled in.
fn asked(expression: &str) -> String {
    let expression = expression.replace("$__rate_interval", "1m").replace("$__range", "1h");
    ["$job", "$instance", "$image", "$service"]
        .into_iter()
        .fold(expression, |query, variable| query.replace(variable, ".+"))
}
