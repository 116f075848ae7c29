//! What must hold whatever happens in whatever order: chance writes the stories.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use im_push_gateway::base::config::Config;
use im_push_gateway::base::error::{Kind, Result};
use im_push_gateway::base::number::{ChannelId, MsId};
use im_push_gateway::base::store::Store;
use im_push_gateway::base::worker::Tick;
use im_push_gateway::chat::channel;
use im_push_gateway::chat::channel::group::{self, Change, NewGroup};
use im_push_gateway::chat::channel::members::{self, Joiners};
use im_push_gateway::chat::message::{Content, Lanes, Outgoing, Sender, Sent};
use im_push_gateway::delivery::endpoint::{Callbacks, GATEWAY};
use im_push_gateway::delivery::push::{Push, QueueWorker};
use im_push_gateway::delivery::status::Status;
use im_push_gateway::records::conversation;
use im_push_gateway::records::history::{Message, Position, Reading};
use im_push_gateway::records::receipt::{self, ReadTo, Receipt, ReceiptOutcome, ReceiptsPage, Seen};
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestCaseResult, TestRunner};
use serde_json::json;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::app;
use crate::support::gateway::SECRET;
use crate::support::{Answer, Gateway, shared};

const PEOPLE: usize = 4;
const MOST_MEMBERS: u32 = 100;
const CASES: u32 = 24;
const SHRINKS_MAX: u32 = 200;

// ── Unread ───────────────────────────────────────────────────────────────────────────────────

#[derive(Debug, Clone)]
enum Event {
    Send(usize),
    Join(usize),
    Leave(usize),
    /// Who, and how many messages before the last.
    Read(usize, i64),
    ReadReceipt(usize, i64),
}

fn event() -> impl Strategy<Value = Event> {
    let who = 0..PEOPLE;
    prop_oneof![
        4 => who.clone().prop_map(Event::Send),
        2 => who.clone().prop_map(Event::Join),
        // The owner stays: nobody would be left to let others in.
        1 => (1..PEOPLE).prop_map(Event::Leave),
        2 => (who.clone(), 0..6i64).prop_map(|(who, back)| Event::Read(who, back)),
        1 => (who, 0..6i64).prop_map(|(who, back)| Event::ReadReceipt(who, back)),
    ]
}

/// What one channel should be, kept in the most obvious way.
struct Model {
    is_group: bool,
    /// Sender and ms_id of seq 1, 2, …
    messages: Vec<(usize, MsId)>,
    /// By person: from, to, cursor.
    intervals: Vec<Vec<(i64, Option<i64>, i64)>>,
}

impl Model {
    fn new(is_group: bool, members: usize) -> Self {
        let interval = |person| {
            if person < members { vec![(1, None, 0)] } else { Vec::new() }
        };
        Self { is_group, messages: Vec::new(), intervals: (0..PEOPLE).map(interval).collect() }
    }

    fn last(&self) -> i64 {
        self.messages.len() as i64
    }

    fn is_member(&self, who: usize) -> bool {
        self.intervals[who].last().is_some_and(|(_, to, _)| to.is_none())
    }

    fn join(&mut self, who: usize) {
        if !self.is_member(who) {
            let last = self.last();
            self.intervals[who].push((last + 1, None, last));
            self.is_group = true;
        }
    }

    fn leave(&mut self, who: usize) {
        let last = self.last();
        self.intervals[who].last_mut().expect("a member").1 = Some(last);
    }

    fn read(&mut self, who: usize, seq: i64) {
        let (.., cursor) = self.intervals[who].last_mut().expect("a member");
        *cursor = seq.max(*cursor);
    }

    /// Whether the receipt is one of a receiver.
    fn read_receipt(&mut self, who: usize, seq: i64) -> bool {
        let own = self.messages[seq as usize - 1].0 == who;
        let mut intervals = self.intervals[who].iter_mut();
        let interval = intervals.find(|(from, to, _)| *from <= seq && to.is_none_or(|to| seq <= to) && !own);
        interval.map(|(.., cursor)| *cursor = seq.max(*cursor)).is_some()
    }

