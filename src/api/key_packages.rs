//! `/users/me/key-packages` and `/users/{user_id}/key-packages/claim`: key packages of MLS.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{post, put};
use axum::{Json as Reply, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::wire::{Json, PathWord, Query};
use super::{Api, Person, Viewer};
use crate::base::error::{Error, Result};
use crate::people::key_package::{self, Claim, Claimed, Published, Stock};

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/users/me/key-packages", put(publish).get(show).delete(remove))
        .route("/users/{user_id}/key-packages/claim", post(claim))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPackages {
    key_packages: Vec<String>,
    last_resort: Option<String>,
    device_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceQuery {
    device_id: Option<String>,
}

#[derive(Serialize)]
struct StockView {
    devices: Vec<DeviceView>,
}

#[derive(Serialize)]
struct DeviceView {
    device_id: Option<String>,
    remaining: i64,
    last_resort: bool,
}

#[derive(Serialize)]
struct ClaimView {
    key_packages: Vec<ClaimedView>,
}

#[derive(Serialize)]
struct ClaimedView {
    device_id: Option<String>,
    key_package: String,
    last_resort: bool,
}

impl From<Vec<Stock>> for StockView {
    fn from(stock: Vec<Stock>) -> Self {
        let devices = stock.into_iter().map(|s| DeviceView {
            device_id: named(s.device_id),
            remaining: s.remaining,
            last_resort: s.last_resort,
        });
        Self { devices: devices.collect() }
    }
}

impl From<Claimed> for ClaimedView {
    fn from(c: Claimed) -> Self {
        let key_package = STANDARD.encode(c.package);
        Self { device_id: named(c.device_id), key_package, last_resort: c.last_resort }
    }
}

fn named(device_id: String) -> Option<String> {
    Some(device_id).filter(|id| !id.is_empty())
}

fn bytes_of(text: &str, at: impl FnOnce() -> String) -> Result<Vec<u8>> {
    STANDARD.decode(text).map_err(|_| Error::field(at(), "must be base64 with padding (RFC 4648, section 4)"))
}

async fn publish(
    State(api): State<Api>,
    Person(caller): Person,
    Json(new): Json<NewPackages>,
) -> Result<Reply<StockView>> {
    let packages = new.key_packages.iter().enumerate();
    let packages = packages.map(|(i, text)| bytes_of(text, || format!("/key_packages/{i}")));
    let published = Published {
        device_id: new.device_id.unwrap_or_default(),
        packages: packages.collect::<Result<_>>()?,
        last_resort: new.last_resort.map(|text| bytes_of(&text, || "/last_resort".into())).transpose()?,
    };
    let now = api.store.now().await?;
    let settings = &api.config.people;
    let stock = key_package::publish(&api.store, &caller.user_id, &published, settings, now).await?;
    Ok(Reply(stock.into()))
}

async fn show(State(api): State<Api>, Person(caller): Person) -> Result<Reply<StockView>> {
    let now = api.store.now().await?;
    Ok(Reply(key_package::stock(&api.store, &caller.user_id, now).await?.into()))
}

async fn remove(
    State(api): State<Api>,
    Person(caller): Person,
    Query(query): Query<DeviceQuery>,
) -> Result<StatusCode> {
    key_package::remove(&api.store, &caller.user_id, query.device_id.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn claim(
    State(api): State<Api>,
    Person(caller): Person,
    Viewer(viewer): Viewer,
    PathWord(user_id): PathWord,
    Query(query): Query<DeviceQuery>,
) -> Result<Reply<ClaimView>> {
    let claim = Claim { user_id: &user_id, device_id: query.device_id.as_deref() };
    let now = api.store.now().await?;
    let by = (&viewer, caller.user_id.as_str());
    let claimed = key_package::claim(&api.store, by, claim, &api.config.people, now).await?;
    Ok(Reply(ClaimView { key_packages: claimed.into_iter().map(Into::into).collect() }))
}
