//! People and departments pushed by an identity provider.

use im_push_gateway::identity::token::{self, NewToken};
use im_push_gateway::identity::{Role, Roles};
use serde_json::{Value, json};
use time::Duration;
use tokio::process::Command;

use crate::app::{self, TestApp, text};
use crate::support::{Client, Reply};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// An identity provider: a client with the role `directory`.
fn provider(app: &TestApp) -> Client {
    Client::new(&format!("{}/scim/v2", app.base), "idp", &["directory"])
}

fn person(user_name: &str) -> Value {
    json!({"schemas": [USER], "userName": user_name})
}

fn group(name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
    json!({"schemas": [GROUP], "displayName": name, "members": members})
}

fn patch(operations: Value) -> Value {
    json!({"schemas": [PATCH], "Operations": operations})
}

fn set(path: &str, value: impl Into<Value>) -> Value {
    patch(json!([{"op": "replace", "path": path, "value": value.into()}]))
}

/// The body of an error in SCIM's form.
#[track_caller]
fn refused(reply: Reply, status: u16, scim_type: Option<&str>) {
    assert_eq!(reply.header("content-type"), "application/scim+json", "{reply:?}");
    let body = reply.expect(status);
    assert_eq!(body["schemas"], json!([ERROR]));
    assert_eq!(
        (&body["status"], body["scimType"].as_str()),
        (&json!(status.to_string()), scim_type),
        "{body}"
    );
}

async fn made(idp: &Client, at: &str, body: Value) -> String {
    text(&idp.post(at, body).await.expect(201)["id"])
}

fn ids(list: &Value) -> Vec<&str> {
    list["Resources"]
        .as_array()
        .expect("Resources")
        .iter()
        .map(|r| r["id"].as_str().expect("an id"))
        .collect()
}

fn members(group: &Value) -> Vec<&str> {
    group["members"].as_array().into_iter().flatten().map(|m| m["value"].as_str().expect("a value")).collect()
}

/// A filter in a query.
fn filtered(filter: &str) -> String {
    format!("filter={}", url::form_urlencoded::byte_serialize(filter.as_bytes()).collect::<String>())
}

/// Every operation once, for the contract.
pub async fn exercise(app: &TestApp) {
    let idp = provider(app);
    for path in ["/ServiceProviderConfig", "/ResourceTypes", "/ResourceTypes/User", "/Schemas"] {
        idp.get(path).await.expect(200);
    }
    idp.get(&format!("/Schemas/{USER}")).await.expect(200);
    for (at, body, change) in [
        ("/Users", person("exercised"), set("title", "x")),
        ("/Groups", group("g", &[]), set("displayName", "h")),
    ] {
        let id = made(&idp, at, body.clone()).await;
        idp.get(at).await.expect(200);
        idp.post(&format!("{at}/.search"), json!({"schemas": [SEARCH]})).await.expect(200);
        let at = format!("{at}/{id}");
        idp.get(&at).await.expect(200);
        idp.put(&at, body).await.expect(200);
        idp.patch(&at, change).await.expect(200);
        idp.delete(&at).await.expect(204);
    }
    idp.post("/.search", json!({"schemas": [SEARCH]})).await.expect(200);
}

