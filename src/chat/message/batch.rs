//! The statements that store a batch of sends. Lanes and notifications use the same ones.

use std::collections::HashMap;
use std::sync::Arc;

use deadpool_postgres::GenericClient;
use futures_util::FutureExt;
use futures_util::future::{OptionFuture, try_join, try_join4};
use postgres_types::{Json, ToSql};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{Notify, mpsc};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::extras::{Extras, Refusals};
use super::outgoing::{Outgoing, Sent, is_replaced};
use crate::base::config::{Config, PeopleSettings, WhoMentions};
use crate::base::error::{Error, Kind, Result};
use crate::base::extra::Extra;
use crate::base::number::{ChannelId, MsId};
use crate::base::store::Store;
use crate::people::relation;
use crate::sql;

/// The store of the sends, and the workers that a commit wakes.
#[derive(Clone)]
pub struct Lanes {
    pub store: Store,
    pub push: Arc<Notify>,
    pub index: Arc<Notify>,
    pub events: Arc<Notify>,
}

/// Stores batches of sends. Cheap to clone.
#[derive(Clone)]
pub struct Batches {
    pub(super) store: Store,
    push: Arc<Notify>,
    index: Arc<Notify>,
    events: Arc<Notify>,
    batch_pairs: i32,
    batch_bytes: i32,
    partitions_by_month: bool,
    only_admins_mention_all: bool,
    people: PeopleSettings,
}

/// The transaction of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounds {
    /// The batch is a transaction of its own, in the same round trip.
    Alone,
    /// The batch is a part of a transaction of the caller.
    Within,
}

/// The result of one send of a batch.
pub enum SendOutcome {
    Done(Result<Sent>),
    /// Another transaction holds the channel's lock. The send goes into the next batch.
    Locked,
}

/// The result of a batch.
pub struct Batch {
    /// One element per send, in order. None: the database has given no result.
    pub outcomes: Vec<Option<SendOutcome>>,
    is_any_stored: bool,
    is_told: bool,
    finding_out: Vec<FindingOut>,
}

/// A sender who does not know yet that a friendship has ended, with the direct channel.
pub(super) type FindingOut = (ChannelId, String);

impl Batch {
    /// Takes the senders who have just talked to a user who is no friend any more.
    pub(super) fn take_finding_out(&mut self) -> Vec<FindingOut> {
        std::mem::take(&mut self.finding_out)
    }
}

impl Batches {
    pub fn new(config: &Config, lanes: Lanes) -> Self {
        let Lanes { store, push, index, events } = lanes;
        Self {
            store,
            push,
            index,
            events,
            batch_pairs: i32::try_from(config.callbacks.batch_pairs).unwrap_or(i32::MAX),
            batch_bytes: i32::try_from(config.callbacks.batch_bytes).unwrap_or(i32::MAX),
            partitions_by_month: config.partitions_by_month(),
            only_admins_mention_all: config.chat.mention_all == WhoMentions::Admins,
            people: config.people.clone(),
        }
    }

    /// Ends friendships on the side of senders who did not know that the other side has ended them, one after another, with
    /// one connection. Their sends are committed and answered. After a failure the next message finds it out.
    pub(super) async fn find_out(self, mut found: mpsc::Receiver<FindingOut>) {
        while let Some((channel_id, sender)) = found.recv().await {
            match relation::find_out(&self.store, channel_id, &sender, &self.people).await {
                Ok(()) => self.events.notify_one(),
                Err(error) => tracing::debug!(%error, "a friendship has not ended on its second side"),
            }
        }
    }

    /// Wakes the workers that process what a batch has stored. Its transaction is committed.
    pub fn wake(&self, batch: &Batch) {
        if batch.is_any_stored {
            self.push.notify_one();
            self.index.notify_one();
        }
        if batch.is_told {
            self.events.notify_one();
        }
    }

    /// Makes the partitions of today and tomorrow, and of channels whose ids are ahead of the clock. Uses its
    /// own connection.
    pub async fn make_missing_partitions(&self, channels: &[ChannelId]) -> Result<()> {
        let client = self.store.client().await?;
        let statement = client.prepare_cached(sql!("chat/message/make_missing_partitions")).await?;
        client.execute(&statement, &[&channels, &self.partitions_by_month]).await?;
        Ok(())
    }

