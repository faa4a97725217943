//! The image: small, alone, and able to find others by name.

use std::fs;

use plimsoll_tests::{
    docker::{Docker, NGINX, Network, PLIMSOLL},
    receiver::Certificates,
};

const MOST_BYTES: u64 = 20 << 20;

/// What a receiver of pages answers to a post, which only it can say.
const REFUSAL: &str = "405";
const RECEIVER: &str = "receiver.test";
const TLS_SERVER: &str = "
user www-data;
events {}
http {
    server {
        listen 443 ssl;
        ssl_certificate /server.pem;
        ssl_certificate_key /server.pem;
        location / { root /usr/share/nginx/html; }
    }
}
";

fn inspect(template: &str) -> String {
    Docker::host().run(&["image", "inspect", "--format", template, PLIMSOLL])
}

#[test]
fn the_image_is_small_and_says_what_it_is() {
    let bytes: u64 = inspect("{{.Size}}").parse().expect("a number");
    assert!(bytes < MOST_BYTES, "{bytes} bytes");
    for label in ["title", "version", "revision", "licenses"] {
        let label = format!("org.opencontainers.image.{label}");
        let value = inspect(&format!("{{{{index .Config.Labels {label:?}}}}}"));
        assert!(!value.is_empty(), "{label} is not set");
    }
    assert_eq!(inspect("{{.Config.Healthcheck.Test}}"), "[CMD /usr/local/bin/plimsoll health]");
    let docker = Docker::host();
    let version = docker.run(&["run", "--rm", "--network=none", PLIMSOLL, "--version"]);
    assert_eq!(version, format!("plimsoll {}", env!("CARGO_PKG_VERSION")));
}

/// A static program has the resolver of its C library in it, or it has none.
#[test]
fn its_sinks_find_receivers_by_their_names() {
    let docker = Docker::host();
    let network = Network::create(&docker, &[]);
    let receiver = docker.start(NGINX, &["--network", &network.name], &[]);
    let said = post(&network, &format!("url = \"http://{}/\"", receiver.name), &[]);
    assert!(said.contains(REFUSAL), "{said}");
}

/// The image brings the usual certificates: a stranger's is refused, and one of its own takes their
/// place.
#[test]
fn its_sinks_trust_who_is_certified() {
    let certificates = Certificates::make(RECEIVER);
    let network = Network::create(&Docker::host(), &[]);
    let conf = tempfile::NamedTempFile::new().expect("a file");
    fs::write(conf.path(), TLS_SERVER).expect("the file is its own");
    let mounts = [
        format!("--volume={}:/etc/nginx/nginx.conf:ro", conf.path().display()),
        format!("--volume={}:/server.pem:ro", certificates.server().display()),
    ];
    let [conf_mount, server_mount] = mounts.each_ref().map(String::as_str);
    let names = ["--network", &network.name, "--network-alias", RECEIVER];
    let options = [&names[..], &[conf_mount, server_mount]].concat();
    let _receiver = Docker::host().start(NGINX, &options, &[]);

    let url = format!("url = \"https://{RECEIVER}/\"");
    let said = post(&network, &url, &[]);
    assert!(said.contains("UnknownIssuer"), "{said}");
    let mount = format!("{}:/ca.pem:ro", certificates.authority().display());
    let said = post(&network, &format!("{url}\nca_file = \"/ca.pem\""), &[&mount]);
    assert!(said.contains(REFUSAL), "{said}");
}

/// What the image's program says of a test alert to a webhook with these settings.
fn post(network: &Network, settings: &str, mounts: &[&str]) -> String {
    let home = tempfile::tempdir().expect("a directory");
    let config = home.path().join("plimsoll.toml");
    let sink = format!("[[sink]]\nname = \"hook\"\ntype = \"webhook\"\n{settings}\n");
    fs::write(&config, sink).expect("the directory is its own");
    let config = format!("{}:/etc/plimsoll/plimsoll.toml:ro", config.display());
    let mut arguments = vec!["run", "--rm", "--network", &network.name];
    for mount in [&[config.as_str()], mounts].concat() {
        arguments.extend(["--volume", mount]);
    }
    arguments.extend([PLIMSOLL, "sink", "test", "hook"]);
    let output = Docker::host().attempt(&arguments);
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    said.concat()
}
