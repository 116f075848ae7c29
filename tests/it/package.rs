//! What an operator installs: the unit, and the Debian package with it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use im_push_gateway::base::config::DEFAULTS;

use crate::support::sandbox::{POLL, Sandbox, free_port, signal};
use crate::support::{Client, shared};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const BINARY: &str = env!("CARGO_BIN_EXE_im-push-gateway");
const LOG: &str = "log";
/// Installing, and starting after that, take at most this long.
const START: Duration = Duration::from_secs(120);
/// Files of the package, with their modes.
const FILES: &[(&str, &str)] = &[
    ("./usr/bin/im-push-gateway", "-rwxr-xr-x"),
    ("./etc/im-push-gateway/settings.toml", "-rw-------"),
    ("./usr/lib/systemd/system/im-push-gateway.service", "-rw-r--r--"),
    ("./usr/share/man/man1/im-push-gateway.1.gz", "-rw-r--r--"),
    ("./usr/share/bash-completion/completions/im-push-gateway", "-rw-r--r--"),
    ("./usr/share/fish/vendor_completions.d/im-push-gateway.fish", "-rw-r--r--"),
    ("./usr/share/zsh/vendor-completions/_im-push-gateway", "-rw-r--r--"),
    ("./usr/share/doc/im-push-gateway/copyright", "-rw-r--r--"),
    ("./usr/share/doc/im-push-gateway/changelog.Debian.gz", "-rw-r--r--"),
    ("./usr/share/doc/im-push-gateway/examples/gateways/nginx/im-push-gateway.conf", "-rw-r--r--"),
];

/// What a command says; a failure is a panic with it.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}:\n{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A package of the binary under test, without what only debuggers need.
fn build(sandbox: &Sandbox) -> String {
    let (target, package) = (sandbox.path().join("target"), sandbox.path().join("im-push-gateway.deb"));
    fs::create_dir_all(target.join("release")).expect("a folder for the binary");
    said(Command::new("strip").arg("-o").arg(target.join("release/im-push-gateway")).arg(BINARY));
    let mut build = Command::new(Path::new(ROOT).join("packaging/debian/build"));
    build.arg("--no-build").arg("--output").arg(&package).env("CARGO_TARGET_DIR", &target);
    // cargo-deb, which `tests/tools ensure cargo-deb` gets.
    build.env("PATH", format!("{ROOT}/.cache/bin:{}", std::env::var("PATH").unwrap_or_default()));
    // The quickest way to compress it.
    said(build.args(["--fast", "--compress-type", "gz", "--compress-system"]));
    package.display().to_string()
}

/// The files of a package, with modes and owners.
fn contents(package: &str) -> BTreeMap<String, (String, String)> {
    let listing = said(Command::new("dpkg-deb").args(["--contents", package]));
    let file = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [mode, owner, .., path] = words.as_slice() else { panic!("{line}") };
        ((*path).to_owned(), ((*mode).to_owned(), (*owner).to_owned()))
    };
    listing.lines().map(file).collect()
}

#[test]
fn the_package_has_what_debian_expects_of_a_service() {
    let sandbox = Sandbox::new("package", "");
    let package = build(&sandbox);
    let contents = contents(&package);
    for (path, mode) in FILES {
        let (is, owner) = contents.get(*path).unwrap_or_else(|| panic!("{path} is not in {contents:?}"));
        assert_eq!((is.as_str(), owner.as_str()), (*mode, "0/0"), "{path}");
    }
    let field = |name: &str| said(Command::new("dpkg-deb").args(["--field", &package, name]));
    assert_eq!(field("Version").trim(), concat!(env!("CARGO_PKG_VERSION"), "-1"));
    assert!(field("Depends").contains("libc6 (>= "), "{}", field("Depends"));
    let control = |file: &str| said(Command::new("dpkg-deb").args(["--info", &package, file]));
    assert_eq!(control("conffiles").trim(), "/etc/im-push-gateway/settings.toml");
    // It is restarted by an upgrade, and left alone by an installation.
    let after = control("postinst");
    assert!(after.contains("deb-systemd-invoke try-restart im-push-gateway.service"), "{after}");
    assert!(!after.contains("deb-systemd-invoke start"), "{after}");
    let changelog = fs::read_to_string(format!("{ROOT}/packaging/debian/changelog")).unwrap();
    assert!(changelog.starts_with(&format!("im-push-gateway ({})", field("Version").trim())), "{changelog}");
}

