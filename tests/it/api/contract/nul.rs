//! U+0000 in every text that the contract takes. The database keeps none: a parameter is refused by its name,
//! and no body is a failure of ours.

use reqwest::Method;

use super::*;
use crate::delivery::callbacks::{OPEN, observer};

/// A parameter that no text of the contract may be.
const NUL: &str = "a%00b";

/// The parameters of an operation: where each stands, and its name.
fn parameters(operation: &Operation) -> Vec<(String, String)> {
    let contract = contract_of(&operation.path);
    let path = operation.responses.rsplit_once('/').expect("an operation").0;
    let beside = path.rsplit_once('/').expect("a path").0;
    let mut all = Vec::new();
    for holder in [path, beside] {
        let listed = contract.document.pointer(&format!("{holder}/parameters")).and_then(Value::as_array);
        for at in 0..listed.map_or(0, Vec::len) {
            let parameter = contract.resolve(&format!("{holder}/parameters/{at}"));
            let parameter = contract.document.pointer(&parameter).expect("a parameter");
            all.push((text(&parameter["in"]), text(&parameter["name"])));
        }
    }
    all
}

/// A body that the contract shows for an operation, if it takes one.
fn body(operation: &Operation) -> Option<Value> {
    let contract = contract_of(&operation.path);
    let at = operation.responses.rsplit_once('/').expect("an operation").0;
    let at = contract.resolve(&format!("{at}/requestBody"));
    let content = contract.document.pointer(&format!("{at}/content"))?.as_object()?;
    let (_, media) = content.iter().find(|(name, _)| name.ends_with("json"))?;
    let shown = media["examples"].as_object().and_then(|all| all.values().next()).map(|one| &one["value"]);
    let schema = media["schema"]["$ref"].as_str().unwrap_or_default().trim_start_matches('#');
    let of_schema = contract.document.pointer(&contract.resolve(schema)).map(|schema| &schema["example"]);
    [Some(&media["example"]), shown, of_schema].into_iter().flatten().find(|one| !one.is_null()).cloned()
}

/// The body again for each of its texts, with U+0000 in that one.
fn spoilt(body: &Value) -> Vec<Value> {
    match body {
        Value::String(text) => vec![json!(format!("{text}\0"))],
        Value::Array(items) => (0..items.len())
            .flat_map(|at| {
                let with = |one: Value| [&items[..at], &[one], &items[at + 1..]].concat();
                spoilt(&items[at]).into_iter().map(move |one| json!(with(one))).collect::<Vec<_>>()
            })
            .collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| {
                let with = move |one: Value| {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), one);
                    Value::Object(fields)
                };
                spoilt(value).into_iter().map(with).collect::<Vec<_>>()
            })
            .collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn no_text_with_u_0000_is_a_failure_of_ours() {
    let app = TestApp::with_archive(&format!("{BRIEF_STREAMS}\n{OPEN}")).await;
    app.people(&["a", "b"]).await;
    let client = Client::new(&app.base, "a", &["admin", "gateway", "directory", "support"]);
    let root = app.client("a", &["admin", "directory"]);
    let department = json!({"departments": [{"department_id": "d", "name": "D"}]});
    root.post("/directory/changes", department).await.expect(200);
    let group = app.group(&["a", "b"]).await;
    let sent = text(&app.say("a", &group, "hello").await["ms_id"]);
    let callback = text(&observer(&root, "http://127.0.0.1:9/").await["callback_id"]);
    let there = [
        ("channel_id", &*group),
        ("ms_id", &sent),
        ("callback_id", &callback),
        ("user_id", "b"),
        ("department_id", "d"),
    ];
    let (mut refused, mut bodies) = (0, 0);
    for operation in
        operations().filter(|o| !["/healthz", "/readyz", "/openapi.json", "/docs"].contains(&&*o.path))
    {
        let method: Method = operation.method.parse().expect("a method");
        let at = |nul: &str| {
            let filled = |part: &str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                Some(name) if name == nul => NUL.to_owned(),
                Some(name) => {
                    there.iter().find(|(known, _)| *known == name).map_or("1", |(_, id)| id).to_owned()
                }
                None => part.to_owned(),
            };
            operation.path.split('/').map(filled).collect::<Vec<_>>().join("/")
        };
        for (place, name) in parameters(operation) {
            let path = match &*place {
                "path" => at(&name),
                "query" => format!("{}?{name}={NUL}", at("")),
                _ => continue,
            };
            let reply = client.try_call(method.clone(), &path, None).await.expect("an answer");
            if operation.path == "/api/v1/events" {
                // Whose client would not come again.
                reply.expect(200);
                continue;
            }
            assert_eq!(reply.status, 400, "{} {path}: {}", operation.method, reply.body);
            if !path.starts_with("/scim/") && method != Method::HEAD {
                assert_eq!(reply.expect_problem(400, "invalid-parameter")["pointer"], name, "{path}");
            }
            refused += 1;
        }
        for body in body(operation).iter().flat_map(spoilt) {
            let reply =
                client.try_call(method.clone(), &at(""), Some(body.clone())).await.expect("an answer");
            assert!(reply.status < 500, "{} {}: {} {body}", operation.method, operation.path, reply.body);
            bodies += 1;
        }
    }
    assert!(refused > 100 && bodies > 50, "{refused} parameters, {bodies} bodies");
    // What a cursor holds is a parameter, too.
    for path in
        ["/users", "/conversations", "/audit", "/support/messages", &format!("/channels/{group}/members")]
    {
        use base64::Engine;
        let cursor = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(r#"{"after":"\u0000"}"#);
        let reply = root.get(&format!("{path}?cursor={cursor}&reason=x")).await;
        assert!(reply.status == 400, "{path}: {}", reply.body);
    }
}
