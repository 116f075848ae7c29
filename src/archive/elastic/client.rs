//! The official client, made from the settings.

use elasticsearch::Elasticsearch;
use elasticsearch::auth::Credentials;
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::transport::{SingleNodeConnectionPool, TransportBuilder};
use url::Url;

use super::answer::refuse;
use crate::base::config::{ArchiveSettings, ArchiveTarget};
use crate::base::error::{Error, Result};

/// A client for the server of `archive_url`.
pub fn client(settings: &ArchiveSettings) -> Result<Elasticsearch> {
    let ArchiveTarget::Server(url) = settings.target() else {
        return Err(refuse("archive_url is not http or https"));
    };
    let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(url.clone()))
        .timeout(settings.timeout)
        .disable_proxy();
    if let Some(authorities) = authorities(&url, &settings.ca_file)? {
        builder = builder.cert_validation(CertificateValidation::Full(authorities));
    }
    if let Some(credentials) = credentials(settings)? {
        builder = builder.auth(credentials);
    }
    Ok(Elasticsearch::new(builder.build().map_err(Error::internal)?))
}

fn credentials(settings: &ArchiveSettings) -> Result<Option<Credentials>> {
    let (key, user) = (settings.api_key.expose(), &settings.user);
    if !key.is_empty() {
        // The client panics if a key cannot be a header.
        if !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(refuse("archive_api_key is not the base64 text that Elasticsearch gives"));
        }
        return Ok(Some(Credentials::EncodedApiKey(key.to_owned())));
    }
    let basic = || Credentials::Basic(user.clone(), settings.password.expose().to_owned());
    Ok((!user.is_empty()).then(basic))
}

/// The client itself knows only the public authorities.
fn authorities(url: &Url, ca_file: &str) -> Result<Option<Certificate>> {
    if url.scheme() != "https" {
        return Ok(None);
    }
    if !ca_file.is_empty() {
        let pem = std::fs::read(ca_file).map_err(|_| refuse("archive_ca_file cannot be read"))?;
        return Certificate::from_pem(&pem).map(Some).map_err(|_| refuse("archive_ca_file is not PEM"));
    }
    let mut all: Option<Certificate> = None;
    for der in rustls_native_certs::load_native_certs().certs {
        // An unreadable certificate is skipped; it cannot vouch for a server.
        let Ok(certificate) = Certificate::from_der(&der) else { continue };
        match &mut all {
            Some(all) => all.append(certificate),
            None => all = Some(certificate),
        }
    }
    Ok(all)
}
