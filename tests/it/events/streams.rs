//! Live: streams of what happens, resumed without a hole, and never at anybody's cost.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use im_push_gateway::identity::token::{self, NewToken};
use im_push_gateway::identity::{Role, Roles};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::api::contract::assert_fits;
use crate::app::{LONG, TestApp, text};
use crate::support::{Client, Listener, StreamEvent, shared};
use crate::torture::dice::Dice;

/// Long enough for what must not come to have come; what is missed makes no test fail.
const SILENCE: Duration = Duration::from_millis(300);
/// How often a subscriber is cut.
const CUTS: usize = 200;
const NEWEST: &str = "SELECT last_event_id FROM t_im_event_head";

/// Waits until everything that has happened has its place in the log; the newest id.
async fn sequence(app: &TestApp) -> i64 {
    app.until("SELECT count(*) FROM t_im_event_new", 0).await;
    app.count(NEWEST, &[]).await
}

/// Puts an event into the log; its id.
async fn log(app: &TestApp, kind: &str, (channel, seq): (&str, Option<i64>), audience: &[&str]) -> i64 {
    let sql = "WITH head AS (UPDATE t_im_event_head SET last_event_id = last_event_id + 1 RETURNING last_event_id) \
         INSERT INTO t_im_event (event_id, type, channel_id, seq, data, audience, at) \
         SELECT last_event_id, $1, $2, $3, '{\"by\": \"a\"}', $4, now() FROM head RETURNING event_id";
    let channel: i64 = channel.parse().unwrap();
    app.count(sql, &[&kind, &channel, &seq, &audience]).await
}

/// A stream whose hello was heard.
async fn listen(client: &Client, after: Option<i64>) -> Listener {
    let mut listener = client.listen(after).await;
    let hello = listener.expect("hello").await;
    assert!(after.is_none_or(|after| hello.id == after), "whoever resumes does so from their own");
    listener
}

/// The words of a message, which its event tells as the contract has it.
fn words(told: &StreamEvent) -> String {
    assert_eq!(told.event, "message.created", "{told:?}");
    assert_fits("StreamedEvent", &told.data);
    assert_eq!(told.data["type"], "message.created");
    assert_eq!(told.data["channel_id"], told.data["data"]["channel_id"]);
    text(&told.data["data"]["content"]["text"])
}

#[tokio::test]
async fn a_person_is_told_what_happens_in_their_channels_in_order() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let (group, direct) = (app.group(&["a", "b"]).await, app.direct("a", "c").await);
    let mut streams = [listen(&app.person("a"), None).await, listen(&app.person("b"), None).await];
    let mut tabs = listen(&app.person("b"), None).await;
    assert_eq!(tabs.header("content-type"), "text/event-stream");
    assert_eq!(tabs.header("cache-control"), "no-store, no-transform");
    assert!(tabs.retry_ms.is_some_and(|ms| ms >= 500));
    for (channel, said) in [(&group, "one"), (&direct, "two"), (&group, "three")] {
        app.say("a", channel, said).await;
        sequence(&app).await;
    }
    for said in ["one", "two", "three"] {
        assert_eq!(words(&streams[0].next().await.unwrap()), said);
    }
    for stream in [&mut streams[1], &mut tabs] {
        let first = stream.next().await.unwrap();
        assert_eq!(words(&first), "one");
        assert_eq!(first.data["data"]["seq"], 1);
        assert_eq!(first.data["data"]["sender"], "a");
        assert_eq!(words(&stream.next().await.unwrap()), "three");
    }
    // What is no channel's, and of a type that streams do not tell.
    log(&app, "message.received", (&group, Some(1)), &[]).await;
    log(&app, "presence.changed", (&group, None), &["a", "b"]).await;
    log(&app, "channel.updated", (&group, None), &[]).await;
    for stream in streams.iter_mut().chain([&mut tabs]) {
        let told = stream.expect("channel.updated").await;
        assert_fits("StreamedEvent", &told.data);
        assert_eq!(told.data["data"], json!({"by": "a"}));
    }
}

