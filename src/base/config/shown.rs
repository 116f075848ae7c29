//! Settings as a support archive shows them: which differ from their defaults, and nothing that is a secret.
//!
//! A text is shown only if its setting is listed here. A new setting with text is hidden until it is listed.

use std::path::Path;

use figment::Figment;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Value};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::{Value as Json, json};
use tokio_postgres::config::Host;
use url::Url;

use super::mistakes;
use super::{Config, ConfigError, DEFAULTS};

/// Settings whose texts are shown as they are.
const PLAIN: &[&str] = &[
    "account_register",
    "account_search",
    "account_single_session",
    "archive_index",
    "archive_schedule",
    "archive_time_zone",
    "callback_allow",
    "callback_dns_servers",
    "file_s3_region",
    "friend_requests",
    "identity_mode",
    "identity_names",
    "identity_preset",
    "identity_roles_header",
    "identity_user_encoding",
    "identity_user_header",
    "jwt_algorithms",
    "jwt_audience",
    "jwt_roles_claim",
    "jwt_user_claim",
    "listen",
    "log",
    "log_format",
    "mention_all",
    "metrics_listen",
    "scim_groups",
    "scim_user_id",
    "socket_origins",
    "time_zone",
    "traces_service_name",
    "trusted_peers",
    "unfriend",
    "directory.cursor_parameter",
    "directory.department_fields",
    "directory.editable",
    "directory.full_schedule",
    "directory.id_attribute",
    "directory.index_parameter",
    "directory.items",
    "directory.kinds",
    "directory.local",
    "directory.next",
    "directory.page_size_parameter",
    "directory.paging",
    "directory.schedule",
    "directory.source",
    "directory.time_zone",
    "directory.token",
    "directory.token_parameter",
    "directory.total",
    "directory.user_fields",
];
/// Settings with an address, shown by [`without_secrets`].
const ADDRESSES: &[&str] = &[
    "archive_url",
    "callback_url",
    "console_url",
    "file_s3_endpoint",
    "file_store",
    "file_url",
    "jwt_issuer",
    "jwt_jwks_url",
    "robot_url",
    "scim_url",
    "traces_url",
    "directory.department_url",
    "directory.departments_url",
    "directory.user_url",
    "directory.users_url",
    "directory.write_url",
];
/// The addresses of the database have a form of their own.
const DATABASES: &[&str] = &["database_url", "database_read_url"];
/// What stands for a text that is not shown.
const HIDDEN: &str = "[hidden]";
/// A part of a path that is longer may be a token. It is not shown.
const PATH_PART_MAX: usize = 20;
/// Endings of settings that are hidden, but whose texts are no secrets. They may be words, so they are not replaced.
const NO_SECRETS: &[&str] = &["_file", "_user"];
/// A shorter text is no secret: replacing it would make other words unreadable.
const SECRET_MIN: usize = 6;

/// A setting as it is shown.
#[derive(Debug, Serialize)]
pub struct ShownSetting {
    pub name: String,
    pub value: Json,
    /// Whether it has another value than its default.
    pub differs: bool,
    /// `default`, `file` or `environment`.
    pub from: &'static str,
}

/// All settings, and the texts that are hidden.
#[derive(Debug)]
pub struct ShownSettings {
    pub settings: Vec<ShownSetting>,
    /// What must not stand in an archive, whatever quotes it.
    hidden: Vec<String>,
}

impl ShownSettings {
    /// The settings that [`Config::load`] reads.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::of(&Config::figment(file)?.0)
    }

    fn of(figment: &Figment) -> Result<Self, ConfigError> {
        let dict = |figment: &Figment| figment.extract::<Dict>().map_err(|e| mistakes::unreadable(&e));
        let (given, defaults) = (dict(figment)?, dict(&Figment::from(Toml::string(DEFAULTS)))?);
        let mut hidden = Vec::new();
        let mut settings = Vec::new();
        for name in mistakes::names(&defaults) {
            let (Some(value), Some(default)) =
                (mistakes::find(&given, &name), mistakes::find(&defaults, &name))
            else {
                continue;
            };
            // Where the default is a number or a flag, no value can be a secret.
            let may_hide = !matches!(default, Value::Num(..) | Value::Bool(..));
            if may_hide {
                hidden.extend(texts(value).into_iter().flat_map(|text| secrets(&name, &text)));
            }
            let variable = figment.find_metadata(&name).is_some_and(|from| from.name.contains("environment"));
            // As JSON: the environment gives other kinds of numbers than a file.
            let differs = plain(value) != plain(default);
            let from = match (variable, differs) {
                (true, _) => "environment",
                (false, true) => "file",
                (false, false) => "default",
            };
            let value = if may_hide { shown(&name, value) } else { plain(value) };
            settings.push(ShownSetting { value, differs, from, name });
        }
        hidden.retain(|text| text.len() >= SECRET_MIN);
        // The longest first: one can be a part of another.
        hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
        hidden.dedup();
        Ok(Self { settings, hidden })
    }

    /// A text without anything that the settings hide.
    pub fn redact(&self, mut text: String) -> String {
        for secret in &self.hidden {
            if text.contains(secret) {
                text = text.replace(secret, HIDDEN);
            }
        }
        text
    }

    /// The same for every text of a value.
    pub fn redact_all(&self, value: &mut Json) {
        match value {
            Json::String(text) => *text = self.redact(std::mem::take(text)),
            Json::Array(values) => values.iter_mut().for_each(|value| self.redact_all(value)),
            Json::Object(fields) => fields.values_mut().for_each(|value| self.redact_all(value)),
            _ => {}
        }
    }
}

