//! The examples for gateways, as nginx, HAProxy and Caddy run them: they say who is calling, and nothing that a client
//! says about itself reaches the service.

use serde_json::json;

use crate::app::{TestApp, text};
use crate::files::{KEY, noise};
use crate::support::socket::PROTOCOL;
use crate::support::{Client, Proxy, ProxyKind, SignIn, Socket};

const SECRET: &str = "shared by the gateway and the service";
/// A token of a sign-in that puts much into it.
const LONG_TOKEN: usize = 16 * 1024;
/// More than any of the proxies takes by default.
const LARGE: usize = 5 * 1024 * 1024;

/// A service behind a proxy, and the company's sign-in.
struct Stage {
    app: TestApp,
    proxy: Proxy,
    sign_in: SignIn,
}

impl Stage {
    async fn start(kind: ProxyKind) -> Self {
        let app = TestApp::start_with(&format!("{}\n{KEY}", kind.settings(SECRET))).await;
        let sign_in = SignIn::start().await;
        let proxy = Proxy::start(kind, &app.base, &sign_in, SECRET).await;
        app.people(&["a", "b", "root"]).await;
        Self { app, proxy, sign_in }
    }

    /// A user, through the proxy.
    fn person(&self, user_id: &str) -> Client {
        self.with_roles(user_id, "")
    }

    fn with_roles(&self, user_id: &str, roles: &str) -> Client {
        self.proxy.client(Some(&self.sign_in.token(user_id, roles)))
    }
}

#[tokio::test]
async fn what_a_client_says_about_itself_never_counts() {
    // Each with what a request of a user without roles gets: itself, or a refusal by the service.
    let removed: &[&[(&str, &str)]] = &[
        &[],
        &[("x-user-id", "root")],
        &[("x-user-id", "b"), ("x-user-id", "root")],
        &[("x_user_id", "root")],
        &[("x-user-roles", "admin")],
        &[("x-user-roles", "user"), ("x-user-roles", "admin")],
        &[("x_user_roles", "admin")],
        &[("x-gateway-secret", "guessed")],
        &[("x_gateway_secret", "guessed")],
        &[("x-forwarded-for", "127.0.0.1"), ("x-original-uri", "/"), ("x-forwarded-user", "root")],
    ];
    let refused: &[&[(&str, &str)]] = &[
        &[("x-user_id", "root")],
        &[("x.user.roles", "admin")],
        &[("connection", "x-user-id")],
        &[("connection", "close, x-gateway-secret")],
    ];
    for kind in ProxyKind::ALL {
        let stage = Stage::start(kind).await;
        let (a, stranger) = (stage.person("a"), stage.proxy.client(None));
        for (headers, may_be_refused) in
            removed.iter().map(|h| (*h, false)).chain(refused.iter().map(|h| (*h, true)))
        {
            let (me, _) = a.raw("GET", "/users/me", headers, &[]).await;
            if may_be_refused && [400, 401].contains(&me.status) {
                continue;
            }
            assert_eq!((me.status, &me.body["user_id"]), (200, &json!("a")), "{kind:?} {headers:?}: {me:?}");
            let (tokens, _) = a.raw("GET", "/tokens", headers, &[]).await;
            assert_eq!(tokens.status, 403, "{kind:?} {headers:?}: {tokens:?}");
            let (nobody, _) = stranger.raw("GET", "/users/me", headers, &[]).await;
            assert_eq!(nobody.status, 401, "{kind:?} {headers:?}: {nobody:?}");
        }
        // Roles that the sign-in gives do count, and its other users are others.
        stage.with_roles("root", "user,admin").get("/tokens").await.expect(200);
        assert_eq!(stage.person("b").get("/users/me").await.expect(200)["user_id"], "b");
        stage.proxy.client(Some("unknown")).get("/users/me").await.expect(401);
        // Nothing else of the service is behind it.
        let elsewhere = a.raw("GET", "/../../readyz", &[], &[]).await.0;
        assert_eq!(elsewhere.status, 404, "{kind:?}");
    }
}

#[tokio::test]
async fn the_console_is_behind_the_same_sign_in() {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for kind in ProxyKind::ALL {
        let stage = Stage::start(kind).await;
        let page = |roles: Option<&str>| {
            let request = http.get(stage.proxy.url("/console/search"));
            match roles {
                Some(roles) => request.bearer_auth(stage.sign_in.token("a", roles)).send(),
                None => request.send(),
            }
        };
        for (roles, status) in [(Some("support"), 200), (Some("user"), 403), (None, 401)] {
            assert_eq!(page(roles).await.unwrap().status(), status, "{kind:?}: {roles:?}");
        }
    }
}

