//! How fast, how much at once, and how an endpoint that was away is tried again.

use super::{Wish, blameless, change, replica_of, say_many, start, subscribe, told};
use crate::app::LONG;
use crate::support::{Conduct, Gate, Observer};

#[tokio::test]
async fn a_rate_holds_for_all_replicas_together() {
    const RATE: i32 = 20;
    let one = start("").await;
    let _two = replica_of(&one, "").await;
    one.people(&["a", "b", "c", "d"]).await;
    let portal = Observer::start();
    let wish = Wish { batch_events: 5, events_per_second: Some(RATE), ..Wish::of(&["message.created"]) };
    let callback_id = subscribe(&one, &portal.url(), wish).await;
    let mut channels = Vec::new();
    for other in ["b", "c", "d"] {
        channels.push(one.direct("a", other).await);
    }
    for channel in &channels {
        say_many(&one, "a", channel, 15).await;
    }
    let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
    told(&portal, &channels, 15).await;
    one.settled().await;
    blameless(&portal);
    // What went before a batch had its time before it: by the clock that batches are made by.
    let sql = "SELECT pairs, (1000000 * extract(epoch FROM attempted_at - min(attempted_at) OVER ()))::bigint AS at \
               FROM t_im_push_attempt WHERE callback_id = $1 ORDER BY attempted_at";
    let mut before = 0;
    for row in one.sql().await.query(sql, &[&callback_id]).await.unwrap() {
        let (pairs, at): (i32, i64) = (row.get("pairs"), row.get("at"));
        let earliest = i64::from(before) * 1_000_000 / i64::from(RATE);
        assert!(at >= earliest, "{before} events before {at} µs");
        before += pairs;
    }
    assert_eq!(before, 45);
}

#[tokio::test]
async fn a_probe_is_the_smallest_batch() {
    // Repeats are due at once, so that only the breaker holds them.
    let app = start(
        "callback_breaker_failures = 2\ncallback_breaker_probe_ms = 1000\n\
         callback_retry_base_ms = 1\ncallback_retry_max_ms = 1",
    )
    .await;
    app.people(&["a", "b", "c"]).await;
    let (large, small) = (app.direct("a", "b").await, app.direct("a", "c").await);
    let portal = Observer::start();
    let gate = Gate::closed();
    let held = gate.clone();
    portal.behave(move |_| Conduct::status(500).behind(&held));
    let wish = Wish { batch_events: 5, concurrency: 2, ..Wish::of(&["message.created"]) };
    subscribe(&app, &portal.url(), wish).await;
    say_many(&app, "a", &large, 5).await;
    portal.wait_for(|log| log.posts.len() == 1, LONG).await;
    app.say("a", &small, "hello").await;
    portal.wait_for(|log| log.posts.len() == 2, LONG).await;
    // Both fail, and the breaker opens.
    gate.open();
    // A probe takes the smallest batch that is due. By then both are: a busy machine may settle them late.
    portal.wait_for(|log| log.posts.len() >= 6, LONG).await;
    let sizes: Vec<usize> = portal.read(|log| log.posts.iter().map(|post| post.events.len()).collect());
    assert_eq!(sizes[..2], [5, 1]);
    // Each worker may repeat its batch once before both failures are noted.
    assert!(sizes[4..].iter().all(|size| *size == 1), "{sizes:?}");
    portal.behave(|_| Conduct::Take);
    told(&portal, &[&large], 5).await;
    told(&portal, &[&small], 1).await;
    app.settled().await;
    blameless(&portal);
}

/// Its workers are woken for all they do: a line that has slept starts at once.
#[tokio::test]
async fn a_line_that_slept_is_woken() {
    let app = start("").await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let portal = Observer::start();
    let callback_id = subscribe(&app, &portal.url(), Wish::of(&["message.created"])).await;
    for turn in 1..=3 {
        app.say("a", &channel, "hello").await;
        told(&portal, &[&channel], turn).await;
        app.settled().await;
        // Another line, or the same with other workers.
        change(&app, &callback_id, &format!("concurrency = {}", turn + 1)).await;
    }
    change(&app, &callback_id, "state = 'paused'").await;
    app.say("a", &channel, "while it is paused").await;
    app.until("SELECT coalesce(sum(pairs), 0)::bigint FROM v_im_push_item", 1).await;
    change(&app, &callback_id, "state = 'active'").await;
    told(&portal, &[&channel], 4).await;
    app.settled().await;
    blameless(&portal);
}
