//! The requests of a socket: one after another, in the order in which they came.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::extract::ws::Utf8Bytes;
use futures_util::future::BoxFuture;

use super::calls::{Answer, Call, Calls};
use super::{Protocol, v0, v1};
use crate::api::Api;
use crate::base::error::Result;
use crate::base::number::ChannelId;
use crate::events::stream::Typed;
use crate::identity::Caller;

/// Most requests that wait while another is under way. Further ones wait in the network.
const WAITING: usize = 16;
/// In other channels a user can be typing so many times sooner.
const ELSEWHERE: u32 = 10;

/// What the requests of a socket need.
pub struct Context {
    pub api: Api,
    pub caller: Caller,
    pub calls: Calls,
    pub protocol: Protocol,
}

impl Context {
    /// Makes a call for the user of the socket.
    pub async fn call(&self, call: Call) -> Answer {
        self.calls.make(&self.caller, call).await
    }

    /// Counts a frame that makes no call.
    pub fn check_rate(&self) -> Result<()> {
        self.calls.rates.take(&self.caller)
    }
}

/// What a socket remembers between its requests.
#[derive(Default)]
pub struct Memory {
    /// The channel in which the user was last said to be typing, and when.
    typed: Mutex<Option<(ChannelId, Instant)>>,
    /// What the older protocol remembers.
    pub v0: v0::Memory,
}

impl Memory {
    /// Says that the user is typing, unless that was said a moment ago.
    pub async fn type_in(&self, context: &Context, channel_id: ChannelId) -> Result<bool> {
        let every = context.api.config.streams.typing_every;
        let last = *self.typed.lock().unwrap_or_else(PoisonError::into_inner);
        // A user can turn to another channel soon, but not many times a second.
        let pause = |channel| if channel == channel_id { every } else { every / ELSEWHERE };
        if last.is_some_and(|(channel, at)| at.elapsed() < pause(channel)) {
            return Ok(false);
        }
        let typed = context.api.streams.type_in(channel_id, &context.caller.user_id).await?;
        *self.typed.lock().unwrap_or_else(PoisonError::into_inner) = Some((channel_id, Instant::now()));
        Ok(typed == Typed::Told)
    }
}

/// What a socket does for its user.
enum Job {
    /// A frame of the client.
    Frame(Utf8Bytes),
    /// What was shown up to there counts as read.
    Read(ChannelId, i64),
}

/// The requests of one socket.
pub struct Session {
    context: Arc<Context>,
    memory: Arc<Memory>,
    waiting: VecDeque<Job>,
    /// Gives the frames that answer the request under way.
    running: Option<BoxFuture<'static, Vec<String>>>,
}

impl Session {
    pub fn new(context: Arc<Context>) -> Self {
        Self { context, memory: Arc::default(), waiting: VecDeque::new(), running: None }
    }

    /// Whether another request can wait.
    pub fn has_room(&self) -> bool {
        self.waiting.len() < WAITING
    }

    /// Takes a frame of the client.
    pub fn take(&mut self, text: Utf8Bytes) {
        self.waiting.push_back(Job::Frame(text));
        self.begin();
    }

    /// The frames that answer the next request. Waits while there is none.
    pub async fn answer(&mut self) -> Vec<String> {
        let Some(running) = &mut self.running else { return pending().await };
        let frames = running.await;
        self.running = None;
        self.begin();
        frames
    }

    /// The frames for a piece of the stream.
    pub fn frames(&mut self, piece: &[u8]) -> Vec<String> {
        if self.context.protocol == Protocol::V1 {
            return v1::frame(piece).into_iter().collect();
        }
        let (frames, read) = v0::frames(&self.context, &self.memory.v0, piece);
        if let Some((channel_id, seq)) = read {
            let same = |job: &&mut Job| matches!(job, Job::Read(other, _) if *other == channel_id);
            match self.waiting.iter_mut().find(same) {
                Some(job) => *job = Job::Read(channel_id, seq),
                None => self.waiting.push_back(Job::Read(channel_id, seq)),
            }
            self.begin();
        }
        frames
    }

    fn begin(&mut self) {
        if self.running.is_some() {
            return;
        }
        let Some(job) = self.waiting.pop_front() else { return };
        let (context, memory) = (self.context.clone(), self.memory.clone());
        self.running = Some(Box::pin(async move {
            match (job, context.protocol) {
                (Job::Frame(text), Protocol::V1) => vec![v1::answer(&context, &memory, &text).await],
                (Job::Frame(text), Protocol::V0) => v0::answer(&context, &memory, &text).await,
                (Job::Read(channel_id, seq), _) => {
                    context.call(v0::read_up_to(channel_id, seq)).await;
                    Vec::new()
                }
            }
        }));
    }
}
