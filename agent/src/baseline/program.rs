//! What a program is called: its file, and for programs that are many in one, which of them.

use std::borrow::Cow;

use super::{
    arguments::code::Language,
    interpreter::{Given, given},
};
use crate::attribution::normal::base;

/// Files that hold many programs and choose by the name they are called by.
const MANY_IN_ONE: [&str; 3] = ["busybox", "toybox", "coreutils"];

/// Writes the name of a program: its path, and the applet of a program that is many in one.
pub fn push_name(out: &mut String, exe: &[u8], args: &[u8]) {
    out.push_str(&String::from_utf8_lossy(exe));
    if let Some(applet) = applet(exe, args) {
        out.push(' ');
        out.push_str(&applet);
    }
}

/// Writes which of the programs it is that are in one, as a name below that one's path.
pub fn push_applet(out: &mut String, exe: &[u8], args: &[u8]) {
    if let Some(applet) = applet(exe, args) {
        out.push('/');
        out.push_str(&applet);
    }
}

/// The same as [`push_name`], and for an interpreter whether its program was given as an argument.
pub fn push_invocation(out: &mut String, exe: &[u8], args: &[u8]) {
    push_name(out, exe, args);
    if matches!(given_to(exe, args), Some(Given::Text(..))) {
        out.push_str(" -c");
    }
}

/// Whether a program does what its input says: an interpreter that was given no program of its own.
pub fn obeys_input(exe: &[u8], args: &[u8]) -> bool {
    given_to(exe, args) == Some(Given::Input)
}

/// The place of the first argument, after what the program is called by.
pub fn first_argument(exe: &[u8], args: &[u8]) -> usize {
    let called = args.split(|it| *it == 0).next().map(base);
    // Of many in one, called by its own name, the first argument is a name too.
    let is_own_name = called == Some(base(exe)) && applet(exe, args).is_some();
    1 + usize::from(is_own_name)
}

/// The place of a program that an interpreter was given as an argument, and its language.
pub fn code_at(exe: &[u8], args: &[u8]) -> Option<(usize, Language)> {
    match given_to(exe, args)? {
        Given::Text(at, language) => Some((at?, language)),
        Given::File | Given::Input => None,
    }
}

/// What a program is called, whether or not it is one of many in a file.
pub fn called<'e>(exe: &'e [u8], args: &[u8]) -> Cow<'e, [u8]> {
    applet(exe, args).map_or_else(|| base(exe).into(), |applet| applet.into_bytes().into())
}

/// The text that a shell was given as its program, and nothing after it.
pub fn shell_text<'a>(exe: &[u8], args: &'a [u8]) -> Option<&'a [u8]> {
    let (at, language) = code_at(exe, args)?;
    let mut words = args.split(|it| *it == 0).skip(at);
    let code = words.next()?;
    (language == Language::Shell && words.next().is_none()).then_some(code)
}

/// The program that an interpreter was given.
fn given_to(exe: &[u8], args: &[u8]) -> Option<Given> {
    let words: Vec<&[u8]> = args.split(|it| *it == 0).collect();
    given(&called(exe, args), &words, first_argument(exe, args))
}

fn applet(exe: &[u8], args: &[u8]) -> Option<String> {
    let file = base(exe);
    if !MANY_IN_ONE.iter().any(|name| file.starts_with(name.as_bytes())) {
        return None;
    }
    let mut words = args.split(|it| *it == 0);
    let called = base(words.next()?);
    let called = called.strip_prefix(b"-").unwrap_or(called);
    // Called by its own name, it takes the applet as its first argument.
    let called = if called == file { base(words.next()?) } else { called };
    let is_name = !called.is_empty()
        && called.len() <= 32
        && called.iter().all(|it| it.is_ascii_alphanumeric() || b"[-_.".contains(it));
    is_name.then(|| text(called).to_owned())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(exe: &str, args: &str) -> String {
        let mut out = String::new();
        push_invocation(&mut out, exe.as_bytes(), args.replace(' ', "\0").as_bytes());
        out
    }

    #[test]
    fn a_program_that_is_many_is_named_with_the_one_it_is() {
        assert_eq!(called("/bin/busybox", "sh -x"), "/bin/busybox sh");
        assert_eq!(called("/bin/busybox", "/bin/wget http://x"), "/bin/busybox wget");
        assert_eq!(called("/bin/busybox", "busybox nc -l"), "/bin/busybox nc");
        assert_eq!(called("/bin/busybox", "-sh"), "/bin/busybox sh");
        assert_eq!(called("/usr/sbin/nginx", "nginx: worker"), "/usr/sbin/nginx");
    }

    #[test]
    fn an_interpreter_without_a_program_obeys_its_input() {
        let obeys =
            |exe: &str, args: &str| obeys_input(exe.as_bytes(), args.replace(' ', "\0").as_bytes());
        assert!(obeys("/bin/dash", "sh") && obeys("/bin/bash", "bash -i") && obeys("/bin/sh", ""));
        assert!(obeys("/bin/busybox", "sh -i") && obeys("/bin/busybox", "busybox sh -i"));
        assert!(obeys("/usr/bin/python3.11", "python3 -i"));
        assert!(!obeys("/bin/dash", "sh -c id") && !obeys("/bin/dash", "sh /cgi-bin/count"));
        assert!(obeys("/bin/bash", "bash -e") && obeys("/bin/bash", "bash -o posix"));
        assert!(!obeys("/bin/bash", "bash -e /run.sh") && !obeys("/usr/bin/node", "node -r /x /y"));
        assert!(!obeys("/bin/busybox", "busybox cat") && !obeys("/usr/sbin/nginx", "nginx"));
    }

    #[test]
    fn a_program_given_as_an_argument_is_told_from_a_file() {
        assert_eq!(called("/bin/dash", "sh -c id"), "/bin/dash -c");
        assert_eq!(called("/bin/bash", "bash -lc id"), "/bin/bash -c");
        assert_eq!(called("/usr/bin/python3.11", "python3 -c x"), "/usr/bin/python3.11 -c");
        assert_eq!(called("/usr/bin/python3.11", "python3 app.py"), "/usr/bin/python3.11");
        assert_eq!(called("/usr/bin/python3.11", "python3 app.py -c x"), "/usr/bin/python3.11");
        assert_eq!(called("/bin/busybox", "sh -c id"), "/bin/busybox sh -c");
        assert_eq!(called("/bin/busybox", "busybox sh -c id"), "/bin/busybox sh -c");
        assert_eq!(called("/bin/bash", "bash -e /run.sh"), "/bin/bash");
        assert_eq!(called("/bin/bash", "bash -o posix -c id"), "/bin/bash -c");
        assert_eq!(called("/usr/sbin/nginx", "nginx -c /etc/nginx.conf"), "/usr/sbin/nginx");
        assert_eq!(called("/usr/bin/nodejs-app", "x -e"), "/usr/bin/nodejs-app");
    }
}
