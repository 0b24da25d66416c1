use model::{Fingerprint, InstanceId, Logins};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::session::Credential;

/// What a sign-in means for a client, once the node allows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Means {
    /// The default user, with the password of this fingerprint.
    Default(Fingerprint),
    /// Somebody else.
    Another,
    /// Nothing.
    Nothing,
}

/// Reads a sign-in. One as the default user whose password is an account's name and password in one becomes one as that
/// account.
pub(crate) fn read(
    user: Option<&[u8]>,
    password: &[u8],
    instance: &InstanceId,
    logins: &Logins,
) -> (Credential, Means) {
    let as_sent = || Credential { user: user.map(<[u8]>::to_vec), password: password.to_vec() };
    if user.is_some_and(|user| user != b"default") {
        return (as_sent(), Means::Another);
    }
    let sent = fingerprint(instance, password);
    if [&logins.password, &logins.old_password].contains(&&Some(sent.clone())) {
        return (as_sent(), Means::Default(sent));
    }
    match split(password, logins) {
        Some((name, own)) => (Credential { user: Some(name), password: own }, Means::Another),
        // Where it is known which passwords there are, this is none.
        None if logins.password.is_some() => (as_sent(), Means::Nothing),
        None => (as_sent(), Means::Default(sent)),
    }
}

/// The account's name and its password in one that has both.
fn split(password: &[u8], logins: &Logins) -> Option<(Vec<u8>, Vec<u8>)> {
    let separator = logins.separator.as_bytes();
    let fits = |name: &&String| {
        let rest = password.strip_prefix(name.as_bytes())?;
        rest.strip_prefix(separator).map(|own| (name.as_bytes().to_vec(), own.to_vec()))
    };
    if separator.is_empty() { None } else { logins.accounts.iter().find_map(|name| fits(&name)) }
}

/// As [`Fingerprint`] says.
pub(crate) fn fingerprint(instance: &InstanceId, password: &[u8]) -> Fingerprint {
    let hash = hex::encode(Sha256::digest(password));
    Fingerprint(hex::encode(Sha256::digest(format!("{instance}:#{hash}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance() -> InstanceId {
        InstanceId::from_random(1)
    }

    fn logins() -> Logins {
        Logins {
            separator: "@".into(),
            accounts: vec!["ann".into(), "ann-b".into()],
            password: Some(fingerprint(&instance(), b"ann@own")),
            old_password: Some(fingerprint(&instance(), b"old")),
            ..Logins::default()
        }
    }

    /// What is sent for a user and a password, or a password alone, and what it means.
    fn reads(words: &str) -> (String, Means) {
        let (user, password) = match words.split_once(' ') {
            Some((user, password)) => (Some(user.as_bytes()), password),
            None => (None, words),
        };
        let (credential, means) = read(user, password.as_bytes(), &instance(), &logins());
        let words = [credential.user, Some(credential.password)];
        let words = words.into_iter().flatten().map(|word| String::from_utf8(word).unwrap());
        (words.collect::<Vec<_>>().join(" "), means)
    }

    #[test]
    fn a_name_and_a_password_in_one_become_two() {
        for (sent, passed) in [("ann@pw", "ann pw"), ("default ann-b@p@w", "ann-b p@w"), ("default ann@pw", "ann pw")] {
            assert_eq!(reads(sent), (passed.to_owned(), Means::Another));
        }
    }

    #[test]
    fn everything_else_stays() {
        for (sent, means) in [
            ("ann", Means::Nothing),
            ("ann-pw", Means::Nothing),
            ("bob@pw", Means::Nothing),
            ("annie@pw", Means::Nothing),
            ("ann pw", Means::Another),
            ("ann ann@pw", Means::Another),
        ] {
            assert_eq!(reads(sent), (sent.to_owned(), means));
        }
    }

    #[test]
    fn the_default_users_own_password_is_meant_first() {
        let means = |password: &str| Means::Default(fingerprint(&instance(), password.as_bytes()));
        assert_eq!(reads("ann@own"), ("ann@own".into(), means("ann@own")));
        assert_eq!(reads("default old"), ("default old".into(), means("old")));
    }

    #[test]
    fn a_fingerprint_is_made_as_its_description_says() {
        let hash = hex::encode(Sha256::digest(b"pw"));
        let expected = hex::encode(Sha256::digest(format!("{}:#{hash}", instance())));
        assert_eq!(fingerprint(&instance(), b"pw"), Fingerprint(expected));
    }
}
