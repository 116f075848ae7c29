//! The total of unread messages of every listener: told after `hello`, and when it changes.
//!
//! A user's unread channels are counted once, when the first stream of the user joins. From then on only what an event
//! can have changed is counted again: a user in a channel is a lookup of three rows. Changes within a window are counted
//! together.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use bytes::Bytes;

use super::log::{self, Counts, Event};
use super::roster::Roster;
use super::{Hub, Listener};
use crate::base::error::Result;
use crate::base::number::ChannelId;
use crate::base::worker::Tick;

/// Users whose channels are counted in one statement, and users in channels.
const USERS: usize = 50;
const PAIRS: usize = 1_000;

/// The unread messages of one listener.
#[derive(Default)]
pub(super) struct Unread {
    /// Channels with unread messages; `None` until they are counted.
    counts: Option<HashMap<ChannelId, i64>>,
    /// Channels in which the number can have changed.
    changed: HashSet<ChannelId>,
    /// The total that all streams of the user know.
    told: Option<i64>,
}

impl Unread {
    /// A new stream does not know the total.
    pub fn tell_again(&mut self) {
        self.told = None;
    }

    fn total(&self) -> Option<i64> {
        self.counts.as_ref().map(|counts| counts.values().sum())
    }

    fn set(&mut self, channel_id: ChannelId, count: i64) {
        if let Some(counts) = &mut self.counts {
            if count > 0 {
                counts.insert(channel_id, count);
            } else {
                counts.remove(&channel_id);
            }
        }
    }
}

impl Listener {
    /// Tells the streams of a user the total, if they do not know it.
    fn tell_total(&mut self) {
        if let Some(total) = self.unread.total().filter(|total| self.unread.told != Some(*total)) {
            let text = Bytes::from(format!("event: unread\ndata: {{\"unread_total\":{total}}}\n\n"));
            self.queues.iter().for_each(|queue| queue.put_unread(text.clone()));
            self.unread.told = Some(total);
        }
    }
}

impl Hub {
    /// The worker below is woken when a stream joins.
    pub fn greet(&self) -> Arc<tokio::sync::Notify> {
        self.greet.clone()
    }

    /// Counts unread messages and tells the totals: of new streams at once, of changes once a window.
    pub async fn tell_totals(&self) -> Result<Tick> {
        let (uncounted, untold) = self.uncounted();
        if !uncounted.is_empty() {
            self.count_all(&uncounted).await?;
        }
        if untold {
            self.crowd().people.values_mut().for_each(Listener::tell_total);
        }
        if self.is_window_over() {
            // What changes while these are counted belongs to the next window. Else this would not end while many write.
            self.count_again(self.changed()).await?;
        }
        Ok(if uncounted.len() < USERS { Tick::Idle } else { Tick::More })
    }

    /// Notes the channels in which events can have changed the counts of listeners.
    pub(super) fn note_counts(&self, heard: &[(&Event, Vec<usize>)], roster: &Roster) {
        let mut crowd = self.crowd();
        let mut note = |user_id: &str, channel_id| {
            if let Some(person) =
                crowd.people.get_mut(user_id).filter(|person| person.unread.counts.is_some())
            {
                person.unread.changed.insert(channel_id);
            }
        };
        for (event, listeners) in heard {
            let Some(channel_id) = event.channel_id else { continue };
            match &event.counts {
                Counts::OfNoUser => {}
                Counts::OfAllWhoGetIt => {
                    listeners.iter().for_each(|number| note(&roster.names[*number], channel_id));
                }
                Counts::Of(user_ids) => user_ids.iter().for_each(|user_id| note(user_id, channel_id)),
            }
        }
    }

    /// Listeners whose channels are not counted yet, and whether a stream does not know its total.
    fn uncounted(&self) -> (Vec<Arc<str>>, bool) {
        let crowd = self.crowd();
        let listening = crowd.people.iter().filter(|(_, person)| !person.queues.is_empty());
        let (mut uncounted, mut untold) = (Vec::new(), false);
        for (user_id, person) in listening {
            if person.unread.counts.is_none() && uncounted.len() < USERS {
                uncounted.push(user_id.clone());
            }
            untold |= person.unread.told.is_none();
        }
        (uncounted, untold)
    }

