//! The roles of `docs/roles.sql`: an owner that migrates, a service that reads and writes rows, and one for reports.

use std::process::{Command, Output};
use std::time::Instant;

use im_push_gateway::app::App;
use im_push_gateway::archive::mover;
use im_push_gateway::base::store::Store;
use serde_json::json;
use tempfile::TempDir;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client as Sql, NoTls};

use crate::app::{LONG, LOOK, TestApp, config, text};
use crate::base::database::until;
use crate::support::Cluster;

const BINARY: &str = env!("CARGO_BIN_EXE_im-push-gateway");
const DATABASE: &str = "im";
/// A day is dropped soon after it is cold, and the test says when days move.
const QUICK: &str = "request_timeout_ms = 2000\narchive_drop_grace_ms = 2001\npoll_ms = 20\n\
                     background_send_wait_ms = 0\narchive_schedule = \"0 0 29 2 *\"\n";
/// How far the run of the archive and its days are.
const PROGRESS: &str = "SELECT EXISTS (SELECT FROM t_im_archive_run WHERE outcome = 'done') AS is_done, \
     concat_ws(' ', (SELECT string_agg(concat_ws(' ', day, step), ', ' ORDER BY day) FROM t_im_archive_day), \
               (SELECT string_agg(concat_ws(' ', outcome, doing), ', ') FROM t_im_archive_run)) AS progress";

/// The address of the database for a role.
fn url(cluster: &Cluster, role: &str) -> String {
    format!("postgresql://{role}@127.0.0.1:{}/{DATABASE}", cluster.port())
}

