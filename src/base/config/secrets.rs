//! Secrets from files: `IMPG_<KEY>_FILE` names the file with the value, as Docker, Kubernetes and systemd hand
//! secrets over. No error quotes what a file has, nor the variable itself: by mistake it can be the secret.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use figment::value::{Dict, Value};

use super::mistakes::{self, TABLE};

/// The settings that are secrets. They have the type `Secret`, which a test holds them to.
pub(super) const SECRETS: [&str; 16] = [
    "database_url",
    "database_read_url",
    "identity_secret",
    "hmac_secrets",
    "account_keys",
    "turn_secret",
    "livekit_api_secret",
    "callback_secrets",
    "callback_keys",
    "file_s3_secret_key",
    "file_link_keys",
    "archive_api_key",
    "archive_password",
    "traces_headers",
    "directory.authorization",
    "directory.bind_password",
];
/// What the name of a variable ends with that names a file.
const ENDING: &str = "_file";
/// Largest file. Secrets are shorter, so a larger file is another one.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What the files give.
#[derive(Default)]
pub(super) struct Secrets {
    pub values: Dict,
    /// Settings without a value because of their file, and the sentence that says what to do.
    pub mistakes: Vec<(String, String)>,
}

/// Whether a variable, without its prefix and in small letters, names the file of a secret.
pub(super) fn names_file(variable: &str) -> bool {
    variable.strip_suffix(ENDING).is_some_and(|key| SECRETS.iter().any(|name| key_of(name) == key))
}

/// Reads the files that `variables` name. Their keys are without the prefix and in small letters.
pub(super) fn read(variables: &BTreeMap<String, String>, defaults: &Dict) -> Secrets {
    let mut secrets = Secrets::default();
    for name in SECRETS {
        let key = key_of(name);
        let Some(path) = variables.get(&format!("{key}{ENDING}")) else { continue };
        let is_list = matches!(mistakes::find(defaults, name), Some(Value::Array(..)));
        let value = match variables.contains_key(&key) {
            true => Err(format!("is set beside `IMPG_{}`: remove one of them", key.to_uppercase())),
            false => text_of(Path::new(path)).and_then(|text| value_of(&text, is_list)),
        };
        match value {
            Ok(value) => put(&mut secrets.values, name, value),
            Err(problem) => {
                let sentence = format!("`IMPG_{}_FILE` {problem}", key.to_uppercase());
                secrets.mistakes.push((name.to_owned(), sentence));
            }
        }
    }
    secrets
}

/// The name as a variable has it.
fn key_of(name: &str) -> String {
    name.replace('.', "_")
}

fn put(values: &mut Dict, name: &str, value: Value) {
    match name.split_once('.') {
        Some((_, key)) => {
            let table = values.entry(TABLE.to_owned()).or_insert_with(|| Dict::new().into());
            if let Value::Dict(_, table) = table {
                table.insert(key.to_owned(), value);
            }
        }
        None => {
            values.insert(name.to_owned(), value);
        }
    }
}

/// The text of a file, or what is wrong with it and what to do.
fn text_of(path: &Path) -> Result<String, String> {
    // A pipe would keep the start waiting for its writer.
    if !fs::metadata(path).map_err(|e| unreadable(&e))?.is_file() {
        return Err("does not name a file: write the secret into a file, and its path here".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| unreadable(&e))?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| unreadable(&e))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("names a file of more than {FILE_BYTES_MAX} bytes: name the file of the secret"));
    }
    String::from_utf8(bytes)
        .map_err(|_| "names a file that is not text in UTF-8: name the file of the secret".to_owned())
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "names a file that does not exist: create it, or correct the path".to_owned(),
        ErrorKind::PermissionDenied => {
            "names a file that the service may not read: let its user read it".to_owned()
        }
        kind => format!("names a file that cannot be read ({kind}): correct the path"),
    }
}

/// One line, or for a list one entry a line.
fn value_of(text: &str, is_list: bool) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Err("names a file that is empty: write the secret into it".to_owned());
    }
    if is_list {
        let entries = text.lines().map(str::trim).filter(|line| !line.is_empty());
        return Ok(Value::from(entries.map(str::to_owned).collect::<Vec<_>>()));
    }
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    match line.contains(['\n', '\r']) {
        true => Err("names a file of several lines: this secret has one line".to_owned()),
        false => Ok(Value::from(line)),
    }
}

#[cfg(test)]
mod tests {
    use figment::Figment;
    use figment::providers::{Format, Serialized, Toml};
    use tempfile::TempDir;

    use super::*;
    use crate::base::config::{Config, DEFAULTS};

    fn defaults() -> Dict {
        Figment::from(Toml::string(DEFAULTS)).extract().expect("defaults")
    }

