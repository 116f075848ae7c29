//! A company's HR service: people and departments as JSON over HTTP, page by page, all of them or what has
//! changed since a token; it lets people be changed by whoever says which version they have seen; and it is
//! as unreliable as such services are.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What the service and HR share.
pub const AUTHORIZATION: &str = "Bearer of-the-hr-tests";

/// The service. It belongs to the runtime it was started on.
pub struct Hr {
    address: SocketAddr,
    books: Arc<Mutex<Books>>,
    serving: JoinHandle<()>,
}

/// What it keeps, and how it behaves.
#[derive(Default)]
pub struct Books {
    people: Listing,
    departments: Listing,
    /// Rises with every change; a token is the number it was given at.
    changes: u64,
    /// Tokens from before are too old.
    oldest_token: u64,
    /// Requests that are still answered; after them it is dead. None: all of them.
    left: Option<u64>,
    /// Whether it lists nobody, as one does whose own database is away.
    pub empty: bool,
    /// Method and path of every request.
    pub asked: Vec<String>,
    /// Whether it says which version of somebody it tells of.
    pub unversioned: bool,
    /// Every change that was asked for.
    pub patches: Vec<Patch>,
    /// What becomes of the next ones; of those after them, what should.
    pub moods: VecDeque<Mood>,
}

/// A change that was asked for.
#[derive(Debug, Clone)]
pub struct Patch {
    pub id: String,
    pub if_match: Option<String>,
    pub body: Value,
    /// What became of it; none where nobody was told.
    pub status: Option<u16>,
}

/// How a change is dealt with.
#[derive(Debug, Clone, Copy)]
pub enum Mood {
    /// Nothing is changed, and this is answered; with seconds to wait, if any.
    Answer(u16, Option<u64>),
    /// It is changed, and nobody is ever told.
    Lost,
    /// Nothing is changed, and nothing ever answered.
    Silent,
}

/// Entries by id, each with the change that made it what it is; null once it is gone.
type Listing = BTreeMap<String, (u64, Value)>;

impl Hr {
    pub async fn start() -> Self {
        let books = Arc::new(Mutex::new(Books::default()));
        let router = Router::new()
            .route("/people", get(people))
            .route("/people/{id}", get(person).patch(change_person))
            .route("/departments", get(departments))
            .route("/departments/{id}", get(department))
            .with_state(books.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("HR serves") });
        Self { address, books, serving }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The settings of a service that asks it, by their keys in the environment.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let lines = self.settings();
        let pairs = lines.lines().filter_map(|line| line.split_once(" = "));
        pairs.map(|(key, value)| (key.replace('.', "_"), value.trim_matches('"').to_owned())).collect()
    }

    /// The settings (TOML) of a service that asks it, when it is told to.
    pub fn settings(&self) -> String {
        let base = self.url();
        format!(
            "directory.source = \"http\"\ndirectory.authorization = \"{AUTHORIZATION}\"\n\
             directory.users_url = \"{base}/people\"\ndirectory.departments_url = \"{base}/departments\"\n\
             directory.user_url = \"{base}/people/{{id}}\"\ndirectory.department_url = \"{base}/departments/{{id}}\"\n\
             directory.token_parameter = \"since\"\ndirectory.schedule = \"\"\ndirectory.full_schedule = \"\"\n"
        )
    }

    /// The same for one that also writes there, and does not wait long for an answer.
    pub fn write_settings(&self) -> String {
        format!(
            "{}directory.write_url = \"http://{}/people/{{id}}\"\ndirectory.timeout_ms = 700\n\
             directory.edit_retry_base_ms = 20\ndirectory.edit_retry_max_ms = 100\n",
            self.settings(),
            self.address
        )
    }

    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("no panic while held")
    }
}

impl Drop for Hr {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Books {
    /// Hires, moves or renames somebody: whatever the entry says.
    pub fn put(&mut self, entry: Value) {
        self.put_as(&id_of(&entry), entry);
    }

    /// An entry as it comes, whatever it says of itself.
    pub fn put_as(&mut self, id: &str, entry: Value) {
        self.changes += 1;
        self.people.insert(id.to_owned(), (self.changes, entry));
    }

    pub fn put_department(&mut self, entry: Value) {
        self.changes += 1;
        self.departments.insert(id_of(&entry), (self.changes, entry));
    }

    /// Changes one attribute of somebody.
    pub fn set(&mut self, id: &str, attribute: &str, value: Value) {
        let mut entry = self.people[id].1.clone();
        entry[attribute] = value;
        self.put(entry);
    }

    /// Takes somebody out of the books.
    pub fn remove(&mut self, id: &str) {
        self.changes += 1;
        self.people.insert(id.to_owned(), (self.changes, Value::Null));
    }

    pub fn remove_department(&mut self, id: &str) {
        self.changes += 1;
        self.departments.insert(id.to_owned(), (self.changes, Value::Null));
    }

    /// No token that was given so far is good any more.
    pub fn expire_tokens(&mut self) {
        self.oldest_token = self.changes + 1;
        self.changes += 1;
    }

    /// Answers so many more requests, and then none.
    pub fn dies_after(&mut self, requests: u64) {
        self.left = Some(requests);
    }

    pub fn comes_back(&mut self) {
        self.left = None;
    }

    /// An attribute of somebody, as the books have it.
    pub fn of(&self, id: &str, attribute: &str) -> Value {
        self.people[id].1[attribute].clone()
    }

