//! A folder for child processes. When its owner is gone, however it went, so are they and the folder.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Between two looks at something outside this process.
pub const POLL: Duration = Duration::from_millis(10);
/// After this, a process that was killed counts as unkillable.
const EVICTION: Duration = Duration::from_secs(10);

/// The watchdog. Only we hold the other end of its standard input, and the kernel closes it when
/// we end. Residents are known by their working directory, which every child has from its first
/// instruction; a list of pids written down here could miss the one started last. POSIX shared
/// memory outlives those who have it open, so what a killed initdb had is removed by name.
const WATCHDOG: &str = r#"
dir=$1 farewell=$2
residents() { find /proc/[0-9]* -maxdepth 1 -name cwd -lname "$dir*" 2>/dev/null | cut -d/ -f3; }
while read -r _; do :; done
rounds=0 shared= pids=$(residents)
while [ -n "$pids" ] && [ $rounds -lt 1000 ]; do
    shared="$shared $(for pid in $pids; do grep -ho '/dev/shm/PostgreSQL[.0-9]*' /proc/$pid/maps; done 2>/dev/null)"
    kill -KILL $pids 2>/dev/null
    sleep 0.01
    rounds=$((rounds + 1)) pids=$(residents)
done
(cd "$dir" && eval "$farewell") >/dev/null 2>&1
rm -rf "$dir" $shared
"#;

/// The folder and its watchdog.
pub struct Sandbox {
    path: PathBuf,
    watchdog: Child,
}

impl Sandbox {
    /// A new folder under the system's temporary one. `farewell` is shell, run in it at the end.
    pub fn new(purpose: &str, farewell: &str) -> Self {
        let path = tempfile::Builder::new()
            .prefix(&format!("impg-{purpose}-"))
            .tempdir()
            .expect("a temporary folder")
            .keep();
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "impg-watchdog"])
            .arg(&path)
            .arg(farewell)
            .current_dir("/")
            // A group of its own: Ctrl-C and a killed group end us, not it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell for the watchdog");
        Self { path, watchdog }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes `command` run inside, with its output at the end of the file `log` in here.
    pub fn enter<'a>(&self, command: &'a mut Command, log: &str) -> &'a mut Command {
        let file = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path.join(log))
            .expect("a log file in the sandbox");
        let twin = file.try_clone().expect("a second handle of the log file");
        command.current_dir(&self.path).process_group(0).stdin(Stdio::null()).stdout(file).stderr(twin)
    }

    pub fn residents(&self) -> Vec<u32> {
        residents(&self.path)
    }

    /// SIGKILL to everything inside, until nothing is left.
    pub fn evict(&self) {
        let deadline = Instant::now() + EVICTION;
        loop {
            let pids = self.residents();
            if pids.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "{pids:?} in {} survive SIGKILL", self.path.display());
            signal("KILL", &pids);
            std::thread::sleep(POLL);
        }
    }

    /// The last `lines` lines of the file `log`.
    pub fn tail(&self, log: &str, lines: usize) -> String {
        let bytes = fs::read(self.path.join(log)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Sandbox {
    /// The same way as after our death: the pipe closes. Waiting makes "dropped" mean "gone".
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// Pids of the processes whose working directory is in `folder`, or was: the kernel then appends
/// " (deleted)" to its name. Zombies have none.
pub fn residents(folder: &Path) -> Vec<u32> {
    let within = |cwd: &Path| cwd.as_os_str().as_bytes().starts_with(folder.as_os_str().as_bytes());
    let processes = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    processes
        .filter(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| within(&cwd)))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Sends a signal by name; processes that are gone already are no error.
pub fn signal(name: &str, pids: &[u32]) {
    let _ = Command::new("sh")
        .args(["-c", r#"kill -s "$0" "$@""#, name])
        .args(pids.iter().map(u32::to_string))
        .stderr(Stdio::null())
        .status();
}

/// A port of 127.0.0.1 for a server that will come back on it: below those the kernel hands out,
/// so that no outgoing connection takes it meanwhile, and given to nobody else of this process.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let random = RandomState::new().build_hasher().finish();
    let mut given = GIVEN.lock().expect("no panic while held");
    (0..1000)
        .map(|n| 10_000 + u16::try_from(random.wrapping_add(n * 7919) % 20_000).expect("below 20,000"))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok() && given.insert(*port))
        .expect("a free port between 10000 and 30000")
}
