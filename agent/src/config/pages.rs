//! Compares generated pages with what is in the repository.

use std::{env, fs, path::Path};

/// Fails when a page is stale, or rewrites it where `UPDATE_DOCS` is set.
pub(crate) fn assert_fresh(page: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(path.parent().expect("is in a folder")).expect("the folder is made");
        fs::write(&path, text).expect("the page is written");
        return;
    }
    let current = fs::read_to_string(&path).unwrap_or_default();
    assert!(current == text, "{page} is stale: run `UPDATE_DOCS=1 cargo test -p plimsoll`");
}
