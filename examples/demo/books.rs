//! The demo's own record of what was acknowledged. At the end it is compared with the service.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

/// An acknowledged message.
#[derive(Debug)]
pub struct Said {
    pub channel_id: String,
    pub ms_id: String,
    pub seq: i64,
    pub sender: String,
    pub receivers: BTreeSet<String>,
    /// The receivers who were offline.
    pub missed: BTreeSet<String>,
}

/// The receivers of one message by status.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub unreceived: usize,
    pub received: usize,
    pub read: usize,
}

#[derive(Debug, Default)]
pub struct Books {
    pub said: Vec<Said>,
    pub offline: BTreeSet<String>,
    /// The number of repeated sends, and of those answered with the first message.
    pub repeats: usize,
    pub repeats_alike: usize,
    members: BTreeMap<String, BTreeSet<String>>,
    /// A member of each channel who has been in it from the start.
    founders: BTreeMap<String, String>,
    cursors: HashMap<(String, String), i64>,
}

impl Books {
    pub fn founded(&mut self, channel_id: &str, founder: &str, others: &[String]) {
        self.founders.insert(channel_id.to_owned(), founder.to_owned());
        let everybody = others.iter().cloned().chain([founder.to_owned()]);
        self.members.insert(channel_id.to_owned(), everybody.collect());
    }

    pub fn joined(&mut self, channel_id: &str, user_id: &str) {
        let members = self.members.entry(channel_id.to_owned()).or_default();
        members.insert(user_id.to_owned());
    }

    /// Removes a user from all channels.
    pub fn left(&mut self, user_id: &str) {
        for members in self.members.values_mut() {
            members.remove(user_id);
        }
    }

    /// Records a send from its answer.
    pub fn said(&mut self, channel_id: &str, sender: &str, answer: &Value) {
        let mut receivers = self.members[channel_id].clone();
        receivers.remove(sender);
        self.said.push(Said {
            channel_id: channel_id.to_owned(),
            ms_id: answer["ms_id"].as_str().expect("an id").to_owned(),
            seq: answer["seq"].as_i64().expect("a number"),
            sender: sender.to_owned(),
            missed: receivers.intersection(&self.offline).cloned().collect(),
            receivers,
        });
    }

    pub fn repeated(&mut self, alike: bool) {
        self.repeats += 1;
        self.repeats_alike += usize::from(alike);
    }

    pub fn read(&mut self, channel_id: &str, reader: &str, seq: i64) {
        let key = (channel_id.to_owned(), reader.to_owned());
        let cursor = self.cursors.entry(key).or_default();
        *cursor = seq.max(*cursor);
    }

    /// Records that a message reached a receiver who had missed it.
    pub fn received(&mut self, ms_id: &str, receiver: &str) {
        let said = self.said.iter_mut().find(|said| said.ms_id == ms_id).expect("said before");
        said.missed.remove(receiver);
    }

    /// A recorded message.
    pub fn find(&self, ms_id: &str) -> &Said {
        self.said.iter().find(|said| said.ms_id == ms_id).expect("said before")
    }

    /// The last channel that a user founded.
    pub fn founded_by(&self, founder: &str) -> Option<String> {
        self.founders.iter().rev().find(|(_, who)| *who == founder).map(|(id, _)| id.clone())
    }

    /// The channels, each with a member who can see all its messages.
    pub fn channels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.founders.iter().map(|(id, who)| (id.as_str(), who.as_str()))
    }

    pub fn channels_of(&self, user_id: &str) -> impl Iterator<Item = &str> {
        let theirs = self.members.iter().filter(move |(_, m)| m.contains(user_id));
        theirs.map(|(channel_id, _)| channel_id.as_str())
    }

    pub fn said_in<'a>(&'a self, channel_id: &'a str) -> impl Iterator<Item = &'a Said> {
        self.said.iter().filter(move |said| said.channel_id == channel_id)
    }

    /// The number of (message, receiver) pairs: statuses in the ledger, and pairs to push.
    pub fn pairs(&self) -> usize {
        self.said.iter().map(|said| said.receivers.len()).sum()
    }

    pub fn unread(&self, channel_id: &str, reader: &str) -> usize {
        let unread = |said: &&Said| said.receivers.contains(reader) && !self.has_read(said, reader);
        self.said_in(channel_id).filter(unread).count()
    }

    pub fn counts(&self, said: &Said) -> Counts {
        let mut counts = Counts::default();
        for receiver in &said.receivers {
            if self.has_read(said, receiver) {
                counts.read += 1;
            } else if said.missed.contains(receiver) {
                counts.unreceived += 1;
            } else {
                counts.received += 1;
            }
        }
        counts
    }

    fn has_read(&self, said: &Said, reader: &str) -> bool {
        let cursor = self.cursors.get(&(said.channel_id.clone(), reader.to_owned()));
        cursor.is_some_and(|cursor| *cursor >= said.seq)
    }
}
