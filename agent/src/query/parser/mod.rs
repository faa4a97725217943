//! Reading expressions by recursive descent, to a bounded depth.

use std::net::IpAddr;

use plimsoll_ebpf::{
    catalog::{CATALOG, FieldInfo},
    value::ValueType,
};
use regex::bytes::RegexBuilder;

use super::{
    expr::{Expr, ExprError, Network, Operand, Test},
    lexer::{Token, TokenKind, lex},
    moment,
};
use crate::attribution::fields;

/// How deep parentheses and negations may nest.
const MAX_DEPTH: usize = 64;
/// Longest expression that is read.
const MAX_LENGTH: usize = 16 << 10;
/// Memory a compiled pattern may take.
const MAX_PATTERN: usize = 1 << 20;

pub(super) fn parse(text: &str) -> Result<Expr, ExprError> {
    if text.len() > MAX_LENGTH {
        let reason = format!("the expression is longer than {MAX_LENGTH} bytes");
        return Err(ExprError { text: String::new(), at: 0, len: 1, reason });
    }
    let tokens = lex(text).map_err(|error| ExprError {
        text: text.to_owned(),
        at: error.at,
        len: error.len,
        reason: error.reason,
    })?;
    let mut parser = Parser { text, tokens, next: 0 };
    let expr = parser.any_of(0)?;
    if parser.peek().kind != TokenKind::End {
        return Err(parser.fault("expected `and`, `or` or the end"));
    }
    Ok(expr)
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    next: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        // The last token is `End`, and it is never taken.
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn fault(&self, reason: impl Into<String>) -> ExprError {
        self.fault_at(&self.peek().clone(), reason)
    }

    fn fault_at(&self, token: &Token, reason: impl Into<String>) -> ExprError {
        let text = self.text.to_owned();
        ExprError { text, at: token.at, len: token.len, reason: reason.into() }
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found =
            matches!(&self.peek().kind, TokenKind::Word(it) if it.eq_ignore_ascii_case(word));
        self.next += usize::from(found);
        found
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let found = self.peek().kind == TokenKind::Sign(sign_of(sign));
        self.next += usize::from(found);
        found
    }

    fn any_of(&mut self, depth: usize) -> Result<Expr, ExprError> {
        let mut left = self.all_of(depth)?;
        while self.take_word("or") {
            left = Expr::Or(Box::new(left), Box::new(self.all_of(depth)?));
        }
        Ok(left)
    }

    fn all_of(&mut self, depth: usize) -> Result<Expr, ExprError> {
        let mut left = self.term(depth)?;
        while self.take_word("and") {
            left = Expr::And(Box::new(left), Box::new(self.term(depth)?));
        }
        Ok(left)
    }

    fn term(&mut self, depth: usize) -> Result<Expr, ExprError> {
        if depth > MAX_DEPTH {
            return Err(self.fault("nested too deeply"));
        }
        if self.take_word("not") {
            return Ok(Expr::Not(Box::new(self.term(depth + 1)?)));
        }
        if self.take_sign("(") {
            let inner = self.any_of(depth + 1)?;
            return if self.take_sign(")") { Ok(inner) } else { Err(self.fault("expected `)`")) };
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Expr, ExprError> {
        let token = self.take();
        let TokenKind::Word(name) = &token.kind else {
            return Err(self.fault_at(&token, "expected the name of a field"));
        };
        let field = field(name).map_err(|reason| self.fault_at(&token, reason))?;
        if self.take_word("in") {
            return Ok(Expr::Test(field, self.set(field)?));
        }
        if self.take_word("not") {
            if !self.take_word("in") {
                return Err(self.fault("expected `in`"));
            }
            return Ok(Expr::Not(Box::new(Expr::Test(field, self.set(field)?))));
        }
        let TokenKind::Sign(sign) = self.peek().kind else {
            return Ok(Expr::Present(field));
        };
        if sign == ")" {
            return Ok(Expr::Present(field));
        }
        let operator = self.take();
        let value = self.take();
        let not = |test| Expr::Not(Box::new(Expr::Test(field, test)));
        Ok(match sign {
            "=" | "==" => Expr::Test(field, Test::In(vec![self.operand(field, &value)?])),
            "!=" => not(Test::In(vec![self.operand(field, &value)?])),
            "<" => Expr::Test(field, Test::Less(self.ordered(field, &operator, &value)?)),
            ">" => Expr::Test(field, Test::Greater(self.ordered(field, &operator, &value)?)),
            "<=" => at_most(field, Test::Greater(self.ordered(field, &operator, &value)?)),
            ">=" => at_most(field, Test::Less(self.ordered(field, &operator, &value)?)),
            "^=" => Expr::Test(field, Test::Prefix(self.value(&value)?.into_bytes())),
            "~" => Expr::Test(field, self.pattern(&value)?),
            "!~" => not(self.pattern(&value)?),
            _ => {
                return Err(
                    self.fault_at(&operator, "expected an operator: = != < <= > >= ~ !~ ^= in")
                );
            }
        })
    }

    fn value(&self, token: &Token) -> Result<String, ExprError> {
        match &token.kind {
            TokenKind::Word(text) | TokenKind::Text(text) => Ok(text.clone()),
            TokenKind::Sign(_) | TokenKind::End => Err(self.fault_at(token, "expected a value")),
        }
    }

    fn pattern(&self, token: &Token) -> Result<Test, ExprError> {
        let pattern = self.value(token)?;
        let compiled = RegexBuilder::new(&pattern).size_limit(MAX_PATTERN).build();
        compiled.map(Test::Matches).map_err(|error| {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
            self.fault_at(token, format!("not a regular expression: {reason}"))
        })
    }

    /// What follows `in`: a list in parentheses, or one network or value.
    fn set(&mut self, field: &'static FieldInfo) -> Result<Test, ExprError> {
        let mut tokens = Vec::new();
        if self.take_sign("(") {
            loop {
                tokens.push(self.take());
                if self.take_sign(")") {
                    break;
                }
                if !self.take_sign(",") {
                    return Err(self.fault("expected `,` or `)`"));
                }
            }
        } else {
            tokens.push(self.take());
        }
        if field.value == ValueType::Address {
            let networks = tokens.iter().map(|token| self.network(token));
            return networks.collect::<Result<_, _>>().map(Test::Networks);
        }
        tokens
            .iter()
            .map(|token| self.operand(field, token))
            .collect::<Result<_, _>>()
            .map(Test::In)
    }

    fn network(&self, token: &Token) -> Result<Network, ExprError> {
        let text = self.value(token)?;
        let (address, bits) =
            text.split_once('/').map_or((&*text, None), |(it, bits)| (it, Some(bits)));
        let parse = || -> Option<Network> {
            let address: IpAddr = address.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(most), |bits| bits.parse().ok())?;
            (bits <= most).then_some(Network { address, bits })
        };
        parse().ok_or_else(|| {
            self.fault_at(token, "expected an address or a network such as 10.0.0.0/8")
        })
    }

    fn ordered(
        &self,
        field: &'static FieldInfo,
        operator: &Token,
        value: &Token,
    ) -> Result<Operand, ExprError> {
        let operand = self.operand(field, value)?;
        match operand {
            Operand::Number(_) => Ok(operand),
            Operand::Flag(_) | Operand::Text(_) | Operand::Address(_) => {
                let reason =
                    format!("{} is a {}, which has no order", field.name, field.value.name());
                Err(self.fault_at(operator, reason))
            }
        }
    }

    /// A value as the field's type has it.
    fn operand(&self, field: &'static FieldInfo, token: &Token) -> Result<Operand, ExprError> {
        let text = self.value(token)?;
        let operand = match field.value {
            ValueType::Number | ValueType::Signed | ValueType::Port => {
                number(&text).map(Operand::Number)
            }
            ValueType::Flag => text.parse().ok().map(Operand::Flag),
            ValueType::Address => text.parse().ok().map(Operand::Address),
            ValueType::Time => {
                moment::parse(&text).ok().map(|moment| Operand::Number(i128::from(moment)))
            }
            ValueType::Text | ValueType::Path | ValueType::List | ValueType::Label => {
                Some(Operand::Text(text.clone().into_bytes()))
            }
        };
        if field.name == "kind" && CATALOG.iter().all(|kind| kind.name != text) {
            return Err(self.fault_at(token, unknown_kind(&text)));
        }
        operand.ok_or_else(|| {
            let reason = format!("{} is a {}, and `{text}` is not", field.name, field.value.name());
            self.fault_at(token, reason)
        })
    }
}

/// Not the other side, but only where there is a value.
fn at_most(field: &'static FieldInfo, beyond: Test) -> Expr {
    let not_beyond = Expr::Not(Box::new(Expr::Test(field, beyond)));
    Expr::And(Box::new(Expr::Present(field)), Box::new(not_beyond))
}

fn sign_of(sign: &str) -> &'static str {
    match sign {
        "(" => "(",
        ")" => ")",
        _ => ",",
    }
}