#[tokio::test]
async fn the_page_of_an_endpoints_developer_needs_no_sign_in() {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for kind in ProxyKind::ALL {
        let stage = Stage::start(kind).await;
        let get = async |path: &str, headers: &[(&str, &str)]| {
            let request = headers.iter().fold(http.get(stage.proxy.url(path)), |r, (k, v)| r.header(*k, *v));
            request.send().await.unwrap().status().as_u16()
        };
        // What a client says about itself changes nothing, and a developer without a link sees nothing.
        for headers in [&[][..], &[("x-user-id", "root"), ("x-user-roles", "admin")]] {
            for file in ["open", "console.css", "console.js"] {
                assert_eq!(
                    get(&format!("/console/developer/{file}"), headers).await,
                    200,
                    "{kind:?}: {file}"
                );
            }
            assert_eq!(get("/console/developer/endpoint", headers).await, 401, "{kind:?}");
            for other in ["/console/search", "/console/endpoint-link", "/console/developer/../search"] {
                assert_ne!(get(other, headers).await, 200, "{kind:?}: {other}");
            }
        }
        // A person who is signed in can open a link as well.
        let signed_in = format!("Bearer {}", stage.sign_in.token("a", ""));
        assert_eq!(get("/console/developer/open", &[("authorization", &signed_in)]).await, 200, "{kind:?}");
    }
}

#[tokio::test]
async fn a_gateway_proves_itself_by_its_secret() {
    for kind in ProxyKind::ALL {
        let stage = Stage::start(kind).await;
        let other = Proxy::start(kind, &stage.app.base, &stage.sign_in, "another secret").await;
        let refused = other.client(Some(&stage.sign_in.token("a", ""))).get("/users/me").await;
        let problem = refused.expect_problem(401, "unauthenticated");
        assert_eq!(problem["detail"], "the gateway's secret is missing or wrong", "{kind:?}");
    }
}

#[tokio::test]
async fn an_event_passes_while_its_stream_is_open() {
    for kind in ProxyKind::ALL {
        let stage = Stage::start(kind).await;
        let channel = stage.app.direct("a", "b").await;
        let mut stream = stage.person("a").listen(None).await;
        stream.expect("hello").await;
        assert_eq!(
            (stream.header("content-type"), stream.header("content-encoding")),
            ("text/event-stream", "")
        );
        for words in ["one", "another"] {
            stage.app.say("b", &channel, words).await;
            stream.through(words).await;
        }
    }
}

#[tokio::test]
async fn a_socket_passes_and_says_who_is_calling() {
    for kind in ProxyKind::ALL {
        let stage = Stage::start(kind).await;
        let channel = stage.app.direct("a", "b").await;
        let (base, token) = (stage.proxy.url(""), stage.sign_in.token("a", ""));
        let bearer = format!("Bearer {token}");
        let forged = [("x-user-id", "root"), ("authorization", bearer.as_str()), PROTOCOL];
        let mut socket = Socket::try_open(&base, "", &forged).await.expect("a socket");
        socket.until("hello").await;
        let message = json!({"channel_id": channel, "type": "text", "content": {"text": "through it"}});
        socket.call("send", message).await;
        let told = socket.until("message.created").await;
        assert_eq!(told["data"]["data"]["sender"], "a", "{kind:?}");
        stage.app.say("b", &channel, "and back").await;
        assert_eq!(socket.until("message.created").await["data"]["data"]["content"]["text"], "and back");
        assert_eq!(Socket::try_open(&base, "", &[PROTOCOL]).await.err(), Some(401), "{kind:?}");
    }
}

#[tokio::test]
async fn long_tokens_and_large_heads_pass() {
    for kind in ProxyKind::ALL {
        let stage = Stage::start(kind).await;
        let token = stage.sign_in.token_with("a", "", json!({"groups": "g".repeat(LONG_TOKEN)}));
        assert!(token.len() > LONG_TOKEN);
        let a = stage.proxy.client(Some(&token));
        let cookie = "c".repeat(12 * 1024);
        for cookies in [0, 2] {
            let headers = vec![("x-more", cookie.as_str()); cookies];
            let (me, _) = a.raw("GET", "/users/me", &headers, &[]).await;
            assert_eq!((me.status, &me.body["user_id"]), (200, &json!("a")), "{kind:?}: {me:?}");
        }
        let (refused, _) = a.raw("GET", "/users/me", &vec![("x-more", cookie.as_str()); 7], &[]).await;
        assert!((400..500).contains(&refused.status), "{kind:?}: {refused:?}");
    }
}

#[tokio::test]
async fn names_beyond_ascii_sign_in() {
    for kind in ProxyKind::ALL {
        let stage = Stage::start(kind).await;
        for name in ["张三", "Ärzte", "li.si@corp.example", "100%", "a b", "a+b"] {
            stage.app.people(&[name]).await;
            let me = stage.person(name).get("/users/me").await;
            assert_eq!((me.status, &me.body["user_id"]), (200, &json!(name)), "{kind:?}: {me:?}");
        }
    }
}

