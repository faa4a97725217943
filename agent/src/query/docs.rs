//! The documentation page of events and their fields, from the catalogue.

use std::fmt::Write;

use plimsoll_ebpf::catalog::{CATALOG, CgroupHook, FieldInfo, Hook, Kind, Probe};

use crate::attribution::{container, node, observation, process};

/// `docs/events.md`
pub fn page() -> String {
    let mut page = String::from(
        "# Events\n\n\
         What an observation can be, and what is known of it. The same names serve JSON (nested at \
         the dots), `--kind` and `--where`; a field without a value is left out. *Learned* fields \
         are what makes a behaviour; the others are noted beside it.\n\n\
         ## Fields of every observation\n\n",
    );
    table(&mut page, observation::FIELDS.iter().map(|it| &it.info));
    let shared: [(&str, &str, Vec<&FieldInfo>); 3] = [
        (
            "Node",
            "The host. Process ids and start times count within its boot.",
            node::ATTRIBUTES.iter().map(|it| &it.info).collect(),
        ),
        (
            "Container",
            "Absent for gaps that concern none. A container that Docker did not name has its id \
             only.",
            container::ATTRIBUTES.iter().map(|it| &it.info).collect(),
        ),
        (
            "Process",
            "Absent where the kernel does not say which process it was: of `dns`, of `accept` \
             where nobody was seen to listen.",
            process::ATTRIBUTES.iter().map(|it| &it.info).collect(),
        ),
    ];
    for (name, about, fields) in shared {
        let _ = write!(page, "\n## {name}\n\n{about}\n\n");
        table(&mut page, fields.into_iter());
    }
    for kind in CATALOG {
        let _ = write!(page, "\n## `{}`\n\n{} {}\n\n", kind.name, kind.summary, source(kind));
        table(&mut page, kind.fields().into_iter());
    }
    page += "\n<!-- Generated from agent-ebpf/src/events and agent/src/attribution: \
             UPDATE_DOCS=1 cargo test -p plimsoll query -->\n";
    page
}

fn table<'f>(page: &mut String, fields: impl Iterator<Item = &'f FieldInfo>) {
    *page += "| field | type | learned | meaning |\n| --- | --- | --- | --- |\n";
    for FieldInfo { name, value, learned, doc } in fields {
        let learned = if *learned { "yes" } else { "" };
        let _ = writeln!(page, "| `{name}` | {} | {learned} | {doc} |", value.name());
    }
}

/// Where an event comes from.
fn source(kind: &Kind) -> String {
    if kind.probes.is_empty() {
        return "Made by the agent.".to_owned();
    }
    let hooks: Vec<String> = kind.probes.iter().map(hook).collect();
    format!("Raised by {}.", hooks.join(", "))
}

fn hook(probe: &Probe) -> String {
    let place = match probe.hook {
        Hook::Tracepoint(name) => format!("tracepoint `{name}`"),
        Hook::FollowUp(name, _) => format!("follows up tracepoint `{name}`"),
        Hook::Lsm(name) => format!("LSM hook `{name}`"),
        Hook::Cgroup(CgroupHook::SockAddr) => "socket address hook of the root cgroup".to_owned(),
        Hook::Cgroup(CgroupHook::Sock) => "socket hook of the root cgroup".to_owned(),
        Hook::Cgroup(CgroupHook::Egress) => "packets leaving the root cgroup".to_owned(),
        Hook::Cgroup(CgroupHook::Ingress) => "packets reaching the root cgroup".to_owned(),
    };
    let where_there_is = if probe.required { "" } else { ", where the kernel has it" };
    format!("`{}` ({place}{where_there_is})", probe.program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::pages::assert_fresh;

    #[test]
    fn the_page_is_fresh() {
        assert_fresh("docs/events.md", &page());
    }

    #[test]
    fn every_field_has_its_line() {
        let page = page();
        for field in crate::attribution::fields::all() {
            assert!(page.contains(&format!("| `{}` |", field.name)), "{}", field.name);
        }
    }
}
