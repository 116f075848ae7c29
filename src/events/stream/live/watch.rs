//! Which users are watched by which listeners, and what was told of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::state::{State, Told};
use super::{States, left};

/// The watched users of a replica.
#[derive(Default)]
pub(super) struct Watch {
    users: HashMap<Arc<str>, Watched>,
    /// The listeners by number, with their partners.
    listeners: BTreeMap<u32, (Arc<str>, Vec<Arc<str>>)>,
    numbers: HashMap<Arc<str>, u32>,
    next_number: u32,
    /// Watched users who may have changed.
    hinted: HashSet<Arc<str>>,
    /// When all of them were last read.
    checked: Option<Instant>,
}

/// A watched user.
#[derive(Default)]
struct Watched {
    /// What was read last; `None` before the first time.
    state: Option<State>,
    /// When a change was last told.
    told_at: Option<Instant>,
    /// The numbers of the listeners.
    by: Vec<u32>,
}

impl Watch {
    /// Drops the listeners that `is_listening` does not know any more.
    pub fn keep(&mut self, is_listening: impl Fn(&str) -> bool) {
        let gone: Vec<Arc<str>> =
            self.numbers.keys().filter(|name| !is_listening(name.as_ref())).cloned().collect();
        for name in gone {
            self.drop_listener(&name);
        }
    }

    fn drop_listener(&mut self, name: &str) {
        if let Some(number) = self.numbers.remove(name) {
            self.give_up(number);
        }
    }

    /// Forgets what is watched under this number only.
    fn give_up(&mut self, number: u32) {
        let Some((_, partners)) = self.listeners.remove(&number) else { return };
        for partner in partners {
            let Some(watched) = self.users.get_mut(&partner) else { continue };
            watched.by.retain(|by| *by != number);
            if watched.by.is_empty() {
                self.users.remove(&partner);
                self.hinted.remove(&partner);
            }
        }
    }

    /// A listener has these partners from now on. What was told of those who stay is kept. Returns those who are new to
    /// the listener.
    pub fn follow(&mut self, name: &Arc<str>, partners: Vec<Arc<str>>) -> Vec<Arc<str>> {
        let number = self.free_number();
        for partner in &partners {
            self.users.entry(partner.clone()).or_default().by.push(number);
        }
        // One copy of an id for all who watch the user.
        let shared = |partner: &Arc<str>| self.users.get_key_value(partner).map(|(known, _)| known.clone());
        let partners: Vec<Arc<str>> = partners.iter().filter_map(shared).collect();
        let old = self.numbers.insert(name.clone(), number);
        let had: HashSet<Arc<str>> = old
            .and_then(|old| self.listeners.get(&old))
            .map(|(_, partners)| partners.iter().cloned().collect())
            .unwrap_or_default();
        let gained = partners.iter().filter(|partner| !had.contains(*partner)).cloned().collect();
        self.listeners.insert(number, (name.clone(), partners));
        if let Some(old) = old {
            self.give_up(old);
        }
        gained
    }

    fn free_number(&mut self) -> u32 {
        while self.listeners.contains_key(&self.next_number) {
            self.next_number = self.next_number.wrapping_add(1);
        }
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        number
    }

    /// Watched users whose state has not been read yet.
    pub fn unseen(&self) -> Vec<Arc<str>> {
        let unseen = self.users.iter().filter(|(_, watched)| watched.state.is_none());
        unseen.map(|(name, _)| name.clone()).collect()
    }

    /// Notes the states of users that nothing was told of yet.
    pub fn see(&mut self, users: &[Arc<str>], mut states: States) {
        for name in users {
            if let Some(watched) = self.users.get_mut(name)
                && watched.state.is_none()
            {
                watched.state = Some(states.remove(&**name).unwrap_or_default());
            }
        }
    }

    /// What a new listener is told: which partners are online, and which show a status.
    pub fn greeting(&self, name: &str) -> Told {
        let partners = self.numbers.get(name).and_then(|number| self.listeners.get(number));
        partners.map(|(_, partners)| self.present(partners)).unwrap_or_default()
    }

    /// Which of these users are online, and which show a status.
    pub fn present(&self, users: &[Arc<str>]) -> Told {
        let mut told = Told::default();
        for user in users {
            let Some(state) = self.users.get(user).and_then(|watched| watched.state.as_ref()) else {
                continue;
            };
            if state.online {
                told.presences.push(state.presence(user));
            }
            if state.says.is_some() {
                told.statuses.push(state.status(user));
            }
        }
        told
    }

    /// Users may have changed.
    pub fn hint(&mut self, names: impl Iterator<Item = Arc<str>>) {
        for name in names {
            if let Some((known, _)) = self.users.get_key_value(&name) {
                self.hinted.insert(known.clone());
            }
        }
    }

    /// Has all users read again.
    pub fn recheck(&mut self) {
        self.checked = None;
    }

