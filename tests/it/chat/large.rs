//! Large groups, and the traps that were found before building: each test forces the race
//! that its rule closes.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use im_push_gateway::base::store::Store;
use im_push_gateway::delivery::endpoint::Callbacks;
use serde_json::{Value, json};

use crate::app::{LONG, TestApp, text};
use crate::support::{Answer, Cluster};

/// Every group is large: its messages are pushed in stretches of few slots.
const STRETCHES: &str = "callback_batch_pairs = 2";
/// Nobody who is not locked out waits this long.
const PROMPT: Duration = Duration::from_secs(5);

fn words(text: &str) -> Value {
    json!({"type": "text", "content": {"text": text}})
}

fn id(channel: &str) -> i64 {
    channel.parse().unwrap()
}

#[tokio::test]
async fn a_group_of_100_000_is_made_in_bulk_and_everybody_is_in_the_ledger_at_once_and_gets_one_push() {
    let app = TestApp::start().await;
    app.people(&["boss"]).await;
    let crowd = app.crowd(99_999).await;
    let made = app.person("boss").post("/groups", json!({"name": "all", "members": crowd})).await.expect(201);
    assert_eq!(made["member_count"], 100_000);
    let channel = text(&made["channel_id"]);
    let started = Instant::now();
    let sent = app.say("boss", &channel, "大家好").await;
    assert!(started.elapsed() < PROMPT);
    assert_eq!(
        app.count("SELECT count(*) FROM t_im_message_push", &[]).await,
        99_999,
        "at the acknowledgement"
    );
    app.gateway.wait_for(|r| r.receivers_of(sent["ms_id"].as_str().unwrap()) == 99_999, LONG * 2).await;
    app.settled().await;
    let exact = "SELECT count(*) FROM t_im_message_push WHERE status = 1";
    assert_eq!(app.count(exact, &[]).await, 99_999);
    let page = app
        .person("boss")
        .get(&format!("/messages/{}/receipts?limit=1", text(&sent["ms_id"])))
        .await
        .expect(200);
    assert_eq!(page["counts"], json!({"unreceived": 0, "received": 99_999, "read": 0}));
}

#[tokio::test]
async fn a_bulk_join_comes_in_steps_and_repeating_it_is_harmless() {
    let app = TestApp::start_with("group_max_members = 2600").await;
    app.people(&["a", "b"]).await;
    let crowd = app.crowd(2_700).await;
    let channel = app.group(&["a", "b"]).await;
    app.say("a", &channel, "before").await;
    let path = format!("/channels/{channel}/members");
    let a = app.person("a");
    for added in [2_500, 0] {
        assert_eq!(a.post(&path, json!({"user_ids": crowd[..2_500]})).await.expect(200)["added"], added);
    }
    a.post(&path, json!({"user_ids": crowd[2_500..]})).await.expect_problem(422, "invalid-field");
    a.post(&path, json!({"user_ids": crowd})).await.expect_problem(422, "invalid-field");
    let members = "SELECT count(*) FROM t_im_channel_user WHERE to_seq IS NULL AND channel_id = $1";
    assert_eq!(app.count(members, &[&id(&channel)]).await, 2_502);
    assert_eq!(app.unread("u02500", &channel).await, 0);
}

#[tokio::test]
async fn a_member_who_joins_while_a_send_waits_gets_its_row() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let channel = app.group(&["a", "b"]).await;
    let mut other = app.sql().await;
    let joining = other.transaction().await.unwrap();
    let join = include_str!("../../../sql/chat/channel/join.sql");
    joining
        .execute("SELECT FROM t_im_channel WHERE channel_id = $1 FOR NO KEY UPDATE", &[&id(&channel)])
        .await
        .unwrap();
    joining.query_one(join, &[&id(&channel), &vec!["c"], &time::OffsetDateTime::UNIX_EPOCH]).await.unwrap();
    let sender = app.person("a");
    let path = format!("/channels/{channel}/messages");
    let send = sender.post(&path, words("hello"));
    let late = async {
        // The statement after the one that found the channel held; only then does the join commit.
        let found_held = "SELECT (count(*) > 0)::int::bigint FROM pg_stat_activity \
                          WHERE datname = current_database() AND query LIKE '-- Decides each send of a batch%'";
        app.until(found_held, 1).await;
        joining.commit().await.unwrap();
    };
    let (reply, ()) = tokio::join!(send, late);
    assert_eq!(app.ledger(&reply.expect(201)["ms_id"]).await.len(), 2, "b and c");
    assert_eq!(app.count("SELECT count(*) FROM t_im_message_push", &[]).await, 2);
}

