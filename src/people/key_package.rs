//! Key packages of MLS (RFC 9420, RFC 9750): what other clients need to add a device of a user to an encrypted group.
//!
//! The service does not read them. Each is given out once. The last resort of a device is given out when none is left.

use postgres_types::ToSql;
use time::{Duration, OffsetDateTime};

use super::contacts::{self, Viewer};
use crate::base::config::PeopleSettings;
use crate::base::error::{Error, Kind, Result};
use crate::base::ids::check_id;
use crate::base::store::{Statements, Store};
use crate::sql;

const HOUR_SECONDS: i64 = 3600;

/// Key packages that a device publishes.
#[derive(Debug)]
pub struct Published {
    /// Empty: the user has not named the device.
    pub device_id: String,
    pub packages: Vec<Vec<u8>>,
    pub last_resort: Option<Vec<u8>>,
}

/// What a device has left.
#[derive(Debug)]
pub struct Stock {
    pub device_id: String,
    pub remaining: i64,
    pub last_resort: bool,
}

/// A key package that a claim has taken.
#[derive(Debug)]
pub struct Claimed {
    pub device_id: String,
    pub package: Vec<u8>,
    pub last_resort: bool,
}

/// A claim of packages of another user, or of one device.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    pub user_id: &'a str,
    pub device_id: Option<&'a str>,
}

/// Adds key packages of a user. All of them are added, or none.
pub async fn publish(
    store: &Store,
    user_id: &str,
    published: &Published,
    settings: &PeopleSettings,
    now: OffsetDateTime,
) -> Result<Vec<Stock>> {
    check(published, settings)?;
    let Published { device_id, packages, last_resort } = published;
    let expires = now + Duration::days(settings.key_package_days.into());
    let _turn = store.turn().await?;
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    tx.one(sql!("people/key_package/lock"), &[&user_id]).await?;
    let owner = tx.opt(sql!("people/key_package/owner"), &[&user_id]).await?;
    owner.ok_or_else(|| Error::not_found("no such user"))?;
    tx.run(sql!("people/key_package/add"), &[&user_id, device_id, packages, &expires]).await?;
    if let Some(package) = last_resort {
        tx.run(sql!("people/key_package/put_last_resort"), &[&user_id, device_id, package, &expires]).await?;
    }
    let stock = stock_of(&tx, user_id, now).await?;
    let kept: i64 = stock.iter().map(|s| s.remaining + i64::from(s.last_resort)).sum();
    if kept > i64::from(settings.key_packages_max) {
        let most = settings.key_packages_max;
        let told =
            format!("a user keeps at most {most} key packages: send fewer, or remove those of old devices");
        return Err(Error::new(Kind::Conflict, told));
    }
    tx.commit().await?;
    Ok(stock)
}

fn check(published: &Published, settings: &PeopleSettings) -> Result<()> {
    let most = settings.key_package_max_bytes as usize;
    let rule = || format!("must be 1 to {most} bytes, in base64");
    let fits = |package: &Vec<u8>| (1..=most).contains(&package.len());
    if !published.device_id.is_empty() {
        check_id(&published.device_id).map_err(|reason| Error::field("/device_id", reason))?;
    }
    if let Some(position) = published.packages.iter().position(|package| !fits(package)) {
        return Err(Error::field(format!("/key_packages/{position}"), rule()));
    }
    if !published.last_resort.as_ref().is_none_or(fits) {
        return Err(Error::field("/last_resort", rule()));
    }
    Ok(())
}

/// What each device of a user has left.
pub async fn stock(store: &Store, user_id: &str, now: OffsetDateTime) -> Result<Vec<Stock>> {
    stock_of(store, user_id, now).await
}

async fn stock_of(from: &impl Statements, user_id: &str, now: OffsetDateTime) -> Result<Vec<Stock>> {
    let rows = from.all(sql!("people/key_package/count"), &[&user_id, &now]).await?;
    let stock = rows.iter().map(|row| Stock {
        device_id: row.get("device_id"),
        remaining: row.get("remaining"),
        last_resort: row.get("last_resort"),
    });
    Ok(stock.collect())
}

/// Removes the packages of a user, or of one device.
pub async fn remove(store: &Store, user_id: &str, device_id: Option<&str>) -> Result<()> {
    store.run(sql!("people/key_package/remove"), &[&user_id, &device_id]).await?;
    Ok(())
}

/// Takes one key package of each device of a user whom the viewer sees, or of one device. A claimer has a number of claims
/// of one user an hour, so that no claimer takes all packages. A claim that finds none does not count.
pub async fn claim(
    store: &Store,
    (viewer, claimer): (&Viewer, &str),
    claim: Claim<'_>,
    settings: &PeopleSettings,
    now: OffsetDateTime,
) -> Result<Vec<Claimed>> {
    let none = || Error::not_found("no such user, or the user has no key package");
    check_id(claim.user_id).map_err(|_| none())?;
    if !contacts::card(store, viewer, claim.user_id).await?.active {
        return Err(none());
    }
    let (hour, left_s) = hour_of(now);
    let most = i32::try_from(settings.key_package_claims_per_hour).unwrap_or(i32::MAX);
    // Claims of one claimer wait for each other. They must not hold all connections.
    let _turn = store.turn().await?;
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    let params: [&(dyn ToSql + Sync); 4] = [&claimer, &claim.user_id, &hour, &most];
    if tx.opt(sql!("people/key_package/count_claim"), &params).await?.is_none() {
        let told = format!("a user claims key packages of another one at most {most} times an hour");
        return Err(Error::new(Kind::RateLimited, told).retry_after(left_s));
    }
    let rows = tx.all(sql!("people/key_package/claim"), &[&claim.user_id, &claim.device_id, &now]).await?;
    if rows.is_empty() {
        return Err(none());
    }
    tx.commit().await?;
    let claimed = rows.iter().map(|row| Claimed {
        device_id: row.get("device_id"),
        package: row.get("package"),
        last_resort: row.get("last_resort"),
    });
    Ok(claimed.collect())
}

/// The start of the hour, and how many seconds are left of it.
fn hour_of(now: OffsetDateTime) -> (OffsetDateTime, u64) {
    let into = now.unix_timestamp().rem_euclid(HOUR_SECONDS);
    let start = now - Duration::seconds(into) - Duration::nanoseconds(now.nanosecond().into());
    (start, (HOUR_SECONDS - into).unsigned_abs())
}

/// Forgets a step of expired packages and of ended counts of claims. Returns how many counts.
pub async fn prune(store: &Store, now: OffsetDateTime, most: i64) -> Result<u64> {
    store.run(sql!("people/key_package/prune"), &[&now, &hour_of(now).0, &most]).await
}
