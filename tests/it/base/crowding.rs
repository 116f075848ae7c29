//! Many partitions: what of a service does not grow with them, what says in time that they are too many, and that
//! a service without an archive makes few.

use crate::app::TestApp;

/// Partitions besides those that every service makes.
const DAYS: i64 = 60;
/// Statements on the way of a send, and what locks they take whatever the number of partitions.
const OF_A_SEND: &[&str] = &[
    "chat/message/lock_channels",
    "chat/message/admit",
    "chat/message/store",
    "delivery/push/check_due",
    "delivery/push/waiting",
    "delivery/push/claim_new",
    "delivery/push/claim_commits",
    "delivery/push/claim_due",
    "delivery/push/finish",
    "records/conversation/list",
    "events/tally",
];
const FEW: i64 = 60;
/// Most locks of any other statement for each partition, as the service has its plans.
const A_PARTITION: i64 = 8;

/// How many locks a statement takes, run again by the plan that the service keeps of it.
async fn locks(client: &tokio_postgres::Client, name: &str) -> i64 {
    let path = format!("{}/sql/{name}.sql", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let params = (1..20).take_while(|i| text.contains(&format!("${i}"))).count();
    let nothing = vec!["NULL"; params].join(", ");
    let run = if params == 0 { "EXECUTE it".to_owned() } else { format!("EXECUTE it({nothing})") };
    client.batch_execute(&format!("PREPARE it AS {text}")).await.unwrap();
    client.batch_execute(&format!("BEGIN; {run}; ROLLBACK; BEGIN; {run}")).await.unwrap();
    let held = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'";
    let held = client.query_one(held, &[]).await.unwrap().get(0);
    client.batch_execute("ROLLBACK; DEALLOCATE it").await.unwrap();
    held
}

#[tokio::test]
async fn many_partitions_cost_a_send_no_locks_and_are_reported_in_time() {
    let app = TestApp::start_with("database_pool_size = 60").await;
    let probe = crate::support::Client::anonymous(&app.base);
    assert_eq!(probe.get("/readyz").await.expect(200)["partitions"], "ok");
    let sql = app.sql().await;
    let days = format!("SELECT im_make_partitions(current_date - i) FROM generate_series(40, 39 + {DAYS}) i");
    sql.batch_execute(&days).await.unwrap();
    let readiness = probe.get("/readyz").await.expect(200);
    assert_eq!((&readiness["status"], &readiness["partitions"]), (&"ready".into(), &"many".into()));

    let client = app.store.client().await.unwrap();
    let crowding = app.store.crowding(60).await.unwrap();
    for name in OF_A_SEND {
        let taken = locks(&client, name).await;
        assert!(taken <= FEW, "{name} takes {taken} locks, of {} partitions", crowding.partitions);
    }
    for name in [
        "delivery/push/messages",
        "delivery/push/people",
        "delivery/ledger/lock",
        "delivery/ledger/receivers",
        "delivery/ledger/write",
        "records/receipt/locate",
        "records/receipt/read_points",
        "records/receipt/read_point",
        "records/receipt/counts",
        "records/receipt/received_point",
        "records/receipt/list",
        "records/history/before",
        "records/history/after",
        "records/search/ledger",
        "events/stream/texts",
        "archive/index/messages",
        "records/receipt/take_reads",
    ] {
        let taken = locks(&client, name).await;
        assert!(
            taken <= FEW + A_PARTITION * crowding.partitions,
            "{name} takes {taken} locks, of {} partitions",
            crowding.partitions
        );
    }
}

/// The first days of the partitions, and whether each ends where the next one begins.
const PARTITIONS: &str = "SELECT day::text, below_ms_id = coalesce(lead(from_ms_id) OVER (ORDER BY from_ms_id), below_ms_id) \
    FROM v_im_partition WHERE parent = 't_im_ledger'::regclass ORDER BY day";

async fn partitions(sql: &tokio_postgres::Client) -> (Vec<String>, bool) {
    let rows = sql.query(PARTITIONS, &[]).await.unwrap();
    (rows.iter().map(|row| row.get(0)).collect(), rows.iter().all(|row| row.get(1)))
}

#[tokio::test]
async fn two_years_without_an_archive_are_few_partitions() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let sql = app.sql().await;
    // As the service made them, day by day.
    let days = "SELECT im_make_partitions('2021-12-31'::date + n, true) FROM generate_series(1, 760) n";
    sql.batch_execute(days).await.unwrap();
    let count = app.count("SELECT count(*) FROM v_im_partition WHERE day < '2024-02-01'", &[]).await;
    assert_eq!(count, 2 * 25, "a month each, of both tables");
    assert!(app.store.crowding(20).await.unwrap().partitions < 30);

    // A write, a push, a receipt, a read and a page stay far below what one connection is given.
    app.say("a", &channel, "1").await;
    app.settled().await;
    let client = app.store.client().await.unwrap();
    for name in [
        "delivery/push/messages",
        "delivery/ledger/lock",
        "delivery/ledger/write",
        "records/receipt/locate",
        "records/history/before",
        "records/receipt/list",
    ] {
        let taken = locks(&client, name).await;
        assert!(taken <= 4 * 64, "{name} takes {taken} locks");
    }
    let readiness = crate::support::Client::anonymous(&app.base).get("/readyz").await.expect(200);
    assert_eq!(readiness["partitions"], "ok");
}

#[tokio::test]
async fn days_and_months_never_meet_whatever_was_made_before() {
    let mut app = TestApp::start().await;
    app.halt().await;
    let sql = app.sql().await;
    let forget = "DO $$ DECLARE t name; BEGIN FOR t IN SELECT partition FROM v_im_partition \
                  LOOP EXECUTE format('DROP TABLE %I', t); END LOOP; END $$";
    for (made, first_days) in [
        // An archive comes in the middle of a month, and goes again.
        (
            "im_make_partitions('2030-01-15', true), im_make_partitions('2030-01-20'), im_make_partitions('2030-02-01'), \
             im_make_partitions('2030-02-02'), im_make_partitions('2030-02-10', true), im_make_partitions('2030-02-28', true)",
            vec!["2030-01-01", "2030-02-01", "2030-02-02", "2030-02-03"],
        ),
        // A day ahead is there already.
        (
            "im_make_partitions('2030-01-20'), im_make_partitions('2030-01-19', true), im_make_partitions('2030-01-21', true)",
            vec!["2030-01-01", "2030-01-20", "2030-01-21"],
        ),
    ] {
        sql.batch_execute(&format!("{forget}; SELECT {made}")).await.unwrap();
        assert_eq!(
            partitions(&sql).await,
            (first_days.iter().map(ToString::to_string).collect(), true),
            "{made}"
        );
    }
    // What is sealed is on its way out, also when its table still has its name.
    sql.batch_execute(&format!(
        "{forget}; CREATE TABLE t_im_message_p20300101 (); \
         UPDATE t_im_horizon SET sealed_ms_id = im_first_ms_id('2030-01-02 00:00Z'); SELECT im_make_partitions('2030-01-05', true)"
    ))
    .await
    .unwrap();
    assert_eq!(partitions(&sql).await.0, ["2030-01-02"]);
}
