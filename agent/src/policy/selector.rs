//! Which containers a policy or an exception is about.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::pattern::{Pattern, is_literal, is_match};
use crate::attribution::container::Container;

/// Digits of a container's id that name it; Docker shows as many.
const ID_DIGITS: usize = 12;
/// What a digest begins with.
const DIGEST: &str = "sha256:";
/// What Docker leaves out of an image's name.
const IMPLIED: [&str; 4] = ["index.docker.io/", "docker.io/", "library/", "_/"];
/// The tag of an image that is asked for without one.
const IMPLIED_TAG: &str = "latest";

/// Containers, by what is known of them; every part that is given must match. Without parts it
/// matches every container.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Selector {
    /// `repository:tag`, `repository` for any tag, `sha256:digits`, or `repository@sha256:digits`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Pattern>,
    /// Name of the Swarm or compose service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Pattern>,
    /// Name of the container, or at least 12 digits of its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Pattern>,
}

impl Selector {
    /// Whether a container is meant. What is not known of it matches no pattern.
    pub fn matches(&self, it: &Container) -> bool {
        let is = |part: &Option<Pattern>, holds: &dyn Fn(&Pattern) -> bool| {
            part.as_ref().is_none_or(holds)
        };
        is(&self.image, &|image| is_image(image, &it.image, &it.image_digest))
            && is(&self.service, &|service| {
                service.matches(&it.service) || service.matches(&it.compose_service)
            })
            && is(&self.container, &|name| name.matches(&it.name) || is_id(name.as_str(), &it.id))
    }

    /// Whether no part names anything in particular.
    pub fn is_wide(&self) -> bool {
        let is_named =
            |part: &Option<Pattern>| part.as_ref().is_some_and(|part| is_literal(part.as_str()));
        let is_image = self.image.as_ref().is_some_and(is_image_named);
        !(is_image || is_named(&self.service) || is_named(&self.container))
    }

    /// The parts that are given, with their names.
    pub fn parts(&self) -> Vec<(&'static str, &Pattern)> {
        let parts =
            [("image", &self.image), ("service", &self.service), ("container", &self.container)];
        parts.into_iter().filter_map(|(name, part)| Some((name, part.as_ref()?))).collect()
    }
}

/// As people read it: `image nginx:*, service web`, or `every container`.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts();
        if parts.is_empty() {
            return f.write_str("every container");
        }
        for (index, (name, part)) in parts.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{name} {}", part.as_str())?;
        }
        Ok(())
    }
}

fn is_id(wanted: &str, id: &str) -> bool {
    wanted.len() >= ID_DIGITS && id.starts_with(wanted)
}

/// The parts of an image's pattern that are about its name and its digest.
fn split_digest(pattern: &Pattern) -> (Option<&str>, Option<&str>) {
    match pattern.as_str() {
        digest if digest.starts_with(DIGEST) => (None, Some(digest)),
        text => match text.split_once('@') {
            Some((name, digest)) => (Some(name), Some(digest)),
            None => (Some(text), None),
        },
    }
}

/// Whether a pattern names an image in particular; a tag alone does not.
fn is_image_named(pattern: &Pattern) -> bool {
    let (name, digest) = split_digest(pattern);
    name.is_some_and(|it| is_literal(without_implied(split_tag(it).0)))
        || digest.is_some_and(|it| is_literal(it.strip_prefix(DIGEST).unwrap_or(it)))
}

/// Whether a pattern names an image by its name, its digest, or both.
fn is_image(pattern: &Pattern, image: &str, digest: &str) -> bool {
    let (name, wanted_digest) = split_digest(pattern);
    let digest = digest.rsplit_once('@').map_or(digest, |(_, digits)| digits);
    let is_digest = wanted_digest.is_none_or(|it| !digest.is_empty() && is_match(it, digest));
    is_digest && name.is_none_or(|it| is_image_name(it, image))
}