#[tokio::test]
async fn a_joiner_a_mover_and_a_leaver_reach_the_directory_and_its_observers() {
    let app = TestApp::start_with(crate::delivery::callbacks::OPEN).await;
    let root = app.client("root", &["admin"]);
    let chosen = json!({"url": "http://127.0.0.1:9/", "event_types": ["user.*"]});
    root.post("/callbacks", chosen).await.expect(201);
    let idp = provider(&app);
    let rd = made(&idp, "/Groups", group("研发部", &[])).await;
    let hr = made(&idp, "/Groups", group("人事部", &[])).await;
    let joiner = json!({
        "schemas": [USER, ENTERPRISE], "externalId": "zhangsan", "userName": "zhangsan@example.com", "active": true,
        "name": {"givenName": "三", "familyName": "张"}, "title": "工程师", "userType": "Contractor",
        "emails": [{"value": "home@example.com", "type": "home"}, {"value": "work@example.com", "type": "work"}],
        "phoneNumbers": [{"value": "+86 10 1", "type": "mobile"}], "photos": [{"value": "https://x/z.png", "type": "photo"}],
        ENTERPRISE: {"employeeNumber": "701", "department": "R&D", "manager": {"value": "boss"}},
    });
    let reply = idp.post("/Users", joiner).await;
    let location = reply.header("location").to_owned();
    let told = reply.expect(201);
    assert_eq!((&told["id"], &told["externalId"]), (&json!("zhangsan"), &json!("zhangsan")));
    assert_eq!((&told["meta"]["location"], &told["meta"]["version"]), (&json!(location), &json!("W/\"1\"")));
    assert_eq!(location, format!("{}/scim/v2/Users/zhangsan", app.base));
    assert_eq!(
        told[ENTERPRISE]["manager"],
        json!({"value": "boss", "$ref": format!("{}/scim/v2/Users/boss", app.base)})
    );
    let row = "SELECT count(*) FROM t_im_user WHERE (user_id, source, external_id, login_name, name, title, kind, email, phone, head_icon, employee_number, manager)
               = ('zhangsan', 'scim', 'zhangsan', 'zhangsan@example.com', '张三', '工程师', 'external', 'work@example.com', '+86 10 1', 'https://x/z.png', '701', 'boss')";
    assert_eq!(app.count(row, &[]).await, 1);

    // Moves, is renamed, leaves.
    let joins = patch(json!([{"op": "Add", "path": "members", "value": [{"value": "zhangsan"}]}]));
    idp.patch(&format!("/Groups/{rd}"), joins.clone()).await.expect(200);
    let main = "SELECT count(*) FROM t_im_user u JOIN t_im_department_user d USING (user_id) WHERE u.department_id = $1 AND d.department_id = $1";
    assert_eq!(app.count(main, &[&rd]).await, 1, "the first Group is the main department");
    idp.patch(&format!("/Groups/{hr}"), joins).await.expect(200);
    assert_eq!(app.count(main, &[&rd]).await, 1, "and stays so");
    let parts = patch(json!([{"op": "Remove", "path": "members[value eq \"zhangsan\"]"}]));
    let left = idp.patch(&format!("/Groups/{rd}"), parts).await.expect(200);
    assert_eq!(members(&left), [] as [&str; 0]);
    assert_eq!(app.count(main, &[&hr]).await, 1, "the other one is now");
    let shown = idp.get("/Users/zhangsan").await.expect(200);
    assert_eq!(
        (&shown["groups"][0]["value"], &shown["groups"][0]["display"]),
        (&json!(hr), &json!("人事部"))
    );
    let renamed = idp.patch("/Users/zhangsan", set("displayName", "张三丰")).await.expect(200);
    assert_eq!(renamed["displayName"], "张三丰");
    idp.patch("/Users/zhangsan", patch(json!([{"op": "Replace", "path": "active", "value": "False"}])))
        .await
        .expect(200);
    app.person("zhangsan").get("/conversations").await.expect_problem(403, "unknown-user");
    idp.patch("/Users/zhangsan", patch(json!([{"op": "replace", "value": {"active": true}}])))
        .await
        .expect(200);
    assert_eq!(app.count(main, &[&hr]).await, 1, "whoever comes back works where they did");
    idp.delete("/Users/zhangsan").await.expect(204);
    let gone = "SELECT count(*) FROM t_im_user WHERE user_id = 'zhangsan' AND NOT active AND deleted_at IS NOT NULL AND name = '张三丰' AND scim IS NULL";
    assert_eq!(app.count(gone, &[]).await, 1);
    app.until("SELECT count(*) FROM t_im_event_new", 0).await;
    let events = app
        .sql()
        .await
        .query("SELECT type FROM t_im_event WHERE actor = 'zhangsan' ORDER BY event_id", &[])
        .await
        .unwrap();
    let events: Vec<&str> = events.iter().map(|row| row.get(0)).collect();
    let expected =
        ["created", "updated", "updated", "updated", "updated", "deactivated", "updated", "deactivated"];
    assert_eq!(events, expected.map(|what| format!("user.{what}")));
}

