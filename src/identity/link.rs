//! Links for the developer of one callback: a caller without roles who may do a few things with this callback alone.

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::token::Issuer;
use super::{Caller, Roles, refused};
use crate::base::audit::{self, Action, Entry};
use crate::base::bearer;
use crate::base::claim::{self, Claim};
use crate::base::config::Secret;
use crate::base::error::{Error, Kind, Result};
use crate::base::store::{Statements, Store, retrying};
use crate::base::text::is_label;
use crate::sql;

/// Distinguishes the secret of a link, and lets secret scanners find a leaked one.
pub const PREFIX: &str = "impl_";
const NAME_MAX_CHARS: usize = 128;
/// Most links of a callback that are valid at once, and most in its list.
const LINKS_MAX: i64 = 20;
const LIST_MAX: i64 = 100;
/// How long a link is kept after it has expired, so that an administrator sees why it is refused.
const EXPIRED_KEEP: Duration = Duration::days(30);
/// Bytes of the hash that are the link's id.
const ID_BYTES: usize = 8;

/// What a caller with a link may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub link_id: String,
    pub callback_id: String,
}

/// What is done with a link.
#[derive(Debug, Clone, Copy)]
pub enum Use {
    Opened,
    Payload,
    Replay,
}

impl Use {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Payload => "payload",
            Self::Replay => "replay",
        }
    }
}

/// A link to create.
#[derive(Debug, Clone, Copy)]
pub struct NewLink<'a> {
    pub callback_id: &'a str,
    pub name: &'a str,
    /// How long it holds.
    pub hours: u32,
    /// The longest that a link may hold; 0: no link is made.
    pub hours_max: u32,
}

impl NewLink<'_> {
    fn check(&self) -> Result<()> {
        if self.hours_max == 0 {
            let why = "links for developers are off: set `callback_link_max_hours`";
            return Err(Error::new(Kind::Conflict, why));
        }
        if !(1..=self.hours_max).contains(&self.hours) {
            let most = self.hours_max;
            return Err(Error::field("/hours", format!("must be 1 to {most} (`callback_link_max_hours`)")));
        }
        if !is_label(self.name, NAME_MAX_CHARS) {
            return Err(Error::field(
                "/name",
                "the name must be one line of 1 to 128 characters, at least one of them visible",
            ));
        }
        Ok(())
    }
}

/// A link in a list. It contains no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub link_id: String,
    pub callback_id: String,
    pub name: String,
    pub created_by: String,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    pub opened_at: Option<OffsetDateTime>,
}

impl Listed {
    fn of_row(row: &tokio_postgres::Row) -> Self {
        Self {
            link_id: row.get("link_id"),
            callback_id: row.get("callback_id"),
            name: row.get("name"),
            created_by: row.get("created_by"),
            created_at: row.get("created_at"),
            expires_at: row.get("expires_at"),
            opened_at: row.get("opened_at"),
        }
    }
}

/// A link that was made.
#[derive(Debug)]
pub struct Issued {
    pub listed: Listed,
    /// `None` for a repeat with the same client id, because only the hash is stored.
    pub secret: Option<Secret>,
}

/// The caller that the secret of a link stands for. It has no role. The clock of the database judges the expiry, as it has
/// set it: the clocks of replicas do not count.
///
/// # Errors
/// `Kind::Unauthenticated` if it is unknown, revoked or expired. All three look the same.
pub async fn find(store: &Store, secret: &str) -> Result<Caller> {
    let unknown = || refused("the link is unknown, revoked or expired");
    if !bearer::is_formed(PREFIX, secret) {
        return Err(unknown());
    }
    let hash = bearer::hash(secret);
    let row = store.opt(sql!("identity/link/find_link"), &[&hash]).await?.ok_or_else(unknown)?;
    let link = Link { link_id: row.get("link_id"), callback_id: row.get("callback_id") };
    // No user can have an id with a slash.
    let named = Caller::named(format!("link/{}", link.link_id), Roles::default());
    Ok(Caller { until: Some(row.get("expires_at")), token_hash: Some(hash), link: Some(link), ..named })
}

/// Notes that a browser opens a link, also in the audit: once a minute, so that a repeat writes nothing.
pub async fn note_opened(store: &Store, caller: &Caller, now: OffsetDateTime) -> Result<()> {
    retrying(|| async {
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        if tx.run(sql!("identity/link/open_link"), &[&caller.token_hash, &now]).await? > 0 {
            note_with(&tx, caller, Use::Opened, (&json!({}), now)).await?;
        }
        Ok(tx.commit().await?)
    })
    .await
}

/// Writes into the audit what a caller with a link does, before it is done. Of other callers it writes nothing.
pub async fn note_use(
    store: &Store,
    caller: &Caller,
    what: Use,
    (more, now): (&Value, OffsetDateTime),
) -> Result<()> {
    if caller.link.is_none() {
        return Ok(());
    }
    note_with(&store.client().await?, caller, what, (more, now)).await
}

async fn note_with(
    client: &impl Statements,
    caller: &Caller,
    what: Use,
    (more, now): (&Value, OffsetDateTime),
) -> Result<()> {
    let Some(link) = &caller.link else { return Ok(()) };
    let mut filter = json!({"link_id": link.link_id, "callback_id": link.callback_id, "use": what.as_str()});
    if let (Some(filter), Some(more)) = (filter.as_object_mut(), more.as_object()) {
        filter.extend(more.clone());
    }
    let entry = Entry::change(Action::EndpointLinkUsed, filter, (&caller.user_id, now));
    audit::append_with(client, entry).await
}

/// The links of a callback: those that are valid, newest first, then those that have expired of late.
pub async fn list(store: &Store, callback_id: &str) -> Result<Vec<Listed>> {
    let all = None::<&str>;
    let rows = store.all(sql!("identity/link/list_links"), &[&callback_id, &all, &LIST_MAX]).await?;
    Ok(rows.iter().map(Listed::of_row).collect())
}

