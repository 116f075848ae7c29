//! Out: signed batches, verdicts of each receiver, order, retries, dead letters.

use std::collections::{BTreeMap, BTreeSet};

use im_push_gateway::delivery::push;
use serde_json::{Value, json};

use crate::app::{LONG, TestApp, text};
use crate::support::gateway::SECRET;
use crate::support::{Answer, Cluster, Gate};

/// Gives up at once on what fails while others get through.
const IMPATIENT: &str = "callback_give_up_ms = 1\ncallback_breaker_failures = 1000";

fn statuses(rows: Vec<(String, String, Value)>) -> BTreeMap<String, (String, Value)> {
    rows.into_iter().map(|(receiver, status, verdict)| (receiver, (status, verdict))).collect()
}

#[tokio::test]
async fn the_answer_decides_for_each_receiver() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c", "d", "e"]).await;
    let channel = app.group(&["a", "b", "c", "d", "e"]).await;
    app.gateway.answer(|batch| match batch.order {
        0 => Answer::lists(&["b", "stranger"], &["c"], &[], &[("d", "blocked")]),
        _ => Answer::lists(&["e"], &[], &[], &[]),
    });
    let sent = app.say("a", &channel, "hello").await;
    app.settled().await;
    let ledger = statuses(app.ledger(&sent["ms_id"]).await);
    let of = |who: &str| (ledger[who].0.as_str(), ledger[who].1.clone());
    assert_eq!(of("b"), ("received", Value::Null));
    assert_eq!(of("c"), ("unreceived", json!("offline")));
    assert_eq!(of("d"), ("unreceived", json!("rejected")));
    assert_eq!(of("e"), ("received", Value::Null), "whoever is not named is retried");
    let batches = app
        .gateway
        .read(|r| r.batches().map(|b| (b.webhook_id.clone(), b.receivers().len())).collect::<Vec<_>>());
    assert_eq!(batches.iter().map(|b| b.1).collect::<Vec<_>>(), [4, 1]);
    assert_ne!(batches[0].0, batches[1].0, "a retry of some is a new batch");

    let path = "/callbacks/gateway/deliveries";
    let attempts = app.client("desk", &["support"]).get(path).await.expect(200);
    let first = &attempts["items"][1];
    for (field, count) in
        [("pairs", 4), ("received", 1), ("offline", 1), ("rejected", 1), ("retried", 1), ("unknown", 1)]
    {
        assert_eq!(first[field], count, "{field}");
    }
    let receipts = format!("/messages/{}/receipts?status=unreceived&limit=1", text(&sent["ms_id"]));
    let page = app.person("b").get(&receipts).await.expect(200);
    assert_eq!(page["counts"], json!({"unreceived": 2, "received": 2, "read": 0}));
    let next = format!("{receipts}&cursor={}", text(&page["next_cursor"]));
    let rest = app.person("b").get(&next).await.expect(200);
    assert_eq!(
        (&rest["items"][0]["receiver"], &rest["items"][0]["verdict_reason"]),
        (&json!("d"), &json!("blocked"))
    );
}

#[tokio::test]
async fn an_answer_that_says_nothing_is_no_delivery() {
    let app = TestApp::start_with("callback_timeout_ms = 200\ncallback_breaker_failures = 1000").await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    app.gateway.answer(|batch| match batch.attempt {
        1 => Answer::garbage(),
        2 => Answer::status(204),
        3 => Answer::Redirect("/elsewhere".to_owned()),
        4 => Answer::status(500),
        5 => Answer::Hang,
        6 => Answer::Close,
        _ => Answer::All,
    });
    let sent = app.say("a", &channel, "hello").await;
    app.settled().await;
    assert_eq!(statuses(app.ledger(&sent["ms_id"]).await)["b"].0, "received");
    let batches: Vec<_> =
        app.gateway.read(|r| r.batches().map(|b| (b.webhook_id.clone(), b.size_bytes)).collect());
    assert!(batches.len() >= 7, "{batches:?}");
    assert!(batches.windows(2).all(|w| w[0] == w[1]), "a batch is frozen: the same id and members each time");
    assert!(app.gateway.read(|r| r.refusals.is_empty()), "every signature is good");
}

