//! Trace Context (W3C, Level 1): in with a request, out with every call.

use serde_json::{Value, json};

use crate::app::{LONG, text};
use crate::base::database::until;
use crate::support::gateway::SECRET as SIGNING;
use crate::support::{Client, Gateway, ObservedEvent, Observer, Received, Receiver, Script, Service, shared};

const BINARY: &str = env!("CARGO_BIN_EXE_im-push-gateway");
const CALLBACK_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const SPAN: &str = "b7ad6b7169203331";

fn lines(service: &Service) -> Vec<Value> {
    service.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The trace id of a `traceparent` that is valid and names none of the caller's spans.
#[track_caller]
fn trace_of(header: &str) -> String {
    let parts: Vec<&str> = header.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    assert_eq!(lengths, [2, 32, 16, 2], "{header:?}");
    assert!(parts[0] == "00" && parts[2] != SPAN, "{header:?}");
    parts[1].to_owned()
}

/// The trace id of the line about a batch.
fn trace_of_batch(lines: &[Value], batch_id: &str) -> Option<String> {
    let line = lines
        .iter()
        .find(|line| line["span"]["batch_id"] == batch_id && line["message"] == "a batch is answered");
    line.map(|line| text(&line["span"]["trace_id"]))
}

struct World {
    service: Service,
    gateway: Gateway,
    portal: Observer,
    /// In place of Elasticsearch, and of the HR service. Both say only that they are busy.
    elastic: Receiver,
    hr: Receiver,
}

impl World {
    async fn start() -> Self {
        let (gateway, portal) = (Gateway::start(), Observer::start());
        let (elastic, hr) = (Receiver::start().await, Receiver::start().await);
        elastic.answer(Script::status(503, &[], ""));
        let url = shared().url(&crate::app::database().await);
        let (callback, archive) = (gateway.url(), elastic.url().replace("/hook", ""));
        let settings = [
            ("log", "debug"),
            ("database_url", &url),
            ("callback_url", &callback),
            ("callback_secrets", SIGNING),
            ("callback_keys", CALLBACK_KEY),
            ("callback_allow", "127.0.0.0/8"),
            ("archive_url", &archive),
            ("archive_retry_ms", "1"),
            ("directory_source", "http"),
            ("directory_users_url", &hr.url()),
            ("directory_schedule", ""),
            ("directory_full_schedule", ""),
            ("directory_run_attempts", "1"),
        ];
        let service = Service::start(BINARY, &settings).await;
        Self { service, gateway, portal, elastic, hr }
    }

    fn call(&self, user: &str, roles: &[&str]) -> Client {
        Client::new(&self.service.api(), user, roles)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_goes_on_in_its_trace_and_a_batch_begins_one_of_its_own() {
    let mut world = World::start().await;
    let root = world.call("root", &["admin", "directory"]);
    let users = json!({"users": [{"user_id": "a", "name": "a"}, {"user_id": "b", "name": "b"}]});
    root.post("/directory/changes", users).await.expect(200);
    world.a_callback_is_tested_within_the_request(&root).await;
    let a = world.call("a", &[]).with_header("traceparent", PARENT);
    world.a_batch_is_a_trace_that_the_log_names(&a).await;
    world.calls_of_a_request_and_of_the_background(&root, &a).await;
    // What is no valid parent begins a new trace.
    for (id, parent) in [("bad-1", "00-bad"), ("bad-2", &PARENT.to_uppercase()), ("bad-3", "")] {
        let caller = world.call("a", &[]).with_header("x-request-id", id);
        caller.with_header("traceparent", parent).get("/users/me").await;
    }
    world.service.stop().await;
    let lines = lines(&world.service);
    let trace_of_request = |id: &str| {
        let line =
            lines.iter().find(|line| line["message"] == "answered" && line["span"]["request_id"] == id);
        text(&line.unwrap_or_else(|| panic!("no line about {id}"))["span"]["trace_id"])
    };
    assert_eq!(trace_of_request("the-send"), TRACE);
    for id in ["bad-1", "bad-2", "bad-3"] {
        assert!(trace_of_request(id).len() == 32 && trace_of_request(id) != TRACE, "{id}");
    }
}

impl World {
    async fn a_callback_is_tested_within_the_request(&self, root: &Client) {
        let wish = json!({"url": self.portal.url(), "event_types": ["message.*"]});
        let made = root.post("/callbacks", wish).await.expect(201);
        let test = format!("/callbacks/{}/test", text(&made["callback_id"]));
        let caller = root.clone().with_header("traceparent", PARENT).with_header("tracestate", "vendor=1");
        caller.post(&test, json!({})).await.expect(200);
        self.portal.wait_for(|log| !log.posts.is_empty(), LONG).await;
        self.portal.read(|log| {
            let headers = &log.posts[0].headers;
            assert_eq!(trace_of(headers["traceparent"].to_str().unwrap()), TRACE);
            assert_eq!(headers["tracestate"], "vendor=1");
        });
    }

    /// To the gateway, and to an observer.
    async fn a_batch_is_a_trace_that_the_log_names(&self, a: &Client) {
        let channel = json!({"type": "direct", "members": ["b"]});
        let channel = text(&a.post("/channels", channel).await.body["channel_id"]);
        let message = json!({"type": "text", "content": {"text": "x"}});
        let sender = a.clone().with_header("x-request-id", "the-send").with_header("tracestate", "vendor=1");
        let sent = sender.post(&format!("/channels/{channel}/messages"), message).await.expect(201);
        let sent = text(&sent["ms_id"]);
        self.gateway.wait_for(|record| record.seen(&sent, "b") > 0, LONG).await;
        let told = |event: &ObservedEvent| event.what == "message.created";
        self.portal.wait_for(|log| log.events().iter().any(told), LONG).await;
        let (batch, parent) = self.gateway.read(|record| {
            let batch = record.batches().last().expect("a batch");
            assert!(batch.headers.get("tracestate").is_none());
            (batch.webhook_id.clone(), batch.headers["traceparent"].to_str().unwrap().to_owned())
        });
        let (events, of_events) = self.portal.read(|log| {
            let post = log.posts.last().expect("a batch");
            (post.batch_id.clone(), post.headers["traceparent"].to_str().unwrap().to_owned())
        });
        for (batch, parent) in [(batch, parent), (events, of_events)] {
            assert_ne!(trace_of(&parent), TRACE);
            let named = until(async || trace_of_batch(&lines(&self.service), &batch), Option::is_some).await;
            assert_eq!(named, Some(trace_of(&parent)));
        }
    }

    /// A search asks Elasticsearch within the request. The index and the directory's run ask in the background.
    async fn calls_of_a_request_and_of_the_background(&self, root: &Client, a: &Client) {
        a.get("/search/messages?q=x").await;
        let asked = || self.elastic.received();
        let is_of_request = |asked: &Received| trace_of(asked.header("traceparent")) == TRACE;
        assert!(asked().iter().any(is_of_request), "{:?}", asked());
        until(async || asked(), |asked| !asked.iter().all(is_of_request)).await;
        root.post("/directory/sync", json!({})).await.expect(202);
        until(async || self.hr.received(), |received| !received.is_empty()).await;
        assert_ne!(trace_of(self.hr.received()[0].header("traceparent")), TRACE);
    }
}
