//! Cards: their sender gives them new states, and receivers act on them.
//!
//! A card has a version. An update names the version that it is based on, and an action counts once for a user and
//! version. Both lock the message, so that an action is of the version that the user saw.

use deadpool_postgres::Transaction;
use postgres_types::{Json, ToSql};
use serde_json::Value;
use time::OffsetDateTime;

use crate::base::error::{Error, Kind, Result};
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{SHARE_SEAL, Statements, Store, retrying};
use crate::chat::message::{Card, CardChange, Content};
use crate::sql;

/// Longest value of an action, in characters.
const VALUE_MAX_CHARS: usize = 1_000;

/// A click of a receiver on a button of a card.
#[derive(Debug, Clone, Copy)]
pub struct Action<'a> {
    pub ms_id: MsId,
    pub by: &'a str,
    pub button_id: &'a str,
    pub value: Option<&'a str>,
    /// The version that the user saw, if the client says so.
    pub version: Option<u64>,
    pub now: OffsetDateTime,
}

/// An action that counts.
#[derive(Debug)]
pub struct Acted {
    pub version: u64,
    /// Whether it is the repeat of an earlier one.
    pub repeated: bool,
}

/// A hot message as one of its readers finds it.
struct Current {
    channel_id: ChannelId,
    seq: i64,
    sender: String,
    is_receiver: bool,
    is_dissolved: bool,
    card: Card,
}

/// A card with its next state.
struct Next {
    channel_id: ChannelId,
    seq: i64,
    content: Content,
}

/// Keeps an action, once for the user and the version of the card. A repeat succeeds. Another action on the same
/// version is a conflict.
pub async fn act(store: &Store, action: Action<'_>) -> Result<Acted> {
    if action.value.is_some_and(|value| !is_value(value)) {
        return Err(Error::field("/value", "must have at most 1,000 characters and no U+0000"));
    }
    retrying(|| act_once(store, action)).await
}

async fn act_once(store: &Store, action: Action<'_>) -> Result<Acted> {
    let Action { ms_id, by, button_id, value, now, .. } = action;
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    tx.batch_execute(SHARE_SEAL).await?;
    let current = current(&tx, ms_id, by).await?;
    if !current.is_receiver {
        return Err(Error::new(Kind::Forbidden, "only a receiver of the card can act on it"));
    }
    let version = current.card.version();
    if action.version.is_some_and(|seen| seen != version) {
        return Err(stale(version));
    }
    if !current.card.has_button(button_id) {
        return Err(Error::field("/button_id", "is no button of the card"));
    }
    let number = i64::try_from(version).map_err(Error::internal)?;
    let Current { channel_id, seq, is_dissolved, .. } = current;
    let acted = match is_dissolved {
        true => 0,
        false => {
            let params: [&(dyn ToSql + Sync); 8] =
                [&ms_id, &channel_id, &seq, &by, &number, &button_id, &value, &now];
            tx.run(sql!("records/card/act"), &params).await?
        }
    };
    if acted == 1 {
        tx.commit().await?;
        return Ok(Acted { version, repeated: false });
    }
    // A repeat of an earlier action succeeds also after the group is dissolved.
    let kept = tx.opt(sql!("records/card/acted"), &[&ms_id, &by, &number]).await?;
    let kept = kept.ok_or_else(|| Error::new(Kind::ChannelDissolved, "its cards take no more actions"))?;
    let is_same =
        kept.get::<_, &str>("button_id") == button_id && kept.get::<_, Option<&str>>("value") == value;
    if !is_same {
        let told = format!("the user has acted on version {version} of the card already");
        return Err(Error::new(Kind::Conflict, told));
    }
    Ok(Acted { version, repeated: true })
}

/// The next state of a card that is not given to it yet.
#[derive(Debug)]
pub struct Proposed {
    pub channel_id: ChannelId,
    pub content: Content,
}