#[tokio::test]
async fn a_channel_that_is_held_stalls_nobody_else() {
    let app = TestApp::start_with("send_lanes = 1").await;
    app.people(&["a", "b", "c"]).await;
    let (held, free) = (app.direct("a", "b").await, app.direct("a", "c").await);
    let mut other = app.sql().await;
    let holding = other.transaction().await.unwrap();
    holding
        .execute("SELECT FROM t_im_channel WHERE channel_id = $1 FOR NO KEY UPDATE", &[&id(&held)])
        .await
        .unwrap();
    let sender = app.person("a");
    // More than one batch can hold, all for the channel that nobody can have.
    let many: Vec<Value> = (0..600)
        .map(|i| json!({"channel_id": held, "type": "text", "content": {"text": i.to_string()}}))
        .collect();
    let waiting = tokio::spawn({
        let sender = sender.clone();
        async move { sender.post("/messages", json!(many)).await }
    });
    for i in 0..20 {
        let started = Instant::now();
        app.say("a", &free, &i.to_string()).await;
        assert!(started.elapsed() < PROMPT);
    }
    assert!(!waiting.is_finished());
    holding.commit().await.unwrap();
    let reply = waiting.await.unwrap().expect(200);
    let seqs = reply["results"].as_array().unwrap().iter().map(|r| r["seq"].as_i64().unwrap());
    assert!(seqs.eq(1..=600), "in the order in which they came");
}

