//! The certificate that the service shows to its callers. It is read again when its files change: connections that are
//! open keep the old one, and new connections get the new one.

use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_cert::der::Decode;

use crate::base::config::ServerSettings;
use crate::base::error::{Error, Kind, Result};

/// The versions of HTTP that a client can choose during the handshake (ALPN), the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];
/// HTTP/2 as a client names it during the handshake.
pub const HTTP2: &[u8] = b"h2";
/// How often the files are looked at. It costs no reading.
const LOOK: Duration = Duration::from_secs(1);

/// The TLS settings of new connections.
pub struct Certificate {
    files: Files,
    /// The state of the files that was read last.
    known: Mutex<Stamp>,
    current: Mutex<Arc<ServerConfig>>,
}

#[derive(Debug, Clone)]
struct Files {
    certificate: String,
    key: String,
}

/// What tells one state of a file from another: its device, number, size, and time of change in nanoseconds.
type Stamp = [Option<(u64, u64, u64, i128)>; 2];

impl Certificate {
    /// Reads the files of the settings. `None` without TLS.
    ///
    /// # Errors
    /// `Kind::Internal` says which file is wrong, and why.
    pub fn open(settings: &ServerSettings) -> Result<Option<Arc<Self>>> {
        if !settings.is_encrypted() {
            return Ok(None);
        }
        let (certificate, key) = (settings.tls_certificate_file.clone(), settings.tls_key_file.clone());
        let files = Files { certificate, key };
        let known = Mutex::new(files.stamp());
        let read = files.read()?;
        read.tell_expiry();
        let current = Mutex::new(Arc::new(read.config));
        Ok(Some(Arc::new(Self { files, known, current })))
    }

    /// What [`Certificate::open`] would refuse.
    pub fn mistakes(settings: &ServerSettings) -> Vec<String> {
        Self::open(settings).err().map(|e| e.detail().to_owned()).into_iter().collect()
    }

    /// The settings of a connection that begins now.
    pub fn current(&self) -> Arc<ServerConfig> {
        lock(&self.current).clone()
    }

    /// Reads the files again whenever they change. Files that are broken change nothing and are logged once.
    pub async fn follow(&self) {
        loop {
            self.look().await;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Reads the files again if they have changed.
    pub async fn look(&self) {
        let (files, known) = (self.files.clone(), *lock(&self.known));
        let looked = tokio::task::spawn_blocking(move || {
            let stamp = files.stamp();
            // The stamp is older than what is read. A change in between is seen at the next look.
            (stamp, (known != stamp).then(|| files.read()))
        });
        if let Ok((stamp, Some(read))) = looked.await {
            self.take(read);
            *lock(&self.known) = stamp;
        }
    }

    fn take(&self, read: Result<Read>) {
        match read {
            Ok(read) => {
                read.tell_expiry();
                *lock(&self.current) = Arc::new(read.config);
                metrics::counter!("impg_tls_reloads_total", "outcome" => "done").increment(1);
                tracing::info!("new connections get the new certificate");
            }
            Err(error) => {
                metrics::counter!("impg_tls_reloads_total", "outcome" => "failed").increment(1);
                tracing::error!(%error, "the certificate is not replaced: connections get the one of before");
            }
        }
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the files hold.
struct Read {
    config: ServerConfig,
    /// When the first certificate of the chain expires, in seconds since 1970. None if that cannot be read.
    expires: Option<u64>,
}

impl Read {
    fn tell_expiry(&self) {
        if let Some(expires) = self.expires {
            metrics::gauge!("impg_tls_certificate_expiry_timestamp_seconds").set(expires as f64);
        }
    }
}

/// When the first of these certificates expires: without it a client does not trust the others.
fn expiry(chain: &[CertificateDer<'_>]) -> Option<u64> {
    let read = chain.iter().filter_map(|der| x509_cert::Certificate::from_der(der).ok());
    read.map(|read| read.tbs_certificate.validity.not_after.to_unix_duration().as_secs()).min()
}

impl Files {
    fn stamp(&self) -> Stamp {
        [&self.certificate, &self.key].map(|file| {
            let found = std::fs::metadata(file).ok()?;
            let changed_ns = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
            Some((found.dev(), found.ino(), found.size(), changed_ns))
        })
    }

    fn read(&self) -> Result<Read> {
        let refuse = |why: String| Error::new(Kind::Internal, why);
        let Self { certificate, key } = self;
        let why = |setting: &str, file: &str, what: &str, error: pem::Error| match error {
            pem::Error::Io(error) => refuse(format!("`{setting}`: {file} cannot be read: {error}")),
            _ => refuse(format!("`{setting}`: {file} has no {what} in PEM")),
        };
        let cannot = |error| why("tls_certificate_file", certificate, "certificate", error);
        let chain: std::result::Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(certificate).map_err(cannot)?.collect();
        let chain = chain.map_err(cannot)?;
        if chain.is_empty() {
            return Err(cannot(pem::Error::NoItemsFound));
        }
        let expires = expiry(&chain);
        let private = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| why("tls_key_file", key, "private key without a password", error))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // TLS 1.2 and 1.3.
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::internal)?
            .with_no_client_auth()
            .with_single_cert(chain, private);
        let mut config = config.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => refuse(format!(
                "`tls_key_file` does not belong to `tls_certificate_file`: {key} must have the key of the first \
                 certificate of {certificate}"
            )),
            error => refuse(format!("`tls_certificate_file` and `tls_key_file` cannot be used: {error}")),
        })?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Read { config, expires })
    }
}
