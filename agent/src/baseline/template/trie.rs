//! The paths that one program writes in one place, as templates: a bounded trie of typed names.

use super::{
    MOST_DEPTH, MOST_NAME,
    mining::mine,
    node::{Merge, Node},
    pattern::{Pattern, escaped},
    tokens::{Mask, Token, tokens},
};

/// Nodes that a trie has at most.
pub const MOST_NODES: usize = 4096;

/// See the module. What belongs to a template is the caller's: an entry, by its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trie {
    root: Node,
    nodes: usize,
}

/// Nodes that are looked at for one path at most: patterns may cover one another.
const MOST_STEPS: usize = 512;

/// What became of a path that was to be learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It belongs to this entry, which may have been made for it.
    Entry(u32),
    /// It is too deep, or a name is too long: it is no path of any template.
    Unfit,
    /// There is no room.
    Full,
}

impl Trie {
    /// The entry of the template that a path belongs to.
    pub fn find(&self, path: &str) -> Option<u32> {
        let names: SmallNames<'_> = SmallNames::of(path)?;
        let mut steps = MOST_STEPS;
        find(&self.root, names.all(), &mut steps)
    }

    /// Learns a path: finds or makes its template, and mines for more on the way. `fresh` makes an
    /// entry; `merge` is told of entries that become one.
    pub fn insert(
        &mut self,
        path: &str,
        fresh: &mut dyn FnMut() -> Option<u32>,
        merge: &mut Merge<'_>,
    ) -> Inserted {
        let Some(all) = SmallNames::of(path) else { return Inserted::Unfit };
        if all.all().iter().any(|name| name.len() > MOST_NAME) {
            return Inserted::Unfit;
        }
        // Patterns may cover one another: the way down to the first is not the way to all.
        if let Some(entry) = self.find(path) {
            return Inserted::Entry(entry);
        }
        if self.nodes >= MOST_NODES {
            return Inserted::Full;
        }
        let mut node = &mut self.root;
        let mut made = 0;
        for (at, name) in all.all().iter().enumerate() {
            let (child, is_new) = if spreads_hashes(&all.all()[at..]) {
                node.child_or_made(name, |name| Some(Pattern::hexadecimal(name)))
            } else {
                node.child_or_new(name)
            };
            made += usize::from(is_new);
            node = child;
        }
        if node.leaf.is_none() {
            let Some(entry) = fresh() else { return Inserted::Full };
            node.leaf = Some(entry);
        }
        self.nodes += made;
        if made > 0 && mine_along(&mut self.root, path, merge) {
            self.nodes = self.root.count();
        }
        self.find(path).map_or(Inserted::Full, Inserted::Entry)
    }

    /// Nodes it has.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Directories in which more names were seen than are kept.
    pub fn open(&self) -> usize {
        fn count(node: &Node) -> usize {
            let below = node.literals.values().chain(node.patterns.iter().map(|(_, node)| node));
            usize::from(node.is_open) + below.map(count).sum::<usize>()
        }
        count(&self.root)
    }

    /// Hands each template and its entry to `take`, in a fixed order.
    pub fn visit(&self, take: &mut dyn FnMut(&str, u32)) {
        if let Some(leaf) = self.root.leaf {
            take("/", leaf);
        }
        self.visit_below("/", &mut |template, entry| {
            take(template, entry);
            true
        });
    }

    /// The same of the templates below a directory, until `take` returns `false`.
    pub fn visit_below(&self, directory: &str, take: &mut dyn FnMut(&str, u32) -> bool) {
        let mut names = names(directory);
        let node = names.try_fold(&self.root, |node, name| node.literals.get(name));
        if let Some(node) = node {
            walk(node, &mut directory.trim_end_matches('/').to_owned(), take);
        }
    }

