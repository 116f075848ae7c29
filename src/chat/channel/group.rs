//! Groups: made, changed, dissolved.

use std::collections::HashSet;

use deadpool_postgres::Transaction;
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use tokio_postgres::types::ToSql;

use super::membership::lock;
use super::{JoinRule, NewcomersSee, WhoAdds, WhoSends, check_users, emit, too_many};
use crate::base::claim::{self, Claim};
use crate::base::error::{Error, Result};
use crate::base::number::ChannelId;
use crate::base::store::{Statements, Store, retrying};
use crate::base::text::{fold, is_blank, is_label};
use crate::events::Type;
use crate::people::relation;
use crate::sql;

/// Most characters of a group's name.
pub const NAME_MAX_CHARS: usize = 255;
const ANNOUNCEMENT_MAX_CHARS: usize = 4_000;
const DESCRIPTION_MAX_CHARS: usize = 1_000;
const PICTURE_MAX_CHARS: usize = 2_048;

/// How users find and join a group. `None` leaves the value, or takes the default in a new group.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Joining {
    pub join: Option<String>,
    pub who_adds: Option<String>,
    pub findable: Option<bool>,
}

/// A new group. Its creator is the owner.
#[derive(Debug, Default)]
pub struct NewGroup {
    pub name: Option<String>,
    pub picture: Option<String>,
    pub newcomers_see: Option<String>,
    pub who_sends: Option<String>,
    pub description: Option<String>,
    pub joining: Joining,
    /// Whether it takes only messages that clients have encrypted. No change alters it.
    pub encrypted: bool,
    pub members: Vec<String>,
    /// The caller's own id of this request. It makes a repeat safe.
    pub client_id: Option<String>,
}

impl NewGroup {
    fn claim<'a>(&'a self, caller: &'a str) -> Option<Claim<'a>> {
        self.client_id.as_deref().map(|client_id| Claim { caller, call: "group", client_id })
    }

    fn digest(&self) -> Result<Vec<u8>> {
        let said = (&self.name, &self.picture, &self.newcomers_see, &self.who_sends, &self.members);
        // Without these fields it is the digest that releases before them have kept.
        if self.encrypted {
            return claim::digest(&(said, &self.description, &self.joining, "encrypted"));
        }
        if self.description.is_none() && self.joining == Joining::default() {
            return claim::digest(&said);
        }
        claim::digest(&(said, &self.description, &self.joining))
    }

    /// Checks the texts of the group. The members are checked elsewhere.
    pub fn check(&self) -> Result<()> {
        check_label("/name", self.name.as_deref(), NAME_MAX_CHARS)?;
        check_label("/picture", self.picture.as_deref(), PICTURE_MAX_CHARS)?;
        check_newcomers_see(self.newcomers_see.as_deref())?;
        check_who_sends(self.who_sends.as_deref())?;
        check_length("/description", self.description.as_deref(), DESCRIPTION_MAX_CHARS)?;
        self.joining.check()
    }
}

impl Joining {
    fn check(&self) -> Result<()> {
        if self.join.as_deref().is_some_and(|join| JoinRule::parse(join).is_none()) {
            return Err(Error::field("/join", "must be closed, request, code or open"));
        }
        if self.who_adds.as_deref().is_some_and(|who_adds| WhoAdds::parse(who_adds).is_none()) {
            return Err(Error::field("/who_adds", "must be everybody or admins"));
        }
        Ok(())
    }

    /// Whether users can find the group or join it by themselves.
    fn opens(&self) -> bool {
        self.findable == Some(true)
            || self.join.as_deref().is_some_and(|join| join != JoinRule::Closed.as_str())
    }
}

/// A change of a group. An outer `None` leaves the value, an inner `None` clears it.
#[derive(Debug, Default)]
pub struct Change {
    pub name: Option<Option<String>>,
    pub picture: Option<Option<String>>,
    pub announcement: Option<Option<String>>,
    pub newcomers_see: Option<String>,
    pub who_sends: Option<String>,
    pub description: Option<Option<String>>,
    pub joining: Joining,
}

