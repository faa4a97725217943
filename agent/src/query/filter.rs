//! Which observations are asked for: by container, image, service, event and expression.

use plimsoll_ebpf::value::Value;

use super::{
    expr::{Expr, text},
    needles,
};
use crate::{
    fields::Fields,
    store::reader::{Request, is_container},
};

/// Values of one key are alternatives; all keys must agree. An empty key agrees with everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Names or starts of ids.
    pub containers: Vec<String>,
    /// Image names with or without tag, or starts of digests.
    pub images: Vec<String>,
    /// Names of Swarm or compose services.
    pub services: Vec<String>,
    /// Names of events.
    pub kinds: Vec<String>,
    /// Expressions, which all must hold.
    pub expressions: Vec<Expr>,
}

impl Filter {
    /// Whether an observation is asked for.
    pub fn matches(&self, fields: &impl Fields) -> bool {
        let text = |name| fields.get(name).map_or("", as_str);
        let any = |wanted: &[String], is: &dyn Fn(&str) -> bool| {
            wanted.is_empty() || wanted.iter().any(|it| is(it))
        };
        any(&self.kinds, &|kind| kind == text("kind"))
            && any(&self.containers, &|it| is_container(it, text("ctr.id"), text("ctr.name")))
            && any(&self.images, &|it| is_image(it, text("ctr.image"), text("ctr.image_digest")))
            && any(&self.services, &|it| {
                it == text("swarm.service") || it == text("compose.service")
            })
            && self.expressions.iter().all(|expr| expr.holds(fields))
    }

    /// What has to be asked of each observation that the store found by [`Self::request`].
    #[must_use]
    pub fn rest(&self) -> Self {
        Self { kinds: Vec::new(), containers: Vec::new(), ..self.clone() }
    }

    /// What the store can leave out by itself.
    pub fn request(&self, from_ns: u64, to_ns: u64) -> Request {
        let mut needles = Vec::new();
        self.expressions.iter().for_each(|expr| needles::gather(expr, &mut needles));
        Request {
            needles,
            from_ns,
            to_ns,
            kinds: self.kinds.clone(),
            containers: self.containers.clone(),
            ..Request::default()
        }
    }
}

fn as_str(value: Value<'_>) -> &str {
    text(&value).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
}

/// Whether `wanted` names the image: as it was asked for, its repository, or a digest's start.
fn is_image(wanted: &str, image: &str, digest: &str) -> bool {
    const MIN_DIGEST: usize = 6;
    let without_tag = image.split('@').next().unwrap_or_default();
    let repository = match without_tag.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => without_tag,
    };
    let digits = digest.rsplit_once("sha256:").map_or(digest, |(_, digits)| digits);
    let wanted_digits = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    wanted == image
        || wanted == repository
        || (wanted_digits.len() >= MIN_DIGEST && digits.starts_with(wanted_digits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample::Sample;

    fn matches(filter: &Filter) -> bool {
        // A connect of web-5, image nginx:1.25, service shop_web.
        Sample::new().with(5, |observation| filter.matches(observation))
    }

    fn list(values: &[&str]) -> Vec<String> {
        values.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn values_of_a_key_are_alternatives_and_keys_must_agree() {
        let filter = Filter { kinds: list(&["exec", "connect"]), ..Filter::default() };
        assert!(matches(&Filter::default()) && matches(&filter));
        assert!(matches(&Filter { containers: list(&["x", "web-5"]), ..filter.clone() }));
        assert!(matches(&Filter { containers: list(&["5555"]), ..filter.clone() }));
        assert!(!matches(&Filter { containers: list(&["555"]), ..filter.clone() }));
        assert!(!matches(&Filter { containers: list(&["web-6"]), ..filter.clone() }));
        assert!(matches(&Filter { services: list(&["shop_web"]), ..filter.clone() }));
        assert!(!matches(&Filter { services: list(&["shop"]), ..filter }));
        assert!(!matches(&Filter { kinds: list(&["exec"]), ..Filter::default() }));
    }

    #[test]
    fn images_are_named_as_docker_names_them() {
        let digest = "nginx@sha256:0123456789abcdef";
        for wanted in ["nginx:1.25", "nginx", "sha256:0123456", "012345"] {
            assert!(is_image(wanted, "nginx:1.25", digest), "{wanted}");
        }
        for wanted in ["nginx:1", "ngin", "01234", "1.25"] {
            assert!(!is_image(wanted, "nginx:1.25", digest), "{wanted}");
        }
        assert!(is_image("host:5000/app", "host:5000/app", ""));
        assert!(is_image("host:5000/app", "host:5000/app:2", ""));
    }
}