#[tokio::test]
async fn a_login_name_that_is_free_again_brings_nothing_of_its_history() {
    let app = TestApp::start().await;
    let idp = provider(&app);
    app.people(&["b"]).await;
    let told =
        |external: &str| json!({"schemas": [USER], "userName": "wang@example.com", "externalId": external});
    let old = made(&idp, "/Users", told("wang")).await;
    let channel = app.direct(&old, "b").await;
    app.say(&old, &channel, "mine").await;
    refused(idp.post("/Users", told("wang2")).await, 409, Some("uniqueness"));
    refused(
        idp.post("/Users", json!({"schemas": [USER], "userName": "WANG@example.com"})).await,
        409,
        Some("uniqueness"),
    );
    idp.delete(&format!("/Users/{old}")).await.expect(204);
    refused(idp.get(&format!("/Users/{old}")).await, 404, None);
    refused(idp.patch(&format!("/Users/{old}"), set("active", true)).await, 404, None);
    refused(idp.delete(&format!("/Users/{old}")).await, 404, None);
    let new = made(&idp, "/Users", told("wang")).await;
    assert_ne!(new, old, "an id is never given twice, also when the client calls them the same");
    assert_eq!(app.person(&new).get("/conversations").await.expect(200)["items"], json!([]));
    let page = app.person("b").get(&format!("/channels/{channel}/messages")).await.expect(200);
    assert_eq!(
        (&page["items"][0]["sender"], &page["items"][0]["sender_name"]),
        (&json!(old), &json!("wang@example.com"))
    );
}

#[tokio::test]
async fn of_two_changes_at_once_neither_is_lost() {
    let app = TestApp::start().await;
    let idp = provider(&app);
    let at = format!("/Users/{}", made(&idp, "/Users", person("race")).await);
    for round in 0..10 {
        let (title, nick) = (format!("t{round}"), format!("n{round}"));
        let (one, other) = tokio::join!(
            idp.patch(&at, set("title", title.as_str())),
            idp.patch(&at, set("nickName", nick.as_str()))
        );
        one.expect(200);
        other.expect(200);
        let both = idp.get(&at).await;
        let version = both.header("etag").to_owned();
        let both = both.expect(200);
        assert_eq!(
            (&both["title"], &both["nickName"], &both["meta"]["version"]),
            (&json!(title), &json!(nick), &json!(version))
        );
        // With a precondition, one of two comes too late.
        let careful = idp.clone().with_header("if-match", &version);
        let (one, other) = tokio::join!(
            careful.patch(&at, set("title", "one")),
            careful.patch(&at, set("nickName", "other"))
        );
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412]);
        refused(careful.put(&at, person("race")).await, 412, None);
        refused(careful.delete(&at).await, 412, None);
    }
    let now = idp.get(&at).await;
    let unchanged = idp.clone().with_header("if-none-match", now.header("etag")).get(&at).await;
    assert_eq!((unchanged.status, unchanged.header("etag")), (304, now.header("etag")));
    let same = idp.patch(&at, set("userName", "race")).await;
    assert_eq!(same.header("etag"), now.header("etag"), "what changes nothing is no new version");
    idp.clone().with_header("if-match", "*").patch(&at, set("title", "any")).await.expect(200);
    let little = idp.clone().with_header("prefer", "return=minimal").patch(&at, set("title", "quiet")).await;
    assert_eq!((little.status, &little.body), (204, &Value::Null));
}

#[tokio::test]
async fn a_user_name_is_one_persons_also_when_two_claim_it_at_once() {
    let app = TestApp::start().await;
    let idp = provider(&app);
    for round in 0..10 {
        let (low, high) = (format!("name{round}@x"), format!("NAME{round}@X"));
        let (one, other) = tokio::join!(idp.post("/Users", person(&low)), idp.post("/Users", person(&high)));
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409]);
    }
    let id = made(&idp, "/Users", person("somebody")).await;
    refused(idp.patch(&format!("/Users/{id}"), set("userName", "Name1@x")).await, 409, Some("uniqueness"));
    idp.patch(&format!("/Users/{id}"), set("userName", "SomeBody")).await.expect(200);
}