#[tokio::test]
async fn a_message_taken_back_before_it_is_read_from_the_log_is_empty() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let group = app.group(&["a", "b"]).await;
    let stream = listen(&app.person("b"), None).await;
    let since = stream.last_id;
    drop(stream);
    let sent = app.say("a", &group, "a slip").await;
    sequence(&app).await;
    app.person("a").post(&format!("/messages/{}/recall", text(&sent["ms_id"])), json!({})).await.expect(200);
    let told = listen(&app.person("b"), since).await.expect("message.created").await;
    assert_fits("StreamedEvent", &told.data);
    assert_eq!(told.data["data"]["content"], json!({}));
    assert_eq!(told.data["data"]["recalled"], true);
}

#[tokio::test]
async fn who_is_removed_is_not_told_a_later_name_of_the_group() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let group = app.group(&["a", "b", "c"]).await;
    let stream = listen(&app.person("b"), None).await;
    let since = stream.last_id;
    drop(stream);
    let a = app.person("a");
    a.delete(&format!("/channels/{group}/members/b")).await.expect(204);
    a.patch(&format!("/channels/{group}"), json!({"name": "redundancies"})).await.expect(200);
    sequence(&app).await;
    let told = listen(&app.person("b"), since).await.expect("channel.members_removed").await;
    assert_fits("StreamedEvent", &told.data);
    assert_eq!(told.data["channel_name"], "a group");
}

#[tokio::test]
async fn a_silent_stream_beats_and_its_id_moves_on() {
    let app = TestApp::start_with("stream_heartbeat_ms = 20").await;
    app.people(&["a", "b", "c"]).await;
    let direct = app.direct("a", "c").await;
    let mut stream = listen(&app.person("b"), None).await;
    app.say("a", &direct, "not for b").await;
    let newest = sequence(&app).await;
    let started = Instant::now();
    while stream.last_id != Some(newest) {
        stream.beat().await;
        assert!(started.elapsed() < LONG, "still at {:?}, not {newest}", stream.last_id);
    }
}

#[tokio::test]
async fn who_comes_back_is_told_what_they_missed_and_then_what_comes() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let group = app.group(&["a", "b"]).await;
    let mut stream = listen(&app.person("b"), None).await;
    app.say("a", &group, "heard").await;
    sequence(&app).await;
    assert_eq!(words(&stream.next().await.unwrap()), "heard");
    let since = stream.last_id;
    drop(stream);
    // More than is written out at once.
    for i in 0..120 {
        app.say("a", &group, &format!("missed {i}")).await;
    }
    sequence(&app).await;
    let mut stream = listen(&app.person("b"), since).await;
    app.say("a", &group, "live").await;
    sequence(&app).await;
    for i in 0..120 {
        assert_eq!(words(&stream.next().await.unwrap()), format!("missed {i}"));
    }
    assert_eq!(words(&stream.next().await.unwrap()), "live");
}

#[tokio::test]
async fn an_id_may_come_as_a_parameter_and_a_newer_header_goes_before_it() {
    let app = TestApp::start_with("stream_life_ms = 300").await;
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    let a = app.person("a");
    let first = listen(&a, None).await.last_id.unwrap();
    app.say("a", &direct, "one").await;
    let second = sequence(&app).await;
    app.say("a", &direct, "two").await;
    sequence(&app).await;
    let path = format!("/events?last_event_id={first}");
    let both = text(&a.get(&path).await.expect(200));
    assert!(both.contains("\"one\"") && both.contains("\"two\""), "{both}");
    let newer = a.clone().with_header("last-event-id", &second.to_string());
    let one = text(&newer.get(&path).await.expect(200));
    assert!(!one.contains("\"one\"") && one.contains("\"two\""), "{one}");
    // What a client gives that browsers or libraries of event streams write, and what may only be a mistake.
    let resumed = |text: &str| (text.contains("\"one\""), text.contains("\"two\""), text.contains("resync"));
    for (query, expected) in [
        (format!("lastEventId={second}"), (false, true, false)),
        (format!("last_event_id={first}&last_event_id={second}"), (false, true, false)),
        (format!("last_event_id={second}&lastEventId=&channel_id=1"), (false, true, false)),
        ("last_event_id=".into(), (false, false, false)),
        ("last_event_id=-1".into(), (false, false, true)),
        ("last_event_id=1.5".into(), (false, false, true)),
        (format!("last_event_id=0{}", i64::MAX), (false, false, true)),
    ] {
        let answer = a.get(&format!("/events?{query}")).await;
        assert_eq!(answer.header("cache-control"), "no-store, no-transform");
        assert_eq!(resumed(&text(&answer.expect(200))), expected, "{query}");
    }
    for (header, expected) in [("", (true, true, false)), ("next", (false, false, true))] {
        let with = a.clone().with_header("last-event-id", header);
        assert_eq!(resumed(&text(&with.get(&path).await.expect(200))), expected, "{header:?}");
    }
}

