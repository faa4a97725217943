//! Classes, modes and rules by their names, with what to say where there is none.

use plimsoll_ebpf::rules::{Class, Mode, Rule};
use serde::{Deserialize, Deserializer, Serializer, de};

/// A name of nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is no {what}: there are {known}")]
pub struct UnknownName {
    name: String,
    what: &'static str,
    known: String,
}

/// The class of this name.
///
/// # Errors
/// Names those that there are.
pub fn class(name: &str) -> Result<Class, UnknownName> {
    find("class", name, &Class::ALL, Class::name)
}

/// The mode of this name.
///
/// # Errors
/// Names those that there are.
pub fn mode(name: &str) -> Result<Mode, UnknownName> {
    find("mode", name, &Mode::ALL, Mode::name)
}

/// The rule of this name.
///
/// # Errors
/// Names those that there are.
pub fn rule(name: &str) -> Result<Rule, UnknownName> {
    find("rule", name, Rule::ALL, |rule| rule.info().name)
}

fn find<T: Copy>(
    what: &'static str,
    name: &str,
    all: &[T],
    name_of: fn(T) -> &'static str,
) -> Result<T, UnknownName> {
    let found = all.iter().copied().find(|it| name_of(*it) == name);
    found.ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(|it| name_of(*it)).collect();
        UnknownName { name: name.to_owned(), what, known: known.join(", ") }
    })
}

/// For serde: a rule by its name.
pub mod rule_name {
    use super::{Deserialize, Deserializer, Rule, Serializer, de};

    /// Writes the name.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(rule: &Rule, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(rule.info().name)
    }

    /// Reads the name.
    ///
    /// # Errors
    /// When no rule has it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rule, D::Error> {
        super::rule(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_is_told_the_right_ones() {
        assert_eq!(mode("enforce"), Ok(Mode::Enforce));
        assert_eq!(class("file"), Ok(Class::File));
        assert_eq!(rule("new_executable"), Ok(Rule::NewExecutable));
        let error = mode("block").expect_err("is none");
        assert_eq!(error.to_string(), "'block' is no mode: there are learn, monitor, enforce");
    }
}
