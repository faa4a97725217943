//! The image: small, alone, and able to find others by name.

use std::fs;

use plimsoll_tests::docker::{Docker, NGINX, Network, PLIMSOLL};

const MOST_BYTES: u64 = 20 << 20;

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
    let home = tempfile::tempdir().expect("a directory");
    let config = home.path().join("plimsoll.toml");
    let sink = format!(
        "[[sink]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://{}/\"\n",
        receiver.name
    );
    fs::write(&config, sink).expect("the directory is its own");
    let mount = format!("{}:/etc/plimsoll/plimsoll.toml:ro", config.display());
    let options = ["run", "--rm", "--network", &network.name, "--volume", &mount, PLIMSOLL];
    let output = docker.attempt(&[&options[..], &["sink", "test", "hook"]].concat());
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    // It takes no posts, which only it can say.
    assert!(said.concat().contains("405"), "{said:?}");
}
