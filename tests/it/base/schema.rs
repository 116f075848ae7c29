//! What a migration does to a service that runs.

use crate::app::TestApp;

#[tokio::test]
async fn sends_go_on_while_a_migration_waits_for_a_long_reader() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    let (reader, migration) = (app.sql().await, app.sql().await);
    reader.batch_execute("BEGIN; SELECT count(*) FROM t_im_channel_user").await.expect("a reader");
    let script =
        "BEGIN; SELECT im_lock_gently('t_im_channel, t_im_channel_user', 'ACCESS EXCLUSIVE'); COMMIT";
    let migrating = tokio::spawn(async move { migration.batch_execute(script).await });
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' \
                 AND relation = 't_im_channel_user'::regclass \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    for words in ["one", "two"] {
        app.until(waits, 1).await;
        app.say("a", &direct, words).await;
    }
    assert!(!migrating.is_finished(), "it waits for the reader");
    reader.batch_execute("COMMIT").await.expect("the reader ends");
    migrating.await.expect("a task").expect("the locks");
    app.say("b", &direct, "three").await;
}

/// Before V45 nothing ran that could wait.
#[test]
fn migrations_lock_tables_gently() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/sql/schema");
    let mut wrong = Vec::new();
    for path in std::fs::read_dir(folder).expect("migrations").map(|entry| entry.expect("an entry").path()) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let version: u32 = name[1..].split("__").next().and_then(|n| n.parse().ok()).expect("a version");
        let text = std::fs::read_to_string(&path).expect("a migration");
        let made = |table: &str| {
            text.contains(&format!("CREATE TABLE {table} "))
                || text.contains(&format!("CREATE UNLOGGED TABLE {table} "))
        };
        for line in text.lines().filter(|_| version > 45) {
            let table = line.strip_prefix("ALTER TABLE ").and_then(|rest| rest.split(' ').next());
            if let Some(table) = table.filter(|table| !made(table) && !text.contains("im_lock_gently")) {
                wrong.push(format!("{name}: ALTER TABLE {table}"));
            }
        }
    }
    assert!(wrong.is_empty(), "take the locks with im_lock_gently first: {wrong:?}");
}
