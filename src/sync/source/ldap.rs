//! Users of an LDAP server (RFC 4511). With content synchronization (RFC 4533), changes since a cookie are
//! listed. Other servers are listed in full with paged search (RFC 2696).
//!
//! An entry is identified by its UUID, which survives renames and moves. Its place in the tree, and
//! references in its attributes, are DNs, which are resolved to ids.

mod dn;
mod listing;
mod names;
mod session;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ldap3::{ResultEntry, Scope, SearchEntry, get_url_params, ldap_escape};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use super::fields::{Fields, lay_under};
use super::{Entry, EntryKind, Failure, ListingEnd, Page, Pull, Request, Source, Tokens};
use crate::base::config::DirectorySettings;
use crate::base::error::{Error, Kind, Result as OpenResult};
use crate::base::tls::{self, Authorities};
use listing::{Item, Listing};
use names::Names;
use session::{LdapSearch, Server, Session};

/// Default mapping of inetOrgPerson (RFC 2798) and organizationalUnit (RFC 4519).
const USER_FIELDS: &[(&str, &str)] = &[
    ("name", "/displayName/0|/cn/0"),
    ("login_name", "/uid/0"),
    ("employee_number", "/employeeNumber/0"),
    ("title", "/title/0"),
    ("email", "/mail/0"),
    ("phone", "/telephoneNumber/0|/mobile/0"),
    ("manager", "/manager/0"),
    ("department_ids", "/parent_id"),
];
const DEPARTMENT_FIELDS: &[(&str, &str)] = &[("name", "/ou/0|/cn/0"), ("parent_id", "/parent_id")];
/// An attribute that this module adds to an entry.
const ID: &str = "id";
const PARENT: &str = "parent_id";
/// The id attribute of content synchronization (RFC 4530).
const ENTRY_UUID: &str = "entryUUID";
/// The id attribute of Active Directory, 16 bytes.
const OBJECT_GUID: &str = "objectGUID";

/// A source over LDAP.
pub struct Ldap(Arc<LdapClient>);

struct LdapClient {
    server: Server,
    users: LdapSearch,
    departments: Option<LdapSearch>,
    id_attribute: String,
    fields: Fields,
    /// The requested attributes, and the ones with DNs: which kind of entry they name.
    user_attributes: BTreeSet<String>,
    department_attributes: BTreeSet<String>,
    user_names: BTreeMap<String, EntryKind>,
    department_names: BTreeMap<String, EntryKind>,
    page_size: u32,
    /// A digest of the settings behind a token: a token is not valid for other settings.
    shape: String,
}

/// A listing under way.
struct LdapPull {
    client: Arc<LdapClient>,
    since: Option<Tokens>,
    is_stale: bool,
    left: VecDeque<EntryKind>,
    these: VecDeque<(EntryKind, String)>,
    /// The current listing and its kind.
    listing: Option<(EntryKind, Listing)>,
    names: Names,
    tokens: Tokens,
}

/// The content of a token.
#[derive(Serialize, Deserialize)]
struct Token {
    shape: String,
    #[serde(flatten)]
    cookies: Tokens,
}

impl Ldap {
    /// # Errors
    /// `Kind::Internal` with the setting that is invalid.
    pub fn new(settings: &DirectorySettings) -> OpenResult<Self> {
        let mut settings = settings.clone();
        if settings.departments_url.is_empty() {
            // Without listed departments, the place of an entry is unknown. The API sets departments then.
            lay_under(&mut settings.user_fields, &[("department_ids", "")]);
        }
        lay_under(&mut settings.user_fields, USER_FIELDS);
        lay_under(&mut settings.department_fields, DEPARTMENT_FIELDS);
        settings.user_fields.insert("external_id".to_owned(), format!("/{ID}"));
        settings.department_fields.insert("department_id".to_owned(), format!("/{ID}"));
        let (url, users) = located("directory.users_url", &settings.users_url)?;
        let departments = match settings.departments_url.as_str() {
            "" => None,
            given => Some(located("directory.departments_url", given)?),
        };
        let server = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port());
        if departments.as_ref().is_some_and(|(other, _)| server(other) != server(&url)) {
            return Err(refuse("directory.departments_url is on another server than directory.users_url"));
        }
        if departments.as_ref().is_some_and(|(_, search)| search.scope != Scope::Subtree) {
            return Err(refuse("directory.departments_url must have the scope sub"));
        }
        let tls = tls::client(&Authorities::Also(&settings.ca_file), "directory.ca_file")?;
        let user_attributes = attributes(settings.user_fields.values());
        let department_attributes = attributes(settings.department_fields.values());
        let names = |fields: &BTreeMap<String, String>, field: &str, what| {
            attributes(fields.get(field).into_iter()).into_iter().map(move |name| (name, what))
        };
        let asked_for = (
            (&settings.users_url, &settings.departments_url, &settings.id_attribute, &settings.bind_dn),
            (&settings.user_fields, &settings.department_fields, &settings.kinds, &settings.local),
        );
        let shape = BASE64.encode(Sha256::digest(format!("{asked_for:?}")));
        Ok(Self(Arc::new(LdapClient {
            user_names: names(&settings.user_fields, "manager", EntryKind::Users)
                .chain(names(&settings.user_fields, "department_ids", EntryKind::Departments))
                .filter(|(_, what)| *what == EntryKind::Users || departments.is_some())
                .collect(),
            department_names: names(&settings.department_fields, "parent_id", EntryKind::Departments)
                .collect(),
            fields: Fields::new(&settings)?.listed_is_active(&settings),
            server: Server {
                url,
                bind_dn: settings.bind_dn,
                bind_password: settings.bind_password,
                starttls: settings.starttls,
                tls: Arc::new(tls),
                timeout: settings.timeout,
            },
            users,
            departments: departments.map(|(_, search)| search),
            id_attribute: settings.id_attribute,
            user_attributes,
            department_attributes,
            page_size: settings.page_size,
            shape,
        })))
    }
}

