//! Seals what must not stand in the ledger in clear: XChaCha20-Poly1305, a random nonce before the sealed bytes.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use model::Secret;

use crate::random::Random;

const NONCE: usize = 24;

/// Holds the sealing key.
pub struct Sealer(XChaCha20Poly1305);

/// A sealed text can't be opened: another key, or bytes that are not what was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret can't be opened: is this the sealing key that it was sealed with?")]
pub struct NotOurs;

impl Sealer {
    /// A sealer with a key of 32 bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        Sealer(XChaCha20Poly1305::new(Key::from_slice(key)))
    }

    /// Seals a text for a purpose: it can't be opened for another one.
    pub fn seal(&self, random: &Random, purpose: &str, secret: &Secret) -> Vec<u8> {
        let nonce: [u8; NONCE] = random.bytes();
        let payload = Payload { msg: secret.expose().as_bytes(), aad: purpose.as_bytes() };
        let sealed = self.0.encrypt(XNonce::from_slice(&nonce), payload).expect("short texts can be sealed");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens what was sealed for this purpose.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Secret, NotOurs> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE).ok_or(NotOurs)?;
        let payload = Payload { msg: sealed, aad: purpose.as_bytes() };
        let opened = self.0.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| NotOurs)?;
        String::from_utf8(opened).map(Secret::new).map_err(|_| NotOurs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_with_its_key_and_for_its_purpose_alone() {
        let (random, sealer) = (Random::seeded(1), Sealer::new(&[7; 32]));
        let sealed = sealer.seal(&random, "password", &Secret::new("hunter2"));
        assert_eq!(sealer.open("password", &sealed).unwrap().expose(), "hunter2");
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        assert_eq!(sealer.open("admin", &sealed), Err(NotOurs));
        assert_eq!(Sealer::new(&[8; 32]).open("password", &sealed), Err(NotOurs));
        assert_eq!(sealer.open("password", &sealed[..10]), Err(NotOurs));
    }
}
