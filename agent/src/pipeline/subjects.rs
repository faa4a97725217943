//! What the metrics show of each image and service.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use plimsoll_ebpf::{
    catalog::CATALOG,
    rules::{Rule, Severity},
};

use crate::{
    attribution::{container::Container, observation::Observation},
    baseline::{
        convergence::State,
        dimension::{Context, Dimension},
        learner::Baseline,
        profile::Profile,
        subject::Subject,
    },
    clock,
    metrics::names::Metrics,
};

/// Counts an observation with its service.
pub(super) fn count(metrics: &Metrics, observation: &Observation<'_>) {
    let service = observation.container.map(|it| service(it)).unwrap_or_default();
    if !service.is_empty() {
        metrics.service_observations.add_to_name(&service, observation.record.kind.name, 1);
    }
}

/// Counts an alert with its image and service.
pub(super) fn count_alert(metrics: &Metrics, container: &Container, rule: Rule) {
    if !container.image.is_empty() {
        metrics.image_alerts.add_to_name(&container.image, rule.info().name, 1);
    }
    let severity = rule.info().severity.name();
    let service = service(container);
    if !service.is_empty() {
        metrics.service_alerts.add_to_name(&service, severity, 1);
    }
}

/// Shows which run, and forgets those that do not.
pub(super) fn show<'a>(metrics: &Metrics, running: impl Iterator<Item = &'a Arc<Container>>) {
    let (mut images, mut services) = (HashMap::new(), HashMap::new());
    for container in running {
        *images.entry(container.image.as_str()).or_default() += 1_u64;
        *services.entry(service(container)).or_default() += 1_u64;
    }
    images.remove("");
    services.remove("");
    let now = clock::instant();
    metrics.image_alerts.keep_names_for_a_while(now, |name| images.contains_key(name));
    let of_images = [
        &metrics.image_containers,
        &metrics.image_profiles,
        &metrics.image_behaviours,
        &metrics.image_expected_alerts,
    ];
    for family in of_images {
        family.keep_names(|name| images.contains_key(name));
    }
    for family in [&metrics.service_alerts, &metrics.service_observations] {
        family.keep_names_for_a_while(now, |name| services.contains_key(name));
    }
    for family in [&metrics.service_containers, &metrics.service_peers] {
        family.keep_names(|name| services.contains_key(name));
    }
    // Its alerts begin at zero before the first is counted.
    for (image, count) in images {
        metrics.image_containers.set_to_name(image, "", count);
        metrics.image_alerts.add_to_name(image, Rule::ALL[0].info().name, 0);
    }
    for (service, count) in &services {
        metrics.service_containers.set_to_name(service, "", *count);
        metrics.service_alerts.add_to_name(service, Severity::Info.name(), 0);
        metrics.service_observations.add_to_name(service, CATALOG[0].name, 0);
    }
}

/// Shows how far the profiles are of what runs.
pub(super) fn show_profiles(metrics: &Metrics, baseline: &Baseline, now_s: u64) {
    let mut images: HashMap<&str, Standing> = HashMap::new();
    for profile in baseline.profiles() {
        match &profile.subject {
            // One image may have several, of its uses.
            Subject::Image { .. } => {
                if metrics.image_containers.knows(&profile.image) {
                    images.entry(&profile.image).or_default().add(profile, baseline, now_s);
                }
            }
            Subject::Service { name } => {
                let service = named(name).filter(|it| metrics.service_containers.knows(it));
                let peers = profile.learned[Dimension::Peer as usize].entries().len() as u64;
                if let Some(service) = service {
                    metrics.service_peers.set_to_name(service, "", peers);
                }
            }
        }
    }
    for (image, standing) in images {
        for (state, count) in State::NAMES.into_iter().zip(standing.states) {
            metrics.image_profiles.set_to_name(image, state, count);
        }
        metrics.image_behaviours.set_to_name(image, "", standing.behaviours);
        metrics.image_expected_alerts.set_to_name(image, "", standing.daily.to_bits());
    }
}

/// How far an image's profiles are.
#[derive(Default)]
struct Standing {
    states: [u64; State::NAMES.len()],
    behaviours: u64,
    daily: f64,
}

impl Standing {
    fn add(&mut self, profile: &Profile, baseline: &Baseline, now_s: u64) {
        for dimension in profile.dimensions() {
            let assessed = profile.assess(dimension, Context::Steady, now_s, baseline.settings());
            let at = State::NAMES.iter().position(|name| *name == assessed.state.name());
            self.states[at.unwrap_or_default()] += 1;
            self.behaviours += profile.learned[dimension as usize].entries().len() as u64;
            if !matches!(assessed.state, State::Unmodelled(_)) {
                self.daily += assessed.daily[1];
            }
        }
    }
}

/// The Swarm service of a container, or `PROJECT.SERVICE` of compose; empty where it has none.
fn service(container: &Container) -> Cow<'_, str> {
    let Container { service, compose_project, compose_service, .. } = container;
    if service.is_empty() && !compose_service.is_empty() {
        return Cow::Owned(format!("{compose_project}.{compose_service}"));
    }
    Cow::Borrowed(service)
}

/// The service that a subject's name is of; none where it is an image's.
fn named(subject: &str) -> Option<&str> {
    match subject.split_once(' ')? {
        ("swarm" | "compose", service) => Some(service),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(image: &str, service: &str) -> Arc<Container> {
        let (image, service) = (image.to_owned(), service.to_owned());
        Arc::new(Container { image, service, ..Container::default() })
    }

    #[test]
    fn what_runs_is_counted_and_what_does_not_is_forgotten() {
        let metrics = Metrics::new();
        let (web, plain) = (container("web:1", "shop_web"), container("web:1", ""));
        show(&metrics, [&web, &plain].into_iter());
        count_alert(&metrics, &web, Rule::SetuidMade);
        let text = metrics.render();
        for line in [
            "plimsoll_image_containers{image=\"web:1\"} 2",
            "plimsoll_service_containers{service=\"shop_web\"} 1",
            "plimsoll_image_alerts_total{image=\"web:1\",rule=\"setuid_made\",severity=\"high\",class=\"file\"} 1",
            "plimsoll_image_alerts_total{image=\"web:1\",rule=\"raw_socket\",severity=\"medium\",class=\"network\"} 0",
            "plimsoll_service_alerts_total{service=\"shop_web\",severity=\"high\"} 1",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
        }
        show(&metrics, std::iter::empty());
        let text = metrics.render();
        assert!(!text.contains("plimsoll_image_containers{image=\"web:1\""), "{text}");
        assert!(text.contains("plimsoll_image_alerts_total{image=\"web:1\""), "for a while");
    }

    #[test]
    fn the_names_of_subjects_hold_those_of_services() {
        assert_eq!(named("swarm shop_web"), Some("shop_web"));
        assert_eq!(named("compose shop.web.v2"), Some("shop.web.v2"));
        assert_eq!(named("image shop/web /entry.sh web"), None);
    }
}