#[tokio::test]
async fn time_going_back_takes_neither_order_nor_ids_back() {
    let mut app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let mut sent = vec![app.say("a", &channel, "now").await];
    app.halt().await;
    let back = format!("ALTER DATABASE {} SET impg.clock_offset = '-2 hours'", app.database);
    app.sql().await.batch_execute(&back).await.unwrap();
    app.run().await;
    for i in 0..3 {
        sent.push(app.say("a", &channel, &format!("earlier {i}")).await);
    }
    // Ids never go below the horizon either, also in a channel without a word.
    let horizon: i64 = sent[3]["ms_id"].as_str().unwrap().parse::<i64>().unwrap() + (1 << 32);
    app.sql()
        .await
        .execute("UPDATE t_im_horizon SET sealed_ms_id = $1, ms_id = $1", &[&horizon])
        .await
        .unwrap();
    sent.push(app.say("a", &channel, "above the horizon").await);
    let ids: Vec<i64> = sent.iter().map(|s| s["ms_id"].as_str().unwrap().parse().unwrap()).collect();
    let seqs: Vec<i64> = sent.iter().map(|s| s["seq"].as_i64().unwrap()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    assert_eq!(seqs, [1, 2, 3, 4, 5]);
    assert!(ids[4] > horizon);
    let rising = "SELECT count(*) FROM (SELECT server_time > lag(server_time) OVER (ORDER BY seq) AS ok FROM t_im_message) t WHERE ok";
    assert_eq!(app.count(rising, &[]).await, 4);
}

#[tokio::test]
async fn who_leaves_and_comes_back_gets_what_was_theirs_and_keeps_the_slot() {
    let app = TestApp::start_with(STRETCHES).await;
    app.people(&["a", "b", "c"]).await;
    let channel = app.group(&["a", "b", "c"]).await;
    let members = format!("/channels/{channel}/members");
    app.gateway.down();
    let first = app.say("a", &channel, "everybody").await;
    app.person("b").post(&format!("/channels/{channel}/leave"), json!({})).await.expect(204);
    let without = app.say("a", &channel, "without b").await;
    // In and out without a message in between, and back.
    for _ in 0..3 {
        app.person("a").post(&members, json!({"user_ids": ["b"]})).await.expect(200);
        app.person("b").post(&format!("/channels/{channel}/leave"), json!({})).await.expect(204);
    }
    app.person("a").post(&members, json!({"user_ids": ["b"]})).await.expect(200);
    let third = app.say("a", &channel, "third").await;
    app.gateway.up();
    app.settled().await;
    for (sent, receivers) in [(first, 2), (without, 1), (third, 2)] {
        let rows = "SELECT count(*) FROM t_im_message_push WHERE ms_id = $1 AND status = 1";
        let ms_id: i64 = sent["ms_id"].as_str().unwrap().parse().unwrap();
        assert_eq!(app.count(rows, &[&ms_id]).await, receivers);
    }
    assert_eq!(app.count("SELECT count(*) FROM t_im_channel_slot", &[]).await, 3);
}

#[tokio::test]
async fn reads_and_receipts_that_come_before_the_push_count() {
    let app = TestApp::start_with(STRETCHES).await;
    app.gateway.answer(|_| Answer::all_except(&["b", "c", "d"], &[]));
    app.people(&["a", "b", "c", "d"]).await;
    let channel = app.group(&["a", "b", "c", "d"]).await;
    app.gateway.down();
    let sent = app.say("a", &channel, "early").await;
    app.person("b").post(&format!("/channels/{channel}/read"), json!({"seq": 1})).await.expect(200);
    let receipts = json!([
        {"ms_id": sent["ms_id"], "receiver": "c", "status": "received"},
        {"ms_id": sent["ms_id"], "receiver": "a", "status": "received"},
    ]);
    let reply = app.client("gw", &["gateway"]).post("/receipts", receipts).await.expect(200);
    assert_eq!(reply["results"], json!([{"status": "advanced"}, {"status": "unknown"}]));
    let expected: Vec<(String, String)> =
        [("b", "read"), ("c", "received"), ("d", "unreceived")].map(|(r, s)| (r.into(), s.into())).into();
    let now = |rows: Vec<(String, String, Value)>| rows.into_iter().map(|r| (r.0, r.1)).collect::<Vec<_>>();
    assert_eq!(now(app.ledger(&sent["ms_id"]).await), expected, "before anything is pushed");
    app.gateway.up();
    app.settled().await;
    assert_eq!(now(app.ledger(&sent["ms_id"]).await), expected, "and after");
    for (status, count) in [(2, 1), (1, 1), (0, 1)] {
        let stored = format!("SELECT count(*) FROM v_im_ledger WHERE status = {status}");
        assert_eq!(app.count(&stored, &[]).await, count, "in the ledger itself");
    }
}

#[tokio::test]
async fn stretches_of_a_large_message_are_pushed_one_after_another_and_nothing_overtakes_them() {
    let app = TestApp::start_with(STRETCHES).await;
    app.people(&["a", "b", "c", "d"]).await;
    let channel = app.group(&["a", "b", "c", "d"]).await;
    app.gateway.down();
    app.say("a", &channel, "large").await;
    // The group is small from now on.
    app.person("d").post(&format!("/channels/{channel}/leave"), json!({})).await.expect(204);
    app.say("a", &channel, "small").await;
    assert_eq!(app.count("SELECT count(*) FROM t_im_message_push", &[]).await, 5);
    app.gateway.up();
    app.settled().await;
    for (receiver, expected) in [("b", vec![1, 2]), ("c", vec![1, 2]), ("d", vec![1])] {
        let seqs: Vec<i64> = app.gateway.read(|r| {
            r.first_sightings(&channel).into_iter().filter(|s| s.2 == receiver).map(|s| s.0).collect()
        });
        assert_eq!(seqs, expected, "{receiver}");
    }
}

#[tokio::test]
async fn a_push_to_many_resumes_where_it_was_cut_on_any_replica() {
    let mut one = TestApp::start_with("callback_batch_pairs = 7\ncallback_concurrency = 1").await;
    one.people(&["a"]).await;
    let crowd = one.crowd(300).await;
    let made = one.person("a").post("/groups", json!({"name": "g", "members": crowd})).await.expect(201);
    let channel = text(&made["channel_id"]);
    for i in 0..5 {
        one.say("a", &channel, &i.to_string()).await;
    }
    one.until("SELECT (count(*) > 0)::int::bigint FROM t_im_message_push WHERE status = 1", 1).await;
    one.halt().await;
    let two = TestApp::start_on(one.database.clone(), "").await;
    two.settled().await;
    let once = "SELECT count(*) FROM t_im_message_push WHERE status = 1";
    assert_eq!(two.count(once, &[]).await, 1_500);
}

#[tokio::test]
async fn opposite_orders_of_the_same_rows_never_deadlock() {
    let app = TestApp::start().await;
    app.gateway.answer(|_| Answer::all_except(&["b", "c", "d"], &[]));
    app.people(&["a", "b", "c", "d"]).await;
    let channel = app.group(&["a", "b", "c", "d"]).await;
    let mut ids = Vec::new();
    for i in 0..30 {
        ids.push(app.say("a", &channel, &i.to_string()).await["ms_id"].clone());
    }
    app.settled().await;
    let receipts = |status: &str, reverse: bool| {
        let mut all: Vec<Value> = ids
            .iter()
            .flat_map(|id| ["b", "c", "d"].map(|r| json!({"ms_id": id, "receiver": r, "status": status})))
            .collect();
        if reverse {
            all.reverse();
        }
        json!(all)
    };
    let gateway = app.client("gw", &["gateway"]);
    let calls = (0..16).map(|i| {
        gateway.post("/receipts", receipts(if i % 3 == 0 { "read" } else { "received" }, i % 2 == 0))
    });
    for reply in join_all(calls).await {
        reply.expect(200);
    }
    app.settled().await;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(app.count(deadlocks, &[]).await, 0);
    assert_eq!(app.count("SELECT count(*) FROM t_im_message_push WHERE status = 2", &[]).await, 90);
}

#[tokio::test]
async fn an_item_that_fails_for_itself_is_taken_out_and_its_neighbours_commit() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let trap = "ALTER TABLE t_im_message ADD CONSTRAINT trap CHECK (content ->> 'text' <> 'poison')";
    app.sql().await.batch_execute(trap).await.unwrap();
    let items: Vec<Value> = ["1", "2", "poison", "3", "4"]
        .iter()
        .map(|t| json!({"channel_id": channel, "type": "text", "content": {"text": t}}))
        .collect();
    let reply = app.person("a").post("/messages", json!(items)).await.expect(200);
    let statuses: Vec<i64> =
        reply["results"].as_array().unwrap().iter().map(|r| r["status"].as_i64().unwrap()).collect();
    assert_eq!(statuses, [201, 201, 500, 201, 201]);
    let seqs: Vec<&Value> = [0, 1, 3, 4].into_iter().map(|i: usize| &reply["results"][i]["seq"]).collect();
    assert_eq!(seqs, [1, 2, 3, 4], "and in the order in which they came");
    assert_eq!(app.seqs("b", &channel, "?after_seq=0").await, [1, 2, 3, 4], "without a gap");
}

