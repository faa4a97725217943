//! Looks into images on a thread of its own: that reads directories, for which the pipeline does
//! not wait.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    thread,
};

use anyhow::Context;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::{
    attribution::overlay::image::Image,
    baseline::{
        schedule::{Schedule, Table},
        survey::{Executables, Found, Wish},
    },
};

/// Images that wait.
const WAITING: usize = 64;
/// How much it gives way to others.
const NICENESS: i32 = 10;

/// Directories of crontabs: of the system, and of users, as Debian, Red Hat and Busybox have them.
const TABLES: [(Table, &str); 4] = [
    (Table::System, "/etc/cron.d"),
    (Table::User, "/var/spool/cron/crontabs"),
    (Table::User, "/var/spool/cron"),
    (Table::Busybox, "/etc/crontabs"),
];
/// Crontabs that are read of one directory.
const MOST_TABLES: usize = 64;
/// What is read of one, in bytes.
const MOST_TABLE_BYTES: u64 = 64 << 10;

/// See the module.
pub struct Surveyor {
    ask: Sender<Wish>,
    told: Receiver<Found>,
}

impl Surveyor {
    /// Starts the thread, which ends with this value.
    ///
    /// # Errors
    /// When there is no thread.
    pub fn start(procfs: PathBuf) -> anyhow::Result<Self> {
        let (ask, asked) = bounded::<Wish>(WAITING);
        let (tell, told) = bounded(WAITING);
        let work = move || {
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
            // Who asked may be gone.
            let mut found = asked.iter().map(|wish| look(&procfs, wish));
            found.all(|it| tell.send(it).is_ok());
        };
        let thread = thread::Builder::new().name("survey".to_owned()).spawn(work);
        thread.context("starting the surveyor of images")?;
        Ok(Self { ask, told })
    }

    /// Has an image looked into; gives the wish back where too many wait.
    pub(super) fn ask(&self, wish: Wish) -> Option<Wish> {
        match self.ask.try_send(wish) {
            Ok(()) => None,
            Err(TrySendError::Full(wish) | TrySendError::Disconnected(wish)) => Some(wish),
        }
    }

    /// What was found since the last call.
    pub(super) fn found(&self) -> impl Iterator<Item = Found> {
        self.told.try_iter()
    }
}

fn look(procfs: &Path, wish: Wish) -> Found {
    survey(procfs, &wish).unwrap_or_else(|error| {
        let error = format!("{error:#}");
        tracing::warn!(subject = %wish.subject, error, "an image could not be looked into");
        wish.unfulfilled()
    })
}

fn survey(procfs: &Path, wish: &Wish) -> anyhow::Result<Found> {
    let layers = wish.container.find_layers(procfs);
    let image = Image::open(&layers.context("its container is no overlay, or is gone")?)?;
    let mut executables = Executables::new();
    if !image.executables(&mut |path| executables.insert(path))? {
        executables.are_not_all();
    }
    let mut gone = HashSet::new();
    for path in &wish.wanted {
        if !image.has_file(path.as_bytes())? {
            gone.insert(path.clone());
        }
    }
    // Of a table that cannot be read nothing is known; the rest is.
    let schedule = schedule(&image).ok();
    Ok(Found { subject: wish.subject.clone(), executables: Some(executables), gone, schedule })
}

/// The jobs of an image's crontabs.
fn schedule(image: &Image) -> io::Result<Schedule> {
    let mut files = vec![(Table::System, b"/etc/crontab".to_vec())];
    for (table, directory) in TABLES {
        let names = image.names_in(directory.as_bytes())?;
        let path = |name: Vec<u8>| [directory.as_bytes(), b"/", &name].concat();
        files.extend(names.into_iter().take(MOST_TABLES).map(|name| (table, path(name))));
    }
    let mut tables = Vec::new();
    for (table, path) in files {
        if let Some(content) = image.read(&path, MOST_TABLE_BYTES)? {
            tables.push((table, String::from_utf8_lossy(&content).into_owned()));
        }
    }
    Ok(Schedule::of(tables.iter().map(|(table, text)| (*table, text.as_str()))))
}
