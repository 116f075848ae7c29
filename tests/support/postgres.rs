//! A private PostgreSQL: the real server, on a port and a folder of its own.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use tokio_postgres::NoTls;

use super::sandbox::{POLL, Sandbox, free_port};

/// Oldest major version the service supports.
const OLDEST: u32 = 15;
/// Starting, including recovery after a crash, takes at most this long.
const START: Duration = Duration::from_secs(60);
const LOG: &str = "server.log";
const LOG_TAIL: usize = 40;
const SUPERUSER: &str = "postgres";

/// Durable as in production; the rest is for many small databases on a small machine.
/// `dynamic_shared_memory_type`: a killed server must leave nothing behind in /dev/shm.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("fsync", "on"),
    ("full_page_writes", "on"),
    ("shared_buffers", "128MB"),
    ("dynamic_shared_memory_type", "mmap"),
    ("max_connections", "300"),
    ("max_wal_size", "2GB"),
    ("log_min_messages", "warning"),
    // Counts what statements cost, in databases that ask for it.
    ("shared_preload_libraries", "pg_stat_statements"),
    ("pg_stat_statements.track", "none"),
    ("log_line_prefix", "%m [%p] %d "),
];

/// PostgreSQL's interlock is a System V segment, and only an orderly shutdown removes it.
const FAREWELL: &str = "set -- $(sed -n 7p data/postmaster.pid) && ipcrm -m \"$2\"";

/// A running server. Dropped, or its owner dead: stopped, and its data gone.
pub struct Cluster {
    binaries: PathBuf,
    /// Whom the server runs as, where we are root: it refuses root.
    account: Option<Account>,
    port: u16,
    server: Mutex<Option<Child>>,
    templates: tokio::sync::Mutex<HashSet<String>>,
    databases: AtomicU32,
    sandbox: Sandbox,
}

#[derive(Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

/// The cluster of this process, started by whoever asks first and stopped with the process.
pub fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(Cluster::start)
}

