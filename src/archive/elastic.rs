//! The archive in Elasticsearch, through its official client.
//!
//! One index holds a month of messages, and an alias over all of them is searched. A partial answer is
//! refused: a missing hit would look like a lost message.

mod answer;
mod bulk;
mod client;
mod mapping;
mod query;

use std::collections::{BTreeSet, HashSet};
use std::future::Future;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use elasticsearch::http::response::Response;
use elasticsearch::indices::{IndicesCreateParts, IndicesPutIndexTemplateParts, IndicesRefreshParts};
use elasticsearch::params::OpType;
use elasticsearch::{BulkParts, Elasticsearch, GetParts, IndexParts, SearchParts};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Archive, Document, Find};
use crate::base::analyzer as text;
use crate::base::config::Config;
use crate::base::error::{Error, Result};
use crate::base::renewed::Renewed;
use crate::base::trace::{self, TRACEPARENT};
use answer::{Answer, Bulk, BulkItem, Hit, Identity, ItemResult, Page, Refreshed, answer, refusal, refuse};
use bulk::{Batch, batches};
use client::client;

/// Most documents of one search answer; more take further requests. A document can have hundreds of
/// kilobytes, and Elasticsearch builds an answer in memory.
const PAGE_MAX: usize = 1_000;
/// Pauses before a read is repeated. They double from the first to the last.
const READ_AGAIN_FIRST: Duration = Duration::from_millis(25);
const READ_AGAIN_LAST: Duration = Duration::from_millis(400);
/// The id of the only document of the identity index.
const IDENTITY: &str = "archive";

/// A connection to a cluster, and the months that are known to have an index.
pub struct Elastic {
    clients: Renewed<Elasticsearch>,
    index: String,
    replicas: u32,
    retry: Duration,
    months: Mutex<HashSet<String>>,
}

impl Elastic {
    /// The server of `archive_url`. Does not connect yet: an unreachable archive does not stop the start.
    pub fn new(config: &Config) -> Result<Self> {
        let own = config.archive.clone();
        Ok(Self {
            clients: Renewed::new(config.workers.connection_life, move || client(&own))?,
            index: config.archive.index.clone(),
            replicas: config.archive.replicas,
            // A caller waits for the answer.
            retry: config.archive.retry.min(config.server.request_timeout / 2),
            months: Mutex::default(),
        })
    }

    async fn identify(&self) -> Result<String> {
        if let Some(known) = self.known_identity().await? {
            return Ok(known);
        }
        let index = self.identity_index();
        self.create_index(&index, mapping::identity(self.replicas)).await?;
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(Error::internal)?;
        let made = uuid::Builder::from_random_bytes(random).into_uuid().to_string();
        let client = self.clients.get();
        let sent = client
            .index(IndexParts::IndexId(&index, IDENTITY))
            .op_type(OpType::Create)
            .header(TRACEPARENT, trace::traceparent())
            .body(Identity { uuid: made, analysis: text::ANALYSIS })
            .send()
            .await;
        match answer::<serde_json::Value>(sent).await? {
            // Another replica was first, and its id counts.
            Answer::Given(_) | Answer::Refused { status: 409, .. } => {}
            refused => return Err(refused.into_error()),
        }
        self.known_identity()
            .await?
            .ok_or_else(|| Error::unavailable("the archive does not return its identity"))
    }

    async fn known_identity(&self) -> Result<Option<String>> {
        let index = self.identity_index();
        let client = self.clients.get();
        let get = || {
            client.get(GetParts::IndexId(&index, IDENTITY)).header(TRACEPARENT, trace::traceparent()).send()
        };
        match self.read::<Hit<Identity>, _>(get).await? {
            Answer::Given(found) if found.source.analysis == text::ANALYSIS => Ok(Some(found.source.uuid)),
            Answer::Given(_) => Err(refuse(text::ANOTHER_ANALYSIS)),
            Answer::Refused { status: 404, .. } => Ok(None),
            refused => Err(refused.into_error()),
        }
    }

    fn identity_index(&self) -> String {
        format!("{}-identity", self.index)
    }

    async fn write_all(&self, documents: &[Document]) -> Result<()> {
        for batch in batches(documents, &self.index)? {
            self.ensure(&batch.months).await?;
            if self.bulk(&batch).await? {
                continue;
            }
            // An index is missing that existed: it was deleted, or this is another server.
            self.months.lock().expect("no panic while held").clear();
            self.ensure(&batch.months).await?;
            if !self.bulk(&batch).await? {
                return Err(Error::unavailable("an archive index disappeared right after it was created"));
            }
        }
        Ok(())
    }

    /// Sends one bulk request; false if an index is missing. A 409 for a document stored in a later version
    /// is expected.
    async fn bulk(&self, batch: &Batch) -> Result<bool> {
        let client = self.clients.get();
        let sent = client
            .bulk(BulkParts::None)
            .header(TRACEPARENT, trace::traceparent())
            // Otherwise Elasticsearch would create a missing index, with types guessed from contents.
            .require_alias(true)
            .filter_path(&["items.*.status", "items.*.error.type"])
            .body(vec![batch.lines.as_str()])
            .send()
            .await;
        let outcomes = match answer::<Bulk>(sent).await? {
            Answer::Given(bulk) => bulk.items,
            refused => return Err(refused.into_error()),
        };
        if outcomes.len() != batch.documents {
            return Err(Error::unavailable("the archive's answer does not match the documents sent"));
        }
        let mut found = true;
        for BulkItem { index: ItemResult { status, error } } in outcomes {
            match status {
                200..=299 | 409 => {}
                404 => found = false,
                _ => return Err(refusal(status, &error.unwrap_or_default().kind)),
            }
        }
        Ok(found)
    }

