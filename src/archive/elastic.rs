//! The archive in Elasticsearch, through its official client.
//!
//! One index holds a month of messages, and an alias over all of them is searched. A partial answer is
//! refused: a missing hit would look like a lost message.

mod mapping;
mod query;

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write;
use std::future::Future;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use elasticsearch::auth::Credentials;
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::response::Response;
use elasticsearch::http::transport::{SingleNodeConnectionPool, TransportBuilder};
use elasticsearch::indices::{IndicesCreateParts, IndicesPutIndexTemplateParts, IndicesRefreshParts};
use elasticsearch::params::OpType;
use elasticsearch::{BulkParts, Elasticsearch, GetParts, IndexParts, SearchParts};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use super::{Archive, Document, Find};
use crate::base::analyzer as text;
use crate::base::config::{ArchivePlace, ArchiveSettings, Config};
use crate::base::error::{Error, Kind, Result};
use crate::base::renewed::Renewed;

/// Target size of a bulk request, and most documents in it.
const BULK_BYTES: usize = 5 << 20;
const BULK_DOCUMENTS: usize = 2_000;
/// Most documents of one search answer; more take further requests. A document can have hundreds of
/// kilobytes, and Elasticsearch builds an answer in memory.
const PAGE: usize = 1_000;
/// Pauses before a read is repeated. They double from the first to the last.
const READ_AGAIN_FIRST: Duration = Duration::from_millis(25);
const READ_AGAIN_LAST: Duration = Duration::from_millis(400);
/// The only document of the identity index.
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
        let get = || client.get(GetParts::IndexId(&index, IDENTITY)).send();
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
        let sent = client.indices().update_aliases().body(json!({ "actions": actions })).send().await;
        answer::<serde_json::Value>(sent).await?.given()?;
        Ok(())
    }

    /// Creates an index. An existing index is no error. Its shard may not have started yet.
    async fn create_index(&self, name: &str, body: serde_json::Value) -> Result<()> {
        let client = self.clients.get();
        let indices = client.indices();
        let create = indices.create(IndicesCreateParts::Index(name)).wait_for_active_shards("0");
        let sent = create.body(body).send().await;
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
            let size = PAGE.min(find.limit - found.len());
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

// ── Settings ─────────────────────────────────────────────────────────────────────────────────

fn client(settings: &ArchiveSettings) -> Result<Elasticsearch> {
    let ArchivePlace::Server(url) = settings.place() else {
        return Err(refuse("archive_url is not http or https"));
    };
    let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(url.clone()))
        .timeout(settings.timeout)
        .disable_proxy();
    if let Some(authorities) = authorities(&url, &settings.ca_file)? {
        builder = builder.cert_validation(CertificateValidation::Full(authorities));
    }
    if let Some(credentials) = credentials(settings)? {
        builder = builder.auth(credentials);
    }
    Ok(Elasticsearch::new(builder.build().map_err(Error::internal)?))
}

fn refuse(why: &'static str) -> Error {
    Error::new(Kind::Internal, why)
}

fn credentials(settings: &ArchiveSettings) -> Result<Option<Credentials>> {
    let (key, user) = (settings.api_key.expose(), &settings.user);
    if !key.is_empty() {
        // The client panics if a key cannot be a header.
        if !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(refuse("archive_api_key is not the base64 text that Elasticsearch gives"));
        }
        return Ok(Some(Credentials::EncodedApiKey(key.to_owned())));
    }
    let basic = || Credentials::Basic(user.clone(), settings.password.expose().to_owned());
    Ok((!user.is_empty()).then(basic))
}

/// The client itself knows only the public authorities.
fn authorities(url: &Url, ca_file: &str) -> Result<Option<Certificate>> {
    if url.scheme() != "https" {
        return Ok(None);
    }
    if !ca_file.is_empty() {
        let pem = std::fs::read(ca_file).map_err(|_| refuse("archive_ca_file cannot be read"))?;
        return Certificate::from_pem(&pem).map(Some).map_err(|_| refuse("archive_ca_file is not PEM"));
    }
    let mut all: Option<Certificate> = None;
    for der in rustls_native_certs::load_native_certs().certs {
        // An unreadable certificate is skipped; it cannot vouch for a server.
        let Ok(certificate) = Certificate::from_der(&der) else { continue };
        match &mut all {
            Some(all) => all.append(certificate),
            None => all = Some(certificate),
        }
    }
    Ok(all)
}

// ── What is sent ─────────────────────────────────────────────────────────────────────────────

/// The lines of one bulk request.
#[derive(Default)]
struct Batch {
    lines: String,
    documents: usize,
    months: BTreeSet<String>,
}

/// A document, with the fields that are indexed but not stored.
#[derive(Serialize)]
struct Indexed<'a> {
    #[serde(flatten)]
    document: &'a Document,
    words: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    marks: Vec<String>,
}