    /// An entry with its version.
    fn told(&self, changed: u64, entry: &Value) -> Value {
        let mut entry = entry.clone();
        if !self.unversioned && entry.is_object() {
            entry["etag"] = json!(etag(changed));
        }
        entry
    }

    fn one(&self, listing: &Listing, id: &str) -> Response {
        match listing.get(id) {
            Some((changed, entry)) if !entry.is_null() && !self.empty => {
                let body = Json(self.told(*changed, entry));
                if self.unversioned {
                    return body.into_response();
                }
                ([("etag", etag(*changed))], body).into_response()
            }
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }

    /// RFC 7396 under RFC 9110's `If-Match`.
    fn change(&mut self, id: &str, if_match: Option<&str>, patch: &Value) -> StatusCode {
        let Some((changed, entry)) = self.people.get(id).filter(|(_, entry)| !entry.is_null()).cloned()
        else {
            return StatusCode::NOT_FOUND;
        };
        if if_match.is_some_and(|version| version != etag(changed)) {
            return StatusCode::PRECONDITION_FAILED;
        }
        let mut entry = entry;
        merge(&mut entry, patch);
        self.put(entry);
        StatusCode::OK
    }

    fn page(&self, listing: &Listing, query: &BTreeMap<String, String>) -> Response {
        let number = |name: &str| query.get(name).and_then(|n| n.parse::<u64>().ok());
        let since = number("since");
        if since.is_some_and(|since| since < self.oldest_token) {
            return StatusCode::GONE.into_response();
        }
        let limit = usize::try_from(number("limit").unwrap_or(1_000)).expect("a size");
        let after = query.get("cursor").map_or("", String::as_str);
        let mut items = Vec::new();
        for (id, (changed, entry)) in
            listing.range::<str, _>((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded))
        {
            let is_new = since.is_none_or(|since| *changed > since);
            if !is_new || self.empty || since.is_none() && entry.is_null() {
                continue;
            }
            let entry =
                if entry.is_null() { json!({"id": id, "deleted": true}) } else { self.told(*changed, entry) };
            items.push((id, entry));
            if items.len() > limit {
                break;
            }
        }
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|(id, _)| (*id).clone());
        let items: Vec<Value> = items.into_iter().map(|(_, entry)| entry).collect();
        Json(json!({"items": items, "next_cursor": next, "token": self.changes.to_string()})).into_response()
    }
}

fn etag(changed: u64) -> String {
    format!("\"v{changed}\"")
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let target = target.as_object_mut().expect("an object");
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

fn id_of(entry: &Value) -> String {
    entry["id"].as_str().expect("an id").to_owned()
}

/// Counts a request, and says what is wrong with it.
fn take(books: &mut Books, headers: &HeaderMap, asked: String) -> Result<(), StatusCode> {
    books.asked.push(asked);
    if let Some(left) = &mut books.left {
        *left = left.checked_sub(1).ok_or(StatusCode::BAD_GATEWAY)?;
    }
    match headers.get("authorization").map(|value| value.as_bytes()) {
        Some(value) if value == AUTHORIZATION.as_bytes() => Ok(()),
        _ => Err(StatusCode::UNAUTHORIZED),
    }
}

type Shared = State<Arc<Mutex<Books>>>;
type Asked = Query<BTreeMap<String, String>>;

async fn people(State(books): Shared, headers: HeaderMap, Query(query): Asked) -> Response {
    let mut books = books.lock().expect("no panic while held");
    match take(&mut books, &headers, "GET /people".to_owned()) {
        Ok(()) => books.page(&books.people, &query),
        Err(refused) => refused.into_response(),
    }
}

async fn departments(State(books): Shared, headers: HeaderMap, Query(query): Asked) -> Response {
    let mut books = books.lock().expect("no panic while held");
    match take(&mut books, &headers, "GET /departments".to_owned()) {
        Ok(()) => books.page(&books.departments, &query),
        Err(refused) => refused.into_response(),
    }
}

async fn person(State(books): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let mut books = books.lock().expect("no panic while held");
    match take(&mut books, &headers, format!("GET /people/{id}")) {
        Ok(()) => books.one(&books.people, &id),
        Err(refused) => refused.into_response(),
    }
}

async fn department(State(books): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let mut books = books.lock().expect("no panic while held");
    match take(&mut books, &headers, format!("GET /departments/{id}")) {
        Ok(()) => books.one(&books.departments, &id),
        Err(refused) => refused.into_response(),
    }
}

async fn change_person(
    State(shared): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Response {
    let status = {
        let mut books = shared.lock().expect("no panic while held");
        if let Err(refused) = take(&mut books, &headers, format!("PATCH /people/{id}")) {
            return refused.into_response();
        }
        let if_match = headers.get("if-match").map(|value| value.to_str().expect("a version").to_owned());
        let mood = books.moods.pop_front();
        let status = match mood {
            Some(Mood::Answer(status, _)) => Some(status),
            Some(Mood::Silent) => None,
            Some(Mood::Lost) => {
                books.change(&id, if_match.as_deref(), &body);
                None
            }
            None => Some(books.change(&id, if_match.as_deref(), &body).as_u16()),
        };
        books.patches.push(Patch { id, if_match, body, status });
        status.map(|status| (status, mood))
    };
    match status {
        Some((status, Some(Mood::Answer(_, Some(seconds))))) => {
            (StatusCode::from_u16(status).expect("a status"), [("retry-after", seconds.to_string())])
                .into_response()
        }
        Some((status, _)) => StatusCode::from_u16(status).expect("a status").into_response(),
        None => std::future::pending().await,
    }
}
