//! Words, texts and operators of an expression, each with its place.

/// One piece of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// First byte in the expression.
    pub(super) at: usize,
    /// Bytes.
    pub(super) len: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A field, a keyword or a bare value.
    Word(String),
    /// A quoted value.
    Text(String),
    /// An operator, a parenthesis or a comma.
    Sign(&'static str),
    End,
}

/// Signs, longer ones before their beginnings.
const SIGNS: [&str; 12] = ["!~", "!=", "<=", ">=", "^=", "==", "=", "<", ">", "~", "(", ")"];

/// What cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LexError {
    pub(super) at: usize,
    pub(super) len: usize,
    pub(super) reason: String,
}

/// Splits an expression; the last token is always [`TokenKind::End`].
pub(super) fn lex(text: &str) -> Result<Vec<Token>, LexError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (kind, len) = if first == '"' || first == '\'' {
            quoted(text, at, first)?
        } else if let Some(sign) = sign_at(&text[at..]) {
            (TokenKind::Sign(sign), sign.len())
        } else {
            let len = text[at..].find(ends_word).unwrap_or(text.len() - at);
            if len == 0 {
                let reason = format!("unexpected {first:?}");
                return Err(LexError { at, len: first.len_utf8(), reason });
            }
            (TokenKind::Word(text[at..at + len].to_owned()), len)
        };
        tokens.push(Token { kind, at, len });
        at += len;
    }
    tokens.push(Token { kind: TokenKind::End, at: text.len(), len: 1 });
    Ok(tokens)
}

fn sign_at(text: &str) -> Option<&'static str> {
    SIGNS.into_iter().chain([","]).find(|sign| text.starts_with(sign))
}

fn ends_word(character: char) -> bool {
    character.is_whitespace() || "!<>=^~(),\"'".contains(character)
}

/// A text between quotes, in which a backslash takes the next character as it is.
fn quoted(text: &str, at: usize, quote: char) -> Result<(TokenKind, usize), LexError> {
    let mut value = String::new();
    let mut characters = text[at + 1..].char_indices();
    while let Some((index, character)) = characters.next() {
        if character == quote {
            return Ok((TokenKind::Text(value), index + 2));
        }
        // Only quotes and backslashes are escaped, so that patterns can be written as they are.
        let next = text[at + 1 + index + character.len_utf8()..].chars().next();
        if character == '\\' && next.is_some_and(|next| next == quote || next == '\\') {
            characters.next();
            value.extend(next);
        } else {
            value.push(character);
        }
    }
    Err(LexError { at, len: text.len() - at, reason: "this text has no closing quote".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_signs_and_quotes_are_told_apart() {
        let kinds: Vec<TokenKind> = lex(r#"a.b>=10 and c ~ "x\"y\.z""#)
            .expect("lexes")
            .into_iter()
            .map(|it| it.kind)
            .collect();
        let word = |text: &str| TokenKind::Word(text.to_owned());
        assert_eq!(
            kinds,
            [
                word("a.b"),
                TokenKind::Sign(">="),
                word("10"),
                word("and"),
                word("c"),
                TokenKind::Sign("~"),
                TokenKind::Text(r#"x"y\.z"#.to_owned()),
                TokenKind::End
            ]
        );
    }

    #[test]
    fn an_open_quote_is_an_error_at_its_place() {
        assert_eq!(lex("a = 'b").map_err(|it| it.at), Err(4));
    }
}