    /// Puts a template back that [`Self::visit`] handed out; `false` where it is none or does not
    /// fit.
    pub fn restore(&mut self, template: &str, entry: u32) -> bool {
        if names(template).count() > MOST_DEPTH || self.nodes >= MOST_NODES {
            return false;
        }
        let mut node = &mut self.root;
        for name in names(template) {
            let before = node.fan_out();
            node = if let Some(pattern) = Pattern::parse(name) {
                // One of another width is its own: only what is learned is widened.
                let at = node.patterns.iter().position(|(it, _)| *it == pattern);
                let at = at.unwrap_or_else(|| {
                    node.patterns.push((pattern, Node::default()));
                    node.patterns.len() - 1
                });
                self.nodes += usize::from(node.fan_out() > before);
                &mut node.patterns[at].1
            } else {
                let name = name.replace("<<", "<");
                self.nodes += usize::from(!node.literals.contains_key(name.as_str()));
                node.literals.entry(name.into()).or_default()
            };
        }
        node.leaf.replace(entry).is_none()
    }
}

/// The names of a path, without memory of their own.
struct SmallNames<'a> {
    names: [&'a str; MOST_DEPTH],
    count: usize,
}

impl<'a> SmallNames<'a> {
    /// `None` where there are too many.
    fn of(path: &'a str) -> Option<Self> {
        let mut all = Self { names: [""; MOST_DEPTH], count: 0 };
        for name in names(path) {
            *all.names.get_mut(all.count)? = name;
            all.count += 1;
        }
        Some(all)
    }

    fn all(&self) -> &[&'a str] {
        &self.names[..self.count]
    }
}

/// Digits of a directory that hashes are spread over, at most.
const MOST_SPREAD: usize = 3;

/// Whether the first of these names is a directory that files named by hashes are spread over, as
/// `3/fd/79d8746aa3c7aeba8bf415df1bd2746c` are: the next are such directories too, until a hash comes.
fn spreads_hashes(names: &[&str]) -> bool {
    let is_spread =
        |name: &&&str| name.len() <= MOST_SPREAD && name.bytes().all(|it| it.is_ascii_hexdigit());
    let directories = names.iter().take_while(is_spread).count();
    directories > 0 && names.get(directories).is_some_and(|name| is_hash(name))
}

fn is_hash(name: &str) -> bool {
    let mut first = None;
    tokens(name, &mut |token| first = first.or(Some(token)));
    matches!(first, Some(Token::Masked(_, Mask::Identifier)))
}

/// Hands what is below a node of this path to `take`; tells whether that is to go on.
fn walk(node: &Node, path: &mut String, take: &mut dyn FnMut(&str, u32) -> bool) -> bool {
    let length = path.len();
    let mut goes_on = |name: &str, child: &Node| {
        path.push('/');
        path.push_str(name);
        let goes_on = child.leaf.is_none_or(|leaf| take(path, leaf)) && walk(child, path, take);
        path.truncate(length);
        goes_on
    };
    let mut patterns: Vec<(String, &Node)> =
        node.patterns.iter().map(|(it, child)| (it.to_string(), child)).collect();
    patterns.sort_by(|a, b| a.0.cmp(&b.0));
    node.literals.iter().all(|(name, child)| goes_on(&escaped(name), child))
        && patterns.iter().all(|(pattern, child)| goes_on(pattern, child))
}

/// What is said comes first, then each pattern that matches.
fn find(node: &Node, names: &[&str], steps: &mut usize) -> Option<u32> {
    *steps = steps.checked_sub(1)?;
    let Some((name, below)) = names.split_first() else { return node.leaf };
    let said = node.literals.get(*name).and_then(|child| find(child, below, steps));
    said.or_else(|| {
        let mut matching = node.patterns.iter().filter(|(pattern, _)| pattern.matches(name));
        matching.find_map(|(_, child)| find(child, below, steps))
    })
}

