//! What expires, what a crash leaves, and stores that do not belong to the database.

use std::fs::File;

use super::*;
use crate::app;

#[tokio::test]
async fn unfinished_uploads_and_unused_files_expire() {
    let mut app = TestApp::start_with(&format!("{SMALL}file_unused_days = 7\n")).await;
    app.people(&["a"]).await;
    let a = app.person("a");
    let (unfinished, ended) = (begin(&a, "a", 100).await, begin(&a, "b", 100).await);
    assert_eq!(send(&a, &unfinished, 0, b"half").await.status, 204);
    assert_eq!(send(&a, &ended, 0, b"half").await.status, 204);
    let file = text(&put(&a, "c", b"whole").await["file_id"]);
    assert_eq!(a.raw("DELETE", &format!("/files/uploads/{ended}"), &[TUS], &[]).await.0.status, 204);
    assert_eq!(a.raw("HEAD", &format!("/files/uploads/{ended}"), &[TUS], &[]).await.0.status, 404);
    holds(&app, 2).await;
    app.clock("25 hours").await;
    let a = app.person("a");
    holds(&app, 1).await;
    assert_eq!(a.raw("HEAD", &format!("/files/uploads/{unfinished}"), &[TUS], &[]).await.0.status, 404);
    assert_eq!(read(&a, &file).await, b"whole");
    app.clock("8 days").await;
    holds(&app, 0).await;
    app.person("a").get(&format!("/files/{file}")).await.expect(404);
    assert_eq!(app.count("SELECT count(*) FROM t_im_file", &[]).await, 0);
}

#[tokio::test]
async fn a_file_that_is_released_while_the_sweeper_looks_goes() {
    let app = TestApp::start_with("file_remove_with_message = true\n").await;
    app.people(&["ann", "bob"]).await;
    let channel = app.direct("ann", "bob").await;
    let id = text(&put(&app.person("ann"), "plan", b"plan").await["file_id"]);
    let held = json!({"type": "file", "content": {"file_id": id}});
    app.person("ann").post(&format!("/channels/{channel}/messages"), held).await.expect(201);
    // The sweeper finds it held, and waits for the release.
    let mut sql = app.sql().await;
    let release = loop {
        sql.execute("UPDATE t_im_file SET expires_at = im_clock() - interval '1 second'", &[]).await.unwrap();
        let release = sql.transaction().await.unwrap();
        let lock = "SELECT FROM t_im_file WHERE expires_at IS NOT NULL FOR UPDATE";
        if release.execute(lock, &[]).await.unwrap() == 1 {
            break release;
        }
        // It was faster, and let the file stay.
        release.rollback().await.unwrap();
    };
    let waits = "SELECT least(count(*), 1) FROM pg_stat_activity WHERE datname = current_database() \
                 AND wait_event_type = 'Lock' AND query LIKE '-- Locks files that may stay%'";
    app.until(waits, 1).await;
    release.execute("DELETE FROM t_im_file_use", &[]).await.unwrap();
    release.commit().await.unwrap();
    app.until("SELECT count(*) FROM t_im_file", 0).await;
}

/// An object that no row names, of this many days ago.
fn stray(app: &TestApp, shard: &str, name: &str, days: u64) -> PathBuf {
    let folder = app.files.join(shard);
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    let file = File::create(&path).unwrap();
    let now = file.metadata().unwrap().modified().unwrap();
    file.set_modified(now - std::time::Duration::from_secs(days * 86_400)).unwrap();
    path
}

