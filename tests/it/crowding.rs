//! Many days: what of a service does not grow with them, and what says in time that they are too many.

use crate::app::TestApp;

/// Days that have tables, besides those that every service makes.
const DAYS: i64 = 60;
/// Statements on the way of a send, and what locks they take whatever the number of days.
const OF_A_SEND: &[&str] = &[
    "message/lock_channels",
    "message/admit",
    "message/store",
    "push/look",
    "push/waiting",
    "push/claim_new",
    "push/claim_due",
    "push/finish",
    "conversation/list",
    "event/tally",
];
const FEW: i64 = 60;
/// Most locks of any other statement for each day, as the service has its plans.
const A_DAY: i64 = 8;

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
async fn many_days_cost_a_send_no_locks_and_are_told_of_in_time() {
    let app = TestApp::start_with("database_pool_size = 60").await;
    let probe = crate::support::Client::anonymous(&app.base);
    assert_eq!(probe.get("/readyz").await.expect(200)["partitions"], "ok");
    let sql = app.sql().await;
    let days = format!("SELECT im_make_partitions(current_date - i) FROM generate_series(1, {DAYS}) i");
    sql.batch_execute(&days).await.unwrap();
    let readiness = probe.get("/readyz").await.expect(200);
    assert_eq!((&readiness["status"], &readiness["partitions"]), (&"ready".into(), &"many".into()));

    let client = app.store.client().await.unwrap();
    let crowding = app.store.crowding(60).await.unwrap();
    for name in OF_A_SEND {
        let taken = locks(&client, name).await;
        assert!(taken <= FEW, "{name} takes {taken} locks, of {} days", crowding.days);
    }
    for name in [
        "push/messages",
        "push/people",
        "ledger/lock",
        "ledger/receivers",
        "ledger/write",
        "receipt/locate",
        "receipt/read_points",
        "receipt/read_point",
        "receipt/counts",
        "receipt/list",
        "history/before",
        "history/after",
        "search/ledger",
        "stream/texts",
        "index/messages",
        "receipt/take_reads",
    ] {
        let taken = locks(&client, name).await;
        assert!(
            taken <= FEW + A_DAY * crowding.days,
            "{name} takes {taken} locks, of {} days",
            crowding.days
        );
    }
}