#[tokio::test]
async fn partitions_are_made_ahead_without_locking_anybody_and_by_the_send_that_misses_one() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    // Somebody writes and somebody reads while a day is made.
    let mut other = app.sql().await;
    let busy = other.transaction().await.unwrap();
    busy.batch_execute("LOCK TABLE t_im_message, t_im_ledger IN ROW EXCLUSIVE MODE").await.unwrap();
    let maker = app.sql().await;
    maker.batch_execute("SET lock_timeout = '2 s'; SELECT im_make_partitions('2031-05-05')").await.unwrap();
    busy.rollback().await.unwrap();
    let roomy = "SELECT count(*) FROM pg_class WHERE relname = 't_im_ledger_p20310505' AND 'fillfactor=50' = ANY (reloptions)";
    assert_eq!(app.count(roomy, &[]).await, 1);
    assert_eq!(
        app.count("SELECT count(*) FROM pg_class WHERE relname LIKE 't\\_im\\_%default%'", &[]).await,
        0
    );

    let drop_all = "DO $$ DECLARE t text; BEGIN FOR t IN SELECT relname FROM pg_class WHERE relname ~ '^t_im_(message|ledger)_p\\d+$' \
                    LOOP EXECUTE 'DROP TABLE ' || t; END LOOP; END $$";
    // The service works meanwhile, and may hold what this waits for.
    while maker.batch_execute(drop_all).await.is_err() {}
    app.say("a", &channel, "no partition").await;
    app.settled().await;
    assert_eq!(app.seqs("b", &channel, "").await, [1]);
}

