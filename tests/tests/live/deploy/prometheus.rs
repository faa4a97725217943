//! Prometheus reads the metrics over TLS with a token, alerts by the rules, and has what the dashboards
//! ask for.

use std::{fs, path::Path};

use plimsoll_tests::{
    agent::Setup,
    docker::{self, BUSYBOX, Docker},
    poll,
    receiver::{Alertmanager, Certificates, Prometheus},
};
use serde_json::Value;

const TOKEN: &str = "t0ken-of-a-test";

/// Conditions of panels that show what is wrong: they are empty where all is well. Nothing learned is
/// repeated here, and kernels before 5.16 do not tell how much they verified.
const MAY_BE_EMPTY: [&str; 5] = [
    "plimsoll_probe_broken{job=~\".+\", instance=~\".+\"}) == 1",
    "plimsoll_probe_attached{job=~\".+\", instance=~\".+\"}) == 0",
    "plimsoll_observations_lost_total{job=~\".+\", instance=~\".+\"}[1m])) > 0",
    "plimsoll_alerts_suppressed_total{job=~\".+\", instance=~\".+\"}[1m])) > 0",
    "plimsoll_probe_verified_instructions",
];

fn workspace(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn config(agent: &str, alertmanager: &str, ca: &Path, token: &Path) -> String {
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: ['{}']\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alertmanager}']}}]}}]}}\n\
         scrape_configs:\n\
         - job_name: plimsoll\n\
         \x20 scheme: https\n\
         \x20 tls_config: {{ca_file: '{}'}}\n\
         \x20 authorization: {{credentials_file: '{}'}}\n\
         \x20 static_configs: [{{targets: ['{agent}'], labels: {{node: a}}}}]\n",
        workspace("deploy/prometheus/plimsoll.rules.yml").display(),
        ca.display(),
        token.display(),
    )
}

/// Every query of every dashboard, with its variables filled in.
fn queries() -> Vec<String> {
    let mut queries = Vec::new();
    for name in ["fleet", "image", "service", "agent"] {
        let file = workspace("dashboards").join(format!("plimsoll-{name}.json"));
        let text = fs::read_to_string(file).expect("the dashboards are there");
        let dashboard: Value = serde_json::from_str(&text).expect("is JSON");
        for panel in dashboard["panels"].as_array().expect("is a list") {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let query = target["expr"].as_str().expect("is text");
                let query = query.replace("$__rate_interval", "1m").replace("$__range", "5m");
                let variables = ["$job", "$instance", "$image", "$service"];
                queries.push(variables.iter().fold(query, |it, name| it.replace(name, ".+")));
            }
        }
    }
    assert!(queries.len() > 50);
    queries
}

#[test]
fn an_attack_reaches_alertmanager_by_the_rules_and_dashboards_have_data() {
    let certificates = Certificates::make("localhost");
    let home = tempfile::tempdir().expect("a directory");
    let token = home.path().join("token");
    fs::write(&token, TOKEN).expect("the directory is its own");
    let pem = certificates.server();
    let (token_file, pem) = (token.display(), pem.display());
    let alerts = home.path().join("alerts.jsonl");
    // Of two sinks one delivers and one cannot.
    let settings = format!(
        "[metrics]\nbpf_stats = true\ntoken_file = \"{token_file}\"\ntls_cert_file = \"{pem}\"\n\
         tls_key_file = \"{pem}\"\n\
         [[sink]]\nname = \"kept\"\ntype = \"file\"\npath = \"{}\"\n\
         [[sink]]\nname = \"gone\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:9/\"\n",
        alerts.display(),
    );
    let agent = Setup::default().config(&settings).start();
    let alertmanager = Alertmanager::start();
    let (address, receiver) = (agent.metrics.to_string(), alertmanager.address.to_string());
    let prometheus =
        Prometheus::start(&config(&address, &receiver, &certificates.authority(), &token));
    let has = |query: &str| prometheus.query(query).is_ok_and(|found| !found.is_empty());
    // An image of its own name: what others do with the tests' images is counted as well.
    let docker = Docker::host();
    let image = format!("{}:1", docker::unique("attacked"));
    docker.run(&["tag", BUSYBOX, &image]);
    let labels = ["project", "service"].map(|it| format!("--label=com.docker.compose.{it}=shop"));
    let container = docker.start(&image, &labels.each_ref().map(String::as_str), &[]);
    let known =
        format!("plimsoll_image_alerts_total{{image=\"{image}\", rule=\"new_executable\"}} == 0");
    let is_scraped = poll::until(poll::PATIENCE, || has(&known).then_some(()));
    assert!(is_scraped.is_some(), "{}", prometheus.targets());
    container.shell("cp /usr/bin/hello /opt/tool; /opt/tool; /usr/bin/acts udp 192.0.2.7 9999");
    let is_it = |alert: &Value| {
        let labels = &alert["labels"];
        labels["alertname"] == "PlimsollImmutabilityBroken"
            && labels["image"] == image.as_str()
            && labels["node"] == "a"
            && labels["rule"] == "new_executable"
            && labels["severity"] == "critical"
    };
    let told = || alertmanager.alerts().iter().any(is_it).then_some(());
    let arrived = poll::until(poll::PATIENCE * 2, told);
    assert!(arrived.is_some(), "{:#?}", alertmanager.alerts());
    let firing = format!("ALERTS{{image=\"{image}\", alertstate=\"firing\"}}");
    // Alertmanager is told before the series is there.
    let count = || prometheus.query(&firing).map(|it| it.len());
    poll::holds("the attack is alerted", || count().is_ok_and(|it| it > 0));
    assert_eq!(count(), Ok(1), "the attack is alerted once");
    for query in queries() {
        let ask = || prometheus.query(&query).unwrap_or_else(|error| panic!("{query}: {error}"));
        let may_be_empty = MAY_BE_EMPTY.iter().any(|it| query.contains(it));
        // What grows is told once it was seen to grow.
        let has_data = || (may_be_empty || !ask().is_empty()).then_some(());
        assert!(poll::until(poll::PATIENCE, has_data).is_some(), "no data: {query}");
    }
    agent.stop();
    drop(container);
    docker.attempt(&["rmi", &image]);
}