/// The state that an update would give a card. Nothing is changed, and no lock is kept.
pub async fn proposed(store: &Store, ms_id: MsId, by: &str, change: &CardChange) -> Result<Proposed> {
    retrying(|| async {
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        tx.batch_execute(SHARE_SEAL).await?;
        let Next { channel_id, content, .. } = next(&tx, ms_id, by, change).await?;
        tx.rollback().await?;
        Ok(Proposed { channel_id, content })
    })
    .await
}

/// Gives a card its next state, and returns it. Only its sender can, while the message is hot, and only on top of the
/// newest version.
pub async fn update(
    store: &Store,
    ms_id: MsId,
    by: &str,
    change: &CardChange,
    now: OffsetDateTime,
) -> Result<Value> {
    retrying(|| update_once(store, ms_id, by, change, now)).await
}

async fn update_once(
    store: &Store,
    ms_id: MsId,
    by: &str,
    change: &CardChange,
    now: OffsetDateTime,
) -> Result<Value> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    tx.batch_execute(SHARE_SEAL).await?;
    // The channel first, as sends and recalls lock it.
    tx.opt(sql!("records/card/lock"), &[&ms_id]).await?.ok_or_else(missing)?;
    let Next { channel_id, seq, content: next } = next(&tx, ms_id, by, change).await?;
    let (content, short) = (next.to_json(), next.short());
    tx.run(
        sql!("records/card/update"),
        &[&ms_id, &channel_id, &seq, &Json(&content), &Json(&short), &next.preview(), &by, &now],
    )
    .await?;
    tx.commit().await?;
    Ok(content)
}

/// The next state of a card, if this user may give it.
async fn next(tx: &Transaction<'_>, ms_id: MsId, by: &str, change: &CardChange) -> Result<Next> {
    let Current { channel_id, seq, sender, is_dissolved, card, .. } = current(tx, ms_id, by).await?;
    if sender != by {
        return Err(Error::new(Kind::Forbidden, "only the sender can update a card"));
    }
    if is_dissolved {
        return Err(Error::new(Kind::ChannelDissolved, "send a new card in another channel"));
    }
    if change.version() != card.version() {
        return Err(stale(card.version()));
    }
    Ok(Next { channel_id, seq, content: Content::Card(card.changed(change)?) })
}

/// The card as it is now, locked against updates. For a caller who cannot see the message, it is not found.
async fn current(tx: &Transaction<'_>, ms_id: MsId, by: &str) -> Result<Current> {
    let row = tx.opt(sql!("records/card/current"), &[&ms_id, &by]).await?.ok_or_else(missing)?;
    if !row.get::<_, bool>("is_visible") {
        return Err(missing());
    }
    if row.get::<_, &str>("ms_type") != "card" {
        return Err(Error::new(Kind::Conflict, "the message is no card"));
    }
    if row.get("is_recalled") {
        return Err(Error::new(Kind::Conflict, "the message was recalled"));
    }
    if row.get("is_sealed") {
        return Err(Error::new(Kind::Conflict, "the message moves into the archive; send a new one"));
    }
    // A recall that committed meanwhile has emptied the content.
    let emptied = |_| Error::new(Kind::Conflict, "the message was recalled");
    let card = Card::stored(row.get("content")).map_err(emptied)?;
    Ok(Current {
        channel_id: row.get("channel_id"),
        seq: row.get("seq"),
        sender: row.get("sender"),
        is_receiver: row.get("is_receiver"),
        is_dissolved: row.get("is_dissolved"),
        card,
    })
}

/// Deletes some actions before this time on cold messages. Returns how many.
pub async fn prune(store: &Store, before: OffsetDateTime, most: i64) -> Result<u64> {
    store.run(sql!("records/card/prune"), &[&before, &most]).await
}

fn is_value(value: &str) -> bool {
    value.chars().count() <= VALUE_MAX_CHARS && !value.contains('\0')
}

fn missing() -> Error {
    Error::not_found("no such message, or it is in the archive and does not change any more")
}

fn stale(version: u64) -> Error {
    Error::new(Kind::Conflict, format!("the card is at version {version}: read it again"))
}
