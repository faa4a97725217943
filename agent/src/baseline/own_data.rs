//! One more file among the many that a program keeps in a volume. That a database makes a table, a
//! segment or a temporary file it did not have before is what databases do.

use super::{
    behaviour::{Behaviour, Learning},
    dimension::{Context, Dimension},
    entries::Entry,
    learned::Learned,
};

/// Templates of files that a program is known to keep in a volume before one more says nothing.
const MANY: usize = 8;

/// Whether a change is of one more file that its writer keeps in the volume that is mounted at `home`:
/// many are known there that are changed so, some of which are named as it is. What others may run or
/// obey, what is hidden, and what a session or a health check does is never.
pub(super) fn is_one_more(
    it: &Behaviour<'_>,
    context: Context,
    home: &str,
    learned: &Learned,
    keeps: impl Fn(&Entry) -> bool,
) -> bool {
    let may_be = it.dimension == Dimension::Write
        && it.learning == Learning::AsTemplate
        && matches!(context, Context::Start | Context::Steady);
    let Some(below) = below(it.key, home).filter(|_| may_be) else { return false };
    if below.split('/').any(|name| name.starts_with('.')) {
        return false;
    }
    let ending = ending(it.key);
    let (mut known, mut is_named_so) = (0, false);
    learned.visit_paths(it.scope, &mut |template, entry| {
        if self::below(template, home).is_some() && keeps(entry) {
            known += 1;
            is_named_so |= self::ending(template) == ending;
        }
    });
    known >= MANY && is_named_so
}

/// What of a path lies below a directory.
fn below<'p>(path: &'p str, directory: &str) -> Option<&'p str> {
    path.strip_prefix(directory)?.strip_prefix('/')
}

/// How a name ends behind its last dot, where that says anything: a number and what varies do not.
fn ending(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ending = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, it)| it);
    let says = |it: &&str| !it.starts_with('<') && !it.bytes().all(|it| it.is_ascii_digit());
    ending.filter(says).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_says_something_unless_it_varies() {
        for (path, wanted) in [
            ("/data/a.csv", "csv"),
            ("/data/<any 1-20>.jpg", "jpg"),
            ("/data/base/pgsql_tmp/pgsql_tmp<d 1-10>.<d 1-10>", ""),
            ("/data/base/16384/16410_fsm", ""),
            ("/data/v1.d/file", ""),
            ("/data/log.1", ""),
            ("/data/.hidden", ""),
        ] {
            assert_eq!(ending(path), wanted, "{path}");
        }
    }
}
