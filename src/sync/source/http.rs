//! Reads users from an HR service or SCIM server over HTTP, in pages of JSON, and writes them there.

mod scim;
mod write;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::header::{ACCEPT, AUTHORIZATION, ETAG, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use super::fields::{Fields, lay_under};
use super::{Entry, EntryKind, Failure, ListingEnd, Page, Pull, Request, Source, Tokens, Writer, body};
use crate::base::config::{DirectorySettings, Paging, SourceKind};
use crate::base::error::{Error, Kind, Result as OpenResult};
use crate::base::renewed::Renewed;
use crate::base::trace;
use scim::Memberships;

/// Attempts for a page before the run fails, and the first pause, doubled each time.
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest `Retry-After` that is honoured.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// Most pages of a listing: more is an endless listing.
const PAGES_MAX: usize = 100_000;

/// Default mapping of an HR service's attributes.
const USER_FIELDS: &[(&str, &str)] = &[
    ("external_id", "/id"),
    ("name", "/name"),
    ("active", "/active"),
    ("gone", "/deleted"),
    ("login_name", "/login_name"),
    ("employee_number", "/employee_number"),
    ("title", "/title"),
    ("email", "/email"),
    ("phone", "/phone"),
    ("manager", "/manager_id"),
    ("department_ids", "/department_ids/*"),
];
const DEPARTMENT_FIELDS: &[(&str, &str)] = &[
    ("department_id", "/id"),
    ("name", "/name"),
    ("parent_id", "/parent_id"),
    ("sort_order", "/sort_order"),
    ("gone", "/deleted"),
];

/// A source over HTTP.
pub struct Http(Arc<HttpClient>);

struct HttpClient {
    name: &'static str,
    clients: Renewed<Client>,
    fields: Fields,
    settings: DirectorySettings,
}

/// The next request.
enum Next {
    /// A listing, from its next page on.
    Listing {
        what: EntryKind,
        at: At,
    },
    One {
        what: EntryKind,
        external_id: String,
    },
}

/// How far a listing has come.
#[derive(Default)]
struct At {
    cursor: Option<String>,
    /// Number of entries so far, and the expected total.
    seen: u64,
    total: Option<u64>,
}

struct HttpPull {
    client: Arc<HttpClient>,
    since: Option<Tokens>,
    left: VecDeque<Next>,
    pages: usize,
    tokens: Tokens,
    memberships: Memberships,
}

impl Http {
    /// # Errors
    /// `Kind::Internal` with the setting that is invalid.
    pub fn new(settings: &DirectorySettings, connection_life: Duration) -> OpenResult<Self> {
        let mut settings = settings.clone();
        let name = if settings.source == SourceKind::Scim { "scim-server" } else { "http" };
        if settings.source == SourceKind::Scim {
            scim::lay_out(&mut settings);
        }
        lay_under(&mut settings.user_fields, USER_FIELDS);
        lay_under(&mut settings.department_fields, DEPARTMENT_FIELDS);
        let own = settings.clone();
        let clients = Renewed::new(connection_life, move || client(&own))?;
        Ok(Self(Arc::new(HttpClient { name, clients, fields: Fields::new(&settings)?, settings })))
    }
}

fn client(settings: &DirectorySettings) -> OpenResult<Client> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/scim+json, application/json"));
    let authorization = settings.authorization.expose();
    if !authorization.is_empty() {
        let unfit = |_| Error::new(Kind::Internal, "directory.authorization is not a valid header value");
        let mut value = HeaderValue::from_str(authorization).map_err(unfit)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let mut builder = Client::builder()
        .http1_only()
        .default_headers(headers)
        .timeout(settings.timeout)
        // A redirect would carry the authorization to another server.
        .redirect(reqwest::redirect::Policy::none());
    if !settings.ca_file.is_empty() {
        let unfit = |e: std::io::Error| Error::new(Kind::Internal, format!("directory.ca_file: {e}"));
        let pem = std::fs::read(&settings.ca_file).map_err(unfit)?;
        for certificate in reqwest::Certificate::from_pem_bundle(&pem).map_err(Error::internal)? {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(Error::internal)
}

impl Source for Http {
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn has_departments(&self) -> bool {
        !self.0.settings.departments_url.is_empty()
    }

    fn has_tokens(&self) -> bool {
        !self.0.settings.token_parameter.is_empty()
    }

    fn reads_one(&self) -> bool {
        let settings = &self.0.settings;
        !settings.user_url.is_empty()
            && (settings.departments_url.is_empty() || !settings.department_url.is_empty())
    }

    fn provides(&self, attribute: &str) -> bool {
        self.0.fields.provides(attribute)
    }

    fn pull(&self, want: Request) -> Box<dyn Pull> {
        let listing = |what| Next::Listing { what, at: At::default() };
        let (since, left) = match want {
            Request::These { users, departments } => {
                let one = |what| move |external_id| Next::One { what, external_id };
                let departments = departments.into_iter().map(one(EntryKind::Departments));
                (None, departments.chain(users.into_iter().map(one(EntryKind::Users))).collect())
            }
            want => {
                let since = match want {
                    // An invalid token is ignored, and a full listing is made.
                    Request::Since(token) => serde_json::from_str(&token).ok(),
                    _ => None,
                };
                let departments = self.has_departments().then(|| listing(EntryKind::Departments));
                (since, departments.into_iter().chain([listing(EntryKind::Users)]).collect())
            }
        };
        Box::new(HttpPull {
            client: self.0.clone(),
            since,
            left,
            pages: 0,
            tokens: Tokens::default(),
            memberships: Memberships::default(),
        })
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }
}

impl Pull for HttpPull {
    fn page(&mut self) -> BoxFuture<'_, Result<Option<Page>, Failure>> {
        async move {
            self.pages += 1;
            if self.pages > PAGES_MAX {
                return Err(Failure::Failed("the listing does not end".to_owned()));
            }
            match self.left.pop_front() {
                None => Ok(None),
                Some(Next::One { what, external_id }) => self.one(what, &external_id).await.map(Some),
                Some(Next::Listing { what, at }) => self.listed(what, at).await.map(Some),
            }
        }
        .boxed()
    }

    fn missing(&mut self, what: EntryKind, ids: Option<Vec<String>>) {
        self.memberships.are_whole &= ids.is_some() || what != EntryKind::Departments;
        for external_id in ids.into_iter().flatten().rev() {
            self.left.push_front(Next::One { what, external_id });
        }
    }

    fn token(&self) -> Option<String> {
        self.tokens.users.as_ref()?;
        serde_json::to_string(&self.tokens).ok()
    }
}

impl HttpPull {
    async fn one(&mut self, what: EntryKind, external_id: &str) -> Result<Page, Failure> {
        let settings = &self.client.settings;
        let template = match what {
            EntryKind::Departments => &settings.department_url,
            EntryKind::Users => &settings.user_url,
        };
        let entry = match self.client.get(at(template, external_id)?).await? {
            // The members of a Group are in this entry.
            Got::Page(entry) if what == EntryKind::Departments => self.entry(what, &entry),
            Got::Page(entry) => self.client.single_entry(&entry),
            Got::Gone => Fields::gone(what, external_id),
        };
        let entry = match entry {
            Entry::Bad { external_id: None, detail, .. } => Entry::bad(what, Some(external_id), detail),
            entry if entry.external_id() == Some(external_id) => entry,
            // The answer contains no information about the requested record.
            _ => Entry::bad(what, Some(external_id), "the source answers with another record"),
        };
        Ok(Page { entries: vec![entry], ended: None })
    }

    fn entry(&mut self, what: EntryKind, entry: &RawValue) -> Entry {
        let mut entry = match read(what, entry) {
            Ok(entry) => entry,
            Err(bad) => return bad,
        };
        let has_departments = match (self.client.is_scim(), what) {
            (false, _) => true,
            (true, EntryKind::Departments) => self.memberships.note(&entry),
            (true, EntryKind::Users) => self.memberships.complete(&mut entry),
        };
        self.client.entry(what, &entry, has_departments)
    }

    async fn listed(&mut self, what: EntryKind, mut at: At) -> Result<Page, Failure> {
        let url = self.url(what, &at)?;
        let Got::Page(body) = self.client.get(url.clone()).await? else {
            // The answer to an expired token. Without a token the address is wrong.
            return Err(match &self.since {
                Some(_) => Failure::Expired,
                None => {
                    Failure::Failed("the listing does not exist: the source answers 404 or 410".to_owned())
                }
            });
        };
        let client = self.client.clone();
        let settings = &client.settings;
        let Some(entries) = body::entries(&body, &settings.items) else {
            return Err(Failure::Failed("a page has no entries at directory.items".to_owned()));
        };
        at.seen += entries.len() as u64;
        let is_empty = entries.is_empty();
        let entries = entries.into_iter().map(|entry| self.entry(what, entry)).collect();
        let more = match settings.paging {
            Paging::Cursor => {
                at.total = body::text(&body, &settings.total).and_then(|total| total.parse().ok());
                let before = at.cursor.take();
                at.cursor = body::text(&body, &settings.next);
                if before.is_some() && before == at.cursor {
                    return Err(Failure::Failed("a page names itself as the next page".to_owned()));
                }
                at.cursor.is_some()
            }
            Paging::Index => index_goes_on(&mut at, body::text(&body, &settings.total), is_empty)?,
        };
        // The token of the first page: later changes are then listed twice rather than never.
        if let (slot @ None, Some(token)) = (self.tokens.of(what), body::text(&body, &settings.token)) {
            if token.contains('\0') {
                return Err(Failure::Failed("the token contains an invalid character".to_owned()));
            }
            *slot = Some(token);
        }
        let ended = (!more).then_some(ListingEnd { what, total: at.total, unchanged: None });
        if more {
            self.left.push_front(Next::Listing { what, at });
        }
        Ok(Page { entries, ended })
    }

    fn url(&self, what: EntryKind, at: &At) -> Result<Url, Failure> {
        let settings = &self.client.settings;
        let base = match what {
            EntryKind::Departments => &settings.departments_url,
            EntryKind::Users => &settings.users_url,
        };
        let mut url = parse(base)?;
        if let Some(next) = &at.cursor {
            // Some services give the full URL of the next page. It must be on the same server, because it
            // gets our credentials.
            if let Ok(whole) = Url::parse(next) {
                if whole.origin() != url.origin() {
                    return Err(Failure::Failed("the next page is on another server".to_owned()));
                }
                return Ok(whole);
            }
            url.query_pairs_mut().append_pair(&settings.cursor_parameter, next);
        }
        if settings.paging == Paging::Index {
            url.query_pairs_mut().append_pair(&settings.index_parameter, &(at.seen + 1).to_string());
        }
        if !settings.page_size_parameter.is_empty() {
            url.query_pairs_mut().append_pair(&settings.page_size_parameter, &settings.page_size.to_string());
        }
        let since = self.since.clone().and_then(|mut tokens| tokens.of(what).take());
        if let Some(token) = &since {
            url.query_pairs_mut().append_pair(&settings.token_parameter, token);
        }
        Ok(url)
    }
}

/// A listing by index must not change while it is read, because entries could be skipped.
fn index_goes_on(at: &mut At, total: Option<String>, is_empty: bool) -> Result<bool, Failure> {
    let Some(total) = total.and_then(|total| total.parse().ok()) else {
        return Err(Failure::Failed("a page has no total at directory.total".to_owned()));
    };
    if *at.total.get_or_insert(total) != total || is_empty && at.seen < total || at.seen > total {
        return Err(Failure::Failed("the listing changed while it was read".to_owned()));
    }
    Ok(at.seen < total)
}

/// Escapes everything in an id except plain characters, so that it cannot lead to another address.
fn at(template: &str, external_id: &str) -> Result<Url, Failure> {
    let id: String = url::form_urlencoded::byte_serialize(external_id.as_bytes()).collect();
    parse(&template.replace("{id}", &id.replace('+', "%20")))
}

fn parse(url: &str) -> Result<Url, Failure> {
    Url::parse(url).map_err(|_| Failure::Failed("an address is not a valid URL".to_owned()))
}

/// The answer to a read.
enum Got {
    Page(Box<RawValue>),
    /// 404 or 410.
    Gone,
}

/// Why an attempt failed, and whether a retry may help.
struct Miss {
    reason: String,
    passes: bool,
}

impl HttpClient {
    /// Sends a request, and retries it if that may help.
    async fn get(&self, url: Url) -> Result<Got, Failure> {
        let (mut attempt, mut pause) = (1, FIRST_PAUSE);
        loop {
            match self.attempt(url.clone()).await {
                Ok(got) => return Ok(got),
                Err(miss) if miss.passes && attempt < ATTEMPTS => {
                    tracing::debug!(reason = miss.reason, attempt, "the directory's source is asked again");
                    tokio::time::sleep(pause).await;
                    attempt += 1;
                    pause *= 2;
                }
                Err(miss) => return Err(Failure::Failed(miss.reason)),
            }
        }
    }

    async fn attempt(&self, url: Url) -> Result<Got, Miss> {
        let answer = self.exchange(self.clients.get().get(url)).await?;
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Got::Gone),
            status if status.is_success() => answer.json().map(Got::Page),
            status => {
                let passes = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                Err(Miss { reason: format!("the source answers {}", status.as_u16()), passes })
            }
        }
    }