    /// Unread and cursor, counted from scratch.
    fn unread(&self, who: usize) -> Option<(i64, i64)> {
        let (.., cursor) = self.intervals[who].last().filter(|(_, to, _)| to.is_none())?;
        let above = self.messages.iter().skip(*cursor as usize);
        let unread = above.filter(|(sender, _)| *sender != who).count();
        Some((unread as i64, *cursor))
    }
}

#[test]
fn unread_is_what_counting_from_scratch_gives() {
    let stories = (any::<bool>(), prop::collection::vec(event(), 1..40));
    whatever_happens(stories, |(direct, events)| async move {
        let stage = Stage::new("").await;
        let (channel, mut model) = if direct {
            (stage.direct().await, Model::new(false, 2))
        } else {
            (stage.group(3).await, Model::new(true, 3))
        };
        for event in events {
            happen(&stage, channel, &mut model, &event).await?;
            for person in 0..PEOPLE {
                let listed = conversation::list(&stage.store, &name(person), None, 200).await.unwrap();
                let total = model.unread(person).map_or(0, |(unread, _)| unread);
                prop_assert_eq!(listed.unread_total, total, "{} after {:?}", name(person), event);
                let shown = listed.conversations.first().map(|entry| (entry.unread_count, entry.read_seq));
                prop_assert_eq!(shown, model.unread(person), "{} after {:?}", name(person), event);
            }
        }
        Ok(())
    });
}

async fn happen(stage: &Stage, channel: ChannelId, model: &mut Model, event: &Event) -> TestCaseResult {
    let store = &stage.store;
    match *event {
        Event::Send(who) => match stage.say(channel, &name(who)).await {
            Ok(sent) => {
                prop_assert!(model.is_member(who));
                model.messages.push((who, sent.ms_id));
                prop_assert_eq!(sent.seq, model.last());
            }
            Err(e) => prop_assert!(e.kind == Kind::NotFound && !model.is_member(who), "{}", e),
        },
        Event::Join(who) => {
            stage.join(channel, who).await;
            model.join(who);
        }
        Event::Leave(who) => {
            let left = members::leave(store, channel, &name(who), now()).await;
            // A direct channel is not left.
            let may = model.is_group && model.is_member(who);
            prop_assert_eq!(left.is_ok(), may);
            if may {
                model.leave(who);
            }
        }
        Event::Read(who, back) => {
            let seq = (model.last() - back).max(0);
            let read =
                receipt::read(store, None, ReadTo { channel_id: channel, caller: &name(who), seq }, now())
                    .await;
            prop_assert_eq!(read.is_ok(), model.is_member(who));
            if let Ok(cursor) = read {
                model.read(who, seq);
                let answered = Some((cursor.unread_count, cursor.read_seq));
                prop_assert_eq!(answered, model.unread(who));
            }
        }
        Event::ReadReceipt(who, back) => {
            let seq = model.last() - back;
            if seq >= 1 {
                let outcome = stage.receipt(model.messages[seq as usize - 1].1, who, Status::Read).await;
                prop_assert_eq!(outcome != ReceiptOutcome::Unknown, model.read_receipt(who, seq));
            }
        }
    }
    Ok(())
}

// ── Statuses ─────────────────────────────────────────────────────────────────────────────────

#[derive(Debug, Clone)]
enum Step {
    Send(usize),
    /// A batch goes out and is answered so; people by number.
    Push(Said),
    /// The background pass.
    Receipts,
    Receive(usize, usize),
    ReadReceipt(usize, usize),
    Read(usize, i64),
    /// A client has everything up to so many messages before the last.
    ReceiveUpTo(usize, i64),
}