    /// Locks, decides and stores. Each statement has its own snapshot. All are sent together, so a batch is one
    /// round trip: a statement passes its result to the next one inside the transaction.
    pub async fn store(
        &self,
        client: &impl GenericClient,
        sends: &[&Outgoing],
        bounds: Bounds,
    ) -> Result<Batch> {
        let of = || sends.iter().copied();
        let columns = Columns::of(of());
        let (lock, admit, store) = (
            client.prepare_cached(sql!("chat/message/lock_channels")).await?,
            client.prepare_cached(sql!("chat/message/admit")).await?,
            client.prepare_cached(sql!("chat/message/store")).await?,
        );
        let (to_lock, to_admit) = (columns.to_lock(), columns.to_admit(&self.people.direct_needs_friendship));
        let most = (self.batch_pairs, self.batch_bytes);
        let to_store = columns.to_store(&most);
        let extras = Extras::prepare(client, of(), self.only_admins_mention_all).await?;
        // The extras of a plain batch send nothing. Neither do the bounds within a transaction of the caller.
        let bound = |word| OptionFuture::from((bounds == Bounds::Alone).then(|| client.batch_execute(word)));
        // If one fails, those after it fail too. The first error is the cause.
        let decided = try_join4(
            bound("BEGIN").map(Option::transpose),
            client.execute(&lock, &to_lock),
            extras.check(client),
            client.query(&admit, &to_admit),
        );
        let stored = try_join(client.query(&store, &to_store), extras.write(client));
        let ended = bound("COMMIT").map(Option::transpose);
        let (((_, _, refusals, admitted), (stored, ())), _) =
            try_join(try_join(decided, stored), ended).await?;
        Ok(Batch {
            outcomes: outcomes(client, sends, (&admitted, &stored), (&extras, &refusals)).await?,
            is_any_stored: !stored.is_empty(),
            is_told: stored.iter().any(|row| row.get("told")),
            finding_out: finding_out(sends, &admitted),
        })
    }
}

type Parameter<'a> = &'a (dyn ToSql + Sync);

/// The sends of a batch, as the statements take them: one element for each send.
struct Columns<'a> {
    channels: Vec<ChannelId>,
    senders: Vec<&'a str>,
    client_ids: Vec<&'a str>,
    digests: Vec<&'a [u8]>,
    types: Vec<&'a str>,
    contents: Vec<Json<&'a Value>>,
    shorts: Vec<Json<&'a Value>>,
    extras: Vec<Json<&'a Extra>>,
}

impl<'a> Columns<'a> {
    fn of(sends: impl Iterator<Item = &'a Outgoing> + Clone) -> Self {
        let of = || sends.clone();
        Self {
            channels: of().map(|send| send.channel_id).collect(),
            senders: of().map(|send| send.sender.as_str()).collect(),
            client_ids: of().map(|send| send.client_id.as_str()).collect(),
            digests: of().map(|send| send.digest.as_slice()).collect(),
            types: of().map(|send| send.ms_type).collect(),
            contents: of().map(|send| Json(&send.content)).collect(),
            shorts: of().map(|send| Json(&send.short)).collect(),
            extras: of().map(|send| Json(&send.extra)).collect(),
        }
    }

    fn to_lock(&self) -> [Parameter<'_>; 1] {
        [&self.channels]
    }

    fn to_admit<'b>(&'b self, needs_friendship: &'b bool) -> [Parameter<'b>; 6] {
        [&self.channels, &self.senders, &self.client_ids, &self.digests, needs_friendship, &self.types]
    }

    fn to_store<'b>(&'b self, (pairs, bytes): &'b (i32, i32)) -> [Parameter<'b>; 8] {
        let Self { channels, senders, types, contents, shorts, extras, .. } = self;
        [channels, senders, types, contents, shorts, extras, pairs, bytes]
    }
}