    /// Creates the indices of `months` that this process has not seen yet, from one template.
    async fn ensure(&self, months: &BTreeSet<String>) -> Result<()> {
        let missing: Vec<&String> = {
            let known = self.months.lock().expect("no panic while held");
            months.iter().filter(|month| !known.contains(*month)).collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        let client = self.clients.get();
        let sent = client
            .indices()
            .put_index_template(IndicesPutIndexTemplateParts::Name(&self.index))
            .header(TRACEPARENT, trace::traceparent())
            .body(mapping::template(&self.index, self.replicas))
            .send()
            .await;
        answer::<serde_json::Value>(sent).await?.given()?;
        for month in missing {
            let name = format!("{}-{month}", self.index);
            self.create_index(&name, json!({})).await?;
            // An index is searched through its alias, and answers 503 until its shard has started.
            self.search(&name, &json!({ "size": 0 })).await?;
            self.add_aliases(&name, month).await?;
            self.months.lock().expect("no panic while held").insert(month.clone());
        }
        Ok(())
    }

    async fn add_aliases(&self, name: &str, month: &str) -> Result<()> {
        let add = |alias: &str| json!({ "add": { "index": name, "alias": alias } });
        let actions = [add(&self.index), add(&mapping::target(&self.index, month))];
        let client = self.clients.get();
        let sent = client
            .indices()
            .update_aliases()
            .header(TRACEPARENT, trace::traceparent())
            .body(json!({ "actions": actions }))
            .send()
            .await;
        answer::<serde_json::Value>(sent).await?.given()?;
        Ok(())
    }

    /// Creates an index. An existing index is no error. Its shard may not have started yet.
    async fn create_index(&self, name: &str, body: serde_json::Value) -> Result<()> {
        let client = self.clients.get();
        let indices = client.indices();
        let create = indices.create(IndicesCreateParts::Index(name)).wait_for_active_shards("0");
        let sent = create.header(TRACEPARENT, trace::traceparent()).body(body).send().await;
        match answer::<serde_json::Value>(sent).await? {
            Answer::Given(_) => Ok(()),
            Answer::Refused { reason, .. } if reason == "resource_already_exists_exception" => Ok(()),
            refused => Err(refused.into_error()),
        }
    }

    async fn refresh_all(&self) -> Result<()> {
        let client = self.clients.get();
        let (indices, index) = (client.indices(), [self.index.as_str()]);
        let refresh = || {
            indices
                .refresh(IndicesRefreshParts::Index(&index))
                .header(TRACEPARENT, trace::traceparent())
                .ignore_unavailable(true)
                .allow_no_indices(true)
                .send()
        };
        self.read::<Refreshed, _>(refresh).await?.given()?.shards.whole()
    }

    async fn find_all(&self, find: &Find) -> Result<Vec<Document>> {
        let mut found = Vec::new();
        let mut after = find.after;
        while found.len() < find.limit {
            let size = PAGE_MAX.min(find.limit - found.len());
            let page = self.search(&self.index, &query::body(find, after, size)).await?;
            let ended = page.len() < size;
            found.extend(page);
            after = found.last().map(|last: &Document| (last.ms_id, last.part));
            if ended {
                break;
            }
        }
        Ok(found)
    }

    async fn search(&self, index: &str, body: &serde_json::Value) -> Result<Vec<Document>> {
        let (client, names) = (self.clients.get(), [index]);
        let search = || {
            client
                .search(SearchParts::Index(&names))
                .header(TRACEPARENT, trace::traceparent())
                // Before the first write there is no index to search.
                .ignore_unavailable(true)
                .allow_no_indices(true)
                .allow_partial_search_results(false)
                .filter_path(&["timed_out", "_shards.failed", "hits.hits._source"])
                .body(body)
                .send()
        };
        let page = self.read::<Page, _>(search).await?.given()?;
        page.shards.whole()?;
        if page.timed_out {
            return Err(Error::unavailable("the archive did not finish the search"));
        }
        Ok(page.hits.hits.into_iter().map(|hit| hit.source).collect())
    }
}

impl Elastic {
    /// Repeats a read for a bounded time while the server answers "not now": an index is being created, a
    /// shard moves, or a queue is full. No answer at all means the archive is away.
    async fn read<T, F>(&self, send: impl Fn() -> F) -> Result<Answer<T>>
    where
        T: DeserializeOwned,
        F: Future<Output = std::result::Result<Response, elasticsearch::Error>>,
    {
        let (started, mut wait) = (Instant::now(), READ_AGAIN_FIRST);
        loop {
            let answered = answer(send().await).await?;
            let passes = matches!(answered, Answer::Refused { status: 429 | 503, .. });
            if !passes || started.elapsed() + wait > self.retry {
                return Ok(answered);
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(READ_AGAIN_LAST);
        }
    }
}

impl Archive for Elastic {
    fn identity(&self) -> BoxFuture<'_, Result<String>> {
        self.identify().boxed()
    }

    fn write<'a>(&'a self, documents: &'a [Document]) -> BoxFuture<'a, Result<()>> {
        self.write_all(documents).boxed()
    }

    fn refresh(&self) -> BoxFuture<'_, Result<()>> {
        self.refresh_all().boxed()
    }

    fn find<'a>(&'a self, find: &'a Find) -> BoxFuture<'a, Result<Vec<Document>>> {
        self.find_all(find).boxed()
    }
}