#[tokio::test]
async fn people_are_found_by_filter_in_order_and_by_page() {
    let app = TestApp::start().await;
    let idp = provider(&app);
    for (name, title) in [("Anna", Some("b")), ("bert", Some("A")), ("Carl", None), ("dora", Some("c"))] {
        let mut told = person(name);
        told["title"] = json!(title);
        told["externalId"] = json!(format!("id-{name}"));
        told["emails"] = json!([{"value": format!("{name}@one.example")}, {"value": format!("{name}@two.example"), "type": "work"}]);
        made(&idp, "/Users", told).await;
    }
    let all = ["id-Anna", "id-Carl", "id-bert", "id-dora"];
    let found = async |query: String| idp.get(&format!("/Users?{query}")).await.expect(200);
    for (filter, expected) in [
        ("userName eq \"ANNA\"", &all[..1]),
        ("externalId eq \"id-bert\"", &all[2..3]),
        ("externalId eq \"ID-bert\"", &[]),
        ("id eq \"id-Carl\" and title pr", &[]),
        ("emails eq \"CARL@one.example\"", &all[1..2]),
        ("emails[type eq \"work\"].value eq \"dora@two.example\"", &all[3..]),
        ("emails[type eq \"work\"].value eq \"dora@one.example\"", &[]),
        ("title pr and not (userName sw \"d\")", &["id-Anna", "id-bert"]),
        ("meta.created gt \"2020-01-01T00:00:00Z\"", &all),
    ] {
        let list = found(filtered(filter)).await;
        assert_eq!(
            (ids(&list), &list["totalResults"]),
            (expected.to_vec(), &json!(expected.len())),
            "{filter}"
        );
    }
    let list = found("startIndex=2&count=2".into()).await;
    assert_eq!(
        (ids(&list), &list["totalResults"], &list["itemsPerPage"], &list["startIndex"]),
        (all[1..3].to_vec(), &json!(4), &json!(2), &json!(2))
    );
    for (query, expected) in [
        ("count=0", &[][..]),
        ("startIndex=-5&count=1", &all[..1]),
        ("count=-1", &[]),
        ("startIndex=9", &[]),
        ("sortBy=userName", &["id-Anna", "id-bert", "id-Carl", "id-dora"]),
        ("sortBy=userName&sortOrder=descending&count=1", &["id-dora"]),
        ("sortBy=title", &["id-bert", "id-Anna", "id-dora", "id-Carl"]),
        ("sortBy=title&sortOrder=descending", &["id-Carl", "id-dora", "id-Anna", "id-bert"]),
        ("sortBy=emails&startIndex=4", &["id-dora"]),
        ("aadOptscim062020", &all),
    ] {
        let list = found(query.into()).await;
        assert_eq!((ids(&list), &list["totalResults"]), (expected.to_vec(), &json!(4)), "{query}");
    }
}

#[tokio::test]
async fn a_search_shows_what_it_is_asked_for_and_refuses_what_means_nothing() {
    let app = TestApp::start().await;
    let idp = provider(&app);
    for name in ["Anna", "bert", "Carl", "dora"] {
        let mut told = person(name);
        told["externalId"] = json!(format!("id-{name}"));
        told["emails"] = json!([{"value": format!("{name}@one.example")}]);
        made(&idp, "/Users", told).await;
    }
    let found = async |query: String| idp.get(&format!("/Users?{query}")).await.expect(200);
    let few = found("attributes=userName&count=1".into()).await;
    assert_eq!(few["Resources"][0], json!({"schemas": [USER], "id": "id-Anna", "userName": "Anna"}));
    assert!(found("excludedAttributes=emails".into()).await["Resources"][0].get("emails").is_none());
    made(&idp, "/Groups", group("anna's", &[])).await;
    let search = json!({"schemas": [SEARCH], "filter": "displayName sw \"anna\" or userName sw \"anna\"", "attributes": ["displayName"]});
    assert_eq!(idp.post("/.search", search.clone()).await.expect(200)["totalResults"], 2);
    refused(
        idp.post("/Users/.search", json!({"schemas": [SEARCH], "count": "x"})).await,
        400,
        Some("invalidValue"),
    );
    refused(idp.post("/Groups/.search", search).await, 400, Some("invalidFilter"));
    let everything =
        idp.post("/.search", json!({"schemas": [SEARCH], "startIndex": 4, "count": 2})).await.expect(200);
    assert_eq!(
        (everything["Resources"].as_array().unwrap().len(), &everything["totalResults"]),
        (2, &json!(5))
    );
    for bad in
        ["count=x", "sortBy=colour", "sortBy=name", "sortOrder=up", "attributes=id&excludedAttributes=id"]
    {
        refused(idp.get(&format!("/Users?{bad}")).await, 400, Some("invalidValue"));
    }
    refused(idp.get(&format!("/Users?{}", filtered("colour eq \"red\""))).await, 400, Some("invalidFilter"));
}

