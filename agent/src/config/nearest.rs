//! Which known name was probably meant.

/// The candidate nearest to `name`, if it is near enough to be worth naming.
pub(super) fn nearest<'c>(
    name: &str,
    candidates: impl Iterator<Item = &'c str>,
) -> Option<&'c str> {
    // One letter in three may be wrong: beyond that a guess misleads.
    let limit = name.len() / 3 + 1;
    candidates
        .map(|candidate| (distance_to(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between the names; a name without its section counts as if it had one.
fn distance_to(name: &str, candidate: &str) -> usize {
    let whole = distance(name, candidate);
    match candidate.split_once('.') {
        Some((_, field)) => whole.min(distance(last_part(name), field) + 1),
        None => whole,
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Letters to insert, remove or change (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, b) in to.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["store.max_bytes", "store.max_age", "agent.socket"];

    #[test]
    fn a_slip_finds_its_name() {
        let cases = [
            ("stor.max_byte", "store.max_bytes"),
            ("store.maxage", "store.max_age"),
            ("max_bytes", "store.max_bytes"),
            ("metrics.max_age", "store.max_age"),
        ];
        for (slip, name) in cases {
            assert_eq!(nearest(slip, NAMES.into_iter()), Some(name), "{slip}");
        }
    }

    #[test]
    fn something_else_altogether_finds_none() {
        assert_eq!(nearest("rules.enabled_list", NAMES.into_iter()), None);
        assert_eq!(nearest("x", NAMES.into_iter()), None);
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
