//! `/search/messages` and `/support/messages`: search, and the export for support.

mod csv;
mod export;
mod query;

use axum::extract::State;
use axum::routing::get;
use axum::{Json as Reply, Router};
use serde::Serialize;

use super::messages::MessageView;
use super::wire::{LIMIT_MAX, Page, Query, check_limit, write_cursor};
use super::{Api, Authenticated, Now, Person};
use crate::base::analyzer;
use crate::base::audit::{self, Action, Entry};
use crate::base::error::{Error, Result};
use crate::base::number::MsId;
use crate::base::trace;
use crate::delivery::status::Status;
use crate::identity::Role;
use crate::records::search::{Hit, Scope, Search, Searching};
use query::{Below, SearchQuery};

pub use query::meant;

const LIMIT_DEFAULT: i64 = 50;

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/search/messages", get(own))
        .route("/support/messages", get(everybody))
        .route("/support/messages/export", get(export::export))
}

#[derive(Serialize)]
struct HitView {
    #[serde(flatten)]
    message: MessageView,
    highlight: Vec<PieceView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

#[derive(Serialize)]
struct PieceView {
    text: String,
    hit: bool,
}

impl From<Hit> for HitView {
    fn from(hit: Hit) -> Self {
        let piece = |p: analyzer::Piece| PieceView { text: p.text, hit: p.hit };
        Self {
            message: hit.message.into(),
            highlight: hit.highlight.into_iter().map(piece).collect(),
            status: hit.status.map(Status::as_str),
        }
    }
}

async fn own(
    State(api): State<Api>,
    Person(caller): Person,
    Query(mut query): Query<SearchQuery>,
) -> Result<Reply<Page<HitView>>> {
    let search = query.own(&api, &caller).await?;
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    page(&api, Scope::Own(&caller.user_id), &search, (query.below()?, limit)).await.map(Reply)
}

async fn everybody(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    Query(mut query): Query<SearchQuery>,
) -> Result<Reply<Page<HitView>>> {
    caller.must_be(Role::Support)?;
    if query.format.is_some() {
        return Err(Error::parameter("format", "can only be used in an export"));
    }
    let (search, reason) = query.support(&api).await?;
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let page = page(&api, Scope::Everybody, &search, (query.below()?, limit)).await?;
    let entry = Entry {
        at: now,
        actor: &caller.0.user_id,
        action: Action::Search,
        reason: Some(&reason),
        filter: query.filter(),
        results: Some(page.items.len() as i64),
    };
    audit::append(&api.store, entry).await?;
    Ok(Reply(page))
}

async fn page(
    api: &Api,
    scope: Scope<'_>,
    search: &Search,
    (below, limit): (MsId, i64),
) -> Result<Page<HitView>> {
    let (hits, next) = trace::within("search", find(api, scope, search, (below, limit as usize))).await?;
    metrics::counter!("impg_searches_total").increment(1);
    let next_cursor = next.map(|below| write_cursor(&Below { below }));
    Ok(Page { items: hits, next_cursor }.map(Into::into))
}

/// Up to `limit` hits below an id, and where the next page begins.
async fn find(
    api: &Api,
    scope: Scope<'_>,
    search: &Search,
    (below, limit): (MsId, usize),
) -> Result<(Vec<Hit>, Option<MsId>)> {
    api.read(move |store| async move {
        let searching = Searching { store: &store, archive: api.archive(), scope, search };
        searching.page(below, limit).await
    })
    .await
}