#[tokio::test]
async fn messages_wait_for_a_gateway_that_is_away_and_arrive_in_order() {
    let app = TestApp::start_with("callback_breaker_failures = 2").await;
    app.people(&["a", "b", "c"]).await;
    let (one, two) = (app.direct("a", "b").await, app.direct("a", "c").await);
    app.gateway.down();
    for i in 0..5 {
        app.say("a", &one, &i.to_string()).await;
        app.say("a", &two, &i.to_string()).await;
    }
    let callbacks = app.client("desk", &["support"]).get("/callbacks").await.expect(200);
    assert_eq!(callbacks["items"][0]["waiting_pairs"], 10);
    app.gateway.up();
    app.settled().await;
    for channel in [one, two] {
        let seqs: Vec<i64> =
            app.gateway.read(|r| r.first_sightings(&channel).into_iter().map(|s| s.0).collect());
        assert_eq!(seqs, [1, 2, 3, 4, 5]);
    }
    assert_eq!(app.count("SELECT count(*) FROM t_im_push_dead", &[]).await, 0);
}

#[tokio::test]
async fn a_batch_under_way_holds_only_its_own_channels() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let (slow, quick) = (app.direct("a", "b").await, app.direct("a", "c").await);
    let gate = Gate::closed();
    let (held, held_channel) = (gate.clone(), slow.clone());
    app.gateway.answer(move |batch| {
        if batch.channels().contains(held_channel.as_str()) { Answer::All.behind(&held) } else { Answer::All }
    });
    app.say("a", &slow, "1").await;
    app.gateway.wait_for(|r| r.arrivals.len() == 1, LONG).await;
    app.say("a", &slow, "2").await;
    app.say("a", &quick, "1").await;
    app.gateway.wait_for(|r| !r.first_sightings(&quick).is_empty(), LONG).await;
    assert_eq!(app.gateway.read(|r| r.first_sightings(&slow).len()), 1, "its next message waits its turn");
    gate.open();
    app.settled().await;
    assert_eq!(app.gateway.read(|r| r.first_sightings(&slow).len()), 2);
}

