//! Acts that would have been stopped, counted.

use std::collections::HashMap;

use plimsoll_ebpf::{rules::Rule, value::Value};
use serde_json::{Map, Value as Json};

use crate::{
    attribution::container::Container,
    policy::{exception::Terms, place::Object, selector::Selector},
    query::table::find,
    verdict::stored,
};

/// Acts that are told apart at most; those beyond are counted together.
const MOST: usize = 65_536;

/// Acts that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Act {
    /// Service, else name, else id of the container.
    pub container: String,
    pub image: String,
    pub rule: Rule,
    /// The path or the peer.
    pub place: String,
}

/// Whose acts are counted.
pub(super) struct Asked {
    pub selector: Selector,
    /// What is allowed all the same.
    pub exceptions: Vec<Terms>,
}

impl Asked {
    fn allows(&self, breach: &stored::Breach, container: &Container) -> bool {
        self.exceptions.iter().any(|it| {
            it.rule == breach.rule
                && it.place.matches(breach.object())
                && it.selector.matches(container)
        })
    }
}

/// How often what would have been stopped.
#[derive(Debug, Default)]
pub(super) struct Tally {
    acts: HashMap<Act, u64>,
    /// Acts that found no room.
    beyond: u64,
    /// Acts that were stopped as it is.
    pub stopped: u64,
    /// Counted changes of names and metadata, which only a hook that refuses can stop.
    pub changes: u64,
    /// Scripts that were not counted: they were gone before it was seen where they lie.
    pub unseen: u64,
}

impl Tally {
    /// Counts an observation, unless it breaks no rule, is another container's, or allowed.
    pub(super) fn count(&mut self, object: &Map<String, Json>, asked: &Asked) {
        let breaches = stored::breaches(&|name| value(object, name));
        if breaches.is_empty() && !is_unseen(object) {
            return;
        }
        let container = container(object);
        if !asked.selector.matches(&container) {
            return;
        }
        let times = find(object, "count").and_then(Json::as_u64).unwrap_or(1);
        if breaches.is_empty() {
            self.unseen += times;
            return;
        }
        if find(object, "outcome").is_some() {
            self.stopped += times;
            return;
        }
        let mut breaches = breaches.into_iter();
        let Some(breach) = breaches.find(|it| !asked.allows(it, &container)) else { return };
        if text(object, "kind") == "file_change" {
            self.changes += times;
        }
        self.add(act(object, &container, &breach), times);
    }

    fn add(&mut self, act: Act, times: u64) {
        if let Some(count) = self.acts.get_mut(&act) {
            *count += times;
        } else if self.acts.len() < MOST {
            self.acts.insert(act, times);
        } else {
            self.beyond += times;
        }
    }

    /// All acts, the most frequent first.
    pub(super) fn acts(&self) -> Vec<(&Act, u64)> {
        let mut acts: Vec<(&Act, u64)> =
            self.acts.iter().map(|(act, count)| (act, *count)).collect();
        acts.sort_by(|a, b| (b.1, a.0).cmp(&(a.1, b.0)));
        acts
    }

    /// How many acts that is.
    pub(super) fn total(&self) -> u64 {
        self.acts.values().sum::<u64>() + self.beyond
    }
}

/// Whether it is not known where a script lies.
fn is_unseen(object: &Map<String, Json>) -> bool {
    find(object, "exec.script").is_some() && find(object, "exec.script_layer").is_none()
}

fn act(object: &Map<String, Json>, of: &Container, breach: &stored::Breach) -> Act {
    let short = &of.id[..of.id.len().min(12)];
    let name = [of.service.as_str(), &of.name].into_iter().find(|it| !it.is_empty());
    Act {
        container: name.unwrap_or(short).to_owned(),
        image: text(object, "ctr.image").to_owned(),
        rule: breach.rule,
        place: match breach.object() {
            Object::Path(path) => String::from_utf8_lossy(path).into_owned(),
            Object::Peer(endpoint) => endpoint.to_string(),
        },
    }
}

/// What a selector looks at.
fn container(object: &Map<String, Json>) -> Container {
    let text = |name| text(object, name).to_owned();
    Container {
        id: text("ctr.id"),
        name: text("ctr.name"),
        image: text("ctr.image"),
        image_digest: text("ctr.image_digest"),
        service: text("swarm.service"),
        compose_service: text("compose.service"),
        ..Container::default()
    }
}