/// Creates a link of an observer, and writes that into the audit. A repeat with the same client id creates nothing, and
/// finds the link without its secret.
///
/// # Errors
/// `Kind::InvalidField` for a wrong name or life. `Kind::NotFound` if there is no such observer. `Kind::Conflict` if it
/// has too many links.
pub async fn issue(store: &Store, new: &NewLink<'_>, by: Issuer<'_>) -> Result<Issued> {
    new.check()?;
    let digest = claim::digest(&(new.callback_id, new.name, new.hours))?;
    let claim = by.client_id.map(|client_id| Claim { caller: by.actor, call: "link", client_id });
    if let Some(made) = made_before(store, new.callback_id, (claim, &digest)).await? {
        return Ok(made);
    }
    let secret = bearer::mint(PREFIX)?;
    match retrying(|| insert(store, new, &secret, (claim, &digest), by)).await? {
        Some(listed) => Ok(Issued { listed, secret: Some(secret.into()) }),
        None => made_before(store, new.callback_id, (claim, &digest)).await?.ok_or_else(claim::forgotten),
    }
}

/// `None`: a concurrent call has used the same client id.
async fn insert(
    store: &Store,
    new: &NewLink<'_>,
    secret: &str,
    (claim, digest): (Option<Claim<'_>>, &[u8]),
    by: Issuer<'_>,
) -> Result<Option<Listed>> {
    let NewLink { callback_id, name, hours, .. } = *new;
    let expires_at = by.now + Duration::hours(hours.into());
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let hash = bearer::hash(secret);
    let made = tx
        .run(
            sql!("identity/link/create_link"),
            &[&hash, &callback_id, &name, &by.actor, &by.now, &expires_at],
        )
        .await?;
    if made == 0 {
        return Err(Error::not_found("no such callback"));
    }
    let valid: i64 = tx.one(sql!("identity/link/count_links"), &[&callback_id, &by.now]).await?.get("links");
    if valid > LINKS_MAX {
        let why = format!("{LINKS_MAX} links of this callback are valid already: revoke one first");
        return Err(Error::new(Kind::Conflict, why));
    }
    let id: [u8; ID_BYTES] = std::array::from_fn(|place| hash[place]);
    let link_id = named(i64::from_be_bytes(id));
    let filter = json!({
        "link_id": link_id, "callback_id": callback_id, "name": name, "expires_at": expires_at.unix_timestamp(),
    });
    audit::append_with(&tx, Entry::change(Action::EndpointLinkCreated, filter, (by.actor, by.now))).await?;
    if let Some(claim) = claim
        && !claim.keep(&tx, digest, (i64::from_be_bytes(id), by.now)).await?
    {
        return Ok(None);
    }
    tx.commit().await?;
    Ok(Some(Listed {
        link_id,
        callback_id: callback_id.to_owned(),
        name: name.to_owned(),
        created_by: by.actor.to_owned(),
        created_at: by.now,
        expires_at,
        opened_at: None,
    }))
}

/// The link that was created under the same client id.
async fn made_before(
    store: &Store,
    callback_id: &str,
    (claim, digest): (Option<Claim<'_>>, &[u8]),
) -> Result<Option<Issued>> {
    let Some(claim) = claim else { return Ok(None) };
    let client = store.client().await?;
    let Some(kept) = claim.kept(&client).await? else { return Ok(None) };
    let link_id = named(kept.of(digest)?);
    let row = client.opt(sql!("identity/link/list_links"), &[&callback_id, &Some(&link_id), &1_i64]).await?;
    let row = row.ok_or_else(claim::gone)?;
    Ok(Some(Issued { listed: Listed::of_row(&row), secret: None }))
}

/// The id of a link from the first bytes of its hash.
fn named(first: i64) -> String {
    format!("{first:016x}")
}

/// Revokes a link, and writes that into the audit. It takes effect at once on all replicas, because none caches links.
///
/// # Errors
/// `Kind::NotFound` if the callback has no such link.
pub async fn revoke(store: &Store, callback_id: &str, link_id: &str, by: Issuer<'_>) -> Result<()> {
    retrying(|| async {
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        let row = tx.opt(sql!("identity/link/revoke_link"), &[&callback_id, &link_id]).await?;
        let row = row.ok_or_else(|| Error::not_found("no such link"))?;
        let filter =
            json!({"link_id": link_id, "callback_id": callback_id, "name": row.get::<_, &str>("name")});
        audit::append_with(&tx, Entry::change(Action::EndpointLinkRevoked, filter, (by.actor, by.now)))
            .await?;
        Ok(tx.commit().await?)
    })
    .await
}

/// Deletes a batch of links that have expired long ago. Returns how many.
pub async fn prune(store: &Store, now: OffsetDateTime, most: i64) -> Result<u64> {
    store.run(sql!("identity/link/prune_links"), &[&(now - EXPIRED_KEEP), &most]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_holds_no_longer_than_the_setting_allows() {
        let new = |hours, hours_max| NewLink { callback_id: "cb-1", name: "OA", hours, hours_max };
        assert!(new(1, 168).check().is_ok() && new(168, 168).check().is_ok());
        for (hours, hours_max, kind) in
            [(0, 168, Kind::InvalidField), (169, 168, Kind::InvalidField), (1, 0, Kind::Conflict)]
        {
            assert_eq!(new(hours, hours_max).check().unwrap_err().kind, kind, "{hours} of {hours_max}");
        }
        let nameless = NewLink { name: "two\nlines", ..new(1, 168) };
        assert_eq!(nameless.check().unwrap_err().kind, Kind::InvalidField);
    }
}
