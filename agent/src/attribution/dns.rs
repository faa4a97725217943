//! Answers of name servers (RFC 1035).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HEADER_BYTES: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_AAAA: u16 = 28;

/// Pointers followed within one name; more is a loop or malice.
const MOST_POINTERS: usize = 16;
/// Longest name in text, RFC 1035 section 2.3.4.
const LONGEST_NAME: usize = 255;
/// Records read of one answer.
const MOST_RECORDS: u16 = 64;

/// What an answer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The name asked for: lower case, without the final dot.
    pub name: String,
    /// Type of the question.
    pub query_type: u16,
    /// Response code.
    pub response: u16,
    /// Addresses in the answer.
    pub addresses: Vec<IpAddr>,
    /// Canonical names in the answer.
    pub aliases: Vec<String>,
    /// Seconds for which all of that may be used: the shortest of the records'; 0 without records.
    pub ttl: u32,
}

/// The bytes are no answer to one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed DNS answer")]
pub struct Malformed;

/// Reads an answer. One that was cut short yields what came before the cut.
///
/// # Errors
/// When it is a question, has not exactly one question, or that question is damaged.
pub fn parse(message: &[u8]) -> Result<Answer, Malformed> {
    let flags = word(message, 2).ok_or(Malformed)?;
    let questions = word(message, 4).ok_or(Malformed)?;
    let records = word(message, 6).ok_or(Malformed)?.min(MOST_RECORDS);
    if flags & 0x8000 == 0 || questions != 1 {
        return Err(Malformed);
    }
    let (name, after) = name_at(message, HEADER_BYTES).ok_or(Malformed)?;
    let query_type = word(message, after).ok_or(Malformed)?;
    let mut answer = Answer { name, query_type, response: flags & 0xf, ..Answer::default() };
    let mut at = after + 4;
    let mut ttl = u32::MAX;
    for _ in 0..records {
        let Some(next) = record(message, at, &mut answer, &mut ttl) else { break };
        at = next;
    }
    answer.ttl = if ttl == u32::MAX { 0 } else { ttl };
    Ok(answer)
}

fn word(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*message.get(at..)?.first_chunk()?))
}

/// Reads one resource record and returns where the next begins.
fn record(message: &[u8], at: usize, answer: &mut Answer, ttl: &mut u32) -> Option<usize> {
    let (_, after) = name_at(message, at)?;
    let (kind, length) = (word(message, after)?, usize::from(word(message, after + 8)?));
    let seconds = u32::from_be_bytes(*message.get(after + 4..)?.first_chunk()?);
    let data = message.get(after + 10..after + 10 + length)?;
    match kind {
        TYPE_A => {
            let bytes: [u8; 4] = data.try_into().ok()?;
            answer.addresses.push(Ipv4Addr::from(bytes).into());
        }
        TYPE_AAAA => {
            let bytes: [u8; 16] = data.try_into().ok()?;
            answer.addresses.push(Ipv6Addr::from(bytes).to_canonical());
        }
        TYPE_CNAME => answer.aliases.push(name_at(message, after + 10)?.0),
        _ => {}
    }
    if matches!(kind, TYPE_A | TYPE_AAAA | TYPE_CNAME) {
        *ttl = seconds.min(*ttl);
    }
    Some(after + 10 + length)
}

/// Reads a name and returns where what follows it begins.
fn name_at(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut name = Vec::new();
    let mut end = None;
    let mut pointers = 0;
    loop {
        let length = *message.get(at)?;
        if length & 0xc0 == 0xc0 {
            pointers += 1;
            if pointers > MOST_POINTERS {
                return None;
            }
            end = end.or(Some(at + 2));
            at = usize::from(word(message, at)? & 0x3fff);
        } else if length == 0 {
            let text = String::from_utf8_lossy(&name).to_lowercase();
            return Some((text, end.unwrap_or(at + 1)));
        } else if length & 0xc0 != 0 {
            // Kinds of labels that never came into use.
            return None;
        } else {
            let label = message.get(at + 1..at + 1 + usize::from(length))?;
            if !name.is_empty() {
                name.push(b'.');
            }
            name.extend_from_slice(label);
            if name.len() > LONGEST_NAME {
                return None;
            }
            at += 1 + usize::from(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `web.test` is an alias of `a.test` at 10.0.0.7, with a compressed name.
    fn sample() -> Vec<u8> {
        let mut bytes = vec![0, 1, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0];
        bytes.extend_from_slice(b"\x03Web\x04test\0\0\x01\0\x01");
        bytes.extend_from_slice(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01a\xc0\x10");
        bytes.extend_from_slice(b"\xc0\x26\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x07");
        bytes
    }

    #[test]
    fn an_answer_with_an_alias_is_read() {
        let answer = parse(&sample()).expect("parses");
        assert_eq!((answer.name.as_str(), answer.query_type), ("web.test", 1));
        assert_eq!(answer.addresses, [IpAddr::from([10, 0, 0, 7])]);
        assert_eq!(answer.aliases, ["a.test"]);
        assert_eq!(answer.ttl, 60);
    }

    #[test]
    fn a_question_or_an_answer_to_two_is_refused() {
        let (mut question, mut two) = (sample(), sample());
        question[2] = 1;
        two[5] = 2;
        assert_eq!((parse(&question), parse(&two)), (Err(Malformed), Err(Malformed)));
    }

    #[test]
    fn a_name_that_does_not_exist_is_told_as_such() {
        let mut bytes = sample();
        (bytes[3], bytes[7]) = (0x83, 0);
        let answer = parse(&bytes).expect("parses");
        assert_eq!((answer.response, answer.addresses.len(), answer.ttl), (3, 0, 0));
    }

    #[test]
    fn a_cut_answer_yields_what_came_before() {
        let bytes = sample();
        let answer = parse(&bytes[..bytes.len() - 1]).expect("parses");
        assert!(answer.addresses.is_empty() && answer.aliases == ["a.test"]);
    }

    #[test]
    fn a_name_that_points_at_itself_is_malformed() {
        let bytes = [0, 1, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1];
        assert_eq!(parse(&bytes), Err(Malformed));
    }

    proptest! {
        #[test]
        fn random_and_mangled_messages_never_panic(
            random in proptest::collection::vec(any::<u8>(), 0..600),
            at in 0..60usize,
            byte: u8,
        ) {
            let _ = parse(&random);
            let mut mangled = sample();
            if let Some(place) = mangled.get_mut(at) { *place = byte; }
            let _ = parse(&mangled);
        }
    }
}
