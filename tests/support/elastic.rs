//! A private Elasticsearch: the real server, one node, on a port and a folder of its own.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::sandbox::{POLL, Sandbox, free_port, signal};

/// Starting, including recovery after a crash, takes at most this long.
const START: Duration = Duration::from_secs(120);
const LOG: &str = "server.log";
const LOG_TAIL: usize = 40;
/// What the server says of itself once it answers.
const STARTED: &str = "] started {";
const HEAP: &str = "512m";
/// Whom the server runs as, where we are root: it refuses root.
const ACCOUNT: &str = "nobody";
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// One node that talks to nobody else. A test machine's disk is often nearly full, and says nothing.
const SETTINGS: &[(&str, &str)] = &[
    ("cluster.name", "tests"),
    ("node.name", "node"),
    ("discovery.type", "single-node"),
    ("http.host", "127.0.0.1"),
    ("transport.host", "127.0.0.1"),
    ("cluster.routing.allocation.disk.threshold_enabled", "false"),
];
/// What Elasticsearch's own file says, without what a node of this size does not need.
const JVM_OPTIONS: &str = "-XX:+UseSerialGC
-Djava.io.tmpdir=${ES_TMPDIR}
-XX:TieredStopAtLevel=1
20-:--add-modules=jdk.incubator.vector
-XX:+ExitOnOutOfMemoryError
-Dorg.apache.lucene.store.defaultReadAdvice=normal
-Dorg.apache.lucene.store.MMapDirectory.sharedArenaMaxPermits=1
";
const LOGGING: &str = "status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%c{1.}] %m%consoleException%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
";

/// A running node. Dropped, or its owner dead: stopped, and its data gone.
pub struct Elastic {
    port: u16,
    scheme: &'static str,
    server: Mutex<Option<Child>>,
    sandbox: Sandbox,
}

/// The node of this process, started by whoever asks first. None where there can be none: then the
/// last line of the tests says so. In CI that is a failure.
pub fn shared_elastic() -> Option<&'static Elastic> {
    static SHARED: OnceLock<Option<Elastic>> = OnceLock::new();
    SHARED.get_or_init(Elastic::start).as_ref()
}

impl Elastic {
    /// A new, empty node. Blocks until it answers.
    pub fn start() -> Option<Self> {
        Self::start_with(&[], &[])
    }

    /// The same with lines of `elasticsearch.yml` over the usual ones, and with files beside it.
    pub fn start_with(settings: &[(&str, &str)], files: &[(&str, &str)]) -> Option<Self> {
        if !is_there() {
            return None;
        }
        let elastic = Self {
            port: free_port(),
            scheme: match settings.contains(&("xpack.security.http.ssl.enabled", "true")) {
                true => "https",
                false => "http",
            },
            server: Mutex::new(None),
            sandbox: Sandbox::new("elastic", ""),
        };
        elastic.configure(settings, files);
        elastic.spawn();
        let deadline = Instant::now() + START;
        while !elastic.answers(deadline) {
            std::thread::sleep(POLL);
        }
        Some(elastic)
    }

    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    pub fn path(&self) -> &Path {
        self.sandbox.path()
    }

    /// Where it may keep repositories of snapshots.
    pub fn snapshots(&self) -> PathBuf {
        self.path().join("snapshots")
    }

    /// SIGKILL to the server and what it started. Returns when nothing is left.
    pub fn kill9(&self) {
        self.sandbox.evict();
        if let Some(mut child) = self.server.lock().expect("no panic while held").take() {
            let _ = child.wait();
        }
    }

    /// Starts again on the same port and data, after killing what still runs. Returns when it
    /// answers; its indices may take some moments more.
    pub async fn restart(&self) {
        self.kill9();
        self.spawn();
        let deadline = Instant::now() + START;
        while !self.answers(deadline) {
            tokio::time::sleep(POLL).await;
        }
    }

    /// SIGSTOP: connections stay, and nothing is answered.
    pub fn pause(&self) {
        signal("STOP", &self.sandbox.residents());
    }

    pub fn resume(&self) {
        signal("CONT", &self.sandbox.residents());
    }

    fn configure(&self, settings: &[(&str, &str)], files: &[(&str, &str)]) {
        let home = self.path();
        let mut yml = String::new();
        let port = self.port.to_string();
        let data = home.join("data").display().to_string();
        let logs = home.join("logs").display().to_string();
        let snapshots = self.snapshots().display().to_string();
        let own = [
            ("http.port", port.as_str()),
            ("path.data", &data),
            ("path.logs", &logs),
            ("path.repo", &snapshots),
        ];
        let usual =
            own.iter().chain(SETTINGS).filter(|(key, _)| !settings.iter().any(|(other, _)| other == key));
        for (key, value) in usual.chain(settings) {
            writeln!(yml, "{key}: {value}").expect("text grows");
        }
        if !settings.iter().any(|(key, _)| *key == "xpack.security.enabled") {
            yml.push_str("xpack.security.enabled: false\n");
        }
        for folder in ["conf", "data", "logs", "snapshots", "tmp"] {
            fs::create_dir(home.join(folder)).expect("a folder of the server's");
        }
        let usual = [
            ("elasticsearch.yml", yml.as_str()),
            ("jvm.options", JVM_OPTIONS),
            ("log4j2.properties", LOGGING),
        ];
        for (name, text) in usual.iter().chain(files) {
            let path = home.join("conf").join(name);
            fs::write(&path, text).expect("a file of the server's settings");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its owner's alone");
        }
        if is_root() {
            give_away(home);
        }
    }