/// Creates a group owned by `caller`. All its members are there at once.
///
/// Returns its id and whether it is new. A repeat with the same `client_id` returns the first group.
pub async fn create(
    store: &Store,
    caller: &str,
    group: &NewGroup,
    most_members: u32,
    now: OffsetDateTime,
) -> Result<(ChannelId, bool)> {
    group.check()?;
    check_users(store, &group.members, "/members").await?;
    let mut seen = HashSet::from([caller]);
    let members: Vec<&str> = group.members.iter().map(String::as_str).filter(|m| seen.insert(m)).collect();
    if members.len() >= most_members as usize {
        return Err(too_many(most_members, "/members"));
    }
    let newcomers_see = group.newcomers_see.as_deref().unwrap_or(NewcomersSee::Nothing.as_str());
    let who_sends = group.who_sends.as_deref().unwrap_or(WhoSends::Everybody.as_str());
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    relation::check_not_blocked(&tx, caller, &group.members, "/members").await?;
    let Joining { join, who_adds, findable } = &group.joining;
    let join = join.as_deref().unwrap_or(JoinRule::Closed.as_str());
    let who_adds = who_adds.as_deref().unwrap_or(WhoAdds::Everybody.as_str());
    let findable = findable.unwrap_or_default();
    let words = words(group.name.as_deref(), group.description.as_deref());
    let choices: [&(dyn ToSql + Sync); 6] =
        [&group.description, &join, &who_adds, &findable, &words, &group.encrypted];
    let first: [&(dyn ToSql + Sync); 7] =
        [&caller, &group.name, &group.picture, &newcomers_see, &members, &now, &who_sends];
    let params = [&first[..], &choices[..]].concat();
    let channel_id: ChannelId = tx.one(sql!("chat/channel/create_group"), &params).await?.get(0);
    let count = members.len() + 1;
    let data = json!({"channel_type": "group", "name": group.name, "creator": caller, "member_count": count});
    emit(&tx, Type::ChannelCreated, (channel_id, caller), data).await?;
    if let Some(claim) = group.claim(caller)
        && !claim.keep(&tx, &group.digest()?, (channel_id.0, now)).await?
    {
        drop(tx);
        let made = made_before(store, caller, group).await?;
        return made.map(|id| (id, false)).ok_or_else(claim::forgotten);
    }
    tx.commit().await?;
    Ok((channel_id, true))
}

/// The group that was created with the same `client_id`.
pub async fn made_before(store: &Store, caller: &str, group: &NewGroup) -> Result<Option<ChannelId>> {
    let Some(claim) = group.claim(caller) else { return Ok(None) };
    let kept = claim.kept(&store.client().await?).await?;
    kept.map(|kept| kept.of(&group.digest()?).map(ChannelId)).transpose()
}

/// Changes a group. Only for the owner and admins.
pub async fn update(store: &Store, channel_id: ChannelId, caller: &str, change: Change) -> Result<()> {
    check_label("/name", change.name.as_ref().and_then(Option::as_deref), NAME_MAX_CHARS)?;
    check_label("/picture", change.picture.as_ref().and_then(Option::as_deref), PICTURE_MAX_CHARS)?;
    check_length(
        "/announcement",
        change.announcement.as_ref().and_then(Option::as_deref),
        ANNOUNCEMENT_MAX_CHARS,
    )?;
    check_newcomers_see(change.newcomers_see.as_deref())?;
    check_who_sends(change.who_sends.as_deref())?;
    let description = change.description.as_ref().and_then(Option::as_deref);
    check_length("/description", description, DESCRIPTION_MAX_CHARS)?;
    change.joining.check()?;
    retrying(|| update_once(store, channel_id, caller, &change)).await
}