/// One outcome per send, in order.
async fn outcomes(
    client: &impl GenericClient,
    sends: &[&Outgoing],
    (admitted, stored): (&[Row], &[Row]),
    (extras, refusals): (&Extras<'_>, &Refusals),
) -> Result<Vec<Option<SendOutcome>>> {
    let stored: HashMap<MsId, &Row> = stored.iter().map(|row| (row.get("ms_id"), row)).collect();
    let mut outcomes: Vec<Option<SendOutcome>> = sends.iter().map(|_| None).collect();
    let mut repeated = Vec::new();
    for row in admitted {
        let place: i64 = row.get("ord");
        let index = place as usize - 1;
        outcomes[index] = match row.get("outcome") {
            "admitted" => stored.get(&row.get("ms_id")).map(|row| {
                let replaced = sends[index].is_replaced();
                SendOutcome::Done(Ok(Sent { replaced, ..sent(row, false) }))
            }),
            "repeated" => {
                repeated.push(index);
                None
            }
            "locked" => Some(SendOutcome::Locked),
            // An earlier commit of the batch decides first. The next batch shows whether the epoch is taken.
            "refused" if extras.must_wait(refusals, place) => Some(SendOutcome::Locked),
            "refused" => Some(SendOutcome::Done(Err(extras.refusal(refusals, place)))),
            "silenced" => Some(SendOutcome::Done(Err(silenced(row.get("until"), row.get("wait_s"))?))),
            refusal => Some(SendOutcome::Done(Err(refused(refusal)))),
        };
    }
    for (index, result) in repeats(client, sends, &repeated).await? {
        outcomes[index] = Some(SendOutcome::Done(result));
    }
    Ok(outcomes)
}

fn sent(row: &Row, repeated: bool) -> Sent {
    let (ms_id, seq, server_time) = (row.get("ms_id"), row.get("seq"), row.get("server_time"));
    Sent { ms_id, seq, server_time, repeated, replaced: false }
}

/// Answers repeats with the message of the first send, which may be in the same batch. Refuses another body.
async fn repeats(
    client: &impl GenericClient,
    sends: &[&Outgoing],
    repeated: &[usize],
) -> Result<Vec<(usize, Result<Sent>)>> {
    if repeated.is_empty() {
        return Ok(Vec::new());
    }
    let senders: Vec<&str> = repeated.iter().map(|&i| sends[i].sender.as_str()).collect();
    let client_ids: Vec<&str> = repeated.iter().map(|&i| sends[i].client_id.as_str()).collect();
    let answer = |row: &Row| {
        let index = repeated[row.get::<_, i64>("ord") as usize - 1];
        let digest: &[u8] = row.get("digest");
        let same = sends[index].is_same(digest);
        // With a generated id the service itself repeated the send, so the caller sees a first send.
        let sent = Sent { replaced: is_replaced(digest), ..sent(row, !sends[index].has_inner_id()) };
        let other_body = || {
            Error::new(Kind::ClientIdReused, "this client_id was used with another body: use a new client_id")
        };
        (index, if same { Ok(sent) } else { Err(other_body()) })
    };
    let statement = client.prepare_cached(sql!("chat/message/repeated")).await?;
    let rows = client.query(&statement, &[&senders, &client_ids]).await?;
    Ok(rows.iter().map(answer).collect())
}

/// What earlier sends with the same client ids have stored, one element per send, in order. None: there was no such send.
/// A caller asks before it reads what the content of a first send needs.
pub async fn sent_before(store: &Store, sends: &[&Outgoing]) -> Result<Vec<Option<Result<Sent>>>> {
    let mut before: Vec<Option<Result<Sent>>> = sends.iter().map(|_| None).collect();
    let of_callers: Vec<usize> = (0..sends.len()).filter(|&index| !sends[index].has_inner_id()).collect();
    if of_callers.is_empty() {
        return Ok(before);
    }
    let client = store.client().await?;
    for (index, result) in repeats(&client, sends, &of_callers).await? {
        before[index] = Some(result);
    }
    Ok(before)
}

/// The senders who have just talked to a user who is no friend any more.
fn finding_out(sends: &[&Outgoing], admitted: &[Row]) -> Vec<FindingOut> {
    let of_friend = admitted.iter().filter(|row| {
        row.get::<_, bool>("finds_out") && matches!(row.get("outcome"), "admitted" | "no_friends")
    });
    let sends = of_friend.map(|row| sends[row.get::<_, i64>("ord") as usize - 1]);
    sends.map(|send| (send.channel_id, send.sender.clone())).collect()
}

/// The sender is silenced. The error says until when, in so many seconds.
pub fn silenced(until: OffsetDateTime, wait_s: i64) -> Result<Error> {
    let shown = until.format(&Rfc3339).map_err(Error::internal)?;
    let error = Error::new(Kind::Silenced, format!("the silence ends at {shown}: send the message after it"));
    Ok(error.retry_after(wait_s.max(1).unsigned_abs()))
}

/// Why a member cannot send, by the outcome of a statement.
pub fn refused(outcome: &str) -> Error {
    match outcome {
        "unknown_user" => Error::unknown_caller(),
        "dissolved" => Error::new(Kind::ChannelDissolved, ""),
        "encrypted" => {
            let detail = "encrypt the message, and send it with the type mls: the channel takes no other";
            Error::new(Kind::ChannelEncrypted, detail)
        }
        "not_encrypted" => {
            let detail =
                "send the message plain: only a channel that was created with `encrypted` takes the type mls";
            Error::new(Kind::ChannelNotEncrypted, detail)
        }
        "only_admins" => Error::new(Kind::OnlyAdminsSend, ""),
        "blocked" => Error::new(Kind::Blocked, ""),
        "no_friends" => {
            let detail = "send a friend request first: PUT /users/me/relations/{user_id}";
            Error::new(Kind::NoFriends, detail)
        }
        _ => Error::not_found("no such channel"),
    }
}

/// PostgreSQL reports a missing partition as a check violation without a constraint's name.
pub fn is_missing_partition(e: &Error) -> bool {
    e.database().is_some_and(|db| *db.code() == SqlState::CHECK_VIOLATION && db.constraint().is_none())
}
