//! Builds the images of the live tests from Debian packages and local sources, without a registry.

mod busybox;
mod nginx;
pub(crate) mod packages;
mod rootfs;
mod stamp;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    cmd,
    docker::{self, Docker},
    paths, say,
};
use stamp::Stamp;

/// An image: its fixture holds the Dockerfile, its recipe adds what must be made.
struct Image {
    name: &'static str,
    recipe: fn(&Path) -> Result<()>,
    /// The recipe's own source: to change it is to change the image.
    source: &'static str,
    base: Option<&'static str>,
}

/// Each after those it is made from.
const IMAGES: &[Image] = &[
    Image {
        name: "busybox",
        recipe: busybox::prepare,
        source: include_str!("busybox.rs"),
        base: None,
    },
    Image { name: "layered", recipe: nothing, source: "", base: Some("busybox") },
    Image { name: "healthy", recipe: nothing, source: "", base: Some("busybox") },
    Image { name: "nginx", recipe: nginx::prepare, source: include_str!("nginx.rs"), base: None },
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leaves a dockerd that was started for this running.
    #[arg(long)]
    keep_docker: bool,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let docker = Docker::ensure()?;
    let result = ensure(&docker);
    if args.keep_docker {
        docker.keep();
    }
    result
}

/// Builds the images that are missing or whose inputs changed.
pub(crate) fn ensure(_answering: &Docker) -> Result<()> {
    IMAGES.iter().try_for_each(|image| {
        image.ensure().with_context(|| format!("building the image {}", image.tag()))
    })
}

/// Keeps all images in a file that `docker load` reads.
pub(crate) fn save(_answering: &Docker, to: &Path) -> Result<()> {
    let tags: Vec<String> = IMAGES.iter().map(Image::tag).collect();
    let ids = tags.iter().map(|tag| id(tag)).collect::<Result<Vec<_>>>()?.join("\n");
    let stamp = to.with_extension("stamp");
    if to.exists() && fs::read_to_string(&stamp).is_ok_and(|known| known == ids) {
        return Ok(());
    }
    cmd::run(docker::docker().args(["save", "--output"]).arg(to).args(&tags))?;
    fs::write(&stamp, ids).with_context(|| format!("writing {}", stamp.display()))
}

#[expect(clippy::unnecessary_wraps, reason = "recipes share a type")]
fn nothing(_context: &Path) -> Result<()> {
    Ok(())
}

impl Image {
    fn tag(&self) -> String {
        tag(self.name)
    }

    /// Where its Dockerfile and its files are.
    fn fixture(&self) -> PathBuf {
        paths::root().join("tests/fixtures/images").join(self.name)
    }

    fn ensure(&self) -> Result<()> {
        let base = self.base.map(|base| id(&tag(base))).transpose()?.unwrap_or_default();
        let inputs =
            stamp::hash(&self.fixture(), &[self.source, include_str!("rootfs.rs"), &base])?;
        let images = paths::made().join("images");
        let stamp = images.join(format!("{}.stamp", self.name));
        // No image of this name is no error: there will be one.
        let present = id(&self.tag()).unwrap_or_default();
        if Stamp::read(&stamp).is_some_and(|known| known == Stamp { inputs, image: present }) {
            return Ok(());
        }
        say(&format!("building the image {}", self.tag()));
        let context = images.join(self.name);
        self.build(&context)?;
        Stamp { inputs, image: id(&self.tag())? }.write(&stamp)
    }

    fn build(&self, context: &Path) -> Result<()> {
        if context.exists() {
            fs::remove_dir_all(context).context("removing the last build's context")?;
        }
        rootfs::copy_files(&self.fixture(), context)?;
        (self.recipe)(context)?;
        cmd::output(docker::docker().args(["build", "--tag", &self.tag()]).arg(context)).map(|_| ())
    }
}

fn tag(name: &str) -> String {
    format!("plimsoll-test/{name}:1")
}

fn id(tag: &str) -> Result<String> {
    let inspect = ["image", "inspect", "--format", "{{.Id}}", tag];
    Ok(cmd::output(docker::docker().args(inspect))?.trim_end().to_owned())
}