#[tokio::test]
async fn ten_thousand_members_come_and_go() {
    let app = TestApp::start().await;
    let idp = provider(&app);
    let everybody = app.crowd(10_000).await;
    let all: Vec<&str> = everybody.iter().map(String::as_str).collect();
    let id = made(&idp, "/Groups", group("everybody", &all)).await;
    let works = "SELECT count(*) FROM t_im_department_user d JOIN t_im_user u USING (user_id) WHERE d.department_id = $1 AND u.department_id = $1";
    assert_eq!(app.count(works, &[&id]).await, 10_000);
    let at = format!("/Groups/{id}");
    let shown = idp.get(&at).await.expect(200);
    assert_eq!(members(&shown), all);
    assert!(idp.get(&format!("{at}?excludedAttributes=members")).await.expect(200).get("members").is_none());
    let found = format!(
        "/Groups?{}&excludedAttributes=members",
        filtered(&format!("id eq \"{id}\" and members eq \"u00007\""))
    );
    assert_eq!(ids(&idp.get(&found).await.expect(200)), [id.as_str()]);
    let some: Vec<Value> = all[..9_000].iter().map(|id| json!({"value": id})).collect();
    let little = idp.clone().with_header("prefer", "return=minimal");
    little.patch(&at, patch(json!([{"op": "Remove", "path": "members", "value": some}]))).await.expect(204);
    assert_eq!(app.count(works, &[&id]).await, 1_000);
    let half: Vec<Value> = all[5_000..].iter().map(|id| json!({"value": id})).collect();
    little.patch(&at, patch(json!([{"op": "replace", "value": {"members": half}}]))).await.expect(204);
    assert_eq!(app.count(works, &[&id]).await, 5_000);
    idp.delete(&at).await.expect(204);
    refused(idp.get(&at).await, 404, None);
    assert_eq!(app.count(works, &[&id]).await, 0);
    assert_eq!(app.count("SELECT count(*) FROM t_im_department_user", &[]).await, 0);
}

#[tokio::test]
async fn whoever_is_not_there_yet_works_in_a_department_once_they_are() {
    let app = TestApp::start().await;
    let idp = provider(&app);
    let rd = made(&idp, "/Groups", group("rd", &["later"])).await;
    let works = "SELECT count(*) FROM t_im_user u JOIN t_im_department_user d USING (user_id) WHERE u.user_id = 'later' AND d.department_id = u.department_id";
    assert_eq!(members(&idp.get(&format!("/Groups/{rd}")).await.expect(200)), ["later"]);
    let told = |active: bool| json!({"schemas": [USER], "userName": "later", "externalId": "later", "active": active});
    made(&idp, "/Users", told(false)).await;
    assert_eq!(app.count(works, &[]).await, 0, "who is not active works nowhere");
    assert_eq!(members(&idp.get(&format!("/Groups/{rd}")).await.expect(200)), ["later"]);
    assert_eq!(idp.put("/Users/later", told(true)).await.expect(200)["groups"][0]["value"], rd);
    assert_eq!(app.count(works, &[]).await, 1);
    idp.put("/Users/later", told(false)).await.expect(200);
    let parts = patch(json!([{"op": "remove", "path": "members", "value": [{"value": "later"}]}]));
    idp.patch(&format!("/Groups/{rd}"), parts).await.expect(200);
    idp.put("/Users/later", told(true)).await.expect(200);
    assert_eq!(app.count("SELECT count(*) FROM t_im_scim_waiting", &[]).await, 0);
}

