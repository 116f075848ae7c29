//! All mistakes of the settings at once: unknown names, values of the wrong type, and broken rules. Each mistake is
//! one sentence with the name of the setting, what is wrong, and what to do.

use std::collections::BTreeSet;
use std::fmt;

use figment::error::{Actual, Error, Kind};
use figment::providers::{Format, Toml};
use figment::value::{Dict, Value};
use figment::{Figment, Metadata};

use super::{Config, DEFAULTS};

/// The one table of the settings. All other keys are at the top.
pub(super) const TABLE: &str = "directory";
/// Endings that give the unit of a setting, and the unit.
const UNITS: [(&str, &str); 3] = [("_ms", "milliseconds"), ("_days", "days"), ("_bytes", "bytes")];
/// One wrong letter for this many letters of a name makes it another name.
const LETTERS_PER_SLIP: usize = 4;

/// Why the settings are refused.
#[derive(Debug)]
pub struct ConfigError(Vec<String>);

impl ConfigError {
    pub(super) fn of(mistake: String) -> Self {
        Self(vec![mistake])
    }

    /// One sentence per mistake.
    pub fn mistakes(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "settings: {one}"),
            all => {
                write!(f, "settings: {} mistakes", all.len())?;
                all.iter().try_for_each(|mistake| write!(f, "\n  - {mistake}"))
            }
        }?;
        write!(f, "\n`im-push-gateway settings` explains each setting")
    }
}

impl std::error::Error for ConfigError {}

/// A schedule that cannot be used. `problem` says why.
pub(super) fn schedule(key: &str, zone: &str, problem: &str) -> ConfigError {
    ConfigError::of(format!(
        "`{key}` or `{zone}`: {}; use values such as `30 2 * * *` and `Asia/Shanghai`",
        problem.trim_end_matches('.')
    ))
}

/// The defaults of all settings.
pub(super) fn defaults() -> Result<Dict, ConfigError> {
    dict(&Figment::from(Toml::string(DEFAULTS)))
}

fn dict(figment: &Figment) -> Result<Dict, ConfigError> {
    figment.extract::<Dict>().map_err(|e| unreadable(&e))
}

/// Reads the settings. `unread` has the names of settings whose value could not be had, with the sentence of each.
/// `rules` gives the sentences of the broken rules.
pub(super) fn read(
    figment: &Figment,
    unread: Vec<(String, String)>,
    rules: impl Fn(&Config) -> Vec<String>,
) -> Result<Config, ConfigError> {
    let (wrong, mistakes) = unread.into_iter().unzip();
    let mut reading = Reading { figment, defaults: defaults()?, given: dict(figment)?, wrong, mistakes };
    reading.refuse_unknown();
    let config = reading.parse()?;
    for mistake in rules(&config) {
        reading.refuse_broken(mistake);
    }
    if reading.mistakes.is_empty() { Ok(config) } else { Err(ConfigError(reading.mistakes)) }
}

/// A file that is not TOML. The lines of the file are left out, because they can have secrets.
pub(super) fn unreadable(error: &Error) -> ConfigError {
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains('|')).map(str::trim).collect();
    ConfigError::of(lines.join(", "))
}

struct Reading<'a> {
    /// Where each value is from.
    figment: &'a Figment,
    defaults: Dict,
    /// The values. Wrong ones are replaced by the defaults, so that the others can be checked.
    given: Dict,
    /// Names of settings with a mistake.
    wrong: BTreeSet<String>,
    mistakes: Vec<String>,
}

