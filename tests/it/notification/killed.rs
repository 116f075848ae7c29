//! SIGKILL of both replicas while a notification to 20,000 is sent, again and again.

use std::time::Instant;

use serde_json::json;

use super::{counts, words};
use crate::app::{LONG, text};
use crate::support::{Client, Service, shared};

const RECEIVERS: i64 = 20_000;
const KILLS: i64 = 5;
const SETTINGS: &[(&str, &str)] = &[
    ("log", "warn,im_push_gateway=info"),
    ("database_pool_size", "8"),
    ("poll_ms", "20"),
    ("callback_url", "none"),
];
/// The receivers who have a message, in a channel with one message.
const ONCE: &str = "SELECT count(DISTINCT l.receiver) FROM t_im_channel c \
    JOIN t_im_message m ON m.channel_id = c.channel_id \
    JOIN v_im_ledger l ON l.ms_id = m.ms_id AND l.receiver = c.pair_high \
    WHERE c.pair_low = 'oa' AND c.last_seq = 1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_20_000_has_it_once_however_often_the_replicas_are_killed() {
    let database = crate::app::database().await;
    let sql = shared().connect(&database).await;
    let crowd = "INSERT INTO t_im_user (user_id, name, updated_at, words_due) \
                 SELECT 'u' || to_char(i, 'FM00000'), 'n' || i, now(), false FROM generate_series(1, $1::bigint) i";
    sql.execute(crowd, &[&RECEIVERS]).await.expect("a crowd");
    let url = shared().url(&database);
    let mut settings = SETTINGS.to_vec();
    settings.push(("database_url", url.as_str()));
    let binary = env!("CARGO_BIN_EXE_im-push-gateway");
    let mut services = [Service::start(binary, &settings).await, Service::start(binary, &settings).await];
    let api = services[0].api();
    let application = json!({"users": [{"user_id": "oa", "name": "OA", "kind": "application"}]});
    Client::new(&api, "hr", &["directory"]).post("/directory/changes", application).await.expect(200);
    let oa = Client::new(&api, "oa", &[]);
    let made = oa.post("/notifications", words("1", json!({"all": true}))).await.expect(202);
    assert_eq!(made["receivers"], RECEIVERS);
    let path = format!("/notifications/{}", text(&made["notification_id"]));
    let sent = async || -> i64 {
        let sent = "SELECT sent::bigint FROM t_im_notification";
        sql.query_one(sent, &[]).await.expect("a count").get(0)
    };
    let reach = async |wanted: i64| {
        let (mut last, mut moved) = (0, Instant::now());
        while last < wanted {
            let now = sent().await;
            if now > last {
                (last, moved) = (now, Instant::now());
            }
            assert!(moved.elapsed() < LONG, "it stays at {last}");
            tokio::task::yield_now().await;
        }
    };
    let mut cut = 0;
    for kill in 1..=KILLS {
        reach(kill * RECEIVERS / (KILLS + 1)).await;
        services.iter_mut().for_each(Service::kill9);
        let at = sent().await;
        cut += i64::from(at < RECEIVERS);
        let [one, two] = &mut services;
        tokio::join!(one.restart(), two.restart());
        let counts = counts(&oa, &path).await;
        assert!(counts["unreceived"].as_i64() >= Some(at), "{counts}");
    }
    assert!(cut > 0, "no kill came in the middle");
    reach(RECEIVERS).await;
    for count in [ONCE, "SELECT count(*) FROM t_im_message", "SELECT count(*) FROM t_im_channel"] {
        assert_eq!(sql.query_one(count, &[]).await.expect("a count").get::<_, i64>(0), RECEIVERS, "{count}");
    }
    assert_eq!(counts(&oa, &path).await, json!({"unreceived": RECEIVERS}));
    assert_eq!(oa.get(&path).await.expect(200)["state"], "sent");
}
