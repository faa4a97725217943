//! Who is profiled: an image in one of its uses, or a service.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::attribution::container::Container;

/// What behaviours are learned of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// What an image does, whoever deploys it.
    Image {
        /// Content digest.
        digest: String,
        /// What it is started as: program, first argument and user. One image may serve as two.
        variant: String,
    },
    /// Whom a service speaks to, whichever version of its image runs.
    Service {
        /// Swarm service, compose project and service, or the image's repository and variant.
        name: String,
    },
}

impl Subject {
    /// The image that a container runs, in its use; `None` while that is not known.
    pub fn image_of(container: &Container) -> Option<Self> {
        let Container { image_digest: digest, .. } = container;
        (!digest.is_empty())
            .then(|| Self::Image { digest: digest.clone(), variant: variant(container) })
    }

    /// The service that a container belongs to; `None` while that is not known.
    pub fn service_of(container: &Container) -> Option<Self> {
        let Container { service, compose_project, compose_service, image, .. } = container;
        let name = if !service.is_empty() {
            format!("swarm {service}")
        } else if !compose_service.is_empty() {
            format!("compose {compose_project}.{compose_service}")
        } else if !image.is_empty() {
            format!("image {} {}", repository(image), variant(container))
        } else {
            return None;
        };
        Some(Self::Service { name })
    }

    /// What makes containers of one image replicas, which do the same: their service, else all their
    /// arguments.
    pub fn role_of(container: &Container) -> String {
        let Container { service, compose_project, compose_service, arguments, .. } = container;
        if !service.is_empty() {
            service.clone()
        } else if !compose_service.is_empty() {
            format!("{compose_project}.{compose_service}")
        } else {
            arguments.clone()
        }
    }

    /// The use of an image.
    pub fn variant(&self) -> Option<&str> {
        match self {
            Self::Image { variant, .. } => Some(variant),
            Self::Service { .. } => None,
        }
    }

    /// Whether it is an image.
    pub fn is_image(&self) -> bool {
        matches!(self, Self::Image { .. })
    }
}

/// As it is shown: the start of the digest and the variant, or the service.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image { digest, variant } => {
                write!(f, "{} ({variant})", short(digest))
            }
            Self::Service { name } => f.write_str(name),
        }
    }
}

/// Whether an image is asked for by a name, rather than by its digest, which no other version has.
pub fn is_named(image: &str) -> bool {
    let is_digits = |it: &str| it.len() >= 12 && it.bytes().all(|it| it.is_ascii_hexdigit());
    !image.is_empty() && !image.starts_with("sha256:") && !is_digits(image)
}

/// What a container is started as.
fn variant(container: &Container) -> String {
    let Container { entrypoint, user, .. } = container;
    if user.is_empty() { entrypoint.clone() } else { format!("{entrypoint} as {user}") }
}

/// The start of a digest, as it is shown.
pub fn short(digest: &str) -> &str {
    let digits = digest.strip_prefix("sha256:").unwrap_or(digest);
    digits.get(..12).unwrap_or(digits)
}

/// An image's name without its tag.
pub fn repository(image: &str) -> &str {
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container() -> Container {
        Container {
            image: "shop/app:2".to_owned(),
            image_digest: "sha256:0123456789abcdef".to_owned(),
            entrypoint: "/entry.sh web".to_owned(),
            ..Container::default()
        }
    }

    #[test]
    fn one_image_in_two_uses_is_two_subjects() {
        let worker = Container { entrypoint: "/entry.sh worker".to_owned(), ..container() };
        assert_ne!(Subject::image_of(&container()), Subject::image_of(&worker));
        let shown = Subject::image_of(&container()).map(|it| it.to_string());
        assert_eq!(shown.as_deref(), Some("0123456789ab (/entry.sh web)"));
        assert_eq!(Subject::image_of(&Container::default()), None);
    }

    #[test]
    fn a_service_is_named_by_swarm_compose_or_the_repository() {
        let name = |container: &Container| Subject::service_of(container).map(|it| it.to_string());
        assert_eq!(name(&container()).as_deref(), Some("image shop/app /entry.sh web"));
        let compose = Container {
            compose_project: "shop".to_owned(),
            compose_service: "web".to_owned(),
            ..container()
        };
        assert_eq!(name(&compose).as_deref(), Some("compose shop.web"));
        let swarm = Container { service: "shop_web".to_owned(), ..compose };
        assert_eq!(name(&swarm).as_deref(), Some("swarm shop_web"));
    }
}
