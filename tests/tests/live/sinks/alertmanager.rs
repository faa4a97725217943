//! A real Alertmanager: what it is told, and its outage.

use plimsoll_tests::{
    agent::{Agent, Setup},
    event::text,
    poll,
    receiver::Alertmanager,
};
use serde_json::Value;

use super::{RETRY, breach, container, metric, said, sink, test};

fn start(alertmanager: &Alertmanager) -> Agent {
    let keys = format!("url = \"http://{}\"\nmin_severity = \"high\"", alertmanager.address);
    Setup::default().config(&sink("pager", "alertmanager", &keys)).start()
}

/// The alert that stands about a container.
fn about(alertmanager: &Alertmanager, container: &str) -> Vec<Value> {
    let mut alerts = alertmanager.alerts();
    alerts.retain(|it| it["labels"]["container"] == container);
    alerts
}

#[test]
fn an_alert_stands_with_few_labels_and_the_rest_as_annotations() {
    let alertmanager = Alertmanager::start();
    let agent = start(&alertmanager);
    let container = container();
    breach(&container, 0..20);
    poll::holds("Alertmanager has it", || !about(&alertmanager, &container.name).is_empty());
    let pager = ["pager", "alertmanager"];
    poll::holds("all are told", || {
        metric(&agent, "alerts_total", pager, ",result=\"delivered\"") > 19.5
    });
    let alerts = about(&alertmanager, &container.name);
    let [alert] = &alerts[..] else { panic!("alike are one: {alerts:#?}") };
    let labels = alert["labels"].as_object().expect("there are some");
    let mut names: Vec<&str> = labels.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["alertname", "container", "image", "node", "rule", "severity"]);
    assert_eq!(text(alert, "labels.alertname"), "PlimsollNewExecutable");
    assert_eq!(text(alert, "labels.image"), container.image);
    assert!(text(alert, "annotations.description").contains("/opt/p"), "{alert}");
    assert!(text(alert, "annotations.allow").starts_with("plimsoll profile allow "), "{alert}");
    assert_eq!(text(alert, "status.state"), "active");
    let moment = |name| text(alert, name).parse::<jiff::Timestamp>().expect("is a moment");
    assert!(moment("endsAt") > moment("startsAt"), "{alert}");
    agent.stop();
}

#[test]
fn an_outage_of_alertmanager_loses_nothing() {
    let mut alertmanager = Alertmanager::start();
    let agent = start(&alertmanager);
    alertmanager.kill();
    let containers = [container(), container()];
    for container in &containers {
        breach(container, 0..3);
    }
    let pager = ["pager", "alertmanager"];
    poll::holds("they wait", || metric(&agent, "queue_length", pager, "") >= 6.0);
    let away = test(&agent, "pager");
    assert_eq!(away.status.code(), Some(3), "{}", said(&away));
    alertmanager.restart();
    let all = poll::until(RETRY, || {
        let is_told = |it: &str| !about(&alertmanager, it).is_empty();
        containers.iter().all(|it| is_told(&it.name)).then_some(())
    });
    assert!(all.is_some(), "{}", agent.log());
    let answered = test(&agent, "pager");
    assert!(said(&answered).contains("200 OK"), "{}", said(&answered));
    poll::holds("the test is marked as one", || {
        let alerts = alertmanager.alerts();
        alerts.iter().any(|it| it["labels"]["alertname"] == "PlimsollTest")
    });
    agent.stop();
}