#[tokio::test]
async fn who_cannot_resume_is_told_to_load_anew_and_goes_on_from_now() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    let a = app.person("a");
    let first = listen(&a, None).await.last_id.unwrap();
    for i in 0..5 {
        app.say("b", &direct, &format!("{i}")).await;
    }
    let kept = sequence(&app).await - 2;
    app.sql().await.execute("DELETE FROM t_im_event WHERE event_id <= $1", &[&kept]).await.unwrap();
    for (after, reason) in [(first, "too_old"), (kept + 1_000, "unknown_event"), (i64::MAX, "unknown_event")]
    {
        let newest = app.count(NEWEST, &[]).await;
        let mut stream = a.listen(Some(after)).await;
        let told = stream.expect("resync").await;
        assert_eq!(told.data, json!({"reason": reason}));
        assert_fits("Resync", &told.data);
        let hello = stream.expect("hello").await;
        // The tail of a stream before may not have come to the newest yet.
        assert!(told.id == hello.id && told.id <= newest && told.id >= kept + 2, "{told:?} {newest}");
        let said = format!("after {after}");
        app.say("b", &direct, &said).await;
        let id = sequence(&app).await;
        assert_eq!(words(stream.until(id).await.last().unwrap()), said);
    }
    assert_eq!(words(&listen(&a, Some(kept)).await.next().await.unwrap()), "3");
    app.sql().await.execute("UPDATE t_im_event_head SET complete_from = last_event_id", &[]).await.unwrap();
    assert_eq!(a.listen(Some(kept + 1)).await.expect("resync").await.data, json!({"reason": "incomplete"}));
}