#[tokio::test]
async fn history_by_seq_touches_only_the_partitions_its_bounds_allow() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    app.say("a", &channel, "1").await;
    let sql = app.sql().await;
    sql.batch_execute("SELECT im_make_partitions('2026-01-01'::date + i) FROM generate_series(0, 30) i")
        .await
        .unwrap();
    sql.batch_execute("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off").await.unwrap();
    let prepare = format!("PREPARE page AS {}", include_str!("../../../sql/records/history/after.sql"));
    sql.batch_execute(&prepare).await.unwrap();
    let ms_id = app.message_id(&channel, 1).await;
    let plan = sql
        .query(&format!("EXPLAIN (ANALYZE, TIMING OFF) EXECUTE page ({channel}, 'b', 0, {ms_id}, 10)"), &[])
        .await
        .unwrap();
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    let touched =
        plan.iter().filter(|l| l.contains("t_im_message_p") && !l.contains("never executed")).count();
    assert!((1..=8).contains(&touched), "of 31 days before it none: {plan:#?}");
}

#[tokio::test]
async fn client_ids_are_forgotten_after_their_days_and_not_before() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    app.say("a", &channel, "young").await;
    let old = "INSERT INTO t_im_client_id SELECT 'a', 'old' || i, im_first_ms_id(now() - interval '9 days') + i, '\\x00' FROM generate_series(1, 5000) i";
    let week =
        "INSERT INTO t_im_client_id SELECT 'a', 'week', im_first_ms_id(now() - interval '7 days'), '\\x00'";
    app.sql().await.batch_execute(old).await.unwrap();
    app.sql().await.batch_execute(week).await.unwrap();
    let config = crate::app::config(&app.database, "");
    let now = app.store.now().await.unwrap();
    let callbacks = Callbacks::open(app.store.clone(), &config, now).await.unwrap();
    let maintenance = im_push_gateway::app::maintenance::Maintenance {
        client_id_page: 0.into(),
        store: app.store.clone(),
        config,
        callbacks: callbacks.into(),
        archiver: None,
    };
    use im_push_gateway::base::worker::Work;
    while maintenance.tick().await.unwrap() == im_push_gateway::base::worker::Tick::More {}
    assert_eq!(app.count("SELECT count(*) FROM t_im_client_id", &[]).await, 2);
}

#[tokio::test]
async fn partitions_are_found_in_whatever_order_their_tables_are_looked_at() {
    let app = TestApp::start().await;
    let sql = app.sql().await;
    let days = "SELECT im_make_partitions(current_date - i) FROM generate_series(40, 65) i";
    sql.batch_execute(days).await.unwrap();
    // Orders that the planner takes by itself once the catalogue has statistics.
    for order in ["enable_nestloop", "enable_hashjoin", "enable_hashjoin = off; SET enable_mergejoin"] {
        let statements = [
            include_str!("../../../sql/base/store/unfrozen.sql").replace("$1", "now()"),
            include_str!("../../../sql/archive/mover/movable.sql").replace("$1", "now()"),
            include_str!("../../../sql/archive/mover/state.sql").to_owned(),
        ];
        sql.batch_execute(&format!("RESET ALL; SET {order} = off")).await.unwrap();
        for statement in statements {
            let found = sql.query(&statement, &[]).await;
            assert!(!found.unwrap_or_else(|e| panic!("{order}: {statement}: {e:?}")).is_empty());
        }
    }
}