#[tokio::test]
async fn groups_may_be_apart_from_the_org_tree() {
    let app = TestApp::start_with("scim_groups = \"groups\"\nscim_user_id = \"user_name\"\n").await;
    let idp = provider(&app);
    app.people(&["api"]).await;
    let id = made(&idp, "/Users", person("lisi")).await;
    assert_eq!(id, "lisi");
    let club = made(&idp, "/Groups", group("club", &["lisi", "api"])).await;
    assert_eq!(app.count("SELECT count(*) FROM t_im_department", &[]).await, 0);
    // HR's word about where somebody works takes nobody out of a group.
    let hr = app.client("hr", &["directory"]);
    let changes = json!({"departments": [{"department_id": "rd", "name": "R"}], "users": [{"user_id": "lisi", "name": "李四", "department_id": "rd"}]});
    hr.post("/directory/changes", changes).await.expect(200);
    let shown = idp.get("/Users/lisi").await.expect(200);
    assert_eq!((&shown["groups"][0]["value"], &shown["displayName"]), (&json!(club), &json!("李四")));
    assert_eq!(idp.get("/Groups").await.expect(200)["totalResults"], 1);
    let at = format!("/Groups/{club}");
    let left = idp
        .patch(&at, patch(json!([{"op": "remove", "path": "members[value eq \"api\"]"}])))
        .await
        .expect(200);
    assert_eq!((members(&left), &left["meta"]["version"]), (vec!["lisi"], &json!("W/\"2\"")));
    idp.delete("/Users/lisi").await.expect(204);
    assert!(idp.get(&at).await.expect(200).get("members").is_none());
    idp.put(&at, group("renamed", &["api"])).await.expect(200);
    idp.delete(&at).await.expect(204);
    refused(idp.get(&at).await, 404, None);
}

#[tokio::test]
async fn what_others_have_changed_shows_and_other_sources_people_do_not() {
    let app = TestApp::start().await;
    let idp = provider(&app);
    app.people(&["api"]).await;
    let foreign = "INSERT INTO t_im_user (user_id, source, external_id, name, updated_at) VALUES ('foreign', 'http', 'f', 'F', now())";
    app.sql().await.execute(foreign, &[]).await.unwrap();
    assert_eq!(ids(&idp.get("/Users").await.expect(200)), ["api"]);
    refused(idp.get("/Users/foreign").await, 404, None);
    refused(idp.delete("/Users/foreign").await, 404, None);
    let shown = idp.get("/Users/api").await.expect(200);
    assert_eq!(
        (&shown["userName"], &shown["displayName"], &shown["active"]),
        (&json!("api"), &json!("API"), &json!(true))
    );
    idp.patch("/Users/api", set("nickName", "a")).await.expect(200);
    let hr = app.client("hr", &["directory"]);
    let told = json!({"users": [{"user_id": "api", "name": "Renamed", "email": "new@example.com", "kind": "external", "title": "T", "active": false}]});
    hr.post("/directory/changes", told).await.expect(200);
    let shown = idp.get("/Users/api").await.expect(200);
    assert_eq!(
        (&shown["displayName"], &shown["nickName"], &shown["active"]),
        (&json!("Renamed"), &json!("a"), &json!(false))
    );
    assert_eq!(
        (&shown["emails"][0]["value"], &shown["userType"], &shown["title"]),
        (&json!("new@example.com"), &json!("external"), &json!("T"))
    );
    let claimed =
        "SELECT count(*) FROM t_im_user WHERE user_id = 'api' AND source = 'scim' AND external_id = 'api'";
    assert_eq!(app.count(claimed, &[]).await, 1);
    // An id that is somebody's is not given to somebody new, whatever the client calls them.
    let new =
        made(&idp, "/Users", json!({"schemas": [USER], "userName": "n", "externalId": "foreign"})).await;
    assert_ne!(new, "foreign");
}

