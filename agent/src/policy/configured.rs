//! The book that the configuration alone makes.

use std::sync::Arc;

use plimsoll_ebpf::rules::Class;

use super::{
    book::{Book, MOST, Policy},
    exception::{Exception, Source, Terms},
    modes::{Modes, SomeModes},
    pattern::Pattern,
    place::Place,
    selector::Selector,
};
use crate::config::{
    sections::Config,
    tables::{ExceptionTable, PolicyTable, SelectorTable, Text},
};

/// Reads modes, policies and exceptions.
///
/// # Errors
/// With everything that is wrong, each with its line.
pub fn book(config: &Config) -> Result<Book, Vec<String>> {
    let mut problems = Vec::new();
    let mut book = Book { modes: modes(config), ..Book::default() };
    for table in &config.tables.policies {
        book.policies.extend(policy(table, &mut problems));
    }
    for table in &config.tables.exceptions {
        for exception in exceptions(table, &mut problems) {
            match book.exception(&exception.id).map(|it| it.source) {
                Some(Source::Config { line }) => problems.push(format!(
                    "[[exception]] at line {} allows what the one at line {line} allows",
                    table.line
                )),
                Some(Source::Operator { .. }) | None => book.exceptions.push(Arc::new(exception)),
            }
        }
    }
    if book.policies.len().max(book.exceptions.len()) > MOST {
        problems.push(format!("there are more than {MOST} policies or exceptions"));
    }
    if problems.is_empty() { Ok(book) } else { Err(problems) }
}

fn modes(config: &Config) -> Modes {
    Modes::of(|class| match class {
        Class::Exec => config.modes.exec,
        Class::File => config.modes.file,
        Class::Network => config.modes.network,
    })
}

fn policy(table: &PolicyTable, problems: &mut Vec<String>) -> Option<Policy> {
    let selector = selector("policy", &table.selector, problems)?;
    let modes = SomeModes::of(|class| table.modes[class as usize]);
    Some(Policy { selector, modes, source: Source::Config { line: table.line } })
}

fn exceptions(table: &ExceptionTable, problems: &mut Vec<String>) -> Vec<Exception> {
    let selector = selector("exception", &table.selector, problems);
    let place = Place::parse(&table.place.value);
    let place = place.map_err(|error| refused("exception", table.place_key, &table.place, &error));
    let place = place.map_err(|problem| problems.push(problem)).ok();
    let (Some(selector), Some(place)) = (selector, place) else { return Vec::new() };
    let terms = |rule| Terms {
        selector: selector.clone(),
        rule,
        place: place.clone(),
        expires_ns: table.expires_ns,
        reason: table.reason.value.clone(),
    };
    let terms: Vec<Terms> = table.rules.iter().map(|rule| terms(*rule)).collect();
    if let Some(error) = terms.iter().find_map(|terms| terms.check().err()) {
        problems.push(format!("[[exception]] at line {}: {error}", table.line));
        return Vec::new();
    }
    let source = Source::Config { line: table.line };
    terms.into_iter().map(|terms| Exception::new(terms, source)).collect()
}

fn selector(table: &str, texts: &SelectorTable, problems: &mut Vec<String>) -> Option<Selector> {
    let before = problems.len();
    let mut part = |key: &str, text: &Option<Text>| {
        let text = text.as_ref()?;
        let pattern = Pattern::parse(&text.value);
        pattern.map_err(|error| problems.push(refused(table, key, text, &error))).ok()
    };
    let selector = Selector {
        image: part("image", &texts.image),
        service: part("service", &texts.service),
        container: part("container", &texts.container),
    };
    (problems.len() == before).then_some(selector)
}

fn refused(table: &str, key: &str, text: &Text, error: &dyn std::fmt::Display) -> String {
    format!("[[{table}]]: '{key}' at line {} cannot be '{}': {error}", text.line, text.value)
}
