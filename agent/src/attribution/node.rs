//! The host the agent runs on.

use plimsoll_ebpf::value::ValueType;

use crate::fields::{Attribute, Attributed, text};

/// The host, as every observation names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Host name.
    pub name: String,
    /// Swarm node id, or the machine id where there is no Swarm.
    pub id: String,
    /// The kernel's boot id: process ids and start times count within it.
    pub boot_id: String,
}

/// The fields of a node.
pub static ATTRIBUTES: &[Attribute<Node>] = &[
    Attribute::noted("node.name", ValueType::Text, "Host name of the node.", |it| text(&it.name)),
    Attribute::noted("node.id", ValueType::Text, "Swarm node id, else the machine id.", |it| {
        text(&it.id)
    }),
    Attribute::noted(
        "node.boot_id",
        ValueType::Text,
        "The kernel's boot id, within which process ids and start times count.",
        |it| text(&it.boot_id),
    ),
];

impl Attributed for Node {
    const ATTRIBUTES: &'static [Attribute<Self>] = ATTRIBUTES;
}
