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
    pub(crate) config: Arc<ServerConfig>,
    /// Whether plain connections are refused.
    pub(crate) is_required: bool,
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
        Ok(Terms { config: Arc::new(config), is_required: tls.is_required })
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