#[derive(Debug, Clone)]
enum Said {
    All,
    Offline(usize),
    Rejected(usize),
    Retry(usize),
    Only(usize),
    Nothing,
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..PEOPLE;
    let said = prop_oneof![
        Just(Said::All),
        who.clone().prop_map(Said::Offline),
        who.clone().prop_map(Said::Rejected),
        who.clone().prop_map(Said::Retry),
        who.clone().prop_map(Said::Only),
        Just(Said::Nothing),
    ];
    prop_oneof![
        3 => who.clone().prop_map(Step::Send),
        4 => said.prop_map(Step::Push),
        1 => Just(Step::Receipts),
        3 => (0..8usize, who.clone()).prop_map(|(back, who)| Step::Receive(back, who)),
        1 => (0..8usize, who.clone()).prop_map(|(back, who)| Step::ReadReceipt(back, who)),
        1 => (who.clone(), 0..8i64).prop_map(|(who, back)| Step::Read(who, back)),
        2 => (who, 0..8i64).prop_map(|(who, back)| Step::ReceiveUpTo(who, back)),
    ]
}

/// The workers, one tick at a time, and the gateway they talk to.
struct Workers {
    gateway: Gateway,
    push: QueueWorker,
}

#[test]
fn statuses_only_advance() {
    let stories = (any::<bool>(), prop::collection::vec(step(), 1..50));
    whatever_happens(stories, |(in_stretches, steps)| async move {
        let stage = Stage::new(if in_stretches { "callback_batch_pairs = 2" } else { "" }).await;
        let workers = stage.workers().await;
        let channel = stage.group(PEOPLE).await;
        let mut sent: Vec<(MsId, usize)> = Vec::new();
        let mut before: HashMap<(MsId, String), Status> = HashMap::new();
        for step in steps {
            let least = take(&stage, &workers, (channel, &mut sent), &step).await?;
            let after = stage.statuses(&sent).await;
            prop_assert_eq!(after.len(), sent.len() * (PEOPLE - 1));
            for (pair, status) in &after {
                let was = before.get(pair).copied().unwrap_or(Status::Unreceived);
                prop_assert!(*status >= was, "{pair:?} was {was:?} and is {status:?} after {step:?}");
            }
            for (pair, least) in least {
                prop_assert!(after[&pair] >= least, "{pair:?} is not {least:?} after {step:?}");
            }
            before = after;
        }
        // What is derived now is what is written in the end.
        while receipt::tick(&stage.store).await.unwrap() == Tick::More {}
        let rows = stage.ledger().await;
        prop_assert_eq!(rows, before);
        Ok(())
    });
}

/// Takes a step; says which statuses must have come at least how far by it.
async fn take(
    stage: &Stage,
    workers: &Workers,
    (channel, sent): (ChannelId, &mut Vec<(MsId, usize)>),
    step: &Step,
) -> std::result::Result<Vec<((MsId, String), Status)>, TestCaseError> {
    let pick = |back: usize| sent.len().checked_sub(back + 1).map(|at| sent[at]);
    match *step {
        Step::Send(who) => sent.push((stage.say(channel, &name(who)).await.unwrap().ms_id, who)),
        Step::Push(ref said) => {
            let answer = said.answer();
            workers.gateway.answer(move |_| answer.clone());
            workers.push.tick().await.unwrap();
        }
        Step::Receipts => {
            receipt::tick(&stage.store).await.unwrap();
        }
        Step::Receive(back, who) | Step::ReadReceipt(back, who) => {
            let Some((ms_id, sender)) = pick(back) else {
                return Ok(Vec::new());
            };
            let status = if matches!(step, Step::Receive(..)) { Status::Received } else { Status::Read };
            let outcome = stage.receipt(ms_id, who, status).await;
            prop_assert_eq!(outcome == ReceiptOutcome::Unknown, sender == who);
            if sender != who {
                return Ok(vec![((ms_id, name(who)), status)]);
            }
        }
        Step::Read(who, back) | Step::ReceiveUpTo(who, back) => {
            let seq = (sent.len() as i64 - back).max(0);
            let caller = name(who);
            let to = ReadTo { channel_id: channel, caller: &caller, seq };
            let status = if matches!(step, Step::Read(..)) {
                receipt::read(&stage.store, None, to, now()).await.unwrap();
                Status::Read
            } else {
                let reached = receipt::receive_up_to(&stage.store, None, to, now()).await.unwrap();
                prop_assert!(reached >= seq);
                Status::Received
            };
            let passed = sent.iter().take(seq as usize).filter(|(_, sender)| *sender != who);
            return Ok(passed.map(|(ms_id, _)| ((*ms_id, name(who)), status)).collect());
        }
    }
    Ok(Vec::new())
}

