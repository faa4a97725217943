//! The privileges in the specification of a service: what they are, and what they become.

use std::fmt;

use bollard::models::{
    ServiceSpec, TaskSpecContainerSpec, TaskSpecContainerSpecPrivileges,
    TaskSpecContainerSpecPrivilegesAppArmor, TaskSpecContainerSpecPrivilegesAppArmorModeEnum,
    TaskSpecContainerSpecPrivilegesSeccomp, TaskSpecContainerSpecPrivilegesSeccompModeEnum,
};
use clap::ValueEnum;

/// The first version of the engine that takes them.
pub(super) const FIRST_ENGINE: u32 = 25;

/// A filter of system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Seccomp {
    /// The engine's own filter, which lets the agent's calls pass.
    Default,
    /// None.
    Unconfined,
}

/// A profile of `AppArmor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum AppArmor {
    /// `docker-default`, which keeps the agent from some of what it looks at.
    Default,
    /// None.
    Disabled,
}

/// What is wanted of a service; what is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub seccomp: Option<Seccomp>,
    pub app_armor: Option<AppArmor>,
    pub no_new_privileges: Option<bool>,
}

/// Why a specification cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the service runs no container of its own: it is one of a plugin or an attached network")]
pub(super) struct NoContainer;

/// The specification with what is wanted; everything else in it stays as it is.
pub(super) fn patched(mut spec: ServiceSpec, wanted: Wanted) -> Result<ServiceSpec, NoContainer> {
    let container = container_mut(&mut spec).ok_or(NoContainer)?;
    let privileges = container.privileges.get_or_insert_with(Default::default);
    if let Some(seccomp) = wanted.seccomp {
        let mode = match seccomp {
            Seccomp::Default => TaskSpecContainerSpecPrivilegesSeccompModeEnum::DEFAULT,
            Seccomp::Unconfined => TaskSpecContainerSpecPrivilegesSeccompModeEnum::UNCONFINED,
        };
        // A profile belongs to the mode `custom` alone.
        let seccomp = TaskSpecContainerSpecPrivilegesSeccomp { mode: Some(mode), profile: None };
        privileges.seccomp = Some(seccomp);
    }
    if let Some(app_armor) = wanted.app_armor {
        let mode = match app_armor {
            AppArmor::Default => TaskSpecContainerSpecPrivilegesAppArmorModeEnum::DEFAULT,
            AppArmor::Disabled => TaskSpecContainerSpecPrivilegesAppArmorModeEnum::DISABLED,
        };
        privileges.app_armor = Some(TaskSpecContainerSpecPrivilegesAppArmor { mode: Some(mode) });
    }
    if let Some(forbids) = wanted.no_new_privileges {
        privileges.no_new_privileges = Some(forbids);
    }
    Ok(spec)
}

/// What is wanted and not in a specification; an engine that does not know a setting drops it
/// without a word.
pub(super) fn missing(spec: &ServiceSpec, wanted: Wanted) -> Vec<String> {
    let privileges = privileges(spec);
    let (is, becomes) = (Shown(privileges.clone()), patched(spec.clone(), wanted));
    let becomes = becomes.map_or_else(|_| Shown(None), |it| Shown(self::privileges(&it)));
    let pairs = is.parts().into_iter().zip(becomes.parts());
    let differ = pairs.filter(|((_, is), (_, becomes))| is != becomes);
    differ.map(|((name, is), (_, becomes))| format!("{name}: {is} -> {becomes}")).collect()
}

fn privileges(spec: &ServiceSpec) -> Option<TaskSpecContainerSpecPrivileges> {
    spec.task_template.as_ref()?.container_spec.as_ref()?.privileges.clone()
}

fn container_mut(spec: &mut ServiceSpec) -> Option<&mut TaskSpecContainerSpec> {
    spec.task_template.as_mut()?.container_spec.as_mut()
}

/// Privileges as people read them.
struct Shown(Option<TaskSpecContainerSpecPrivileges>);

