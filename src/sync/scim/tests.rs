//! Filters, paths and patches as clients write them.

use serde_json::{Map, Value, json};

use super::error::Error;
use super::filter::{Anchor, Filter};
use super::patch::{Members, Patch};
use super::schema::{ENTERPRISE, GROUPS, ResourceType, USERS};
use super::shown::Shown;
use super::user::Columns;

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

fn zhangsan() -> Map<String, Value> {
    object(json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": "Z1", "externalId": "E1", "userName": "ZhangSan@example.com", "displayName": "张三", "active": true,
        "name": {"givenName": "三", "familyName": "张"},
        "emails": [
            {"value": "z@work.example", "type": "work", "primary": true},
            {"value": "z@home.example", "type": "home"},
        ],
        "meta": {"lastModified": "2026-07-30T08:00:00.500000Z"},
        ENTERPRISE: {"employeeNumber": "701", "manager": {"value": "boss"}},
    }))
}

fn scim_type(error: &Error) -> &'static str {
    match error {
        Error::Refused(refusal) => refusal.scim_type.unwrap_or_default(),
        Error::Failed(_) => "failed",
    }
}

#[test]
fn filters_match_what_the_rfc_says() {
    let (resource, person) = (&USERS, zhangsan());
    let table = [
        (r#"userName eq "zhangsan@EXAMPLE.com""#, true),
        (r#"USERNAME Eq "zhangsan@example.com""#, true),
        (r#"id eq "z1""#, false),
        (r#"externalId eq "E1" and active eq true"#, true),
        (r#"active eq "True""#, true),
        (r#"active ne true"#, false),
        (r#"userName sw "zhang""#, true),
        (r#"userName ew ".COM""#, true),
        (r#"displayName co "三""#, true),
        (r#"title pr"#, false),
        (r#"not (title pr)"#, true),
        (r#"title ne "x""#, true),
        (r#"title eq null"#, true),
        (r#"emails pr and not (emails.type eq "other")"#, true),
        (r#"emails[type eq "work" and value co "@work."]"#, true),
        (r#"emails[type eq "home" and value co "@work."]"#, false),
        (r#"emails[type eq "work"].value eq "z@work.example""#, true),
        (r#"emails co "home.example""#, true),
        (r#"emails.value eq "z@home.example""#, true),
        (r#"name.familyName eq "张""#, true),
        (r#"userName eq "a" or userName eq "b" or id eq "Z1""#, true),
        (r#"userName eq "a" or id eq "Z1" and active eq false"#, false),
        (r#"(userName eq "a" or id eq "Z1") and active eq true"#, true),
        (r#"meta.lastModified gt "2026-07-30T10:00:00+02:00""#, true),
        (r#"meta.lastModified le "2026-07-30T08:00:00.4Z""#, false),
        (r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber eq "701""#, true),
        (r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "boss""#, true),
        (r#"urn:ietf:params:scim:schemas:core:2.0:User:userName pr"#, true),
        (r#"displayName eq "a \"quoted\" \\ name""#, false),
        (r#"schemas eq "urn:ietf:params:scim:schemas:core:2.0:User""#, true),
    ];
    for (text, expected) in table {
        let filter = Filter::parse(text, resource).unwrap_or_else(|e| panic!("{text}: {e:?}"));
        assert_eq!(filter.matches(&person), expected, "{text}");
    }
}

#[test]
fn what_is_no_filter_is_refused_and_nothing_breaks() {
    let deep = format!("{}title pr{}", "(".repeat(200), ")".repeat(200));
    let long = format!("userName eq \"{}\"", "x".repeat(9_000));
    for text in [
        "",
        " ",
        "userName",
        "userName eq",
        "userName eq abc",
        "userName xx \"a\"",
        "userName eq \"a",
        "nickname2 pr",
        "userName eq \"a\" and",
        "userName eq \"a\" or or",
        "(userName pr",
        "userName pr)",
        "not userName pr",
        "emails[type eq \"work\"",
        "emails[type eq]",
        "userName[value pr]",
        "name eq \"x\"",
        "active gt true",
        "active eq 1",
        "userName eq 5",
        "meta.created gt \"yesterday\"",
        "emails[colour pr]",
        "张三 pr",
        "userName eq \"张",
        "urn:other:User:userName pr",
        "userName eq {\"a\": 1}",
        &deep,
        &long,
    ] {
        let refused = Filter::parse(text, &USERS).expect_err(text);
        assert_eq!(scim_type(&refused), "invalidFilter", "{text}");
    }
    assert!(!Filter::parse_lenient("members pr", &USERS).unwrap().matches(&zhangsan()));
}

#[test]
fn an_equality_that_must_hold_is_looked_up() {
    let anchor = |text: &str, kind| {
        let filter = Filter::parse(text, kind).unwrap();
        filter.anchor().map(|(anchor, value)| (anchor, value.to_owned()))
    };
    let users: &ResourceType = &USERS;
    assert_eq!(anchor(r#"active eq true and userName eq "a""#, &USERS), Some((Anchor::UserName, "a".into())));
    assert_eq!(
        anchor(r#"emails[type eq "work" and value eq "a@b"]"#, &USERS),
        Some((Anchor::Email, "a@b".into()))
    );
    assert_eq!(anchor(r#"members[value eq "u"]"#, &GROUPS), Some((Anchor::Member, "u".into())));
    assert_eq!(anchor(r#"userName eq "a" or id eq "b""#, &USERS), None);
    assert_eq!(anchor(r#"not (userName eq "a")"#, &USERS), None);
    assert_eq!(anchor(r#"userName sw "a""#, &USERS), None);
    assert_eq!(users.endpoint, "/Users");
}

fn patched(operations: Value) -> Result<Map<String, Value>, Error> {
    let mut person = zhangsan();
    let body =
        json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations});
    Patch::read(&body)?.apply(&USERS, &mut person, &mut Members::default())?;
    Ok(person)
}

/// The request bodies of Entra's documentation, with its flags and without.
#[test]
fn patches_as_entra_writes_them() {
    let p = patched(json!([{"op": "Replace", "path": "active", "value": "False"}])).unwrap();
    assert_eq!(p["active"], false);
    let p = patched(json!([
        {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "new@work.example"},
        {"op": "Replace", "path": "name.familyName", "value": "李"},
        {"op": "Add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager", "value": "chief"},
        {"op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "+86 10"},
        {"op": "Add", "path": "roles", "value": [{"value": "{\"a\":1}", "display": "x"}]},
    ]))
    .unwrap();
    assert_eq!(p["emails"][0], json!({"value": "new@work.example", "type": "work", "primary": true}));
    assert_eq!(p["name"], json!({"givenName": "三", "familyName": "李"}));
    assert_eq!(p[ENTERPRISE], json!({"employeeNumber": "701", "manager": {"value": "chief"}}));
    assert_eq!(p["phoneNumbers"], json!([{"type": "mobile", "value": "+86 10"}]));
    assert_eq!(p["roles"][0]["display"], "x");
    // Without a path: an object of paths, plain, dotted, and behind a schema's name.
    let p = patched(json!([{"op": "replace", "value": {
        "displayName": "张三丰", "name.givenName": "三丰", "active": "True", "emails[type eq \"work\"].value": "b@work.example",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber": "702",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "研发部"},
        "id": "other", "unheardOf": 1,
    }}]))
    .unwrap();
    assert_eq!(
        (&p["displayName"], &p["name"]["givenName"], &p["id"]),
        (&json!("张三丰"), &json!("三丰"), &json!("Z1"))
    );
    assert_eq!(p["emails"][0]["value"], "b@work.example");
    assert_eq!(p[ENTERPRISE]["employeeNumber"], "702");
    assert_eq!(
        (&p[ENTERPRISE]["department"], &p[ENTERPRISE]["manager"]["value"]),
        (&json!("研发部"), &json!("boss"))
    );
    let p = patched(json!([{"op": "Remove", "path": "emails[type eq \"work\"].value"},
        {"op": "Remove", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager"}]))
    .unwrap();
    assert_eq!(p["emails"], json!([{"value": "z@home.example", "type": "home"}]));
    assert_eq!(p[ENTERPRISE], json!({"employeeNumber": "701"}));
}

#[test]
fn patches_as_okta_writes_them() {
    let p = patched(json!([{"op": "replace", "value": {"active": false}}])).unwrap();
    assert_eq!(p["active"], false);
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [
        {"op": "replace", "value": {"id": "g", "displayName": "Test"}},
        {"op": "remove", "path": "members[value eq \"u1\"]"},
        {"op": "add", "path": "members", "value": [{"value": "u2", "display": "two"}, {"value": "u3"}]},
        {"op": "remove", "path": "members", "value": [{"value": "u3"}]},
    ]});
    let (mut group, mut members) = (object(json!({"displayName": "old"})), Members::default());
    Patch::read(&body).unwrap().apply(&GROUPS, &mut group, &mut members).unwrap();
    assert_eq!(group["displayName"], "Test");
    let of = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
    assert_eq!(members, Members { anew: false, add: of(&["u2"]), remove: of(&["u1", "u3"]) });
    let all = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "members", "value": [{"value": "u9"}]}]});
    Patch::read(&all).unwrap().apply(&GROUPS, &mut group, &mut members).unwrap();
    assert_eq!(members, Members { anew: true, add: of(&["u9"]), remove: of(&[]) });
}

#[test]
fn a_patch_keeps_to_the_rfc() {
    let p =
        patched(json!([{"op": "add", "path": "emails", "value": {"value": "n@x.example", "primary": true}}]))
            .unwrap();
    assert_eq!(p["emails"].as_array().unwrap().len(), 3);
    assert_eq!(
        (&p["emails"][0]["primary"], &p["emails"][2]["primary"]),
        (&json!(false), &json!(true)),
        "one primary"
    );
    let same =
        json!([{"op": "add", "path": "emails", "value": [{"value": "z@home.example", "type": "home"}]}]);
    assert_eq!(
        patched(same).unwrap()["emails"].as_array().unwrap().len(),
        2,
        "what is there is not there twice"
    );
    let p = patched(json!([{"op": "remove", "path": "emails"}, {"op": "remove", "path": "name"}])).unwrap();
    assert!(!p.contains_key("emails") && !p.contains_key("name"));
    let p =
        patched(json!([{"op": "replace", "path": "name", "value": {"familyName": "李", "givenName": null}}]))
            .unwrap();
    assert_eq!(p["name"], json!({"familyName": "李"}));
    for (operations, expected) in [
        (json!([{"op": "remove"}]), "noTarget"),
        (json!([{"op": "replace", "path": "emails[type eq \"other\"].value", "value": "x"}]), "noTarget"),
        (
            json!([{"op": "add", "path": "emails[type ne \"work\" and value eq \"q\"].value", "value": "x"}]),
            "noTarget",
        ),
        (json!([{"op": "replace", "path": "colour", "value": "x"}]), "invalidPath"),
        (json!([{"op": "replace", "path": "emails[type eq \"work\"", "value": "x"}]), "invalidPath"),
        (
            json!([{"op": "replace", "path": "emails[colour eq \"work\"].value", "value": "x"}]),
            "invalidFilter",
        ),
        (json!([{"op": "replace", "path": "id", "value": "x"}]), "mutability"),
        (json!([{"op": "add", "path": "groups", "value": [{"value": "x"}]}]), "mutability"),
        (json!([{"op": "remove", "path": "userName"}]), "mutability"),
        (json!([{"op": "replace", "path": "userName", "value": ""}]), "invalidValue"),
        (json!([{"op": "replace", "path": "active", "value": "perhaps"}]), "invalidValue"),
        (json!([{"op": "replace", "path": "title", "value": {"a": 1}}]), "invalidValue"),
        (json!([{"op": "replace", "path": "title"}]), "invalidValue"),
        (json!([{"op": "replace", "value": "x"}]), "invalidValue"),
        (json!([{"op": "move", "path": "title"}]), "invalidSyntax"),
        (json!([]), "invalidSyntax"),
        (json!("x"), "invalidSyntax"),
    ] {
        let refused = patched(operations.clone()).expect_err("refused");
        assert_eq!(scim_type(&refused), expected, "{operations}");
    }
}

#[test]
fn a_body_is_read_by_the_table() {
    let admitted = USERS.admit(&json!({
        "SCHEMAS": ["urn:ietf:params:scim:schemas:core:2.0:User"], "USERNAME": "a", "Active": "true", "id": "x", "groups": [],
        "emails": [], "title": "", "nickName": null, "password": "secret", "name": {"GIVENNAME": "A", "formatted": null},
        "urn:IETF:params:scim:schemas:extension:enterprise:2.0:user": {"MANAGER": {"value": "b", "displayName": "B"}},
    }));
    let expected = json!({"userName": "a", "active": true, "name": {"givenName": "A"}, ENTERPRISE: {"manager": {"value": "b"}}});
    assert_eq!(Value::Object(admitted.unwrap()), expected);
    for bad in [
        json!({"userName": "a"}),
        json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"]}),
        json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": 5}),
        json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "a", "emails": [{"value": "x", "primary": true}, {"value": "y", "primary": true}]}),
        json!([]),
    ] {
        assert!(USERS.admit(&bad).is_err(), "{bad}");
    }
}

#[test]
fn a_name_is_the_first_of_what_there_is() {
    let name = |document: Value| Columns::of(&object(document)).name;
    assert_eq!(name(json!({"userName": "u", "displayName": "D", "name": {"formatted": "F"}})), "D");
    assert_eq!(name(json!({"userName": "u", "name": {"formatted": "F", "givenName": "G"}})), "F");
    assert_eq!(
        name(json!({"userName": "u", "name": {"givenName": "Maria", "familyName": "Weber"}})),
        "Maria Weber"
    );
    assert_eq!(name(json!({"userName": "u", "name": {"givenName": "三", "familyName": "张"}})), "张三");
    assert_eq!(name(json!({"userName": "u"})), "u");
}

#[test]
fn an_answer_shows_what_is_asked_for() {
    let shown = |only: Option<&str>, without: Option<&str>| {
        Value::Object(Shown::of(only, without).unwrap().project(&USERS, zhangsan()))
    };
    let schemas = json!(["urn:ietf:params:scim:schemas:core:2.0:User"]);
    let some = shown(Some("userName, name.familyName,emails.value,unheardOf"), None);
    assert_eq!(
        some,
        json!({"schemas": schemas, "id": "Z1", "userName": "ZhangSan@example.com", "name": {"familyName": "张"},
        "emails": [{"value": "z@work.example"}, {"value": "z@home.example"}]})
    );
    let path = format!("{ENTERPRISE}:employeeNumber");
    assert_eq!(shown(Some(&path), None)[ENTERPRISE], json!({"employeeNumber": "701"}));
    let less = shown(None, Some("emails,name.givenName,id,meta"));
    assert!(less.get("emails").is_none() && less.get("meta").is_none());
    assert_eq!((&less["id"], &less["name"]), (&json!("Z1"), &json!({"familyName": "张"})));
    assert!(shown(None, Some(ENTERPRISE)).get(ENTERPRISE).is_none());
    assert!(Shown::of(Some("a"), Some("b")).is_err());
}