#[tokio::test]
async fn the_package_installs_and_its_unit_starts_a_service_that_gets_ready() {
    let sandbox = Sandbox::new("package", "");
    let package = build(&sandbox);
    let (port, metrics) = (free_port(), free_port());
    let mut install = Command::new("unshare");
    install.arg("--mount");
    if fs::metadata("/proc/self").is_ok_and(|us| us.uid() != 0) {
        install.arg("--map-root-user");
    }
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("IMPG_")) {
        install.env_remove(key);
    }
    // What a settings file must say at least.
    install.env("IMPG_DATABASE_URL", shared().url(&shared().fresh_database(None).await));
    install.env("IMPG_TRUSTED_PEERS", "127.0.0.1").env("IMPG_LISTEN", format!("127.0.0.1:{port}"));
    install.env("IMPG_METRICS_LISTEN", format!("127.0.0.1:{metrics}"));
    install.arg(Path::new(ROOT).join("tests/package/install")).arg(&package);
    let mut child = sandbox.enter(&mut install, LOG).spawn().expect("unshare of util-linux");
    ready(&mut child, &sandbox, port).await;

    signal("TERM", &[child.id()]);
    let deadline = Instant::now() + START;
    let status = loop {
        match child.try_wait().expect("our child") {
            Some(status) => break status,
            None if Instant::now() > deadline => panic!("it does not stop:\n{}", sandbox.tail(LOG, 40)),
            None => tokio::time::sleep(POLL).await,
        }
    };
    let log = sandbox.tail(LOG, 60);
    assert!(status.success(), "{status}:\n{log}");
    assert!(log.contains("ok       settings") && !log.contains("PR_SET_MDWE"), "{log}");
}

/// Waits until the installed service says that it is ready.
async fn ready(child: &mut Child, sandbox: &Sandbox, port: u16) {
    let probe = Client::anonymous(&format!("http://127.0.0.1:{port}"));
    let deadline = Instant::now() + START;
    loop {
        let reply = probe.try_call(reqwest::Method::GET, "/readyz", None).await;
        if reply.is_ok_and(|reply| reply.status == 200) {
            return;
        }
        let ended = child.try_wait().expect("our child");
        assert!(ended.is_none(), "it ended with {ended:?}:\n{}", sandbox.tail(LOG, 60));
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("not ready after {START:?}:\n{}", sandbox.tail(LOG, 60));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// A setting that the package's file suggests has to be one.
#[test]
fn the_settings_of_the_package_are_settings() {
    let file = fs::read_to_string(format!("{ROOT}/packaging/debian/settings.toml")).unwrap();
    let suggested = file.lines().filter_map(|line| line.trim_start_matches('#').split_once(" = "));
    let suggested: Vec<&str> = suggested.map(|(key, _)| key).filter(|key| !key.contains(' ')).collect();
    assert!(suggested.len() > 5, "{suggested:?}");
    for key in suggested {
        assert!(
            DEFAULTS.lines().any(|line| line.starts_with(&format!("{key} = "))),
            "there is no setting {key}"
        );
    }
}

/// The unit keeps to what the settings need by default.
#[test]
fn the_limits_of_the_unit_are_above_those_of_the_settings() {
    let number = |text: &str, key: &str, between: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(between));
        line.unwrap_or_else(|| panic!("no {key}")).trim().parse().expect("a number")
    };
    let unit = fs::read_to_string(format!("{ROOT}/packaging/systemd/im-push-gateway.service")).unwrap();
    let files = number(&unit, "LimitNOFILE", "=");
    assert!(
        files > number(DEFAULTS, "connections_max", " = ") + number(DEFAULTS, "database_pool_size", " = ")
    );
    let stop = number(&unit, "TimeoutStopSec", "=");
    assert!(stop * 1000 > 2 * number(DEFAULTS, "shutdown_grace_ms", " = "));
}
