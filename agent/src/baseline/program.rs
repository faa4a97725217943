//! What a program is called: its file, and for programs that are many in one, which of them.

use super::arguments::code::Language;

/// Files that hold many programs and choose by the name they are called by.
const MANY_IN_ONE: [&str; 3] = ["busybox", "toybox", "coreutils"];
/// Interpreters, by the beginning of their file's name.
const INTERPRETERS: [&str; 12] =
    ["sh", "bash", "dash", "ash", "zsh", "ksh", "python", "perl", "ruby", "node", "php", "lua"];
/// Options by which an interpreter is given its program as an argument.
const INLINE: [&str; 6] = ["-c", "-e", "-E", "-r", "-p", "--eval"];

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
    if is_interpreter(exe, args) && options(args).any(is_inline) {
        out.push_str(" -c");
    }
}

/// Whether a program does what its input says: an interpreter that was given no program of its own.
pub fn obeys_input(exe: &[u8], args: &[u8]) -> bool {
    let words = args.split(|it| *it == 0).filter(|it| !it.is_empty());
    is_interpreter(exe, args)
        && words
            .skip(first_argument(exe, args))
            .all(|word| word.starts_with(b"-") && !is_inline(word))
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
    if !is_interpreter(exe, args) {
        return None;
    }
    let applet = applet(exe, args);
    let called = applet.as_deref().unwrap_or_else(|| text(base(exe)));
    let (language, first) = (Language::of(called), first_argument(exe, args));
    let words: Vec<&[u8]> = args.split(|it| *it == 0).collect();
    let mut options = words.iter().skip(first).take_while(|it| it.starts_with(b"-"));
    let mut at = first + 1 + options.position(|it| takes_code(called, language, text(it)))?;
    // A shell takes further options before it.
    while language == Language::Shell && words.get(at).is_some_and(|it| it.starts_with(b"-")) {
        at += 1;
    }
    (at < words.len()).then_some((at, language))
}

/// Whether an option of an interpreter says that a program follows it.
fn takes_code(called: &str, language: Language, option: &str) -> bool {
    let is_bundle = |end: &[char]| {
        let letters = option.strip_prefix('-').unwrap_or_default();
        letters.len() <= 5 && letters.ends_with(end) && letters.chars().all(char::is_alphabetic)
    };
    match language {
        Language::Shell => is_bundle(&['c']),
        Language::Hash if called.starts_with("python") => is_bundle(&['c']),
        Language::Hash => is_bundle(&['e', 'E']),
        Language::Slashes if called.starts_with("php") => is_bundle(&['r']),
        Language::Slashes => is_bundle(&['e', 'p']) || option == "--eval",
    }
}

fn is_interpreter(exe: &[u8], args: &[u8]) -> bool {
    let applet = applet(exe, args);
    let called = applet.as_deref().unwrap_or_else(|| text(base(exe)));
    INTERPRETERS.iter().any(|name| {
        called
            .strip_prefix(name)
            .is_some_and(|rest| rest.chars().all(|it| it.is_ascii_digit() || it == '.'))
    })
}

/// The options before the first argument that is none; what follows that is the program's own.
fn options(args: &[u8]) -> impl Iterator<Item = &[u8]> {
    args.split(|it| *it == 0).skip(1).take_while(|it| it.starts_with(b"-"))
}

/// Whether an argument says that the program follows it: `-c`, and `-lc` or `-ec`.
fn is_inline(argument: &[u8]) -> bool {
    let argument = text(argument);
    let is_bundle = argument.len() <= 4
        && argument.ends_with('c')
        && argument.strip_prefix('-').is_some_and(|it| it.chars().all(char::is_alphabetic));
    is_bundle || INLINE.contains(&argument)
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

/// The last component of a path.
pub fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|it| *it == b'/').next().unwrap_or(path)
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
        assert_eq!(called("/usr/sbin/nginx", "nginx -c /etc/nginx.conf"), "/usr/sbin/nginx");
        assert_eq!(called("/usr/bin/nodejs-app", "x -e"), "/usr/bin/nodejs-app");
    }
}
