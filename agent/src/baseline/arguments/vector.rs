//! The arguments of a program as they are learned: masked words with a space between them.

use super::{code::commands, mask};
use crate::{
    attribution::{
        normal::base,
        process::{Origin, Process},
    },
    baseline::program,
};

/// Arguments that are looked at, and how long they are together.
const MOST_WORDS: usize = 32;
const MOST_LETTERS: usize = 512;
/// Arguments that are kept of those that are cut: what is surely whole.
const MOST_OF_CUT: usize = 8;

/// What stands for arguments that are none.
pub const NONE: &str = "(none)";
/// What stands at the end of those that go on, and alone for any at all.
pub const MORE: &str = "...";
/// What stands at the end of those that were longer than what the kernel side keeps.
pub const CUT: &str = "<cut>";

/// Programs that are the first process of a container and start what they are told to.
const INITS: [&str; 5] = ["tini", "tini-static", "docker-init", "dumb-init", "catatonit"];

/// Options of programs by which they are told a secret.
const SECRET_OPTIONS: [(&str, &str); 13] = [
    ("redis-cli", "-a"),
    ("curl", "-u"),
    ("curl", "-U"),
    ("curl", "--user"),
    ("curl", "--proxy-user"),
    ("lftp", "-u"),
    ("sqlcmd", "-P"),
    ("mongo", "-p"),
    ("ldapsearch", "-w"),
    ("sshpass", "-p"),
    ("smbclient", "-U"),
    ("mysql", "-p"),
    ("mariadb", "-p"),
];

/// Whether the arguments of a process are its image's to say. What the container, its health check
/// or a session is started with is said by whoever starts it, and what somebody does in a session
/// by whoever does it.
pub fn are_judged(process: &Process) -> bool {
    let ancestors = &process.lineage.ancestors;
    let is_init = |exe: &[u8]| {
        let name = std::str::from_utf8(base(exe)).unwrap_or_default();
        INITS.contains(&name)
    };
    let is_told = ancestors.len() == 1 && is_init(&ancestors[0].exe);
    !ancestors.is_empty() && !is_told && process.origin != Origin::Exec
}

/// Writes the arguments of a program; `false` where they are not known.
pub fn push(out: &mut String, exe: &[u8], args: &[u8], is_cut: bool) -> bool {
    if args.is_empty() {
        return false;
    }
    let words: Vec<&[u8]> = args.split(|it| *it == 0).collect();
    let first = program::first_argument(exe, args);
    let code = program::code_at(exe, args);
    let whole = match code {
        // A program is looked at up to where it is cut.
        Some((at, _)) if at + 1 == words.len() => words.len(),
        _ if is_cut => words.len() - 1,
        _ => words.len(),
    };
    let most = if is_cut { MOST_OF_CUT } else { MOST_WORDS };
    let begin = out.len();
    let (mut last, mut count) = (String::new(), 0);
    for (at, word) in words.iter().enumerate().take(whole).skip(first) {
        let shown = match code {
            Some((its, language)) if at == its => {
                let is_cut = is_cut && at + 1 == words.len();
                commands(language, &String::from_utf8_lossy(word), is_cut)
            }
            _ => shown(exe, words[..at].get(first..).and_then(<[_]>::last).copied(), word),
        };
        // A list of what is alike is as one of it, however long.
        if shown == last && shown.contains('<') {
            continue;
        }
        let is_full = count >= most || out.len() - begin + shown.len() > MOST_LETTERS;
        if is_full {
            push_word(out, begin, if is_cut { CUT } else { MORE });
            return true;
        }
        push_word(out, begin, &shown);
        (last, count) = (shown, count + 1);
    }
    if is_cut {
        push_word(out, begin, CUT);
    } else if out.len() == begin {
        out.push_str(NONE);
    }
    true
}

fn push_word(out: &mut String, begin: usize, word: &str) {
    if out.len() > begin {
        out.push(' ');
    }
    out.push_str(word);
}

/// An argument, which may be the value of the option before it.
fn shown(exe: &[u8], before: Option<&[u8]>, word: &[u8]) -> String {
    let name = std::str::from_utf8(base(exe)).unwrap_or_default();
    let text = |it| std::str::from_utf8(it).unwrap_or("\0");
    let (word, before) = (text(word), before.map_or("", text));
    let is_option = before.starts_with('-') && !before.contains('=');
    let mut its = SECRET_OPTIONS.iter().filter(|(program, _)| name.starts_with(program));
    if its.clone().any(|(_, option)| *option == before)
        || is_option && mask::is_secret(before) && !word.starts_with('-')
    {
        return mask::SECRET.to_owned();
    }
    let told = its.find_map(|(_, option)| {
        let value = word.strip_prefix(option).filter(|it| !it.is_empty())?;
        match (option.starts_with("--"), value.starts_with('=')) {
            (false, _) => Some(format!("{option}{}", mask::SECRET)),
            (true, true) => Some(format!("{option}={}", mask::SECRET)),
            (true, false) => None,
        }
    });
    told.unwrap_or_else(|| mask::masked(word))
}
