//! One listing: all entries of a search, or the changes since a cookie.

use std::collections::HashSet;

use ldap3::controls::{
    Control, ControlParser, ControlType, EntryState, MakeCritical, PagedResults, RawControl, RefreshMode,
    SyncDone, SyncInfo, SyncRequest, SyncState, parse_syncinfo,
};
use ldap3::{LdapResult, ResultEntry, Scope, SearchEntry};
use uuid::Uuid;

use super::session::{
    Answers, INSUFFICIENT_ACCESS, LdapSearch, REFRESH_REQUIRED, Session, UNAVAILABLE_EXTENSION,
    UNWILLING_TO_PERFORM, succeeded,
};
use super::{ENTRY_UUID, LdapClient, entry_of, id_of, item, values};
use crate::sync::source::{EntryKind, Failure};

/// Content synchronization (RFC 4533), as servers announce it.
const SYNC: &str = "1.3.6.1.4.1.4203.1.9.1.1";

/// An element of a listing.
pub enum Item {
    There {
        id: String,
        entry: SearchEntry,
    },
    Gone(String),
    /// An entry without an id, and the reason.
    Nameless(&'static str),
}

/// The end of a listing.
pub struct End {
    pub cookie: Option<Vec<u8>>,
    /// Ids of unchanged entries, if all others are gone.
    pub unchanged: Option<Vec<String>>,
}

/// A listing under way.
pub struct Listing {
    session: Session,
    answers: Option<Answers>,
    way: Way,
    ended: Option<End>,
}

enum Way {
    Paged,
    Synchronized(Refresh),
}

/// What the server has reported about entries that it does not send.
#[derive(Default)]
struct Refresh {
    has_cookie: bool,
    /// Whether anything was received yet.
    has_begun: bool,
    /// The last cookie received; without one, the cookie of the request stays valid.
    cookie: Option<Vec<u8>>,
    /// UUIDs of unchanged entries.
    present: HashSet<Vec<u8>>,
    /// Whether `present` has all of them.
    is_complete: bool,
}

impl Listing {
    /// Begins a listing; with a cookie, only of changes since.
    ///
    /// # Errors
    /// `Failure::Expired` if there is a cookie and the server does not accept any.
    pub async fn begin(
        client: &LdapClient,
        what: EntryKind,
        mut session: Session,
        cookie: Option<Vec<u8>>,
    ) -> Result<Self, Failure> {
        let is_known_so = client.id_attribute.eq_ignore_ascii_case(ENTRY_UUID);
        if is_known_so && offers_sync(&mut session).await? {
            let refresh =
                Refresh { has_cookie: cookie.is_some(), cookie: cookie.clone(), ..Refresh::default() };
            // Without the reload hint, a server without history reports it, and a full listing follows.
            let request = SyncRequest { mode: RefreshMode::RefreshOnly, cookie, reload_hint: false };
            let controls = vec![request.critical().into()];
            let answers = session.search(client.search(what), &client.attributes(what), controls).await?;
            return Ok(Self {
                session,
                answers: Some(answers),
                way: Way::Synchronized(refresh),
                ended: None,
            });
        }
        if cookie.is_some() {
            return Err(Failure::Expired);
        }
        let mut listing = Self { session, answers: None, way: Way::Paged, ended: None };
        listing.ask_for_page(client, what, Vec::new()).await?;
        Ok(listing)
    }

    async fn ask_for_page(
        &mut self,
        client: &LdapClient,
        what: EntryKind,
        cookie: Vec<u8>,
    ) -> Result<(), Failure> {
        let page = PagedResults { size: i32::try_from(client.page_size).unwrap_or(i32::MAX), cookie };
        let controls = vec![page.into()];
        let answers = self.session.search(client.search(what), &client.attributes(what), controls).await?;
        self.answers = Some(answers);
        Ok(())
    }

    /// The next entries, about a page of them.
    pub async fn read(&mut self, client: &LdapClient, what: EntryKind) -> Result<Vec<Item>, Failure> {
        let mut items = Vec::new();
        // Messages without an entry count too: the runner must be able to extend its lease.
        for _ in 0..client.page_size {
            let Some(answers) = &mut self.answers else { break };
            match self.session.next(answers).await? {
                Some(answer) => self.heard(client, what, answer, &mut items)?,
                None => {
                    let result = match self.answers.take() {
                        Some(answers) => Session::end(answers).await,
                        None => break,
                    };
                    if let Some(next) = self.end(&result)? {
                        self.ask_for_page(client, what, next).await?;
                        break;
                    }
                }
            }
        }
        Ok(items)
    }

    /// The end of the listing; none before it.
    pub fn ended(&mut self) -> Option<End> {
        self.ended.take()
    }