/// An address without user, password, query and fragment, and without long parts of its path: they may be tokens.
pub fn without_secrets(address: &str) -> String {
    let Ok(mut url) = Url::parse(address) else { return HIDDEN.to_owned() };
    url.set_query(None);
    url.set_fragment(None);
    // An address without a host has no user.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let short = |part: &str| if part.len() > PATH_PART_MAX { "…".to_owned() } else { part.to_owned() };
    let path: Vec<String> = url.path().split('/').map(short).collect();
    let before = url.as_str().strip_suffix(url.path()).unwrap_or_default();
    format!("{before}{}", path.join("/"))
}

fn shown(name: &str, value: &Value) -> Json {
    match value {
        _ if PLAIN.contains(&name) => plain(value),
        Value::String(_, text) if text.is_empty() => json!(""),
        Value::String(_, text) if DATABASES.contains(&name) => database(text),
        // `none` turns the push off.
        Value::String(_, text) if ADDRESSES.contains(&name) && text == "none" => json!(text),
        Value::String(_, text) if ADDRESSES.contains(&name) => json!(without_secrets(text)),
        Value::Array(_, values) => json!(vec![HIDDEN; values.len()]),
        Value::Dict(_, values) if values.is_empty() => json!({}),
        _ => json!(HIDDEN),
    }
}

fn plain(value: &Value) -> Json {
    serde_json::to_value(value).unwrap_or(Json::Null)
}

/// Where the database is, and as which role.
fn database(text: &str) -> Json {
    let Ok(parsed) = text.parse::<tokio_postgres::Config>() else { return json!(HIDDEN) };
    let hosts = parsed.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    });
    json!({
        "hosts": hosts.collect::<Vec<_>>(),
        "ports": parsed.get_ports(),
        "database": parsed.get_dbname(),
        "role": parsed.get_user(),
        "sslmode": format!("{:?}", parsed.get_ssl_mode()),
    })
}

/// What is secret in the text of a setting.
fn secrets(name: &str, text: &str) -> Vec<String> {
    if PLAIN.contains(&name) || NO_SECRETS.iter().any(|ending| name.ends_with(ending)) {
        return Vec::new();
    }
    let is_database = DATABASES.contains(&name);
    if !is_database && !ADDRESSES.contains(&name) {
        return vec![text.to_owned()];
    }
    if is_database {
        let parsed = text.parse::<tokio_postgres::Config>().ok();
        let password = parsed.as_ref().and_then(|parsed| parsed.get_password()).map(String::from_utf8_lossy);
        let written = Url::parse(text).ok().and_then(|url| url.password().map(str::to_owned));
        return password.map(|password| password.into_owned()).into_iter().chain(written).collect();
    }
    let Ok(url) = Url::parse(text) else { return Vec::new() };
    let query = url.query_pairs().map(|(_, value)| value.into_owned()).collect::<Vec<_>>();
    let long = url.path().split('/').filter(|part| part.len() > PATH_PART_MAX);
    let parts = [Some(url.username()), url.password(), url.fragment()].into_iter().flatten().chain(long);
    let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    parts.flat_map(|part| [part.to_owned(), decoded(part)]).chain(query).collect()
}

