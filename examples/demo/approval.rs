//! An approval: a card, a click, its new state; who has not read is nudged; a file.

use serde_json::json;

use crate::stage::{Caller, Stage, id};
use crate::story::{LI, NEWCOMER, WANG};
use crate::{company, tell};

const REQUEST: &str = "采购申请 PR-2042.csv";
const ROWS: &str = "item,count\n显示器 monitor,12\n";

pub async fn takes_its_course(stage: &mut Stage, oa: &Caller) {
    tell::chapter("An approval: a card, a click, its new state; who has not read is nudged; a file");
    let (wang, li, newcomer) = (stage.person(WANG), stage.person(LI), stage.person(NEWCOMER));
    let members = [&wang, &li, &newcomer].map(|person| person.user_id.clone());
    let group = json!({"name": "采购审批 Purchases", "members": members});
    let group = oa.call("POST /groups", group, &["channel_id", "member_count"]).await.expect(201);
    let channel_id = id(&group, "channel_id");
    stage.books.founded(&channel_id, company::OA, &members);
    let ms_id = is_decided(stage, oa, (&wang, &channel_id)).await;

    tell::note("two have not read it: the application asks who, and reminds them");
    let path = format!("/messages/{ms_id}/receipts?status=unread");
    let unread = oa.get(&path, &["items/0/name", "items/1/name"]).await;
    assert_eq!(unread["items"].as_array().map(Vec::len), Some(2), "{unread}");
    let call = format!("POST /messages/{ms_id}/nudge");
    let nudged = oa.call(&call, json!(null), &["urged"]).await.expect(200);
    assert_eq!(nudged["urged"], 2, "{nudged}");
    oa.call(&call, json!(null), &["title"]).await.expect_problem(429, "nudged-recently");

    has_a_file(stage, oa, (&li, &channel_id)).await;
    stage.all_pushed().await;
}

/// A member reads the card and agrees. The application gives it its next state. Returns the card's id.
async fn is_decided(stage: &mut Stage, oa: &Caller, (wang, channel_id): (&Caller, &str)) -> String {
    let card = json!({"title": "采购申请 PR-2042", "fields": [{"name": "显示器", "value": "12 台"}],
        "buttons": [{"id": "agree", "text": "同意", "style": "primary"}, {"id": "refuse", "text": "拒绝"}]});
    let sent = stage.send(oa, channel_id, json!({"type": "card", "content": card})).await;
    stage.all_pushed().await;
    let ms_id = id(&sent, "ms_id");
    let seq = sent["seq"].as_i64().expect("a number");
    let call = format!("POST /channels/{channel_id}/read");
    wang.call(&call, json!({"seq": seq}), &["read_seq", "unread_count"]).await.expect(200);
    stage.books.read(channel_id, &wang.user_id, seq);
    let call = format!("POST /messages/{ms_id}/actions");
    let click = json!({"button_id": "agree", "version": 1});
    wang.call(&call, click.clone(), &["version", "repeated"]).await.expect(201);
    wang.call(&call, click, &["repeated"]).await.expect(200);
    let call = format!("PATCH /messages/{ms_id}/card");
    let next = json!({"title": "采购申请 PR-2042：已同意", "buttons": [], "version": 1});
    oa.call(&call, next.clone(), &["content/title", "content/version"]).await.expect(200);
    oa.call(&call, next, &["title"]).await.expect_problem(409, "conflict");
    ms_id
}

/// The members of the group can read the file, others cannot.
async fn has_a_file(stage: &mut Stage, oa: &Caller, (li, channel_id): (&Caller, &str)) {
    let path = format!("/files?name={REQUEST}");
    let (stored, _) = oa.client.raw("POST", &path, &[], ROWS.as_bytes()).await;
    let file_id = id(&stored.expect(201), "file_id");
    tell::note(&format!("{} uploads {REQUEST}", oa.name));
    let file = json!({"type": "file", "content": {"file_id": file_id}});
    stage.send(oa, channel_id, file).await;
    let path = format!("/files/{file_id}/content");
    let (read, bytes) = li.client.raw("GET", &path, &[], &[]).await;
    read.expect(200);
    assert_eq!(bytes, ROWS.as_bytes());
    let stranger = stage.person(NEWCOMER + 2);
    stranger.call(&format!("GET {path}"), json!(null), &["title"]).await.expect_problem(404, "not-found");
    tell::note(&format!("{} reads the file, byte for byte; a stranger gets 404", li.name));
}
