//! Where a rule may be broken: at paths, or with peers.

use plimsoll_ebpf::rules::{Class, Rule};
use serde::{Deserialize, Serialize};

use super::{
    peers::{Endpoint, Peers, PeersError},
    template::{Template, TemplateError},
};

/// A template of paths for rules on programs and files, peers for those on the network. As text, a
/// path begins with a slash and peers never do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Place {
    /// Of files.
    Path(Template),
    /// Of sockets.
    Peers(Peers),
}

/// What a rule was broken with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object<'a> {
    /// A program, script or file; empty where there is none.
    Path(&'a [u8]),
    /// A peer, or an address at which peers are waited for.
    Peer(Endpoint),
}

/// Why a text names no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// It begins as a path.
    #[error(transparent)]
    Path(#[from] TemplateError),
    /// It does not.
    #[error(transparent)]
    Peers(#[from] PeersError),
}

/// Whether a rule is broken with a peer; others are at a path.
pub(super) const fn is_broken_with_peer(rule: Rule) -> bool {
    matches!(rule.class(), Class::Network) && !matches!(rule, Rule::NetworkJoined)
}

impl Place {
    /// Reads a place.
    ///
    /// # Errors
    /// When it is none, or too wide.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        if text.starts_with('/') {
            return Ok(Self::Path(Template::parse(text)?));
        }
        Ok(Self::Peers(Peers::parse(text)?))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Path(template) => template.as_str(),
            Self::Peers(peers) => peers.as_str(),
        }
    }

    /// Whether a rule can be broken at such a place.
    pub fn is_for(&self, rule: Rule) -> bool {
        matches!(self, Self::Peers(_)) == is_broken_with_peer(rule)
    }

    /// Whether this lies there.
    pub fn matches(&self, object: Object<'_>) -> bool {
        match (self, object) {
            (Self::Path(template), Object::Path(path)) => template.matches(path),
            (Self::Peers(peers), Object::Peer(endpoint)) => peers.matches(&endpoint),
            _ => false,
        }
    }
}

impl TryFrom<String> for Place {
    type Error = PlaceError;

    fn try_from(text: String) -> Result<Self, PlaceError> {
        Self::parse(&text)
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_tells_paths_from_peers() {
        let path = Place::parse("/opt/*").expect("is a path");
        let peers = Place::parse("*:53/udp").expect("are peers");
        assert!(path.is_for(Rule::NewExecutable) && !path.is_for(Rule::ForeignPeer));
        assert!(peers.is_for(Rule::ForeignPeer) && !peers.is_for(Rule::SetuidMade));
        assert!(path.matches(Object::Path(b"/opt/x")) && !peers.matches(Object::Path(b"/opt/x")));
        let endpoint = Endpoint { address: [7; 16], port: 53, protocol: 17 };
        assert!(peers.matches(Object::Peer(endpoint)) && !path.matches(Object::Peer(endpoint)));
        assert!(matches!(Place::parse("opt/x"), Err(PlaceError::Peers(_))));
    }
}