impl Cluster {
    /// A new, empty server. Blocks until it accepts connections.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with lines of `postgresql.conf` over the usual ones.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let cluster = Self::unstarted();
        cluster.initdb();
        cluster.launch(settings);
        cluster
    }

    /// A hot standby that follows this server from now on. Blocks until it answers.
    pub fn standby(&self) -> Self {
        let cluster = Self::unstarted();
        let status = cluster
            .command("pg_basebackup")
            .args([
                "--no-password",
                "--no-sync",
                "--checkpoint=fast",
                "--wal-method=stream",
                "--write-recovery-conf",
            ])
            .arg(format!("--dbname=postgresql://{SUPERUSER}@127.0.0.1:{}/", self.port))
            .arg("--pgdata")
            .arg(cluster.data())
            .status()
            .expect("pg_basebackup starts");
        assert!(status.success(), "pg_basebackup failed:\n{}", cluster.log_tail());
        cluster.launch(&[]);
        cluster
    }

    /// A copy of this server's files, not started.
    pub fn base_backup(&self) -> Self {
        let cluster = Self::unstarted();
        let status = cluster
            .command("pg_basebackup")
            .args(["--no-password", "--no-sync", "--checkpoint=fast", "--wal-method=stream"])
            .arg(format!("--dbname=postgresql://{SUPERUSER}@127.0.0.1:{}/", self.port))
            .arg("--pgdata")
            .arg(cluster.data())
            .status()
            .expect("pg_basebackup starts");
        assert!(status.success(), "pg_basebackup failed:\n{}", cluster.log_tail());
        cluster
    }

    /// Starts such a copy with the WAL of a folder, up to a restore point. Returns when it takes writes.
    pub async fn recover(&self, wal: &Path, restore_point: &str) {
        self.put_data_file("recovery.signal", "");
        let restore = format!("cp {}/%f \"%p\"", wal.display());
        self.launch(&[
            ("restore_command", &restore),
            ("recovery_target_name", restore_point),
            ("recovery_target_action", "promote"),
        ]);
        let (client, deadline) = (self.connect("postgres").await, Instant::now() + START);
        let recovers = "SELECT pg_is_in_recovery()";
        while client.query_one(recovers, &[]).await.expect("a row").get(0) {
            assert!(Instant::now() < deadline, "it is not recovered after {START:?}:\n{}", self.log_tail());
            tokio::time::sleep(POLL).await;
        }
    }

    /// pg_dump of a database, in its custom format.
    pub fn dump(&self, database: &str) -> Vec<u8> {
        let mut dump = Command::new(self.binaries.join("pg_dump"));
        let dumped = dump.args(["--format=custom", "--dbname", &self.url(database)]).output();
        let dumped = dumped.expect("pg_dump starts");
        assert!(dumped.status.success(), "pg_dump: {}", String::from_utf8_lossy(&dumped.stderr));
        dumped.stdout
    }

    /// Such a dump in place of a database, whoever is connected to it.
    pub async fn restore(&self, database: &str, dump: &[u8]) {
        self.drop_database(database).await;
        self.create_database(database, None).await;
        let mut restore = Command::new(self.binaries.join("pg_restore"));
        restore.args(["--exit-on-error", "--dbname", &self.url(database)]);
        let mut restore = restore.stdin(Stdio::piped()).spawn().expect("pg_restore starts");
        restore.stdin.take().expect("piped").write_all(dump).expect("pg_restore reads");
        assert!(restore.wait().expect("pg_restore ends").success(), "pg_restore failed");
    }

    /// A port and a folder, without a server.
    fn unstarted() -> Self {
        let cluster = Self {
            binaries: binaries(),
            account: account(),
            port: free_port(),
            server: Mutex::new(None),
            templates: tokio::sync::Mutex::default(),
            databases: AtomicU32::new(0),
            sandbox: Sandbox::new("postgres", FAREWELL),
        };
        if let Some(Account { uid, gid }) = cluster.account {
            chown(cluster.sandbox.path(), Some(uid), Some(gid)).expect("root may give its folder away");
        }
        cluster
    }

    /// Starts the server on its data. Blocks until it accepts connections.
    fn launch(&self, settings: &[(&str, &str)]) {
        self.configure(settings);
        self.spawn();
        let deadline = Instant::now() + START;
        while !self.accepts(deadline) {
            std::thread::sleep(POLL);
        }
    }

    /// SIGKILL to the server and to every process of it. Returns when none is left.
    pub fn kill9(&self) {
        let mut server = self.server.lock().expect("no panic while held");
        if let Some(child) = server.as_mut() {
            let _ = child.kill();
        }
        self.sandbox.evict();
        if let Some(mut child) = server.take() {
            let _ = child.wait();
        }
    }

    /// Starts again on the same port and data, after killing what still runs. Returns when it
    /// accepts connections, so after recovery.
    pub async fn restart(&self) {
        self.kill9();
        self.spawn();
        let deadline = Instant::now() + START;
        while !self.accepts(deadline) {
            tokio::time::sleep(POLL).await;
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn path(&self) -> &Path {
        self.sandbox.path()
    }

    /// A file beside the data, as only the server may read it: a key, a certificate.
    pub fn put_data_file(&self, name: &str, text: &str) {
        let path = self.data().join(name);
        fs::write(&path, text).expect("a file beside the data");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its owner's alone");
        if let Some(Account { uid, gid }) = self.account {
            chown(&path, Some(uid), Some(gid)).expect("root may give its file away");
        }
    }

    /// Pids of the server's processes.
    pub fn processes(&self) -> Vec<u32> {
        self.sandbox.residents()
    }

    /// The address of a database, for its superuser.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://{SUPERUSER}@127.0.0.1:{}/{database}", self.port)
    }

    /// psql as the superuser in a database, with these options and this text.
    pub fn psql(&self, database: &str, options: &[&str], text: &[u8]) -> Output {
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args(["--no-psqlrc", "--quiet"]).args(options).arg(self.url(database));
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut psql = psql.spawn().expect("psql starts");
        psql.stdin.take().expect("piped").write_all(text).expect("psql reads");
        psql.wait_with_output().expect("psql ends")
    }

    /// A connection of its own, driven by the caller's runtime.
    pub async fn connect(&self, database: &str) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::connect(&self.url(database), NoTls)
            .await
            .unwrap_or_else(|e| panic!("cannot connect to {database}: {e:?}\n{}", self.log_tail()));
        tokio::spawn(connection);
        client
    }

    /// Makes a database: empty, or a copy of `template`, to which nobody may be connected.
    pub async fn create_database(&self, name: &str, template: Option<&str>) {
        let template = quoted(template.unwrap_or("template0"));
        self.administer(&format!("CREATE DATABASE {} TEMPLATE {template} STRATEGY = wal_log", quoted(name)))
            .await;
    }

    /// A copy of `template`, or an empty database, under a name nobody has. Returns the name.
    pub async fn fresh_database(&self, template: Option<&str>) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.create_database(&name, template).await;
        name
    }

    /// Makes the database `name` once, has `build` fill it, and shuts it, so that it can be
    /// copied at any time. Callers that come meanwhile wait; later ones return at once.
    pub async fn template<F: Future>(&self, name: &str, build: impl FnOnce(String) -> F) {
        let mut templates = self.templates.lock().await;
        if templates.contains(name) {
            return;
        }
        // An earlier attempt may have died half way.
        self.drop_database(name).await;
        self.create_database(name, None).await;
        build(self.url(name)).await;
        self.administer(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", quoted(name))).await;
        self.connect("postgres")
            .await
            .query(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1",
                &[&name],
            )
            .await
            .expect("the superuser may close connections");
        templates.insert(name.to_owned());
    }

    /// Drops a database with whoever is connected to it; one that is not there is no error.
    pub async fn drop_database(&self, name: &str) {
        self.administer(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name))).await;
    }

    /// The end of the server's log.
    pub fn log_tail(&self) -> String {
        self.sandbox.tail(LOG, LOG_TAIL)
    }

    async fn administer(&self, sql: &str) {
        let client = self.connect("postgres").await;
        if let Err(e) = client.batch_execute(sql).await {
            panic!("{sql}: {e:?}\n{}", self.log_tail());
        }
    }

    fn data(&self) -> PathBuf {
        self.sandbox.path().join("data")
    }

    fn initdb(&self) {
        let data = self.data();
        let status = self
            .command("initdb")
            .args(["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"])
            // Nothing in a new cluster is worth a flush; what it acknowledges later is.
            .args(["--no-sync", "--no-instructions", "-D"])
            .arg(&data)
            .status()
            .expect("initdb starts");
        assert!(status.success(), "initdb failed:\n{}", self.log_tail());
    }

    fn configure(&self, settings: &[(&str, &str)]) {
        let mut conf = fs::File::options()
            .append(true)
            .open(self.data().join("postgresql.conf"))
            .expect("initdb wrote postgresql.conf");
        let sockets = self.sandbox.path().display().to_string();
        let port = self.port.to_string();
        let own = [("unix_socket_directories", sockets.as_str()), ("port", port.as_str())];
        for (key, value) in own.iter().chain(SETTINGS).chain(settings) {
            writeln!(conf, "{key} = '{}'", value.replace('\'', "''")).expect("postgresql.conf is writable");
        }
    }

    fn spawn(&self) {
        let child = self.command("postgres").arg("-D").arg(self.data()).spawn().expect("postgres starts");
        *self.server.lock().expect("no panic while held") = Some(child);
    }

    /// Whether the server says that it accepts connections, in the file `pg_ctl` reads for this.
    /// A server that ended, or has not come up by `deadline`, is a panic with its log.
    fn accepts(&self, deadline: Instant) -> bool {
        let mut server = self.server.lock().expect("no panic while held");
        let child = server.as_mut().expect("spawned before");
        if let Some(status) = child.try_wait().expect("our child") {
            panic!("PostgreSQL ended with {status}:\n{}", self.log_tail());
        }
        assert!(Instant::now() < deadline, "PostgreSQL is not up after {START:?}:\n{}", self.log_tail());
        let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let lines: Vec<&str> = file.lines().map(str::trim).collect();
        // A killed server leaves its file behind, "ready" and all.
        lines.first() == Some(&child.id().to_string().as_str()) && lines.get(7) == Some(&"ready")
    }

    fn command(&self, program: &str) -> Command {
        let program = self.binaries.join(program);
        let mut command = match self.account {
            Some(Account { uid, gid }) => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={uid}"), format!("--regid={gid}")]);
                command.args(["--clear-groups", "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("PG") {
                command.env_remove(key);
            }
        }
        self.sandbox.enter(&mut command, LOG);
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill9();
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The folder of the newest server on this machine: Debian's, or what the PATH leads to.
fn binaries() -> PathBuf {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = debian
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin")))
        })
        .filter(|(major, bin)| *major >= OLDEST && is_server(bin))
        .max_by_key(|(major, _)| *major)
        .map(|(_, bin)| bin);
    let path = std::env::var_os("PATH").unwrap_or_default();
    newest.or_else(|| std::env::split_paths(&path).find(|bin| is_server(bin))).unwrap_or_else(|| {
        panic!(
            "no PostgreSQL server found in /usr/lib/postgresql/*/bin (version {OLDEST} or newer) or on the \
             PATH: apt-get install postgresql, or the package postgresql-{OLDEST} or newer of your system"
        )
    })
}

fn is_server(bin: &Path) -> bool {
    bin.join("initdb").is_file() && bin.join("postgres").is_file()
}

/// `postgres`, or `nobody` where there is none. None when we are not root and need nobody else.
fn account() -> Option<Account> {
    let us = fs::metadata("/proc/self").expect("/proc is mounted").uid();
    if us != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd is readable");
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2);
        Some(Account { uid: ids.next()?.parse().ok()?, gid: ids.next()?.parse().ok()? })
    };
    let account = find("postgres").or_else(|| find("nobody"));
    Some(account.expect("PostgreSQL refuses root, and there is neither a user postgres nor nobody"))
}
