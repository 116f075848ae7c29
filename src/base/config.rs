//! Settings: the commented default file, overridden by the operator's file, overridden by `IMPG_<KEY>`, or by the file
//! that `IMPG_<KEY>_FILE` names if the setting is a secret.
//!
//! Each area has a struct with its settings and the rules about them. A stage that needs one area is handed that
//! struct; one that needs more is handed [`Config`].

mod accounts;
mod archive;
mod callbacks;
mod calls;
mod chat;
mod database;
mod directory;
mod events;
mod files;
mod identity;
mod mistakes;
mod notifications;
mod people;
mod secrets;
mod server;
mod shown;
mod streams;
mod traces;
mod values;
mod workers;

use std::path::Path;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::Value;
use serde::Deserialize;

pub use accounts::{AccountSettings, Registration, SingleSession};
pub use archive::{ArchiveSettings, ArchiveTarget};
pub use callbacks::{CallbackSettings, GatewayTarget};
pub use calls::{CallSettings, is_turn};
pub use chat::{ChatSettings, WhoMentions};
pub use database::DatabaseSettings;
pub use directory::{DirectorySettings, Paging, SourceKind};
pub use events::EventSettings;
pub use files::{FileSettings, FileTarget};
pub use identity::{IdentityMode, IdentityNames, IdentitySettings, UserEncoding};
pub use mistakes::ConfigError;
pub use notifications::NotificationSettings;
pub use people::{FriendRequests, PeopleSettings, ScimGroups, ScimUserId, Unfriend};
pub use server::ServerSettings;
pub use shown::{ShownSetting, ShownSettings, without_secrets};
pub use streams::StreamSettings;
pub use traces::TraceSettings;
pub use values::Secret;
use values::broken;
pub use workers::{LogFormat, LogSettings, WorkerSettings};

/// The commented defaults, as printed by `im-push-gateway settings`.
pub const DEFAULTS: &str = include_str!("config.default.toml");

/// All settings, by area. `config.default.toml` explains each key.
#[derive(Debug, Clone)]
pub struct Config {
    pub database: DatabaseSettings,
    pub server: ServerSettings,
    pub identity: IdentitySettings,
    pub accounts: AccountSettings,
    pub people: PeopleSettings,
    pub directory: DirectorySettings,
    pub events: EventSettings,
    pub streams: StreamSettings,
    pub files: FileSettings,
    pub chat: ChatSettings,
    pub calls: CallSettings,
    pub notifications: NotificationSettings,
    pub callbacks: CallbackSettings,
    pub archive: ArchiveSettings,
    pub workers: WorkerSettings,
    pub log: LogSettings,
    pub traces: TraceSettings,
}

impl Config {
    /// Reads the defaults, `file` if given, and the environment, and checks the result. `more` finds further
    /// mistakes of settings that can be read.
    pub fn load(file: Option<&Path>, more: impl Fn(&Self) -> Vec<String>) -> Result<Self, ConfigError> {
        let (figment, mistakes) = Self::figment(file)?;
        mistakes::read(&figment, mistakes, |config| [config.check(), more(config)].concat())
    }

