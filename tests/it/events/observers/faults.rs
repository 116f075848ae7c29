//! Whatever one observer does, only that one feels it, and nothing is lost to it.

use std::time::Duration;

use serde_json::json;

use super::{Wish, attempts, blameless, change, say_many, start, state, subscribe, told};
use crate::app::{LONG, TestApp};
use crate::support::{Conduct, Gate, Impostor, Observer};

/// A label longer than names may have: no resolver asks anybody for it.
const NO_SUCH_HOST: &str =
    "http://a-label-of-more-than-sixty-three-characters-is-no-part-of-any-name-at-all.example/events";
const ENDURING: &str = "callback_breaker_failures = 3\ncallback_give_up_ms = 86400000";

const LATE: &str = "answers after the timeout";

type Fault = (&'static str, fn(&Observer, &str) -> Conduct);

/// Ways to be away or to answer badly, by what is wrong with them. Each must be told all, once it is well.
const FAULTS: &[Fault] = &[
    ("resets", |_, _| Conduct::Reset),
    ("resets in the head", |_, _| Conduct::ResetInHead),
    ("500", |_, _| Conduct::status(500)),
    ("401", |_, _| Conduct::status(401)),
    ("404", |_, _| Conduct::status(404)),
    (LATE, |_, _| Conduct::Take.after(Duration::from_millis(1_500))),
    ("never answers", |_, _| Conduct::Hang),
    ("garbage", |_, _| Conduct::Garbage),
    ("redirects", |_, elsewhere| Conduct::redirect(elsewhere.to_owned())),
    ("redirects to itself", |me, _| Conduct::redirect(me.url())),
    ("busy", |_, _| Conduct::retry_after(429, 1)),
    ("an endless head", |_, _| Conduct::EndlessHead),
    ("a byte a second", |_, _| Conduct::DripHead),
    ("not modified", |_, _| Conduct::status(304)),
];

struct Bad {
    name: &'static str,
    observer: Observer,
    callback_id: String,
}

/// Two channels get so many messages each.
async fn talk(app: &TestApp, channels: &[&str; 2], count: usize) {
    for _ in 0..count / 2 {
        app.say("a", channels[0], "hello").await;
        app.say("a", channels[1], "hello").await;
    }
    say_many(app, "a", channels[0], count - count / 2).await;
    say_many(app, "a", channels[1], count - count / 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_is_its_observers_own() {
    let app = start(ENDURING).await;
    app.people(&["a", "b", "c"]).await;
    let (one, two) = (app.direct("a", "b").await, app.direct("a", "c").await);
    let channels = [one.as_str(), two.as_str()];
    let (well, elsewhere) = (Observer::start(), Observer::start());
    let mut bad = Vec::new();
    for (name, fault) in FAULTS {
        let observer = Observer::start();
        let conduct = fault(&observer, &elsewhere.url());
        observer.behave(move |_| conduct.clone());
        let url = observer.url();
        bad.push(Bad {
            name,
            callback_id: subscribe(&app, &url, Wish::of(&["message.created"])).await,
            observer,
        });
    }
    // And those that cannot even be reached.
    let (plain, refusing, lost, impostor) =
        (Observer::start(), Observer::start(), Observer::start(), impostor());
    refusing.down();
    let urls = [
        ("plain answers to TLS", plain.url_of_tls(), plain),
        ("refuses connections", refusing.url(), refusing),
        ("a name that is nobody's", NO_SUCH_HOST.to_owned(), lost),
        ("a certificate nobody vouches for", impostor.url(), Observer::start()),
    ];
    for (name, url, observer) in urls {
        let callback_id = subscribe(&app, &url, Wish::of(&["message.created"])).await;
        bad.push(Bad { name, observer, callback_id });
    }
    subscribe(&app, &well.url(), Wish::of(&["message.created"])).await;

    talk(&app, &channels, 10).await;
    told(&well, &channels, 10).await;
    app.until("SELECT count(*) FROM t_im_message_push WHERE status = 1", 20).await;
    // Everybody else has failed by now or soon, more than once, and has taken nothing.
    let tried = "SELECT count(*) FROM (SELECT FROM t_im_push_attempt WHERE error IS NOT NULL \
                 GROUP BY callback_id HAVING count(*) >= 2) AS failing";
    app.until(tried, bad.len().try_into().unwrap()).await;
    for Bad { name, callback_id, .. } in &bad {
        let taken = "SELECT coalesce(sum(received), 0)::bigint FROM t_im_push_attempt WHERE callback_id = $1";
        assert_eq!(app.count(taken, &[callback_id]).await, 0, "{name}");
        let held = "SELECT coalesce(sum(pairs), 0)::bigint FROM v_im_push_item WHERE callback_id = $1";
        assert_eq!(app.count(held, &[callback_id]).await, 20, "{name}");
        assert_eq!(state(&app, callback_id).await, "active", "{name}");
    }
    assert!(impostor.refusals() > 0 && impostor.seen.lock().unwrap().1.is_empty());
    assert_eq!(elsewhere.read(|log| (log.posts.len(), log.refusals.len())), (0, 0), "nobody was followed");

    // More is said while they are bad, and the well one still gets it.
    talk(&app, &channels, 10).await;
    told(&well, &channels, 20).await;
    for Bad { observer, callback_id, .. } in &bad {
        observer.behave(|_| Conduct::Take);
        observer.up();
        change(&app, callback_id, &format!("url = '{}'", observer.url())).await;
    }
    for Bad { observer, .. } in &bad {
        told(observer, &channels, 20).await;
    }
    app.settled().await;
    assert_eq!(app.count("SELECT count(*) FROM t_im_push_dead", &[]).await, 0);
    assert_eq!(well.read(|log| log.posts.iter().filter(|post| post.attempt > 1).count()), 0);
    blameless(&well);
    for Bad { name, observer, callback_id } in &bad {
        // What was answered too late was not heard.
        let found = observer.read(|log| log.violations(*name != LATE));
        assert!(found.is_empty(), "{name}: {found:#?}");
        let errors: Vec<serde_json::Value> =
            attempts(&app, callback_id).await.into_iter().map(|attempt| attempt["error"].clone()).collect();
        assert!(errors.iter().any(serde_json::Value::is_string), "{name}: {errors:?}");
    }
}

/// An observer whose certificate nobody vouches for.
fn impostor() -> Impostor {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("crt.der"), folder.path().join("key.der"));
    let run = |args: &[&str], last: [&std::path::Path; 2]| {
        let made = std::process::Command::new("openssl")
            .args(args)
            .args([last[0].as_os_str()])
            .arg("-out")
            .arg(last[1])
            .output();
        let made = made.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    let pem = folder.path().join("key.pem");
    let made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"];
    run(
        &[&made[..], &["-addext", "subjectAltName=IP:127.0.0.1", "-outform", "DER", "-keyout"]].concat(),
        [&pem, &certificate],
    );
    run(&["pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in"], [&pem, &key]);
    Impostor::start(std::fs::read(certificate).unwrap(), std::fs::read(key).unwrap())
}

/// A status says all of it: what follows may be slow, endless or cut off, and holds nobody.
#[tokio::test]
async fn the_body_of_an_answer_holds_nobody() {
    for conduct in [Conduct::DripBody, Conduct::EndlessBody, Conduct::ResetInBody, Conduct::status(204)] {
        let app = start("callback_timeout_ms = 20000").await;
        app.people(&["a", "b"]).await;
        let channel = app.direct("a", "b").await;
        let portal = Observer::start();
        let bad = conduct.clone();
        portal.behave(move |_| bad.clone());
        let callback_id =
            subscribe(&app, &portal.url(), Wish { concurrency: 1, ..Wish::of(&["message.created"]) }).await;
        app.say("a", &channel, "one").await;
        portal.wait_for(|log| log.posts.len() == 1, LONG).await;
        app.say("a", &channel, "two").await;
        told(&portal, &[&channel], 2).await;
        app.settled().await;
        let attempts = attempts(&app, &callback_id).await;
        assert_eq!(attempts.len(), 2, "{conduct:?}: {attempts:?}");
        for attempt in attempts {
            assert_eq!((&attempt["error"], &attempt["received"]), (&json!(null), &json!(1)), "{conduct:?}");
            assert!(attempt["duration_ms"].as_i64() < Some(15_000), "{conduct:?}: {attempt}");
            assert!(attempt["answer"].as_str().unwrap_or_default().len() <= 1_024, "{conduct:?}");
        }
    }
}

#[tokio::test]
async fn one_that_fails_half_of_the_time_gets_all_of_it() {
    let app = start("callback_breaker_failures = 3").await;
    app.people(&["a", "b", "c"]).await;
    let (one, two) = (app.direct("a", "b").await, app.direct("a", "c").await);
    let portal = Observer::start();
    let moods = [500, 200, 200, 500, 500, 500, 500, 500, 200];
    portal.behave(move |post| Conduct::status(moods[post.order % moods.len()]));
    subscribe(&app, &portal.url(), Wish { batch_events: 2, ..Wish::of(&["message.created"]) }).await;
    talk(&app, &[&one, &two], 20).await;
    told(&portal, &[&one, &two], 20).await;
    app.settled().await;
    blameless(&portal);
}

#[tokio::test]
async fn a_batch_that_is_refused_does_not_open_the_breaker() {
    let app = start("callback_breaker_failures = 2\ncallback_breaker_probe_ms = 60000").await;
    app.people(&["a", "b", "c"]).await;
    let (bad, good) = (app.direct("a", "b").await, app.direct("a", "c").await);
    let portal = Observer::start();
    let poisoned = bad.clone();
    portal.behave(move |post| {
        let is_bad = post.events.iter().any(|event| event.channel_id.as_ref() == Some(&poisoned));
        if is_bad { Conduct::status(422) } else { Conduct::Take }
    });
    subscribe(&app, &portal.url(), Wish::of(&["message.created"])).await;
    app.say("a", &bad, "poison").await;
    portal.wait_for(|log| log.posts.len() >= 4, LONG).await;
    app.say("a", &bad, "behind it").await;
    for _ in 0..3 {
        app.say("a", &good, "fine").await;
    }
    told(&portal, &[&good], 3).await;
    assert_eq!(portal.read(|log| log.seqs(&bad)), [1], "its own channel waits behind it");
    portal.behave(|_| Conduct::Take);
    told(&portal, &[&bad], 2).await;
    app.settled().await;
    blameless(&portal);
}

#[tokio::test]
async fn retry_after_only_delays() {
    let app = start("callback_breaker_failures = 1000\ncallback_retry_max_ms = 100").await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let portal = Observer::start();
    portal.behave(|post| match post.attempt {
        1 => Conduct::retry_after(429, 1),
        2 => Conduct::retry_after(503, 0),
        3 => Conduct::Say(429, vec![("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT".to_owned())]),
        _ => Conduct::Take,
    });
    let callback_id = subscribe(&app, &portal.url(), Wish::of(&["message.created"])).await;
    app.say("a", &channel, "busy").await;
    told(&portal, &[&channel], 1).await;
    app.settled().await;
    let gap = "SELECT (1000 * extract(epoch FROM (array_agg(attempted_at ORDER BY attempt_id))[2] - min(attempted_at)))::bigint \
               FROM t_im_push_attempt WHERE callback_id = $1";
    assert!(app.count(gap, &[&callback_id]).await >= 1_000);
    assert_eq!(portal.read(|log| log.posts.len()), 4);
    blameless(&portal);
}

#[tokio::test]
async fn gone_is_gone_at_once_and_whoever_looks_after_it_is_told() {
    let app = start("").await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let (portal, watchman) = (Observer::start(), Observer::start());
    portal.behave(|_| Conduct::status(410));
    let gone = subscribe(&app, &portal.url(), Wish::of(&["message.created", "callback.disabled"])).await;
    subscribe(&app, &watchman.url(), Wish::of(&["callback.disabled"])).await;
    app.say("a", &channel, "anybody?").await;
    watchman.wait_for(|log| !log.events().is_empty(), LONG).await;
    let event = watchman.read(|log| log.events()[0].clone());
    assert_eq!((event.what.as_str(), &event.data["callback_id"]), ("callback.disabled", &json!(gone)));
    assert_eq!((state(&app, &gone).await.as_str(), portal.read(|log| log.posts.len())), ("disabled", 1));
    // What had been queued stays, and nothing is added to it.
    app.say("a", &channel, "nobody").await;
    app.until("SELECT count(*) FROM t_im_message_push WHERE status = 1", 2).await;
    app.until("SELECT count(*) FROM t_im_event_new", 0).await;
    let queued = "SELECT coalesce(sum(pairs), 0)::bigint FROM v_im_push_item WHERE callback_id = $1";
    assert_eq!(app.count(queued, &[&gone]).await, 1);
    portal.behave(|_| Conduct::Take);
    change(&app, &gone, "state = 'active', failing_since = NULL").await;
    told(&portal, &[&channel], 1).await;
    app.settled().await;
    assert_eq!(watchman.read(|log| log.events().len()), 1);
    blameless(&portal);
}

#[tokio::test]
async fn one_that_has_failed_for_a_day_is_disabled() {
    let mut app = start("callback_breaker_failures = 1").await;
    app.gateway.ignore_time();
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let (portal, watchman) = (Observer::start(), Observer::start());
    portal.behave(|_| Conduct::status(500));
    let failing = subscribe(&app, &portal.url(), Wish::of(&["message.created"])).await;
    subscribe(&app, &watchman.url(), Wish::of(&["callback.disabled", "message.created"])).await;
    app.say("a", &channel, "hello").await;
    portal.wait_for(|log| log.posts.len() >= 2, LONG).await;
    app.clock("23 hours").await;
    let before = portal.read(|log| log.posts.len());
    portal.wait_for(|log| log.posts.len() >= before + 2, LONG).await;
    assert_eq!(state(&app, &failing).await, "active", "not yet");
    // Whoever answers once has its time again.
    portal.behave(|_| Conduct::Take);
    told(&portal, &[&channel], 1).await;
    app.settled().await;
    portal.behave(|_| Conduct::status(500));
    app.say("a", &channel, "again").await;
    let before = portal.read(|log| log.posts.len());
    portal.wait_for(|log| log.posts.len() >= before + 2, LONG).await;
    app.clock("46 hours").await;
    let before = portal.read(|log| log.posts.len());
    portal.wait_for(|log| log.posts.len() >= before + 2, LONG).await;
    assert_eq!(state(&app, &failing).await, "active", "not yet, again");
    app.clock("48 hours").await;
    watchman.wait_for(|log| log.events().iter().any(|e| e.what == "callback.disabled"), LONG).await;
    assert_eq!(state(&app, &failing).await, "disabled");
    told(&watchman, &[&channel], 2).await;
}

#[tokio::test]
async fn one_that_holds_all_its_workers_holds_nobody_elses() {
    let app = start("callback_timeout_ms = 120000\ncallback_concurrency = 2").await;
    app.people(&["a", "b", "c", "d", "e"]).await;
    let (slow, quick) = (Observer::start(), Observer::start());
    let gate = Gate::closed();
    let held = gate.clone();
    slow.behave(move |_| Conduct::Take.behind(&held));
    let wish = || Wish { concurrency: 2, ..Wish::of(&["message.created"]) };
    subscribe(&app, &slow.url(), wish()).await;
    subscribe(&app, &quick.url(), wish()).await;
    let mut channels = Vec::new();
    for other in ["b", "c", "d", "e"] {
        channels.push(app.direct("a", other).await);
    }
    // A batch holds its channels. The first one holds a single channel, so that there is something for the second worker.
    app.say("a", &channels[0], "hello").await;
    slow.wait_for(|log| log.posts.len() == 1, LONG).await;
    for turn in 1..5 * channels.len() {
        app.say("a", &channels[turn % channels.len()], "hello").await;
    }
    let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
    told(&quick, &channels, 5).await;
    app.until("SELECT count(*) FROM t_im_message_push WHERE status = 1", 20).await;
    // It was sent something, as much at once as it may be, and has not answered yet.
    slow.wait_for(|log| log.posts.len() == 2, LONG).await;
    assert_eq!(slow.read(super::Log::taken), 0);
    gate.open();
    told(&slow, &channels, 5).await;
    app.settled().await;
    blameless(&slow);
}