fn is_image_name(pattern: &str, image: &str) -> bool {
    if image.is_empty() {
        return false;
    }
    let ((wanted, wanted_tag), (repository, tag)) = (split_tag(pattern), split_tag(image));
    let is_tag = wanted_tag.is_none_or(|it| is_match(it, tag.unwrap_or(IMPLIED_TAG)));
    is_tag && is_match(without_implied(wanted), without_implied(repository))
}

/// Repository and tag; a colon before a slash is a registry's port.
fn split_tag(image: &str) -> (&str, Option<&str>) {
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (image, None),
    }
}

fn without_implied(repository: &str) -> &str {
    IMPLIED.iter().fold(repository, |name, prefix| name.strip_prefix(prefix).unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect("is a pattern")
    }

    fn web() -> Container {
        Container {
            id: "0123456789abcdef".repeat(4),
            name: "shop_web.1.x7".to_owned(),
            image: "nginx:1.25".to_owned(),
            image_digest: "sha256:00ff".to_owned(),
            service: "shop_web".to_owned(),
            ..Container::default()
        }
    }

    #[test]
    fn parts_must_all_match_and_none_matches_everything() {
        assert!(Selector::default().matches(&web()));
        assert!(Selector::default().matches(&Container::default()));
        let both = |image, service| Selector {
            image: Some(pattern(image)),
            service: Some(pattern(service)),
            ..Selector::default()
        };
        assert!(both("nginx", "shop_*").matches(&web()));
        assert!(!both("nginx", "bank_*").matches(&web()));
        assert!(!both("redis", "shop_*").matches(&web()));
    }

    #[test]
    fn an_image_is_named_by_repository_tag_or_digest() {
        let names = |text: &str, image: &str| {
            let container = Container { image: image.to_owned(), ..web() };
            Selector { image: Some(pattern(text)), ..Selector::default() }.matches(&container)
        };
        for text in [
            "nginx",
            "nginx:*",
            "nginx:1.25",
            "nginx:1.*",
            "ngin*",
            "*",
            "sha256:00ff",
            "sha256:00*",
            "nginx@sha256:00ff",
            "nginx:1.25@sha256:00ff",
            "docker.io/library/nginx",
        ] {
            assert!(names(text, "nginx:1.25"), "{text}");
        }
        for text in ["nginx:1", "ngin", "nginx:latest", "sha256:00", "nginx@sha256:11ff", "x/nginx"]
        {
            assert!(!names(text, "nginx:1.25"), "{text}");
        }
        assert!(names("nginx:latest", "nginx") && names("nginx:*", "docker.io/nginx"));
        assert!(names("host:5000/app", "host:5000/app:2") && !names("host", "host:5000/app"));
        assert!(!names("*", ""), "an unknown image");
    }

    #[test]
    fn a_container_is_named_by_name_or_start_of_id() {
        let names = |text: &str| {
            Selector { container: Some(pattern(text)), ..Selector::default() }.matches(&web())
        };
        assert!(names("shop_web.*") && names("0123456789ab"));
        assert!(!names("shop") && !names("0123456789a"));
    }

    #[test]
    fn a_selector_that_names_nobody_in_particular_is_wide() {
        let of = |text| Selector { image: Some(pattern(text)), ..Selector::default() };
        for text in ["*", "**", "*:*", "*:latest", "sha256:*", "*@sha256:*", "docker.io/*", "*/*"] {
            assert!(of(text).is_wide(), "{text}");
        }
        for text in ["nginx", "nginx:*", "n*", "sha256:00*", "*@sha256:00ff", "host:5000/*"] {
            assert!(!of(text).is_wide(), "{text}");
        }
        let both = Selector { service: Some(pattern("web")), ..of("*") };
        assert!(!both.is_wide() && Selector::default().is_wide());
    }

    #[test]
    fn compose_services_are_services() {
        let container = Container { compose_service: "db".to_owned(), ..Container::default() };
        let selector = Selector { service: Some(pattern("db")), ..Selector::default() };
        assert!(selector.matches(&container));
        assert_eq!(selector.to_string(), "service db");
    }
}
