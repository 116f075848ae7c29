//! An earlier version fills a database, this one takes it over, and both run beside each other meanwhile.
//!
//! `OLD_BINARY` is the earlier version: `make soak` builds it with `tests/old-binary`.

use serde_json::{Value, json};

use super::scene::{BINARY, Mended, Scene, all_answered};
use crate::app::{LEFT_OVER, text};
use crate::support::{Client, Service, shared};

/// Who reads a channel, at a replica.
fn readers(scene: &Scene, replica: usize) -> Vec<(Client, String)> {
    let api = scene.services[replica].api();
    let all =
        scene.channels.iter().flat_map(|channel| channel.members.iter().map(move |member| (channel, member)));
    all.map(|(channel, member)| (Client::new(&api, member, &[]), format!("/channels/{}", channel.id)))
        .collect()
}

/// What does not change any more: the oldest messages of each channel, and who has the first of them.
async fn oldest(scene: &Scene, replica: usize) -> Vec<Value> {
    let desk = Client::new(&scene.services[replica].api(), "desk", &["support"]);
    let mut shown = Vec::new();
    for (reader, channel) in readers(scene, replica) {
        let page = reader.get(&format!("{channel}/messages?after_seq=0&limit=2")).await.expect(200);
        let receipts = format!("/messages/{}/receipts?reason=a+test", text(&page["items"][0]["ms_id"]));
        shown.push(desk.get(&receipts).await.expect(200));
        shown.push(page["items"].clone());
    }
    shown
}

/// What each reader is shown now.
async fn newest(scene: &Scene, replica: usize) -> Vec<Value> {
    let mut shown = Vec::new();
    for (reader, channel) in readers(scene, replica) {
        for path in ["/conversations", &channel, &format!("{channel}/messages?limit=50")] {
            shown.push(reader.get(path).await.expect(200));
        }
    }
    shown
}

/// All that the earlier version shows, the later one shows. It can show more.
fn keeps(earlier: &Value, later: &Value) -> bool {
    match (earlier, later) {
        (Value::Object(earlier), Value::Object(later)) => {
            earlier.iter().all(|(key, value)| later.get(key).is_some_and(|other| keeps(value, other)))
        }
        (Value::Array(earlier), Value::Array(later)) => {
            earlier.len() == later.len() && earlier.iter().zip(later).all(|(one, other)| keeps(one, other))
        }
        _ => earlier == later,
    }
}

fn shows(earlier: &[Value], later: &[Value]) {
    assert_eq!(earlier.len(), later.len());
    for (earlier, later) in earlier.iter().zip(later) {
        assert!(keeps(earlier, later), "{earlier}\nis now {later}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long, it builds an earlier version: make soak"]
async fn an_earlier_version_is_taken_over_and_runs_beside_this_one() {
    let Ok(old) = std::env::var("OLD_BINARY") else {
        panic!(
            "OLD_BINARY is not set: OLD_BINARY=$(tests/old-binary) cargo test --test it upgrade -- --ignored"
        );
    };
    let database = shared().fresh_database(None).await;
    let url = shared().url(&database);
    let mut scene = Scene::of(&old, &url, &[]).await;
    // The earlier version fills it.
    let talk = scene.talk();
    for _ in 0..3 {
        talk.acknowledged().await;
    }
    let (last, tries) = talk.end().await;
    all_answered(&tries);
    scene.verify(&last, true).await;
    for (reader, channel) in readers(&scene, 0) {
        reader.post(&format!("{channel}/read"), json!({"seq": 1})).await.expect(200);
    }
    scene.until(LEFT_OVER, 0).await;
    let before = oldest(&scene, 0).await;

    // This version brings the schema up to date while people send by the earlier one. It shows what that one showed.
    let talk = scene.talk_on(&last);
    talk.acknowledged().await;
    scene.join(BINARY).await;
    talk.acknowledged().await;
    let (last, tries) = talk.end().await;
    all_answered(&tries);
    scene.verify(&last, true).await;
    for replica in [0, 1] {
        shows(&before, &oldest(&scene, replica).await);
    }
    shows(&newest(&scene, 0).await, &newest(&scene, 1).await);

    // Both take sends.
    let talk = scene.talk_on(&last);
    talk.acknowledged().await;
    all_answered(&Mended::now("an earlier version beside this one").well(&scene, talk).await);

    // The earlier one starts no more, and says why. This one goes on alone.
    assert!(scene.services[0].stop().await.success());
    let settings = [("database_url", url.as_str())];
    let refused = Service::try_start(&old, &settings).await.err().expect("it is refused");
    assert!(refused.contains("a newer im-push-gateway has upgraded this database to schema"), "{refused}");
    scene.services.remove(0);
    scene.ready(0, |reply| reply.status == 200).await;
}
