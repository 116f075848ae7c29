//! Turnover: one user leaves the company and one changes departments. HR names both, and the service follows.

use serde_json::{Value, json};

use crate::company;
use crate::stage::{Stage, id, until};
use crate::story::{DIRECTOR, WANG};
use crate::tell;

/// A user of the office team, without direct channels.
const LEAVER: usize = 250;
/// A user who moves from support in Singapore to the platform team.
const MOVER: usize = 251;

/// The number of effects seen for each of the two users.
#[derive(Default)]
pub struct Turnover {
    pub left: usize,
    pub moved: usize,
}

pub async fn happens(stage: &mut Stage, announcement: &str) -> Turnover {
    tell::chapter("A user leaves the company, another changes departments, and the service follows HR");
    let (leaver, mover, wang, director) =
        (stage.person(LEAVER), stage.person(MOVER), stage.person(WANG), stage.person(DIRECTOR));
    let (hr, ops) = (stage.machine("HR", "directory"), stage.machine("Ops", "admin"));
    let team = company::TEAMS[0].0;
    let group = json!({"owner": wang.user_id, "name": "平台组 · 部门群"});
    let call = format!("POST /departments/{team}/group");
    let group = ops.call(&call, group, &["channel_id"]).await.expect(201);
    let group_id = id(&group, "channel_id");
    let all_hands = stage.books.find(announcement).channel_id.clone();
    stage.hr.books().remove(&leaver.user_id);
    stage.hr.books().set(&mover.user_id, "department_ids", json!([team]));
    tell::note(&format!("HR's data change: {} has left, and {} works in {team}", leaver.name, mover.name));
    let named = json!({"user_ids": [leaver.user_id, mover.user_id]});
    hr.call("POST /directory/changes", named, &["named"]).await.expect(200);
    let newest = async || hr.client.get("/directory/runs?limit=1").await.expect(200)["items"][0].clone();
    until("the directory run is done", async || {
        let run = newest().await;
        run["asked_by"] == "change" && run["state"] == "done"
    })
    .await;
    let run = newest().await;
    hr.get(&format!("/directory/runs/{}", id(&run, "run_id")), &["mode", "state", "counts"]).await;

    let mut seen = Turnover::default();
    let signs_in = leaver.call("GET /conversations", Value::Null, &["title"]).await;
    seen.left += usize::from(signs_in.status == 403);
    stage.books.left(&leaver.user_id);
    stage.left.insert(leaver.user_id.clone());
    let others = company::PEOPLE - 1;
    let path = format!("/channels/{all_hands}");
    until("the leaver is in no group", async || {
        director.client.get(&path).await.expect(200)["member_count"] == others
    })
    .await;
    director.get(&path, &["name", "member_count"]).await;
    seen.left += 1;
    let sent = stage.say(&director, &all_hands, "欢迎新同事，也祝离开的同事一切顺利").await;
    stage.all_pushed().await;
    let ms_id = id(&sent, "ms_id");
    stage.ledger_as_booked(&director, &ms_id).await;
    let ledger = stage.ledger(&director, &ms_id).await;
    seen.left += usize::from(ledger.unreceived + ledger.received + ledger.read == others - 1);
    let card = wang.get(&format!("/users/{}", leaver.user_id), &["name", "active"]).await;
    seen.left += usize::from(card["active"] == false && card["name"] == leaver.name.as_str());

    let card = wang.get(&format!("/users/{}", mover.user_id), &["name", "departments/0/department_id"]).await;
    seen.moved += usize::from(card["departments"][0]["department_id"] == team);
    let path = format!("/channels/{group_id}/members?limit=200");
    let is_member = |members: &Value| {
        members["items"].as_array().expect("items").iter().any(|m| m["user_id"] == mover.user_id.as_str())
    };
    until("the department's group has the new member", async || {
        is_member(&wang.client.get(&path).await.expect(200))
    })
    .await;
    tell::note(&format!("{} has joined the department's group without a call", mover.name));
    seen.moved += 1;
    let there = stage.people.iter().filter(|person| person.team == 0).count() + 1;
    let path = format!("/departments/{team}");
    until("the department's headcount is right", async || {
        wang.client.get(&path).await.expect(200)["people_count"] == there
    })
    .await;
    wang.get(&path, &["name", "people_count"]).await;
    seen.moved += 1;
    seen
}