/// Cuts a listener at random and resumes after the event `since`, on one replica after the other, until all
/// events up to `last` have come.
async fn heard_in_pieces(
    replicas: [Client; 2],
    dice: &mut Dice,
    mut since: i64,
    last: impl Fn() -> Option<i64>,
) -> Vec<StreamEvent> {
    let (mut heard, mut cuts) = (Vec::<StreamEvent>::new(), 0);
    let mut moved = Instant::now();
    loop {
        let mut stream = dice.pick(&replicas).listen(Some(since)).await;
        let cut = tokio::time::sleep(dice.pause(0, 25));
        tokio::pin!(cut);
        loop {
            tokio::select! {
                told = stream.next() => match told {
                    Some(told) if told.event == "hello" => {}
                    told => heard.push(told.expect("nobody ends it but we")),
                },
                () = &mut cut => break,
            }
            // What is cut off half way was not heard.
        }
        let before = since;
        since = stream.last_id.unwrap_or(before);
        cuts += 1;
        let all = last().is_some_and(|last| since >= last);
        if cuts >= CUTS && all {
            return heard;
        }
        // How long it all takes is the machine's affair; that nothing comes any more is not.
        if since > before || all {
            moved = Instant::now();
        }
        assert!(moved.elapsed() < LONG, "{cuts} cuts and {} events, up to {since}", heard.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_cut_two_hundred_times_is_told_everything_once() {
    // The tail is quick, so that it moves while b resumes.
    let settings = "stream_heartbeat_ms = 5\nstream_poll_ms = 2";
    let one = TestApp::start_with(settings).await;
    let two = TestApp::start_on(one.database.clone(), settings).await;
    one.people(&["a", "b", "c"]).await;
    let channels = [one.group(&["a", "b"]).await, one.direct("a", "b").await, one.direct("a", "c").await];
    let first = listen(&one.person("b"), None).await.last_id.unwrap();
    // Others go on listening, so that a tail is anywhere when b joins it.
    let mut company =
        [listen(&one.person("a"), Some(first)).await, listen(&two.person("a"), Some(first)).await];
    let last = std::sync::atomic::AtomicI64::new(0);
    let sending = async {
        let mut dice = Dice::new(7);
        let mut sent = Vec::new();
        for i in 0..500 {
            let channel = dice.pick(&channels);
            one.say("a", channel, &format!("{i}")).await;
            sent.extend((*channel != channels[2]).then(|| format!("{i}")));
            if dice.percent(40) {
                sequence(&two).await;
            }
        }
        // For b, so that they know when they have all.
        one.say("a", &channels[0], "end").await;
        sent.push("end".into());
        last.store(sequence(&one).await, std::sync::atomic::Ordering::Release);
        sent
    };
    let mut dice = Dice::new(11);
    let last = || Some(last.load(std::sync::atomic::Ordering::Acquire)).filter(|last| *last > 0);
    let replicas = [one.person("b"), two.person("b")];
    let [beside, beside_too] = &mut company;
    // From `first` on: what is sent before b listens again is theirs all the same.
    let (sent, heard, whole, whole_too) = tokio::join!(
        sending,
        heard_in_pieces(replicas, &mut dice, first, last),
        beside.through("end"),
        beside_too.through("end"),
    );
    let heard: Vec<String> = heard.iter().map(words).collect();
    assert_eq!(heard, sent);
    assert_eq!(whole.len(), 501);
    assert_eq!(whole, whole_too);
}

/// A client of b's that asks for a stream by hand and reads no further than it must.
async fn lazy(app: &TestApp, after: Option<i64>) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut lazy = socket.connect(app.base.trim_start_matches("http://").parse().unwrap()).await.unwrap();
    let after = after.map_or_else(String::new, |id| format!("last-event-id: {id}\r\n"));
    let head = "GET /api/v1/events HTTP/1.1\r\nhost: x\r\nx-user-id: b\r\nconnection: close\r\n";
    lazy.write_all(format!("{head}{after}\r\n").as_bytes()).await.unwrap();
    let mut status = [0; 12];
    lazy.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    lazy
}

/// Sends large messages, which fill the buffers between us; the event of the last one.
async fn flood(app: &TestApp, channel: &str, messages: usize) -> i64 {
    let send = json!({"channel_id": channel, "type": "text", "content": {"text": "x".repeat(20_000)}});
    app.person("a").post("/messages", json!(vec![send; messages])).await.expect(200);
    sequence(app).await
}

#[tokio::test]
async fn a_slow_reader_is_told_to_load_anew_and_nothing_is_kept_for_it() {
    let app = TestApp::start_with("stream_queue = 60\nstream_heartbeat_ms = 50").await;
    app.people(&["a", "b", "c"]).await;
    let group = app.group(&["a", "b", "c"]).await;
    let mut slow = lazy(&app, None).await;
    let mut quick = listen(&app.person("c"), None).await;
    for _ in 0..20 {
        let newest = flood(&app, &group, 30).await;
        assert_eq!(quick.until(newest).await.len(), 30);
    }
    // It reads again: what was on its way, then why nothing more comes, then the end.
    let mut rest = Vec::new();
    tokio::time::timeout(LONG, slow.read_to_end(&mut rest)).await.expect("the stream ends").unwrap();
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.matches("event: message.created").count() < 500, "what waits is bounded");
    let (_, end) = rest.split_once("event: resync").expect("it is told");
    assert!(end.contains("too_slow") && !end.contains("event:"), "and nothing after it: {end}");
    quick.beat().await;
}

/// Reads on until what was read holds this.
async fn read_through(socket: &mut TcpStream, read: &mut Vec<u8>, words: &str) {
    let holds = |read: &[u8]| read.windows(words.len()).any(|window| window == words.as_bytes());
    let reading = async {
        let mut seen = 0;
        while !holds(&read[seen..]) {
            seen = read.len().saturating_sub(words.len());
            assert_ne!(socket.read_buf(read).await.expect("the stream goes on"), 0, "the stream goes on");
        }
    };
    tokio::time::timeout(LONG, reading).await.unwrap_or_else(|_| panic!("{words:?} comes"));
}

#[tokio::test]
async fn what_comes_while_somebody_catches_up_is_told_after_it() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let group = app.group(&["a", "b", "c"]).await;
    let mut beside = listen(&app.person("c"), None).await;
    let since = beside.last_id;
    for _ in 0..13 {
        let newest = flood(&app, &group, 30).await;
        beside.until(newest).await;
    }
    // What is missed is found in the log at once, but is more than the buffers between us hold.
    let mut lazy = lazy(&app, since).await;
    let mut read = Vec::new();
    read_through(&mut lazy, &mut read, "event: message.created").await;
    app.say("a", &group, "between").await;
    sequence(&app).await;
    beside.through("between").await;
    read_through(&mut lazy, &mut read, "\"between\"").await;
    let told = String::from_utf8(read).unwrap().matches("event: message.created").count();
    assert_eq!(told, 13 * 30 + 1, "each once");
}

