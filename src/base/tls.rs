//! TLS to servers other than HTTP servers. The certificate is always verified.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::base::error::{Error, Kind, Result};

/// The authorities that verify a certificate.
pub enum Authorities<'a> {
    /// Those of a PEM file only, or the system's if no file is set.
    Own(&'a str),
    /// The system's, plus those of a PEM file if one is set.
    Also(&'a str),
}

/// The TLS settings of a client; `setting` names the file in errors.
///
/// # Errors
/// `Kind::Internal` if the file is unreadable or not PEM, or if there is no authority at all.
pub fn client(authorities: &Authorities<'_>, setting: &str) -> Result<ClientConfig> {
    let refuse = |why: &str| Error::new(Kind::Internal, format!("{setting} {why}"));
    let (file, with_system) = match authorities {
        Authorities::Own(file) => (*file, file.is_empty()),
        Authorities::Also(file) => (*file, true),
    };
    let mut roots = RootCertStore::empty();
    if with_system {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if !file.is_empty() {
        for certificate in CertificateDer::pem_file_iter(file).map_err(|_| refuse("cannot be read"))? {
            let certificate = certificate.map_err(|_| refuse("is not PEM"))?;
            roots.add(certificate).map_err(Error::internal)?;
        }
    }
    if roots.is_empty() {
        return Err(refuse("must be set: there is no authority to verify the server with"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
