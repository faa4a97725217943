//! Where a file comes from, as seen from its container.

/// Codes of the layers, as they stand in a record.
pub mod code {
    /// The kernel side could not tell.
    pub const UNKNOWN: u8 = 0;
    /// A lower layer of the overlay: the image's own file.
    pub const IMAGE: u8 = 1;
    /// Written in this container: only in the upper layer.
    pub const UPPER: u8 = 2;
    /// An image file that was copied up to the upper layer by a change of data or metadata.
    pub const COPIED_UP: u8 = 3;
    /// A tmpfs, `/dev/shm` among them.
    pub const TMPFS: u8 = 4;
    /// An anonymous file in memory.
    pub const MEMFD: u8 = 5;
    /// Another mount; [`BIND`] and [`VOLUME`] refine it in user space.
    pub const MOUNT: u8 = 6;
    /// procfs.
    pub const PROC: u8 = 7;
    /// sysfs, cgroupfs, bpffs, debugfs, tracefs and their like.
    pub const SYS: u8 = 8;
    /// The container's root where it is no overlay, so that layers cannot be told apart.
    pub const ROOTFS: u8 = 9;
    /// A directory or file of the host.
    pub const BIND: u8 = 10;
    /// A named or anonymous volume.
    pub const VOLUME: u8 = 11;
    /// To be told from the path alone, in user space: the change was named by path.
    pub const BY_PATH: u8 = 12;
}

/// The name of a layer code, as it stands in output and queries.
pub const fn name(code: u8) -> &'static str {
    match code {
        code::IMAGE => "image",
        code::UPPER => "upper",
        code::COPIED_UP => "copied_up",
        code::TMPFS => "tmpfs",
        code::MEMFD => "memfd",
        code::MOUNT => "mount",
        code::PROC => "proc",
        code::SYS => "sys",
        code::ROOTFS => "rootfs",
        code::BIND => "bind",
        code::VOLUME => "volume",
        _ => "unknown",
    }
}