#[tokio::test]
async fn a_batch_comes_again_under_its_id_after_a_crash_of_the_database() {
    // A commit that waits for no disk stays in memory for as long as it can.
    let cluster = Cluster::start_with(&[("wal_writer_delay", "10s")]);
    cluster.create_database("crash", None).await;
    let app =
        TestApp::start_on("crash".into(), &format!("database_url = \"{}\"", cluster.url("crash"))).await;
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.gateway.answer(move |_| Answer::status(503).behind(&held));
    app.say("a", &direct, "hello").await;
    app.gateway.wait_for(|r| r.arrivals.len() == 1, LONG).await;
    cluster.kill9();
    cluster.restart().await;
    app.gateway.answer(|_| Answer::All);
    gate.open();
    app.gateway.wait_for(|r| r.arrivals.len() == 2, LONG).await;
    let ids: BTreeSet<String> =
        app.gateway.read(|r| r.batches().map(|batch| batch.webhook_id.clone()).collect());
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[tokio::test]
async fn a_poisoned_batch_becomes_a_dead_letter_and_can_be_replayed() {
    let app = TestApp::start_with(IMPATIENT).await;
    app.people(&["a", "b", "c"]).await;
    let (bad, good) = (app.direct("a", "b").await, app.direct("a", "c").await);
    app.gateway.refuse(&bad);
    let lost = app.say("a", &bad, "poison").await;
    app.until("SELECT count(*) FROM t_im_push_dead", 1).await;
    app.say("a", &good, "fine").await;
    app.settled().await;
    assert_eq!(statuses(app.ledger(&lost["ms_id"]).await)["b"].0, "unreceived");
    let admin = app.client("root", &["admin"]);
    let dead = admin.get("/callbacks/gateway/dead-letters").await.expect(200);
    assert_eq!((&dead["items"][0]["channel_id"], &dead["items"][0]["pairs"]), (&json!(bad), &json!(1)));

    app.gateway.answer(|_| Answer::All);
    let which = json!({"dead_ids": [dead["items"][0]["dead_id"]]});
    app.client("desk", &["support"])
        .post("/callbacks/gateway/replay", which.clone())
        .await
        .expect_problem(403, "forbidden");
    assert_eq!(admin.post("/callbacks/gateway/replay", which.clone()).await.expect(200)["replayed"], 1);
    assert_eq!(admin.post("/callbacks/gateway/replay", which).await.expect(200)["replayed"], 0);
    app.settled().await;
    assert_eq!(statuses(app.ledger(&lost["ms_id"]).await)["b"].0, "received");
}

#[tokio::test]
async fn nothing_is_given_up_while_the_breaker_is_open() {
    let app = TestApp::start_with("callback_give_up_ms = 1\ncallback_breaker_failures = 1").await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    app.gateway.answer(|batch| if batch.attempt < 4 { Answer::status(503) } else { Answer::All });
    app.say("a", &channel, "patience").await;
    app.settled().await;
    assert_eq!(app.count("SELECT count(*) FROM t_im_push_dead", &[]).await, 0);
    assert_eq!(app.count("SELECT count(*) FROM t_im_message_push WHERE status = 1", &[]).await, 1);
}

#[tokio::test]
async fn retry_after_only_delays() {
    let app = TestApp::start_with("callback_breaker_failures = 1000").await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    app.gateway.answer(|batch| match batch.attempt {
        1 => Answer::retry_after(429, 1),
        2 => Answer::retry_after(429, 0),
        _ => Answer::All,
    });
    app.say("a", &channel, "busy").await;
    app.settled().await;
    let gap = "SELECT (1000 * extract(epoch FROM max(attempted_at) FILTER (WHERE n = 2) - max(attempted_at) FILTER (WHERE n = 1)))::bigint \
               FROM (SELECT attempted_at, row_number() OVER (ORDER BY attempt_id) AS n FROM t_im_push_attempt) t";
    assert!(app.count(gap, &[]).await >= 1_000);
}

#[tokio::test]
async fn both_secrets_sign_during_a_rotation() {
    let fresh = "whsec_bmV3IHNlY3JldCBvZiBhIHJvdGF0aW9uLCAzMiBieXRlcw==";
    let probe = crate::support::Gateway::start_with(fresh);
    let old = crate::support::gateway::SECRET;
    let settings = format!("callback_url = \"{}\"\ncallback_secrets = [\"{old}\", \"{fresh}\"]", probe.url());
    let app = TestApp::start_with(&settings).await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    app.say("a", &channel, "new").await;
    app.settled().await;
    probe.expect_secret(old);
    app.say("a", &channel, "old").await;
    app.settled().await;
    assert_eq!(probe.read(|r| (r.first_sightings(&channel).len(), r.refusals.len())), (2, 0));
}

#[tokio::test]
async fn a_stale_owner_may_advance_statuses_but_never_the_queue() {
    let app = TestApp::start_with("callback_timeout_ms = 120000").await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.gateway.answer(move |b| if b.order == 0 { Answer::All.behind(&held) } else { Answer::status(500) });
    let sent = app.say("a", &channel, "twice leased").await;
    app.gateway.wait_for(|r| r.arrivals.len() == 1, LONG).await;
    // The lease runs out under its owner: another worker takes the batch with a higher epoch.
    app.sql()
        .await
        .execute("UPDATE t_im_push_batch SET lease_until = now() - interval '1 s'", &[])
        .await
        .unwrap();
    app.gateway.wait_for(|r| r.arrivals.len() >= 2, LONG).await;
    gate.open();
    app.until("SELECT count(*) FROM t_im_message_push WHERE status = 1", 1).await;
    assert_eq!(
        app.count("SELECT count(*) FROM t_im_push_batch", &[]).await,
        1,
        "the batch is its new owner's"
    );
    assert_eq!(app.count("SELECT count(*) FROM v_im_push_item", &[]).await, 1);
    app.gateway.answer(|_| Answer::All);
    app.settled().await;
    assert_eq!(statuses(app.ledger(&sent["ms_id"]).await)["b"].0, "received");
}

#[tokio::test]
async fn without_a_gateway_messages_wait_for_one_and_statuses_advance_by_receipts() {
    let mut app = TestApp::start_with("callback_url = \"\"\ncallback_batch_pairs = 3").await;
    app.people(&["a", "b", "c", "d", "e"]).await;
    let (small, large) = (app.group(&["a", "b", "c"]).await, app.group(&["a", "b", "c", "d", "e"]).await);
    let mut sent = Vec::new();
    for words in ["one", "two", "three"] {
        sent.push(app.say("a", &small, words).await);
        app.say("a", &large, words).await;
    }
    let receipt = json!([{"ms_id": sent[0]["ms_id"], "receiver": "b", "status": "received"}]);
    app.client("gw", &["gateway"]).post("/receipts", receipt).await.expect(200);
    app.person("c").post(&format!("/channels/{small}/read"), json!({"seq": 2})).await.expect(200);
    app.until("SELECT count(*) FROM t_im_read", 0).await;
    assert_eq!(statuses(app.ledger(&sent[0]["ms_id"]).await)["b"].0, "received");
    let listed = app.client("desk", &["support"]).get("/callbacks").await.expect(200);
    assert_eq!(listed["items"], json!([]));

    app.halt().await;
    app.set("callback_url", &format!("\"{}\"", app.gateway.url()));
    app.set("callback_secrets", &format!("[\"{SECRET}\"]"));
    app.run().await;
    let last = app.say("a", &small, "four").await;
    app.settled().await;
    let ids: Vec<String> = sent.iter().chain([&last]).map(|sent| text(&sent["ms_id"])).collect();
    app.gateway.read(|record| {
        let seen = |who: &str| ids.iter().map(|id| record.seen(id, who)).collect::<Vec<_>>();
        assert_eq!(
            (seen("b"), seen("c")),
            (vec![0, 1, 1, 1], vec![0, 0, 1, 1]),
            "what was got is not pushed"
        );
        for channel in [&small, &large] {
            let seqs: Vec<i64> = record.first_sightings(channel).iter().map(|s| s.0).collect();
            assert!(seqs.is_sorted(), "{seqs:?}");
        }
        assert_eq!(record.first_sightings(&large).len(), 3 * 4);
    });
}

#[tokio::test]
async fn what_waits_for_a_gateway_is_forgotten_after_a_time() {
    let app = TestApp::start_with("callback_url = \"\"").await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    app.say("a", &channel, "one").await;
    let queued = "SELECT count(*) FROM v_im_push_item WHERE held";
    // A second one has waited in the queue since there was a gateway for a time.
    app.say("a", &channel, "two").await;
    let moved = "WITH moved AS (DELETE FROM t_im_push_commit \
                 WHERE commit_id = (SELECT max(commit_id) FROM t_im_push_commit) RETURNING items) \
                 INSERT INTO t_im_push_queue (callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id, pairs, bytes, held, queued_at, due_at) \
                 SELECT item.callback_id, item.channel_id, item.from_seq, item.to_seq, item.from_ms_id, item.to_ms_id, item.pairs, item.bytes, \
                        item.held, item.queued_at, item.due_at FROM moved, unnest(moved.items) AS item";
    app.sql().await.batch_execute(moved).await.unwrap();
    let (store, later) = (&app.store, app.store.now().await.unwrap() + time::Duration::hours(1));
    assert_eq!(push::forget_held(store, later - time::Duration::hours(2), 10).await.unwrap(), 0);
    let gateway = |url: &str| format!("UPDATE t_im_callback SET url = {url} WHERE callback_id = 'gateway'");
    app.sql().await.batch_execute(&gateway("'http://127.0.0.1:9/'")).await.unwrap();
    assert_eq!(push::forget_held(store, later, 10).await.unwrap(), 0, "there is one: it is pushed");
    assert_eq!(app.count(queued, &[]).await, 2);
    app.sql().await.batch_execute(&gateway("NULL")).await.unwrap();
    assert_eq!(push::forget_held(store, later, 10).await.unwrap(), 2);
    assert_eq!(app.count(queued, &[]).await, 0);
}

#[tokio::test]
async fn a_clock_that_steps_back_neither_holds_nor_reorders_pushes() {
    let mut app = TestApp::start_with("callback_batch_pairs = 2").await;
    app.people(&["a", "b", "c", "d"]).await;
    let channel = app.group(&["a", "b", "c"]).await;
    app.say("a", &channel, "one").await;
    app.settled().await;
    app.halt().await;
    let step = format!("ALTER DATABASE {} SET impg.clock_offset = '-2 minutes'", app.database);
    app.sql().await.batch_execute(&step).await.unwrap();
    app.run().await;
    // Times go on from where the channel is. The third message is pushed in two stretches.
    app.say("a", &channel, "two").await;
    app.person("a")
        .post(&format!("/channels/{channel}/members"), json!({"user_ids": ["d"]}))
        .await
        .expect(200);
    app.say("a", &channel, "three").await;
    app.settled().await;
    let seqs: Vec<i64> = app
        .gateway
        .read(|record| record.first_sightings(&channel))
        .into_iter()
        .map(|(seq, ..)| seq)
        .collect();
    assert_eq!(seqs, [1, 1, 2, 2, 3, 3, 3]);
}

#[tokio::test]
async fn a_batch_is_bounded_in_bytes_as_in_pairs() {
    let app = TestApp::start_with("callback_batch_bytes = 5000\ncallback_batch_pairs = 10").await;
    app.people(&["a", "b", "c", "d", "e"]).await;
    let (small, large) =
        (app.group(&["a", "b", "c", "d"]).await, app.group(&["a", "b", "c", "d", "e"]).await);
    app.gateway.down();
    let said: Vec<Value> = (0..40)
        .map(|i| {
            let text = format!("{i}{}", "字".repeat(if i % 4 == 0 { 1_000 } else { 1 }));
            let channel = if i % 2 == 0 { &small } else { &large };
            json!({"channel_id": channel, "type": "text", "content": {"text": text}})
        })
        .collect();
    app.person("a").post("/messages", json!(said)).await.expect(200);
    app.gateway.up();
    app.settled().await;
    let batches: Vec<(usize, usize)> =
        app.gateway.read(|r| r.batches().map(|b| (b.pairs().len(), b.messages.len())).collect());
    assert!(batches.iter().all(|(pairs, _)| *pairs <= 10), "{batches:?}");
    let sizes: Vec<usize> = app.gateway.read(|r| {
        let texts = |b: &crate::support::Batch| b.messages.iter().map(|m| m.content.to_string().len()).sum();
        r.batches().map(texts).collect()
    });
    // A bound is passed by one message at most.
    assert!(sizes.iter().all(|bytes| *bytes <= 5_000 + 3_100), "{sizes:?}");
    assert_eq!(
        app.count("SELECT count(*) FROM t_im_message_push WHERE status = 1", &[]).await,
        20 * 3 + 20 * 4
    );
}

#[tokio::test]
async fn an_endpoint_that_refuses_one_batch_is_not_taken_for_gone() {
    let app = TestApp::start_with("callback_breaker_failures = 2\ncallback_breaker_probe_ms = 60000").await;
    app.people(&["a", "b", "c"]).await;
    let (bad, good) = (app.direct("a", "b").await, app.direct("a", "c").await);
    app.gateway.refuse(&bad);
    app.say("a", &bad, "poison").await;
    app.gateway.wait_for(|r| r.arrivals.len() >= 4, LONG).await;
    app.say("a", &good, "fine").await;
    app.gateway.wait_for(|r| !r.first_sightings(&good).is_empty(), LONG).await;
}