impl Said {
    fn answer(&self) -> Answer {
        match *self {
            Self::All => Answer::All,
            Self::Offline(who) => Answer::all_except(&[&name(who)], &[]),
            Self::Retry(who) => Answer::all_except(&[], &[&name(who)]),
            Self::Rejected(who) => Answer::lists(&[], &[], &[], &[(&name(who), "gone")]),
            Self::Only(who) => Answer::lists(&[&name(who)], &[], &[], &[]),
            Self::Nothing => Answer::status(500),
        }
    }
}

// ── Pages ────────────────────────────────────────────────────────────────────────────────────

#[derive(Debug, Clone)]
enum Scene {
    Say,
    Join,
    Leave,
    /// Whether newcomers see everything from now on.
    Open(bool),
    Read(i64),
}

fn scene() -> impl Strategy<Value = Scene> {
    prop_oneof![
        6 => Just(Scene::Say),
        2 => Just(Scene::Join),
        1 => Just(Scene::Leave),
        1 => any::<bool>().prop_map(Scene::Open),
        1 => (0..10i64).prop_map(Scene::Read),
    ]
}

#[test]
fn pages_show_everything_visible_once_and_in_order() {
    let limits = || prop::collection::vec(1..8i64, 1..6);
    let stories = (prop::collection::vec(scene(), 1..40), limits(), limits(), 0..40i64);
    whatever_happens(stories, |(scenes, back, forth, from)| async move {
        let stage = Stage::new("").await;
        let channel = stage.group(1).await;
        let visible = play(&stage, channel, &scenes).await;
        let mut newest_first = Vec::new();
        let mut place = Position::END;
        for limit in back.iter().cycle() {
            let page = reading(&stage.store, channel).before(place, 0, *limit).await.unwrap().0;
            let Some(last) = page.last() else { break };
            place = at(last);
            newest_first.extend(page.iter().map(|m| m.seq));
            // What is said meanwhile disturbs nobody who pages back.
            stage.say(channel, &name(0)).await.unwrap();
        }
        newest_first.reverse();
        prop_assert_eq!(&newest_first, &visible, "paging back by {:?}", back);

        let said = stage.last_seq(channel).await;
        let before: i64 = scenes.iter().filter(|scene| matches!(scene, Scene::Say)).count() as i64;
        let all: Vec<i64> = visible.into_iter().chain(before + 1..=said).filter(|seq| *seq > from).collect();
        let mut oldest_first = Vec::new();
        let mut place = Position { seq: from, ms_id: MsId(0) };
        for limit in forth.iter().cycle() {
            let page = reading(&stage.store, channel).after(place, *limit).await.unwrap().0;
            prop_assert!(page.len() as i64 <= *limit);
            let Some(last) = page.last() else { break };
            place = at(last);
            oldest_first.extend(page.iter().map(|m| m.seq));
        }
        prop_assert_eq!(&oldest_first, &all, "paging forth by {:?} from {}", forth, from);

        let newest = reading(&stage.store, channel).before(Position::END, from, 5).await.unwrap().0;
        let newest: Vec<i64> = newest.iter().rev().map(|m| m.seq).collect();
        prop_assert_eq!(&newest[..], &all[all.len().saturating_sub(5)..], "the newest past {}", from);
        Ok(())
    });
}

