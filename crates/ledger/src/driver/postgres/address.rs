//! Where the store is, and how it is reached: a URL, a password that is no part of it, and TLS.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{Error, Result};

/// How long one attempt to connect may take.
const CONNECTS_WITHIN: Duration = Duration::from_secs(2);
/// Whoever is not heard of for so long is gone, though nobody has said so.
const HEARD_OF_WITHIN: Duration = Duration::from_secs(8);
/// Where the system keeps whom it trusts.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How PostgreSQL is reached.
#[derive(Clone)]
pub struct PostgresAddress {
    pub(super) config: tokio_postgres::Config,
    pub(super) tls: MakeRustlsConnect,
}

impl PostgresAddress {
    /// Reads a URL: `postgres://USER@HOST:PORT/DATABASE`, with `sslmode=verify-full` (the default but for this host's own
    /// addresses) or `disable`, and `sslrootcert=FILE` for whom to trust instead of the system's authorities. The password
    /// is no part of it: what is said to a process can be seen by all.
    pub fn parse(url: &str, password: Option<&str>) -> Result<PostgresAddress> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(fault("it is written as postgres://USER@HOST:PORT/DATABASE"));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut roots, mut rest) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => roots = Some(value.replace("%2F", "/").replace("%2f", "/")),
                _ => rest.push(pair),
            }
        }
        let url = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        // What the parser says may hold parts of the URL, and so a password.
        let mut config: tokio_postgres::Config =
            url.parse().map_err(|_| fault("it can't be read; it is written as postgres://USER@HOST:PORT/DATABASE"))?;
        if config.get_password().is_some() {
            let why = "it holds a password, which does not belong there: put that into a file that only you can read, and name \
                that with OPENCRS_STORE_PASSWORD_FILE, or give it as OPENCRS_STORE_PASSWORD";
            return Err(fault(why));
        }
        if config.get_hosts().is_empty() {
            return Err(fault("it names no host"));
        }
        if let Some(password) = password {
            config.password(password);
        }
        let is_near = config.get_hosts().iter().all(is_of_this_host);
        let is_encrypted = match mode {
            None => !is_near,
            Some("disable") => false,
            Some("verify-full") => true,
            Some(_) => return Err(fault("sslmode is verify-full or disable")),
        };
        config
            .ssl_mode(if is_encrypted { SslMode::Require } else { SslMode::Disable })
            .application_name("opencrs")
            .connect_timeout(CONNECTS_WITHIN)
            .keepalives_idle(HEARD_OF_WITHIN / 2)
            .keepalives_interval(HEARD_OF_WITHIN / 4)
            .keepalives_retries(2)
            .tcp_user_timeout(HEARD_OF_WITHIN)
            // What a standby says may be old, and it takes no writes.
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        let roots =
            if is_encrypted { read_roots(roots.as_deref().unwrap_or(SYSTEM_ROOTS))? } else { RootCertStore::empty() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| fault(&format!("TLS can't be set up: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(PostgresAddress { config, tls: MakeRustlsConnect::new(tls) })
    }
}

fn fault(why: &str) -> Error {
    Error::Address(why.to_owned())
}

fn is_of_this_host(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
    }
}

fn read_roots(file: &str) -> Result<RootCertStore> {
    let why = |error: &dyn std::fmt::Display| fault(&format!("certificates can't be read from {file}: {error}"));
    let text = std::fs::read(file).map_err(|error| why(&error))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| why(&error))?;
        // Among a system's there may be some that nobody can read.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() { Err(why(&"there are none")) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        PostgresAddress::parse(url, None).map(drop).unwrap_err().to_string()
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        for url in ["postgres://u:battery-horse@127.0.0.1/d", "postgres://u@127.0.0.1/d?password=battery-horse"] {
            let refused = refusal(url);
            assert!(refused.contains("OPENCRS_STORE_PASSWORD_FILE") && !refused.contains("horse"), "{refused}");
        }
    }

    #[test]
    fn whoever_is_far_away_must_show_who_it_is_unless_that_is_given_up_by_name() {
        let mode = |url: &str| PostgresAddress::parse(url, None).unwrap().config.get_ssl_mode();
        assert_eq!(mode("postgres://u@127.0.0.1/d"), SslMode::Disable);
        assert_eq!(mode("postgres://u@%2Fvar%2Frun%2Fpostgresql/d"), SslMode::Disable);
        assert_eq!(mode("postgres://u@store.example/d?sslmode=disable"), SslMode::Disable);
        assert!(refusal("postgres://u@store.example/d?sslmode=require").contains("verify-full"));
        assert!(refusal("postgres://u@store.example/d?sslrootcert=/nowhere").contains("/nowhere"));
    }
}