#[tokio::test]
async fn a_client_that_takes_nothing_loses_its_connection() {
    let app = TestApp::start_with("write_timeout_ms = 500\nstreams_per_user = 1").await;
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    let stuck = lazy(&app, None).await;
    app.person("b").get("/events").await.expect_problem(429, "too-many-streams");
    flood(&app, &direct, 10).await;
    // Its place is free again although it never closed its end.
    gets_a_stream(&app, "b").await;
    drop(stuck);
}

/// Waits until there is a place: the service sees the end of another connection a moment after it.
async fn gets_a_stream(app: &TestApp, person: &str) {
    let (http, started) = (reqwest::Client::new(), Instant::now());
    loop {
        let request = http.get(format!("{}/api/v1/events", app.base)).header("x-user-id", person);
        if request.send().await.unwrap().status() == 200 {
            return;
        }
        assert!(started.elapsed() < LONG, "there is no place");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn streams_are_limited_and_a_place_is_given_back() {
    let app = TestApp::start_with("streams_per_user = 2\nstreams_max = 3").await;
    app.people(&["a", "b", "c"]).await;
    let (a, b) = (app.person("a"), app.person("b"));
    let mut open = vec![listen(&a, None).await, listen(&a, None).await];
    a.get("/events").await.expect_problem(429, "too-many-streams");
    open.push(listen(&b, None).await);
    let reply = app.person("c").get("/events").await;
    assert_eq!(reply.header("retry-after"), "1");
    reply.expect_problem(503, "unavailable");
    open.remove(0);
    gets_a_stream(&app, "c").await;
    Client::anonymous(&format!("{}/api/v1", app.base))
        .get("/events")
        .await
        .expect_problem(401, "unauthenticated");
    app.person("nobody").get("/events").await.expect_problem(403, "unknown-user");
}

#[tokio::test]
async fn who_is_taken_out_is_told_so_and_then_nothing() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let (group, other) = (app.group(&["a", "b"]).await, app.direct("a", "b").await);
    let mut stream = listen(&app.person("b"), None).await;
    let since = stream.last_id;
    app.say("a", &group, "still here").await;
    sequence(&app).await;
    assert_eq!(words(&stream.next().await.unwrap()), "still here");
    app.person("a").delete(&format!("/channels/{group}/members/b")).await.expect(204);
    app.say("a", &group, "b is gone").await;
    sequence(&app).await;
    log(&app, "channel.updated", (&group, None), &[]).await;
    app.say("a", &other, "in another channel").await;
    sequence(&app).await;
    let mut resumed = listen(&app.person("b"), since).await;
    // Nor do they hear again, by coming back, what they may no longer read.
    for stream in [&mut stream, &mut resumed] {
        assert_eq!(stream.expect("channel.members_removed").await.data["channel_id"], group);
        assert_eq!(words(&stream.next().await.unwrap()), "in another channel");
    }
}

/// What happens, who hears it at once and who later: alike, but for the channels that they are no longer in.
#[tokio::test]
async fn what_is_resumed_is_what_was_told_live() {
    let app = TestApp::start_with("stream_heartbeat_ms = 20").await;
    let people = ["a", "b", "c", "d", "e"];
    app.people(&people).await;
    // One channel is so large that those who listen are looked up in it.
    let crowd = app.crowd(300).await;
    let mut channels = vec![app.group(&["a", "b"]).await, app.group(&["a", "c", "d"]).await];
    let everybody: Vec<&str> = people.into_iter().chain(crowd.iter().map(String::as_str)).collect();
    channels.push(app.group(&everybody).await);
    let all = "UPDATE t_im_channel SET newcomers_see = 'everything' WHERE channel_id = $1";
    app.sql().await.execute(all, &[&channels[1].parse::<i64>().unwrap()]).await.unwrap();
    let clients: Vec<Client> = people.iter().map(|person| app.person(person)).collect();
    let mut live = join_all(clients.iter().map(|client| listen(client, None))).await;
    let since = live[0].last_id;
    let mut heard = vec![Vec::<StreamEvent>::new(); people.len()];
    let mut dice = Dice::new(3);
    let mut said = HashMap::<&str, i64>::new();
    for i in 0..150 {
        let channel = dice.pick(&channels).as_str();
        let member = *dice.pick(&people[1..]);
        let last = *said.get(channel).unwrap_or(&0);
        match dice.below(6) {
            0 => drop(app.person("a").delete(&format!("/channels/{channel}/members/{member}")).await),
            1 => {
                let body = json!({"user_ids": [member]});
                app.person("a").post(&format!("/channels/{channel}/members"), body).await.expect(200);
            }
            2 if last > 0 => {
                let seq = 1 + dice.below(last as usize) as i64;
                log(&app, "message.recalled", (channel, Some(seq)), &[]).await;
            }
            3 if last > 0 => {
                let seq = 1 + dice.below(last as usize) as i64;
                log(&app, "message.read", (channel, Some(seq)), &[]).await;
            }
            _ => {
                let sent = app.say("a", channel, &format!("{i}")).await;
                said.insert(channel, sent["seq"].as_i64().unwrap());
            }
        }
        // Everybody is told before the next step: who is taken out hears no more of what they have not heard.
        let newest = sequence(&app).await;
        for (live, heard) in live.iter_mut().zip(&mut heard) {
            heard.extend(live.up_to(newest).await);
        }
    }
    let end = log(&app, "channel.updated", (&channels[2], None), &people).await;
    for ((person, client), (live, heard)) in people.iter().zip(&clients).zip(live.iter_mut().zip(&mut heard))
    {
        heard.extend(live.up_to(end).await);
        let resumed = listen(client, since).await.up_to(end).await;
        let listed = client.get("/conversations?limit=200").await.expect(200);
        let inside = |told: &&StreamEvent| {
            let mut mine = listed["items"].as_array().unwrap().iter();
            // That it was read or taken back, and what is done to a channel, is told to who is in it then.
            told.event == "message.created" && mine.any(|mine| mine["channel_id"] == told.data["channel_id"])
        };
        let lasting =
            |told: &[StreamEvent]| told.iter().filter(inside).map(|told| told.id).collect::<Vec<_>>();
        assert_eq!(lasting(heard), lasting(&resumed), "{person}");
        // A second opinion: the messages of those channels that they were to get.
        let messages = lasting(&resumed).len() as i64;
        let member = "SELECT count(*) FROM t_im_message m WHERE EXISTS (SELECT FROM t_im_channel_user u \
                      WHERE u.channel_id = m.channel_id AND u.user_id = $1 AND m.seq >= u.from_seq \
                        AND m.seq <= coalesce(u.to_seq, m.seq)) \
                      AND m.channel_id IN (SELECT channel_id FROM t_im_channel_user WHERE user_id = $1 AND to_seq IS NULL)";
        assert_eq!(app.count(member, &[person]).await, messages, "{person}");
    }
    let ids = |told: &[StreamEvent]| told.iter().map(|told| told.id).collect::<Vec<_>>();
    assert!(heard[1..].iter().any(|one| ids(one) != ids(&heard[0])), "not everybody hears everything");
}

#[tokio::test]
async fn a_stream_begins_when_nothing_under_way_can_miss_the_log() {
    let one = TestApp::start().await;
    let two = TestApp::start_on(one.database.clone(), "").await;
    one.people(&["a", "b"]).await;
    let group = one.group(&["a", "b"]).await;
    for round in 0..2 {
        let mut early = one.sql().await;
        let early = early.transaction().await.unwrap();
        let name = format!("before anybody listened {round}");
        early.execute("UPDATE t_im_channel SET channel_name = $1", &[&name]).await.unwrap();
        let wanted = early.query_one("SELECT im_event_wanted('channel.updated')", &[]).await.unwrap();
        assert!(!wanted.get::<_, bool>(0), "it leaves its event out");
        let (first, second) = (one.person("b"), two.person("a"));
        let open = tokio::spawn(async move { listen(&first, None).await });
        one.until("SELECT count(*) FROM t_im_event_head WHERE streams_until > im_clock()", 1).await;
        let open_too = tokio::spawn(async move { listen(&second, None).await });
        tokio::time::sleep(SILENCE).await;
        assert!(!open.is_finished() && !open_too.is_finished(), "who listens would miss what is under way");
        early.commit().await.unwrap();
        let (mut open, mut open_too) = (open.await.unwrap(), open_too.await.unwrap());
        let channel = one.person("b").get(&format!("/channels/{group}")).await.expect(200);
        assert_eq!(channel["name"], name);
        let whole_from = one.count("SELECT complete_from FROM t_im_event_head", &[]).await;
        assert!(open.last_id.unwrap() >= whole_from && open_too.last_id.unwrap() >= whole_from);
        // The log is switched on: nobody waits for others any more.
        let mut late = one.sql().await;
        let late = late.transaction().await.unwrap();
        late.execute("UPDATE t_im_channel SET channel_name = $1", &[&name]).await.unwrap();
        listen(&two.person("b"), open.last_id).await;
        late.commit().await.unwrap();
        // Nobody looks after it: the log is not whole, and whoever listens learns it.
        one.sql().await.execute("UPDATE t_im_event_head SET streams_until = '-infinity'", &[]).await.unwrap();
        for stream in [&mut open, &mut open_too] {
            assert_eq!(stream.expect("resync").await.data, json!({"reason": "incomplete"}));
            assert!(stream.next().await.is_none());
        }
        one.sql().await.execute("UPDATE t_im_event_head SET streams_until = '-infinity'", &[]).await.unwrap();
    }
}

#[tokio::test]
async fn who_began_while_the_log_was_being_switched_on_is_waited_for_and_other_databases_are_not() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    app.group(&["a", "b"]).await;
    // Somebody else's long transaction, older than everything here.
    let elsewhere = shared().connect(&shared().fresh_database(None).await).await;
    elsewhere.batch_execute("BEGIN; CREATE TABLE elsewhere ()").await.unwrap();
    // Switching on has its transaction's id, and waits for the row.
    let mut holding = app.sql().await;
    let holding = holding.transaction().await.unwrap();
    holding.execute("SELECT FROM t_im_event_head FOR UPDATE", &[]).await.unwrap();
    let client = app.person("b");
    let open = tokio::spawn(async move { listen(&client, None).await });
    let switching = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                     AND wait_event_type = 'Lock' AND query LIKE '-- Has every event written%'";
    app.until(switching, 1).await;
    let mut early = app.sql().await;
    let early = early.transaction().await.unwrap();
    early.execute("UPDATE t_im_channel SET channel_name = 'new'", &[]).await.unwrap();
    let wanted = early.query_one("SELECT im_event_wanted('channel.updated')", &[]).await.unwrap();
    assert!(!wanted.get::<_, bool>(0), "it leaves its event out");
    holding.rollback().await.unwrap();
    app.until("SELECT count(*) FROM t_im_event_head WHERE streams_until > im_clock()", 1).await;
    tokio::time::sleep(SILENCE).await;
    assert!(!open.is_finished(), "who listens would miss what is under way");
    early.commit().await.unwrap();
    open.await.unwrap();
    elsewhere.batch_execute("ROLLBACK").await.unwrap();
}

