//! A small disk: a file system in memory, which needs root, or sudo. It can be full, and have room again.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use super::sandbox::Sandbox;

/// A server that was killed may hold its files for a moment longer.
const FAREWELL: &str = "umount --lazy disk || sudo -n umount --lazy disk";
/// What fills it.
const BALLAST: &str = "ballast";
/// The ballast is written in pieces of these sizes, the largest first.
const PIECES: [usize; 3] = [1 << 16, 1 << 12, 1];

/// A file system of a few megabytes that every user can write. It is gone with its sandbox.
pub struct Disk {
    sandbox: Sandbox,
}

impl Disk {
    pub fn of(megabytes: u32) -> Self {
        let disk = Self { sandbox: Sandbox::new("disk", FAREWELL) };
        // Servers that refuse root work on it, too.
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(disk.sandbox.path(), open).expect("our folder");
        fs::create_dir(disk.path()).expect("a place for the disk");
        disk.mount(&format!("size={megabytes}m,mode=1777"));
        disk
    }

    pub fn path(&self) -> PathBuf {
        self.sandbox.path().join("disk")
    }

    /// Mounts it, or with `remount` changes it.
    pub fn mount(&self, options: &str) {
        let mount = |mut command: Command| {
            let mounted = command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(self.path()).output();
            mounted.is_ok_and(|output| output.status.success())
        };
        let mut by_sudo = Command::new("sudo");
        by_sudo.args(["-n", "mount"]);
        assert!(mount(Command::new("mount")) || mount(by_sudo), "a small file system can be mounted");
    }

    /// Takes the room that is left, but so many bytes.
    pub fn fill(&self, leaving: usize) {
        let path = self.path().join(BALLAST);
        let mut file = fs::File::options().create(true).append(true).open(path).expect("a file on the disk");
        // Nothing is to be left by what others give back meanwhile.
        let mut left = if leaving == 0 { usize::MAX } else { self.room().saturating_sub(leaving) };
        for size in PIECES {
            while left >= size && file.write(&vec![0_u8; size]).is_ok_and(|written| written == size) {
                left -= size;
            }
        }
    }

    fn room(&self) -> usize {
        let told =
            Command::new("df").args(["--output=avail", "-B1"]).arg(self.path()).output().expect("df runs");
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        text.lines().last().and_then(|line| line.trim().parse().ok()).expect("bytes")
    }

    /// Gives the room back.
    pub fn free(&self) {
        fs::remove_file(self.path().join(BALLAST)).expect("it was filled");
    }
}