#[tokio::test]
async fn errors_have_the_form_of_scim() {
    let app = TestApp::start().await;
    let idp = provider(&app);
    let base = format!("{}/scim/v2", app.base);
    refused(Client::anonymous(&base).get("/Users").await, 401, None);
    refused(
        Client::anonymous(&base).with_header("authorization", "Bearer impg_nonsense").get("/Users").await,
        401,
        None,
    );
    refused(Client::new(&base, "somebody", &[]).get("/Users").await, 403, None);
    refused(idp.get("/Nothing").await, 404, None);
    refused(idp.get("/Schemas/nothing").await, 404, None);
    refused(idp.delete("/Schemas").await, 405, None);
    refused(idp.get(&format!("/Schemas?{}", filtered("id eq \"x\""))).await, 403, None);
    refused(idp.post("/Users", json!([])).await, 400, Some("invalidSyntax"));
    // The deepest body, and one that is deeper.
    for (levels, is_taken) in [(31, true), (32, false)] {
        let deep = (1..levels).fold(json!([]), |inner, _| json!([inner]));
        let user = json!({"schemas": [USER], "userName": format!("deep{levels}"), "x": deep});
        let reply = idp.post("/Users", user).await;
        if is_taken {
            reply.expect(201);
        } else {
            refused(reply, 400, Some("invalidSyntax"));
        }
    }
    refused(
        idp.post("/Users", json!({"schemas": [GROUP], "userName": "x"})).await,
        400,
        Some("invalidSyntax"),
    );
    refused(idp.post("/Users", json!({"schemas": [USER]})).await, 400, Some("invalidValue"));
    refused(idp.post("/Users", person("a\u{7}b")).await, 400, Some("invalidValue"));
    refused(idp.post("/Users", person("a\u{0}b")).await, 400, Some("invalidValue"));
    refused(idp.post("/Groups", group("g", &["bad,id"])).await, 400, Some("invalidValue"));
    let nested =
        json!({"schemas": [GROUP], "displayName": "g", "members": [{"value": "x", "type": "Group"}]});
    refused(idp.post("/Groups", nested).await, 400, Some("invalidValue"));
    let long = json!({"schemas": [USER], "userName": "long", "nickName": "x".repeat(70_000)});
    refused(idp.post("/Users", long).await, 400, Some("invalidValue"));
    let id = made(&idp, "/Users", person("fine")).await;
    refused(idp.patch(&format!("/Users/{id}"), set("id", "x")).await, 400, Some("mutability"));
    refused(idp.patch(&format!("/Users/{id}"), set("colour", "x")).await, 400, Some("invalidPath"));
    refused(idp.patch(&format!("/Users/{id}"), set("title", "x\u{0}")).await, 400, Some("invalidValue"));
    assert_eq!(
        app.count("SELECT count(*) FROM t_im_user", &[]).await,
        2,
        "the deepest one and the fine one: nothing of what was refused is there"
    );
    let odd =
        made(&idp, "/Users", json!({"schemas": [USER], "userName": "odd", "externalId": "a?b c%张"})).await;
    let shown = idp.get("/Users/a%3Fb%20c%25%E5%BC%A0").await.expect(200);
    assert_eq!(
        (text(&shown["id"]), &shown["meta"]["location"]),
        (odd, &json!(format!("{base}/Users/a%3Fb%20c%25%E5%BC%A0")))
    );
    // What can be no id is kept as what the client calls them, and the id is generated.
    for external_id in ["a/b", "me", ".search", ".."] {
        let name = format!("of {external_id}");
        let id =
            made(&idp, "/Users", json!({"schemas": [USER], "userName": name, "externalId": external_id}))
                .await;
        let shown = idp.get(&format!("/Users/{id}")).await.expect(200);
        assert_eq!((&shown["externalId"], id.len()), (&json!(external_id), 36));
    }
}

/// A service for an outside judge, with a token for it.
async fn judged(settings: &str) -> (TestApp, String, String) {
    let app = TestApp::start_with(settings).await;
    let now = app.store.now().await.expect("a clock");
    let new = NewToken {
        name: "judge",
        user_id: "judge",
        roles: Roles::named([Role::Directory.name()]),
        expires_at: now + Duration::days(1),
    };
    let token = token::create(&app.store, &new, now).await.expect("a token").expose().to_owned();
    let address = format!("{}/scim/v2", app.base);
    (app, address, token)
}

async fn run(judge: &mut Command) -> String {
    let done = judge
        .kill_on_drop(true)
        .output()
        .await
        .expect("the judge runs: tests/tools ensure scim2-cli scim-sanity");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    said
}

const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.cache/bin");

#[tokio::test]
async fn scim2_tester_passes_everything() {
    for settings in ["", "scim_groups = \"groups\"\n"] {
        let (_app, address, token) = judged(settings).await;
        let mut judge = Command::new(format!("{TOOLS}/scim2"));
        judge
            .args(["-u", &address, "test", "-v"])
            .env("SCIM_CLI_HEADERS", format!("Authorization: Bearer {token}"));
        let said = run(&mut judge).await;
        let passed = said.lines().filter(|line| line.contains("SUCCESS")).count();
        let others: Vec<&str> = said
            .lines()
            .filter(|l| ["ERROR", "CRITICAL", "DEVIATION", "SKIPPED"].iter().any(|word| l.starts_with(word)))
            .collect();
        assert!(passed >= 100 && others.is_empty(), "{passed} passed; {others:?}\n{said}");
    }
}

