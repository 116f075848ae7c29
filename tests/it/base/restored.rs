//! A dump of the database is restored under a running world: no id is given twice, and streams load anew.

use std::collections::BTreeSet;
use std::process::Command;

use im_push_gateway::events;
use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::delivery::callbacks::{OPEN, observer};
use crate::support::{Receiver, shared};

/// A service with a stream, an observer and some history, and a copy of its database from before the last of it.
struct World {
    app: TestApp,
    receiver: Receiver,
    dump: String,
    /// The last event that a's stream has, and the newest channel, both after the dump.
    last_event_id: i64,
    last_channel_id: i64,
}

const LAST_EVENT: &str = "SELECT last_event_id FROM t_im_event_head";

impl World {
    async fn new() -> Self {
        let mut app = TestApp::start_with(OPEN).await;
        let receiver = Receiver::start().await;
        observer(&app.client("root", &["admin"]), &receiver.url()).await;
        app.people(&["a", "b", "c"]).await;
        let mut stream = app.person("a").listen(None).await;
        let channel = app.direct("a", "b").await;
        app.say("b", &channel, "before the dump").await;
        stream.through("before the dump").await;
        app.settled().await;
        app.halt().await;
        let dump = shared().fresh_database(Some(&app.database)).await;
        app.run().await;
        let mut stream = app.person("a").listen(stream.last_id).await;
        let lost = app.group(&["a", "c"]).await;
        app.say("c", &lost, "after the dump").await;
        stream.through("after the dump").await;
        app.settled().await;
        let last_event_id = stream.last_id.expect("an id");
        Self { app, receiver, dump, last_event_id, last_channel_id: lost.parse().expect("an id") }
    }

    /// The dump takes the place of the database, whoever is connected.
    async fn restore(&self) {
        shared().drop_database(&self.app.database).await;
        let rename = format!("ALTER DATABASE {} RENAME TO {}", self.dump, self.app.database);
        shared().connect("postgres").await.batch_execute(&rename).await.expect("nobody uses the dump");
    }

    fn told_ids(&self) -> Vec<i64> {
        let ids = |body: &[u8]| -> Vec<i64> {
            let batch: Value = serde_json::from_slice(body).expect("JSON");
            let events = batch["events"].as_array().expect("events").clone();
            events.iter().map(|event| text(&event["event_id"]).parse().expect("an id")).collect()
        };
        self.receiver.received().iter().flat_map(|received| ids(&received.body)).collect()
    }

    /// What was given after the dump is not given again, and who has it loads anew.
    async fn goes_on_beyond(&self) {
        let known: BTreeSet<i64> = self.told_ids().into_iter().collect();
        let mut resumed = self.app.person("a").listen(Some(self.last_event_id)).await;
        assert_eq!(resumed.expect("resync").await.data, json!({"reason": "incomplete"}));
        let channel = self.app.group(&["a", "b"]).await;
        assert!(channel.parse::<i64>().expect("an id") > self.last_channel_id, "{channel}");
        self.app.say("b", &channel, "after the restore").await;
        let told = resumed.through("after the restore").await;
        assert!(told.iter().all(|told| told.id > self.last_event_id), "{told:?}");
        self.app.settled().await;
        let new = self.told_ids().split_off(known.len());
        assert!(!new.is_empty() && new.iter().all(|id| !known.contains(id)), "{new:?} after {known:?}");
    }
}

#[tokio::test]
async fn a_dump_restored_under_a_running_service_is_noticed() {
    let mut world = World::new().await;
    let mut live = world.app.person("a").listen(Some(world.last_event_id)).await;
    // A stream that still reads what it has missed ends when the database goes, and its client resumes.
    world.app.say("c", &world.last_channel_id.to_string(), "the stream is live").await;
    live.through("the stream is live").await;
    world.app.settled().await;
    world.last_event_id = live.last_id.expect("an id");
    world.restore().await;
    assert_eq!(live.expect("resync").await.data, json!({"reason": "incomplete"}));
    let beyond = format!("SELECT ({LAST_EVENT}) > {}", world.last_event_id);
    assert!(world.app.sql().await.query_one(&beyond, &[]).await.unwrap().get::<_, bool>(0));
    world.goes_on_beyond().await;
}

#[tokio::test]
async fn a_dump_restored_while_nothing_runs_is_noticed_once_at_the_start() {
    let mut world = World::new().await;
    world.app.halt().await;
    world.restore().await;
    world.app.run().await;
    let restored = "SELECT count(restored_at) FROM t_im_database";
    assert_eq!(world.app.count(restored, &[]).await, 1);
    world.goes_on_beyond().await;
    let last = world.app.count(LAST_EVENT, &[]).await;
    world.app.halt().await;
    world.app.run().await;
    assert_eq!(world.app.count(LAST_EVENT, &[]).await, last, "another start is no restore");
}

#[tokio::test]
async fn what_cannot_be_noticed_is_said_by_a_command() {
    let mut world = World::new().await;
    world.app.halt().await;
    world.restore().await;
    // As a snapshot of the server's disk looks.
    let unnoticed = "UPDATE t_im_database SET place = im_database_place()";
    world.app.sql().await.batch_execute(unnoticed).await.unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_im-push-gateway"))
        .arg("restored")
        .env("IMPG_DATABASE_URL", shared().url(&world.app.database))
        .env("IMPG_TRUSTED_PEERS", "127.0.0.1")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let behind = "SELECT string_agg(sequencename, ', ') FROM pg_sequences \
         WHERE sequencename ~ '^t_im_(channel|file|notification|robot|favourite|directory_edit|directory_run|archive_run|push_dead)_[a-z]+_id_seq$' \
           AND coalesce(last_value, 0) < 1000000 * extract(epoch FROM timestamptz '2020-01-01')";
    let behind: Option<String> = world.app.sql().await.query_one(behind, &[]).await.unwrap().get(0);
    assert_eq!(behind, None, "callers know these numbers");
    world.app.run().await;
    world.goes_on_beyond().await;
}

#[tokio::test]
async fn a_log_that_goes_back_is_noticed_by_a_replica_that_runs() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    app.direct("a", "b").await;
    let seen = events::notice_restored(&app.store, None).await.unwrap();
    let last = app.count(LAST_EVENT, &[]).await;
    events::notice_restored(&app.store, Some(seen)).await.unwrap();
    assert_eq!(app.count(LAST_EVENT, &[]).await, last);
    events::notice_restored(&app.store, Some(seen + (1 << 40))).await.unwrap();
    assert!(app.count(LAST_EVENT, &[]).await > last);
}

#[tokio::test]
async fn an_empty_copy_begins_with_the_first_ids_and_a_plain_role_may_notice() {
    let (database, sql) = (crate::app::database().await, shared().connect("postgres").await);
    let role = format!("plain_{database}");
    sql.batch_execute(&format!("CREATE ROLE {role} LOGIN; GRANT ALL ON DATABASE {database} TO {role}"))
        .await
        .unwrap();
    let inside = shared().connect(&database).await;
    inside
        .batch_execute(&format!(
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}; \
             SET ROLE {role}"
        ))
        .await
        .unwrap();
    let noticed: bool = inside.query_one("SELECT im_notice_restored(NULL)", &[]).await.unwrap().get(0);
    assert!(!noticed);
    inside.query_one("SELECT im_restored()", &[]).await.unwrap();
}
