//! Spans: what OpenTelemetry's own collector reads of them, and what a collector costs that is away.

use std::time::{Duration, Instant};

use im_push_gateway::archive::mover;
use im_push_gateway::base::store::Store;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::app::{LONG, text};
use crate::base::database::until;
use crate::support::gateway::SECRET as SIGNING;
use crate::support::{Client, Collector, Gateway, Observer, Receiver, Script, Service, SpanSeen, shared};

const BINARY: &str = env!("CARGO_BIN_EXE_im-push-gateway");
const CALLBACK_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
const LATER: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// What no span may hold: a user, a name, a body, a query, a secret.
const PLANTED: [&str; 5] =
    ["planted-user", "planted-name", "planted-text", "planted-query", "planted-secret"];
/// The harness reads from the log where the service listens.
const QUIET: &str = "error,im_push_gateway=info,im_push_gateway::api=error,im_push_gateway::base=error,\
                     im_push_gateway::chat=error,im_push_gateway::delivery=error";
/// Kinds of spans, as OTLP numbers them.
const INTERNAL: i64 = 1;
const SERVER: i64 = 2;
const CLIENT: i64 = 3;

fn parent(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{SPAN}-{flags}")
}

/// Trace and span of a `traceparent` that says that they are recorded.
#[track_caller]
fn recorded(header: &str) -> String {
    let ids = header.strip_prefix("00-").and_then(|rest| rest.strip_suffix("-01"));
    ids.unwrap_or_else(|| panic!("{header}")).to_owned()
}

struct World {
    service: Service,
    collector: Collector,
    gateway: Gateway,
    portal: Observer,
    /// In place of the HR service. It says only that it is busy.
    hr: Receiver,
    store: Store,
    _folder: TempDir,
}

impl World {
    /// With further settings. The log of what makes spans has errors alone, which keeps no span back.
    async fn start(more: &[(&str, &str)]) -> Self {
        let (gateway, portal, folder) = (Gateway::start(), Observer::start(), TempDir::new().unwrap());
        let (collector, hr) = (Collector::start().await, Receiver::start().await);
        hr.answer(Script::status(503, &[], ""));
        let database = crate::app::database().await;
        let (url, callback, traces) = (shared().url(&database), gateway.url(), collector.url());
        let (archive, users) = (format!("embedded:{}", folder.path().display()), hr.url());
        let settings = [
            ("log", QUIET),
            ("database_url", &*url),
            ("callback_url", &callback),
            ("callback_secrets", SIGNING),
            ("callback_keys", CALLBACK_KEY),
            ("callback_allow", "127.0.0.0/8"),
            ("archive_url", &archive),
            ("directory_source", "http"),
            ("directory_users_url", &users),
            ("directory_schedule", ""),
            ("directory_full_schedule", ""),
            ("directory_run_attempts", "1"),
            ("traces_url", &traces),
            ("traces_headers", "authorization: Bearer planted-secret"),
            ("traces_share", "1"),
            ("traces_wait_ms", "10"),
        ];
        let service = Service::start(BINARY, &[&settings[..], more].concat()).await;
        let store = Store::new(&crate::app::config(&database, "")).unwrap();
        let world = Self { service, collector, gateway, portal, hr, store, _folder: folder };
        let person = |id: &str| json!({"user_id": id, "name": "planted-name"});
        let users = json!({"users": [person("planted-user-a"), person("planted-user-b")]});
        world.root().post("/directory/changes", users).await.expect(200);
        world
    }

    fn root(&self) -> Client {
        Client::new(&self.service.api(), "root", &["admin", "directory"])
    }

    fn sender(&self) -> Client {
        Client::new(&self.service.api(), "planted-user-a", &[])
    }

    async fn channel(&self) -> String {
        let wish = json!({"type": "direct", "members": ["planted-user-b"]});
        text(&self.sender().post("/channels", wish).await.body["channel_id"])
    }

    /// The spans, as soon as those asked for are among them.
    async fn spans(&self, are_there: impl Fn(&[SpanSeen]) -> bool) -> Vec<SpanSeen> {
        until(async || self.collector.spans(), |spans| are_there(spans)).await
    }

    /// The span with these ids.
    async fn span(&self, ids: &str) -> SpanSeen {
        let is_it = |span: &SpanSeen| span.ids() == ids;
        let spans = self.spans(|spans| spans.iter().any(is_it)).await;
        spans.into_iter().find(is_it).expect("it is there")
    }
}

