//! Normal use: a direct channel, a group of all users, an application, and a user who signs in.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::company;
use crate::stage::{Caller, Stage, id};
use crate::tell;

/// Users of the demo by their role in it, as indexes in the company.
pub const WANG: usize = 0;
pub const LI: usize = 1;
pub const NEWCOMER: usize = 3;
pub const DIRECTOR: usize = 2;
/// A user in the team of [`WANG`], offline until she signs in.
pub const AWAY: usize = 12;
pub const ALSO_AWAY: [usize; 5] = [31, 77, 128, 200, 299];

/// The number of reads by receipts of the gateway, and by calls of users.
const READ_BY_RECEIPT: usize = 100;
const READ_BY_CURSOR: usize = 20;
const MISSED: usize = 130;
const PULLED: usize = 99;

pub async fn company(stage: &mut Stage) {
    tell::chapter("The directory is filled from the HR service");
    let hr = stage.machine("HR", "directory");
    let asked = hr.call("POST /directory/sync", json!({}), &["run_id"]).await.expect(202);
    let run = stage.run_ended(&hr, &id(&asked, "run_id")).await;
    assert_eq!(run["counts"]["users"]["created"], company::PEOPLE, "{run}");
    let oa = json!({"users": [{"user_id": company::OA, "name": company::OA_NAME, "kind": "application"}]});
    hr.call("POST /directory/changes", oa, &["users/applied", "problems"]).await.expect(200);
    for line in company::tree(&stage.people) {
        tell::note(&line);
    }
    let ops = stage.machine("Ops", "admin");
    let emoji = json!({"address": "https://portal.example/emoji/ok.png"});
    ops.call("PUT /emojis/ok", emoji, &["emoji_id"]).await.expect(200);
}

pub async fn direct_chat(stage: &mut Stage) -> String {
    tell::chapter("A direct channel: a text, a picture, a file, and a repeated send");
    let (wang, li) = (stage.person(WANG), stage.person(LI));
    let pair = json!({"type": "direct", "members": [li.user_id]});
    let channel = wang.call("POST /channels", pair.clone(), &["channel_id", "type"]).await.expect(201);
    let channel_id = id(&channel, "channel_id");
    stage.books.founded(&channel_id, &wang.user_id, std::slice::from_ref(&li.user_id));
    let again = wang.call("POST /channels", pair, &["channel_id"]).await.expect(200);
    assert_eq!(again["channel_id"], channel["channel_id"]);

    let hello = json!({"client_id": "w-1", "type": "text", "content": {"text": "早！评审稿发你了 [:ok:]"}});
    let sent = stage.send(&wang, &channel_id, hello.clone()).await;
    let path = format!("POST /channels/{channel_id}/messages");
    let repeat = wang.call(&path, hello, &["repeated", "ms_id"]).await.expect(200);
    stage.books.repeated(repeat["ms_id"] == sent["ms_id"] && repeat["repeated"] == true);
    let other = json!({"client_id": "w-1", "type": "text", "content": {"text": "别的内容"}});
    wang.call(&path, other, &["title"]).await.expect_problem(409, "client-id-reused");

    let picture = json!({"type": "picture", "content":
        {"url": "https://files.example/7/cover.png", "width": 1280, "height": 720, "name": "封面.png"}});
    stage.send(&wang, &channel_id, picture).await;
    let file = json!({"type": "file", "content":
        {"url": "https://files.example/8", "name": "评审稿 v3.pdf", "size": 482_113, "media_type": "application/pdf"}});
    stage.send(&wang, &channel_id, file).await;
    stage.say(&li, &channel_id, "收到，下午三点前给你意见").await;
    let page = li.get(&format!("/channels/{channel_id}/messages?limit=10"), &["items"]).await;
    show_page(&page, usize::MAX);
    channel_id
}

