//! The way of every content into the service: the gate is asked first, if there is one.
//!
//! A repeat is answered as the first call was, and the gate is not asked again. Nothing is held while the gate is asked.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};

use super::Api;
use super::messages::{again, filled, readable};
use crate::base::error::{Error, Result};
use crate::base::extra::Extra;
use crate::base::number::ChannelId;
use crate::chat::message::{self, Content, HeldFile, NO_FILE, Outgoing, Sender, Sent};
use crate::delivery::endpoint::InForce;
use crate::delivery::gate::{self, Gate, Origin, Question, Replacement, Subject};

/// Questions of one call at the same time.
const ASKED_AT_ONCE: usize = 8;
/// Why a replacement does not count, for the metrics.
const INVALID: &str = "invalid replacement";
/// When a call can be repeated whose replacement does not count.
const WAIT_S: u64 = 1;
const AT_FILE: &str = "/content/file_id";

/// What stores messages, behind the gate. Handlers have no other way to send.
pub struct GatedSender {
    sender: Sender,
    gate: Gate,
}

impl GatedSender {
    pub fn new(sender: Sender, gate: Gate) -> Self {
        Self { sender, gate }
    }
}

/// A send after the gate: as it goes on, or why it does not.
type Passed = std::result::Result<Outgoing, (Error, Outgoing)>;

impl Api {
    /// The gate, if there is one and it is not paused.
    pub(super) fn gate(&self) -> Option<Arc<InForce>> {
        self.sender.gate.in_force()
    }

    /// Sends one message. Returns after it is committed or refused.
    pub(super) async fn send(&self, send: Outgoing) -> Result<Sent> {
        let Some(gate) = self.gate() else { return self.sender.sender.send(send).await };
        let sent = send_gated(self, &gate, vec![Ok(send)]).await.pop();
        sent.unwrap_or_else(|| Err(Error::internal("no result for a send")))
    }

    /// Sends many messages. Returns one result for each, in order. A refused send does not affect the others.
    pub(super) async fn send_all(&self, sends: Vec<Result<Outgoing>>) -> Vec<Result<Sent>> {
        match self.gate() {
            Some(gate) => send_gated(self, &gate, sends).await,
            None => self.sender.sender.send_all(sends).await,
        }
    }
}