const READER: &str = "p1";

fn at(message: &Message) -> Position {
    Position { seq: message.seq, ms_id: message.ms_id }
}

/// Plays the scenes, with the reader in the channel at the end; says which seqs they see.
async fn play(stage: &Stage, channel: ChannelId, scenes: &[Scene]) -> Vec<i64> {
    let (mut last, mut open, mut inside) = (0, false, false);
    // Where the group was opened last: what was said before stays unseen.
    let mut opened = 1;
    let mut visible = std::collections::BTreeSet::new();
    // What was said before the latest joining and shown to the newcomer: until they leave.
    let mut earlier = std::collections::BTreeSet::new();
    for scene in scenes.iter().chain(&[Scene::Join]) {
        match *scene {
            Scene::Say => {
                last = stage.say(channel, &name(0)).await.unwrap().seq;
                if inside {
                    visible.insert(last);
                }
            }
            Scene::Join => {
                stage.join(channel, 1).await;
                if !inside && open {
                    earlier.extend(opened..=last);
                }
                inside = true;
            }
            Scene::Leave if inside => {
                members::leave(&stage.store, channel, READER, now()).await.unwrap();
                inside = false;
                earlier.clear();
            }
            Scene::Open(everything) => {
                let newcomers_see = Some(if everything { "everything" } else { "nothing" }.to_owned());
                let change = Change { newcomers_see, ..Change::default() };
                group::update(&stage.store, channel, &name(0), change).await.unwrap();
                if everything && !open {
                    opened = last + 1;
                }
                open = everything;
            }
            Scene::Read(back) if inside => {
                receipt::read(
                    &stage.store,
                    None,
                    ReadTo { channel_id: channel, caller: READER, seq: (last - back).max(0) },
                    now(),
                )
                .await
                .unwrap();
            }
            Scene::Leave | Scene::Read(_) => {}
        }
    }
    visible.union(&earlier).copied().collect()
}

// ── The stage ────────────────────────────────────────────────────────────────────────────────

/// The domain on a database of its own, without a service around it.
struct Stage {
    store: Store,
    sender: Sender,
    database: String,
    overrides: String,
}

/// Runs stories until one breaks the property, then shorter ones.
fn whatever_happens<S: Strategy, F: Future<Output = TestCaseResult>>(
    stories: S,
    property: impl Fn(S::Value) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let cases =
        Cases { cases: CASES, max_shrink_iters: SHRINKS_MAX, failure_persistence: None, ..Cases::default() };
    let outcome = TestRunner::new(cases).run(&stories, |story| runtime.block_on(property(story)));
    if let Err(broken) = outcome {
        panic!("{broken}");
    }
}

impl Stage {
    async fn new(overrides: &str) -> Self {
        let database = app::database().await;
        let config = app::config(&database, overrides);
        let store = Store::new(&config).expect("a store");
        let lanes = Lanes {
            store: store.clone(),
            push: Arc::default(),
            index: Arc::default(),
            events: Arc::default(),
        };
        // Rows are queued for a callback; where it is does not matter to them.
        let sender =
            Sender::open(&Self::pushing(&database, overrides, "http://127.0.0.1:9/"), lanes, |lane| {
                drop(tokio::spawn(lane))
            });
        let sql = "INSERT INTO t_im_user (user_id, name, updated_at, words_due) \
                   SELECT 'p' || i, 'p' || i, now(), false FROM generate_series(0, 9) i";
        shared().connect(&database).await.batch_execute(sql).await.unwrap();
        Self { store, sender, database, overrides: overrides.to_owned() }
    }

