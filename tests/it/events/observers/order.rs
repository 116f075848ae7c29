//! Everybody is told of each channel's messages in their order, whoever sends and however many replicas.

use futures_util::future::join_all;

use super::{Wish, blameless, id, replica_of, say_many, start, subscribe, told};
use crate::support::{Conduct, Log, Observer};

/// A message to more than three receivers is pushed in stretches.
const STRETCHES: &str = "callback_batch_pairs = 3";
const SENDERS: i64 = 4;
const SENDS: i64 = 15;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_deliveries_are_in_order_whoever_sends_through_whichever_replica() {
    let one = start(STRETCHES).await;
    let two = replica_of(&one, STRETCHES).await;
    let people = ["a", "b", "c", "d", "e", "f"];
    one.people(&people).await;
    let mut channels = Vec::new();
    for size in [2, 3, 6, 3, 6] {
        channels.push(one.group(&people[..size]).await);
    }
    let (all, small, chosen, shaky) =
        (Observer::start(), Observer::start(), Observer::start(), Observer::start());
    // Half of what it is sent it refuses.
    shaky.behave(|post| if post.order % 2 == 0 { Conduct::status(500) } else { Conduct::Take });
    subscribe(&one, &all.url(), Wish::of(&["message.created"])).await;
    subscribe(&one, &small.url(), Wish { batch_events: 3, ..Wish::of(&["message.created"]) }).await;
    let few = Some(vec![id(&channels[1]), id(&channels[2])]);
    subscribe(&one, &chosen.url(), Wish { channels: few, ..Wish::of(&["message.*"]) }).await;
    subscribe(&one, &shaky.url(), Wish { batch_events: 20, ..Wish::of(&["message.created"]) }).await;
    let sending = (0..SENDERS).flat_map(|sender| {
        let (one, two) = (&one, &two);
        channels.iter().map(move |channel| async move {
            for turn in 0..SENDS {
                let app = if (sender + turn) % 2 == 0 { one } else { two };
                let who = ["a", "b"][usize::try_from(turn).expect("small") % 2];
                // Some of several at a time: they share a row of the queue.
                if turn % 5 == 0 {
                    say_many(app, who, channel, 2).await;
                } else {
                    app.say(who, channel, "hello").await;
                }
            }
        })
    });
    join_all(sending).await;
    let each = SENDERS * (SENDS + SENDS / 5);
    let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
    for observer in [&all, &small, &shaky] {
        told(observer, &channels, each).await;
    }
    told(&chosen, &channels[1..3], each).await;
    one.settled().await;
    for observer in [&all, &small, &chosen, &shaky] {
        blameless(observer);
    }
    let repeated = |log: &Log| log.posts.iter().filter(|post| post.attempt > 1).count();
    assert_eq!([&all, &small, &chosen].map(|o| o.read(repeated)), [0; 3], "no answer was lost");
    assert!(shaky.read(repeated) > 0);
    assert_eq!(chosen.read(|log| log.seqs(channels[0]).len()), 0);
    assert_eq!(one.count("SELECT count(*) FROM t_im_push_dead", &[]).await, 0);
}

#[test]
fn the_log_knows_what_breaks_a_promise() {
    type Post = (&'static str, &'static str, &'static [i64], Option<u16>);
    let fine: &[Post] = &[
        ("x", "1", &[1, 3], Some(500)),
        ("y", "2", &[2], Some(200)),
        ("x", "1", &[1, 3], None),
        ("x", "1", &[1, 3], Some(204)),
        ("z", "1", &[4], Some(200)),
    ];
    assert_eq!(Log::made_up(fine).violations(true), Vec::<String>::new());
    let broken: [(&[Post], &str); 4] = [
        (&[("x", "1", &[1], Some(200)), ("x", "1", &[1], Some(200))], "came again after it was taken"),
        (&[("x", "1", &[1], Some(500)), ("x", "1", &[1, 2], Some(200))], "changed its members"),
        (&[("x", "1", &[1], Some(500)), ("y", "1", &[1], Some(200))], "came in x and in y"),
        (&[("x", "1", &[2], Some(200)), ("y", "1", &[1], Some(200))], "came after 2 of its channel"),
    ];
    for (posts, complaint) in broken {
        let found = Log::made_up(posts).violations(true);
        assert!(found.len() == 1 && found[0].contains(complaint), "{complaint}: {found:?}");
    }
    let unheard = Log::made_up(&[("x", "1", &[1], Some(200)), ("x", "1", &[1], Some(200))]);
    assert!(unheard.violations(false).is_empty(), "an answer may be lost on its way");
}