/// Decimal, or hexadecimal or octal behind `0x` and `0o`.
fn number(text: &str) -> Option<i128> {
    let digits = |prefix, radix| {
        text.strip_prefix(prefix)
            .map(|digits| i64::from_str_radix(digits, radix).ok().map(i128::from))
    };
    digits("0x", 16).or_else(|| digits("0o", 8)).unwrap_or_else(|| {
        text.parse::<i128>().ok().filter(|it| it.unsigned_abs() <= u128::from(u64::MAX))
    })
}

/// The field with this name.
///
/// # Errors
/// What is said of a name that no field has, with those that were probably meant.
pub(crate) fn field(name: &str) -> Result<&'static FieldInfo, String> {
    fields::by_name(name).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> String {
    let all: Vec<&str> = fields::all().iter().map(|field| field.name).collect();
    let last = |field: &str| field.rsplit('.').next() == Some(name);
    let meant: Vec<String> = match nearest(name, &all) {
        // Whoever leaves out the first part means all that end so.
        _ if all.iter().any(|field| last(field)) => {
            all.iter().filter(|field| last(field)).map(|it| format!("'{it}'")).collect()
        }
        Some(near) => vec![format!("'{near}'")],
        None => return format!("unknown field '{name}': docs/events.md lists them"),
    };
    format!("unknown field '{name}', did you mean {}?", meant.join(" or "))
}

fn unknown_kind(name: &str) -> String {
    let all: Vec<&str> = CATALOG.iter().map(|kind| kind.name).collect();
    match nearest(name, &all) {
        Some(near) => format!("there is no event '{name}', did you mean '{near}'?"),
        None => format!("there is no event '{name}'; there are {}", all.join(", ")),
    }
}

/// The name that was probably meant, if one is near enough to be worth naming.
fn nearest<'n>(name: &str, all: &[&'n str]) -> Option<&'n str> {
    // One letter in three may be wrong: beyond that a guess misleads.
    let near = all.iter().map(|it| (distance(it, name), *it));
    near.filter(|(far, _)| *far <= name.len() / 3 + 1).min_by_key(|(far, _)| *far).map(|it| it.1)
}

/// How many letters must be put, taken or changed to turn one text into the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to) = (from.as_bytes(), &to.as_bytes()[..to.len().min(64)]);
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, byte) in from.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for column in 0..to.len() {
            let changed = diagonal + usize::from(*byte != to[column]);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests;
