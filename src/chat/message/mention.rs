//! The users that a message mentions. The transaction that stores a message checks it, and keeps a row for each mention.

use std::collections::HashMap;

use deadpool_postgres::GenericClient;
use serde_json::{Value, json};
use tokio_postgres::{Row, Statement};

use super::outgoing::Outgoing;
use crate::base::error::{Error, Kind, Result};
use crate::base::extra::{ALL, MENTIONS_ALL};
use crate::base::ids::check_id;
use crate::base::number::ChannelId;
use crate::base::strict;
use crate::sql;

/// Most users that a message names.
pub const MENTIONS_MAX: usize = 200;

/// The users that a message mentions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mentions {
    /// The pointer of `mentions`.
    at: String,
    /// Each user with the position in the list, or [`ALL`] alone.
    users: Vec<(i32, String)>,
}

impl Mentions {
    /// Parses `mentions` of a send: a list of user ids, or "all". `at` is the pointer of the item that holds it. A user who
    /// is named twice is mentioned once.
    pub fn parse(given: Option<Value>, at: &str) -> Result<Self> {
        let at = format!("{at}/mentions");
        let users = match given {
            None => Vec::new(),
            Some(Value::String(all)) if all == MENTIONS_ALL => vec![(0, ALL.to_owned())],
            Some(list @ Value::Array(_)) => named(strict::read_value(list, &at)?, &at)?,
            Some(_) => return Err(Error::field(at, "must be a list of user ids, or \"all\"")),
        };
        Ok(Self { at, users })
    }

    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The form in which they are stored and shown.
    pub fn to_json(&self) -> Value {
        match self.users.as_slice() {
            [(_, all)] if all == ALL => json!(MENTIONS_ALL),
            users => users.iter().map(|(_, user_id)| user_id.as_str()).collect(),
        }
    }

    /// Why a send with a wrong mention is refused.
    fn refused(&self, position: i32) -> Error {
        match self.users.first() {
            Some((_, all)) if all == ALL => Error::new(Kind::OnlyAdminsMentionAll, "").at(self.at.as_str()),
            _ => Error::field(format!("{}/{position}", self.at), "is not a member of the channel"),
        }
    }
}

fn named(users: Vec<String>, at: &str) -> Result<Vec<(i32, String)>> {
    if users.len() > MENTIONS_MAX {
        return Err(Error::field(at, format!("must have at most {MENTIONS_MAX} users")));
    }
    let mut named: Vec<(i32, String)> = Vec::with_capacity(users.len());
    for (position, user_id) in (0..).zip(users) {
        check_id(&user_id).map_err(|reason| Error::field(format!("{at}/{position}"), reason))?;
        if named.iter().all(|(_, other)| *other != user_id) {
            named.push((position, user_id));
        }
    }
    Ok(named)
}

/// The mentions of the sends of one transaction, ready to be checked and written.
pub struct Mentioned<'a> {
    check: Statement,
    note: Statement,
    mentions: HashMap<i32, &'a Mentions>,
    channels: Vec<ChannelId>,
    senders: Vec<&'a str>,
    /// One element for each mention: the place of its send in the batch, its position in the list, and the user.
    places: Vec<i32>,
    positions: Vec<i32>,
    users: Vec<&'a str>,
    only_admins: bool,
}

impl<'a> Mentioned<'a> {
    /// None if no send mentions a user. The statements are prepared here, so that they are sent at once.
    pub async fn prepare(
        client: &impl GenericClient,
        sends: impl Iterator<Item = &'a Outgoing>,
        only_admins: bool,
    ) -> Result<Option<Self>> {
        // Places in the batch, from 1.
        let sends: Vec<(i32, &Outgoing)> = (1..).zip(sends).filter(|(_, s)| !s.mentions.is_empty()).collect();
        if sends.is_empty() {
            return Ok(None);
        }
        let each =
            || sends.iter().flat_map(|(place, s)| s.mentions.users.iter().map(move |u| (*place, *s, u)));
        Ok(Some(Self {
            check: client.prepare_cached(sql!("chat/message/check_mentions")).await?,
            note: client.prepare_cached(sql!("chat/message/note_mentions")).await?,
            mentions: sends.iter().map(|(place, send)| (*place, &send.mentions)).collect(),
            channels: each().map(|(_, send, _)| send.channel_id).collect(),
            senders: each().map(|(_, send, _)| send.sender.as_str()).collect(),
            places: each().map(|(place, ..)| place).collect(),
            positions: each().map(|(.., (position, _))| *position).collect(),
            users: each().map(|(.., (_, user_id))| user_id.as_str()).collect(),
            only_admins,
        }))
    }

    /// Finds the sends that must be refused. A later statement of the transaction refuses them.
    pub(super) async fn check(
        &self,
        client: &impl GenericClient,
    ) -> std::result::Result<Vec<Row>, tokio_postgres::Error> {
        let Self { channels, senders, places, positions, users, only_admins, .. } = self;
        client.query(&self.check, &[channels, senders, places, positions, users, only_admins]).await
    }

    /// Writes a row for each mention, in the transaction that has just stored the sends.
    pub(super) async fn write(
        &self,
        client: &impl GenericClient,
    ) -> std::result::Result<u64, tokio_postgres::Error> {
        client.execute(&self.note, &[&self.places, &self.users]).await
    }

    /// Why a send is refused, by its place in the batch from 1.
    pub(super) fn refusal(&self, checked: &[Row], place: i64) -> Option<Error> {
        let wrong = checked.iter().find(|row| i64::from(row.get::<_, i32>("place")) == place)?;
        Some(self.mentions.get(&wrong.get("place"))?.refused(wrong.get("position")))
    }
}