    fn spawn(&self) {
        // What an earlier server said must not count for this one.
        let _ = fs::remove_file(self.path().join(LOG));
        let child = self.command().spawn().expect("java starts");
        *self.server.lock().expect("no panic while held") = Some(child);
    }

    /// Whether the server says that it answers. One that ended, or has not come up by `deadline`,
    /// is a panic with its log.
    fn answers(&self, deadline: Instant) -> bool {
        let ended = {
            let mut server = self.server.lock().expect("no panic while held");
            server.as_mut().expect("spawned before").try_wait().expect("our child")
        };
        if let Some(status) = ended {
            panic!("Elasticsearch ended with {status}:\n{}", self.log_tail());
        }
        assert!(Instant::now() < deadline, "Elasticsearch is not up after {START:?}:\n{}", self.log_tail());
        fs::read_to_string(self.path().join(LOG)).is_ok_and(|log| log.contains(STARTED))
    }

    /// The end of the server's log.
    pub fn log_tail(&self) -> String {
        self.sandbox.tail(LOG, LOG_TAIL)
    }

    fn command(&self) -> Command {
        let (server, java) = (cached("elasticsearch"), cached("java"));
        let conf = self.path().join("conf");
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={ACCOUNT}"), format!("--regid={}", account().1)]);
                command.args(["--clear-groups", "--"]).arg(java.join("bin/java"));
                command
            }
            false => Command::new(java.join("bin/java")),
        };
        // The launcher is a small program that starts the server and passes its end on.
        command
            .args(["-Xms4m", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(server.join("lib/tools/server-launcher/*"))
            .arg("org.elasticsearch.server.launcher.ServerLauncher")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path().join("tmp"))
            .env("ES_TMPDIR", self.path().join("tmp"))
            .env("JAVA", java.join("bin/java"))
            .env("JAVA_TYPE", "ES_JAVA_HOME")
            .env("ES_JAVA_HOME", &java)
            .env("ES_HOME", &server)
            .env("ES_PATH_CONF", conf)
            .env("ES_DISTRIBUTION_TYPE", "zip")
            // Another little one takes the folder it runs in for the server's home. It is in the sandbox.
            .env("CLI_JAVA_OPTS", format!("-Duser.dir={}", server.display()))
            .env("ES_JAVA_OPTS", format!("-Xms{HEAP} -Xmx{HEAP}"));
        self.sandbox.enter(&mut command, LOG);
        command
    }
}

impl Drop for Elastic {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Whether a node can be started here; gets what it takes if need be.
fn is_there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| {
        let ensured =
            Command::new("tests/tools").args(["ensure", "elasticsearch"]).current_dir(ROOT).output();
        let why = match ensured {
            Ok(output) if output.status.success() => return true,
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(e) => e.to_string(),
        };
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "no Elasticsearch: {why}");
        say_last(&format!("NOT RUN: everything with Elasticsearch, for it cannot be started here. {why}"));
        false
    })
}

/// Says something when this process is gone, below whatever it said itself: the kernel closes the
/// pipe then.
fn say_last(line: &str) {
    let speaker = Command::new("sh")
        .args(["-c", "while read -r _; do :; done; echo \"$1\" >&2", "sh", line])
        .stdin(Stdio::piped())
        .spawn();
    match speaker {
        Ok(speaker) => std::mem::forget(speaker.stdin),
        Err(_) => drop(writeln!(std::io::stderr(), "{line}")),
    }
}

/// Where a link of `tests/tools` leads. The link itself lies in a folder that may be closed to others.
fn cached(name: &str) -> PathBuf {
    fs::canonicalize(Path::new(ROOT).join(".cache").join(name)).expect("tests/tools made it")
}

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("/proc is mounted").uid() == 0
}

fn account() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd is readable");
    let line = users.lines().find(|line| line.split(':').next() == Some(ACCOUNT));
    let mut ids =
        line.expect("there is a user nobody").split(':').skip(2).map(|id| id.parse().expect("an id"));
    (ids.next().expect("a uid"), ids.next().expect("a gid"))
}

fn give_away(folder: &Path) {
    let (uid, gid) = account();
    chown(folder, Some(uid), Some(gid)).expect("root may give its folder away");
    for entry in fs::read_dir(folder).expect("our folder").flatten() {
        match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            true => give_away(&entry.path()),
            false => chown(entry.path(), Some(uid), Some(gid)).expect("root may give its file away"),
        }
    }
}
