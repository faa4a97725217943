//! A template of paths that is narrow by construction.

use serde::{Deserialize, Serialize};

/// Longest template in bytes: what the kernel side compares.
pub const MOST_BYTES: usize = 240;

/// Paths as a container sees them: `/a/b` that one; `/a/b/*` and `/a/b/pre*` one component below
/// `/a/b`; `/a/b/**` everything below `/a/b`, and not `/a/b` itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    text: String,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Shape {
    Exact,
    /// The last component goes on after the literal prefix.
    Component,
    Below,
}

/// A template as the kernel side compares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelKey {
    /// What a path begins with, or the whole path where `is_exact`.
    pub bytes: Vec<u8>,
    /// Whether the path ends there.
    pub is_exact: bool,
    /// How many components the path must have; 0 for any number.
    pub components: u16,
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Paths are named from the root.
    #[error("a path must be absolute, such as /var/cache/app/**")]
    Relative,
    /// The kernel side compares no more.
    #[error("a path has at most {MOST_BYTES} bytes")]
    Long,
    /// Nothing would be left to watch.
    #[error("'{0}' is too wide: name a directory, such as /var/cache/app/**")]
    Wide(String),
    /// The kernel names no path that way.
    #[error("a path has no empty component and no slash at its end")]
    EmptyComponent,
    /// The kernel names no path that way.
    #[error("a path has no component '.' or '..'")]
    Dots,
    /// A wildcard elsewhere would match more than it seems to.
    #[error("'*' stands at the end of the last component only: /a/b/*, /a/b/pre* or /a/b/**")]
    Wildcard,
    /// Nobody can read such a path.
    #[error("a path has no control characters")]
    Control,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// When it is no absolute path, is too long or too wide, or has a wildcard anywhere but at the
    /// end.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let Some(relative) = text.strip_prefix('/') else { return Err(TemplateError::Relative) };
        if text.len() > MOST_BYTES {
            return Err(TemplateError::Long);
        }
        if text.contains(char::is_control) {
            return Err(TemplateError::Control);
        }
        if ["", "*", "**"].contains(&relative) {
            return Err(TemplateError::Wide(text.to_owned()));
        }
        let mut directories: Vec<&str> = relative.split('/').collect();
        for component in &directories {
            match *component {
                "" => return Err(TemplateError::EmptyComponent),
                "." | ".." => return Err(TemplateError::Dots),
                _ => {}
            }
        }
        let last = directories.pop().unwrap_or_default();
        if directories.iter().any(|it| it.contains('*')) {
            return Err(TemplateError::Wildcard);
        }
        let shape = match last.find('*') {
            None => Shape::Exact,
            Some(_) if last == "**" => Shape::Below,
            Some(at) if at + 1 == last.len() => Shape::Component,
            Some(_) => return Err(TemplateError::Wildcard),
        };
        Ok(Self { text: text.to_owned(), shape })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a path is meant. The path is one that the kernel resolved, whole.
    pub fn matches(&self, path: &[u8]) -> bool {
        let Some(rest) = path.strip_prefix(self.literal().as_bytes()) else { return false };
        match self.shape {
            Shape::Exact => rest.is_empty(),
            Shape::Below => !rest.is_empty(),
            Shape::Component => {
                // Of a name that begins so, nothing more is needed; a directory needs a name.
                let has_name = !rest.is_empty() || !self.literal().ends_with('/');
                has_name && !rest.contains(&b'/')
            }
        }
    }

    /// What the kernel side compares.
    pub fn kernel_key(&self) -> KernelKey {
        let slashes = self.text.bytes().filter(|byte| *byte == b'/').count();
        KernelKey {
            bytes: self.literal().as_bytes().to_vec(),
            is_exact: self.shape == Shape::Exact,
            components: if self.shape == Shape::Component { slashes as u16 } else { 0 },
        }
    }

    /// What stands before the wildcard.
    fn literal(&self) -> &str {
        self.text.trim_end_matches('*')
    }
}

impl TryFrom<String> for Template {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        Self::parse(&text)
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(template: &str, path: &str) -> bool {
        Template::parse(template).expect("is a template").matches(path.as_bytes())
    }

