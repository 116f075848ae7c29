//! nginx, HAProxy and Caddy with the files of `examples/gateways`, in front of a service. Each is a process of its own.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::Client;
use super::sandbox::{POLL, Sandbox, free_port};
use super::sign_in::SignIn;

const LOG: &str = "log";
/// Starting takes at most this long.
const START: Duration = Duration::from_secs(30);
/// Where the examples expect the service, the authentication service and the key of the sign-in.
const SERVICE: &str = "127.0.0.1:8080";
const AUTHENTICATION: &str = "127.0.0.1:9091";
const KEY: &str = "/etc/haproxy/im-push-gateway.pem";
/// What nginx needs around the file of the example; Debian's own has the rest of it in `/etc/nginx/nginx.conf`.
const NGINX: &str = "daemon off;\nuser root;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr;\nevents {}\n\
     http {\n access_log off;\n client_body_temp_path body;\n proxy_temp_path proxy;\n fastcgi_temp_path fastcgi;\n \
     uwsgi_temp_path uwsgi;\n scgi_temp_path scgi;\n include im-push-gateway.conf;\n}\n";

/// A program that stands before the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    Nginx,
    Haproxy,
    Caddy,
}

impl ProxyKind {
    pub const ALL: [Self; 3] = [Self::Nginx, Self::Haproxy, Self::Caddy];

    /// The settings that the example's own comment tells, for a service with this secret.
    pub fn settings(self, secret: &str) -> String {
        let (_, text) = self.example();
        let told = text.lines().filter_map(|line| line.strip_prefix("#   "));
        let told: Vec<&str> = told.filter(|line| line.contains(" = ")).collect();
        assert_eq!(told.len(), 5, "the settings in the comment of the example");
        placed(&told.join("\n"), &[("\"…\"", &format!("\"{secret}\""))])
    }

    /// The name of the example's file, and what it says.
    fn example(self) -> (&'static str, String) {
        let (folder, file) = match self {
            Self::Nginx => ("nginx", "im-push-gateway.conf"),
            Self::Haproxy => ("haproxy", "haproxy.cfg"),
            Self::Caddy => ("caddy", "Caddyfile"),
        };
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gateways").join(folder).join(file);
        (file, fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    fn binary(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Caddy => "caddy",
        }
    }
}

/// A proxy. Dropped, or its owner dead: killed.
pub struct Proxy {
    port: u16,
    child: Child,
    sandbox: Sandbox,
}

impl Proxy {
    /// In front of the service at `base`, with the sign-in of the company and the secret that it shares with the
    /// service. Returns when it takes connections.
    pub async fn start(kind: ProxyKind, base: &str, sign_in: &SignIn, secret: &str) -> Self {
        let (sandbox, port) = (Sandbox::new("proxy", ""), free_port());
        let service = base.strip_prefix("http://").expect("an address of plain HTTP");
        let (file, example) = kind.example();
        let (own, key) = (format!("127.0.0.1:{port}"), sandbox.path().join("key.pem"));
        let key = key.display().to_string();
        let (authentication, listen) = (sign_in.address(), format!("listen {own};"));
        let changes: &[(&str, &str)] = match kind {
            ProxyKind::Nginx => &[
                (SERVICE, service),
                (AUTHENTICATION, &authentication),
                ("listen 80;", &listen),
                ("CHANGE-ME", secret),
            ],
            ProxyKind::Haproxy => {
                &[(SERVICE, service), (KEY, &key), ("bind :80\n", &format!("bind {own}\n"))]
            }
            ProxyKind::Caddy => &[
                (SERVICE, service),
                (AUTHENTICATION, &authentication),
                ("\n:80 {", &format!("\nhttp://{own} {{")),
            ],
        };
        let folder = sandbox.path();
        fs::write(folder.join(file), placed(&example, changes)).expect("the example");
        fs::write(folder.join("nginx.conf"), NGINX).expect("what is around the example");
        fs::write(&key, sign_in.public_key()).expect("the key");
        let mut command =
            Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/bin").join(kind.binary()));
        match kind {
            ProxyKind::Nginx => command.arg("-p").arg(folder).args(["-e", "stderr", "-c", "nginx.conf"]),
            ProxyKind::Haproxy => command.args(["-db", "-f", file]),
            ProxyKind::Caddy => command.args(["run", "--config", file]),
        };
        command.env("IMPG_IDENTITY_SECRET", secret).env("HOME", folder);
        command.env("XDG_CONFIG_HOME", folder).env("XDG_DATA_HOME", folder);
        command.env("CADDY_ADMIN", format!("unix/{}/admin", folder.display()));
        let child = sandbox.enter(&mut command, LOG).spawn();
        let child = child.unwrap_or_else(|e| panic!("{0}: {e}; tests/tools ensure {0}", kind.binary()));
        let mut proxy = Self { port, child, sandbox };
        proxy.wait().await;
        proxy
    }

    async fn wait(&mut self) {
        let deadline = Instant::now() + START;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let ended = self.child.try_wait().expect("our child");
            let log = self.sandbox.tail(LOG, 40);
            assert!(ended.is_none(), "it ended with {ended:?}:\n{log}");
            assert!(Instant::now() < deadline, "no answer after {START:?}:\n{log}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A caller from outside, with this token if there is one.
    pub fn client(&self, token: Option<&str>) -> Client {
        let client = Client::anonymous(&self.url("/api/v1"));
        match token {
            Some(token) => client.with_header("authorization", &format!("Bearer {token}")),
            None => client,
        }
    }

    /// The last lines of its log.
    pub fn log(&self) -> String {
        self.sandbox.tail(LOG, 40)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A text with places of the test instead of those of the example, each of which must be there.
fn placed(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the example does not say {from}");
        text.replace(from, to)
    })
}
