//! kill -9 in the middle of an upload.

use super::*;
use crate::app;
use crate::support::{Service, shared};

#[tokio::test]
async fn a_killed_service_goes_on_with_an_upload_and_leaves_nothing_over() {
    let database = app::database().await;
    let folder = tempfile::TempDir::new().unwrap();
    let (url, store) = (shared().url(&database), format!("folder:{}", folder.path().display()));
    let settings = [
        ("database_url", &*url),
        ("file_store", &*store),
        ("file_piece_bytes", "65536"),
        ("file_flush_ms", "10"),
        ("poll_ms", "50"),
    ];
    let mut service = Service::start(env!("CARGO_BIN_EXE_im-push-gateway"), &settings).await;
    let hr = Client::new(&service.api(), "hr", &["directory"]);
    hr.post("/directory/changes", json!({"users": [{"user_id": "a", "name": "A"}]})).await.expect(200);
    let bytes = noise(40 * PIECE + 99, 12);
    let mut a = Client::new(&service.api(), "a", &[]);
    let id = begin(&a, "a", bytes.len()).await;
    let sql = shared().connect(&database).await;
    let stored = async || -> i64 {
        let row = sql.query_one(&format!("SELECT stored FROM t_im_file WHERE file_id = {id}"), &[]).await;
        row.unwrap().get(0)
    };
    for round in 1..=4_i64 {
        let at = offset(&a, &id).await;
        let sending = tokio::spawn({
            let (a, id, rest) = (a.clone(), id.clone(), bytes[at..].to_vec());
            let at = at.to_string();
            async move {
                let headers = [TUS, BYTES, ("upload-offset", &*at)];
                a.raw("PATCH", &format!("/files/uploads/{id}"), &headers, &rest).await
            }
        });
        while stored().await < round * 8 * PIECE as i64 && !sending.is_finished() {
            tokio::time::sleep(LOOK).await;
        }
        service.kill9();
        // Whether it had an answer is a matter of speed.
        sending.abort();
        let _ = sending.await;
        service.restart().await;
        a = Client::new(&service.api(), "a", &[]);
    }
    let at = offset(&a, &id).await;
    if at < bytes.len() {
        assert_eq!(send(&a, &id, at, &bytes[at..]).await.status, 204);
    }
    assert!(read(&a, &id).await == bytes);
    // What was planned at a kill counts as left over an hour later.
    let later =
        "UPDATE t_im_file_object SET drop_after = now() - interval '1 second' WHERE drop_after IS NOT NULL";
    sql.execute(later, &[]).await.unwrap();
    let left = "SELECT count(*) FROM t_im_file_object WHERE drop_after IS NOT NULL";
    while sql.query_one(left, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        tokio::time::sleep(LOOK).await;
    }
    let whole: Vec<PathBuf> =
        lying(folder.path()).into_iter().filter(|path| !path.to_string_lossy().contains('#')).collect();
    assert_eq!(whole.len(), 41, "one object a piece");
}
