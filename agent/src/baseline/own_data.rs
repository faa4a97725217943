//! One more file among the many that a program keeps in a volume. That a database makes a table, a
//! segment or a temporary file it did not have before is what databases do.

use super::{
    behaviour::{Behaviour, Learning},
    dimension::{Context, Dimension},
    entries::{Entry, Occasion},
    known::Actor,
    learned::Learned,
    profile::Profile,
    shield,
    start::vouches,
};
use crate::attribution::container::Container;

/// Templates of files that a program is known to keep in a volume before one more says nothing.
const MANY: usize = 8;
/// Templates that are looked at for one file.
const MOST_LOOKED: usize = 512;
/// Ways to change a file of one's own; a name that is given to a file may lead elsewhere.
const WAYS: [&str; 3] = ["write", "remove", "attribute"];
/// Endings of files that tell a program what to do, or others what to believe of it. They are never
/// one more; what [`shield`] lies over is not either.
const TELLING: [&str; 27] = [
    "js", "mjs", "cjs", "ts", "node", "wasm", "jar", "jpi", "hpi", "class", "groovy", "html",
    "htm", "css", "conf", "cnf", "cfg", "ini", "toml", "yml", "yaml", "xml", "env", "key", "pem",
    "crt", "pub",
];

/// Whether a change that is not known, but for its number where it has one, is of one more file among the
/// many that a program keeps in a volume.
pub(super) fn is_one_more(
    profile: &Profile,
    it: &Behaviour<'_>,
    number: Option<u32>,
    at: &Occasion,
    who: &Actor<'_>,
) -> bool {
    let (dimension, context, actor) = (it.dimension, at.context, at.container);
    let learned = &profile.learned[dimension as usize];
    let entry = number.and_then(|number| learned.entry(number));
    let is_doubted = |entry: &_| profile.is_doubted(entry, dimension.asked_in(context), actor);
    if who.is_foreign || entry.is_some_and(is_doubted) {
        return false;
    }
    let Some(home) = who.container.data_volume(it.key) else { return false };
    let vouches = |entry: &_| vouches(profile, dimension, entry, (context, actor));
    // How files are named that it keeps at its start only says as much as of others.
    let at_start = |entry: &_| profile.vouches(entry, Context::Start, actor);
    OwnData { home, container: who.container, learned }.has_room_for(it, context, vouches, at_start)
}

/// What is known of a volume of a container.
struct OwnData<'a> {
    /// Where it is mounted.
    home: &'a str,
    /// The container.
    container: &'a Container,
    /// Which changes are known.
    learned: &'a Learned,
}

impl OwnData<'_> {
    /// Whether a change is of one more file that its writer keeps in the volume: many are known there
    /// that are changed so, and one that ends as it does. `vouches` tells of the former which count,
    /// `is_named` of the latter. What is hidden, and what a session or a health check does, is never.
    fn has_room_for(
        &self,
        it: &Behaviour<'_>,
        context: Context,
        vouches: impl Fn(&Entry) -> bool,
        is_named: impl Fn(&Entry) -> bool,
    ) -> bool {
        if !may_be_one(it, context, self.home) {
            return false;
        }
        let ending = ending(it.key);
        let (mut left, mut known, mut is_named_so) = (MOST_LOOKED, 0, false);
        self.learned.visit_below(it.scope, self.home, &mut |template, entry| {
            left -= 1;
            // What lies in another volume within says nothing of this one.
            if self.container.data_volume(template) == Some(self.home) {
                known += usize::from(known < MANY && vouches(entry));
                is_named_so = is_named_so || self::ending(template) == ending && is_named(entry);
            }
            left > 0 && (known < MANY || !is_named_so)
        });
        known >= MANY && is_named_so
    }
}

/// Whether a change may be of one more file, whatever is known.
fn may_be_one(it: &Behaviour<'_>, context: Context, home: &str) -> bool {
    let is_way = || it.scope.rsplit(' ').nth(1).is_some_and(|way| WAYS.contains(&way));
    let is_hidden = |below: &str| below.split('/').any(|name| name.starts_with('.'));
    it.dimension == Dimension::Write
        && it.learning == Learning::AsTemplate
        && matches!(context, Context::Start | Context::Steady)
        && it.key.strip_prefix(home).is_some_and(|below| !is_hidden(below))
        && is_way()
        && !shield::is_shielded(it.key, 0)
        && !TELLING.contains(&ending(it.key))
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
