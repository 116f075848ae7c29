//! `/scim/v2`: users and departments, pushed by an identity provider.

mod body;
mod call;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::rates::Rates;
use super::{Api, proven};
use crate::base::error::Kind;
use crate::identity::{Caller, Role};
use crate::sync::scim::{Change, Error, Listing, Patch, Query, discovery};
use body::{Body, RefusedBody, Search, answer};
use call::{Call, Noun};

const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

type Result<T> = std::result::Result<T, RefusedBody>;

pub fn routes(api: &Api, rates: &Rates) -> Router<Api> {
    Router::new()
        .route("/ServiceProviderConfig", get(config))
        .route("/ResourceTypes", get(resource_types))
        .route("/ResourceTypes/{id}", get(resource_type))
        .route("/Schemas", get(schemas))
        .route("/Schemas/{id}", get(schema))
        .route("/.search", post(search_all))
        .route("/Users", get(list).post(create))
        .route("/Users/.search", post(search))
        .route("/Users/{id}", get(show).put(replace).patch(patch).delete(remove))
        .route("/Groups", get(list).post(create))
        .route("/Groups/.search", post(search))
        .route("/Groups/{id}", get(show).put(replace).patch(patch).delete(remove))
        .fallback(async || RefusedBody::from(Error::not_found()))
        .method_not_allowed_fallback(async || {
            RefusedBody::from(crate::base::error::Error::new(Kind::MethodNotAllowed, ""))
        })
        .layer(from_fn_with_state(rates.clone(), limit))
        .layer(from_fn_with_state(api.clone(), prove))
}

/// Refuses requests beyond the limit of their caller.
async fn limit(State(rates): State<Rates>, request: Request, next: Next) -> Response {
    rates.answer(request, next, |e| RefusedBody::from(e).into_response()).await
}

/// All operations require the role `directory`.
async fn prove(State(api): State<Api>, request: Request, next: Next) -> Response {
    let request = match proven(&api, request).await {
        Ok(request) => request,
        Err(e) => return RefusedBody::from(e).into_response(),
    };
    match request.extensions().get::<Caller>().map(|caller| caller.require(Role::Directory)) {
        Some(Ok(())) => next.run(request).await,
        Some(Err(e)) => RefusedBody::from(e).into_response(),
        None => RefusedBody::from(crate::base::error::Error::new(Kind::Unauthenticated, "")).into_response(),
    }
}

async fn list(State(api): State<Api>, Noun(kind): Noun, call: Call) -> Result<Response> {
    let query = call.query()?;
    let listing = call.scim(&api).list(Some(kind), &query).await?;
    Ok(page(listing))
}

async fn search(
    State(api): State<Api>,
    Noun(kind): Noun,
    call: Call,
    Search(query): Search,
) -> Result<Response> {
    let listing = call.scim(&api).list(Some(kind), &query).await?;
    Ok(page(listing))
}

async fn search_all(State(api): State<Api>, call: Call, Search(query): Search) -> Result<Response> {
    let listing = call.scim(&api).list(None, &query).await?;
    Ok(page(listing))
}

fn page(listing: Listing) -> Response {
    answer(
        StatusCode::OK,
        &json!({
            "schemas": [LIST],
            "totalResults": listing.total,
            "startIndex": listing.start_index,
            "itemsPerPage": listing.resources.len(),
            "Resources": listing.resources,
        }),
    )
}

async fn show(
    State(api): State<Api>,
    Noun(kind): Noun,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response> {
    let Query { shown, .. } = call.query()?;
    let resource = call.scim(&api).get(kind, &id).await?;
    if call.has_already(&resource) {
        return Ok(call.not_modified(&resource));
    }
    Ok(call.resource(StatusCode::OK, kind, &shown, resource))
}

async fn create(State(api): State<Api>, Noun(kind): Noun, call: Call, Body(body): Body) -> Result<Response> {
    let Query { shown, .. } = call.query()?;
    let made = call.scim(&api).change(kind, None, None, &Change::Create(body)).await?;
    Ok(call.resource(StatusCode::CREATED, kind, &shown, made.unwrap_or_default()))
}

async fn replace(
    State(api): State<Api>,
    Noun(kind): Noun,
    Path(id): Path<String>,
    call: Call,
    Body(body): Body,
) -> Result<Response> {
    let Query { shown, .. } = call.query()?;
    let versions = call.if_match();
    let now = call.scim(&api).change(kind, Some(&id), versions.as_deref(), &Change::Replace(body)).await?;
    Ok(call.resource(StatusCode::OK, kind, &shown, now.unwrap_or_default()))
}

async fn patch(
    State(api): State<Api>,
    Noun(kind): Noun,
    Path(id): Path<String>,
    call: Call,
    Body(body): Body,
) -> Result<Response> {
    let Query { shown, .. } = call.query()?;
    let (versions, change) = (call.if_match(), Change::Patch(Patch::read(&body)?));
    let now = call.scim(&api).change(kind, Some(&id), versions.as_deref(), &change).await?;
    let status = if call.wants_little() { StatusCode::NO_CONTENT } else { StatusCode::OK };
    Ok(call.resource(status, kind, &shown, now.unwrap_or_default()))
}

async fn remove(
    State(api): State<Api>,
    Noun(kind): Noun,
    Path(id): Path<String>,
    call: Call,
) -> Result<StatusCode> {
    call.scim(&api).change(kind, Some(&id), call.if_match().as_deref(), &Change::Remove).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn config(call: Call) -> Response {
    answer(StatusCode::OK, &discovery::config(&call.base))
}

async fn resource_types(call: Call) -> Result<Response> {
    Ok(page(whole(call.unfiltered()?, discovery::resource_types(&call.base))))
}

async fn schemas(call: Call) -> Result<Response> {
    Ok(page(whole(call.unfiltered()?, discovery::schemas(&call.base))))
}

async fn resource_type(Path(id): Path<String>, call: Call) -> Result<Response> {
    one_of(discovery::resource_types(&call.base), &id)
}

async fn schema(Path(id): Path<String>, call: Call) -> Result<Response> {
    one_of(discovery::schemas(&call.base), &id)
}

fn whole((): (), all: Vec<Value>) -> Listing {
    let resources: Vec<_> = all.into_iter().filter_map(|one| one.as_object().cloned()).collect();
    Listing { total: resources.len(), start_index: 1, resources }
}

fn one_of(all: Vec<Value>, id: &str) -> Result<Response> {
    let one = all.into_iter().find(|one| one["id"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(id)));
    one.map(|one| answer(StatusCode::OK, &one)).ok_or_else(|| Error::not_found().into())
}