    fn pushing(database: &str, overrides: &str, url: &str) -> Config {
        let callback = format!(
            "\ncallback_url = \"{url}\"\ncallback_secrets = [\"{SECRET}\"]\ncallback_breaker_failures = 100000\n\
             callback_retry_base_ms = 1\ncallback_batch_rows = 3\n"
        );
        app::config(database, &format!("{overrides}{callback}"))
    }

    async fn workers(&self) -> Workers {
        let gateway = Gateway::start();
        let config = Self::pushing(&self.database, &self.overrides, &gateway.url());
        let callbacks = Callbacks::open(self.store.clone(), &config, now()).await.unwrap();
        let push =
            Push::new(Arc::new(callbacks), &config, Arc::default(), |_| (), CancellationToken::default());
        Workers { push: Arc::new(push).worker(GATEWAY), gateway }
    }

    async fn direct(&self) -> ChannelId {
        let (channel, _) =
            channel::direct::open(&self.store, (&name(0), &name(1)), false, now()).await.unwrap();
        channel
    }

    /// A group of the first people; number 0 owns it.
    async fn group(&self, members: usize) -> ChannelId {
        let group = NewGroup { members: (1..members).map(name).collect(), ..NewGroup::default() };
        group::create(&self.store, &name(0), &group, MOST_MEMBERS, now()).await.unwrap().0
    }

    async fn join(&self, channel: ChannelId, who: usize) {
        let users = [name(who)];
        let joiners = Joiners { users: &users, most_members: MOST_MEMBERS, now: now() };
        members::add(&self.store, channel, &name(0), joiners).await.unwrap();
    }

    async fn say(&self, channel: ChannelId, who: &str) -> Result<Sent> {
        let content = Content::parse("text", json!({"text": "hello"}), "").unwrap();
        self.sender.send(Outgoing::new(channel, who, None, &content).unwrap()).await
    }

    async fn receipt(&self, ms_id: MsId, who: usize, status: Status) -> ReceiptOutcome {
        let receipt = Receipt { ms_id, receiver: name(who), status };
        receipt::accept(&self.store, &[receipt], now()).await.unwrap()[0]
    }

    /// Every status as readers are shown it; also the counts agree with the list.
    async fn statuses(&self, sent: &[(MsId, usize)]) -> HashMap<(MsId, String), Status> {
        let mut statuses = HashMap::new();
        for (ms_id, _) in sent {
            let seen = Seen { caller: "", all: true };
            let page = ReceiptsPage { seen, statuses: &[], after: "", limit: 100 };
            let shown = receipt::of_message(&self.store, None, *ms_id, page).await.unwrap();
            let count = |status| shown.items.iter().filter(|item| item.status == status).count() as i64;
            let counts = [Status::Unreceived, Status::Received, Status::Read].map(count);
            assert_eq!(counts, [shown.counts.unreceived, shown.counts.received, shown.counts.read]);
            statuses.extend(shown.items.into_iter().map(|item| ((*ms_id, item.receiver), item.status)));
        }
        statuses
    }

    /// Every status as it is stored.
    async fn ledger(&self) -> HashMap<(MsId, String), Status> {
        let sql = "SELECT ms_id, receiver, status FROM v_im_ledger";
        let rows = shared().connect(&self.database).await.query(sql, &[]).await;
        let pair = |row: &tokio_postgres::Row| {
            ((row.get(0), row.get(1)), Status::from_db(row.get(2)).expect("a status"))
        };
        rows.unwrap().iter().map(pair).collect()
    }

    async fn last_seq(&self, channel: ChannelId) -> i64 {
        channel::get(&self.store, channel, &name(0)).await.unwrap().last_seq
    }
}

fn name(who: usize) -> String {
    format!("p{who}")
}

/// Statements that are given the time compare it with nothing here.
fn now() -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH
}

fn reading(store: &Store, channel_id: ChannelId) -> Reading<'_> {
    Reading { store, archive: None, channel_id, reader: Some(READER) }
}
