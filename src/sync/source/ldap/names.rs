//! Resolves DNs: entries reference each other by DN, and records have ids.

use std::collections::{HashMap, HashSet};

use ldap3::{LdapResult, ResultEntry, Scope};

use super::dn;
use super::session::{
    INSUFFICIENT_ACCESS, INVALID_DN_SYNTAX, LdapSearch, NO_SUCH_OBJECT, REFERRAL, Session, succeeded,
};
use super::{LdapClient, entry_of, id_of};
use crate::sync::source::{EntryKind, Failure};

/// Most DNs in memory during a listing. Beyond that, all are forgotten and resolved again.
const KNOWN_MAX: usize = 50_000;
/// DNs resolved at the same time.
const AT_ONCE: usize = 32;

/// The entry that a DN names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    /// A listed entry.
    Listed(String),
    /// An entry that is not listed.
    Other,
    /// No entry.
    Nothing,
}

/// The resolved DNs, and a second connection: on the listing's own, answers would wait for the listing.
#[derive(Default)]
pub struct Names {
    known: HashMap<(EntryKind, String), Found>,
    session: Option<Session>,
}

impl Names {
    /// Forgets all DNs if there are too many.
    pub fn begin_page(&mut self) {
        if self.known.len() > KNOWN_MAX {
            self.known.clear();
        }
    }

    /// Records a listed entry.
    pub fn note(&mut self, what: EntryKind, dn: &str, id: &str) {
        self.known.insert((what, dn.to_owned()), Found::Listed(id.to_owned()));
    }

    /// The id of the entry that a DN names, if it is listed.
    pub fn id(&self, what: EntryKind, dn: &str) -> Option<&str> {
        match self.known.get(&(what, dn.to_owned())) {
            Some(Found::Listed(id)) => Some(id),
            _ => None,
        }
    }

    /// The department of an entry: the nearest one above it.
    ///
    /// # Errors
    /// An ancestor is missing: the tree changed while it was read, or the account may not read it.
    pub fn department_over(&self, client: &LdapClient, dn: &str) -> Result<Option<&str>, &'static str> {
        let mut at = client.above(dn);
        while let Some(above) = at {
            match self.known.get(&(EntryKind::Departments, above.to_owned())) {
                Some(Found::Listed(id)) => return Ok(Some(id)),
                Some(Found::Other) => at = client.above(above),
                Some(Found::Nothing) | None => {
                    return Err("its parent is missing, or the account may not read it");
                }
            }
        }
        Ok(None)
    }

    /// Resolves the departments above these entries.
    pub async fn look_above<'a>(
        &mut self,
        client: &LdapClient,
        dns: impl Iterator<Item = &'a str>,
    ) -> Result<(), Failure> {
        let mut wanted: HashSet<&str> = dns.filter_map(|dn| client.above(dn)).collect();
        while !wanted.is_empty() {
            self.look_up(client, EntryKind::Departments, wanted.iter().copied()).await?;
            let is_other = |dn: &&str| {
                self.known.get(&(EntryKind::Departments, (*dn).to_owned())) == Some(&Found::Other)
            };
            wanted = wanted.into_iter().filter(is_other).filter_map(|dn| client.above(dn)).collect();
        }
        Ok(())
    }

    /// Resolves these DNs.
    pub async fn look_up<'a>(
        &mut self,
        client: &LdapClient,
        what: EntryKind,
        dns: impl Iterator<Item = &'a str>,
    ) -> Result<(), Failure> {
        let unknown = |dn: &&str| !self.known.contains_key(&(what, (*dn).to_owned()));
        let dns: Vec<&str> = dns.filter(unknown).collect::<HashSet<_>>().into_iter().collect();
        if dns.is_empty() {
            return Ok(());
        }
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(Session::open(&client.server).await?),
        };
        let search = |dn: &&str| LdapSearch {
            base: (*dn).to_owned(),
            scope: Scope::Base,
            filter: client.search(what).filter.clone(),
        };
        let searches = dns.iter().map(search).collect();
        let answers =
            session.search_all(searches, std::slice::from_ref(&client.id_attribute), AT_ONCE).await?;
        for (dn, (entries, result)) in dns.into_iter().zip(answers) {
            let found = found(client, what, dn, (entries, result))?;
            self.known.insert((what, dn.to_owned()), found);
        }
        Ok(())
    }
}

fn found(
    client: &LdapClient,
    what: EntryKind,
    dn: &str,
    (entries, result): (Vec<ResultEntry>, LdapResult),
) -> Result<Found, Failure> {
    // A DN may be on another server, or not readable by this account.
    if [NO_SUCH_OBJECT, INVALID_DN_SYNTAX, REFERRAL, INSUFFICIENT_ACCESS].contains(&result.rc) {
        return Ok(Found::Nothing);
    }
    succeeded("the search for a name", &result)?;
    // A department counts only below the base of the departments.
    let is_listed = what == EntryKind::Users || dn::is_below(dn, &client.search(what).base);
    let entry = entries.into_iter().find_map(entry_of).filter(|_| is_listed);
    Ok(match entry.and_then(|entry| id_of(&entry, &client.id_attribute).ok()) {
        Some(id) => Found::Listed(id),
        None => Found::Other,
    })
}