/// Mines every directory on the way of a path, from the root down; tells whether anything changed.
fn mine_along(root: &mut Node, path: &str, merge: &mut Merge<'_>) -> bool {
    let mut node = root;
    let mut has_changed = false;
    for name in names(path) {
        has_changed |= mine(node, merge);
        if node.child(name).is_none() {
            return has_changed;
        }
        node = node.child_or_new(name).0;
    }
    has_changed
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// A trie with what its caller keeps: which entries there are.
    #[derive(Default)]
    struct Learned {
        trie: Trie,
        entries: BTreeSet<u32>,
        last: u32,
    }

    impl Learned {
        fn of(paths: &[&str]) -> Self {
            let mut learned = Self::default();
            learned.learn_all(paths);
            learned
        }

        fn learn_all(&mut self, paths: &[impl AsRef<str>]) {
            for path in paths {
                self.learn(path.as_ref());
            }
        }

        fn learn(&mut self, path: &str) {
            let Self { trie, entries, last } = self;
            let made = std::cell::RefCell::new(entries);
            trie.insert(
                path,
                &mut || {
                    *last += 1;
                    made.borrow_mut().insert(*last);
                    Some(*last)
                },
                &mut |_, gone| {
                    made.borrow_mut().remove(&gone);
                },
            );
        }

        fn templates(&self) -> Vec<String> {
            let mut all = Vec::new();
            self.trie.visit(&mut |template, _| all.push(template.to_owned()));
            all
        }
    }

    #[test]
    fn a_learned_path_is_known_and_its_neighbour_is_not() {
        let learned = Learned::of(&["/var/log/app.log", "/data/dump.rdb"]);
        assert!(learned.trie.find("/var/log/app.log").is_some());
        for path in ["/var/log/other.log", "/var/log", "/var/log/app.log/x", "/data/dump.sh"] {
            assert_eq!(learned.trie.find(path), None, "{path}");
        }
    }

    #[test]
    fn what_lies_below_a_directory_is_found_until_enough_is() {
        let paths =
            ["/data/a", "/data/in/1.csv", "/data/in/2.csv", "/data/<x", "/database/b", "/c"];
        let learned = Learned::of(&paths);
        let below = |directory: &str, most: usize| {
            let mut all = Vec::new();
            learned.trie.visit_below(directory, &mut |path, _| {
                all.push(path.to_owned());
                all.len() < most
            });
            all
        };
        assert_eq!(below("/data", 9), ["/data/<<x", "/data/a", "/data/in/<d 1-10>.csv"]);
        assert_eq!(below("/data/", 2), ["/data/<<x", "/data/a"]);
        assert_eq!(below("/data/in/x", 9), [""; 0]);
        assert_eq!(below("/", 9).len(), 5);
    }

    #[test]
    fn numbers_become_one_template_and_words_never_do() {
        let learned = Learned::of(&["/data/temp-12.rdb", "/data/temp-3456.rdb"]);
        assert_eq!(learned.templates(), ["/data/temp-<d 1-10>.rdb"]);
        assert_eq!(learned.entries.len(), 1);
        let learned = Learned::of(&["/a/etc", "/a/tmp", "/a/var", "/a/usr"]);
        assert_eq!(learned.templates().len(), 4);
        assert_eq!(learned.trie.find("/a/opt"), None);
    }

    #[test]
    fn directories_of_numbers_pool_what_is_below_them() {
        let paths = ["/base/1/2601", "/base/1/2602", "/base/16384/2601_fsm", "/base/5/1259_vm"];
        let learned = Learned::of(&paths);
        for path in ["/base/7/99", "/base/9/11_fsm", "/base/1/2_vm"] {
            assert!(
                learned.trie.find(path).is_some() || path.contains('_'),
                "{path}: {:?}",
                learned.templates()
            );
        }
        assert_eq!(learned.trie.find("/base/1/shell.sh"), None);
    }

    #[test]
    fn directories_that_hashes_are_spread_over_are_known_at_first_sight() {
        let learned = Learned::of(&["/cache/3/fd/79d8746aa3c7aeba8bf415df1bd2746c"]);
        assert_eq!(learned.templates(), ["/cache/<h 1-1>/<h 2-2>/<id>"]);
        assert!(learned.trie.find("/cache/a/1b/0489382db6c48b97a4750f4883fa6750").is_some());
        for path in
            ["/cache/3/fd/x", "/cache/3/fd.sh", "/cache/3/fff/0489382db6c48b97a4750f4883fa6750"]
        {
            assert_eq!(learned.trie.find(path), None, "{path}");
        }
        // A word may look like such a directory: only what lies above a hash is one.
        assert_eq!(Learned::of(&["/data/db/x"]).templates(), ["/data/db/x"]);
    }

    #[test]
    fn names_made_by_mkstemp_are_one_template_after_two() {
        let mut learned = Learned::of(&["/tmp/tmpa8Xk2m9q"]);
        assert_eq!(learned.trie.find("/tmp/tmpZ0rtyLpw"), None);
        learned.learn("/tmp/tmpq7_vB3nz");
        assert!(learned.trie.find("/tmp/tmpAAbb11cc").is_some(), "{:?}", learned.templates());
        assert_eq!(learned.trie.find("/tmp/evil"), None);
        assert_eq!(learned.trie.find("/tmp/tmpAAbb11cc.sh"), None);
    }

    #[test]
    fn the_ending_of_a_name_is_always_said() {
        let uuid = "/up/0b6a1f6e-7c0a-4e5f-9a54-08f1b3f9b8a1";
        let learned = Learned::of(&[&format!("{uuid}.jpg")]);
        let other = "/up/1b6a1f6e-7c0a-4e5f-9a54-08f1b3f9b8a1";
        assert!(learned.trie.find(&format!("{other}.jpg")).is_some());
        assert_eq!(learned.trie.find(&format!("{other}.php")), None);
    }

    #[test]
    fn a_flood_of_names_opens_its_directory_and_nothing_grows_without_end() {
        let mut learned = Learned::default();
        for word in 0..20_000_u32 {
            let letters: String =
                (0..4).map(|at| char::from(b'g' + (word >> (4 * at) & 15) as u8)).collect();
            learned.learn(&format!("/in/{letters}.txt"));
        }
        assert!(learned.trie.nodes() < 100, "{}", learned.trie.nodes());
        assert_eq!(learned.trie.open(), 1);
        assert!(learned.trie.find("/in/hush.txt").is_some());
        assert_eq!(learned.trie.find("/in/hush.sh"), None);
    }

    #[test]
    fn so_does_a_flood_of_words_beside_what_is_known_at_first_sight() {
        let mut learned = Learned::default();
        let word = |number: u32| -> String {
            (0..4).map(|at| char::from(b'g' + (number >> (4 * at) & 15) as u8)).collect()
        };
        for number in 0..2000 {
            learned.learn(&format!("/in/{}-2026-11-27.csv", word(number)));
            learned
                .learn(&format!("/up/{}-0b6a1f6e-7c0a-4e5f-9a54-08f1b3f9b8a1.jpg", word(number)));
        }
        assert!(learned.trie.nodes() < 200, "{}", learned.trie.nodes());
        assert_eq!(learned.trie.open(), 2);
        for path in ["/in/word-2027-01-02.csv", "/up/it-1b6a1f6e-7c0a-4e5f-9a54-08f1b3f9b8a1.jpg"] {
            assert!(learned.trie.find(path).is_some(), "{path}: {:?}", learned.templates());
        }
        assert_eq!(learned.trie.find("/in/word-2027-01-02.sh"), None);
    }

    #[test]
    fn a_path_below_one_of_two_patterns_is_learned_once() {
        let paths = ["/a0", "/0a", "/1a", "/000000/_", "/0"];
        let mut learned = Learned::of(&paths);
        let before = learned.templates();
        learned.learn_all(&paths);
        assert_eq!(learned.templates(), before);
    }

    proptest! {
        #[test]
        fn what_was_learned_is_known_and_survives_being_kept(
            paths in proptest::collection::vec("(/[a-c0-9._-]{1,6}){1,4}|(/[a-zA-Z0-9<_]{1,12}){1,3}", 1..60),
        ) {
            let mut learned = Learned::default();
            learned.learn_all(&paths);
            let mut kept = Trie::default();
            learned.trie.visit(&mut |template, entry| assert!(kept.restore(template, entry)));
            let mut entries = BTreeSet::new();
            learned.trie.visit(&mut |_, entry| { entries.insert(entry); });
            prop_assert_eq!(&entries, &learned.entries);
            for path in &paths {
                prop_assert!(learned.trie.find(path).is_some(), "{} in {:?}", path, learned.templates());
                prop_assert!(kept.find(path).is_some(), "{} in {:?}", path, learned.templates());
            }
        }

        #[test]
        fn learning_again_changes_nothing(
            paths in proptest::collection::vec("(/[a-c0-9._-]{1,6}){1,4}", 1..40),
        ) {
            let mut learned = Learned::default();
            learned.learn_all(&paths);
            let before = learned.templates();
            learned.learn_all(&paths);
            prop_assert_eq!(learned.templates(), before);
        }
    }
}