impl Reading<'_> {
    fn refuse_unknown(&mut self) {
        for name in names(&self.given) {
            if find(&self.defaults, &name).is_some() || name == TABLE {
                continue;
            }
            let shown = self.shown(&name, &name);
            let remedy = match self.suggestion(&name) {
                Some(other) => format!("did you mean `{}`?", self.shown(&name, &other)),
                None => "remove it".to_owned(),
            };
            self.mistakes.push(format!("`{shown}` is not a setting: {remedy}"));
            put(&mut self.given, &name, None);
        }
    }

    /// Replaces values of the wrong type, one by one, until the settings can be read.
    fn parse(&mut self) -> Result<Config, ConfigError> {
        loop {
            let error = match Config::by_area(&Value::from(self.given.clone())) {
                Ok(config) => return Ok(config),
                Err(error) => error,
            };
            let name = match error.path.as_slice() {
                [table, key, ..] if table == TABLE => format!("{TABLE}.{key}"),
                [key, ..] => key.clone(),
                [] => return Err(ConfigError::of(error.to_string())),
            };
            let Some(default) = find(&self.defaults, &name).cloned() else {
                return Err(ConfigError::of(error.to_string()));
            };
            if !self.wrong.insert(name.clone()) {
                return Err(ConfigError::of(error.to_string()));
            }
            self.mistakes.push(format!("`{}` {}", self.shown(&name, &name), wanted(&name, &default, &error)));
            put(&mut self.given, &name, Some(default));
        }
    }

    /// Keeps the sentence of a broken rule, with the values of its settings. A rule about a value that could not be
    /// read says nothing new.
    fn refuse_broken(&mut self, mistake: String) {
        let named: Vec<&str> = mistake
            .split(|c: char| !(c.is_ascii_alphanumeric() || "_.".contains(c)))
            .filter(|word| find(&self.defaults, word).is_some())
            .collect();
        if named.iter().any(|name| self.wrong.contains(*name)) {
            return;
        }
        // Secrets are texts, so no number is one.
        let values: Vec<(&str, String)> = named
            .iter()
            .filter(|name| matches!(find(&self.defaults, name), Some(Value::Num(..) | Value::Bool(..))))
            .filter_map(|name| Some((*name, plain(&find(&self.given, name)?.to_actual())?)))
            .collect();
        let values = match values.as_slice() {
            [] => String::new(),
            [(_, value)] => format!(" (it is {value})"),
            all => {
                let all: Vec<String> =
                    all.iter().map(|(name, value)| format!("`{name}` is {value}")).collect();
                format!(" ({})", all.join(", "))
            }
        };
        let sentence = format!("{mistake}{values}");
        self.mistakes.push(sentence);
    }

    /// How `name` is written where the value of `source` comes from: a file, or the environment.
    fn shown(&self, source: &str, name: &str) -> String {
        let is_variable = |from: &Metadata| from.name.contains("environment");
        if self.figment.find_metadata(source).is_some_and(is_variable) {
            format!("IMPG_{}", name.replace('.', "_").to_uppercase())
        } else {
            name.to_owned()
        }
    }

    /// The setting that was probably meant: it lacks its table or its unit, or has few other letters.
    fn suggestion(&self, name: &str) -> Option<String> {
        let known = names(&self.defaults);
        let own = key(name);
        let is_part = |other: &&String| {
            key(other) == own || UNITS.iter().any(|(unit, _)| key(other).strip_suffix(unit) == Some(own))
        };
        if let Some(other) = known.iter().find(is_part) {
            return Some(other.clone());
        }
        let (distance, other) = known
            .iter()
            .map(|other| (strsim::damerau_levenshtein(name, other), other))
            .min_by_key(|(distance, _)| *distance)?;
        (distance <= own.len().div_ceil(LETTERS_PER_SLIP)).then(|| other.clone())
    }
}

/// What a value of the wrong type must be.
fn wanted(name: &str, default: &Value, error: &Error) -> String {
    let given = match &error.kind {
        Kind::InvalidType(actual, _) | Kind::InvalidValue(actual, _) => plain(actual),
        _ => None,
    };
    let given = given.map(|given| format!(", not {given}")).unwrap_or_default();
    if key(name).ends_with("listen") {
        return format!("must be an address and a port, such as `127.0.0.1:8080`{given}");
    }
    let such = |what: &str| match plain(&default.to_actual()) {
        Some(example) => format!("must be {what}, such as `{example}`{given}"),
        None => format!("must be {what}{given}"),
    };
    match (&error.kind, default) {
        (Kind::UnknownVariant(given, values), _) => {
            let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            format!("must be one of {}, not `{given}`", values.join(", "))
        }
        (Kind::Message(text), _) if text.starts_with("must ") => text.clone(),
        (_, Value::Bool(..)) => format!("must be `true` or `false`{given}"),
        (_, Value::Num(_, number)) if number.to_f64().is_none() => {
            let unit = UNITS.iter().find(|(ending, _)| name.ends_with(ending));
            such(&unit.map_or("a whole number".to_owned(), |(_, unit)| format!("a whole number of {unit}")))
        }
        (_, Value::Num(..)) => such("a number"),
        (_, Value::Array(..)) => "must be a list of texts in quotes, or one text with commas".to_owned(),
        (_, Value::Dict(..)) if name == TABLE => format!("must be a table: [{TABLE}]"),
        (_, Value::Dict(..)) => "must be a table, or one text of key=value pairs with commas".to_owned(),
        _ => format!("must be text{given}; put it in quotes"),
    }
}

/// A value of the settings, as they are written.
fn plain(actual: &Actual) -> Option<String> {
    match actual {
        Actual::Bool(value) => Some(value.to_string()),
        Actual::Unsigned(value) => Some(value.to_string()),
        Actual::Signed(value) => Some(value.to_string()),
        Actual::Float(value) => Some(value.to_string()),
        Actual::Str(value) => Some(format!("{value:?}")),
        Actual::Seq => Some("a list".to_owned()),
        Actual::Map => Some("a table".to_owned()),
        _ => None,
    }
}