/// The server and search of a URL.
fn located(setting: &str, given: &str) -> OpenResult<(Url, LdapSearch)> {
    let url = Url::parse(given).map_err(|_| refuse(format!("{setting} is not a URL")))?;
    let parts =
        get_url_params(&url).map_err(|_| refuse(format!("{setting} is not an LDAP URL (RFC 4516)")))?;
    let (base, scope, filter) = (parts.base.into_owned(), parts.scope, parts.filter.into_owned());
    ldap3::parse_filter(&filter).map_err(|()| refuse(format!("{setting} has an invalid filter")))?;
    // The filter becomes part of another one.
    let filter = if filter.starts_with('(') { filter } else { format!("({filter})") };
    Ok((url, LdapSearch { base, scope, filter }))
}

fn refuse(why: impl Into<String>) -> Error {
    Error::new(Kind::Internal, why.into())
}

/// The attributes that these pointers name.
fn attributes<'a>(pointers: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    pointers
        .flat_map(|pointers| pointers.split('|'))
        .filter_map(|pointer| pointer.trim().split('/').nth(1))
        .filter(|name| ![ID, PARENT].contains(name))
        .map(str::to_owned)
        .collect()
}

impl Source for Ldap {
    fn name(&self) -> &'static str {
        "ldap"
    }

    fn has_departments(&self) -> bool {
        self.0.departments.is_some()
    }

    /// A server without content synchronization gives no token.
    fn has_tokens(&self) -> bool {
        true
    }

    fn reads_one(&self) -> bool {
        true
    }

    fn provides(&self, attribute: &str) -> bool {
        self.0.fields.provides(attribute)
    }

    fn pull(&self, want: Request) -> Box<dyn Pull> {
        let (mut since, mut is_stale) = (None, false);
        let (mut left, mut these) = (VecDeque::new(), VecDeque::new());
        match want {
            Request::These { users, departments } => {
                let departments = departments.into_iter().filter(|_| self.has_departments());
                these.extend(departments.map(|id| (EntryKind::Departments, id)));
                these.extend(users.into_iter().map(|id| (EntryKind::Users, id)));
            }
            want => {
                if let Request::Since(token) = want {
                    let token = serde_json::from_str::<Token>(&token).ok();
                    since = token.filter(|token| token.shape == self.0.shape).map(|token| token.cookies);
                    is_stale = since.is_none();
                }
                left.extend(self.has_departments().then_some(EntryKind::Departments));
                left.push_back(EntryKind::Users);
            }
        }
        Box::new(LdapPull {
            client: self.0.clone(),
            since,
            is_stale,
            left,
            these,
            listing: None,
            names: Names::default(),
            tokens: Tokens::default(),
        })
    }
}

impl Pull for LdapPull {
    fn page(&mut self) -> BoxFuture<'_, Result<Option<Page>, Failure>> {
        // The library panics on data it cannot parse. Only this run must fail.
        let page = AssertUnwindSafe(self.next_page()).catch_unwind();
        page.map(|done| {
            done.unwrap_or_else(|_| Err(Failure::Failed("an answer cannot be parsed".to_owned())))
        })
        .boxed()
    }

    fn token(&self) -> Option<String> {
        self.tokens.users.as_ref()?;
        let token = Token { shape: self.client.shape.clone(), cookies: self.tokens.clone() };
        serde_json::to_string(&token).ok()
    }

    fn missing(&mut self, what: EntryKind, ids: Option<Vec<String>>) {
        self.these.extend(ids.into_iter().flatten().map(|id| (what, id)));
    }
}