fn batches(documents: &[Document], index: &str) -> Result<Vec<Batch>> {
    let mut batches: Vec<Batch> = Vec::new();
    for document in documents {
        let full = |last: &Batch| last.lines.len() >= BULK_BYTES || last.documents >= BULK_DOCUMENTS;
        if batches.last().is_none_or(full) {
            batches.push(Batch::default());
        }
        let batch = batches.last_mut().expect("pushed if there was none");
        let month = mapping::month(document.ms_id);
        let action = json!({ "index": {
            "_index": mapping::target(index, &month),
            "_id": format!("{}.{}", document.ms_id, document.part),
            "version": document.version,
            "version_type": "external",
        }});
        let source =
            serde_json::to_string(&Indexed { document, words: document.words(), marks: document.marks() });
        writeln!(batch.lines, "{action}\n{}", source.map_err(Error::internal)?).map_err(Error::internal)?;
        batch.documents += 1;
        batch.months.insert(month);
    }
    Ok(batches)
}

// ── What comes back ──────────────────────────────────────────────────────────────────────────

#[derive(Serialize, Deserialize)]
struct Identity {
    uuid: String,
    #[serde(default)]
    analysis: u32,
}

#[derive(Deserialize)]
struct Hit<T> {
    #[serde(rename = "_source")]
    source: T,
}

#[derive(Deserialize)]
struct Page {
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    #[serde(default)]
    hits: Hits,
}

#[derive(Default, Deserialize)]
struct Hits {
    #[serde(default)]
    hits: Vec<Hit<Document>>,
}

#[derive(Deserialize)]
struct Refreshed {
    #[serde(rename = "_shards")]
    shards: Shards,
}

#[derive(Deserialize)]
struct Shards {
    failed: u32,
}

impl Shards {
    fn whole(&self) -> Result<()> {
        match self.failed {
            0 => Ok(()),
            _ => Err(Error::unavailable("a part of the archive is away")),
        }
    }
}

#[derive(Deserialize)]
struct Bulk {
    items: Vec<BulkItem>,
}

#[derive(Deserialize)]
struct BulkItem {
    index: ItemResult,
}

#[derive(Deserialize)]
struct ItemResult {
    status: u16,
    error: Option<Reason>,
}

/// Only the error type: the reason may quote contents.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Reason {
    #[serde(rename = "type")]
    kind: String,
    root_cause: Vec<Reason>,
}

#[derive(Deserialize)]
struct Refused {
    error: Reason,
}

/// The result of an answered request.
enum Answer<T> {
    Given(T),
    Refused { status: u16, reason: String },
}

impl<T> Answer<T> {
    fn given(self) -> Result<T> {
        match self {
            Self::Given(value) => Ok(value),
            refused => Err(refused.into_error()),
        }
    }

    fn into_error(self) -> Error {
        match self {
            Self::Given(_) => refuse("the archive answered success to a request that should fail"),
            Self::Refused { status, reason } => refusal(status, &reason),
        }
    }
}

async fn answer<T: DeserializeOwned>(
    sent: std::result::Result<Response, elasticsearch::Error>,
) -> Result<Answer<T>> {
    let response = sent.map_err(|e| away(&e))?;
    let status = response.status_code().as_u16();
    let bytes = response.bytes().await.map_err(|e| away(&e))?;
    if (200..300).contains(&status) {
        // serde's message may quote contents.
        return serde_json::from_slice(&bytes).map(Answer::Given).map_err(|e| {
            Error::internal(format!("the archive's answer has an unexpected form: {:?}", e.classify()))
        });
    }
    let reason = serde_json::from_slice::<Refused>(&bytes).map(|refused| refused.error).unwrap_or_default();
    let root = reason.root_cause.into_iter().next().map(|root| root.kind).filter(|kind| !kind.is_empty());
    Ok(Answer::Refused { status, reason: root.unwrap_or(reason.kind) })
}

/// No answer: refused, cut off, unknown host, untrusted or too late. Repair is on the server's side.
fn away(e: &elasticsearch::Error) -> Error {
    let mut cause = e.to_string();
    let mut deeper = std::error::Error::source(e);
    while let Some(source) = deeper {
        let text = source.to_string();
        if !cause.ends_with(&text) {
            let _ = write!(cause, ": {text}");
        }
        deeper = source.source();
    }
    Error::unavailable("the archive is away").because(cause)
}

/// An error answer: temporary, or caused by our request.
fn refusal(status: u16, reason: &str) -> Error {
    let cause = format!("Elasticsearch answered {status} {reason}");
    let detail = match (status, reason) {
        // Elasticsearch makes indices read-only when a disk is full.
        (_, "cluster_block_exception") => "the archive is read-only: check its free disk space",
        (401 | 403, _) => "the archive refuses our credentials",
        (408 | 429 | 500.., _) => "the archive is away",
        _ => return Error::internal(cause),
    };
    Error::unavailable(detail).because(cause)
}