#[tokio::test]
async fn what_the_database_does_not_know_leaves_the_store_when_it_is_old() {
    let mut app = TestApp::start_with("file_sweep_ms = 256\nfile_orphan_days = 7\n").await;
    app.people(&["a"]).await;
    let file = text(&put(&app.person("a"), "a", b"hello").await["file_id"]);
    app.halt().await;
    let id = |shard: &str| format!("{shard}{}", "0".repeat(30));
    let (old, new) = (stray(&app, "07", &id("07"), 8), stray(&app, "07", &id("08"), 6));
    let (half, foreign) =
        (stray(&app, "08", &format!("{}#1", id("08")), 8), stray(&app, "08", "notes.txt", 8));
    app.sql().await.execute("UPDATE t_im_file_store SET shard = 7", &[]).await.unwrap();
    app.run().await;
    while [&old, &half, &foreign].iter().any(|path| path.exists()) {
        tokio::time::sleep(LOOK).await;
    }
    assert!(new.exists(), "it may belong to an upload that has just begun");
    assert_eq!(read(&app.person("a"), &file).await, b"hello");
}

#[tokio::test]
async fn an_object_that_is_missing_fails_its_download_alone() {
    let app = TestApp::start_with(SMALL).await;
    app.people(&["a"]).await;
    let a = app.person("a");
    let (one, other) = (put(&a, "a", b"hello").await, put(&a, "b", b"world").await);
    let object = "SELECT replace(object_id::text, '-', '') FROM t_im_file_object WHERE file_id = $1";
    let id: i64 = text(&one["file_id"]).parse().unwrap();
    let object: String = app.sql().await.query_one(object, &[&id]).await.unwrap().get(0);
    std::fs::remove_file(app.files.join(&object[..2]).join(&object)).unwrap();
    let url = format!("{}/api/v1/files/{id}/content", app.base);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(url).header("x-user-id", "a").send().await;
    let is_cut = match answer {
        Ok(answer) => answer.bytes().await.is_err(),
        Err(_) => true,
    };
    assert!(is_cut, "the answer is not short");
    assert_eq!(read(&a, &text(&other["file_id"])).await, b"world");
}

#[tokio::test]
async fn a_store_of_another_database_is_not_touched() {
    let one = TestApp::start().await;
    one.people(&["a"]).await;
    put(&one.person("a"), "a", b"hello").await;
    let before = lying(&one.files);
    let store = format!("file_store = \"folder:{}\"\n", one.files.display());
    let other = TestApp::start_with(&store).await;
    other.people(&["a"]).await;
    let a = other.person("a");
    a.raw("POST", "/files?name=a", &[], b"x").await.0.expect_problem(503, "unavailable");
    assert_eq!(lying(&one.files), before);
    // A database with files does not begin anew in an empty folder.
    let empty = tempfile::TempDir::new().unwrap();
    let store = format!("file_store = \"folder:{}\"\n", empty.path().display());
    let lost = TestApp::start_on(one.database.clone(), &store).await;
    lost.person("a").raw("POST", "/files?name=a", &[], b"x").await.0.expect_problem(503, "unavailable");
    // Nor without a store.
    let off = TestApp::start_on(app::database().await, "file_store = \"\"\n").await;
    off.people(&["a"]).await;
    let problem =
        off.person("a").raw("POST", "/files?name=a", &[], b"x").await.0.expect_problem(409, "conflict");
    assert_eq!(problem["detail"], "uploads are off: set `file_store`");
}

/// The database has the id of the store first. A crash before the store has it, or before that is noted, is made good.
#[tokio::test]
async fn a_crash_in_the_first_use_of_a_store_is_made_good() {
    const ID: &str = "8c5e3e34-58c1-4b1b-9d0c-3d4ab1a1f0aa";
    for is_there in [false, true] {
        let app = TestApp::start().await;
        app.people(&["a"]).await;
        let row = format!("INSERT INTO t_im_file_store (store_id, due_at) VALUES ('{ID}', now())");
        app.sql().await.batch_execute(&row).await.unwrap();
        if is_there {
            std::fs::create_dir_all(&app.files).unwrap();
            std::fs::write(app.files.join("store-id"), ID).unwrap();
        }
        let file = text(&put(&app.person("a"), "a", b"hello").await["file_id"]);
        assert_eq!(read(&app.person("a"), &file).await, b"hello");
        assert_eq!(std::fs::read_to_string(app.files.join("store-id")).unwrap(), ID);
        app.until("SELECT count(*) FROM t_im_file_store WHERE is_marked", 1).await;
    }
}
