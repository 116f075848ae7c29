//! The parts of a SCIM request outside its body: resource type, page, version, base URL.

use std::collections::HashMap;

use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::header::{ETAG, HOST, IF_MATCH, IF_NONE_MATCH, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::body::{RefusedBody, answer, descending};
use crate::api::{Api, clock};
use crate::base::error::Kind;
use crate::sync::scim::{Error, Query, ResourceType, Result, Scim, Shown, schema};

const PATH: &str = "/scim/v2";

/// The resource type in the path.
pub struct Noun(pub &'static ResourceType);

impl FromRequestParts<Api> for Noun {
    type Rejection = RefusedBody;
    async fn from_request_parts(parts: &mut Parts, _: &Api) -> std::result::Result<Self, RefusedBody> {
        let path = parts.extensions.get::<OriginalUri>().map_or(parts.uri.path(), |uri| uri.0.path());
        let groups = path.strip_prefix(PATH).is_some_and(|rest| rest.starts_with(schema::GROUPS.endpoint));
        Ok(Self(if groups { &schema::GROUPS } else { &schema::USERS }))
    }
}

pub struct Call {
    /// The base URL as the client sees it.
    pub base: String,
    headers: HeaderMap,
    /// Query parameters. Unknown ones are ignored: Entra sends its own flags as parameters.
    parameters: HashMap<String, String>,
    now: OffsetDateTime,
}

impl FromRequestParts<Api> for Call {
    type Rejection = RefusedBody;
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> std::result::Result<Self, RefusedBody> {
        let parameters = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let parameters =
            parameters.map_err(|e| crate::base::error::Error::new(Kind::InvalidParameter, e.to_string()))?;
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let base = match api.config.people.scim_url.trim_end_matches('/') {
            "" if api.config.server.is_encrypted() => format!("https://{host}{PATH}"),
            "" => format!("http://{host}{PATH}"),
            url => url.to_owned(),
        };
        let parameters = parameters.0.into_iter().collect();
        Ok(Self { base, headers: parts.headers.clone(), parameters, now: clock() })
    }
}

impl Call {
    pub fn scim<'a>(&'a self, api: &'a Api) -> Scim<'a> {
        let (user_id, groups) = (api.config.people.scim_user_id, api.config.people.scim_groups);
        Scim { store: &api.store, user_id, groups, base: &self.base, now: self.now }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    fn number(&self, name: &str) -> Result<Option<i64>> {
        let wrong = |_| Error::invalid_value(format!("{name} must be a whole number"));
        self.parameter(name).map(|text| text.parse().map_err(wrong)).transpose()
    }

    pub fn query(&self) -> Result<Query> {
        Ok(Query {
            filter: self.parameter("filter").map(str::to_owned),
            sort_by: self.parameter("sortBy").map(str::to_owned),
            descending: descending(self.parameter("sortOrder"))?,
            start_index: self.number("startIndex")?,
            count: self.number("count")?,
            shown: Shown::of(self.parameter("attributes"), self.parameter("excludedAttributes"))?,
        })
    }

    /// Discovery endpoints do not support a filter (RFC 7644 §4).
    pub fn unfiltered(&self) -> std::result::Result<(), RefusedBody> {
        match self.parameter("filter") {
            Some(_) => Err(crate::base::error::Error::new(
                Kind::Forbidden,
                "discovery endpoints do not support `filter`",
            )
            .into()),
            None => Ok(()),
        }
    }

    fn tags(&self, name: HeaderName) -> Option<Vec<String>> {
        let values: Vec<&HeaderValue> = self.headers.get_all(name).iter().collect();
        let tags = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
        (!values.is_empty()).then(|| tags.map(|tag| tag.trim().to_owned()).collect())
    }

    /// The versions in `If-Match`. The resource must have one of them.
    pub fn if_match(&self) -> Option<Vec<String>> {
        self.tags(IF_MATCH)
    }

    /// Whether the client already has this version.
    pub fn has_already(&self, resource: &Map<String, Value>) -> bool {
        let tags = self.tags(IF_NONE_MATCH).unwrap_or_default();
        tags.iter().any(|tag| tag == "*" || resource["meta"]["version"] == **tag)
    }

    /// Whether the client asks for an answer without a body.
    pub fn wants_little(&self) -> bool {
        let preferences = self.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        preferences
            .flat_map(|list| list.split([',', ';']))
            .any(|word| word.trim().eq_ignore_ascii_case("return=minimal"))
    }

    pub fn not_modified(&self, resource: &Map<String, Value>) -> Response {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        put(&mut response, ETAG, &resource["meta"]["version"]);
        response
    }

    /// An answer with the resource and its version. A new resource also has its location.
    pub fn resource(
        &self,
        status: StatusCode,
        kind: &'static ResourceType,
        shown: &Shown,
        resource: Map<String, Value>,
    ) -> Response {
        let meta = resource.get("meta").cloned().unwrap_or_default();
        let mut response = match status {
            StatusCode::NO_CONTENT => status.into_response(),
            _ => answer(status, &shown.project(kind, resource).into()),
        };
        put(&mut response, ETAG, &meta["version"]);
        if status == StatusCode::CREATED {
            put(&mut response, LOCATION, &meta["location"]);
        }
        response
    }
}

fn put(response: &mut Response, name: HeaderName, value: &Value) {
    if let Some(value) = value.as_str().and_then(|value| HeaderValue::from_str(value).ok()) {
        response.headers_mut().insert(name, value);
    }
}
