//! Looks into images on a thread of its own: that reads directories, for which the pipeline does
//! not wait.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    thread,
};

use anyhow::Context;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::{
    attribution::overlay::image::Image,
    baseline::survey::{Executables, Found, Wish},
};

/// Images that wait.
const WAITING: usize = 64;
/// How much it gives way to others.
const NICENESS: i32 = 10;

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
    match survey(procfs, &wish) {
        Ok((executables, gone)) => {
            Found { subject: wish.subject, executables: Some(executables), gone }
        }
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(subject = %wish.subject, error, "an image could not be looked into");
            wish.unfulfilled()
        }
    }
}

fn survey(procfs: &Path, wish: &Wish) -> anyhow::Result<(Executables, HashSet<String>)> {
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
    Ok((executables, gone))
}
