//! A value for each class: the modes in effect, or those that a policy sets.

use std::fmt;

use plimsoll_ebpf::rules::{Class, Mode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};

use super::names;

/// One value for each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PerClass<T>([T; Class::ALL.len()]);

/// How each class is treated.
pub type Modes = PerClass<Mode>;

/// The modes that a policy sets; it leaves the others as they are.
pub type SomeModes = PerClass<Option<Mode>>;

impl<T: Copy> PerClass<T> {
    /// From a function of the class.
    pub fn of(value: impl FnMut(Class) -> T) -> Self {
        Self(Class::ALL.map(value))
    }

    /// The value for a class.
    pub fn get(&self, class: Class) -> T {
        self.0[class as usize]
    }

    /// Sets the value for a class.
    pub fn set(&mut self, class: Class, value: T) {
        self.0[class as usize] = value;
    }

    /// Every class with its value.
    pub fn iter(&self) -> impl Iterator<Item = (Class, T)> + '_ {
        Class::ALL.into_iter().zip(self.0)
    }
}

/// Safe before anything was learned or decided: nothing is stopped.
impl Default for Modes {
    fn default() -> Self {
        Self::of(|class| match class {
            Class::Exec => Mode::Monitor,
            Class::File | Class::Network => Mode::Learn,
        })
    }
}

impl Modes {
    /// These modes, but for what a policy sets.
    #[must_use]
    pub fn overlaid(self, by: SomeModes) -> Self {
        Self::of(|class| by.get(class).unwrap_or_else(|| self.get(class)))
    }
}

impl Default for SomeModes {
    fn default() -> Self {
        Self::of(|_| None)
    }
}

impl SomeModes {
    /// Whether it sets nothing.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

impl From<Modes> for SomeModes {
    fn from(modes: Modes) -> Self {
        Self::of(|class| Some(modes.get(class)))
    }
}

/// As people read it: `exec enforce, file monitor`.
impl fmt::Display for SomeModes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.iter().filter_map(|(class, mode)| Some((class, mode?)));
        for (index, (class, mode)) in set.enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{} {}", class.name(), mode.name())?;
        }
        Ok(())
    }
}

impl Serialize for SomeModes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (class, mode) in self.iter() {
            if let Some(mode) = mode {
                map.serialize_entry(class.name(), mode.name())?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for SomeModes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = std::collections::BTreeMap::<String, String>::deserialize(deserializer)?;
        let mut modes = Self::default();
        for (class, mode) in map {
            let class = names::class(&class).map_err(de::Error::custom)?;
            modes.set(class, Some(names::mode(&mode).map_err(de::Error::custom)?));
        }
        Ok(modes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_changes_what_it_sets_and_nothing_else() {
        let mut some = SomeModes::default();
        assert!(some.is_empty());
        some.set(Class::File, Some(Mode::Enforce));
        let modes = Modes::default().overlaid(some);
        assert_eq!(
            Class::ALL.map(|class| modes.get(class)),
            [Mode::Monitor, Mode::Enforce, Mode::Learn]
        );
        assert_eq!(SomeModes::from(modes).to_string(), "exec monitor, file enforce, network learn");
    }

    #[test]
    fn modes_are_written_by_name_and_read_back() {
        let mut some = SomeModes::default();
        some.set(Class::Exec, Some(Mode::Enforce));
        let text = serde_json::to_string(&some).expect("is JSON");
        assert_eq!(text, r#"{"exec":"enforce"}"#);
        assert_eq!(serde_json::from_str::<SomeModes>(&text).expect("reads"), some);
        let error = serde_json::from_str::<SomeModes>(r#"{"exe":"learn"}"#).expect_err("is none");
        assert!(error.to_string().contains("'exe' is no class"), "{error}");
    }
}
