//! A server of people and departments that answers with exactly the bytes it was given: as a SCIM server pages
//! (by index, with a total) and as an HR service does (by cursor), and as wrongly as they do.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The server. It belongs to the runtime it was started on.
pub struct Roll {
    base: String,
    lists: Arc<Mutex<Lists>>,
    serving: JoinHandle<()>,
}

/// `Users` and `Groups`, each a list.
pub type Lists = BTreeMap<&'static str, List>;

#[derive(Default)]
pub struct List {
    /// What there is, by id, and the bytes it is told in.
    pub entries: Vec<(String, Vec<u8>)>,
    /// What the next requests for a page see of it: ids. The last one stays; without one, everything.
    pub views: VecDeque<Vec<String>>,
    /// What is said of how many there are, where that is not true.
    pub total: Option<usize>,
    /// Ids that were asked for alone.
    pub asked: Vec<String>,
}

impl List {
    pub fn put(&mut self, id: &str, entry: impl Into<Vec<u8>>) {
        self.remove(id);
        self.entries.push((id.to_owned(), entry.into()));
    }

    pub fn remove(&mut self, id: &str) {
        self.entries.retain(|(known, _)| known != id);
    }

    /// What the next pages see, one after another.
    pub fn shows(&mut self, views: &[&[&str]]) {
        self.views = views.iter().map(|view| view.iter().map(|id| (*id).to_owned()).collect()).collect();
    }

    fn page(&mut self, query: &BTreeMap<String, String>) -> Response {
        let number = |name: &str| query.get(name).and_then(|n| n.parse::<usize>().ok());
        let seen: Vec<&(String, Vec<u8>)> = match self.views.front() {
            None => self.entries.iter().collect(),
            Some(ids) => {
                let entry = |id| self.entries.iter().find(|(known, _)| known == id);
                ids.iter().map(|id| entry(id).expect("an entry")).collect()
            }
        };
        let start = number("cursor").or(number("startIndex").map(|index| index - 1)).unwrap_or(0);
        let end = seen.len().min(start + number("count").or(number("limit")).unwrap_or(1_000));
        let total = self.total.unwrap_or(seen.len());
        let next = if end < seen.len() { format!("\"{end}\"") } else { "null".to_owned() };
        let mut body =
            format!("{{\"totalResults\":{total},\"next_cursor\":{next},\"Resources\":[").into_bytes();
        let entries: Vec<&[u8]> =
            seen[start.min(end)..end].iter().map(|(_, entry)| entry.as_slice()).collect();
        body.extend(entries.join(&b","[..]));
        body.extend(b"]}");
        if self.views.len() > 1 {
            self.views.pop_front();
        }
        told(body)
    }

    fn one(&mut self, id: String) -> Response {
        let found = self.entries.iter().find(|(known, _)| *known == id).map(|(_, entry)| entry.clone());
        self.asked.push(id);
        found.map_or_else(|| StatusCode::NOT_FOUND.into_response(), told)
    }
}

impl Roll {
    pub async fn start() -> Self {
        let lists: Lists = BTreeMap::from([("Users", List::default()), ("Groups", List::default())]);
        let lists = Arc::new(Mutex::new(lists));
        let router = Router::new()
            .route("/{list}", get(page))
            .route("/{list}/{id}", get(one))
            .with_state(lists.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { base, lists, serving }
    }

    /// The settings (TOML) of a service that asks it as a SCIM server.
    pub fn scim(&self) -> String {
        format!("directory.source = \"scim\"\ndirectory.users_url = \"{}\"\n{WHEN_TOLD}", self.base)
    }

    /// The same as an HR service: `by` cursor or index; without an address of one person.
    pub fn hr(&self, by: &str) -> String {
        let base = &self.base;
        format!(
            "directory.source = \"http\"\ndirectory.users_url = \"{base}/Users\"\n\
             directory.departments_url = \"{base}/Groups\"\ndirectory.paging = \"{by}\"\n\
             directory.items = \"/Resources\"\n{WHEN_TOLD}"
        )
    }

    /// Where one person, and one department, is read.
    pub fn alone(&self) -> String {
        let base = &self.base;
        format!(
            "directory.user_url = \"{base}/Users/{{id}}\"\ndirectory.department_url = \"{base}/Groups/{{id}}\"\n"
        )
    }

    pub fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().expect("no panic while held")
    }

    /// People or departments, to be changed.
    pub fn change<T>(&self, list: &str, work: impl FnOnce(&mut List) -> T) -> T {
        work(self.lists().get_mut(list).expect("a list"))
    }
}

const WHEN_TOLD: &str =
    "directory.schedule = \"\"\ndirectory.full_schedule = \"\"\ndirectory.guard_share = 1.0\n";

impl Drop for Roll {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn told(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

type Shared = State<Arc<Mutex<Lists>>>;

async fn page(
    State(lists): Shared,
    Path(list): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let mut lists = lists.lock().expect("no panic while held");
    lists.get_mut(list.as_str()).map_or_else(|| StatusCode::NOT_FOUND.into_response(), |l| l.page(&query))
}

async fn one(State(lists): Shared, Path((list, id)): Path<(String, String)>) -> Response {
    let mut lists = lists.lock().expect("no panic while held");
    lists.get_mut(list.as_str()).map_or_else(|| StatusCode::NOT_FOUND.into_response(), |l| l.one(id))
}