async fn connect(cluster: &Cluster, role: &str) -> Sql {
    let (client, connection) =
        tokio_postgres::connect(&url(cluster, role), NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

async fn count(sql: &Sql, query: &str) -> i64 {
    sql.query_one(query, &[]).await.unwrap_or_else(|e| panic!("{query}: {e:?}")).get(0)
}

/// The binary with the address of a role.
fn run(cluster: &Cluster, role: &str, command: &str) -> Output {
    let mut binary = Command::new(BINARY);
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("IMPG_")) {
        binary.env_remove(key);
    }
    // With an archive, partitions hold a day.
    binary.env("IMPG_DATABASE_URL", url(cluster, role)).env("IMPG_ARCHIVE_URL", "embedded:archive");
    binary.arg(command).output().expect("it starts")
}

/// What an operator does: the SQL that the binary prints, in psql.
fn give_roles(cluster: &Cluster, options: &[&str]) -> Result<(), String> {
    let sql = run(cluster, "postgres", "roles");
    let ran = cluster.psql(DATABASE, options, &sql.stdout);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    if ran.status.success() { Ok(()) } else { Err(said) }
}

/// A server with the roles, the schema of the owner, and the rights of the roles.
async fn world() -> Cluster {
    let cluster = Cluster::start();
    cluster.create_database(DATABASE, None).await;
    give_roles(&cluster, &[]).expect("roles before the tables");
    let early = App::build(settings(&cluster)).await.err().expect("the service may not make the tables");
    assert!(
        early.to_string().contains("run `im-push-gateway migrate` as the role that owns the tables"),
        "{early}"
    );
    let migrated = run(&cluster, "im_owner", "migrate");
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    give_roles(&cluster, &[]).expect("and after them");
    cluster
}

fn settings(cluster: &Cluster) -> im_push_gateway::base::config::Config {
    config(DATABASE, &format!("database_url = \"{}\"", url(cluster, "im_service")))
}

/// Waits until the run of the archive has ended well. A run that stands still is a panic.
async fn moved(sql: &Sql) {
    let (mut last, mut since) = (String::new(), Instant::now());
    loop {
        let row = sql.query_one(PROGRESS, &[]).await.expect("the progress");
        if row.get("is_done") {
            return;
        }
        let progress: String = row.get("progress");
        assert!(since.elapsed() < LONG, "it stands still: {progress}");
        if progress != last {
            (last, since) = (progress, Instant::now());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether a statement is refused for want of rights.
async fn refused(sql: &Sql, statement: &str) {
    let error = sql.batch_execute(statement).await.err().unwrap_or_else(|| panic!("{statement}: it may"));
    assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{statement}: {error:?}");
}

#[tokio::test]
async fn the_service_lives_through_a_change_of_days_without_owning_a_table() {
    let (cluster, folder) = (world().await, TempDir::new().unwrap());
    let (url, archive) = (url(&cluster, "im_service"), folder.path().display());
    let settings = format!("database_url = \"{url}\"\narchive_url = \"embedded:{archive}\"\n{QUICK}");
    let mut app = TestApp::start_on(DATABASE.to_owned(), &settings).await;
    app.gateway.ignore_time();
    app.people(&["a", "b", "c"]).await;
    let channel = app.direct("a", "b").await;
    let sent = app.say("a", &channel, "before the day changes").await;
    app.gateway.wait_for(|record| record.seen(&text(&sent["ms_id"]), "b") == 1, LONG).await;
    let group = app.group(&["a", "b", "c"]).await;
    let recalled = app.say("b", &group, "a slip").await;
    let b = app.person("b");
    b.post(&format!("/messages/{}/recall", text(&recalled["ms_id"])), json!({})).await.expect(200);
    b.post(&format!("/channels/{channel}/read"), json!({"seq": 1})).await.expect(200);
    let administrator = connect(&cluster, "postgres").await;
    let unindexed = "SELECT count(*) FROM t_im_index_queue";
    until(|| count(&administrator, unindexed), |left| *left == 0).await;

    // A month later: new partitions are made, old days move and are dropped.
    app.halt().await;
    let later = format!("ALTER DATABASE {DATABASE} SET impg.clock_offset = '40 days'");
    administrator.batch_execute(&later).await.unwrap();
    app.run().await;
    let store = Store::new(&self::settings(&cluster)).unwrap();
    mover::ask(&store, "hand", store.now().await.unwrap()).await.expect("a run is asked for");
    moved(&administrator).await;
    let old = "SELECT count(*) FROM v_im_partition WHERE below_ms_id <= (SELECT ms_id FROM t_im_horizon)";
    assert_eq!(count(&administrator, old).await, 0, "cold days are dropped");
    let strangers = "SELECT count(*) FROM v_im_partition p JOIN pg_class c ON c.oid = p.oid WHERE c.relowner <> 'im_owner'::regrole";
    assert_eq!(count(&administrator, strangers).await, 0, "the owner owns new partitions too");
    let again = app.say("a", &channel, "after it").await;
    app.gateway.wait_for(|record| record.seen(&text(&again["ms_id"]), "b") == 1, LONG).await;
    let page = app.person("b").get(&format!("/channels/{channel}/messages")).await.expect(200);
    let texts: Vec<&str> =
        page["items"].as_array().unwrap().iter().map(|m| m["content"]["text"].as_str().unwrap()).collect();
    assert!(texts.contains(&"before the day changes") && texts.contains(&"after it"), "{page}");
    app.halt().await;
    let log = std::fs::read_to_string(cluster.path().join("server.log")).unwrap();
    let denied = log.lines().filter(|line| line.contains(" im ") && line.contains("permission denied"));
    // The start before `migrate` is the only one.
    assert_eq!(denied.count(), 1, "{log}");
}

#[tokio::test]
async fn the_service_changes_no_table_and_reports_only_read_their_views() {
    let cluster = world().await;
    let today = connect(&cluster, "postgres").await;
    let today: String = today
        .query_one("SELECT min(partition) FROM v_im_partition WHERE partition LIKE 't_im_message%'", &[])
        .await
        .unwrap()
        .get(0);
    let service = connect(&cluster, "im_service").await;
    for statement in [
        "CREATE TABLE more (a int)",
        "CREATE TEMPORARY TABLE more (a int)",
        "CREATE SCHEMA more",
        "CREATE VIEW more AS SELECT 1",
        "CREATE FUNCTION more() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION im_clock() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
        "CREATE INDEX ON t_im_user (name)",
        "CREATE ROLE more",
        "ALTER TABLE t_im_user ADD COLUMN more int",
        "ALTER TABLE t_im_audit DISABLE TRIGGER ALL",
        "DROP TABLE t_im_user",
        "DROP VIEW t_im_message_push",
        "TRUNCATE t_im_message",
        "UPDATE t_im_audit SET reason = 'another'",
        "DELETE FROM t_im_audit",
        "UPDATE refinery_schema_history SET checksum = '1'",
        "SELECT im_drop_partition('t_im_user')",
        "SET ROLE im_owner",
        "SET session_replication_role = replica",
    ] {
        refused(&service, statement).await;
    }
    refused(&service, &format!("DROP TABLE {today}")).await;
    // Only a day that is in the archive can be dropped.
    refused(&service, &format!("SELECT im_drop_partition('{today}')")).await;

    let reports = connect(&cluster, "im_bi").await;
    reports.batch_execute("SET default_transaction_read_only = off").await.unwrap();
    let views = [
        "t_im_message_push",
        "v_im_bi_channel",
        "v_im_bi_department",
        "v_im_bi_member",
        "v_im_bi_message",
        "v_im_bi_user",
    ];
    for view in views {
        assert_eq!(count(&reports, &format!("SELECT count(*) FROM {view}")).await, 0);
    }
    let readable = "SELECT coalesce(array_agg(relname::text ORDER BY relname), '{}') FROM pg_class \
                    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f') \
                    AND (has_any_column_privilege(oid, 'SELECT') OR has_table_privilege(oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))";
    let readable: Vec<String> = reports.query_one(readable, &[]).await.unwrap().get(0);
    assert_eq!(readable, views);
    for statement in [
        "SELECT content FROM t_im_message",
        "SELECT * FROM t_im_user",
        "SELECT * FROM t_im_token",
        "INSERT INTO v_im_bi_department (department_id, name) VALUES ('d', 'd')",
        "UPDATE v_im_bi_user SET active = false",
        "DELETE FROM v_im_bi_channel",
        "CREATE TABLE more (a int)",
        "CREATE TEMPORARY TABLE more (a int)",
        "SELECT im_make_partitions('2031-01-01')",
        "SELECT im_drop_partition('t_im_message_p20310101')",
        "SET ROLE im_service",
    ] {
        refused(&reports, statement).await;
    }
}

#[tokio::test]
async fn the_owner_of_the_tables_keeps_them() {
    let (cluster, other) = (Cluster::start(), "im_tables");
    cluster.create_database(DATABASE, None).await;
    let administrator = connect(&cluster, "postgres").await;
    let setup = format!("CREATE ROLE {other} LOGIN; GRANT CREATE ON SCHEMA public TO {other}");
    administrator.batch_execute(&setup).await.unwrap();
    assert!(run(&cluster, other, "migrate").status.success());
    let said = give_roles(&cluster, &[]).expect_err("the tables are another's");
    assert!(
        said.contains("the tables belong to the role im_tables: run it with -v owner=im_tables"),
        "{said}"
    );
    give_roles(&cluster, &["-v", "owner=im_tables", "-v", "service=im_web"])
        .expect("one run after the tables");
    let service = connect(&cluster, "im_web").await;
    refused(&service, "ALTER TABLE t_im_user ADD COLUMN more int").await;
    refused(&service, "UPDATE t_im_audit SET reason = 'another'").await;
    assert_eq!(count(&service, "SELECT count(*) FROM t_im_user").await, 0);
    assert_eq!(count(&connect(&cluster, "im_bi").await, "SELECT count(*) FROM v_im_bi_user").await, 0);
}
