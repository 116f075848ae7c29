//! Faults of what is told to endpoints, and of notifications.

use serde_json::json;

use super::watched::Watched;
use crate::delivery::callbacks::observer;
use crate::support::gateway::SECRET;
use crate::support::{Answer, Conduct, Gateway, Observer, Service, shared};

/// Observers can be created, at addresses of this machine.
const OBSERVERS: [(&str, &str); 2] =
    [("callback_keys", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="), ("callback_allow", "127.0.0.0/8")];
/// Ends the pause of a notification that failed; 0 once none is under way.
const HURRY: &str = "WITH hurried AS (UPDATE t_im_notification SET paused_until = paused_at WHERE is_open) \
                     SELECT count(*) FROM t_im_notification WHERE is_open";

pub async fn away() -> Watched {
    let mut watched = Watched::at("-5 minutes", &[]).await;
    let channel = watched.channel().await;
    watched.gateway.down();
    watched.say(&channel).await;
    watched.restart_at("0").await;
    watched.sees("impg_push_backlog_age_seconds", 61.0).await;
    watched
}

pub async fn refused() -> Watched {
    let impatient = [("callback_give_up_ms", "1"), ("callback_breaker_failures", "1000")];
    let mut watched = Watched::start(&impatient).await;
    let channel = watched.channel().await;
    watched.gateway.answer(|_| Answer::status(500));
    watched.say(&channel).await;
    watched.sees("impg_push_dead_batches_total", 1.0).await;
    watched
}

pub async fn gone() -> Watched {
    let mut watched = Watched::start(&OBSERVERS).await;
    let channel = watched.channel().await;
    let portal = Observer::start();
    portal.behave(|_| Conduct::status(410));
    observer(&watched.client("root", &["admin"]), &portal.url()).await;
    watched.say(&channel).await;
    watched.sees("impg_callback_disabled_total", 1.0).await;
    watched
}

pub async fn no_verdict() -> Watched {
    let mut watched = Watched::start(&OBSERVERS).await;
    let channel = watched.channel().await;
    let filter = Observer::start();
    filter.behave(|_| Conduct::status(500));
    let gate = json!({"kind": "gate", "url": filter.url(), "without_answer": "allow"});
    watched.client("root", &["admin"]).post("/callbacks", gate).await.expect(201);
    watched.say(&channel).await;
    watched.sees("impg_gate_unanswered_total", 1.0).await;
    watched
}

pub async fn lost() -> Watched {
    let [keys, allow] = OBSERVERS;
    // One that hangs is not given up on before the events are.
    let mut watched = Watched::at("-9 days", &[keys, allow, ("callback_timeout_ms", "60000")]).await;
    let channel = watched.channel().await;
    let portal = Observer::start();
    portal.behave(|_| Conduct::Hang);
    let wish = json!({
        "url": portal.url(), "event_types": ["message.created"], "batch_events": 1, "concurrency": 1,
    });
    watched.client("root", &["admin"]).post("/callbacks", wish).await.expect(201);
    watched.say(&channel).await;
    watched.counts("SELECT count(*) FROM t_im_push_batch WHERE callback_id <> 'gateway'", 1).await;
    watched.say(&channel).await;
    watched.counts("SELECT count(*) FROM t_im_push_queue WHERE callback_id <> 'gateway'", 1).await;
    watched.restart_at("0").await;
    watched.sees("impg_events_undelivered_total", 1.0).await;
    watched
}

/// The number of the next message in a channel is out of range, so that each step fails.
pub async fn poisoned() -> Watched {
    let mut watched = Watched::start(&[]).await;
    let users = json!({"users": [{"user_id": "oa", "name": "OA", "kind": "application"}, {"user_id": "b", "name": "B"}]});
    watched.client("hr", &["directory"]).post("/directory/changes", users).await.expect(200);
    let oa = watched.client("oa", &[]);
    oa.post("/channels", json!({"type": "direct", "members": ["b"]})).await.expect(201);
    let spoil = format!("UPDATE t_im_channel SET last_seq = {}", i64::MAX);
    watched.sql().await.batch_execute(&spoil).await.expect("a number");
    let notice = json!({
        "client_id": "1", "to": {"user_ids": ["b"]}, "type": "text", "content": {"text": "hello"},
    });
    oa.post("/notifications", notice).await.expect(202);
    watched.counts(HURRY, 0).await;
    watched.sees("impg_notification_failures_total{result=\"given_up\"}", 1.0).await;
    watched
}

pub async fn changed() -> Watched {
    let mut watched = Watched::start(&[]).await;
    // The first gateway is a change, too.
    let before = watched.value("impg_gateway_changes_total").await;
    let other = Gateway::start();
    let (database, callback) = (shared().url(&watched.database), other.url());
    let settings = [
        ("database_url", database.as_str()),
        ("callback_url", callback.as_str()),
        ("callback_secrets", SECRET),
    ];
    let _replica = Service::start(env!("CARGO_BIN_EXE_im-push-gateway"), &settings).await;
    watched.sees("impg_gateway_changes_total", before + 1.0).await;
    watched
}
