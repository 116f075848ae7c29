//! What a gateway can say, and the ways it can fail to.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::watch;

/// One answer, and how it is given.
#[derive(Debug, Clone)]
pub enum Answer {
    /// `{"received": "all"}`
    All,
    /// All but these.
    AllExcept { offline: Vec<String>, retry: Vec<String> },
    /// Everybody by name. `rejected`: receiver and reason.
    Lists { received: Vec<String>, offline: Vec<String>, retry: Vec<String>, rejected: Vec<(String, String)> },
    /// A bare status, with a `Retry-After` if given.
    Status(u16, Option<String>),
    /// 200 and exactly this, called JSON.
    Body(String),
    /// 307 to this address.
    Redirect(String),
    /// Nothing, for as long as the caller cares to wait.
    Hang,
    /// The connection closes without a word.
    Close,
    /// Late.
    After(Duration, Box<Answer>),
    /// When the test opens the gate.
    Behind(Gate, Box<Answer>),
}

impl Answer {
    pub fn all_except(offline: &[&str], retry: &[&str]) -> Self {
        Self::AllExcept { offline: owned(offline), retry: owned(retry) }
    }

    pub fn lists(received: &[&str], offline: &[&str], retry: &[&str], rejected: &[(&str, &str)]) -> Self {
        let rejected = rejected.iter().map(|(who, why)| ((*who).to_owned(), (*why).to_owned())).collect();
        Self::Lists { received: owned(received), offline: owned(offline), retry: owned(retry), rejected }
    }

    pub fn status(code: u16) -> Self {
        Self::Status(code, None)
    }

    pub fn retry_after(code: u16, seconds: u32) -> Self {
        Self::Status(code, Some(seconds.to_string()))
    }

    pub fn garbage() -> Self {
        Self::Body("{\"received\": \"al".to_owned())
    }

    pub fn after(self, wait: Duration) -> Self {
        Self::After(wait, Box::new(self))
    }

    pub fn behind(self, gate: &Gate) -> Self {
        Self::Behind(gate.clone(), Box::new(self))
    }
}

/// Holds answers back until the test opens it, once and for all.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub fn closed() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub async fn opened(&self) {
        // The sender is in `self`, so the channel cannot close.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

/// Gives an answer, when its time has come.
pub(super) async fn give(mut answer: Answer) -> Response {
    loop {
        answer = match answer {
            Answer::After(wait, then) => {
                tokio::time::sleep(wait).await;
                *then
            }
            Answer::Behind(gate, then) => {
                gate.opened().await;
                *then
            }
            now => break give_now(now).await,
        }
    }
}

async fn give_now(answer: Answer) -> Response {
    match answer {
        Answer::All => json_body(&json!({"received": "all"})),
        Answer::AllExcept { offline, retry } => {
            json_body(&json!({"received": "all", "except": {"offline": offline, "retry": retry}}))
        }
        Answer::Lists { received, offline, retry, rejected } => {
            let rejected: Vec<Value> =
                rejected.iter().map(|(who, why)| json!({"receiver": who, "reason": why})).collect();
            json_body(&json!({
                "received": received, "offline": offline, "retry": retry, "rejected": rejected
            }))
        }
        Answer::Status(code, retry_after) => {
            let status = StatusCode::from_u16(code).expect("a status code");
            (status, AppendHeaders(retry_after.map(|wait| (RETRY_AFTER, wait)))).into_response()
        }
        Answer::Body(text) => ([(CONTENT_TYPE, "application/json")], text).into_response(),
        Answer::Redirect(to) => (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to)]).into_response(),
        Answer::Hang => pending().await,
        // Unwinding ends the connection's task and with it the connection; unlike a panic, it
        // does not print.
        Answer::Close => std::panic::resume_unwind(Box::new("closed without an answer")),
        Answer::After(..) | Answer::Behind(..) => unreachable!("waited for in `give`"),
    }
}

fn json_body(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
