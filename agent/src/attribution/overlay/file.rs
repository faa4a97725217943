//! What an open file is and is called, and how a place becomes a file that can be read.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd as _},
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, Statx, StatxFlags, openat, readlink, statx},
    io::Errno,
};

/// What the kernel knows of an open file, its mount among it. The file system is not asked where
/// that would mean to wait for its answer.
///
/// # Errors
/// What the system call says.
pub fn look(file: impl AsFd) -> Result<Statx, Errno> {
    let how = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    statx(file, "", how, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID)
}

/// Whether it is a regular file.
pub fn is_regular(told: &Statx) -> bool {
    FileType::from_raw_mode(told.stx_mode.into()) == FileType::RegularFile
}

/// What the kernel calls an open file, in the mount namespace it lies in.
///
/// # Errors
/// What the system call says; `ENAMETOOLONG` for a path of more than 4095 bytes.
pub fn name(file: impl AsFd) -> Result<Vec<u8>, Errno> {
    readlink(link(file), Vec::new()).map(std::ffi::CString::into_bytes)
}

/// Opens what a place is for reading. The caller made sure that it is a regular file.
pub(super) fn reopen(place: impl AsFd) -> io::Result<File> {
    // By its number and not by its name, which may be a pipe's by now.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(openat(CWD, link(place), flags, Mode::empty())?.into())
}

/// The link to an open file of this process, which leads to it whatever its name.
pub fn link(file: impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}