fn text<'o>(object: &'o Map<String, Json>, name: &str) -> &'o str {
    find(object, name).and_then(Json::as_str).unwrap_or_default()
}

fn value<'o>(object: &'o Map<String, Json>, name: &str) -> Option<Value<'o>> {
    match find(object, name)? {
        Json::String(text) => Some(Value::Text(text.as_bytes())),
        Json::Bool(flag) => Some(Value::Flag(*flag)),
        Json::Number(number) => {
            let signed = || number.as_i64().map(Value::Signed);
            number.as_u64().map(Value::Number).or_else(signed)
        }
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{pattern::Pattern, place::Place};

    fn object(text: &str) -> Map<String, Json> {
        serde_json::from_str(text).expect("is an object")
    }

    fn image(text: &str) -> Selector {
        Selector { image: Pattern::parse(text).ok(), ..Selector::default() }
    }

    fn exec(path: &str, more: &str) -> Map<String, Json> {
        object(&format!(
            r#"{{"kind":"exec","count":2,{more}"proc":{{"exe":"{path}"}},"exec":{{"layer":"upper"}},
            "ctr":{{"id":"00","name":"web","image":"nginx:1"}}}}"#
        ))
    }

    #[test]
    fn what_nobody_allows_is_counted_by_rule_and_path() {
        let exceptions = vec![Terms {
            selector: image("nginx"),
            rule: Rule::NewExecutable,
            place: Place::parse("/opt/ok/*").expect("is a place"),
            expires_ns: None,
            reason: String::new(),
        }];
        let asked = Asked { selector: image("nginx:*"), exceptions };
        let mut tally = Tally::default();
        tally.count(&exec("/opt/x", ""), &asked);
        tally.count(&exec("/opt/x", ""), &asked);
        tally.count(&exec("/opt/a", ""), &asked);
        tally.count(&exec("/opt/ok/x", ""), &asked);
        tally.count(&exec("/opt/x", r#""outcome":"denied","#), &asked);
        tally.count(&exec("/opt/x", ""), &Asked { selector: image("redis"), exceptions: vec![] });
        let told: Vec<_> = tally.acts().iter().map(|(act, n)| (act.place.as_str(), *n)).collect();
        assert_eq!(told, [("/opt/x", 4), ("/opt/a", 2)]);
        assert_eq!((tally.total(), tally.stopped), (6, 2));
        let (act, _) = tally.acts()[0];
        assert_eq!((act.container.as_str(), act.image.as_str()), ("web", "nginx:1"));
        assert_eq!(act.rule, Rule::NewExecutable);
    }

    #[test]
    fn a_library_of_the_image_counts_where_it_was_changed() {
        let map = |changed: &str| {
            object(&format!(
                r#"{{"kind":"exec_map","count":1,"file":{{"path":"/a.so","layer":"copied_up"{changed}}},
                "ctr":{{"id":"0123456789abcdef"}}}}"#
            ))
        };
        let mut tally = Tally::default();
        let asked = Asked { selector: Selector::default(), exceptions: vec![] };
        tally.count(&map(""), &asked);
        assert_eq!(tally.total(), 0);
        tally.count(&map(r#","changed":true"#), &asked);
        assert_eq!(tally.total(), 1);
        assert_eq!(tally.acts()[0].0.container, "0123456789ab");
    }

    #[test]
    fn a_script_of_unknown_place_is_told_and_not_counted() {
        let script = object(
            r#"{"kind":"exec","count":1,"proc":{"exe":"/bin/sh"},
            "exec":{"layer":"image","script":"/opt/s"},"ctr":{"name":"web"}}"#,
        );
        let mut tally = Tally::default();
        tally.count(&script, &Asked { selector: Selector::default(), exceptions: vec![] });
        assert_eq!((tally.total(), tally.unseen), (0, 1));
    }

    #[test]
    fn what_finds_no_room_is_counted_all_the_same() {
        let mut tally = Tally::default();
        let act = |number: usize| Act {
            container: String::new(),
            image: String::new(),
            rule: Rule::NewExecutable,
            place: number.to_string(),
        };
        (0..=MOST).for_each(|number| tally.add(act(number), 1));
        assert_eq!((tally.acts().len(), tally.total()), (MOST, MOST as u64 + 1));
    }
}
