//! `im.v0`: the JSON of an older server, for its clients.

use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::support::Socket;

async fn open(app: &TestApp, user_id: &str) -> Socket {
    let headers = [("x-user-id", user_id), ("sec-websocket-protocol", "im.v0")];
    Socket::try_open(&app.base, "", &headers).await.expect("a socket")
}

async fn ask(socket: &mut Socket, frame: Value) {
    socket.say(&frame.to_string()).await;
}

/// The next frame of this kind; others before it are passed over.
async fn until(socket: &mut Socket, msgid: i64) -> Value {
    loop {
        let frame = socket.frame().await.expect("a frame");
        if frame["msgid"] == msgid {
            return frame;
        }
    }
}

async fn sign_in(app: &TestApp, user_id: &str) -> (Socket, Value) {
    let mut socket = open(app, user_id).await;
    ask(&mut socket, json!({"msgid": 2, "id": user_id, "name": "any", "pwd": "any"})).await;
    let answer = until(&mut socket, 3).await;
    assert_eq!(answer["errno"], 0, "{answer}");
    (socket, answer)
}

#[tokio::test]
async fn an_older_client_signs_in_talks_to_one_and_to_a_group_and_hears_of_both() {
    let app = TestApp::start().await;
    app.people(&["1", "2"]).await;
    let (group, direct) = (app.group(&["1", "2"]).await, app.direct("1", "2").await);
    app.say("1", &direct, "while you were away").await;
    let (mut two, answer) = sign_in(&app, "2").await;
    assert_eq!((&answer["id"], &answer["name"], &answer["erron"]), (&json!("2"), &json!("2"), &json!(0)));
    assert_eq!(answer["groups"], json!([{"id": group, "groupname": "a group"}]));
    let missed = until(&mut two, 4).await;
    assert_eq!(
        (&missed["msg"], &missed["id"], &missed["to"]),
        (&json!("while you were away"), &json!("1"), &json!("2"))
    );
    let (mut one, _) = sign_in(&app, "1").await;
    // Ids are numbers or texts.
    ask(&mut one, json!({"msgid": 4, "id": 1, "from": "one", "to": 2, "msg": "hello", "time": "now"})).await;
    let heard = until(&mut two, 4).await;
    assert_eq!((&heard["msg"], &heard["from"], &heard["seq"]), (&json!("hello"), &json!("1"), &json!(2)));
    ask(
        &mut two,
        json!({"msgid": 8, "id": 2, "gid": group, "msg": "to all", "time": "now", "client_id": "c"}),
    )
    .await;
    let confirmed = until(&mut two, 8).await;
    assert_eq!((&confirmed["errno"], &confirmed["seq"]), (&json!(0), &json!(1)));
    let heard = until(&mut one, 8).await;
    assert_eq!((&heard["msg"], &heard["gid"]), (&json!("to all"), &json!(group)));
    ask(&mut two, json!({"msgid": 6, "id": 2, "gname": "friends", "gdesc": "of two"})).await;
    assert_eq!(until(&mut two, 6).await["errno"], 0);
    ask(&mut two, json!({"msgid": 10})).await;
    until(&mut two, 10).await;
    // What was shown counts as read, so it does not come again.
    drop(two);
    let reads = "SELECT count(*) FROM t_im_channel_user WHERE user_id = '2' AND read_seq = 2";
    app.until(reads, 1).await;
    let (mut two, _) = sign_in(&app, "2").await;
    ask(&mut two, json!({"msgid": 10})).await;
    assert_eq!(two.frame().await.expect("a frame")["msgid"], 10, "nothing was missed");
}