impl LdapPull {
    async fn next_page(&mut self) -> Result<Option<Page>, Failure> {
        if self.is_stale {
            return Err(Failure::Expired);
        }
        if !self.these.is_empty() {
            let entries = self.read_these().await?;
            return Ok(Some(Page { entries, ended: None }));
        }
        let (what, mut listing) = match self.listing.take() {
            Some(begun) => begun,
            None => {
                let Some(what) = self.left.pop_front() else { return Ok(None) };
                (what, self.begin(what).await?)
            }
        };
        let items = listing.read(&self.client, what).await?;
        let ended = listing.ended().map(|end| {
            *self.tokens.of(what) = end.cookie.map(|cookie| BASE64.encode(cookie));
            ListingEnd { what, total: None, unchanged: end.unchanged }
        });
        if ended.is_none() {
            self.listing = Some((what, listing));
        }
        Ok(Some(Page { entries: self.entries(what, items).await?, ended }))
    }

    async fn begin(&mut self, what: EntryKind) -> Result<Listing, Failure> {
        let session = Session::open(&self.client.server).await?;
        let cookie = match &mut self.since {
            None => None,
            Some(since) => {
                let cookie = since.of(what).take().and_then(|text| BASE64.decode(text).ok());
                Some(cookie.ok_or(Failure::Expired)?)
            }
        };
        Listing::begin(&self.client, what, session, cookie).await
    }

    /// Reads some of the requested records. One that is not found is gone.
    async fn read_these(&mut self) -> Result<Vec<Entry>, Failure> {
        let what = self.these[0].0;
        let most = self.these.len().min(self.client.page_size as usize);
        let same = self.these.iter().take(most).take_while(|(kind, _)| *kind == what).count();
        let ids: Vec<String> = self.these.drain(..same).map(|(_, id)| id).collect();
        let client = self.client.clone();
        let mut session = Session::open(&client.server).await?;
        let search = |id: &String| {
            let LdapSearch { base, scope, filter } = client.search(what).clone();
            LdapSearch { base, scope, filter: format!("(&{filter}({}))", is(&client.id_attribute, id)) }
        };
        let attributes = client.attributes(what);
        let found = session.search_all(ids.iter().map(search).collect(), &attributes, 1).await?;
        let mut items = Vec::new();
        for (id, (entries, result)) in ids.into_iter().zip(found) {
            session::succeeded("the search for one entry", &result)?;
            let entry = entries.into_iter().find_map(entry_of);
            items.push(match entry.filter(|entry| client.is_listed(what, &entry.dn)) {
                Some(entry) => item(entry, &client),
                // The caller may write a UUID in another form.
                None => Item::Gone(Uuid::parse_str(&id).map_or(id, |uuid| uuid.to_string())),
            });
        }
        self.entries(what, items).await
    }

    /// The records of these entries, after all their DNs are resolved.
    async fn entries(&mut self, what: EntryKind, items: Vec<Item>) -> Result<Vec<Entry>, Failure> {
        let client = self.client.clone();
        self.names.begin_page();
        let entries = || {
            items.iter().filter_map(|item| match item {
                Item::There { id, entry } => Some((id, entry)),
                Item::Gone(_) | Item::Nameless(_) => None,
            })
        };
        for (id, entry) in entries() {
            self.names.note(what, &entry.dn, id);
        }
        if client.departments.is_some() {
            self.names.look_above(&client, entries().map(|(_, entry)| entry.dn.as_str())).await?;
        }
        for (attribute, of) in client.names(what) {
            let named = entries().flat_map(|(_, entry)| values(entry, attribute));
            self.names.look_up(&client, *of, named.map(String::as_str)).await?;
        }
        Ok(items.iter().map(|item| self.entry(what, item)).collect())
    }

    fn entry(&self, what: EntryKind, item: &Item) -> Entry {
        let client = &self.client;
        let (id, entry) = match item {
            Item::There { id, entry } => (id, entry),
            Item::Gone(id) => return Fields::gone(what, id),
            Item::Nameless(why) => return Entry::bad(what, None, *why),
        };
        let mut record = json!({ID: id});
        if client.departments.is_some() {
            match self.names.department_over(client, &entry.dn) {
                Ok(department) => record[PARENT] = json!(department),
                Err(why) => return Entry::bad(what, Some(id), why),
            }
        }
        for attribute in client.attributes_of_records(what) {
            record[attribute] = match client.names(what).get(attribute) {
                None => json!(texts(entry, attribute)),
                Some(of) => {
                    // Entries that are not listed are left out: a reference can outlive its entry.
                    let named = values(entry, attribute).iter();
                    let ids: BTreeSet<&str> = named.filter_map(|dn| self.names.id(*of, dn)).collect();
                    ids.into_iter().collect()
                }
            };
        }
        match what {
            EntryKind::Departments => client.fields.department(&record),
            EntryKind::Users => client.fields.user(&record),
        }
    }
}