    fn heard(
        &mut self,
        client: &LdapClient,
        what: EntryKind,
        answer: ResultEntry,
        items: &mut Vec<Item>,
    ) -> Result<(), Failure> {
        let refresh = match &mut self.way {
            Way::Synchronized(refresh) => refresh,
            Way::Paged => {
                if let Some(entry) = entry_of(answer).filter(|entry| client.is_listed(what, &entry.dn)) {
                    items.push(item(entry, client));
                }
                return Ok(());
            }
        };
        refresh.has_begun = true;
        if answer.is_intermediate() {
            return refresh.informed(parse_syncinfo(answer), items);
        }
        let state = control::<SyncState>(&answer.1, |kind| matches!(kind, ControlType::SyncState));
        let Some(entry) = entry_of(answer) else { return Ok(()) };
        let state = state.ok_or_else(|| unreadable("an entry has no state"))?;
        match state.state {
            EntryState::Present => {
                refresh.present.insert(state.entry_uuid);
            }
            EntryState::Delete => items.push(Item::Gone(uuid(&state.entry_uuid)?)),
            EntryState::Add | EntryState::Modify => {
                let id = uuid(&state.entry_uuid)?;
                // Records named by a trigger are searched by this attribute.
                if id_of(&entry, &client.id_attribute).as_deref() != Ok(id.as_str()) {
                    return Err(unreadable("the server does not synchronize by entryUUID, or hides it"));
                }
                if client.is_listed(what, &entry.dn) {
                    items.push(Item::There { id, entry });
                }
            }
        }
        Ok(())
    }

    /// Handles the end of a search. Returns the cookie of the next page, if there is one.
    fn end(&mut self, result: &LdapResult) -> Result<Option<Vec<u8>>, Failure> {
        match &mut self.way {
            Way::Synchronized(refresh) => {
                let is_refused =
                    [UNAVAILABLE_EXTENSION, INSUFFICIENT_ACCESS, UNWILLING_TO_PERFORM].contains(&result.rc);
                if is_refused && !refresh.has_cookie && !refresh.has_begun {
                    // The server offers it, but not for this base or this account.
                    self.way = Way::Paged;
                    return Ok(Some(Vec::new()));
                }
                // OpenLDAP answers a cookie from before a restore with another code than the RFC's.
                if (is_refused || result.rc == REFRESH_REQUIRED) && refresh.has_cookie {
                    return Err(Failure::Expired);
                }
                succeeded("a synchronization", result)?;
                let done = control::<SyncDone>(&result.ctrls, |kind| matches!(kind, ControlType::SyncDone));
                let done = done.ok_or_else(|| unreadable("a synchronization ends without its control"))?;
                self.ended = Some(refresh.ended(done)?);
                Ok(None)
            }
            Way::Paged => {
                succeeded("a search", result)?;
                let page =
                    control::<PagedResults>(&result.ctrls, |kind| matches!(kind, ControlType::PagedResults));
                let next = page.map(|page| page.cookie).filter(|cookie| !cookie.is_empty());
                if next.is_none() {
                    self.ended = Some(End { cookie: None, unchanged: None });
                }
                Ok(next)
            }
        }
    }
}

impl Refresh {
    /// Handles a message between entries (RFC 4533, 2.5).
    fn informed(&mut self, info: SyncInfo, items: &mut Vec<Item>) -> Result<(), Failure> {
        let cookie = match info {
            SyncInfo::SyncIdSet { refresh_deletes: true, sync_uuids, cookie } => {
                for id in sync_uuids {
                    items.push(Item::Gone(uuid(&id)?));
                }
                cookie
            }
            SyncInfo::SyncIdSet { refresh_deletes: false, sync_uuids, cookie } => {
                self.present.extend(sync_uuids);
                cookie
            }
            // The end of the phase that names unchanged entries.
            SyncInfo::RefreshPresent { cookie, .. } => {
                self.is_complete = true;
                cookie
            }
            SyncInfo::NewCookie(cookie) => Some(cookie),
            SyncInfo::RefreshDelete { cookie, .. } => cookie,
        };
        self.cookie = cookie.or_else(|| self.cookie.take());
        Ok(())
    }

    fn ended(&mut self, done: SyncDone) -> Result<End, Failure> {
        let is_complete = self.has_cookie && (self.is_complete || !done.refresh_deletes);
        // Unchanged entries should have been named. If none was, the server may have left them out.
        if is_complete && !self.is_complete && self.present.is_empty() {
            return Err(Failure::Expired);
        }
        let unchanged = match is_complete {
            true => Some(self.present.drain().map(|id| uuid(&id)).collect::<Result<_, _>>()?),
            false => None,
        };
        // An empty cookie is not valid.
        let cookie = done.cookie.or_else(|| self.cookie.take()).filter(|cookie| !cookie.is_empty());
        Ok(End { cookie, unchanged })
    }
}

/// Whether a server announces content synchronization (RFC 4512, 5.1).
async fn offers_sync(session: &mut Session) -> Result<bool, Failure> {
    let search = LdapSearch { base: String::new(), scope: Scope::Base, filter: "(objectClass=*)".to_owned() };
    let attribute = "supportedControl".to_owned();
    let found = session.search_all(vec![search], std::slice::from_ref(&attribute), 1).await?;
    // If the account may not read the announcement, paged search is used.
    let entries = found.into_iter().flat_map(|(entries, _)| entries).filter_map(entry_of);
    Ok(entries.flat_map(|entry| values(&entry, &attribute).to_vec()).any(|control| control == SYNC))
}

/// The control of this kind, if it is present.
fn control<T: ControlParser>(controls: &[Control], is_it: impl Fn(ControlType) -> bool) -> Option<T> {
    let found = controls.iter().find(|control| control.0.is_some_and(&is_it));
    found.filter(|control| control.1.val.is_some()).map(|control| RawControl::parse(&control.1))
}

fn uuid(bytes: &[u8]) -> Result<String, Failure> {
    Uuid::from_slice(bytes)
        .map(|id| id.to_string())
        .map_err(|_| unreadable("the id of an entry is not a UUID"))
}

fn unreadable(why: &str) -> Failure {
    Failure::Failed(why.to_owned())
}
