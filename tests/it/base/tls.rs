//! TLS for callers: what they get, certificates that are renewed, and settings that cannot work.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use im_push_gateway::app::App;
use im_push_gateway::base::certificate::Certificate;
use im_push_gateway::base::config::Config;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::app::{TestApp, config};
use crate::base::database::until;
use crate::chat::strangers::{dial, rest};

const ASK: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: im\r\n\r\n";
/// The end of the answer.
const ALIVE: &str = "{\"status\":\"alive\"}";

/// An authority, the certificates that it issues, and the files that a service is given.
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    /// With the certificate `one` in the files of the service.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let settings = "[req]\ndistinguished_name = dn\n[dn]\n[authority]\nbasicConstraints = critical, CA:TRUE\n\
                        [server]\nbasicConstraints = CA:FALSE\nsubjectAltName = IP:127.0.0.1\n";
        std::fs::write(folder.path().join("settings"), settings).unwrap();
        let authority = Self { folder };
        authority.make("authority", "authority", &["-days", "2"]);
        authority.issue("one");
        authority.install("one", "one");
        authority
    }

    /// Makes `<name>.pem` and `<name>.key`.
    pub fn issue(&self, name: &str) {
        self.issue_for(name, 2);
    }

    /// The same for so many days.
    pub fn issue_for(&self, name: &str, days: u32) {
        let days = days.to_string();
        let by = ["-CA", "authority.pem", "-CAkey", "authority.key", "-days", &days];
        self.make(name, "server", &by);
    }

    fn make(&self, name: &str, extensions: &str, more: &[&str]) {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-config", "settings"])
            .args(["-subj", &format!("/CN={name}"), "-extensions", extensions])
            .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
            .args(more)
            .current_dir(self.folder.path())
            .output()
            .expect("openssl runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// Gives the service this certificate, and the key of that one, each by a rename.
    pub fn install(&self, certificate: &str, key: &str) {
        for (from, to) in [(format!("{key}.key"), "tls.key"), (format!("{certificate}.pem"), "tls.pem")] {
            let new = self.path("new");
            std::fs::copy(self.path(&from), &new).unwrap();
            std::fs::rename(new, self.path(to)).unwrap();
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The settings of the service.
    pub fn settings(&self) -> String {
        let (certificate, key) = (self.path("tls.pem"), self.path("tls.key"));
        format!(
            "tls_certificate_file = \"{}\"\ntls_key_file = \"{}\"\n",
            certificate.display(),
            key.display()
        )
    }

    /// What a client finds at the beginning of the chain with this certificate.
    fn der(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path(&format!("{name}.pem"))).unwrap()
    }

    /// A connection of a client that trusts the authority and speaks one of these protocols.
    pub async fn connect(&self, app: &TestApp, protocols: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der("authority")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let socket = TcpStream::connect(app.base.trim_start_matches("http://")).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(client)).connect(name, socket).await
    }
}

/// Asks on a connection that stays open, and reads the answer.
async fn ask(stream: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    stream.write_all(ASK).await?;
    let mut answer = String::new();
    let mut piece = [0; 1024];
    while !answer.ends_with(ALIVE) {
        let count = stream.read(&mut piece).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        answer.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    Ok(answer)
}

/// The version of HTTP and the status that curl gets, or the code that it ends with.
fn curl(arguments: &[&str]) -> Result<String, i32> {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--max-time",
            "30",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_version} %{http_code}",
        ])
        .args(arguments)
        .output()
        .expect("curl runs");
    match output.status.code() {
        Some(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        code => Err(code.expect("an exit code")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_speak_http_2_and_1_1_over_tls_and_nothing_without_it() {
    let authority = Authority::new();
    let app = TestApp::start_with(&authority.settings()).await;
    let base = app.base.replace("http://", "https://");
    let trusted = authority.path("authority.pem");
    let trusted = trusted.to_str().unwrap();
    let (health, users) = (format!("{base}/healthz"), format!("{base}/scim/v2/Users"));
    for (version, told) in [("--http2", "2"), ("--http1.1", "1.1")] {
        for limit in ["1.2", "1.3"] {
            let asked = curl(&["--cacert", trusted, version, "--tls-max", limit, &health]);
            assert_eq!(asked, Ok(format!("{told} 200")), "TLS {limit}");
        }
        // With a body, and a caller.
        let user = "{\"schemas\": [\"urn:ietf:params:scim:schemas:core:2.0:User\"], \"userName\": \"USER\"}";
        let user = user.replace("USER", &format!("u{}", told.replace('.', "")));
        let caller = ["--header", "x-user-id: hr", "--header", "x-user-roles: directory", "--json", &user];
        let asked = curl(&[&["--cacert", trusted, version, &users], &caller[..]].concat());
        assert_eq!(asked, Ok(format!("{told} 201")));
    }
    // An older TLS, no TLS, and an authority that the client does not know.
    let old =
        ["--cacert", trusted, "--ciphers", "DEFAULT:@SECLEVEL=0", "--tlsv1.0", "--tls-max", "1.1", &health];
    assert!(curl(&old).is_err());
    assert!(curl(&[&health.replace("https://", "http://")]).is_err());
    assert_eq!(curl(&[&health]), Err(60));
    // The addresses in answers are those that the caller reaches.
    let output = Command::new("curl")
        .args([
            "--silent",
            "--cacert",
            trusted,
            "--header",
            "x-user-id: hr",
            "--header",
            "x-user-roles: directory",
        ])
        .arg(&users)
        .output()
        .unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let location = listed["Resources"][0]["meta"]["location"].as_str().expect("an address");
    assert!(location.starts_with(&users), "{location}");
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_a_broken_one_is_not() {
    let authority = Authority::new();
    authority.issue("two");
    let settings = config("any", &authority.settings());
    let certificate = Certificate::open(&settings.server).unwrap().expect("TLS");
    let one = certificate.current();
    certificate.look().await;
    assert!(Arc::ptr_eq(&one, &certificate.current()), "nothing has changed");
    let spoil = |name: &str, text: &str| std::fs::write(authority.path(name), text).unwrap();
    authority.install("two", "one");
    certificate.look().await;
    assert!(Arc::ptr_eq(&one, &certificate.current()), "a key of another certificate");
    for (name, text) in [("tls.pem", ""), ("tls.pem", "no PEM"), ("tls.key", "no PEM")] {
        spoil(name, text);
        certificate.look().await;
        assert!(Arc::ptr_eq(&one, &certificate.current()), "{name} {text:?}");
    }
    std::fs::remove_file(authority.path("tls.pem")).unwrap();
    certificate.look().await;
    assert!(Arc::ptr_eq(&one, &certificate.current()), "a file that is gone");
    authority.install("two", "two");
    certificate.look().await;
    assert!(!Arc::ptr_eq(&one, &certificate.current()), "a whole pair again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_cuts_no_connection_and_fails_no_request() {
    let authority = Arc::new(Authority::new());
    authority.issue("two");
    let app = Arc::new(TestApp::start_with(&authority.settings()).await);
    let mut kept = authority.connect(&app, &[]).await.unwrap();
    ask(&mut kept).await.unwrap();

    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let traffic: Vec<_> = (0..2)
        .map(|_| (authority.clone(), app.clone(), over.clone(), asked.clone()))
        .map(|(authority, app, over, asked)| {
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    let mut stream = authority.connect(&app, &[]).await.expect("a handshake");
                    ask(&mut stream).await.expect("an answer");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    authority.install("two", "one");
    authority.install("two", "two");
    let shown = || async {
        let stream = authority.connect(&app, &[]).await.expect("a handshake");
        stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone().into_owned()
    };
    let two = authority.der("two");
    until(shown, |certificate| *certificate == two).await;
    let before = asked.load(Ordering::Relaxed);
    until(|| async { asked.load(Ordering::Relaxed) }, |count| *count > before).await;
    over.store(true, Ordering::Relaxed);
    for traffic in traffic {
        traffic.await.expect("no request fails");
    }
    ask(&mut kept).await.expect("the connection of before still answers");
    assert_eq!(kept.get_ref().1.peer_certificates().expect("a certificate")[0], authority.der("one"));
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_cut() {
    let authority = Authority::new();
    let settings = format!("{}head_timeout_ms = 1500\nidle_timeout_ms = 86400000\n", authority.settings());
    let app = TestApp::start_with(&settings).await;
    // Nothing, and the beginning of a handshake that promises 512 bytes.
    for said in ["", "\u{16}", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}"] {
        assert_eq!(rest(dial(&app, said).await).await, "", "{said:?}");
    }
    // Nor is a head after it.
    let mut stream = authority.connect(&app, &[]).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: ").await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(crate::app::LONG, stream.read_to_end(&mut answer)).await.expect("an end");
    assert_eq!(answer, b"");
}

#[tokio::test]
async fn files_that_cannot_work_are_refused_before_the_database_is_touched() {
    let authority = Authority::new();
    authority.issue("two");
    let both = "`tls_certificate_file` and `tls_key_file` belong together";
    for setting in ["tls_certificate_file", "tls_key_file"] {
        let toml = format!("database_url = \"postgresql://im@127.0.0.1:1/im\"\n{setting} = \"/a\"");
        let told = Config::from_toml(&toml).expect_err("a mistake").to_string();
        assert!(told.contains(both), "{told}");
    }
    let path = |name: &str| authority.path(name).to_str().unwrap().to_owned();
    let (one, key, gone) = (path("one.pem"), path("one.key"), path("gone.pem"));
    for (certificate, key, why) in [
        (&one, &path("two.key"), "`tls_key_file` does not belong to `tls_certificate_file`: "),
        (&gone, &key, "gone.pem cannot be read: "),
        (&one, &gone, "`tls_key_file`: "),
        (&key, &key, "one.key has no certificate in PEM"),
        (&one, &one, "one.pem has no private key without a password in PEM"),
    ] {
        let files = format!("tls_certificate_file = \"{certificate}\"\ntls_key_file = \"{key}\"\n");
        let nowhere = "database_url = \"postgresql://im@127.0.0.1:1/im\"\n";
        let refused = App::build(config("any", &format!("{nowhere}{files}"))).await.err().expect("a mistake");
        assert!(refused.to_string().contains(why), "{refused}");
        let checked = Command::new(env!("CARGO_BIN_EXE_im-push-gateway"))
            .args(["check", "--settings-only"])
            .env("IMPG_DATABASE_URL", "postgresql://im@127.0.0.1:1/im")
            .env("IMPG_TRUSTED_PEERS", "127.0.0.1")
            .env("IMPG_TLS_CERTIFICATE_FILE", certificate)
            .env("IMPG_TLS_KEY_FILE", key)
            .output()
            .unwrap();
        let told = [checked.stdout, checked.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        assert!(checked.status.code() == Some(1) && told.contains(why), "{told}");
    }
}
