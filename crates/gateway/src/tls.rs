//! How an instance takes connections by TLS: its certificate, and whether clients must have one.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};

/// As the module says.
pub(crate) struct Terms {
    /// `None` where it can't be had: nobody comes in by TLS then, and where that is required nobody does at all.
    pub(crate) config: Option<Arc<ServerConfig>>,
    /// Whether plain connections are refused.
    pub(crate) is_required: bool,
}

/// What a table says of an instance's TLS, and what became of it.
pub(crate) struct Agreed {
    pub(crate) wanted: model::Tls,
    pub(crate) terms: Arc<Terms>,
    /// Why it is not as wanted, for a person.
    pub(crate) failure: Option<String>,
}

impl Agreed {
    /// Brings into force what a table says. What can't be read never makes it easier to come in: a former certificate is
    /// kept only where it asks the same of clients.
    pub(crate) fn on(data: &Path, wanted: model::Tls, former: Option<&Agreed>) -> Agreed {
        match Terms::load(data, &wanted) {
            Ok(terms) => Agreed { wanted, terms: Arc::new(terms), failure: None },
            Err(error) => {
                let same = former.filter(|former| former.wanted.client_ca == wanted.client_ca);
                let config = same.and_then(|former| former.terms.config.clone());
                let failure = Some(format!("its certificate for TLS can't be used: {error}"));
                Agreed { terms: Arc::new(Terms { config, is_required: wanted.is_required }), wanted, failure }
            }
        }
    }
}

impl Terms {
    /// Reads what a table names, below the data folder.
    pub(crate) fn load(data: &Path, tls: &model::Tls) -> io::Result<Terms> {
        let identity = data.join(&tls.identity);
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&identity).map_err(invalid)?.collect();
        let key = PrivateKeyDer::from_pem_file(&identity).map_err(invalid)?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_protocol_versions(&[&TLS13, &TLS12]).map_err(invalid)?;
        let builder = match &tls.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let mut roots = RootCertStore::empty();
                for certificate in CertificateDer::pem_file_iter(data.join(file)).map_err(invalid)? {
                    roots.add(certificate.map_err(invalid)?).map_err(invalid)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().map_err(invalid)?)
            }
        };
        let config = builder.with_single_cert(chain.map_err(invalid)?, key).map_err(invalid)?;
        Ok(Terms { config: Some(Arc::new(config)), is_required: tls.is_required })
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