async fn send(sender: &Client, channel: &str) -> String {
    let message = json!({"type": "text", "content": {"text": "planted-text"}});
    text(&sender.post(&format!("/channels/{channel}/messages"), message).await.expect(201)["ms_id"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_gets_the_request_the_commit_and_the_push_with_the_ids_that_others_see() {
    let mut world = World::start(&[]).await;
    let channel = world.channel().await;
    let traced = world.sender().with_header("traceparent", &parent(TRACE, "01"));
    let traced = traced.with_header("tracestate", "vendor=1");
    let sent = send(&traced, &channel).await;

    let route = "/api/v1/channels/{channel_id}/messages";
    let is_request = |span: &SpanSeen| span.name() == format!("POST {route}");
    let is_commit = |span: &SpanSeen, request: &str| {
        span.name() == "commit sends" && span.links().contains(&request.to_owned())
    };
    let spans = world.spans(|spans| spans.iter().any(is_request)).await;
    let request = spans.into_iter().find(is_request).unwrap();
    assert_eq!((request.field("traceId"), request.field("parentSpanId")), (TRACE, SPAN));
    assert_eq!((&request.0["kind"], request.field("traceState")), (&json!(SERVER), "vendor=1"));
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", route),
        ("http.response.status_code", "201"),
        ("url.scheme", "http"),
        ("network.protocol.version", "1.1"),
    ] {
        assert_eq!(request.attribute(key).as_deref(), Some(value), "{request:?}");
    }

    let spans = world.spans(|spans| spans.iter().any(|span| is_commit(span, &request.ids()))).await;
    let commit = spans.iter().find(|span| is_commit(span, &request.ids())).unwrap();
    assert_ne!(commit.field("traceId"), TRACE);
    assert_eq!((&commit.0["kind"], commit.field("parentSpanId")), (&json!(INTERNAL), ""));
    assert_eq!(commit.attribute("impg.sends").as_deref(), Some("1"));

    world.gateway.wait_for(|record| record.seen(&sent, "planted-user-b") > 0, LONG).await;
    let (batch, header) = world.gateway.read(|record| {
        let batch = record.batches().last().expect("a batch");
        (batch.webhook_id.clone(), batch.headers["traceparent"].to_str().unwrap().to_owned())
    });
    let push = world.span(&recorded(&header)).await;
    assert_eq!((push.name(), &push.0["kind"], push.field("parentSpanId")), ("POST", &json!(CLIENT), ""));
    for (key, value) in [
        ("http.response.status_code", "200"),
        ("server.address", "127.0.0.1"),
        ("impg.callback.kind", "gateway"),
        ("impg.batch.id", &batch),
    ] {
        assert_eq!(push.attribute(key).as_deref(), Some(value), "{push:?}");
    }
    world.parts_of_requests().await;
    world.steps_of_the_background().await;
    world.service.stop().await;
    let all = world.collector.text();
    for planted in PLANTED {
        assert!(!all.contains(planted), "{planted}: {all}");
    }
    let named = |name: &str| world.collector.spans().iter().any(|span| span.name().contains(name));
    assert!(!named("healthz") && !named("readyz"));
}

impl World {
    /// A search, and the test of a callback, whose POST carries its own span.
    async fn parts_of_requests(&self) {
        let traced = |client: Client| client.with_header("traceparent", &parent(LATER, "01"));
        traced(self.sender()).get("/search/messages?q=planted-query").await.expect(200);
        let wish = json!({"url": self.portal.url(), "event_types": ["message.*"]});
        let made = self.root().post("/callbacks", wish).await.expect(201);
        let path = format!("/callbacks/{}/test", text(&made["callback_id"]));
        traced(self.root()).post(&path, json!({})).await.expect(200);
        self.portal.wait_for(|log| !log.posts.is_empty(), LONG).await;
        let header = self.portal.read(|log| log.posts[0].headers["traceparent"].to_str().unwrap().to_owned());
        let is_of = |span: &SpanSeen, name: &str| span.field("traceId") == LATER && span.name() == name;
        let (search, test) = ("GET /api/v1/search/messages", "POST /api/v1/callbacks/{callback_id}/test");
        let spans = self
            .spans(|all| [search, test].into_iter().all(|name| all.iter().any(|span| is_of(span, name))))
            .await;
        let one =
            |name: &str| spans.iter().find(|span| is_of(span, name)).unwrap_or_else(|| panic!("{spans:?}"));
        assert_eq!(one("search").field("parentSpanId"), one(search).field("spanId"));
        let post = self.span(&recorded(&header)).await;
        assert_eq!(post.field("parentSpanId"), one(test).field("spanId"));
        // What is no path of the service has no route, and a refusal is no error of the service.
        let unknown = traced(self.sender()).get("/planted-query").await;
        assert_eq!(unknown.status, 404);
        let spans = self.spans(|all| all.iter().any(|span| is_of(span, "GET"))).await;
        let unknown = spans.iter().find(|span| is_of(span, "GET")).unwrap();
        assert_eq!((unknown.attribute("http.route"), unknown.attribute("error.type")), (None, None));
    }

    /// A run of the directory, whose calls carry the span of its step, and one of the archive.
    async fn steps_of_the_background(&self) {
        self.root().post("/directory/sync", json!({})).await.expect(202);
        until(async || self.hr.received(), |received| !received.is_empty()).await;
        let step = self.span(&recorded(self.hr.received()[0].header("traceparent"))).await;
        assert_eq!((step.name(), step.field("parentSpanId")), ("directory step", ""));
        mover::ask(&self.store, "hand", self.store.now().await.unwrap()).await.unwrap();
        self.spans(|all| all.iter().any(|span| span.name() == "archive step")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_records_nothing_exports_nothing() {
    let mut world = World::start(&[]).await;
    let channel = world.channel().await;
    let sent = send(&world.sender().with_header("traceparent", &parent(TRACE, "00")), &channel).await;
    world.gateway.wait_for(|record| record.seen(&sent, "planted-user-b") > 0, LONG).await;
    // Spans go in the order in which they end, so that a later one shows that no other comes.
    send(&world.sender().with_header("traceparent", &parent(LATER, "01")), &channel).await;
    let is_commit = |span: &&SpanSeen| span.name() == "commit sends";
    let spans = world.spans(|all| all.iter().any(|span| is_commit(&span))).await;
    assert_eq!(spans.iter().filter(is_commit).count(), 1, "{spans:?}");
    world.service.stop().await;
    assert!(!world.collector.text().contains(TRACE), "{}", world.collector.text());
}

/// The value of a counter of spans.
async fn counted(service: &Service, series: &str) -> u64 {
    let scrape = reqwest::get(service.metrics_url()).await.unwrap().text().await.unwrap();
    let line = scrape.lines().find(|line| line.starts_with(series));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_share_of_the_new_traces_is_recorded_but_all_of_callers_that_record() {
    let mut world = World::start(&[("traces_share", "0")]).await;
    let channel = world.channel().await;
    let sent = send(&world.sender(), &channel).await;
    world.gateway.wait_for(|record| record.seen(&sent, "planted-user-b") > 0, LONG).await;
    let header = world.gateway.read(|record| record.batches().last().unwrap().headers["traceparent"].clone());
    assert!(header.to_str().unwrap().ends_with("-00"), "{header:?}");
    send(&world.sender().with_header("traceparent", &parent(TRACE, "01")), &channel).await;
    let is_of_caller = |span: &SpanSeen| {
        span.field("traceId") == TRACE || span.links().iter().any(|ids| ids.starts_with(TRACE))
    };
    let spans = world.spans(|all| all.iter().filter(|span| is_of_caller(span)).count() == 2).await;
    assert!(spans.iter().all(is_of_caller), "{spans:?}");
    world.service.stop().await;
}

/// A service whose collector has this address, and a direct channel in it.
async fn exporting_to(url: &str, more: &[(&str, &str)]) -> (Service, Client, String) {
    let database = shared().url(&crate::app::database().await);
    let settings = [
        ("database_url", &*database),
        ("callback_url", "none"),
        ("traces_url", url),
        ("traces_headers", "authorization: Bearer planted-secret"),
        ("traces_share", "1"),
        ("traces_wait_ms", "1"),
        ("traces_queue", "8"),
        ("traces_batch", "4"),
        ("user_requests_per_second", "0"),
    ];
    let service = Service::start(BINARY, &[&settings[..], more].concat()).await;
    let root = Client::new(&service.api(), "root", &["directory"]);
    let users = json!({"users": [{"user_id": "a", "name": "a"}, {"user_id": "b", "name": "b"}]});
    root.post("/directory/changes", users).await.expect(200);
    let sender = Client::new(&service.api(), "a", &[]);
    let channel = sender.post("/channels", json!({"type": "direct", "members": ["b"]})).await.expect(201);
    (service, sender, text(&channel["channel_id"]))
}

/// The log says that spans are lost, and at most once a minute.
#[track_caller]
fn complains_rarely(service: &Service, since: Instant) {
    let lines = service.log();
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let told = |line: &Value| line["message"] == "the collector of traces takes no spans: they are lost";
    let complaints = lines.filter(told).count() as u64;
    assert!((1..=1 + since.elapsed().as_secs() / 60).contains(&complaints), "{}", service.log_tail());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_or_hangs_costs_spans_and_nothing_else() {
    let hanging = Receiver::start().await;
    hanging.answer(Script::raw("").then_endlessly("", Duration::from_secs(1)));
    // Nothing listens on the port of a receiver that is gone.
    let away = Receiver::start().await.url();
    for url in [away, hanging.url()] {
        let started = Instant::now();
        let (mut service, sender, channel) = exporting_to(&url, &[("traces_timeout_ms", "200")]).await;
        for _ in 0..20 {
            send(&sender, &channel).await;
        }
        let without_room = async || counted(&service, "impg_spans_dropped_total{reason=\"queue\"}").await;
        until(without_room, |lost| *lost > 0).await;
        // A batch is given up after its repeats.
        let given_up = async || counted(&service, "impg_spans_dropped_total{reason=\"unavailable\"}").await;
        until(given_up, |lost| *lost > 0).await;
        send(&sender, &channel).await;
        assert_eq!(counted(&service, "impg_spans_exported_total").await, 0);
        complains_rarely(&service, started);
        service.stop().await;
        assert!(!service.log().contains("planted-secret"));
    }
    assert!(!hanging.received().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_refuses_is_asked_once_a_batch_and_gets_the_header_of_the_settings() {
    let (started, refusing) = (Instant::now(), Receiver::start().await);
    refusing.answer(Script::status(401, &[], "planted-answer"));
    let (mut service, sender, channel) = exporting_to(&refusing.url(), &[]).await;
    send(&sender, &channel).await;
    let refused = async || counted(&service, "impg_spans_dropped_total{reason=\"refused\"}").await;
    until(refused, |spans| *spans > 0).await;
    for request in refusing.received() {
        assert_eq!(request.header("authorization"), "Bearer planted-secret");
        assert_eq!(request.header("content-type"), "application/x-protobuf");
    }
    service.stop().await;
    let log = service.log();
    assert!(!log.contains("planted-secret") && !log.contains("planted-answer"), "{log}");
    complains_rarely(&service, started);
}

#[tokio::test]
async fn without_a_collector_nothing_is_recorded_and_new_traces_say_so() {
    let (gateway, database) = (Gateway::start(), shared().url(&crate::app::database().await));
    let callback = gateway.url();
    let settings = [("database_url", &*database), ("callback_url", &callback), ("callback_secrets", SIGNING)];
    let mut service = Service::start(BINARY, &settings).await;
    let users = json!({"users": [{"user_id": "a", "name": "a"}, {"user_id": "b", "name": "b"}]});
    let root = Client::new(&service.api(), "root", &["directory"]);
    root.post("/directory/changes", users).await.expect(200);
    let sender = Client::new(&service.api(), "a", &[]);
    let channel = sender.post("/channels", json!({"type": "direct", "members": ["b"]})).await.expect(201);
    let sender = sender.with_header("traceparent", &parent(TRACE, "01"));
    let sent = send(&sender, &text(&channel["channel_id"])).await;
    gateway.wait_for(|record| record.seen(&sent, "b") > 0, LONG).await;
    let header = gateway.read(|record| record.batches().last().unwrap().headers["traceparent"].clone());
    assert!(header.to_str().unwrap().ends_with("-00"), "{header:?}");
    let scrape = reqwest::get(service.metrics_url()).await.unwrap().text().await.unwrap();
    assert!(!scrape.contains("impg_spans_"), "{scrape}");
    service.stop().await;
}
