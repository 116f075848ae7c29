//! coturn, a TURN server, on the loopback address: a process of its own.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::sandbox::{POLL, Sandbox, free_port};

const LOG: &str = "turnserver.log";
/// Starting takes at most this long.
const START: Duration = Duration::from_secs(60);
/// The secret that it shares with the service.
pub const TURN_SECRET: &str = "the secret of a test";
/// A question of STUN: a binding request with its cookie and an id.
const BINDING: [u8; 20] = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

fn program(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".cache/bin").join(name)
}

/// The server. Dropped, or its owner dead: killed.
pub struct TurnServer {
    port: u16,
    child: Child,
    _sandbox: Sandbox,
}

impl TurnServer {
    /// Returns when it answers.
    pub async fn start() -> Self {
        let (sandbox, port) = (Sandbox::new("coturn", ""), free_port());
        let mut command = Command::new(program("turnserver"));
        command.args([
            "-n",
            "--listening-ip",
            "127.0.0.1",
            "--relay-ip",
            "127.0.0.1",
            "--allow-loopback-peers",
        ]);
        command.args(["--listening-port", &port.to_string(), "--realm", "example.com", "--fingerprint"]);
        command.args(["--use-auth-secret", "--static-auth-secret", TURN_SECRET]);
        command.args([
            "--no-cli",
            "--no-tls",
            "--no-dtls",
            "--userdb",
            "turndb",
            "--pidfile",
            "turnserver.pid",
        ]);
        command.args(["--log-file", "stdout", "--simple-log"]);
        let child = sandbox.enter(&mut command, LOG).spawn();
        let child = child.unwrap_or_else(|e| panic!("turnserver: {e}; tests/tools ensure coturn"));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        socket.set_nonblocking(true).expect("a socket that does not block");
        let deadline = Instant::now() + START;
        let mut answer = [0; 512];
        while socket.recv(&mut answer).is_err() {
            assert!(Instant::now() < deadline, "no answer after {START:?}:\n{}", sandbox.tail(LOG, 40));
            let _ = socket.send_to(&BINDING, (Ipv4Addr::LOCALHOST, port));
            tokio::time::sleep(POLL).await;
        }
        Self { port, child, _sandbox: sandbox }
    }

    /// Its address, as browsers take it.
    pub fn url(&self) -> String {
        format!("turn:127.0.0.1:{}?transport=udp", self.port)
    }

    /// Whether coturn's own client gets relays with these credentials, and messages through them.
    pub async fn takes(&self, username: &str, credential: &str) -> bool {
        let mut client = tokio::process::Command::new(program("turnutils_uclient"));
        client.args(["-y", "-c", "-n", "2", "-m", "1", "-p", &self.port.to_string()]);
        client.args(["-u", username, "-w", credential, "127.0.0.1"]).kill_on_drop(true);
        let output = client.output().await.expect("turnutils_uclient runs: tests/tools ensure coturn");
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("tot_recv_msgs=4")
    }
}

impl Drop for TurnServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
