//! The words of an alert: why it is one, and what would allow it.

use std::fmt::Write as _;

use plimsoll_ebpf::{
    layer::code,
    rules::{Class, Rule, outcome},
    value::readable,
};

use super::act::Breach;
use crate::{attribution::container::Container, policy::template::Template};

/// Why something is an alert: what happened, by whom, where that lies, what became of it.
pub(super) fn reason(breach: &Breach<'_>, outcome: u8, exe: Option<&[u8]>) -> String {
    let Breach { rule, path, layer } = *breach;
    let summary = rule.info().summary.trim_end_matches('.');
    let mut text = summary.to_owned();
    // Peers, ports and privileges are written as paths and lie nowhere.
    let lies = rule.class() != Class::Network && rule != Rule::NewPrivilege;
    if !path.is_empty() && lies {
        let _ = write!(text, ": {} ({})", readable(path), place(layer));
    } else if !path.is_empty() {
        let _ = write!(text, ": {}", readable(path));
    }
    // A program that runs is its process's own.
    let is_itself = |exe: &&[u8]| rule.class() == Class::Exec && *exe == path;
    if let Some(exe) = exe.filter(|exe| !exe.is_empty() && !is_itself(exe)) {
        let _ = write!(text, ", by {}", readable(exe));
    }
    text.push('.');
    match outcome {
        outcome::DENIED => text.push_str(" It was refused."),
        outcome::KILLED if rule.class() == Class::Exec => {
            text.push_str(" The process was killed before it ran.");
        }
        outcome::KILLED => text.push_str(" The process was killed for it."),
        _ => {}
    }
    text
}

/// A layer in words.
fn place(layer: u8) -> &'static str {
    match layer {
        code::IMAGE => "of the image",
        code::UPPER => "in the container's writable layer",
        code::COPIED_UP => "of the image, changed in the container's writable layer",
        code::TMPFS => "in a tmpfs",
        code::MEMFD => "in memory, without a name",
        code::BIND => "in a bind mount",
        code::VOLUME => "in a volume",
        code::MOUNT => "in a mount",
        code::ROOTFS => "on the root file system",
        _ => "place unknown",
    }
}

/// The command that allows it from now on; `None` where no exception can be written for it.
pub(super) fn allow(breach: &Breach<'_>, container: &Container) -> Option<String> {
    let path = std::str::from_utf8(breach.path).ok().filter(|path| !path.contains('*'))?;
    Template::parse(path).ok()?;
    if breach.rule == Rule::AgentAttacked {
        return None;
    }
    let whom = if !container.service.is_empty() {
        format!("--service {}", quoted(&container.service))
    } else if !container.image.is_empty() {
        format!("--image {}", quoted(&container.image))
    } else {
        return None;
    };
    let rule = breach.rule.info().name;
    Some(format!("plimsoll profile allow {whom} --rule {rule} --path {}", quoted(path)))
}

/// A text as a shell takes it for one word.
fn quoted(text: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "/._-:@+,".contains(it);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container() -> Container {
        Container { image: "shop:1".to_owned(), ..Container::default() }
    }

    #[test]
    fn the_reason_names_the_file_its_place_and_who_did_it() {
        let breach = Breach { rule: Rule::ForeignScript, path: b"/tmp/x.sh", layer: code::TMPFS };
        assert_eq!(
            reason(&breach, outcome::DENIED, Some(b"/bin/sh")),
            "A script ran that the image does not contain: /tmp/x.sh (in a tmpfs), by /bin/sh. It was refused."
        );
    }

    #[test]
    fn the_command_survives_a_hostile_path() {
        let breach = |path| Breach { rule: Rule::NewExecutable, path, layer: code::UPPER };
        assert_eq!(
            allow(&breach(b"/tmp/a b'$(id)"), &container()).as_deref(),
            Some(
                "plimsoll profile allow --image shop:1 --rule new_executable --path '/tmp/a b'\\''$(id)'"
            )
        );
        assert_eq!(allow(&breach(b"/tmp/\xff"), &container()), None);
        assert_eq!(allow(&breach(b"/tmp/*"), &container()), None);
    }
}
