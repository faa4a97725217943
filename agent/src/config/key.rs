//! A setting with its Rust type erased, and the macro that states each in one place.

use super::{sections::Config, setting::Form};

/// A setting: what is needed to read, show and document it.
pub struct Key {
    /// Dotted name, as in error messages.
    pub name: &'static str,
    /// Name of its section.
    pub section: &'static str,
    /// Name within the section.
    pub field: &'static str,
    /// The default, as it would be written, without quotes.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// What a value looks like.
    pub expected: &'static str,
    /// How it may be written in a file.
    pub forms: &'static [Form],
    /// Reads the text into the configuration; false when it is no such value.
    pub set: fn(&mut Config, &str) -> bool,
    /// Writes the value in effect.
    pub show: fn(&Config) -> String,
}

impl Key {
    /// The setting with this dotted name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        super::sections::KEYS.iter().find(|key| key.name == name)
    }

    /// A value as it stands in a file.
    pub fn written(&self, value: &str) -> String {
        if self.forms[0] == Form::Text {
            format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
        } else {
            value.to_owned()
        }
    }

    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        format!("PLIMSOLL_{}__{}", self.section, self.field).to_uppercase()
    }
}

/// States the sections: from it come the structs, their defaults and the list of keys.
macro_rules! sections {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $Section:ident {
            $( $(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:literal, )+
        }
    )+) => {
        $(
            $(#[doc = $section_doc])+
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $Section { $( $(#[doc = $doc])+ pub $field: $type, )+ }

            impl Default for $Section {
                fn default() -> Self {
                    Self { $(
                        $field: Setting::parse($default).expect("a test reads every default"),
                    )+ }
                }
            }
        )+

        /// Everything that can be set.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Config {
            $( $(#[doc = $section_doc])+ pub $section: $Section, )+
            /// The arrays of tables.
            pub tables: $crate::config::tables::Tables,
        }

        /// The sections and what each is about.
        pub const SECTIONS: &[(&str, &str)] =
            &[$( (stringify!($section), concat!($($section_doc),+)), )+];

        /// Every setting, in the order of the documentation.
        pub static KEYS: &[Key] = &[$($( Key {
            name: concat!(stringify!($section), ".", stringify!($field)),
            section: stringify!($section),
            field: stringify!($field),
            default: $default,
            doc: concat!($($doc),+),
            expected: <$type as Setting>::EXPECTED,
            forms: <$type as Setting>::FORMS,
            set: |config, text| {
                let value = Setting::parse(text).map(|value| config.$section.$field = value);
                value.is_some()
            },
            show: |config| config.$section.$field.show(),
        }, )+)+];
    };
}

pub(super) use sections;
