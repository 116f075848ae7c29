//! Why a message has reached a user, or has not: one finding, and the facts behind it.

use time::OffsetDateTime;

use super::history::{self, Message, Reading};
use super::receipt::{self, ReceiverStatus};
use crate::archive::Archive;
use crate::base::error::{Error, Result};
use crate::base::named::named;
use crate::base::number::MsId;
use crate::base::store::Store;
use crate::chat::channel::oversight::{self, Attendance, Interval, Overseen};
use crate::delivery::push::{self, Pair, PairState};
use crate::delivery::status::{Status, Verdict};
use crate::people::users;

named! {
    /// The reason in one word. `docs/console.md` has the table.
    pub enum Finding ("finding") {
        /// The user sent the message.
        Sender = "sender",
        Read = "read",
        Received = "received",
        /// The gateway answered that the user was offline.
        Offline = "offline",
        /// The user left the company before the push.
        LeftCompany = "left_company",
        /// The gateway answered that this user cannot get it.
        Rejected = "rejected",
        /// It waits for its turn.
        Waiting = "waiting",
        /// It was pushed, and is pushed again later.
        Retrying = "retrying",
        /// It waits because the gateway fails.
        GatewayFailing = "gateway_failing",
        /// It waits because an administrator paused the gateway.
        GatewayPaused = "gateway_paused",
        /// It waits because there is no gateway.
        NoGateway = "no_gateway",
        /// Push is turned off.
        PushOff = "push_off",
        /// It was given up, and can be replayed.
        DeadLetter = "dead_letter",
        /// It was not received, and nothing waits any more.
        NotDelivered = "not_delivered",
        /// The user was never a member of the channel.
        NeverMember = "never_member",
        /// The user became a member later.
        JoinedLater = "joined_later",
        /// The user was no member any more.
        LeftBefore = "left_before",
        /// The user was a member, and is not meant to receive: a robot.
        NotReceiver = "not_receiver",
    }
}

/// A finding, and the facts behind it.
#[derive(Debug)]
pub struct Diagnosis {
    pub finding: Finding,
    pub message: Message,
    pub channel: Overseen,
    pub user: DiagnosedUser,
    /// Every membership of the user in the channel.
    pub intervals: Vec<Interval>,
    /// `None`: the user is no receiver of the message.
    pub receipt: Option<ReceiverStatus>,
    /// Whether the message is in the archive alone.
    pub is_cold: bool,
    pub push: PairState,
}

#[derive(Debug)]
pub struct DiagnosedUser {
    pub user_id: String,
    pub name: String,
    pub active: bool,
}

/// The question: which message, which user, and what is known of the gateway at that time.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub ms_id: MsId,
    pub user_id: &'a str,
    /// The state of the gateway, as `/readyz` has it.
    pub gateway: &'static str,
    pub now: OffsetDateTime,
}

/// Finds out why a message has reached a user, or has not.
pub async fn diagnose(
    store: &Store,
    archive: Option<&dyn Archive>,
    question: Question<'_>,
) -> Result<Diagnosis> {
    let Question { ms_id, user_id, gateway, now } = question;
    let missing = || Error::not_found("no such message");
    let (channel_id, place) = history::locate(store, archive, ms_id).await?.ok_or_else(missing)?;
    let reading = Reading { store, archive, channel_id, reader: None };
    let message = reading.at(place).await?.ok_or_else(missing)?;
    let channel = oversight::get(store, channel_id).await?;
    let attendance = oversight::attendance_of(store, channel_id, user_id).await?;
    let (user, intervals) = match attendance {
        Some(Attendance { user_id, name, active, intervals, .. }) => {
            (DiagnosedUser { user_id, name, active }, intervals)
        }
        None => (stranger(store, user_id).await?, Vec::new()),
    };
    let (receipt, is_cold) = receipt::of_receiver(store, archive, &message, user_id).await?;
    let pair = Pair { ms_id, channel_id, receiver: user_id, sent_at: message.server_time };
    let settled = receipt.as_ref().filter(|r| r.status != Status::Unreceived || r.verdict.is_some());
    let push = push::of_pair(store, pair, settled.map_or(now, |r| r.last_modified_time)).await?;
    let mut diagnosis = Diagnosis {
        finding: Finding::NotDelivered,
        message,
        channel,
        user,
        intervals,
        receipt,
        is_cold,
        push,
    };
    diagnosis.finding = diagnosis.decide(gateway);
    Ok(diagnosis)
}

/// A user who never was in the channel.
async fn stranger(store: &Store, user_id: &str) -> Result<DiagnosedUser> {
    let unknown = || Error::not_found("no such user");
    let standing = users::standing(store, user_id).await?.ok_or_else(unknown)?;
    let name = users::names(store, &[user_id]).await?.remove(user_id).ok_or_else(unknown)?;
    Ok(DiagnosedUser { user_id: user_id.to_owned(), name, active: standing.active })
}

impl Diagnosis {
    fn decide(&self, gateway: &str) -> Finding {
        if self.message.sender == self.user.user_id {
            return Finding::Sender;
        }
        let Some(receipt) = &self.receipt else { return self.absent() };
        match (receipt.status, receipt.verdict) {
            (Status::Read, _) => Finding::Read,
            (Status::Received, _) => Finding::Received,
            (Status::Unreceived, Some(Verdict::Rejected)) => Finding::Rejected,
            (Status::Unreceived, Some(_)) if !self.user.active => Finding::LeftCompany,
            (Status::Unreceived, Some(_)) => Finding::Offline,
            (Status::Unreceived, None) => self.underway(gateway),
        }
    }

    /// Why a receiver has not received it, and there is no verdict.
    fn underway(&self, gateway: &str) -> Finding {
        let Some(waiting) = &self.push.waiting else {
            return match (&self.push.dead, gateway) {
                (Some(_), _) => Finding::DeadLetter,
                // Nothing is pushed to users who have left.
                (None, _) if !self.user.active => Finding::LeftCompany,
                (None, "off") => Finding::PushOff,
                (None, _) => Finding::NotDelivered,
            };
        };
        match gateway {
            // With push turned off nothing is queued, so what waits here waits for a gateway.
            "off" | "missing" => Finding::NoGateway,
            "paused" => Finding::GatewayPaused,
            "failing" => Finding::GatewayFailing,
            _ if waiting.attempts > 0 || waiting.retries > 0 => Finding::Retrying,
            _ => Finding::Waiting,
        }
    }

    /// Why a user is no receiver.
    fn absent(&self) -> Finding {
        let seq = self.message.seq;
        let holds = |i: &Interval| i.from_seq <= seq && i.to_seq.is_none_or(|to| to >= seq);
        match &self.intervals[..] {
            [] => Finding::NeverMember,
            all if all.iter().any(holds) => Finding::NotReceiver,
            all if all.iter().any(|i| i.from_seq <= seq) => Finding::LeftBefore,
            _ => Finding::JoinedLater,
        }
    }
}
