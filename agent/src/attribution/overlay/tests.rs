//! Provenance in overlays that are made by hand: what overlayfs notes in attributes needs root, and
//! is tested on real containers.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    time::{Duration, SystemTime},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

/// Two lower layers and an upper one.
struct Tree {
    directory: tempfile::TempDir,
}

impl Tree {
    fn new() -> Self {
        let tree = Self { directory: tempfile::tempdir().expect("a directory") };
        for layer in ["upper", "top", "bottom"] {
            fs::create_dir_all(tree.path(layer, "bin")).expect("is made");
        }
        tree
    }

    fn path(&self, layer: &str, path: &str) -> PathBuf {
        self.directory.path().join(layer).join(path)
    }

    fn write(&self, layer: &str, path: &str, content: &str) {
        let path = self.path(layer, path);
        fs::create_dir_all(path.parent().expect("lies in a layer")).expect("is made");
        fs::write(path, content).expect("is written");
    }

    fn node(&self, layer: &str, path: &str, kind: FileType) {
        mknodat(CWD, self.path(layer, path), kind, Mode::RWXU, 0).expect("is made");
    }

    fn overlay(&self) -> Overlay {
        let lowers = vec![self.path("top", ""), self.path("bottom", "")];
        Overlay::new(Layers { upper: self.path("upper", ""), lowers, ..Layers::default() })
    }

    fn provenance(&self, path: &str) -> Provenance {
        self.overlay().provenance(path.as_bytes())
    }
}

/// Sets a file's modification back, as `touch` does.
fn backdate(path: &Path) {
    let file = fs::File::options().write(true).open(path).expect("is there");
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).expect("is set");
}

const UNCHANGED: Provenance = Provenance::CopiedUp { is_changed: false };
const CHANGED: Provenance = Provenance::CopiedUp { is_changed: true };

#[test]
fn a_file_is_of_the_image_wherever_in_its_layers_it_lies() {
    let tree = Tree::new();
    tree.write("bottom", "bin/a", "a");
    tree.write("top", "opt/deep/b", "b");
    assert_eq!(tree.provenance("/bin/a"), Provenance::Image);
    assert_eq!(tree.provenance("/opt//deep/./b"), Provenance::Image);
    assert_eq!(tree.provenance("/bin/none"), Provenance::Gone);
    assert_eq!(tree.provenance("/bin"), Provenance::Gone);
    assert_eq!(tree.provenance("/"), Provenance::Gone);
}

#[test]
fn a_file_under_a_name_of_its_own_is_new() {
    let tree = Tree::new();
    tree.write("upper", "bin/new", "x");
    assert_eq!(tree.provenance("/bin/new"), Provenance::New);
}

#[test]
fn content_counts_and_owner_mode_and_times_do_not() {
    let tree = Tree::new();
    for name in ["bin/same", "bin/longer", "bin/other"] {
        tree.write("bottom", name, "content");
    }
    tree.write("upper", "bin/same", "content");
    tree.write("upper", "bin/longer", "content!");
    tree.write("upper", "bin/other", "kontent");
    let same = tree.path("upper", "bin/same");
    fs::set_permissions(&same, Permissions::from_mode(0o700)).expect("is set");
    backdate(&same);
    backdate(&tree.path("upper", "bin/other"));
    assert_eq!(tree.provenance("/bin/same"), UNCHANGED);
    assert_eq!(tree.provenance("/bin/longer"), CHANGED);
    assert_eq!(tree.provenance("/bin/other"), CHANGED);
}

#[test]
fn the_topmost_image_layer_is_what_a_copy_is_compared_with() {
    let tree = Tree::new();
    tree.write("bottom", "bin/a", "old");
    tree.write("top", "bin/a", "new");
    tree.write("upper", "bin/a", "old");
    assert_eq!(tree.provenance("/bin/a"), CHANGED);
}

#[test]
fn a_whiteout_hides_what_lies_below() {
    let tree = Tree::new();
    tree.write("bottom", "bin/a", "a");
    tree.write("bottom", "bin/b", "b");
    tree.write("bottom", "opt/c", "c");
    tree.node("upper", "bin/a", FileType::CharacterDevice);
    tree.node("top", "bin/b", FileType::CharacterDevice);
    tree.node("top", "opt", FileType::CharacterDevice);
    tree.write("upper", "opt/c", "c");
    assert_eq!(tree.provenance("/bin/a"), Provenance::Gone);
    assert_eq!(tree.provenance("/bin/b"), Provenance::Gone);
    assert_eq!(tree.provenance("/opt/c"), Provenance::New, "the image has removed its own");
}

#[test]
fn a_link_is_not_followed_wherever_it_leads() {
    let tree = Tree::new();
    tree.write("bottom", "bin/a", "a");
    symlink("/etc/passwd", tree.path("upper", "bin/file")).expect("is made");
    symlink("/etc", tree.path("upper", "etc")).expect("is made");
    symlink("../bottom/bin", tree.path("upper", "out")).expect("is made");
    for path in ["/bin/file", "/etc/passwd", "/out/a", "/../bottom/bin/a", "/bin/../bin/a"] {
        let found = tree.provenance(path);
        assert!(matches!(found, Provenance::Gone | Provenance::Unknown(_)), "{path} is {found:?}");
    }
}