pub async fn becomes_a_group(stage: &mut Stage, channel_id: &str) {
    tell::chapter("A third user joins: the direct channel becomes a group with the same id and history");
    let (wang, li, newcomer) = (stage.person(WANG), stage.person(LI), stage.person(NEWCOMER));
    let call = format!("POST /channels/{channel_id}/members");
    let shown = ["added", "channel/channel_id", "channel/type", "channel/member_count"];
    let joined = wang.call(&call, json!({"user_ids": [newcomer.user_id]}), &shown).await.expect(200);
    assert_eq!(joined["channel"]["channel_id"], channel_id);
    stage.books.joined(channel_id, &newcomer.user_id);
    let name = json!({"name": "评审 Review"});
    wang.call(&format!("PATCH /channels/{channel_id}"), name, &["name", "owner"]).await.expect(200);
    let history = format!("/channels/{channel_id}/messages?limit=10");
    let page = newcomer.get(&history, &["items"]).await;
    assert_eq!(page["items"], json!([]), "a new member sees no earlier messages");
    stage.say(&li, channel_id, "欢迎！ Welcome on board").await;
    stage.say(&newcomer, channel_id, "Thanks! 谢谢").await;
    let page = newcomer.get(&history, &["items"]).await;
    show_page(&page, usize::MAX);
    stage.all_pushed().await;
}

/// Sends a message to all users. Returns its id.
pub async fn all_hands(stage: &mut Stage) -> String {
    tell::chapter("One message to all 300 users: the ledger has a status for each of 299 receivers");
    let director = stage.person(DIRECTOR);
    let away: BTreeSet<String> =
        ALSO_AWAY.iter().chain([&AWAY]).map(|n| stage.people[*n].user_id.clone()).collect();
    stage.gateway.set_offline(&away).await;
    tell::note(&format!("for the gateway {} users are offline, all others are online", away.len()));
    stage.books.offline = away;

    let everybody = stage.people.iter().map(|person| person.user_id.clone());
    let others: Vec<String> = everybody.filter(|user_id| *user_id != director.user_id).collect();
    let group = json!({"name": "星桥全员 All hands", "members": others});
    let group = director.call("POST /groups", group, &["channel_id", "member_count"]).await.expect(201);
    let channel_id = id(&group, "channel_id");
    stage.books.founded(&channel_id, &director.user_id, &others);
    let announcement = json!({"announcement": "国庆放假安排见群文件"});
    let call = format!("PATCH /channels/{channel_id}");
    director.call(&call, announcement, &["announcement"]).await.expect(200);

    stage.gateway.set_mode("holds").await;
    let notice = json!({"type": "text", "content": {"text": "各位同事：10 月 1 日至 8 日放假。Office closed, see you on the 9th!"}});
    let sent = stage.send(&director, &channel_id, notice).await;
    let ms_id = id(&sent, "ms_id");
    let before = stage.ledger(&director, &ms_id).await;
    assert_eq!(before.unreceived, others.len(), "all are unreceived before the gateway answers");
    tell::bar(&before);
    tell::note("the gateway answers: {\"received\": \"all\", \"except\": {\"offline\": [6 people]}}");
    stage.gateway.set_mode("works").await;
    stage.all_pushed().await;
    stage.ledger_as_booked(&director, &ms_id).await;
    read_by_many(stage, &channel_id, (&ms_id, &director)).await;
    stage.ledger_as_booked(&director, &ms_id).await;
    ms_id
}

/// Some users read by receipts of the gateway, others by moving their own cursors.
async fn read_by_many(stage: &mut Stage, channel_id: &str, (ms_id, director): (&str, &Caller)) {
    let online = |user_id: &&String| **user_id != director.user_id && !stage.books.offline.contains(*user_id);
    let ids = stage.people.iter().map(|person| &person.user_id).filter(online);
    let readers: Vec<String> = ids.take(READ_BY_RECEIPT + READ_BY_CURSOR).cloned().collect();
    let (by_receipt, by_cursor) = readers.split_at(READ_BY_RECEIPT);
    let receipt = |receiver: &String| json!({"ms_id": ms_id, "receiver": receiver, "status": "read"});
    let receipts: Vec<Value> = by_receipt.iter().map(receipt).collect();
    let gateway = stage.machine("Gateway", "gateway");
    gateway.call("POST /receipts", json!(receipts), &["results"]).await.expect(200);
    for (n, reader) in by_cursor.iter().enumerate() {
        let reader = stage.find(reader);
        if n == 0 {
            let call = format!("POST /channels/{channel_id}/read");
            reader.call(&call, json!({"seq": 1}), &["read_seq", "unread_count"]).await.expect(200);
        } else {
            let path = format!("/channels/{channel_id}/read");
            reader.client.post(&path, json!({"seq": 1})).await.expect(200);
        }
    }
    tell::note(&format!("… and {} more users open the group", by_cursor.len() - 1));
    for reader in &readers {
        stage.books.read(channel_id, reader, 1);
    }
}