impl LdapClient {
    fn search(&self, what: EntryKind) -> &LdapSearch {
        match (what, &self.departments) {
            (EntryKind::Departments, Some(departments)) => departments,
            _ => &self.users,
        }
    }

    fn attributes_of_records(&self, what: EntryKind) -> &BTreeSet<String> {
        match what {
            EntryKind::Departments => &self.department_attributes,
            EntryKind::Users => &self.user_attributes,
        }
    }

    /// The attributes that a search requests.
    fn attributes(&self, what: EntryKind) -> Vec<String> {
        self.attributes_of_records(what).iter().chain([&self.id_attribute]).cloned().collect()
    }

    /// The attributes with DNs, and which kind of entry they name.
    fn names(&self, what: EntryKind) -> &BTreeMap<String, EntryKind> {
        match what {
            EntryKind::Departments => &self.department_names,
            EntryKind::Users => &self.user_names,
        }
    }

    /// Whether an entry counts. The base of the departments is not one of them.
    fn is_listed(&self, what: EntryKind, dn: &str) -> bool {
        what == EntryKind::Users || dn::is_below(dn, &self.search(what).base)
    }

    /// The parent entry, if it can be a department.
    fn above<'a>(&self, dn: &'a str) -> Option<&'a str> {
        dn::parent(dn).filter(|above| self.is_listed(EntryKind::Departments, above))
    }
}

/// The filter for an entry with this id.
fn is(attribute: &str, id: &str) -> String {
    let value = match Uuid::parse_str(id) {
        // A GUID stores its first three parts with reversed bytes.
        Ok(uuid) if attribute.eq_ignore_ascii_case(OBJECT_GUID) => {
            uuid.to_bytes_le().iter().map(|byte| format!("\\{byte:02x}")).collect()
        }
        _ => ldap_escape(id).into_owned(),
    };
    format!("{attribute}={value}")
}

/// An entry of a search result. Others, such as referrals to another server, are skipped.
fn entry_of(found: ResultEntry) -> Option<SearchEntry> {
    (!found.is_ref() && !found.is_intermediate()).then(|| SearchEntry::construct(found))
}

/// The values of an attribute, whose name ignores case. Values that are not text are skipped.
fn values<'a>(entry: &'a SearchEntry, attribute: &str) -> &'a [String] {
    let (_, values) = entry
        .attrs
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(attribute))
        .unwrap_or((const { &String::new() }, const { &Vec::new() }));
    values
}

/// The values as a record has them, sorted: an attribute is a set, which a server may return in any order
/// (RFC 4512, 2.2). A value that is not text becomes U+0000, which no record may contain.
fn texts(entry: &SearchEntry, attribute: &str) -> Vec<String> {
    let binary = entry.bin_attrs.iter().filter(|(name, _)| name.eq_ignore_ascii_case(attribute));
    let read = |value: &Vec<u8>| String::from_utf8(value.clone()).unwrap_or_else(|_| "\0".to_owned());
    let binary = binary.flat_map(|(_, values)| values).map(read);
    let mut texts: Vec<String> = values(entry, attribute).iter().cloned().chain(binary).collect();
    texts.sort_unstable();
    texts
}

/// An entry with its id, if it has one.
fn item(entry: SearchEntry, client: &LdapClient) -> Item {
    match id_of(&entry, &client.id_attribute) {
        Ok(id) => Item::There { id, entry },
        Err(why) => Item::Nameless(why),
    }
}

/// The permanent id of an entry.
fn id_of(entry: &SearchEntry, attribute: &str) -> Result<String, &'static str> {
    if let [text] = values(entry, attribute)
        && let Ok(uuid) = Uuid::parse_str(text)
    {
        return Ok(uuid.to_string());
    }
    let binary = entry.bin_attrs.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
    let text = values(entry, attribute).first().map(|text| text.as_bytes());
    let bytes = binary.and_then(|(_, values)| values.first()).map(Vec::as_slice).or(text);
    match bytes.map(Uuid::from_slice_le) {
        Some(Ok(uuid)) => Ok(uuid.to_string()),
        _ => Err("an entry has no UUID in directory.id_attribute"),
    }
}