    /// The defaults, `file` if given, the environment and the files that it names, not yet read; and the mistakes in
    /// these names.
    fn figment(file: Option<&Path>) -> Result<(Figment, Vec<(String, String)>), ConfigError> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if let Some(path) = file {
            if !path.is_file() {
                return Err(ConfigError::of(format!("{} is not a file", path.display())));
            }
            figment = figment.merge(Toml::file_exact(path));
        }
        let table = |key: &str| match key.split_once('_') {
            Some((table, key)) if table.eq_ignore_ascii_case(mistakes::TABLE) => {
                format!("{}.{key}", mistakes::TABLE).into()
            }
            _ => key.to_owned().into(),
        };
        let env = Env::prefixed("IMPG_").ignore(&["config"]);
        let variables = env.iter().map(|(key, value)| (key.to_string(), value)).collect();
        let secrets = secrets::read(&variables, &mistakes::defaults()?);
        let env = env.filter(|key| !secrets::names_file(&key.as_str().to_ascii_lowercase()));
        let env = env.map(move |key| table(key.as_str()));
        let figment = figment.merge(env).merge(Serialized::globals(secrets.values));
        Ok((figment, secrets.mistakes))
    }

    /// The defaults with `overrides` (TOML). Tests and the demo begin with it.
    pub fn from_toml(overrides: &str) -> Result<Self, ConfigError> {
        let figment = Figment::from(Toml::string(DEFAULTS)).merge(Toml::string(overrides));
        mistakes::read(&figment, Vec::new(), Self::check)
    }

    /// The settings of each area. All areas but the directory lie at the top of `all`, and each takes its own
    /// keys. An error names its key.
    fn by_area(all: &Value) -> Result<Self, Box<figment::Error>> {
        #[derive(Deserialize)]
        struct Tables {
            directory: DirectorySettings,
        }
        Ok(Self {
            database: all.deserialize()?,
            server: all.deserialize()?,
            identity: all.deserialize()?,
            accounts: all.deserialize()?,
            people: all.deserialize()?,
            directory: all.deserialize::<Tables>()?.directory,
            events: all.deserialize()?,
            streams: all.deserialize()?,
            files: all.deserialize()?,
            chat: all.deserialize()?,
            calls: all.deserialize()?,
            notifications: all.deserialize()?,
            callbacks: all.deserialize()?,
            archive: all.deserialize()?,
            workers: all.deserialize()?,
            log: all.deserialize()?,
            traces: all.deserialize()?,
        })
    }

    /// All rules that the settings break.
    fn check(&self) -> Vec<String> {
        [
            self.database.check(),
            self.server.check(),
            self.accounts.check(),
            self.people.check(),
            self.directory.check(),
            self.events.check(),
            self.streams.check(),
            self.files.check(),
            self.chat.check(),
            self.calls.check(),
            self.notifications.check(),
            self.callbacks.check(),
            self.archive.check(),
            self.workers.check(),
            self.traces.check(),
            self.check_connections(),
            self.check_days(),
            self.check_sessions(),
        ]
        .concat()
    }

    /// The rules about connections that several areas share.
    fn check_connections(&self) -> Vec<String> {
        broken(&[
            (
                self.database.pool_size < self.chat.send_lanes + 2,
                "`database_pool_size` must be at least `send_lanes` + 2",
            ),
            (
                self.server.connections_max <= self.streams.max,
                "`connections_max` must be more than `streams_max`: each stream is a connection",
            ),
            (
                self.identity.jwt_max_bytes == 0 || self.identity.jwt_max_bytes >= self.server.head_max_bytes,
                "`jwt_max_bytes` must be at least 1 and less than `head_max_bytes`: a token is part of the head",
            ),
        ])
    }

    /// The rules about how long things are kept that several areas share.
    fn check_days(&self) -> Vec<String> {
        let age_days = self.archive.age_days;
        broken(&[
            (
                self.callbacks.hold_days >= age_days,
                "`callback_hold_days` must be less than `archive_age_days`: a held day cannot move",
            ),
            (
                self.events.keep_days >= age_days,
                "`event_keep_days` must be less than `archive_age_days`: events are read together with their messages",
            ),
            (
                self.archive.drop_grace <= self.server.request_timeout,
                "`archive_drop_grace_ms` must be more than `request_timeout_ms`: a request may still read the day",
            ),
            (
                self.chat.escalate_within_days >= age_days,
                "`escalate_within_days` must be less than `archive_age_days`: a day with steps that wait cannot move",
            ),
            (
                age_days <= self.chat.client_id_keep_days,
                "`archive_age_days` must be more than `client_id_keep_days`: a repeated send reads its message from PostgreSQL",
            ),
            (
                self.events.keep() <= self.callbacks.disable_after,
                "`event_keep_days` must be longer than `callback_disable_after_ms`",
            ),
            (
                self.events.keep() <= self.callbacks.give_up,
                "`event_keep_days` must be longer than `callback_give_up_ms`: events that are retried must still exist",
            ),
        ])
    }

    /// The rule about sessions that two areas share.
    fn check_sessions(&self) -> Vec<String> {
        let refuses = self.accounts.single_session == SingleSession::Refuse;
        broken(&[(
            refuses && self.accounts.single_session_idle <= self.identity.account_seen_every,
            "`account_single_session_idle_ms` must be more than `account_seen_every_ms`: a session in use must not count as gone",
        )])
    }

    /// With an archive, each day has its own partitions, because days move one by one.
    pub fn partitions_by_month(&self) -> bool {
        self.archive.target() == ArchiveTarget::Nowhere
    }
}

#[cfg(test)]
mod tests {
    use figment::value::Dict;

    use super::*;

    #[test]
    fn every_setting_belongs_to_an_area() {
        let defaults: Dict = Figment::from(Toml::string(DEFAULTS)).extract().expect("defaults");
        for key in defaults.keys() {
            let mut rest = defaults.clone();
            rest.remove(key);
            assert!(Config::by_area(&rest.into()).is_err(), "no area has `{key}`");
        }
    }

    #[test]
    fn the_pause_after_a_step_of_a_notification_is_a_second_at_most() {
        let is_refused = |pace: u32| {
            let settings = format!("notification_step = 250\nnotification_receivers_per_second = {pace}");
            let refused = Config::from_toml(&settings).err().map(|e| e.to_string()).unwrap_or_default();
            refused.contains("`notification_receivers_per_second` must be 0 or at least `notification_step`")
        };
        assert_eq!([0, 1, 249, 250].map(is_refused), [false, true, true, false]);
    }
}
