//! Every field that an observation can have.

use plimsoll_ebpf::catalog::{CATALOG, FieldInfo, Kind};

use super::{container, node, observation, process};

/// Every field there is, once by name: common ones first, then those of the events.
pub fn all() -> Vec<&'static FieldInfo> {
    let mut fields: Vec<&'static FieldInfo> = Vec::new();
    let common = (observation::FIELDS.iter().map(|it| &it.info))
        .chain(node::ATTRIBUTES.iter().map(|it| &it.info))
        .chain(container::ATTRIBUTES.iter().map(|it| &it.info))
        .chain(process::ATTRIBUTES.iter().map(|it| &it.info));
    for field in common.chain(CATALOG.iter().flat_map(Kind::fields)) {
        if !fields.iter().any(|known| known.name == field.name) {
            fields.push(field);
        }
    }
    fields
}

/// The field with this name.
pub fn by_name(name: &str) -> Option<&'static FieldInfo> {
    all().into_iter().find(|field| field.name == name)
}
