//! A full disk: a small file system in memory, which needs root, or sudo.

use super::*;
use crate::support::Disk;

#[tokio::test]
async fn a_full_disk_is_told_and_survived_and_nothing_stays() {
    let disk = Disk::of(2);
    let app =
        TestApp::start_with(&format!("{SMALL}file_store = \"folder:{}\"\n", disk.path().display())).await;
    app.people(&["a", "b"]).await;
    let a = app.person("a");
    let objects =
        async || app.count("SELECT count(*) FROM t_im_file_object WHERE drop_after IS NULL", &[]).await;
    let bytes = noise(6 << 20, 11);
    // In one request: nothing of it stays.
    a.raw("POST", "/files?name=a", &[], &bytes).await.0.expect_problem(507, "storage-full");
    app.until("SELECT count(*) FROM t_im_file_object", 0).await;
    assert_eq!((lying(&disk.path()).len(), objects().await), (0, 0));
    // In parts: what fits stays, and nothing half written.
    let id = begin(&a, "a", bytes.len()).await;
    send(&a, &id, 0, &bytes).await.expect_problem(507, "storage-full");
    let at = offset(&a, &id).await;
    assert!(at > 0 && at.is_multiple_of(PIECE) && at < bytes.len(), "{at}");
    app.until("SELECT count(*) FROM t_im_file_object WHERE drop_after IS NOT NULL", 0).await;
    assert_eq!(lying(&disk.path()).len(), at / PIECE);
    send(&a, &id, at, &bytes[at..]).await.expect_problem(507, "storage-full");
    app.say("a", &app.direct("a", "b").await, "messages go on").await;
    disk.mount("remount,size=16m");
    assert_eq!(send(&a, &id, at, &bytes[at..]).await.status, 204);
    assert!(read(&a, &id).await == bytes);
    a.delete(&format!("/files/{id}")).await.expect(204);
    app.until("SELECT count(*) FROM t_im_file_object", 0).await;
    assert_eq!(lying(&disk.path()).len(), 0);
}

/// A check that cannot store what it made leaves nothing for an hour, and the next check comes after others.
#[tokio::test]
async fn a_check_that_fails_drops_what_it_planned_and_is_done_again() {
    let disk = Disk::of(8);
    let store = format!(
        "file_store = \"folder:{}\"\nfile_preview_pixels = 200\nfile_thumbnail_pixels = 100\n",
        disk.path().display()
    );
    let app = TestApp::start_with(&store).await;
    app.people(&["a"]).await;
    let a = app.person("a");
    let bytes = pictures::photo(300, 200, image::ImageFormat::Png);
    let file = put(&a, "a.png", &bytes).await;
    assert_eq!(file["forms"], json!(["preview", "thumbnail"]));
    let id = text(&file["file_id"]);
    // As if the request had died before its check. Nothing can be written now.
    disk.mount("remount,ro");
    let undo = "UPDATE t_im_file SET state = 'uploading', stored = size, hashed = 0, checks = 0, \
                expires_at = im_clock() + interval '1 day'";
    app.sql().await.batch_execute(undo).await.unwrap();
    app.until("SELECT least(checks, 1)::bigint FROM t_im_file", 1).await;
    app.until("SELECT count(*) FROM t_im_file WHERE locked_until IS NULL", 1).await;
    app.until("SELECT count(*) FROM t_im_file_object WHERE drop_after > im_clock()", 0).await;
    disk.mount("remount,rw");
    app.until("SELECT count(*) FROM t_im_file WHERE state = 'ready'", 1).await;
    assert!(read(&a, &id).await == bytes);
}
