//! What an expression needs of a block's texts, so that blocks without it are not read.

use std::net::{IpAddr, Ipv4Addr};

use plimsoll_ebpf::value::ValueType;

use super::expr::{Expr, Network, Operand, Test};
use crate::store::texts::Needle;

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
        Expr::Test(field, test) => all.extend(of_test(field.value, test)),
        Expr::Or(..) | Expr::Not(_) | Expr::Present(_) => {}
    }
}

/// One of these is there where the test passes; `None` where nothing can be said.
fn of_test(value: ValueType, test: &Test) -> Option<Vec<Needle>> {
    let is_path = value == ValueType::Path;
    match test {
        Test::In(operands) => operands.iter().map(|it| of_operand(is_path, it)).collect(),
        Test::Prefix(start) if is_path => Some(vec![Needle::Text(start.clone())]),
        Test::Matches(pattern) if is_path => {
            Some(vec![Needle::Text(plain(pattern.as_str())?.as_bytes().to_vec())])
        }
        Test::Networks(networks) => {
            let needles: Option<Vec<_>> = networks.iter().map(of_network).collect();
            needles.map(|it| it.into_iter().flatten().collect())
        }
        Test::Prefix(_) | Test::Matches(_) | Test::Less(_) | Test::Greater(_) => None,
    }
}

fn of_operand(is_path: bool, operand: &Operand) -> Option<Needle> {
    match operand {
        Operand::Text(text) if is_path => Some(Needle::Text(text.clone())),
        Operand::Address(IpAddr::V4(address)) => Some(of_address(*address)),
        Operand::Text(_) | Operand::Number(_) | Operand::Flag(_) | Operand::Address(_) => None,
    }
}

fn of_address(address: Ipv4Addr) -> Needle {
    let [a, b, c, _] = address.octets();
    Needle::Address([a, b, c])
}

fn of_network(network: &Network) -> Option<Vec<Needle>> {
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

    fn needles(text: &str) -> Vec<Vec<Needle>> {
        let mut all = Vec::new();
        gather(&Expr::parse(text).expect("is an expression"), &mut all);
        all
    }

    fn text(text: &str) -> Needle {
        Needle::Text(text.as_bytes().to_vec())
    }

    #[test]
    fn what_must_be_there_is_found_in_what_must_hold() {
        assert_eq!(needles("file.path ~ '^/etc/shadow$'"), [vec![text("/etc/shadow")]]);
        assert_eq!(
            needles("file.path = '/a' and net.rport = 443 and net.raddr = 10.1.2.3"),
            [vec![text("/a")], vec![Needle::Address([10, 1, 2])]]
        );
        assert_eq!(needles("net.raddr in 10.1.2.0/24"), [vec![Needle::Address([10, 1, 2])]]);
        assert_eq!(needles("net.raddr in 10.1.2.128/25"), [vec![Needle::Address([10, 1, 2])]]);
        let parts = needles("net.raddr in 10.1.6.0/23");
        let expected = vec![Needle::Address([10, 1, 6]), Needle::Address([10, 1, 7])];
        assert_eq!(parts, [expected]);
    }

    #[test]
    fn where_nothing_is_sure_nothing_is_said() {
        for unsure in [
            "file.path ~ 'a|b'",
            "file.path ~ 'ab?'",
            "file.path ~ '(?i)etc'",
            "not file.path = '/etc/shadow'",
            "file.path = '/etc/shadow' or net.rport = 1",
            "net.raddr in 10.0.0.0/8",
            "net.rport = 443",
        ] {
            assert!(needles(unsure).is_empty(), "{unsure}");
        }
    }
}
