//! Looks into images on a thread of its own: that reads directories, for which the pipeline does
//! not wait.

use std::{collections::HashSet, io, thread};

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
    pub fn start() -> anyhow::Result<Self> {
        let (ask, asked) = bounded::<Wish>(WAITING);
        let (tell, told) = bounded(WAITING);
        let work = move || {
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
            // Who asked may be gone.
            asked.iter().take_while(|wish| tell.send(look(wish)).is_ok()).for_each(drop);
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

fn look(wish: &Wish) -> Found {
    let subject = wish.subject.clone();
    match survey(wish) {
        Ok((executables, gone)) => Found { subject, executables: Some(executables), gone },
        Err(error) => {
            tracing::warn!(%subject, %error, "an image could not be looked into");
            Found { subject, executables: None, gone: HashSet::new() }
        }
    }
}

fn survey(wish: &Wish) -> io::Result<(Executables, HashSet<String>)> {
    let image = Image::open(&wish.layers)?;
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
