//! The expressions of `--where`, ready to be asked of observations.

use std::{fmt, net::IpAddr};

use plimsoll_ebpf::{
    catalog::FieldInfo,
    value::{Value, readable},
};
use regex::bytes::Regex;

use super::parser;
use crate::fields::Fields;

/// An expression over the fields of an observation.
#[derive(Clone, Debug)]
pub enum Expr {
    /// Both hold.
    And(Box<Self>, Box<Self>),
    /// At least one holds.
    Or(Box<Self>, Box<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// A field has a value that passes.
    Test(&'static FieldInfo, Test),
    /// A field has a value.
    Present(&'static FieldInfo),
}

/// What a value is compared with.
#[derive(Clone, Debug)]
pub enum Test {
    /// Equal to one of these.
    In(Vec<Operand>),
    /// In one of these networks.
    Networks(Vec<Network>),
    /// Less than.
    Less(Operand),
    /// Greater than.
    Greater(Operand),
    /// Begins with.
    Prefix(Vec<u8>),
    /// Matches somewhere.
    Matches(Regex),
}

/// A value in an expression, read by the type of its field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// For numbers, ports and times.
    Number(i128),
    /// For flags.
    Flag(bool),
    /// For texts, paths, labels and lists.
    Text(Vec<u8>),
    /// For addresses.
    Address(IpAddr),
}

/// Addresses with a common beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its first address.
    pub address: IpAddr,
    /// How many leading bits are common.
    pub bits: u8,
}

impl Network {
    /// Whether an address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let spread = |address: IpAddr| match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let ((own, own_bits), (other, other_bits)) = (spread(self.address), spread(address));
        let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
        own_bits == other_bits && (own ^ other) & mask == 0
    }
}

/// An expression that cannot be read, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ExprError {
    /// The expression.
    pub text: String,
    /// First byte of the fault.
    pub at: usize,
    /// Bytes of the fault.
    pub len: usize,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, at, len, reason } = self;
        let before =
            text.get(..*at).map_or(0, |before| readable(before.as_bytes()).chars().count());
        let fault = text.get(*at..at + len).map_or(1, |it| readable(it.as_bytes()).chars().count());
        writeln!(f, "{reason}")?;
        writeln!(f, "  {}", readable(text.as_bytes()))?;
        write!(f, "  {}{}", " ".repeat(before), "^".repeat(fault.max(1)))
    }
}

impl Expr {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, ExprError> {
        parser::parse(text)
    }

    /// Whether it holds for an observation. A field without a value passes no test.
    pub fn holds(&self, fields: &impl Fields) -> bool {
        match self {
            Self::And(left, right) => left.holds(fields) && right.holds(fields),
            Self::Or(left, right) => left.holds(fields) || right.holds(fields),
            Self::Not(inner) => !inner.holds(fields),
            Self::Test(field, test) => fields.get(field.name).is_some_and(|it| test.passes(it)),
            Self::Present(field) => fields.get(field.name).is_some(),
        }
    }
}

impl Test {
    fn passes(&self, value: Value<'_>) -> bool {
        if let Value::List(_) = value {
            return value.parts().any(|part| self.passes_one(Value::Text(part)));
        }
        self.passes_one(value)
    }

    fn passes_one(&self, value: Value<'_>) -> bool {
        match self {
            Self::In(operands) => operands.iter().any(|operand| operand.order(value) == Some(0)),
            Self::Less(operand) => operand.order(value) == Some(-1),
            Self::Greater(operand) => operand.order(value) == Some(1),
            Self::Networks(networks) => {
                let Value::Address(address) = value else { return false };
                networks.iter().any(|it| it.contains(address))
            }
            Self::Prefix(prefix) => with_text(value, |text| text.starts_with(prefix)),
            Self::Matches(pattern) => with_text(value, |text| pattern.is_match(text)),
        }
    }
}

impl Operand {
    /// -1, 0 or 1 as the value is less than, equal to or greater than this; `None` where they
    /// cannot be compared.
    fn order(&self, value: Value<'_>) -> Option<i8> {
        let order = match self {
            Self::Number(own) => number(value)?.cmp(own),
            Self::Text(own) => text(&value)?.cmp(own),
            Self::Flag(own) => {
                let Value::Flag(flag) = value else { return None };
                flag.cmp(own)
            }
            Self::Address(own) => {
                let Value::Address(address) = value else { return None };
                address.cmp(own)
            }
        };
        Some(order as i8)
    }
}

fn number(value: Value<'_>) -> Option<i128> {
    match value {
        Value::Number(number) | Value::Time(number) => Some(i128::from(number)),
        Value::Signed(number) => Some(i128::from(number)),
        Value::Port(port) => Some(i128::from(port)),
        Value::Flag(_)
        | Value::Text(_)
        | Value::Path(_)
        | Value::List(_)
        | Value::Label(_)
        | Value::Address(_)
        | Value::Layer(..) => None,
    }
}

/// The bytes of a value that is a text.
pub(super) fn text<'a>(value: &Value<'a>) -> Option<&'a [u8]> {
    match value {
        Value::Text(text) | Value::Path(text) => Some(text),
        Value::Label(label) => Some(label.as_bytes()),
        Value::Layer(code, _) => Some(plimsoll_ebpf::layer::name(*code).as_bytes()),
        Value::Number(_)
        | Value::Signed(_)
        | Value::Flag(_)
        | Value::Time(_)
        | Value::List(_)
        | Value::Address(_)
        | Value::Port(_) => None,
    }
}

/// Hands the bytes of a value's text to `take`; numbers as people write them.
fn with_text<R>(value: Value<'_>, take: impl FnOnce(&[u8]) -> R) -> R {
    match text(&value) {
        Some(text) => take(text),
        None => take(value.to_string().as_bytes()),
    }
}
