//! The signals between replicas, by NOTIFY: users who may have changed, members who are typing, and what is relayed.

use std::time::Duration;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::relay::{Assembly, Part};
use super::typing::Typing;
use crate::base::error::Result;
use crate::base::store::Signals;
use crate::events::stream::Hub;

/// The name under which `sql/` signals.
const NAME: &str = "im_live";
/// Pause after a connection is lost, and between two checks whether a listener wants signals.
const PAUSE: Duration = Duration::from_secs(1);

/// One signal.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Signal {
    Users(Vec<String>),
    Typing(Typing),
    Part(Part),
}

impl Hub {
    /// Listens to the signals while a listener wants what is told live, until `stop`.
    pub async fn follow_signals(&self, stop: CancellationToken) {
        loop {
            if !self.is_live_wanted() {
                tokio::select! { () = stop.cancelled() => return, () = self.live.wanted.notified() => {} }
                continue;
            }
            let listened = tokio::select! {
                () = stop.cancelled() => return,
                listened = self.listen() => listened,
            };
            match listened {
                Ok(()) => continue,
                Err(error) => tracing::debug!(%error, "no signals of other replicas; listening again"),
            }
            tokio::select! { () = stop.cancelled() => return, () = tokio::time::sleep(PAUSE) => {} }
        }
    }

    /// Takes signals until no listener wants them, or the connection is lost.
    async fn listen(&self) -> Result<()> {
        let mut signals = self.store.listen(NAME).await?;
        // What was signalled before is lost.
        self.live.watch().recheck();
        self.live.wake.notify_one();
        let mut relayed = Assembly::default();
        while self.is_live_wanted() {
            if tokio::time::timeout(PAUSE, self.take_all(&mut signals, &mut relayed)).await.is_ok() {
                tracing::debug!("the connection for signals is lost; listening again");
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes signals until the connection is lost.
    async fn take_all(&self, signals: &mut Signals, relayed: &mut Assembly) {
        while let Some(text) = signals.next().await {
            match serde_json::from_str(&text) {
                Ok(Signal::Users(names)) => self.live.watch().hint(names.into_iter().map(Into::into)),
                Ok(Signal::Typing(typing)) => self.live.note_typing(typing),
                Ok(Signal::Part(part)) => {
                    if let Some(told) = relayed.take(part) {
                        self.tell_relayed(&told);
                    }
                    continue;
                }
                // A later version may signal more.
                Err(_) => continue,
            }
            self.live.wake.notify_one();
        }
    }
}
