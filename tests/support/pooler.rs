//! PgBouncer before a cluster: a process of its own.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::Cluster;
use super::sandbox::{POLL, Sandbox, free_port};

const BINARY: &str = "/usr/sbin/pgbouncer";
const LOG: &str = "pgbouncer.log";
/// Starting takes at most this long.
const START: Duration = Duration::from_secs(30);

/// The pooler. Dropped, or its owner dead: killed.
pub struct Pooler {
    port: u16,
    child: Child,
    _sandbox: Sandbox,
}

impl Pooler {
    /// With lines of pgbouncer.ini(5), such as its mode. Returns when it listens.
    pub async fn before(cluster: &Cluster, settings: &str) -> Self {
        let (sandbox, port) = (Sandbox::new("pgbouncer", ""), free_port());
        let folder = sandbox.path().display();
        let conf = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {folder}/users.txt\n{settings}\n",
            cluster.port()
        );
        fs::write(sandbox.path().join("users.txt"), "\"postgres\" \"\"\n").expect("a list of users");
        fs::write(sandbox.path().join("pgbouncer.ini"), conf).expect("settings");
        fs::set_permissions(sandbox.path(), fs::Permissions::from_mode(0o755)).expect("others may look");
        let mut command = Command::new(BINARY);
        if fs::metadata("/proc/self").is_ok_and(|us| std::os::unix::fs::MetadataExt::uid(&us) == 0) {
            // It refuses root.
            command.args(["-u", "postgres"]);
        }
        let child = sandbox.enter(command.arg("pgbouncer.ini"), LOG).spawn();
        let child = child.unwrap_or_else(|e| panic!("{BINARY}: {e}; tests/tools ensure pgbouncer"));
        let deadline = Instant::now() + START;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < deadline, "no answer after {START:?}:\n{}", sandbox.tail(LOG, 40));
            tokio::time::sleep(POLL).await;
        }
        Self { port, child, _sandbox: sandbox }
    }

    /// The address of a database, through it.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