async fn send_gated(api: &Api, gate: &Arc<InForce>, sends: Vec<Result<Outgoing>>) -> Vec<Result<Sent>> {
    let mut results: Vec<Option<Result<Sent>>> = Vec::with_capacity(sends.len());
    let mut open = Vec::with_capacity(sends.len());
    for (place, send) in sends.into_iter().enumerate() {
        match send {
            Ok(send) => {
                open.push((place, send));
                results.push(None);
            }
            Err(e) => results.push(Some(Err(e))),
        }
    }
    let passed = match pass_all(api, gate, open, &mut results).await {
        Ok(passed) => passed,
        Err(e) => {
            let failed = |result: Option<Result<Sent>>| result.unwrap_or_else(|| Err(again(&e)));
            return results.into_iter().map(failed).collect();
        }
    };
    let (mut places, mut going, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for (place, passed) in passed {
        match passed {
            Ok(send) => {
                places.push(place);
                going.push(Ok(send));
            }
            Err((e, send)) => refused.push((place, e, send)),
        }
    }
    for (place, sent) in places.into_iter().zip(api.sender.sender.send_all(going).await) {
        results[place] = Some(sent);
    }
    refuse(api, refused, &mut results).await;
    let forgotten = || Err(Error::internal("no result for a send"));
    results.into_iter().map(|result| result.unwrap_or_else(forgotten)).collect()
}

/// A send that the gate has refused may have been stored meanwhile, by another call with its client id.
async fn refuse(api: &Api, refused: Vec<(usize, Error, Outgoing)>, results: &mut [Option<Result<Sent>>]) {
    if refused.is_empty() {
        return;
    }
    let sends: Vec<&Outgoing> = refused.iter().map(|(_, _, send)| send).collect();
    let before = message::sent_before(&api.store, &sends).await;
    let before = before.unwrap_or_else(|_| sends.iter().map(|_| None).collect());
    for ((place, e, _), before) in refused.into_iter().zip(before) {
        results[place] = Some(before.unwrap_or(Err(e)));
    }
}

/// Asks the gate about sends. They stay in order. Of a send that was sent before, the result is that of the first time, and
/// the gate is not asked.
async fn pass_all(
    api: &Api,
    gate: &Arc<InForce>,
    sends: Vec<(usize, Outgoing)>,
    results: &mut [Option<Result<Sent>>],
) -> Result<Vec<(usize, Passed)>> {
    let given: Vec<&Outgoing> = sends.iter().map(|(_, send)| send).collect();
    let before = message::sent_before(&api.store, &given).await?;
    let mut new = Vec::with_capacity(sends.len());
    for ((place, send), before) in sends.into_iter().zip(before) {
        match before {
            Some(sent) => results[place] = Some(sent),
            None => new.push((place, send)),
        }
    }
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let from: Vec<_> = new.iter().map(|(_, send)| (Some(send.channel_id()), send.sender())).collect();
    let origins = gate::origins(&api.store, &from).await?;
    let mut asked = Vec::with_capacity(new.len());
    for ((place, send), origin) in new.into_iter().zip(origins) {
        let (api, gate) = (api.clone(), gate.clone());
        asked.push(async move { (place, pass(api, gate, origin, send).await) });
    }
    Ok(stream::iter(asked).buffered(ASKED_AT_ONCE).collect().await)
}

/// Asks the gate about a send.
async fn pass(api: Api, gate: Arc<InForce>, origin: Result<Origin>, send: Outgoing) -> Passed {
    match replacement(&api, &gate, origin, &send).await {
        Ok(replaced) => Ok(replaced.unwrap_or(send)),
        Err(e) => Err((e, send)),
    }
}

/// What the gate gives in place of a send. `None`: it stays as it is.
async fn replacement(
    api: &Api,
    gate: &InForce,
    origin: Result<Origin>,
    send: &Outgoing,
) -> Result<Option<Outgoing>> {
    let question = Question { subject: Subject::Message, origin: origin?, said: send.said() };
    let Some(by) = api.sender.gate.ask(gate, &question).await? else { return Ok(None) };
    settle(gate, replaced(api, send, by).await)
}

/// The send with the content of the gate, as if its sender had sent it.
async fn replaced(api: &Api, send: &Outgoing, by: Replacement) -> Result<Outgoing> {
    let content = Content::parse(&by.ms_type, by.content, "")?;
    let Some(file_id) = content.file_id() else { return Ok(send.clone().with_replacement(&content, None)) };
    let file = readable(api, send.sender(), file_id).await?;
    let content = filled(content, file.ok_or_else(|| Error::field(AT_FILE, NO_FILE))?, AT_FILE)?;
    Ok(send.clone().with_replacement(&content, Some(HeldFile::of(file_id))))
}

/// Asks the gate about a content that is no send, of a sender who can give it. `None`: it stays as it is.
pub async fn ask(
    api: &Api,
    gate: &InForce,
    subject: Subject,
    (channel_id, sender): (Option<ChannelId>, &str),
    said: Extra,
) -> Result<Option<Replacement>> {
    let origin = gate::origin_of(&api.store, channel_id, sender).await?;
    api.sender.gate.ask(gate, &Question { subject, origin, said }).await
}

/// What was made of a replacement. `None`: its sender could not send it, and the rule of the gate lets the content of the
/// sender pass.
pub fn settle<T>(gate: &InForce, made: Result<T>) -> Result<Option<T>> {
    match made {
        Ok(made) => Ok(Some(made)),
        Err(e) if e.kind.row().0 < 500 => gate.unanswered(INVALID, WAIT_S).map(|()| None),
        Err(e) => Err(e),
    }
}
