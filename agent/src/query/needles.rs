//! What an expression needs of a block's texts, so that blocks without it are not read.

use std::net::{IpAddr, Ipv4Addr};

use plimsoll_ebpf::value::ValueType;

use super::expr::{Expr, Network, Operand, Test};
use crate::store::texts::{Needle, Part};

/// Bits of an address that blocks tell apart.
const TOLD_BITS: u8 = 24;
/// Shortest network that is looked for by its parts, of which it then has 256.
const MIN_BITS: u8 = 16;

/// Adds to `all` what must be there where the expression holds: of each list one.
pub(super) fn gather(expr: &Expr, all: &mut Vec<Vec<Needle>>) {
    match expr {
        Expr::And(left, right) => {
            gather(left, all);
            gather(right, all);
        }
        Expr::Or(left, right) => {
            // Where each side needs something, one of both is there.
            let either = [left, right].map(|side| {
                let mut needles = Vec::new();
                gather(side, &mut needles);
                needles.into_iter().min_by_key(Vec::len)
            });
            if let [Some(left), Some(right)] = either {
                all.push([left, right].concat());
            }
        }
        Expr::Test(field, test) => {
            let needle = |part| Needle { field, part };
            all.extend(of_test(field.value, test).map(|it| it.into_iter().map(needle).collect()));
        }
        Expr::Not(_) | Expr::Present(_) => {}
    }
}

/// One of these is there where the test passes; `None` where nothing can be said.
fn of_test(value: ValueType, test: &Test) -> Option<Vec<Part>> {
    match test {
        Test::In(operands) => operands.iter().map(of_operand).collect(),
        Test::Prefix(start) if is_text(value) => Some(vec![Part::Text(start.clone())]),
        Test::Matches(pattern) if is_text(value) => {
            Some(vec![Part::Text(plain(pattern.as_str())?.as_bytes().to_vec())])
        }
        Test::Networks(networks) => {
            let parts: Option<Vec<_>> = networks.iter().map(of_network).collect();
            parts.map(|it| it.into_iter().flatten().collect())
        }
        Test::Prefix(_) | Test::Matches(_) | Test::Less(_) | Test::Greater(_) => None,
    }
}

/// Whether tests see a value as it is stored, rather than as it is written.
fn is_text(value: ValueType) -> bool {
    match value {
        ValueType::Text | ValueType::Path | ValueType::List | ValueType::Label => true,
        ValueType::Number
        | ValueType::Signed
        | ValueType::Flag
        | ValueType::Time
        | ValueType::Address
        | ValueType::Port => false,
    }
}

fn of_operand(operand: &Operand) -> Option<Part> {
    match operand {
        Operand::Text(text) => Some(Part::Text(text.clone())),
        Operand::Number(number) => Some(Part::Number(*number)),
        Operand::Address(IpAddr::V4(address)) => Some(of_address(*address)),
        Operand::Flag(_) | Operand::Address(IpAddr::V6(_)) => None,
    }
}

fn of_address(address: Ipv4Addr) -> Part {
    let [a, b, c, _] = address.octets();
    Part::Address([a, b, c])
}

fn of_network(network: &Network) -> Option<Vec<Part>> {
    let IpAddr::V4(address) = network.address else { return None };
    if network.bits < MIN_BITS {
        return None;
    }
    let parts = 1u32 << TOLD_BITS.saturating_sub(network.bits);
    let part =
        |it: u32| Ipv4Addr::from_bits((address.to_bits() & !0xff & !((parts - 1) << 8)) | it << 8);
    Some((0..parts).map(|it| of_address(part(it))).collect())
}

/// The text that is in whatever a pattern matches, where the pattern is one text, perhaps at the
/// beginning or the end.
fn plain(pattern: &str) -> Option<&str> {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let pattern = pattern.strip_suffix('$').unwrap_or(pattern);
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "/-_:@,=% ".contains(it);
    (!pattern.is_empty() && pattern.chars().all(is_plain)).then_some(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of fields, and what must be in them.
    fn needles(text: &str) -> Vec<Vec<(&'static str, Part)>> {
        let mut all = Vec::new();
        gather(&Expr::parse(text).expect("is an expression"), &mut all);
        let named = |any: Vec<Needle>| any.into_iter().map(|it| (it.field.name, it.part)).collect();
        all.into_iter().map(named).collect()
    }

    fn text(text: &str) -> Part {
        Part::Text(text.as_bytes().to_vec())
    }

    #[test]
    fn what_must_be_there_is_found_in_what_must_hold() {
        let path = |it| ("file.path", text(it));
        let peer = |it| ("net.raddr", Part::Address(it));
        assert_eq!(needles("file.path ~ '^/etc/shadow$'"), [vec![path("/etc/shadow")]]);
        assert_eq!(
            needles("file.path = '/a' and net.rport = 443 and net.raddr = 10.1.2.3"),
            [vec![path("/a")], vec![("net.rport", Part::Number(443))], vec![peer([10, 1, 2])]]
        );
        assert_eq!(needles("net.raddr in 10.1.2.0/24"), [vec![peer([10, 1, 2])]]);
        assert_eq!(needles("net.raddr in 10.1.2.128/25"), [vec![peer([10, 1, 2])]]);
        let parts = needles("net.raddr in 10.1.6.0/23");
        assert_eq!(parts, [vec![peer([10, 1, 6]), peer([10, 1, 7])]]);
        assert_eq!(needles("proc.args ~ 'curl'"), [vec![("proc.args", text("curl"))]]);
    }

    #[test]
    fn of_alternatives_one_is_there_where_each_needs_something() {
        let id = |name| (name, Part::Number(7));
        let either = needles("proc.pid = 7 or proc.ppid = 7");
        assert_eq!(either, [vec![id("proc.pid"), id("proc.ppid")]]);
        let nested = needles("proc.pid = 7 or proc.ppid = 7 and net.raddr in 10.1.6.0/23");
        assert_eq!(nested, [vec![id("proc.pid"), id("proc.ppid")]], "the shortest of a side");
        assert!(needles("proc.pid = 7 or not proc.ppid = 7").is_empty());
    }

    #[test]
    fn where_nothing_is_sure_nothing_is_said() {
        for unsure in [
            "file.path ~ 'a|b'",
            "file.path ~ 'ab?'",
            "file.path ~ '(?i)etc'",
            "not file.path = '/etc/shadow'",
            "file.path = '/etc/shadow' or net.rport > 1",
            "net.raddr in 10.0.0.0/8",
            "net.rport > 443",
            "net.rport ~ '44'",
        ] {
            assert!(needles(unsure).is_empty(), "{unsure}");
        }
    }
}
