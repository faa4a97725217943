//! A secret from a file, which is sent, or compared with what is sent, and never shown.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Context, bail};

/// No token is longer.
const MOST_BYTES: u64 = 16 << 10;

/// A secret. There is no way to show it: it has neither `Debug` nor `Display`.
pub struct Secret(String);

impl Secret {
    /// Reads it; the end of its line does not belong to it.
    ///
    /// # Errors
    /// When it cannot be read or does not fit into a header. Says nothing of its content.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes))
            .with_context(|| format!("reading the secret in {}", path.display()))?;
        let text = str::from_utf8(&bytes).unwrap_or_default().trim_end_matches(['\r', '\n']);
        let is_value = !text.is_empty() && text.bytes().all(|it| (b' '..=b'~').contains(&it));
        if !is_value || bytes.len() as u64 > MOST_BYTES {
            bail!("the secret in {} is no line of plain text", path.display());
        }
        Ok(Self(text.to_owned()))
    }

    /// What is sent.
    pub fn value(&self) -> &str {
        &self.0
    }

    /// Whether it is this. The time that takes tells nothing of where they differ.
    pub fn is(&self, other: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differ = own.iter().zip(other).fold(0, |all, (one, other)| all | (one ^ other));
        own.len() == other.len() && std::hint::black_box(differ) == 0
    }

    /// A text in which the secret, should somebody have repeated it, is not to be read.
    pub fn hidden_in(&self, text: &str) -> String {
        text.replace(&self.0, "***")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_lines_end_does_not_belong_to_it() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), "t0ken\r\n").expect("is written");
        let secret = Secret::read(file.path()).map_err(|error| error.to_string());
        let secret = secret.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(secret.value(), "t0ken");
        assert_eq!(secret.hidden_in("said t0ken"), "said ***");
        assert!(secret.is(b"t0ken"));
        assert!(!secret.is(b"t0ke") && !secret.is(b"t0kens") && !secret.is(b"T0ken"));
    }

    #[test]
    fn what_is_no_line_is_refused_without_being_told() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for content in ["", "\n", "s3cret\nX-Evil: 1\n", "s3cr\u{e9}t"] {
            fs::write(file.path(), content).expect("is written");
            let error = Secret::read(file.path()).err().expect("is refused").to_string();
            assert!(!error.contains("s3cr"), "{error}");
        }
        assert!(Secret::read(Path::new("/nonexistent/secret")).is_err());
    }
}
