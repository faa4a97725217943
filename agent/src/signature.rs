//! Detached signatures of files by Ed25519, as `openssl pkeyutl -rawin` makes and checks them too.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Context, anyhow, bail};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, pem::PemObject};

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;
/// Longest file of a key.
const MOST_BYTES: u64 = 16 << 10;
/// How the DER of a public key begins, before its 32 bytes (RFC 8410).
const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A private key.
pub struct SigningKey(Ed25519KeyPair);

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey([u8; 32]);

impl SigningKey {
    /// Reads one from a PEM file (PKCS #8), as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let pem = read(path)?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(&pem);
        let key = key.map_err(|error| anyhow!("{} is no private key: {error}", path.display()))?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der());
        pair.map(Self).map_err(|_| anyhow!("{} is no private key of Ed25519", path.display()))
    }

    /// Signs a text.
    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.0.sign(text).as_ref().to_vec()
    }
}

impl VerifyingKey {
    /// Reads one from a PEM file, as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let pem = read(path)?;
        let key = SubjectPublicKeyInfoDer::from_pem_slice(&pem);
        let key = key.map_err(|error| anyhow!("{} is no public key: {error}", path.display()))?;
        let bytes = key.strip_prefix(&PREFIX).and_then(|it| it.try_into().ok());
        bytes.map(Self).ok_or_else(|| anyhow!("{} is no public key of Ed25519", path.display()))
    }

    /// Checks the signature of a text.
    ///
    /// # Errors
    /// When it is not this key's, or not of this text.
    pub fn check(&self, text: &[u8], signature: &[u8]) -> anyhow::Result<()> {
        if signature.len() != SIGNATURE_BYTES {
            bail!("a signature has {SIGNATURE_BYTES} bytes");
        }
        let checked = UnparsedPublicKey::new(&ED25519, &self.0).verify(text, signature);
        checked.map_err(|_| anyhow!("the signature is not of this text, or not by this key"))
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let read = file.take(MOST_BYTES).read_to_end(&mut bytes);
    read.with_context(|| format!("reading {}", path.display()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ring::signature::KeyPair as _;

    use super::*;

    /// The beginning of a private key of Ed25519, before its 32 bytes (RFC 8410).
    const PRIVATE_PREFIX: [u8; 16] = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];

    /// A private and its public key, as files hold them.
    fn keys(seed: [u8; 32]) -> [String; 2] {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("any seed is a key");
        let private = [&PRIVATE_PREFIX[..], &seed].concat();
        let public = [&PREFIX[..], pair.public_key().as_ref()].concat();
        [pem("PRIVATE KEY", &private), pem("PUBLIC KEY", &public)]
    }

    fn pem(label: &str, der: &[u8]) -> String {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for chunk in der.chunks(3) {
            let bits =
                (0..3).fold(0, |bits, at| bits << 8 | u32::from(*chunk.get(at).unwrap_or(&0)));
            for at in 0..4 {
                let letter = char::from(LETTERS[(bits >> (18 - 6 * at) & 63) as usize]);
                text.push(if at <= chunk.len() { letter } else { '=' });
            }
        }
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), text).expect("is written");
        file
    }

    #[test]
    fn a_signature_is_of_one_text_by_one_key() {
        let [private, public] = keys([7; 32]);
        let key = SigningKey::read(file(&private).path()).expect("is a key");
        let public = VerifyingKey::read(file(&public).path()).expect("is a key");
        let signature = key.sign(b"text");
        assert!(public.check(b"text", &signature).is_ok());
        assert!(public.check(b"texT", &signature).is_err());
        assert!(public.check(b"text", &signature[1..]).is_err());
        let mut other = public.clone();
        other.0[0] ^= 1;
        assert!(other.check(b"text", &signature).is_err());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let [private, public] = keys([7; 32]);
        for text in ["", "x", &public] {
            assert!(SigningKey::read(file(text).path()).is_err());
        }
        for text in ["", "x", &private] {
            assert!(VerifyingKey::read(file(text).path()).is_err());
        }
    }
}