#[tokio::test]
async fn an_older_client_makes_friends_and_joins_a_group() {
    let app = TestApp::start_with("friend_requests = \"at_once\"").await;
    app.people(&["1", "2"]).await;
    let (mut one, _) = sign_in(&app, "1").await;
    ask(&mut one, json!({"msgid": 5, "id": 1, "friendid": "2"})).await;
    assert_eq!(until(&mut one, 5).await["errno"], 0);
    ask(&mut one, json!({"msgid": 6, "id": 1, "gname": "chess", "gdesc": "evenings"})).await;
    let gid = text(&until(&mut one, 6).await["gid"]);
    let group = app.person("1").get(&format!("/channels/{gid}")).await.expect(200);
    assert_eq!((&group["name"], &group["description"]), (&json!("chess"), &json!("evenings")));
    let (mut two, answer) = sign_in(&app, "2").await;
    assert_eq!(answer["friends"], json!([{"id": "1", "name": "1"}]));
    ask(&mut two, json!({"msgid": 7, "id": 2, "gid": gid})).await;
    assert_eq!(until(&mut two, 7).await["errno"], 2, "a closed group is not joined");
    let open = app.person("1").patch(&format!("/channels/{gid}"), json!({"join": "open"})).await;
    assert!((200..300).contains(&open.status), "{open:?}");
    ask(&mut two, json!({"msgid": 7, "id": 2, "gid": gid})).await;
    assert_eq!(until(&mut two, 7).await["errno"], 0);
    ask(&mut two, json!({"msgid": 8, "id": 2, "gid": gid, "msg": "thanks"})).await;
    assert_eq!(until(&mut one, 8).await["msg"], "thanks");
}

#[tokio::test]
async fn what_an_older_client_cannot_have_is_said_by_errno() {
    let app = TestApp::start().await;
    app.people(&["1", "2"]).await;
    let mut socket = open(&app, "1").await;
    for (frame, msgid, errno) in [
        (json!({"msgid": 4, "to": 2, "msg": "early"}), 4, 5),
        (json!({"msgid": 0, "name": "x", "pwd": "y"}), 1, 3),
        (json!({"msgid": 2, "id": 2, "name": "two", "pwd": "y"}), 3, 2),
        (json!({"msgid": 2, "id": 1, "name": "one", "pwd": "y"}), 3, 0),
        (json!({"msgid": 2, "id": 1, "name": "one", "pwd": "y"}), 3, 1),
        (json!({"msgid": 5, "id": 1, "friendid": "2"}), 5, 0),
        (json!({"msgid": 7, "id": 1, "gid": "2"}), 7, 2),
        (json!({"msgid": 8, "id": 1, "gid": "99", "msg": "nowhere"}), 8, 2),
        (json!({"msgid": 8, "id": 1, "gid": "x", "msg": "nowhere"}), 8, 4),
        (json!({"msgid": 4, "id": 2, "to": 1, "msg": "as another"}), 4, 2),
        (json!({"msgid": 4, "id": 1, "to": "stranger", "msg": "x"}), 4, 2),
        (json!({"msgid": 77}), 77, 4),
        (json!({"no": 1}), -1, 4),
    ] {
        ask(&mut socket, frame.clone()).await;
        let answer = until(&mut socket, msgid).await;
        assert_eq!(answer["errno"], errno, "{frame}: {answer}");
        assert_eq!(answer["errinfo"].is_string(), errno != 0, "{answer}");
    }
}

#[tokio::test]
async fn partners_of_an_older_client_are_told_when_it_comes_and_when_it_is_cut() {
    let app = TestApp::start_with("callback_url = \"none\"\npresence_window_ms = 20").await;
    app.people(&["1", "2"]).await;
    app.direct("1", "2").await;
    let (mut one, _) = sign_in(&app, "1").await;
    let (two, _) = sign_in(&app, "2").await;
    let came = until(&mut one, 9).await;
    assert_eq!((&came["id"], &came["state"]), (&json!("2"), &json!("online")));
    drop(two);
    let went = until(&mut one, 9).await;
    assert_eq!((&went["id"], &went["state"]), (&json!("2"), &json!("offline")));
}