    #[test]
    fn a_template_matches_what_it_says_and_nothing_beside_it() {
        assert!(matches("/a/b", "/a/b") && !matches("/a/b", "/a/bc") && !matches("/a/b", "/a/b/c"));
        assert!(matches("/a/*", "/a/b") && !matches("/a/*", "/a/b/c") && !matches("/a/*", "/a/"));
        assert!(matches("/a/p*", "/a/p") && matches("/a/p*", "/a/px"));
        assert!(!matches("/a/p*", "/a/p/x") && !matches("/a/p*", "/a/q"));
        assert!(matches("/a/**", "/a/b/c") && matches("/a/**", "/a/b"));
        assert!(!matches("/a/**", "/a") && !matches("/a/**", "/ab/c"));
    }

    #[test]
    fn what_is_wide_or_no_path_is_refused_with_its_reason() {
        use TemplateError as E;
        for (text, error) in [
            ("/", E::Wide("/".into())),
            ("/*", E::Wide("/*".into())),
            ("/**", E::Wide("/**".into())),
            ("", E::Relative),
            ("a/b", E::Relative),
            ("/a//b", E::EmptyComponent),
            ("//a", E::EmptyComponent),
            ("/a/", E::EmptyComponent),
            ("/a/../b", E::Dots),
            ("/a/.", E::Dots),
            ("/a/*/b", E::Wildcard),
            ("/*/b", E::Wildcard),
            ("/a/*b", E::Wildcard),
            ("/a/b**", E::Wildcard),
            ("/a/***", E::Wildcard),
            ("/a/\n", E::Control),
        ] {
            assert_eq!(Template::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(Template::parse(&format!("/{}", "a".repeat(240))), Err(E::Long));
        assert!(Template::parse(&format!("/{}", "a".repeat(239))).is_ok());
    }

    #[test]
    fn the_kernel_is_given_prefix_and_depth() {
        let key = |text: &str| {
            let key = Template::parse(text).expect("is a template").kernel_key();
            (String::from_utf8(key.bytes).expect("is text"), key.is_exact, key.components)
        };
        assert_eq!(key("/a/b"), ("/a/b".to_owned(), true, 0));
        assert_eq!(key("/a/b/*"), ("/a/b/".to_owned(), false, 3));
        assert_eq!(key("/a/b/pre*"), ("/a/b/pre".to_owned(), false, 3));
        assert_eq!(key("/a/b/**"), ("/a/b/".to_owned(), false, 0));
        assert_eq!(key("/pre*"), ("/pre".to_owned(), false, 1));
    }

    /// Component by component, as the documentation reads.
    fn naive(template: &str, path: &str) -> bool {
        let wanted: Vec<&str> = template.split('/').collect();
        let found: Vec<&str> = path.split('/').collect();
        let (last, above) = wanted.split_last().expect("has a part");
        if found.len() < wanted.len() || found[..above.len()] != *above {
            return false;
        }
        let rest = &found[above.len()..];
        match last.strip_suffix('*') {
            _ if *last == "**" => rest.len() > 1 || !rest[0].is_empty(),
            Some(start) => rest.len() == 1 && !rest[0].is_empty() && rest[0].starts_with(start),
            None => rest == [*last],
        }
    }

    /// What the kernel side does with a key.
    fn by_key(key: &KernelKey, path: &str) -> bool {
        let slashes = path.bytes().filter(|byte| *byte == b'/').count();
        let starts = path.as_bytes().starts_with(&key.bytes);
        let ends = !key.is_exact || path.len() == key.bytes.len();
        starts && ends && (key.components == 0 || usize::from(key.components) == slashes)
    }

    proptest! {
        #[test]
        fn a_template_agrees_with_a_naive_reference_and_with_its_key(
            template in "(/[ab]{1,2}){0,3}/([ab]{1,2}|[ab]{0,2}\\*|\\*\\*)",
            path in "(/[ab]{1,3}){1,5}",
        ) {
            if let Ok(parsed) = Template::parse(&template) {
                let is_match = parsed.matches(path.as_bytes());
                prop_assert_eq!(is_match, naive(&template, &path));
                prop_assert_eq!(is_match, by_key(&parsed.kernel_key(), &path));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[/a.*]{0,12}|.{0,30}", path: Vec<u8>) {
            if let Ok(template) = Template::parse(&text) {
                let _ = template.matches(&path);
                prop_assert!(template.kernel_key().bytes.len() > 1);
            }
        }
    }
}