    async fn count_all(&self, user_ids: &[Arc<str>]) -> Result<()> {
        {
            // Whatever happens from now on is counted again.
            let mut crowd = self.crowd();
            for user_id in user_ids {
                if let Some(person) = crowd.people.get_mut(user_id) {
                    person.unread = Unread { counts: Some(HashMap::new()), ..Unread::default() };
                }
            }
        }
        let names: Vec<&str> = user_ids.iter().map(|user_id| &**user_id).collect();
        let counted = log::unread_of(&self.store, &names).await;
        let mut crowd = self.crowd();
        let Ok(counted) = counted else {
            for user_id in user_ids {
                crowd
                    .people
                    .get_mut(user_id)
                    .into_iter()
                    .for_each(|person| person.unread = Unread::default());
            }
            return counted.map(|_| ());
        };
        for (user_id, channel_id, count) in counted {
            if let Some(person) = crowd.people.get_mut(&*user_id) {
                person.unread.set(channel_id, count);
            }
        }
        Ok(())
    }

    fn is_window_over(&self) -> bool {
        let mut last = self.totals_told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = last.elapsed() >= self.limits.unread;
        if is_over {
            *last = Instant::now();
        }
        is_over
    }

    /// The users in channels whose counts can have changed.
    fn changed(&self) -> Vec<(Arc<str>, ChannelId)> {
        let mut crowd = self.crowd();
        let mut pairs = Vec::new();
        for (user_id, person) in &mut crowd.people {
            let changed = std::mem::take(&mut person.unread.changed);
            pairs.extend(changed.into_iter().map(|channel_id| (user_id.clone(), channel_id)));
        }
        pairs
    }

    /// Counts users in channels again, and tells each user the total once. After an error the rest is counted in the
    /// next window.
    async fn count_again(&self, pairs: Vec<(Arc<str>, ChannelId)>) -> Result<()> {
        let mut counts = Vec::new();
        let mut failed = Ok(());
        for step in pairs.chunks(PAIRS) {
            match log::unread_in(&self.store, step).await {
                Ok(counted) => counts.extend(counted),
                Err(error) => {
                    failed = Err(error);
                    break;
                }
            }
        }
        let mut crowd = self.crowd();
        for ((user_id, channel_id), count) in pairs.iter().zip(&counts) {
            if let Some(person) = crowd.people.get_mut(user_id) {
                person.unread.set(*channel_id, *count);
            }
        }
        for (user_id, channel_id) in pairs.iter().skip(counts.len()) {
            if let Some(person) = crowd.people.get_mut(user_id) {
                person.unread.changed.insert(*channel_id);
            }
        }
        for (user_id, _) in pairs.iter().take(counts.len()) {
            crowd.people.get_mut(user_id).into_iter().for_each(Listener::tell_total);
        }
        failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::config::Config;
    use crate::base::store::Store;

    #[tokio::test]
    async fn a_window_takes_all_changes_at_once_and_failed_ones_are_counted_in_the_next() {
        // No server listens there.
        let config = Config::from_toml("database_url = \"postgresql://nobody@127.0.0.1:1/none\"").unwrap();
        let hub = Hub::new(Store::new(&config).unwrap(), &config.streams, Arc::default());
        let changed: HashSet<ChannelId> = (0..=2 * PAIRS as i64).map(ChannelId).collect();
        let unread = Unread { counts: Some(HashMap::new()), changed, told: None };
        hub.crowd().people.insert("ann".into(), Listener { unread, ..Listener::default() });
        let pairs = hub.changed();
        assert_eq!(pairs.len(), 2 * PAIRS + 1, "more than one statement counts");
        assert!(hub.changed().is_empty());
        assert!(hub.count_again(pairs).await.is_err());
        assert_eq!(hub.changed().len(), 2 * PAIRS + 1);
    }
}
