//! (j) 200 sign-ins a second with passwords, and sends beside them.

use std::time::Duration;

use serde_json::{Value, json};

use super::direct::beside_alone;
use super::http::Request;
use super::load::{Load, Work, paced};
use super::report::Report;
use super::support::Client;
use super::world::World;

/// What the service of this section has beside the settings of all. Its passwords are hashed as by default.
pub const SETTINGS: &[(&str, &str)] = &[
    ("identity_mode", "accounts"),
    ("account_register", "open"),
    // All come from one address.
    ("account_address_attempts", "1000000"),
];
const PASSWORD: &str = "correct horse battery";
const SENDERS: usize = 16;
const PEOPLE: usize = 64;
/// Connections that sign in. More than the queue of passwords has places, so that none holds up the pace.
const DOORS: usize = 200;
const SENDS: f64 = 200.0;
const SIGN_INS: f64 = 200.0;
const LENGTH: Duration = Duration::from_secs(10);
/// How often the sends are timed, alone and beside sign-ins.
const ROUNDS: u32 = 3;
const MOST: Duration = Duration::from_secs(60);

pub async fn measure(world: &World<'_>, report: &mut Report) {
    let names: Vec<String> = (0..PEOPLE).map(|n| format!("person-{n}")).collect();
    let mut people = Vec::new();
    for name in &names {
        people.push(register(world, name).await);
    }
    let mut senders = Vec::new();
    for (at, (token, _)) in people.iter().enumerate().take(SENDERS) {
        let other = &people[at + SENDERS].1;
        let body = json!({"type": "direct", "members": [other]});
        let made = caller(world, token).post("/channels", body).await.expect(201);
        let channel = made["channel_id"].as_str().and_then(|id| id.parse().ok()).expect("a channel");
        senders.push(vec![Request::send_as(channel, &format!("authorization: Bearer {token}"))]);
    }
    let body = |name: &String| json!({"username": name, "password": PASSWORD}).to_string();
    let sign_in = |name: &String| vec![Request::post_as("/users/login", "accept: */*", &body(name))];
    // A user has so many sessions: the oldest ends. Those who send do not sign in again.
    let doors: Vec<Work> = names[2 * SENDERS..].iter().cycle().take(DOORS).map(sign_in).collect();
    world.settle_down().await;

    let (mut alone, mut beside, mut signed_in) = (Load::default(), Load::default(), Load::default());
    world.watch_memory();
    // By turns, so that what else changes falls on both. Each begins when nothing is left to push.
    for _ in 0..ROUNDS {
        assert!(world.drained(MOST).await, "(j): pushes are left");
        alone.add(paced(world.address(), senders.clone(), LENGTH, SENDS).await);
        assert!(world.drained(MOST).await, "(j): pushes are left");
        let sends = paced(world.address(), senders.clone(), LENGTH, SENDS);
        let (sends, sign_ins) = tokio::join!(sends, paced(world.address(), doors.clone(), LENGTH, SIGN_INS));
        beside.add(sends);
        signed_in.add(sign_ins);
    }
    let (mut alone, mut beside) = (alone.or_panic("sends alone"), beside.or_panic("sends beside"));
    report.add(beside_alone("(j) direct sends beside 200 sign-ins a second", &mut beside, &mut alone));
    let asked = signed_in.latencies.len() + signed_in.failed;
    let seconds = (LENGTH * ROUNDS).as_secs_f64();
    report.note(format!(
        "(j) {:.0} sign-ins a second were asked for: {:.0} signed in (p50 {:.0} ms), {:.0} got 503 at once; \
         memory {:.0} MB at most",
        asked as f64 / seconds,
        signed_in.latencies.len() as f64 / seconds,
        signed_in.percentile(0.5),
        signed_in.busy as f64 / seconds,
        world.memory_peak(),
    ));
    assert_eq!(signed_in.failed, signed_in.busy, "(j): a sign-in is answered with 200 or 503");
    assert!(!signed_in.latencies.is_empty(), "(j): nobody signed in");
}

fn caller(world: &World<'_>, token: &str) -> Client {
    Client::anonymous(&world.service.api()).with_header("authorization", &format!("Bearer {token}"))
}

/// A person with an account: the access token and the user id.
async fn register(world: &World<'_>, username: &str) -> (String, String) {
    let stranger = Client::anonymous(&world.service.api());
    let new = json!({"username": username, "password": PASSWORD, "name": username});
    let made = stranger.post("/users/register", new).await.expect(201);
    let grant =
        stranger.post("/users/login", json!({"username": username, "password": PASSWORD})).await.expect(200);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    (text(&grant["access_token"]), text(&made["user_id"]))
}