async fn update_once(store: &Store, channel_id: ChannelId, caller: &str, change: &Change) -> Result<()> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let place = lock(&tx, channel_id, caller).await?;
    place.must_manage()?;
    if change.joining.opens() {
        place.must_not_follow()?;
    }
    let Joining { join, who_adds, findable } = &change.joining;
    tx.run(
        sql!("chat/channel/update"),
        &[
            &channel_id,
            &change.name.is_some(),
            &change.name.as_ref().and_then(Option::as_ref),
            &change.picture.is_some(),
            &change.picture.as_ref().and_then(Option::as_ref),
            &change.announcement.is_some(),
            &change.announcement.as_ref().and_then(Option::as_ref),
            &change.newcomers_see,
            &change.who_sends,
            &change.description.is_some(),
            &change.description.as_ref().and_then(Option::as_ref),
            join,
            who_adds,
            findable,
        ],
    )
    .await?;
    if change.name.is_some() || change.description.is_some() || change.joining.opens() {
        let texts = tx.one(sql!("chat/channel/texts"), &[&channel_id]).await?;
        let words = words(texts.get("channel_name"), texts.get("description"));
        tx.run(sql!("chat/channel/keep_words"), &[&channel_id, &words]).await?;
    }
    let data = json!({"changed": change.names()});
    emit(&tx, Type::ChannelUpdated, (channel_id, caller), data).await?;
    Ok(tx.commit().await?)
}

impl Change {
    /// The names of the fields that it changes.
    fn names(&self) -> Vec<&'static str> {
        let joining = &self.joining;
        let changed = [
            ("name", self.name.is_some()),
            ("picture", self.picture.is_some()),
            ("announcement", self.announcement.is_some()),
            ("newcomers_see", self.newcomers_see.is_some()),
            ("who_sends", self.who_sends.is_some()),
            ("description", self.description.is_some()),
            ("join", joining.join.is_some()),
            ("who_adds", joining.who_adds.is_some()),
            ("findable", joining.findable.is_some()),
        ];
        changed.iter().filter(|(_, is)| *is).map(|(what, _)| *what).collect()
    }
}

/// The texts of a group as a search compares them.
fn words(name: Option<&str>, description: Option<&str>) -> String {
    fold(&format!("{}\n{}", name.unwrap_or_default(), description.unwrap_or_default()))
}

/// Dissolves a group. Members can still read its history. Only for the owner.
pub async fn dissolve(store: &Store, channel_id: ChannelId, caller: &str, now: OffsetDateTime) -> Result<()> {
    retrying(|| dissolve_once(store, channel_id, caller, now)).await
}

async fn dissolve_once(
    store: &Store,
    channel_id: ChannelId,
    caller: &str,
    now: OffsetDateTime,
) -> Result<()> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    lock(&tx, channel_id, caller).await?.must_own()?;
    dissolve_channel(&tx, channel_id, caller, now).await?;
    Ok(tx.commit().await?)
}

/// Dissolves a group in a transaction that holds its lock.
pub(super) async fn dissolve_channel(
    tx: &Transaction<'_>,
    channel_id: ChannelId,
    caller: &str,
    now: OffsetDateTime,
) -> Result<()> {
    tx.run(sql!("chat/channel/dissolve"), &[&channel_id, &now]).await?;
    emit(tx, Type::ChannelDissolved, (channel_id, caller), json!({})).await
}

/// Checks a label: one visible line without directional overrides.
pub fn check_label(pointer: &str, text: Option<&str>, most_chars: usize) -> Result<()> {
    if text.is_none_or(|text| is_label(text, most_chars)) {
        return Ok(());
    }
    let rule = format!(
        "must be one line of 1 to {most_chars} characters, at least one of them visible, without control \
         characters and without directional marks (U+202A to U+202E, U+2066 to U+2069)"
    );
    Err(Error::field(pointer, rule))
}

fn check_length(pointer: &str, text: Option<&str>, most_chars: usize) -> Result<()> {
    let Some(text) = text else { return Ok(()) };
    if is_blank(text) || text.chars().count() > most_chars || text.contains('\0') {
        let bounds =
            format!("must have 1 to {most_chars} characters, at least one of them visible, without U+0000");
        return Err(Error::field(pointer, bounds));
    }
    Ok(())
}

fn check_newcomers_see(value: Option<&str>) -> Result<()> {
    match value.map(NewcomersSee::parse) {
        None | Some(Some(_)) => Ok(()),
        Some(None) => Err(Error::field("/newcomers_see", "must be nothing or everything")),
    }
}

/// Checks `who_sends`.
pub fn check_who_sends(value: Option<&str>) -> Result<()> {
    match value.map(WhoSends::parse) {
        None | Some(Some(_)) => Ok(()),
        Some(None) => Err(Error::field("/who_sends", "must be everybody or admins")),
    }
}
