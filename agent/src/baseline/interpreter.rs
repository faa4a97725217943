//! What an interpreter is given before its program, and whether that is a text: each reads its options
//! in its own way.

use super::arguments::code::Language;

/// How an interpreter reads its options.
struct Reading {
    /// What it is called, but for its version.
    names: &'static [&'static str],
    language: Language,
    /// Letters of options that say that the program is a text.
    code: &'static [u8],
    /// Whether that text is the first argument that is no option. Else it is the rest of the option, or
    /// what follows it.
    is_code_last: bool,
    /// Letters of options that take a value: the rest of the option, or what follows it.
    valued: &'static [u8],
    /// The same, of which the value is never what follows.
    joined: &'static [u8],
    /// Letters of options that say that the program is a file or module.
    file: &'static [u8],
    /// Letters of options that say that the program comes by the input.
    input: &'static [u8],
    /// Names of options behind `--` that say that the program is a text.
    code_names: &'static [&'static str],
    /// Those that say that it is a file.
    file_names: &'static [&'static str],
    /// Those that take what follows for their value.
    valued_names: &'static [&'static str],
}

const NONE: Reading = Reading {
    names: &[],
    language: Language::Shell,
    code: b"",
    is_code_last: false,
    valued: b"",
    joined: b"",
    file: b"",
    input: b"",
    code_names: &[],
    file_names: &[],
    valued_names: &[],
};

/// `bash(1)`, `dash(1)`, `python3(1)`, `perlrun(1)`, `ruby(1)`, `node(1)`, `php(1)`, `lua(1)`.
const READINGS: [Reading; 7] = [
    Reading {
        names: &["sh", "bash", "dash", "ash", "zsh", "ksh"],
        code: b"c",
        is_code_last: true,
        valued: b"oO",
        input: b"s",
        valued_names: &["rcfile", "init-file"],
        ..NONE
    },
    Reading {
        names: &["python"],
        language: Language::Hash,
        code: b"c",
        valued: b"WX",
        file: b"m",
        valued_names: &["check-hash-based-pycs"],
        ..NONE
    },
    Reading {
        names: &["perl"],
        language: Language::Hash,
        code: b"eE",
        valued: b"I",
        joined: b"imMFD:",
        ..NONE
    },
    Reading {
        names: &["ruby"],
        language: Language::Hash,
        code: b"e",
        valued: b"rICXE",
        joined: b"iFx:",
        valued_names: &[
            "encoding",
            "external-encoding",
            "internal-encoding",
            "enable",
            "disable",
            "backtrace-limit",
        ],
        ..NONE
    },
    Reading {
        names: &["node"],
        language: Language::Slashes,
        code: b"ep",
        is_code_last: true,
        valued: b"rC",
        code_names: &["eval", "print"],
        valued_names: &[
            "require",
            "import",
            "loader",
            "experimental-loader",
            "conditions",
            "env-file",
            "env-file-if-exists",
            "input-type",
            "experimental-default-type",
            "icu-data-dir",
            "openssl-config",
            "title",
            "stack-trace-limit",
            "redirect-warnings",
            "diagnostic-dir",
            "disable-warning",
            "dns-result-order",
            "unhandled-rejections",
        ],
        ..NONE
    },
    Reading {
        names: &["php"],
        language: Language::Slashes,
        code: b"rBRE",
        valued: b"dcStz",
        file: b"fF",
        code_names: &["run", "process-begin", "process-code", "process-end"],
        file_names: &["file", "process-file"],
        valued_names: &["define", "php-ini", "server", "docroot", "zend-extension"],
        ..NONE
    },
    Reading { names: &["lua"], language: Language::Slashes, code: b"e", valued: b"l", ..NONE },
];

/// The program that an interpreter was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// A text: its place among the arguments, where it stands alone.
    Text(Option<usize>, Language),
    /// A file or module.
    File,
    /// None: it does what its input says.
    Input,
}

/// What an option says.
#[derive(Default)]
struct Said {
    /// How many of the next arguments are its values.
    values: usize,
    /// The program is a text: whether that is the rest of the option.
    text: Option<bool>,
    /// The program is a file or module.
    is_file: bool,
    /// The program comes by the input.
    is_input: bool,
    /// No option follows.
    is_end: bool,
}

/// What a program of this name was given, whose arguments begin at a place; `None` of a program that is
/// no interpreter.
pub(super) fn given(called: &[u8], words: &[&[u8]], first: usize) -> Option<Given> {
    let reading = READINGS.iter().find(|it| it.is_called(called))?;
    let (mut at, mut is_text, mut is_input) = (first, false, false);
    while let Some(said) = words.get(at).and_then(|word| reading.said_by(word)) {
        at += 1 + said.values;
        if said.is_file {
            return Some(Given::File);
        }
        if said.text == Some(true) {
            return Some(Given::Text(None, reading.language));
        }
        is_text |= said.text.is_some();
        is_input |= said.is_input;
        if said.is_end || is_text && !reading.is_code_last {
            break;
        }
    }
    let place = (at < words.len()).then_some(at);
    Some(match place {
        _ if is_text => Given::Text(place, reading.language),
        Some(_) if !is_input => Given::File,
        _ => Given::Input,
    })
}