/// All texts of a value.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(_, text) => {
            text.split(',').map(|one| one.trim().to_owned()).chain([text.clone()]).collect()
        }
        Value::Array(_, values) => values.iter().flat_map(texts).collect(),
        Value::Dict(_, values) => values.values().flat_map(texts).collect(),
        // A secret of digits is read as a number.
        Value::Num(..) => vec![plain(value).to_string()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::mistakes::TABLE;
    use super::*;

    fn of(toml: &str) -> ShownSettings {
        let figment = Figment::from(Toml::string(DEFAULTS)).merge(Toml::string(toml));
        ShownSettings::of(&figment).expect("settings")
    }

    #[test]
    fn every_listed_name_is_a_setting() {
        let defaults: Dict = Figment::from(Toml::string(DEFAULTS)).extract().expect("defaults");
        for name in PLAIN.iter().chain(ADDRESSES).chain(DATABASES) {
            assert!(mistakes::find(&defaults, name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_text_that_is_not_listed_is_hidden_and_an_address_has_no_secret() {
        let defaults: Dict = Figment::from(Toml::string(DEFAULTS)).extract().expect("defaults");
        let planted = "https://hunter2:hunter2@host:1/hunter2-hunter2-hunter2/x?hunter2=hunter2#hunter2";
        for name in mistakes::names(&defaults).iter().filter(|name| !PLAIN.contains(&name.as_str())) {
            let (table, key) =
                name.split_once('.').map_or(("", name.as_str()), |(_, key)| ("[directory]\n", key));
            let value = match mistakes::find(&defaults, name) {
                Some(Value::String(..)) => format!("\"{planted}\""),
                Some(Value::Array(..)) => format!("[\"{planted}\"]"),
                Some(Value::Dict(..)) => format!("{{ a = \"{planted}\" }}"),
                _ => continue,
            };
            let found = of(&format!("{table}{key} = {value}"));
            let setting = found.settings.iter().find(|setting| setting.name == *name).expect("the setting");
            let text = setting.value.to_string();
            assert!(!text.contains("hunter2"), "{name}: {text}");
            assert!(setting.differs && setting.from == "file", "{setting:?}");
        }
    }

    #[test]
    fn a_database_is_shown_without_its_password() {
        for name in DATABASES {
            let found =
                of(&format!("{name} = \"postgresql://im:hunter%402@db.example:5433/chat?sslmode=require\""));
            let database = found.settings.iter().find(|setting| setting.name == *name).expect("the database");
            let expected = json!({"hosts": ["db.example"], "ports": [5433], "database": "chat", "role": "im",
                "sslmode": "Require"});
            assert_eq!(database.value, expected);
            assert_eq!(
                found.redact("hunter@2 and hunter%402 of im".to_owned()),
                "[hidden] and [hidden] of im"
            );
            for text in ["host=db user=im password=hunter22", "postgresql://im@db/im?password=hunter22"] {
                let found = of(&format!("{name} = \"{text}\""));
                assert_eq!(found.redact("no hunter22".to_owned()), "no [hidden]", "{text}");
            }
        }
    }

    #[test]
    fn addresses_lose_what_may_be_a_secret() {
        for (address, expected) in [
            ("https://u:p@im.example:8443/push?key=1#x", "https://im.example:8443/push"),
            ("https://im.example/hooks/0123456789abcdef01234567", "https://im.example/hooks/…"),
            ("ldaps://ldap.example/ou=people,dc=example,dc=com??sub?(uid=x)", "ldaps://ldap.example/…"),
            ("embedded:/var/lib/im/archive", "embedded:/var/lib/im/archive"),
            ("folder:files", "folder:files"),
            ("s3://bucket/prefix", "s3://bucket/prefix"),
            ("no address", HIDDEN),
        ] {
            assert_eq!(without_secrets(address), expected, "{address}");
        }
    }

    #[test]
    fn a_hidden_text_is_replaced_wherever_it_is_quoted() {
        let found =
            of("identity_secret = 'a\"secret\\of-two'\narchive_password = 12345678\nsend_queue = 12345678");
        let mut quoted = json!({"error": ["refused a\"secret\\of-two or 12345678"], "bytes": 12_345_678});
        found.redact_all(&mut quoted);
        assert_eq!(quoted, json!({"error": ["refused [hidden] or [hidden]"], "bytes": 12_345_678}));
        let shown =
            |name: &str| found.settings.iter().find(|setting| setting.name == name).map(|s| s.value.clone());
        assert_eq!(shown("archive_password"), Some(json!(HIDDEN)));
        assert_eq!(shown("send_queue"), Some(json!(12_345_678)));
    }

    #[test]
    fn no_default_is_said_to_differ() {
        let found = of("");
        assert!(found.settings.iter().all(|setting| !setting.differs && setting.from == "default"));
        assert!(found.settings.iter().any(|setting| setting.name == format!("{TABLE}.source")));
    }
}