    /// The file of one variable with this content, read.
    fn with(variable: &str, content: &[u8]) -> Secrets {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("hunter2");
        fs::write(&path, content).expect("a file");
        read(&BTreeMap::from([(variable.to_owned(), path.display().to_string())]), &defaults())
    }

    fn problem(secrets: &Secrets) -> &str {
        assert!(secrets.values.is_empty());
        let [(_, sentence)] = secrets.mistakes.as_slice() else { panic!("{:?}", secrets.mistakes) };
        assert!(!sentence.contains("hunter2"), "{sentence}");
        sentence
    }

    #[test]
    fn every_setting_of_the_type_of_secrets_can_be_in_a_file() {
        let defaults = defaults();
        let mut found = Vec::new();
        for name in mistakes::names(&defaults) {
            let mut given = defaults.clone();
            let value = match mistakes::find(&defaults, &name) {
                Some(Value::Array(..)) => Value::from(vec!["hunter2"]),
                _ => Value::from("hunter2"),
            };
            mistakes::put(&mut given, &name, Some(value));
            // A value that is shown is no secret, and one that cannot be read is a number or the like.
            if Config::by_area(&given.into()).is_ok_and(|config| !format!("{config:?}").contains("hunter2")) {
                found.push(name);
            }
        }
        found.sort();
        let mut listed = SECRETS.to_vec();
        listed.sort_unstable();
        assert_eq!(found, listed);
    }

    #[test]
    fn each_secret_is_read_from_its_file_without_the_last_line_break() {
        for name in SECRETS {
            let variable = format!("{}{ENDING}", key_of(name));
            assert!(names_file(&variable) && !names_file(&key_of(name)));
            for content in ["a, 'b'", "a, 'b'\n", "a, 'b'\r\n"] {
                let secrets = with(&variable, content.as_bytes());
                let merged =
                    Figment::from(Toml::string(DEFAULTS)).merge(Serialized::globals(&secrets.values));
                let merged: Dict = merged.extract().expect("values");
                let wanted = match mistakes::find(&defaults(), name) {
                    Some(Value::Array(..)) => Value::from(vec!["a, 'b'"]),
                    _ => Value::from("a, 'b'"),
                };
                assert_eq!(mistakes::find(&merged, name), Some(&wanted), "{name}: {content:?}");
            }
        }
    }

    #[test]
    fn a_list_has_one_secret_a_line() {
        let secrets = with("callback_keys_file", b"new\r\n\n  old \n");
        assert_eq!(secrets.values.get("callback_keys"), Some(&Value::from(vec!["new", "old"])));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_told_without_a_secret() {
        for (content, told) in [
            (&b""[..], "`IMPG_IDENTITY_SECRET_FILE` names a file that is empty"),
            (b"\n", "`IMPG_IDENTITY_SECRET_FILE` names a file that is empty"),
            (b"hunter2\nhunter2\n", "`IMPG_IDENTITY_SECRET_FILE` names a file of several lines"),
            (b"hunter2\xff", "`IMPG_IDENTITY_SECRET_FILE` names a file that is not text in UTF-8"),
            (&[b'x'; 65_537], "`IMPG_IDENTITY_SECRET_FILE` names a file of more than 65536 bytes"),
        ] {
            let found = with("identity_secret_file", content);
            assert!(problem(&found).starts_with(told), "{}", problem(&found));
        }
        assert!(with("identity_secret_file", &[b'x'; 65_536]).mistakes.is_empty());
        let folder = TempDir::new().expect("a folder");
        let folder = folder.path().display().to_string();
        for (path, told) in [
            ("postgresql://u:hunter2@h/d", "names a file that does not exist"),
            (&folder, "does not name a file"),
            ("", "names a file that does not exist"),
        ] {
            let variables = BTreeMap::from([("database_url_file".to_owned(), path.to_owned())]);
            let found = read(&variables, &defaults());
            assert!(problem(&found).contains(told), "{}", problem(&found));
        }
        let denied = unreadable(&io::Error::from(ErrorKind::PermissionDenied));
        assert_eq!(denied, "names a file that the service may not read: let its user read it");
    }

    #[test]
    fn a_secret_is_given_once() {
        let variables = ["directory_bind_password", "directory_bind_password_file"];
        let variables = variables.map(|name| (name.to_owned(), "hunter2".to_owned()));
        let found = read(&BTreeMap::from(variables), &defaults());
        let told = "`IMPG_DIRECTORY_BIND_PASSWORD_FILE` is set beside `IMPG_DIRECTORY_BIND_PASSWORD`: remove one of them";
        assert_eq!(problem(&found), told);
    }
}