#[tokio::test]
async fn scim_sanity_finds_no_failure() {
    for settings in ["", "scim_groups = \"groups\"\n"] {
        let (_app, address, token) = judged(settings).await;
        let mut judge = Command::new(format!("{TOOLS}/scim-sanity"));
        judge.args(["probe", &address, "--token", &token, "--i-accept-side-effects", "--json-output"]);
        let said = run(&mut judge).await;
        let report: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"));
        let results = report["results"].as_array().expect("results");
        let of = |status: &str| {
            results
                .iter()
                .filter(|r| r["status"].as_str().is_some_and(|s| s.eq_ignore_ascii_case(status)))
                .count()
        };
        assert!(of("pass") > 20 && of("fail") + of("error") + of("warn") == 0, "{said}");
    }
}

#[tokio::test]
async fn values_in_another_order_are_no_change() {
    let app = TestApp::start().await;
    let idp = provider(&app);
    let values = |order: &[&str]| {
        let values: Vec<Value> =
            order.iter().map(|v| json!({"value": format!("{v}@corp.example")})).collect();
        let mut told = person("zs");
        told["active"] = json!(true);
        for attribute in ["emails", "phoneNumbers", "photos", "ims"] {
            told[attribute] = json!(values);
        }
        told
    };
    let id = made(&idp, "/Users", values(&["c", "a", "b"])).await;
    let email = "SELECT count(*) FROM t_im_user WHERE (email, phone, head_icon) = ('a@corp.example', 'a@corp.example', 'a@corp.example')";
    assert_eq!(app.count(email, &[]).await, 1, "the smallest");
    let first = idp.get(&format!("/Users/{id}")).await.expect(200);
    for order in [["a", "b", "c"], ["b", "c", "a"], ["c", "b", "a"]] {
        let again = idp.put(&format!("/Users/{id}"), values(&order)).await.expect(200);
        assert_eq!(again["meta"]["version"], first["meta"]["version"]);
    }
    let less = idp.put(&format!("/Users/{id}"), values(&["c", "a"])).await.expect(200);
    assert_ne!(less["meta"]["version"], first["meta"]["version"]);
    assert_eq!(app.count(email, &[]).await, 1);
}

#[tokio::test]
async fn names_that_differ_by_case_alone_are_one() {
    for locale in [None, Some("tr-TR")] {
        let database = match locale {
            None => app::database().await,
            Some(locale) => app::database_of(locale).await,
        };
        let app = TestApp::start_on(database, "").await;
        let idp = provider(&app);
        for (name, others) in [
            ("MÜLLER@corp.example", ["müller@corp.example", "mu\u{308}ller@CORP.example"]),
            ("Ingrid", ["INGRID", "ingrid"]),
            ("İpek", ["i\u{307}pek", "İPEK"]),
            ("straße", ["STRASSE", "Strasse"]),
        ] {
            let mut told = person(name);
            told["emails"] = json!([{"value": format!("home.{name}")}, {"value": name, "primary": true}]);
            let id = made(&idp, "/Users", told).await;
            for other in others {
                refused(idp.post("/Users", person(other)).await, 409, Some("uniqueness"));
                for filter in ["userName eq", "emails.value eq", "emails[primary eq true].value eq"] {
                    let found = idp
                        .get(&format!("/Users?{}", filtered(&format!("{filter} \"{other}\""))))
                        .await
                        .expect(200);
                    assert_eq!(ids(&found), [&id], "{filter} {other}");
                }
                let found = idp
                    .get(&format!("/Users?{}", filtered(&format!("emails.value eq \"HOME.{other}\""))))
                    .await
                    .expect(200);
                assert_eq!(ids(&found), [&id], "{other}");
                let named = im_push_gateway::people::users::of_login_name(&app.store, other)
                    .await
                    .expect("an answer");
                assert_eq!(named, Some(id.clone()), "{other}: as the gateway may name them");
            }
        }
        let rd = made(&idp, "/Groups", group("Ärzte", &[])).await;
        for name in ["ÄRZTE", "ärzte", "A\u{308}rzte"] {
            let found = idp
                .get(&format!("/Groups?{}", filtered(&format!("displayName eq \"{name}\""))))
                .await
                .expect(200);
            assert_eq!(ids(&found), [&rd], "{name}");
        }
    }
}
