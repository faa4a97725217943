//! `plimsoll store verify`: whether everything that is recorded can be read.

use std::fmt::Write;

use serde::Serialize;

use super::{
    super::{
        columns::{Format, lines, print},
        exit::{Exit, Failure},
    },
    Place, Told, bar, failure, size,
};
use crate::store::verify::{Verified, verify};

/// Read everything that is recorded and tell what is damaged
///
/// Every checksum is checked, every block decoded and compared with its header; profiles likewise.
/// The index is left out, since it is made anew from the segments. Exits 1 where something is
/// damaged. Beside a running agent, what is being written is passed over.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// How to print: for people, or one JSON object
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let bar = bar();
    let verified = verify(&args.place.directory()?, &mut |done, total| bar.at(done, total, ""));
    drop(bar);
    let verified = verified.map_err(failure)?;
    print(&shown(&verified, args.output))?;
    Ok(if verified.damages.is_empty() { Exit::Done } else { Exit::Findings })
}

#[derive(Serialize)]
struct Answer {
    sound: bool,
    blocks: u64,
    observations: u64,
    bytes: u64,
    profiles: u64,
    damages: Vec<Told>,
}

fn shown(verified: &Verified, output: Format) -> String {
    let Verified { blocks, observations, bytes, profiles, damages } = verified;
    if output == Format::Json {
        return lines(&[Answer {
            sound: damages.is_empty(),
            blocks: *blocks,
            observations: *observations,
            bytes: *bytes,
            profiles: *profiles,
            damages: damages.iter().map(Told::from).collect(),
        }]);
    }
    let mut text = String::new();
    // Writing to a string cannot fail.
    for damage in damages {
        let _ = writeln!(text, "damaged: {damage}");
    }
    let _ = writeln!(
        text,
        "sound: {observations} observations in {blocks} blocks, {profiles} profiles; {} read",
        size(*bytes)
    );
    text
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::store::error::Damage;

    #[test]
    fn damage_is_told_for_people_and_programs() {
        let damage = Damage {
            file: PathBuf::from("/d/events/seg-0.evs"),
            offset: 7,
            bytes: 90,
            reason: "wrong checksum of a section".to_owned(),
            from_ns: Some(0),
            to_ns: None,
            rows: Some(4096),
        };
        let verified = Verified { blocks: 3, damages: vec![damage], ..Verified::default() };
        let text = shown(&verified, Format::Table);
        assert!(text.starts_with("damaged: /d/events/seg-0.evs: 90 bytes at 7"), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&shown(&verified, Format::Json)).expect("is JSON");
        assert_eq!(json["sound"], false);
        assert_eq!(json["damages"][0]["observations"], 4096);
        assert_eq!(json["damages"][0]["from"], "1970-01-01T00:00:00Z");
        assert!(json["damages"][0].get("to").is_none());
    }
}
