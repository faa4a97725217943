//! The socket file: made with the right owner before anyone can see it, and never taken over.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::{
        fs::{DirBuilderExt, PermissionsExt, chown},
        net::{UnixListener, UnixStream},
    },
    path::Path,
};

use anyhow::Context;

/// Members of this group may ask, as root may.
const GROUP: &str = "plimsoll";

/// Listens on a socket file; one that nobody answers on is replaced.
pub fn bind(path: &Path) -> anyhow::Result<tokio::net::UnixListener> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .with_context(|| format!("making the directory {}", parent.display()))?;
    }
    if UnixStream::connect(path).is_ok() {
        let told = format!("another plimsoll answers on {}", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, told).into());
    }
    let listener = make(path).with_context(|| format!("listening on {}", path.display()))?;
    Ok(tokio::net::UnixListener::from_std(listener)?)
}

/// Makes the socket under another name, sets its owner and moves it into place.
fn make(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(meta) if !std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type()) => {
            return Err(io::Error::other("a file that is no socket is in the way"));
        }
        _ => {}
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let draft = Path::new(&draft);
    let _ = fs::remove_file(draft);
    let listener = UnixListener::bind(draft)?;
    listener.set_nonblocking(true)?;
    // Until the owner is set only ours may connect, and nobody knows the name.
    fs::set_permissions(draft, Permissions::from_mode(0o600))?;
    if let Some(group) = group_id() {
        match chown(draft, None, Some(group)) {
            // Without privilege the group cannot be given; the owner still can ask.
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            _ => {}
        }
    }
    fs::set_permissions(draft, Permissions::from_mode(0o660))?;
    fs::rename(draft, path)?;
    Ok(listener)
}

fn group_id() -> Option<u32> {
    let groups = fs::read_to_string("/etc/group").ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != GROUP {
            return None;
        }
        fields.nth(1)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().expect("builds")
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let runtime = runtime();
        let _entered = runtime.enter();
        let dir = tempfile::tempdir().expect("makes a directory");
        let path = dir.path().join("run/plimsoll.sock");
        let first = bind(&path).expect("listens");
        let mode = fs::metadata(&path).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        assert!(bind(&path).is_err_and(|error| error.to_string().contains("another plimsoll")));
        drop(first);
        assert!(path.exists(), "the file stays when its listener goes");
        bind(&path).expect("listens again");
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let runtime = runtime();
        let _entered = runtime.enter();
        let dir = tempfile::tempdir().expect("makes a directory");
        let path = dir.path().join("precious");
        fs::write(&path, "x").expect("writes");
        assert!(bind(&path).is_err());
        assert_eq!(fs::read(&path).expect("is there"), b"x");
    }
}
