//! PgBouncer between the service and its database.

use im_push_gateway::app::App;
use im_push_gateway::archive::mover;
use serde_json::json;
use tempfile::TempDir;

use crate::app::{LONG, TestApp, config, text};
use crate::base::database::until;
use crate::support::{Hr, Pooler, shared};

const STORY: &str =
    "request_timeout_ms = 20000\narchive_drop_grace_ms = 20001\narchive_schedule = \"0 0 29 2 *\"\n";

#[tokio::test]
async fn a_pooler_that_shares_sessions_is_refused_at_the_start() {
    let database = crate::app::database().await;
    for settings in [
        "pool_mode = transaction",
        "pool_mode = transaction\ndefault_pool_size = 1",
        "pool_mode = transaction\ndefault_pool_size = 2\nmin_pool_size = 2\nserver_round_robin = 1",
        "pool_mode = transaction\nmin_pool_size = 5\nserver_round_robin = 1",
        "pool_mode = statement",
    ] {
        let pooler = Pooler::before(shared(), settings).await;
        let through = config(&database, &format!("database_url = \"{}\"", pooler.url(&database)));
        let refused = App::build(through).await.err().unwrap_or_else(|| panic!("{settings}: it starts"));
        assert!(refused.to_string().contains("set pool_mode = session"), "{settings}: {refused}");
    }
}

#[tokio::test]
async fn everything_works_through_a_pooler_that_keeps_sessions() {
    let (hr, folder) = (Hr::start().await, TempDir::new().unwrap());
    hr.books().put(json!({"id": "e1", "name": "张三", "active": true, "department_ids": []}));
    // Each connection is checked before it is handed out: the test ends some behind the pooler's back.
    let pooler =
        Pooler::before(shared(), "pool_mode = session\ndefault_pool_size = 30\nserver_check_delay = 0").await;
    let database = crate::app::database().await;
    let (url, archive) = (pooler.url(&database), folder.path().display());
    let settings =
        format!("database_url = \"{url}\"\narchive_url = \"embedded:{archive}\"\n{STORY}{}", hr.settings());
    let mut app = TestApp::start_on(database, &settings).await;
    app.gateway.ignore_time();
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let sent = app.say("a", &channel, "through the pooler").await;
    app.gateway.wait_for(|record| record.seen(&text(&sent["ms_id"]), "b") == 1, LONG).await;
    app.client("desk", &["directory"]).post("/directory/sync", json!({})).await.expect(202);
    app.until("SELECT count(*) FROM t_im_directory_run WHERE state = 'done'", 1).await;
    app.person("e1").get("/users/me").await.expect(200);
    app.indexed().await;

    // A month later, and started again. The pooler keeps connections that have the old clock.
    app.halt().await;
    let sql = app.sql().await;
    let later = format!("ALTER DATABASE {} SET impg.clock_offset = '40 days'", app.database);
    // It waits for their end. Otherwise the pooler could check one, hand it out, and only then lose it.
    let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sql.batch_execute(&later).await.unwrap();
    sql.batch_execute(end).await.unwrap();
    app.run().await;
    let now = sql.query_one("SELECT now() + '40 days'", &[]).await.unwrap().get(0);
    mover::ask(&app.store, "hand", now).await.expect("a run is asked for");
    app.until("SELECT count(*) FROM t_im_archive_run WHERE outcome = 'done'", 1).await;
    assert_eq!(app.count("SELECT count(*) FROM t_im_message", &[]).await, 0, "all is cold");
    let a = app.person("a");
    let path = format!("/channels/{channel}/messages");
    let cold = until(|| a.get(&path), |reply| reply.status == 200).await.expect(200);
    assert_eq!(cold["items"][0]["content"]["text"], "through the pooler");
    let again = app.say("a", &channel, "and again").await;
    app.gateway.wait_for(|record| record.seen(&text(&again["ms_id"]), "b") == 1, LONG).await;
}