    /// The users to read now: those who may have changed, whose status has ended, or all of them.
    pub fn due(&mut self, window: Duration, recheck: Duration) -> Vec<Arc<str>> {
        if self.checked.is_none_or(|checked| left(checked, recheck).is_none()) {
            self.checked = Some(Instant::now());
            self.hinted.extend(self.users.keys().cloned());
        } else {
            let now = Instant::now();
            let ended = |watched: &Watched| {
                watched.state.as_ref().is_some_and(|state| state.ends.is_some_and(|ends| ends <= now))
            };
            let ended = self.users.iter().filter(|(_, watched)| ended(watched)).map(|(name, _)| name.clone());
            self.hinted.extend(ended.collect::<Vec<_>>());
        }
        let waits = |name: &Arc<str>| {
            let told_at = self.users.get(name).and_then(|watched| watched.told_at);
            told_at.is_some_and(|told_at| left(told_at, window).is_some())
        };
        let (waiting, due): (HashSet<_>, Vec<_>) = {
            let all = std::mem::take(&mut self.hinted);
            let (waiting, due): (Vec<_>, Vec<_>) = all.into_iter().partition(waits);
            (waiting.into_iter().collect(), due)
        };
        self.hinted = waiting;
        due
    }

    /// Notes the states of users. Returns what is told to which listener.
    pub fn change(&mut self, users: &[Arc<str>], mut states: States) -> Vec<(Arc<str>, Told)> {
        let mut told: BTreeMap<u32, Told> = BTreeMap::new();
        for name in users {
            let Some(watched) = self.users.get_mut(name) else { continue };
            let new = states.remove(&**name).unwrap_or_default();
            let Some(old) = watched.state.replace(new.clone()) else { continue };
            let (presence, status) = (old.online != new.online, old.says != new.says);
            if !presence && !status {
                continue;
            }
            watched.told_at = Some(Instant::now());
            for number in &watched.by {
                let told = told.entry(*number).or_default();
                told.presences.extend(presence.then(|| new.presence(name)));
                told.statuses.extend(status.then(|| new.status(name)));
            }
        }
        let named = |(number, told): (u32, Told)| Some((self.listeners.get(&number)?.0.clone(), told));
        told.into_iter().filter_map(named).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);
    const RECHECK: Duration = Duration::from_secs(600);

    fn watch() -> Watch {
        let mut watch = Watch::default();
        watch.follow(&"ann".into(), vec!["bob".into(), "cat".into()]);
        watch.follow(&"dan".into(), vec!["bob".into()]);
        let unseen = watch.unseen();
        watch.see(&unseen, States::new());
        assert_eq!(watch.due(WINDOW, RECHECK).len(), 2, "all of them the first time");
        watch
    }

    fn online(name: &str) -> States {
        [(name.to_owned(), State { online: true, ..State::default() })].into()
    }

    fn heard(told: &[(Arc<str>, Told)]) -> Vec<(&str, usize)> {
        told.iter().map(|(name, told)| (&**name, told.presences.len())).collect()
    }

    #[test]
    fn a_change_reaches_all_who_watch_the_user_and_is_told_once() {
        let mut watch = watch();
        let bob: [Arc<str>; 1] = ["bob".into()];
        assert_eq!(heard(&watch.change(&bob, online("bob"))), [("ann", 1), ("dan", 1)]);
        assert!(watch.change(&bob, online("bob")).is_empty());
        assert_eq!(watch.greeting("dan").presences.len(), 1);
        let gained = watch.follow(&"dan".into(), vec!["cat".into()]);
        assert_eq!(gained, ["cat".into()]);
        assert_eq!(watch.greeting("dan").presences.len(), 0);
        assert_eq!(heard(&watch.change(&bob, States::new())), [("ann", 1)]);
    }

    #[test]
    fn a_user_who_changes_often_waits_for_the_window() {
        let mut watch = watch();
        let bob: [Arc<str>; 1] = ["bob".into()];
        watch.hint(["bob".into(), "unknown".into()].into_iter());
        assert_eq!(watch.due(WINDOW, RECHECK), bob);
        assert_eq!(watch.change(&bob, online("bob")).len(), 2);
        watch.hint(bob.iter().cloned());
        assert!(watch.due(WINDOW, RECHECK).is_empty(), "told a moment ago");
        assert_eq!(watch.due(Duration::ZERO, RECHECK), bob, "and it is not forgotten");
        assert!(watch.due(Duration::ZERO, RECHECK).is_empty());
    }

    #[test]
    fn users_that_no_listener_watches_are_forgotten() {
        let mut watch = watch();
        watch.keep(|name| name == "dan");
        assert_eq!(watch.users.len(), 1);
        watch.keep(|_| false);
        assert!(watch.users.is_empty() && watch.listeners.is_empty() && watch.numbers.is_empty());
    }
}