/// All names: `key`, and `directory.key` of the table.
pub(super) fn names(dict: &Dict) -> Vec<String> {
    let of_table = |key: &String, value: &Value| match value {
        Value::Dict(_, table) if key == TABLE => table.keys().map(|key| format!("{TABLE}.{key}")).collect(),
        _ => vec![key.clone()],
    };
    dict.iter().flat_map(|(key, value)| of_table(key, value)).collect()
}

/// The name without its table.
fn key(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

pub(super) fn find<'a>(dict: &'a Dict, name: &str) -> Option<&'a Value> {
    match name.split_once('.') {
        Some((table, key)) => dict.get(table)?.as_dict()?.get(key),
        None => dict.get(name),
    }
}

pub(super) fn put(dict: &mut Dict, name: &str, value: Option<Value>) {
    let (dict, key) = match name.split_once('.') {
        Some((table, key)) => match dict.get_mut(table) {
            Some(Value::Dict(_, table)) => (table, key),
            _ => return,
        },
        None => (dict, name),
    };
    match value {
        Some(value) => dict.insert(key.to_owned(), value),
        None => dict.remove(key),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATABASE: &str = "database_url = \"postgresql://x\"\n";

    fn mistakes(toml: &str) -> Vec<String> {
        Config::from_toml(&format!("{DATABASE}{toml}")).expect_err("refused").mistakes().to_vec()
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let found = mistakes(
            "lisen = \"x\"\nlisten = 8080\nsend_lanes = 0\npoll_ms = \"5s\"\nidentity_mode = \"jtw\"\n\
             callback_retry_base_ms = 90000\nstarttls = true\n[directory]\nguard_share = \"many\"\nusers_urls = \"x\"",
        );
        let expected = [
            "`lisen` is not a setting: did you mean `listen`?",
            "`starttls` is not a setting: did you mean `directory.starttls`?",
            "`directory.users_urls` is not a setting: did you mean `directory.users_url`?",
            "`listen` must be an address and a port, such as `127.0.0.1:8080`, not 8080",
            "`identity_mode` must be one of `jwt`, `hmac`, `headers`, `accounts`, not `jtw`",
            "`poll_ms` must be a whole number of milliseconds, such as `1000`, not \"5s\"",
            "`directory.guard_share` must be a number, such as `0.1`, not \"many\"",
            "`send_lanes` must be at least 1 (it is 0)",
            "`callback_retry_max_ms` must be at least `callback_retry_base_ms` \
             (`callback_retry_max_ms` is 60000, `callback_retry_base_ms` is 90000)",
        ];
        let sorted = |list: Vec<String>| {
            let mut list = list;
            list.sort();
            list
        };
        assert_eq!(sorted(found), sorted(expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn an_unknown_name_gets_the_name_that_was_meant() {
        for (name, meant) in [
            ("databse_url", "database_url"),
            ("trusted_peer", "trusted_peers"),
            ("poll", "poll_ms"),
            ("callback_secret", "callback_secrets"),
            ("users_url", "directory.users_url"),
            ("idnetity_mode", "identity_mode"),
        ] {
            let expected = format!("`{name}` is not a setting: did you mean `{meant}`?");
            assert_eq!(mistakes(&format!("{name} = 1")), [expected]);
        }
        assert_eq!(mistakes("colour = 1"), ["`colour` is not a setting: remove it"]);
    }

    #[test]
    fn a_value_that_cannot_be_read_is_told_once() {
        assert_eq!(
            mistakes("send_lanes = \"two\""),
            ["`send_lanes` must be a whole number, such as `2`, not \"two\""]
        );
        assert_eq!(
            mistakes("trusted_peers = 5"),
            ["`trusted_peers` must be a list of texts in quotes, or one text with commas"]
        );
        assert_eq!(mistakes("directory = 5"), ["`directory` must be a table: [directory]"]);
        assert_eq!(
            mistakes("unsafe_trust_every_peer = \"yes\""),
            ["`unsafe_trust_every_peer` must be `true` or `false`, not \"yes\""]
        );
    }

    #[test]
    fn no_secret_is_quoted() {
        for toml in [
            "identity_secret = [\"hunter2\"]",
            "callback_secrets = { a = \"hunter2\" }",
            "archive_password = { a = \"hunter2\" }\npoll_ms = 0",
        ] {
            let found = mistakes(toml).join("\n");
            assert!(!found.contains("hunter2"), "{found}");
        }
        for toml in
            ["database_url = \"mysql://u:hunter2@h/d\"", "identity_secret = \"hunter2\npoll_ms = 1000"]
        {
            let found = Config::from_toml(toml).expect_err("refused");
            assert!(!found.to_string().contains("hunter2"), "{found}");
        }
    }
}