    /// Sends a request once. Only the body of a successful answer is read.
    async fn exchange(&self, request: RequestBuilder) -> Result<Answer, Miss> {
        let passing = |reason: &str| Miss { reason: reason.to_owned(), passes: true };
        let mut response = request
            .headers(trace::headers())
            .send()
            .await
            .map_err(|e| passing(if e.is_timeout() { "no answer in time" } else { "no connection" }))?;
        let mut answer = Answer {
            status: response.status(),
            etag: header(response.headers(), ETAG),
            retry_after: header(response.headers(), RETRY_AFTER)
                .and_then(|seconds| seconds.parse().ok())
                .map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX)),
            body: Vec::new(),
        };
        if !answer.status.is_success() {
            return Ok(answer);
        }
        while let Some(part) = response.chunk().await.map_err(|_| passing("an answer was cut off"))? {
            if answer.body.len() + part.len() > self.settings.answer_max_bytes {
                let reason = "an answer is larger than directory.answer_max_bytes".to_owned();
                return Err(Miss { reason, passes: false });
            }
            answer.body.extend_from_slice(&part);
        }
        Ok(answer)
    }

    fn is_scim(&self) -> bool {
        self.settings.source == SourceKind::Scim
    }

    /// The record in an entry. If `has_departments` is false, the departments stay as they are.
    fn entry(&self, what: EntryKind, entry: &Value, has_departments: bool) -> Entry {
        let mut entry = match what {
            EntryKind::Departments => self.fields.department(entry),
            EntryKind::Users => self.fields.user(entry),
        };
        if let (Entry::User(user), false) = (&mut entry, has_departments)
            && !user.unset.contains(&"department_ids")
        {
            user.unset.push("department_ids");
        }
        entry
    }

    /// The record of a user who was read alone.
    fn single_entry(&self, entry: &RawValue) -> Entry {
        match read(EntryKind::Users, entry) {
            Ok(mut entry) => {
                let has_departments = !self.is_scim() || scim::read_alone(&mut entry);
                self.entry(EntryKind::Users, &entry, has_departments)
            }
            Err(bad) => bad,
        }
    }
}

/// The answer to one request.
struct Answer {
    status: StatusCode,
    etag: Option<String>,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Result<Box<RawValue>, Miss> {
        let no_json = |_| Miss { reason: "an answer is not JSON".to_owned(), passes: false };
        serde_json::from_str(&body::mended(&self.body)).map_err(no_json)
    }
}

/// Parses one entry of a page.
fn read(what: EntryKind, entry: &RawValue) -> Result<Value, Entry> {
    serde_json::from_str(entry.get())
        .map_err(|_| Entry::bad(what, None, "contains a number that is too large, or is nested too deeply"))
}

fn header(headers: &HeaderMap, name: reqwest::header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(|value| value.trim().to_owned())
}