impl Shown {
    fn parts(&self) -> [(&'static str, String); 3] {
        let of = self.0.as_ref();
        let unset = || "not set".to_owned();
        let named = |mode: &dyn fmt::Display| Some(mode.to_string()).filter(|it| !it.is_empty());
        let seccomp = of.and_then(|it| it.seccomp.as_ref()?.mode);
        let app_armor = of.and_then(|it| it.app_armor.as_ref()?.mode);
        [
            ("seccomp", seccomp.and_then(|it| named(&it)).unwrap_or_else(unset)),
            ("AppArmor", app_armor.and_then(|it| named(&it)).unwrap_or_else(unset)),
            (
                "no new privileges",
                of.and_then(|it| it.no_new_privileges).map_or_else(unset, |it| it.to_string()),
            ),
        ]
    }
}

/// The number before the first point of an engine's version; `None` where it has none.
pub(super) fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From a service of deploy/stack.yml, as dockerd tells it, cut down.
    const SPEC: &str = r#"{
        "Name": "plimsoll_agent", "Labels": {"com.docker.stack.namespace": "plimsoll"},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "plimsoll:1", "Env": ["PLIMSOLL_CONFIG=/etc/plimsoll/plimsoll.toml"],
                "Privileges": {"CredentialSpec": null, "SELinuxContext": {"Disable": true}},
                "ReadOnly": true, "CapabilityAdd": ["CAP_SYS_ADMIN"], "CapabilityDrop": ["ALL"],
                "Mounts": [{"Type": "bind", "Source": "/proc", "Target": "/host/proc", "ReadOnly": true}],
                "Isolation": "default"
            },
            "Resources": {"Limits": {"MemoryBytes": 268435456, "Pids": 256}},
            "Networks": [{"Target": "net1", "Aliases": ["agent"]}], "ForceUpdate": 3
        },
        "Mode": {"Global": {}},
        "UpdateConfig": {"Parallelism": 1, "FailureAction": "pause", "Monitor": 40000000000,
            "MaxFailureRatio": 0, "Order": "stop-first"},
        "EndpointSpec": {"Mode": "dnsrr"}
    }"#;

    const ALL: Wanted = Wanted {
        seccomp: Some(Seccomp::Default),
        app_armor: Some(AppArmor::Disabled),
        no_new_privileges: Some(true),
    };

    fn spec() -> ServiceSpec {
        serde_json::from_str(SPEC).expect("a sample is valid")
    }

    #[test]
    fn only_the_privileges_change() {
        let patched = patched(spec(), ALL).expect("it has a container");
        let mut value = serde_json::to_value(&patched).expect("is JSON");
        let privileges =
            value.pointer_mut("/TaskTemplate/ContainerSpec/Privileges").expect("are there").take();
        let expected = serde_json::json!({
            "SELinuxContext": {"Disable": true},
            "Seccomp": {"Mode": "default"},
            "AppArmor": {"Mode": "disabled"},
            "NoNewPrivileges": true,
        });
        assert_eq!(privileges, expected);
        let mut before = serde_json::to_value(spec()).expect("is JSON");
        before["TaskTemplate"]["ContainerSpec"]["Privileges"].take();
        assert_eq!(value, before);
    }

    #[test]
    fn nothing_that_the_engine_told_is_lost_on_the_way() {
        let mut told: serde_json::Value = serde_json::from_str(SPEC).expect("is JSON");
        // A number is one with or without a fraction.
        told["UpdateConfig"]["MaxFailureRatio"] = 0.0.into();
        // Null and absent are the same to the engine.
        told["TaskTemplate"]["ContainerSpec"]["Privileges"]
            .as_object_mut()
            .expect("is one")
            .remove("CredentialSpec");
        assert_eq!(serde_json::to_value(spec()).expect("is JSON"), told);
    }

    #[test]
    fn what_is_missing_is_told_and_nothing_once_it_is_there() {
        let told = missing(&spec(), ALL);
        assert_eq!(
            told,
            [
                "seccomp: not set -> default",
                "AppArmor: not set -> disabled",
                "no new privileges: not set -> true",
            ]
        );
        let patched = patched(spec(), ALL).expect("it has a container");
        assert_eq!(missing(&patched, ALL), [""; 0]);
        let other = Wanted { app_armor: Some(AppArmor::Default), ..Wanted::default() };
        assert_eq!(missing(&patched, other), ["AppArmor: disabled -> default"]);
        // An engine that drops what it does not know.
        let mut dropped = patched;
        container_mut(&mut dropped).expect("it has one").privileges = None;
        assert_eq!(missing(&dropped, ALL).len(), 3);
    }

    #[test]
    fn a_service_without_a_container_is_refused() {
        assert_eq!(patched(ServiceSpec::default(), ALL), Err(NoContainer));
    }

    #[test]
    fn the_engines_version_is_read_as_it_is_told() {
        assert_eq!(major("20.10.24+dfsg1"), Some(20));
        assert_eq!(major("25.0.3"), Some(25));
        assert_eq!(major("master"), None);
        assert!(major("28.2.2") >= Some(FIRST_ENGINE));
    }
}