/// Returns the application.
pub async fn application(stage: &mut Stage) -> Caller {
    tell::chapter("A portal sends as an application, with its own token");
    let token = stage.create_token("oa-portal", company::OA);
    let oa = stage.bearer(company::OA, company::OA_NAME, &token);
    for receiver in [stage.person(WANG), stage.person(AWAY)] {
        let pair = json!({"type": "direct", "members": [receiver.user_id]});
        let channel = oa.call("POST /channels", pair, &["channel_id"]).await.expect(201);
        let channel_id = id(&channel, "channel_id");
        stage.books.founded(&channel_id, company::OA, std::slice::from_ref(&receiver.user_id));
        stage.say(&oa, &channel_id, "审批通过：采购申请 PR-2041 [:ok:]").await;
    }
    stage.all_pushed().await;
    let wang = stage.person(WANG);
    let list = wang.get("/conversations", &["items"]).await;
    tell::conversations(&list);
    oa
}

pub async fn signing_in(stage: &mut Stage) {
    tell::chapter("A user was offline: her messages stay unreceived until she signs in and reads them");
    let (wang, away) = (stage.person(WANG), stage.person(AWAY));
    let (channel_id, _) = stage.team(stage.people[WANG].team).await;
    let texts: Vec<(&str, String)> =
        (1..=MISSED).map(|n| (channel_id.as_str(), format!("构建 #{n} 通过 build #{n} is green"))).collect();
    stage.send_many(&wang, &texts).await;
    stage.all_pushed().await;
    let last = stage.books.said.last().expect("a message").ms_id.clone();
    stage.ledger_as_booked(&wang, &last).await;
    let path = format!("/messages/{last}/receipts?status=unreceived");
    wang.get(&path, &["items/0/name", "items/0/status", "items/0/verdict"]).await;

    tell::note(&format!("{} signs in", away.name));
    stage.books.offline.remove(&away.user_id);
    stage.gateway.set_offline(&stage.books.offline).await;
    let list = away.get("/conversations", &["items"]).await;
    tell::conversations(&list);
    let path = format!("/channels/{channel_id}/messages?after_seq=0&newest={PULLED}");
    let page = away.get(&path, &["items"]).await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(PULLED));
    show_page(&page, 2);
    let call = format!("POST /channels/{channel_id}/read");
    let read = away.call(&call, json!({"seq": MISSED}), &["read_seq", "unread_count"]).await.expect(200);
    assert_eq!(read["unread_count"], 0);
    stage.books.read(&channel_id, &away.user_id, MISSED as i64);
    stage.ledger_as_booked(&wang, &last).await;
}

pub async fn afterwards(stage: &Stage, announcement: &str) {
    tell::chapter("Afterwards: the view of support and administrators");
    let (support, ops) = (stage.machine("Helpdesk", "support"), stage.machine("Ops", "admin"));
    stage.ledger_as_booked(&support, announcement).await;
    for status in ["unreceived", "received", "read"] {
        let path = format!("/messages/{announcement}/receipts?reason=ticket&status={status}&limit=1");
        let shown = ["items/0/name", "items/0/verdict", "items/0/last_modified_time"];
        support.get(&path, &shown).await;
    }
    ops.get(
        "/callbacks/gateway/deliveries?limit=1",
        &["items/0/pairs", "items/0/received", "items/0/offline"],
    )
    .await;
    ops.get("/callbacks/gateway/dead-letters", &["items"]).await;
    let wang = stage.person(WANG);
    let list = wang.get("/conversations", &["items"]).await;
    tell::conversations(&list);
}

/// Shows the messages of a page, newest first. Those in the middle are skipped.
fn show_page(page: &Value, most: usize) {
    let items = page["items"].as_array().expect("items");
    for (n, message) in items.iter().enumerate() {
        if n < most || n + 1 == items.len() {
            let seq = message["seq"].as_i64().expect("a number");
            tell::quote(&id(message, "sender_name"), seq, &tell::preview(message));
        } else if n == most {
            tell::note("  …");
        }
    }
}