#[tokio::test]
async fn closed_days_are_frozen_once_and_nobody_waits_for_it() {
    // A server of its own: where others connect, and where the server vacuums by itself, a snapshot may be
    // older than the rows, and then they are not frozen; or a table is held and passed over.
    let alone = Cluster::start_with(&[("autovacuum", "off"), ("max_logical_replication_workers", "0")]);
    let settings = crate::app::config("", &format!("database_url = \"{}\"", alone.url("postgres")));
    let store = Store::new(&settings).unwrap();
    store.migrate(&settings).await.unwrap();
    let other = alone.connect("postgres").await;
    other
        .batch_execute(
            "CREATE EXTENSION pg_visibility; SELECT im_make_partitions('2020-02-02'); \
             INSERT INTO t_im_message SELECT im_first_ms_id('2020-02-02 12:00Z') + n, 1, n, now(), 'a', n, 'text', '{}' \
             FROM generate_series(1, 9) n; \
             INSERT INTO t_im_ledger (ms_id, channel_id, seq, server_time, block, receivers) \
             SELECT ms_id, 1, seq, server_time, 0, '01' FROM t_im_message",
        )
        .await
        .unwrap();
    let count = async |sql: &str| -> i64 { other.query_one(sql, &[]).await.unwrap().get(0) };
    let tables = "relkind = 'r' AND relname IN ('t_im_message_p20200202', 't_im_ledger_p20200202')";
    let frozen = format!(
        "SELECT coalesce(sum(all_frozen), 0)::bigint FROM pg_class, pg_visibility_map_summary(oid) WHERE {tables}"
    );
    let vacuums = format!("SELECT sum(pg_stat_get_vacuum_count(oid))::bigint FROM pg_class WHERE {tables}");
    let midnight = time::macros::datetime!(2020-02-03 0:00 UTC);
    for (takes, gives_back) in [
        // What a detaching holds, and another vacuum.
        ("BEGIN; LOCK TABLE t_im_ledger_p20200202 IN SHARE UPDATE EXCLUSIVE MODE", "ROLLBACK"),
        ("SELECT pg_advisory_lock(hashtext('im_freeze'))", "SELECT pg_advisory_unlock_all()"),
        (
            "INSERT INTO t_im_archive_day (day, run_id, step, from_ms_id, below_ms_id, written_ms_id, sealed_at) \
             VALUES ('2020-02-02', 1, 'sealed', 0, 0, 0, now())",
            "DELETE FROM t_im_archive_day",
        ),
    ] {
        other.batch_execute(takes).await.unwrap();
        tokio::time::timeout(LONG, store.freeze_partition(midnight))
            .await
            .expect("it waits for nobody")
            .unwrap();
        other.batch_execute(gives_back).await.unwrap();
        assert_eq!(count(&vacuums).await, 0, "{takes}");
    }
    store.freeze_partition(midnight - time::Duration::MILLISECOND).await.unwrap();
    assert_eq!(count(&vacuums).await, 0, "the day is not over");
    for pages in [1, 2] {
        store.freeze_partition(midnight).await.unwrap();
        assert_eq!(count(&frozen).await, pages, "one table at a time");
    }
    // What comes late is vacuumed by the server when it is worth it.
    other.batch_execute("UPDATE t_im_ledger SET received = receivers, changed_at = now()").await.unwrap();
    store.freeze_partition(midnight).await.unwrap();
    assert_eq!(count(&vacuums).await, 2, "once");
}

#[tokio::test]
async fn members_find_their_slots_one_by_one_however_many_come_at_once() {
    let app = TestApp::start().await;
    let all = app.crowd(30_000).await;
    let (first, late) = all.split_at(20_000);
    let root = app.person(&first[0]);
    let made =
        root.post("/channels", json!({"type": "group", "name": "all", "members": first})).await.expect(201);
    let path = format!("/channels/{}/members", crate::app::text(&made["channel_id"]));
    for some in late.chunks(5_000) {
        root.post(&path, json!({"user_ids": some})).await.expect(200);
    }
    let sql = app.sql().await;
    let members = "SELECT sum(bit_count(members))::bigint FROM t_im_channel_block";
    assert_eq!(app.count(members, &[]).await, 30_000);
    // A list of users compared with every slot takes seconds, then minutes. The statistics are written when a
    // connection rests; a new one of the pool reads them whole.
    let scanned = "SELECT coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_user_tables WHERE relname = 't_im_channel_slot'";
    let scanned: i64 = sql.query_one(scanned, &[]).await.unwrap().get(0);
    assert_eq!(scanned, 0);
}