#[tokio::test]
async fn a_stream_that_goes_on_keeps_the_log_whole() {
    let app = TestApp::start_with("stream_keep_ms = 60000").await;
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    let mut stream = listen(&app.person("b"), None).await;
    let soon = "UPDATE t_im_event_head SET streams_until = im_clock() + interval '20 s'";
    app.sql().await.execute(soon, &[]).await.unwrap();
    let later = "SELECT count(*) FROM t_im_event_head WHERE streams_until > im_clock() + interval '30 s'";
    app.until(later, 1).await;
    app.say("a", &direct, "still told").await;
    sequence(&app).await;
    assert_eq!(words(&stream.next().await.unwrap()), "still told");
}

#[tokio::test]
async fn stopping_waits_for_no_stream() {
    let mut app = TestApp::start().await;
    app.people(&["a"]).await;
    let mut stream = listen(&app.person("a"), None).await;
    let since = stream.last_id;
    let started = Instant::now();
    app.halt().await;
    assert!(started.elapsed() < Duration::from_secs(10), "less than the grace of requests");
    assert!(stream.next().await.is_none(), "an end in order");
    app.run().await;
    listen(&app.person("a"), since).await;
}

#[tokio::test]
async fn whose_proof_ends_hears_no_more() {
    let app = TestApp::start_with("stream_heartbeat_ms = 20").await;
    app.people(&["a", "b", "oa"]).await;
    let mut stays = listen(&app.person("b"), None).await;
    let mut leaves = listen(&app.person("a"), None).await;
    let now = app.store.now().await.unwrap();
    let mut with_token = Vec::new();
    for (name, expires_at) in
        [("lasting", now + time::Duration::DAY), ("short", now + time::Duration::SECOND)]
    {
        let roles = Roles::default().with(Role::User);
        let token = NewToken { name, user_id: "oa", roles, expires_at };
        let token = token::create(&app.store, &token, now).await.unwrap();
        let bearer = format!("Bearer {}", token.expose());
        let client = Client::anonymous(&format!("{}/api/v1", app.base)).with_header("authorization", &bearer);
        with_token.push(listen(&client, None).await);
    }
    assert!(with_token[1].next().await.is_none(), "until the token ends");
    with_token[0].beat().await;
    let tokens = token::list(&app.store).await.unwrap();
    let lasting = tokens.iter().find(|token| token.name == "lasting").unwrap();
    token::revoke(&app.store, &lasting.token_id, app.store.now().await.unwrap()).await.unwrap();
    assert!(with_token[0].next().await.is_none(), "until it is revoked");
    let leaver = json!({"users": [{"user_id": "a", "name": "A", "active": false}]});
    app.client("hr", &["directory"]).post("/directory/changes", leaver).await.expect(200);
    assert!(leaves.next().await.is_none(), "until they leave");
    stays.beat().await;
}