#[tokio::test]
async fn large_bodies_and_files_pass_and_a_link_needs_no_sign_in() {
    let file = noise(LARGE, 1);
    for kind in ProxyKind::ALL {
        let stage = Stage::start(kind).await;
        let a = stage.person("a");
        let (put, _) =
            a.raw("POST", "/files?name=plan.bin", &[("x-request-id", "from-a-client")], &file).await;
        assert_eq!((put.status, put.header("x-request-id")), (201, "from-a-client"), "{kind:?}: {put:?}");
        let id = text(&put.body["file_id"]);
        let (_, bytes) = a.raw("GET", &format!("/files/{id}/content"), &[], &[]).await;
        assert!(bytes == file, "{kind:?}: {} bytes", bytes.len());

        let link = a.get(&format!("/files/{id}/link")).await.expect(200);
        let link = text(&link["url"]).replace("/api/v1", "");
        for headers in [&[][..], &[("x-user-id", "root"), ("x-gateway-secret", "guessed")]] {
            let (linked, bytes) = stage.proxy.client(None).raw("GET", &link, headers, &[]).await;
            assert!(linked.status == 200 && bytes == file, "{kind:?}: {linked:?}");
        }
        stage.proxy.client(None).get(&format!("/files/{id}/content")).await.expect(401);

        let many = format!("{{\"users\": []{}}}", " ".repeat(3 * 1024 * 1024));
        let json = [("content-type", "application/json")];
        let hr = stage.with_roles("hr", "directory");
        let (told, _) = hr.raw("POST", "/directory/changes", &json, many.as_bytes()).await;
        assert_eq!(told.status, 200, "{kind:?}: {told:?}");
    }
}

/// HAProxy checks the token itself, so each thing that is wrong with one has to be caught by the example.
#[tokio::test]
async fn haproxy_takes_only_tokens_of_the_sign_in_that_are_whole_and_fresh() {
    let stage = Stage::start(ProxyKind::Haproxy).await;
    let (sign_in, stranger) = (&stage.sign_in, SignIn::start().await);
    let rs256 = r#"{"alg":"RS256"}"#;
    let unsigned = sign_in.signed(r#"{"alg":"none"}"#, r#"{"sub":"root"}"#);
    let good = sign_in.token("a", "");
    let (head, signature) = good.rsplit_once('.').unwrap();
    let (_, other) =
        sign_in.token("root", "admin").rsplit_once('.').map(|(h, s)| (h.to_owned(), s.to_owned())).unwrap();
    let claims =
        |more: &str| format!(r#"{{"iss":"https://sign-in.example.com","aud":"im-push-gateway"{more}}}"#);
    for (token, what) in [
        (sign_in.token_with("root", "", json!({"exp": 1_600_000_000})), "expired"),
        (sign_in.token_with("root", "", json!({"exp": null})), "without an end"),
        (sign_in.token_with("root", "", json!({"exp": "never"})), "with an end that is no time"),
        (
            sign_in.token_with("root", "", json!({"iss": "https://elsewhere.example.com"})),
            "of another issuer",
        ),
        (sign_in.token_with("root", "", json!({"aud": "payroll"})), "for another service"),
        (sign_in.token_with("", "", json!({})), "of no user"),
        (sign_in.signed(rs256, &claims(r#","exp":4102444800"#)), "without a user"),
        (stranger.token("root", ""), "with another key"),
        (unsigned, "with no algorithm"),
        (
            sign_in.signed(r#"{"alg":"HS256"}"#, &claims(r#","exp":4102444800,"sub":"root""#)),
            "of another algorithm",
        ),
        (format!("{head}.{other}"), "with the signature of another"),
        (head.to_owned(), "without a signature"),
        (format!("{head}."), "with an empty signature"),
        (format!("{good}.{signature}"), "with two signatures"),
        ("x".repeat(LONG_TOKEN), "that is none"),
    ] {
        let refused = stage.proxy.client(Some(&token)).get("/users/me").await;
        assert_eq!(refused.status, 401, "a token {what}: {refused:?}");
    }
    assert_eq!(stage.proxy.client(Some(&good)).get("/users/me").await.expect(200)["user_id"], "a");
    // A claim cannot end its header and begin another.
    let forged = sign_in.token("a\r\nX-User-Roles: admin", "");
    assert_ne!(stage.proxy.client(Some(&forged)).get("/tokens").await.status, 200);
    let forged = sign_in.token("a", "user\r\nX-User-Id: root");
    assert_eq!(stage.proxy.client(Some(&forged)).get("/users/me").await.expect(200)["user_id"], "a");
}
