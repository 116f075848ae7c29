//! The gateway in the database, shared by all replicas, and the gateway in this replica's settings.

use tokio_postgres::Row;
use url::Url;

use super::{GATEWAY, public_url, sign};
use crate::base::config::{CallbackSettings, GatewayTarget};
use crate::base::error::{Error, Result};

/// The gateway of this replica's settings. The database knows only its public URL.
pub(super) enum Own {
    Unset,
    Off,
    At { url: Url, secrets: Vec<Vec<u8>> },
}

impl Own {
    pub fn of(settings: &CallbackSettings) -> Result<Self> {
        Ok(match settings.gateway() {
            GatewayTarget::Unset => Self::Unset,
            GatewayTarget::Off => Self::Off,
            GatewayTarget::At(url) => {
                let secrets = settings.secrets.iter().map(sign::decode).collect::<Result<_>>()?;
                Self::At { url, secrets }
            }
            GatewayTarget::Unknown => {
                return Err(Error::internal("callback_url is not an http or https URL"));
            }
        })
    }

    /// The address and secrets of the settings, used while the database's gateway is one of settings.
    pub fn gateway(&self) -> Option<(Url, Vec<Vec<u8>>)> {
        match self {
            Self::At { url, secrets } => Some((url.clone(), secrets.clone())),
            _ => None,
        }
    }

    fn public_url(&self) -> Option<String> {
        self.gateway().map(|(url, _)| public_url(&url))
    }

    /// Whether another replica has set a different gateway.
    pub fn differs(&self, standing: &Standing) -> bool {
        matches!(self, Self::At { .. }) && self.public_url() != standing.url
    }
}

/// The gateway in the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Without secrets.
    pub url: Option<String>,
    from_settings: bool,
}

impl Standing {
    /// Reads it from the rows of all endpoints.
    pub(super) fn of(rows: &[Row]) -> Self {
        let row = rows.iter().find(|row| row.get::<_, &str>("callback_id") == GATEWAY);
        row.map_or_else(Self::default, |row| Self {
            url: Url::parse(row.get("url")).ok().map(|url| public_url(&url)),
            from_settings: row.get("from_settings"),
        })
    }

    /// Every replica logs what has changed for it, whichever process made the change.
    pub fn warn_of_change(&self, before: Option<&Self>, own: &Own) {
        if before == Some(self) {
            return;
        }
        let shown = |url: &Option<String>| url.clone().unwrap_or_else(|| "none".to_owned());
        let now = shown(&self.url);
        let by = if self.from_settings || matches!(before, Some(before) if before.from_settings) {
            "the settings of a replica"
        } else {
            "the API"
        };
        // The first gateway of an instance changes nothing.
        if let Some(before) = before.filter(|before| before.url.is_some()) {
            tracing::warn!(was = shown(&before.url), now, by, "the push gateway has changed");
            metrics::counter!("impg_gateway_changes_total").increment(1);
        }
        match own {
            Own::Unset if self.from_settings => {
                tracing::warn!(gateway = now, "callback_url is not set: this replica sends no pushes");
            }
            Own::At { .. } if before.is_some() && own.differs(self) => {
                let own = shown(&own.public_url());
                tracing::warn!(gateway = now, own, "another replica has set a different callback_url");
            }
            _ => {}
        }
    }
}