impl Reading {
    fn is_called(&self, called: &[u8]) -> bool {
        let is_version = |it: &u8| it.is_ascii_digit() || *it == b'.';
        let rest = |name: &&str| called.strip_prefix(name.as_bytes());
        self.names.iter().filter_map(rest).any(|rest| rest.iter().all(is_version))
    }

    /// `None` of what is no option.
    fn said_by(&self, word: &[u8]) -> Option<Said> {
        let is_shell = self.language == Language::Shell;
        match word {
            // It names no file.
            b"" => Some(Said::default()),
            b"--" => Some(Said { is_end: true, ..Said::default() }),
            b"-" => Some(Said { is_end: true, is_input: !is_shell, ..Said::default() }),
            [b'-', b'-', name @ ..] => Some(self.said_by_name(name)),
            [b'-', letters @ ..] => Some(self.said_by_letters(letters)),
            [b'+', letters @ ..] if is_shell => Some(self.said_by_letters(letters)),
            _ => None,
        }
    }

    fn said_by_letters(&self, letters: &[u8]) -> Said {
        let mut said = Said::default();
        for (at, letter) in letters.iter().enumerate() {
            let is_last = at + 1 == letters.len();
            if self.code.contains(letter) {
                said.text = Some(!self.is_code_last && !is_last);
            }
            said.is_file |= self.file.contains(letter);
            said.is_input |= self.input.contains(letter);
            let takes_value = self.valued.contains(letter);
            said.values += usize::from(takes_value && (is_last || self.is_code_last));
            // The rest is a value, where letters may not go on behind one that takes it.
            let is_over = said.text.is_some() || said.is_file || takes_value;
            if is_over && !self.is_code_last || self.joined.contains(letter) {
                break;
            }
        }
        said
    }

    fn said_by_name(&self, name: &[u8]) -> Said {
        let (name, has_value) = match name.iter().position(|it| *it == b'=') {
            Some(at) => (&name[..at], true),
            None => (name, false),
        };
        let is_among = |names: &[&str]| names.iter().any(|it| it.as_bytes() == name);
        let values = usize::from(!has_value && is_among(self.valued_names));
        let text = is_among(self.code_names).then_some(has_value);
        Said { values, text, is_file: is_among(self.file_names), ..Said::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<Given> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        given(words[0], &words, 1)
    }

    #[test]
    fn a_text_is_found_behind_options_and_their_values() {
        for (line, place) in [
            ("sh -c id", 2),
            ("bash -o posix -c id", 4),
            ("bash -oc posix id", 3),
            ("bash +x --rcfile /x -ec -u id", 6),
            ("dash -c -- id", 3),
            ("python3 -W ignore -c id", 4),
            ("python3.11 -Bc id", 2),
            ("perl -I /lib -0777 -lane id", 5),
            ("ruby -r json -e id", 4),
            ("node -r /x.js --input-type module -e id", 6),
            ("node -pe id", 2),
            ("php -d x=y -r id", 4),
            ("php8.2 --define x=y --run id", 4),
            ("lua5.4 -l x -e id", 4),
        ] {
            let Some(Given::Text(found, _)) = of(line) else { panic!("{line}: {:?}", of(line)) };
            assert_eq!(found, Some(place), "{line}");
        }
        for line in ["python3 -cimport", "perl -eexit", "node --eval=1", "php -recho", "bash -c"] {
            assert!(matches!(of(line), Some(Given::Text(None, _))), "{line}");
        }
    }

    #[test]
    fn an_option_means_what_it_means_to_its_interpreter() {
        for line in [
            "bash -e /x",
            "sh -p /x",
            "bash -o pipefail /x",
            "python3 -E /x -c id",
            "python3 -m http.server -c id",
            "python3 -W ignore /x",
            "perl -p /x",
            "perl -Mre /x",
            "ruby -E utf-8 /x",
            "node -r /y /x",
            "node -c /x",
            "php -d x=y /x",
            "php -c /etc -f /x",
            "sh - /x",
        ] {
            assert_eq!(of(line), Some(Given::File), "{line}");
        }
        for line in ["sh", "bash -e", "sh -p", "bash -s x", "python3 -", "bash -o posix"] {
            assert_eq!(of(line), Some(Given::Input), "{line}");
        }
        for line in ["nginx -c /etc/nginx.conf", "nodejs-app -e x", "shutdown -c"] {
            assert_eq!(of(line), None, "{line}");
        }
    }
}
