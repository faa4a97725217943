//! A profile as text for version control: the same profile is always the same text.
//!
//! It is YAML by construction: every text is a quoted string of JSON, which YAML takes as it is, so
//! no library and none of its choices are needed.

use std::fmt::Write as _;

use super::{
    dimension::{Context, Dimension},
    heritage::is_unused,
    saved::Saved,
    subject::Subject,
};

/// The profiles as one document each. What changes while nothing new is learned is left out: counts
/// and moments.
pub fn export(profiles: &[Saved]) -> String {
    let mut text = String::new();
    for saved in profiles {
        text.push_str("---\n");
        let _ = writeln!(text, "schema: 1\nimage: {}", quoted(&saved.image));
        let _ = match &saved.subject {
            Subject::Image { digest, variant } => {
                writeln!(text, "digest: {}\nvariant: {}", quoted(digest), quoted(variant))
            }
            Subject::Service { name } => writeln!(text, "service: {}", quoted(name)),
        };
        // How much is used is each host's own.
        for dimension in saved.dimensions.iter().filter(|it| it.dimension != Dimension::Volume) {
            if dimension.entries.is_empty() {
                let _ = writeln!(text, "{}: []", dimension.dimension.name());
                continue;
            }
            let _ = writeln!(text, "{}:", dimension.dimension.name());
            for (scope, key, entry) in &dimension.entries {
                if scope.is_empty() {
                    let _ = writeln!(text, "  - behaviour: {}", quoted(key));
                } else {
                    let _ =
                        writeln!(text, "  - by: {}\n    behaviour: {}", quoted(scope), quoted(key));
                }
                let seen = Context::ALL.into_iter().filter(|it| entry.seen[*it as usize].units > 0);
                let seen: Vec<&str> = seen.map(Context::name).collect();
                let _ = writeln!(text, "    seen: [{}]", seen.join(", "));
                let _ =
                    writeln!(text, "    confirmed: {}", entry.is_confirmed() && !entry.is_denied);
                if entry.is_denied {
                    text.push_str("    denied: true\n");
                }
                if is_unused(saved.heritage.as_ref(), entry) {
                    text.push_str("    unused: true\n");
                }
            }
        }
        // Without its end it is no profile, so that nobody takes half of one for the whole.
        text.push_str("...\n");
    }
    text
}

fn quoted(text: &str) -> String {
    // Line and paragraph separators end a line in YAML, and not in JSON.
    let escaped = |it: String| it.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    serde_json::to_string(text).map(escaped).unwrap_or_default().replace('\u{85}', "\\u0085")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::{profile::Profile, settings::Settings};

    #[test]
    fn hostile_names_stay_in_their_quotes() {
        let subject = Subject::Service { name: "x\"\n- y: [".to_owned() };
        let saved = Saved::of(&Profile::new(subject), &Settings::default(), 1);
        let text = export(&[saved]);
        assert!(text.contains("service: \"x\\\"\\n- y: [\"\npeer: []\n"), "{text}");
    }
}
