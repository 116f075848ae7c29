//! What a migration does to a service that runs.

use crate::app::TestApp;

/// The block with which a migration takes its locks.
fn locks(migration: &str) -> &str {
    let begin = migration.find("DO $$").expect("a block");
    let end = migration.find("END $$;").expect("its end") + "END $$;".len();
    &migration[begin..end]
}

#[tokio::test]
async fn sends_go_on_while_a_migration_waits_for_a_long_reader() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    let (reader, migration) = (app.sql().await, app.sql().await);
    reader.batch_execute("BEGIN; SELECT count(*) FROM t_im_channel_user").await.expect("a reader");
    let block = locks(include_str!("../../../sql/schema/V45__relation.sql"));
    let script = format!("BEGIN; {block} COMMIT");
    let migrating = tokio::spawn(async move { migration.batch_execute(&script).await });
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
