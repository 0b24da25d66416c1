use std::borrow::Cow;

use model::{Fingerprint, InstanceId, Logins};
use sha2::{Digest, Sha256};

use crate::requests::Login;

/// What a request by which a client signs in means for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// The default user, with the password of this fingerprint.
    Default(Fingerprint),
    /// Somebody else.
    Another,
    /// Nothing: it is no sign-in after all, or one that is refused.
    Nothing,
}

/// Reads a sign-in. One as the default user whose password is an account's name and password in one becomes one as that
/// account; the answer says whether anything was changed, too.
pub(crate) fn read(login: &mut Login<'_>, instance: &InstanceId, logins: &Logins) -> (Means, bool) {
    let is_auth = login[0].eq_ignore_ascii_case(b"auth");
    let (user, password) = match login.len() {
        2 if is_auth => (None, 1),
        3 if is_auth => (Some(1), 2),
        _ if is_auth => return (Means::Nothing, false),
        _ => match signs_in_at(login) {
            Some(at) => (Some(at + 1), at + 2),
            None => return (Means::Nothing, false),
        },
    };
    if user.is_some_and(|user| &*login[user] != b"default") {
        return (Means::Another, false);
    }
    let sent = fingerprint(instance, &login[password]);
    if [&logins.password, &logins.old_password].contains(&&Some(sent.clone())) {
        return (Means::Default(sent), false);
    }
    let Some((name, own)) = split(&login[password], logins) else {
        // Where it is known which passwords there are, this is none.
        let means = if logins.password.is_some() { Means::Nothing } else { Means::Default(sent) };
        return (means, false);
    };
    login[password] = Cow::Owned(own);
    match user {
        Some(user) => login[user] = Cow::Owned(name),
        None => login.insert(password, Cow::Owned(name)),
    }
    (Means::Another, true)
}

/// Where in a HELLO its AUTH stands, with the name and the password after it.
fn signs_in_at(hello: &Login<'_>) -> Option<usize> {
    let mut at = 2;
    while at < hello.len() {
        if hello[at].eq_ignore_ascii_case(b"auth") {
            return (at + 2 < hello.len()).then_some(at);
        }
        // SETNAME and its value; anything else is wrong, and the node's to refuse.
        at += 2;
    }
    None
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

    fn reads(words: &str) -> (Means, String) {
        let mut login: Login<'_> = words.split(' ').map(|word| Cow::Borrowed(word.as_bytes())).collect();
        let (means, changed) = read(&mut login, &instance(), &logins());
        let now: Vec<_> = login.iter().map(|word| String::from_utf8_lossy(word)).collect();
        assert_eq!(changed, now.join(" ") != words);
        (means, now.join(" "))
    }

    #[test]
    fn a_name_and_a_password_in_one_become_two() {
        for (sent, passed) in [
            ("AUTH ann@pw", "AUTH ann pw"),
            ("auth default ann-b@p@w", "auth ann-b p@w"),
            ("HELLO 3 AUTH default ann@pw", "HELLO 3 AUTH ann pw"),
            ("hello 2 SETNAME auth auth default ann@pw", "hello 2 SETNAME auth auth ann pw"),
        ] {
            assert_eq!(reads(sent), (Means::Another, passed.to_owned()));
        }
    }

    #[test]
    fn everything_else_stays() {
        for (sent, means) in [
            ("AUTH", Means::Nothing),
            ("AUTH a b c", Means::Nothing),
            ("HELLO", Means::Nothing),
            ("HELLO 3", Means::Nothing),
            ("HELLO 3 AUTH default", Means::Nothing),
            ("AUTH ann", Means::Nothing),
            ("AUTH ann-pw", Means::Nothing),
            ("AUTH bob@pw", Means::Nothing),
            ("AUTH annie@pw", Means::Nothing),
            ("AUTH ann pw", Means::Another),
            ("AUTH ann ann@pw", Means::Another),
        ] {
            assert_eq!(reads(sent), (means, sent.to_owned()));
        }
    }

    #[test]
    fn the_default_users_own_password_is_meant_first() {
        let means = |password: &str| Means::Default(fingerprint(&instance(), password.as_bytes()));
        assert_eq!(reads("AUTH ann@own"), (means("ann@own"), "AUTH ann@own".into()));
        assert_eq!(reads("HELLO 3 AUTH default old"), (means("old"), "HELLO 3 AUTH default old".into()));
    }

    #[test]
    fn a_fingerprint_is_made_as_its_description_says() {
        let hash = hex::encode(Sha256::digest(b"pw"));
        let expected = hex::encode(Sha256::digest(format!("{}:#{hash}", instance())));
        assert_eq!(fingerprint(&instance(), b"pw"), Fingerprint(expected));
    }
}
