//! Secrets from files, in the process that operators start.

use std::fs;

use tempfile::TempDir;

use crate::delivery::callbacks::observer;
use crate::support::{Client, Service, shared};

const BINARY: &str = env!("CARGO_BIN_EXE_im-push-gateway");
const SECRET: &str = "planted-secret";
const KEYS: &str =
    "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\nAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n";

fn put(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn a_service_takes_its_secrets_from_files() {
    let (folder, database) = (TempDir::new().unwrap(), crate::app::database().await);
    let url = put(&folder, "database", &format!("{}\n", shared().url(&database)));
    let (keys, secret) = (put(&folder, "keys", KEYS), put(&folder, "secret", &format!("{SECRET}\n")));
    let settings = [
        ("database_url_file", url.as_str()),
        ("callback_keys_file", &keys),
        ("identity_secret_file", &secret),
        ("callback_allow", "127.0.0.0/8"),
    ];
    let mut service = Service::start(BINARY, &settings).await;
    let root = |secret: &str| {
        Client::new(&service.api(), "root", &["admin"]).with_header("x-gateway-secret", secret)
    };
    // With another secret than that of the file, no caller is proven.
    root("another").get("/callbacks").await.expect_problem(401, "unauthenticated");
    let proven = root(SECRET);
    // Creating it needs a key.
    observer(&proven, "http://127.0.0.1:1/").await;
    assert!(!service.log().contains(SECRET));
    service.stop().await;
}

#[tokio::test]
async fn a_start_says_what_is_wrong_with_the_file_of_a_secret() {
    let folder = TempDir::new().unwrap();
    let (missing, twice) =
        (folder.path().join("missing").display().to_string(), put(&folder, "twice", SECRET));
    let refused = async |settings: &[(&str, &str)]| {
        let log = Service::try_start(BINARY, settings).await.err().expect("it does not start");
        assert!(!log.contains(SECRET), "{log}");
        log
    };
    let log = refused(&[("database_url_file", &missing)]).await;
    assert!(
        log.contains("settings: `IMPG_DATABASE_URL_FILE` names a file that does not exist: create it"),
        "{log}"
    );
    let log = refused(&[
        ("database_url", "postgresql://im@127.0.0.1:1/im"),
        ("archive_password", SECRET),
        ("archive_password_file", &twice),
        ("directory_bind_password_file", &put(&folder, "empty", "\n")),
    ])
    .await;
    for told in [
        "settings: 2 mistakes",
        "`IMPG_ARCHIVE_PASSWORD_FILE` is set beside `IMPG_ARCHIVE_PASSWORD`: remove one of them",
        "`IMPG_DIRECTORY_BIND_PASSWORD_FILE` names a file that is empty: write the secret into it",
    ] {
        assert!(log.contains(told), "no {told} in\n{log}");
    }
    let log = refused(&[("database_url", "postgresql://im@127.0.0.1:1/im"), ("listen_file", &twice)]).await;
    assert!(log.contains("`IMPG_LISTEN_FILE` is not a setting"), "{log}");
}
