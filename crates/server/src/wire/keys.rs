use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use hmac::{Hmac, Mac};
use model::{ApiError, Secret};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::authorization::{Scope, TERMINATOR};
use super::errors;

/// Finds a key by its public half.
pub trait Keys {
    /// The key of that SecretId; `None` where there is none, or where it is disabled. One secret is one [`Key`] for
    /// as long as it lives, so that what is derived from it is derived once.
    fn find(&self, secret_id: &str) -> Option<Arc<Key>>;
}

/// The secret half of a key pair, and what it takes to check signatures with it.
pub struct Key {
    secret: Secret,
    /// What a request with a temporary key has to bring along.
    token: Option<Secret>,
    /// Signing keys of TC3 by scope, the latest last. A scope is remembered only when it has signed a valid request.
    derived: Mutex<VecDeque<(String, Hmac<Sha256>)>>,
}

/// A client uses one scope a day; a few clients with different endpoints may share a key.
const MOST_SCOPES: usize = 8;

impl Key {
    /// A permanent key, which is used without a token.
    pub fn new(secret: Secret) -> Key {
        Key { secret, token: None, derived: Mutex::default() }
    }

    /// A key that is valid together with a token only.
    pub fn temporary(secret: Secret, token: Secret) -> Key {
        Key { token: Some(token), ..Key::new(secret) }
    }

    /// The MAC by which requests of a scope are signed, ready for the text.
    pub(super) fn tc3(&self, scope: &Scope<'_>) -> Hmac<Sha256> {
        let derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, mac)) = derived.iter().find(|(known, _)| known == scope.text) {
            return mac.clone();
        }
        drop(derived);
        let seed = mac(["TC3", self.secret.expose()].concat().as_bytes());
        [scope.date, scope.service, TERMINATOR].iter().fold(seed, |key: Hmac<Sha256>, text| {
            let next = key.chain_update(text).finalize().into_bytes();
            mac(&next)
        })
    }

    /// Keeps the MAC of a scope that has signed a valid request. Any other could be made up, to fill the place.
    pub(super) fn remember(&self, scope: &Scope<'_>, mac: Hmac<Sha256>) {
        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        if derived.iter().any(|(known, _)| known == scope.text) {
            return;
        }
        if derived.len() == MOST_SCOPES {
            derived.pop_front();
        }
        derived.push_back((scope.text.to_owned(), mac));
    }

    /// The MAC of the legacy default.
    pub(super) fn hmac_sha1(&self) -> Hmac<Sha1> {
        mac(self.secret.expose().as_bytes())
    }

    /// The MAC of the other legacy method.
    pub(super) fn hmac_sha256(&self) -> Hmac<Sha256> {
        mac(self.secret.expose().as_bytes())
    }

    /// Whether the token that a request brings, or none, is the one that belongs to the key.
    pub(super) fn check_token(&self, token: Option<&str>) -> Result<(), ApiError> {
        let right = match (&self.token, token) {
            (None, None) => true,
            (Some(right), Some(token)) => right.expose().as_bytes().ct_eq(token.as_bytes()).into(),
            (Some(_), None) | (None, Some(_)) => false,
        };
        if right { Ok(()) } else { Err(errors::wrong_token()) }
    }
}

fn mac<M: Mac + hmac::digest::KeyInit>(key: &[u8]) -> M {
    <M as Mac>::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_key_is_the_same_when_it_is_remembered() {
        let key = Key::new(Secret::new("Gu5t9xGARNpq86cd98joQYCN3EXAMPLE"));
        let signature = |scope: &Scope<'_>| hex::encode(key.tc3(scope).chain_update("text").finalize().into_bytes());
        let services: Vec<_> = (0..20).map(|n| (format!("s{n}"), format!("2026-11-24/s{n}/tc3_request"))).collect();
        let scopes = services.iter().map(|(service, text)| Scope { text, date: "2026-11-24", service });
        for scope in scopes {
            let fresh = signature(&scope);
            key.remember(&scope, key.tc3(&scope));
            assert_eq!(signature(&scope), fresh);
        }
        assert_eq!(key.derived.lock().unwrap().len(), MOST_SCOPES);
    }

    #[test]
    fn a_token_belongs_to_its_key_alone() {
        let permanent = Key::new(Secret::new("s"));
        assert!(permanent.check_token(None).is_ok());
        assert!(permanent.check_token(Some("t")).is_err());
        let temporary = Key::temporary(Secret::new("s"), Secret::new("t"));
        assert!(temporary.check_token(Some("t")).is_ok());
        assert!(temporary.check_token(Some("u")).is_err());
        assert!(temporary.check_token(None).is_err());
    }
}