#[test]
fn pipes_and_devices_are_no_files_and_nobody_waits_for_them() {
    let tree = Tree::new();
    tree.write("bottom", "bin/pipe", "a");
    tree.write("upper", "bin/a", "a");
    tree.node("upper", "bin/pipe", FileType::Fifo);
    tree.node("top", "bin/a", FileType::Fifo);
    tree.node("upper", "opt", FileType::Fifo);
    assert_eq!(tree.provenance("/bin/pipe"), Provenance::Gone);
    assert_eq!(tree.provenance("/bin/a"), Provenance::New);
    assert_eq!(tree.provenance("/opt/x"), Provenance::Gone);
}

#[test]
fn a_layer_that_is_not_there_is_told() {
    let tree = Tree::new();
    fs::remove_dir_all(tree.path("bottom", "")).expect("is removed");
    assert!(matches!(tree.provenance("/bin/a"), Provenance::Unknown(_)));
    let error = tree.overlay().layers.check().expect_err("one is gone");
    assert!(error.to_string().contains("bottom"), "{error}");
}

#[test]
fn a_name_that_lies_does_not_make_a_file_the_images() {
    let tree = Tree::new();
    tree.write("bottom", "bin/a", "image");
    tree.write("upper", "evil", "evil!");
    let evil = fs::File::open(tree.path("upper", "evil")).expect("is there");
    let mut overlay = tree.overlay();
    assert_eq!(overlay.provenance_of(&evil, b"/bin/a"), CHANGED);
    assert_eq!(overlay.provenance_of(&evil, b"/evil"), Provenance::New);
    assert_eq!(overlay.provenance_of(&evil, b"/bin/a (deleted)"), Provenance::Gone);
    let image = fs::File::open(tree.path("bottom", "bin/a")).expect("is there");
    assert_eq!(overlay.provenance_of(&image, b"/bin/a"), Provenance::Image);
}

#[test]
fn a_file_of_the_image_that_was_removed_is_still_the_images() {
    let tree = Tree::new();
    tree.write("bottom", "bin/a", "image");
    let image = fs::File::open(tree.path("bottom", "bin/a")).expect("is there");
    tree.node("upper", "bin/a", FileType::CharacterDevice);
    assert_eq!(tree.overlay().provenance_of(&image, b"/bin/a (deleted)"), Provenance::Image);
}

#[test]
fn what_was_found_is_kept_until_the_file_changes() {
    let tree = Tree::new();
    tree.write("bottom", "bin/a", "content");
    tree.write("upper", "bin/a", "content");
    let path = tree.path("upper", "bin/a");
    let mut overlay = tree.overlay();
    assert_eq!(overlay.provenance(b"/bin/a"), UNCHANGED);
    let told = || file::look(fs::File::open(&path).expect("is there")).expect("is open");
    assert_eq!(
        overlay.known(&told()),
        None,
        "its last change is too fresh to be told from the next"
    );
    let settled = || {
        let changed = fs::metadata(&path).expect("is there");
        let changed_ns = changed.ctime() as u64 * 1_000_000_000 + changed.ctime_nsec() as u64;
        clock::now_ns() > changed_ns + SETTLED_NS
    };
    let start = clock::instant();
    while !settled() {
        assert!(clock::since(start) < Duration::from_secs(10), "time passes");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(overlay.provenance(b"/bin/a"), UNCHANGED);
    assert_eq!(overlay.known(&told()), Some(UNCHANGED));
    fs::write(&path, "kontent").expect("is written");
    backdate(&path);
    assert_eq!(overlay.known(&told()), None);
    assert_eq!(overlay.provenance(b"/bin/a"), CHANGED);
}

#[test]
fn who_may_not_wait_keeps_only_what_the_lengths_say() {
    let tree = Tree::new();
    for name in ["bin/same", "bin/longer"] {
        tree.write("bottom", name, "content");
    }
    tree.write("upper", "bin/same", "content");
    tree.write("upper", "bin/longer", "content!");
    let open = |name: &str| fs::File::open(tree.path("upper", name)).expect("is there");
    let told = |name: &str| file::look(open(name)).expect("is open");
    let changed_ns = |name: &str| {
        let changed = told(name).stx_ctime;
        changed.tv_sec as u64 * 1_000_000_000 + u64::from(changed.tv_nsec)
    };
    let start = clock::instant();
    while clock::now_ns() <= changed_ns("bin/longer") + SETTLED_NS {
        assert!(clock::since(start) < Duration::from_secs(10), "time passes");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut hasty = tree.overlay().comparing_at_most(1 << 20);
    assert_eq!(hasty.provenance_of(open("bin/longer"), b"/bin/longer"), CHANGED);
    assert_eq!(hasty.take_comparisons(), 0, "no byte was looked at");
    assert_eq!(hasty.provenance_of(open("bin/same"), b"/bin/same"), UNCHANGED);
    assert_eq!((hasty.take_comparisons(), hasty.take_comparisons()), (1, 0));
    assert_eq!(hasty.known(&told("bin/longer")), Some(CHANGED));
    assert_eq!(hasty.known(&told("bin/same")), None, "a mapping may change it unseen");
}

#[test]
fn what_is_kept_has_a_bound() {
    let tree = Tree::new();
    tree.write("bottom", "bin/a", "a");
    let identity = Identity::of(fs::File::open(tree.path("bottom", "bin/a")).expect("is there"));
    let identity = identity.expect("is open");
    let mut overlay = tree.overlay();
    for number in 0..3 * MOST_KNOWN as u64 {
        overlay.keep(identity.numbered(number), Provenance::Image);
        assert!(overlay.known.len() <= MOST_KNOWN);
    }
}
