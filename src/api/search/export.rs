//! `/support/messages/export`: all hits of a search, streamed in short reads.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::Value;
use tracing::{Instrument, Span};

use super::query::{Format, SearchQuery};
use super::{HitView, csv, find};
use crate::api::wire::Query;
use crate::api::{Api, Authenticated, Now, clock};
use crate::base::audit::{self, Action, Entry};
use crate::base::error::{Error, Result};
use crate::base::number::MsId;
use crate::identity::Role;
use crate::records::search::{Hit, Scope, Search};

/// Hits that an export reads at once.
const EXPORT_STEP: usize = 200;

/// The state of a running export.
struct Export {
    api: Api,
    search: Arc<Search>,
    format: Format,
    actor: String,
    reason: String,
    filter: Value,
    /// Hits that were read and not written yet, and the `ms_id` below which the next read begins.
    hits: Vec<Hit>,
    next: Option<MsId>,
    written: i64,
    begun: bool,
    ended: bool,
    /// The span of the request, for log lines after the answer has begun.
    request: Span,
}

/// Streams the export in short reads. No connection is held between them.
pub async fn export(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    Query(mut query): Query<SearchQuery>,
) -> Result<Response> {
    caller.must_be(Role::Support)?;
    for (name, given) in [("limit", query.limit.is_some()), ("cursor", query.cursor.is_some())] {
        if given {
            return Err(Error::parameter(name, "cannot be used in an export, which has all hits"));
        }
    }
    let format = query.format()?;
    let (search, reason) = query.support(&api).await?;
    let actor = caller.0.user_id.clone();
    let filter = query.filter();
    let entry = Entry {
        at: now,
        actor: &actor,
        action: Action::ExportBegun,
        reason: Some(&reason),
        filter: filter.clone(),
        results: None,
    };
    audit::append(&api.store, entry).await?;
    // The first read decides between an answer and a problem.
    let (hits, next) = find(&api, Scope::Everybody, &search, (MsId::MAX, EXPORT_STEP)).await?;
    let search = Arc::new(search);
    let export = Export {
        api,
        search,
        format,
        actor,
        reason,
        filter,
        hits,
        next,
        written: 0,
        begun: false,
        ended: false,
        request: Span::current(),
    };
    let (media_type, name) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "messages.csv"),
        Format::Ndjson => ("application/x-ndjson", "messages.ndjson"),
    };
    let chunks = stream::try_unfold(Some(export), |export| async move {
        match export {
            Some(export) => export.chunk().await.map(Some).map_err(|e| std::io::Error::other(e.to_string())),
            None => Ok(None),
        }
    });
    let disposition = format!("attachment; filename=\"{name}\"");
    let head = [(header::CONTENT_TYPE, media_type.to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((head, Body::from_stream(chunks)).into_response())
}

impl Export {
    /// The next part of the body, and the export after it.
    async fn chunk(mut self) -> Result<(String, Option<Self>)> {
        let mut text = String::new();
        if !std::mem::replace(&mut self.begun, true) && self.format == Format::Csv {
            text.push_str(csv::HEAD);
        }
        for hit in std::mem::take(&mut self.hits) {
            self.written += 1;
            match self.format {
                Format::Csv => text.push_str(&csv::line(&hit)),
                Format::Ndjson => {
                    text.push_str(&serde_json::to_string(&HitView::from(hit)).map_err(Error::internal)?);
                    text.push('\n');
                }
            }
        }
        let Some(below) = self.next else {
            self.end().await?;
            return Ok((text, None));
        };
        (self.hits, self.next) =
            find(&self.api, Scope::Everybody, &self.search, (below, EXPORT_STEP)).await?;
        Ok((text, Some(self)))
    }

    /// Records the end of the export and its number of hits in the audit.
    async fn end(&mut self) -> Result<()> {
        self.ended = true;
        ended(self.api.clone(), self.actor.clone(), self.reason.clone(), self.filter.clone(), self.written)
            .await
    }
}

impl Drop for Export {
    /// An interrupted export has shown messages too, so its end is recorded.
    fn drop(&mut self) {
        if !self.ended {
            let Self { api, actor, reason, filter, written, .. } = self;
            let end = ended(api.clone(), actor.clone(), reason.clone(), filter.clone(), *written);
            let end = async move {
                if let Err(error) = end.await {
                    tracing::error!(%error, "could not record the end of an export in the audit");
                }
            };
            tokio::spawn(end.instrument(self.request.clone()));
        }
    }
}

async fn ended(api: Api, actor: String, reason: String, filter: Value, written: i64) -> Result<()> {
    let entry = Entry {
        at: clock(),
        actor: &actor,
        action: Action::ExportEnded,
        reason: Some(&reason),
        filter,
        results: Some(written),
    };
    audit::append(&api.store, entry).await
}
