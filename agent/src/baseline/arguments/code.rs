//! A program that is given as an argument: not its text but the commands in it, or, of another
//! language than the shell's, the names.

use super::mask;

/// Commands or names that are kept.
const MOST_COMMANDS: usize = 24;
/// The same of a text that is cut: what is surely whole.
const MOST_OF_CUT: usize = 8;
/// Letters that they have together, at most.
const MOST_LETTERS: usize = 256;

/// Words after which a command follows, and those after which none does before a new line or `;`.
const BEFORE: [&str; 9] = ["if", "then", "elif", "else", "while", "until", "do", "!", "time"];
const INSTEAD: [&str; 8] = ["for", "case", "select", "function", "fi", "done", "esac", "}"];
/// Commands that run another that follows them.
const THROUGH: [&str; 9] =
    ["exec", "command", "nohup", "env", "nice", "setsid", "sudo", "timeout", "xargs"];

/// The language of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// The shell's.
    Shell,
    /// Any other, in which `#` begins a comment.
    Hash,
    /// Any other, in which `//` does.
    Slashes,
}

/// The commands of a program as one word, `{a;b}`: each once, in the order in which they come first.
pub fn commands(language: Language, text: &str, is_cut: bool) -> String {
    let mut found = match language {
        Language::Shell => Shell::read(text),
        Language::Hash | Language::Slashes => names(language, text),
    };
    let mut has_more = false;
    if is_cut {
        found.pop();
        found.truncate(MOST_OF_CUT);
    }
    let mut out = String::from("{");
    for (at, it) in found.iter().enumerate() {
        if at >= MOST_COMMANDS || out.len() + it.len() > MOST_LETTERS {
            has_more = true;
            break;
        }
        if at > 0 {
            out.push(';');
        }
        out.push_str(it);
    }
    out.push_str(if has_more { ";...}" } else { "}" });
    out
}

/// What the next word of a script is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    /// A command.
    #[default]
    Command,
    /// One that another runs, after its options.
    Wrapped,
    /// Something that a command is given.
    Argument,
}

/// Where one is in a script.
#[derive(Default)]
struct Place {
    word: String,
    has_word: bool,
    next: Next,
    /// Whether the next word is a file that is redirected to.
    is_file: bool,
    is_quoted: bool,
}

/// Reads a script word by word.
#[derive(Default)]
struct Shell {
    found: Vec<String>,
    at: Place,
    /// Of each command within another, where the outer one goes on.
    within: Vec<Place>,
}

impl Shell {
    fn read(text: &str) -> Vec<String> {
        let mut shell = Self::default();
        let mut rest = text.chars().peekable();
        let mut before = ' ';
        while let Some(it) = rest.next() {
            let next = rest.peek().copied().unwrap_or(' ');
            match it {
                '\\' => shell.push(rest.next().unwrap_or(' ')),
                '$' if next == '(' => {
                    rest.next();
                    shell.push('$');
                    shell.enter();
                }
                '`' if shell.within.is_empty() => {
                    shell.push('$');
                    shell.enter();
                }
                '`' => shell.leave(),
                '"' => {
                    shell.at.is_quoted = !shell.at.is_quoted;
                    shell.at.has_word = true;
                }
                _ if shell.at.is_quoted => shell.push(it),
                '\'' => {
                    shell.at.has_word = true;
                    rest.by_ref().take_while(|it| *it != '\'').for_each(|it| shell.push(it));
                }
                '#' if !shell.at.has_word => {
                    rest.by_ref().take_while(|it| *it != '\n').for_each(drop);
                    shell.end_command();
                }
                '&' if matches!(before, '>' | '<') || next == '>' => {}
                '<' | '>' => shell.redirect(),
                '(' => shell.enter(),
                ')' => shell.leave(),
                ';' | '&' | '|' | '\n' => shell.end_command(),
                _ if it.is_whitespace() => shell.end_word(),
                _ => shell.push(it),
            }
            before = it;
        }
        shell.end_word();
        while !shell.within.is_empty() {
            shell.leave();
            shell.end_word();
        }
        shell.found
    }

    fn push(&mut self, it: char) {
        self.at.has_word = true;
        self.at.word.push(it);
    }

    /// A command within another begins.
    fn enter(&mut self) {
        self.within.push(std::mem::take(&mut self.at));
    }

    /// It ends; so does a pattern of `case`.
    fn leave(&mut self) {
        self.end_word();
        self.at = self.within.pop().unwrap_or_default();
    }

    fn redirect(&mut self) {
        // The number before it is a descriptor's.
        if self.at.word.bytes().all(|it| it.is_ascii_digit()) {
            self.at.word.clear();
            self.at.has_word = false;
        }
        self.end_word();
        self.at.is_file = true;
    }

    fn end_command(&mut self) {
        self.end_word();
        (self.at.next, self.at.is_file) = (Next::Command, false);
    }

    fn end_word(&mut self) {
        let word = std::mem::take(&mut self.at.word);
        if !std::mem::take(&mut self.at.has_word) || std::mem::take(&mut self.at.is_file) {
            return;
        }
        let is_setting = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_')
        });
        // Numbers and names of signals are values of options.
        let is_option = word.starts_with('-')
            || word.bytes().all(|it| it.is_ascii_digit() || it.is_ascii_uppercase());
        match self.at.next {
            _ if word == "{" => {
                self.at.next = Next::Command;
                return;
            }
            Next::Argument => return,
            Next::Wrapped if is_option => return,
            Next::Command | Next::Wrapped if is_setting => return,
            Next::Command | Next::Wrapped if BEFORE.contains(&word.as_str()) => return,
            Next::Command | Next::Wrapped => {}
        }
        self.at.next = Next::Argument;
        if INSTEAD.contains(&word.as_str()) {
            return;
        }
        if THROUGH.contains(&word.as_str()) {
            self.at.next = Next::Wrapped;
        }
        let shown = if word.contains('$') { mask::VARIABLE.to_owned() } else { command(&word) };
        push_once(&mut self.found, shown);
    }
}

fn command(word: &str) -> String {
    if word.contains('=') { mask::TEXT.to_owned() } else { mask::masked(word) }
}

/// The names outside of texts and comments.
fn names(language: Language, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    let is_name = |it: char| it.is_ascii_alphanumeric() || "_.".contains(it);
    while let Some(first) = rest.chars().next() {
        let is_comment = match language {
            Language::Hash => first == '#',
            Language::Slashes => rest.starts_with("//"),
            Language::Shell => false,
        };
        let length = if is_comment {
            rest.find('\n').unwrap_or(rest.len())
        } else if matches!(first, '\'' | '"' | '`') {
            quoted(rest, first)
        } else if first.is_ascii_alphabetic() || first == '_' {
            let length = rest.find(|it| !is_name(it)).unwrap_or(rest.len());
            push_once(&mut found, mask::runs(rest[..length].trim_end_matches('.')));
            length
        } else if first.is_ascii_digit() {
            rest.find(|it| !is_name(it)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// The length of a text in quotes.
fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, it) in text.char_indices().skip(1) {
        if is_escaped {
            is_escaped = false;
        } else if it == '\\' {
            is_escaped = true;
        } else if it == quote {
            return at + it.len_utf8();
        }
    }
    text.len()
}

fn push_once(found: &mut Vec<String>, it: String) {
    if !found.contains(&it) {
        found.push(it);
    }
}
