use http::HeaderValue;

use super::*;
use crate::base::config::Config;
use crate::base::error::Kind;

const ROLES: &str = "identity_roles_header = \"x-user-roles\"";

/// Settings that name a header for roles, unless `overrides` name another.
fn config(overrides: &str) -> Config {
    let roles = if overrides.contains("identity_roles_header") { "" } else { ROLES };
    Config::from_toml(&format!("database_url = \"postgresql://\"\n{roles}\n{overrides}")).unwrap()
}

fn watch(overrides: &str) -> Watch {
    Watch::new(&config(overrides).identity).unwrap()
}

fn map(pairs: &[(&str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

/// The problem with a request, as (kind, blamed header).
fn refusal(overrides: &str, pairs: &[(&str, &[u8])]) -> (Kind, String) {
    let error = watch(overrides).read(&map(pairs)).map(|_| ()).unwrap_err();
    (error.kind, error.pointer.unwrap_or_default())
}

fn bad(name: &str) -> (Kind, String) {
    (Kind::InvalidParameter, name.to_owned())
}

#[test]
fn duplicate_identity_headers_are_refused() {
    for name in ["x-user-id", "x-user-roles", "authorization", "x-gateway-secret"] {
        // Also when both say the same: which one the proxy checked is not known.
        assert_eq!(refusal("", &[(name, b"alice"), (name, b"alice")]), bad(name));
    }
}

#[test]
fn underscore_look_alikes_are_refused() {
    for name in ["x_user_id", "X-User_Id", "x_user-id", "x.user.id", "X_USER_ROLES", "x_gateway_secret"] {
        let blamed = name.to_ascii_lowercase();
        assert_eq!(refusal("", &[("x-user-id", b"alice"), (name, b"admin")]), bad(&blamed));
        assert_eq!(refusal("", &[(name, b"admin")]), bad(&blamed));
    }
    assert_eq!(refusal("identity_preset = \"authelia\"", &[("Remote_User", b"alice")]), bad("remote_user"));
    assert!(watch("").read(&map(&[("x_users_id", b"a"), ("xuserid", b"a"), ("x-user-idx", b"a")])).is_ok());
}

#[test]
fn comma_joined_users_are_refused() {
    assert_eq!(refusal("", &[("x-user-id", b"alice, bob")]), bad("x-user-id"));
    assert_eq!(refusal("", &[("x-user-id", b"alice,")]), bad("x-user-id"));
}

#[test]
fn control_characters_and_bytes_beyond_ascii_are_refused() {
    for value in [b"ali\tce".as_slice(), b"alice\xff", b"\xe5\xbc\xa0", b"alice\x80"] {
        assert_eq!(refusal("", &[("x-user-id", value)]), bad("x-user-id"));
    }
    // Others cannot even become a header's value.
    assert!(
        [b"a\0".as_slice(), b"a\r\nb", b"a\x7f"].iter().all(|value| HeaderValue::from_bytes(value).is_err())
    );
}

#[test]
fn empty_and_endless_users_are_refused() {
    assert_eq!(refusal("", &[("x-user-id", b"")]), bad("x-user-id"));
    assert_eq!(refusal("", &[("x-user-id", &[b'a'; 129])]), bad("x-user-id"));
    assert!(watch("").read(&map(&[("x-user-id", &[b'a'; 128])])).is_ok());
}

#[test]
fn connection_cannot_make_an_identity_vanish() {
    for value in [b"close, X-User-Id".as_slice(), b"x-user-roles", b"keep-alive,x_user_id", b"Authorization"]
    {
        assert_eq!(refusal("", &[("connection", value)]), bad("connection"));
    }
    assert!(watch("").read(&map(&[("connection", b"keep-alive, upgrade")])).is_ok());
}

#[test]
fn authorization_is_one_bearer_token_or_nothing() {
    let read = |value: &[u8]| {
        let headers = map(&[("authorization", value)]);
        watch("").read(&headers).map(|said| said.bearer.map(str::to_owned)).map_err(|e| e.kind)
    };
    assert_eq!(read(b"Bearer abc.def"), Ok(Some("abc.def".to_owned())));
    assert_eq!(read(b"bEARER  abc"), Ok(Some("abc".to_owned())));
    for value in [b"Bearer a, Bearer b".as_slice(), b"Bearer a b", b"Bearer ", b"Bearer \xff"] {
        assert_eq!(read(value), Err(Kind::InvalidParameter), "{value:?}");
    }
    for value in [b"Basic YTpi".as_slice(), b"Bearer", b"", b"Bearer\tabc"] {
        assert_eq!(read(value), Err(Kind::Unauthenticated), "{value:?}");
    }
}

#[test]
fn a_header_that_disagrees_with_the_proof_is_refused() {
    let proven = Caller::named("alice".to_owned(), Roles::named(["user", "support"]));
    let watch = watch("");
    let check = |pairs: &[(&str, &[u8])]| {
        watch.read(&map(pairs)).unwrap().agree_with(&proven).map_err(|e| (e.kind, e.pointer.unwrap()))
    };
    assert_eq!(check(&[]), Ok(()));
    assert_eq!(check(&[("x-user-id", b"alice"), ("x-user-roles", b"support,staff")]), Ok(()));
    let user = Err((Kind::Unauthenticated, "x-user-id".to_owned()));
    assert_eq!(check(&[("x-user-id", b"bob")]), user);
    assert_eq!(check(&[("x-user-id", b"Alice")]), user);
    let roles = Err((Kind::Unauthenticated, "x-user-roles".to_owned()));
    for value in [b"support,admin".as_slice(), b"user", b""] {
        assert_eq!(check(&[("x-user-roles", value)]), roles);
    }
}

#[test]
fn in_hmac_mode_headers_beside_the_signed_ones_must_agree() {
    let watch = watch("identity_mode = \"hmac\"\nidentity_preset = \"authelia\"");
    let headers = map(&[("x-user-id", b"alice"), ("remote-user", b"bob")]);
    let said = watch.read(&headers).unwrap();
    let proven = said.first().caller().unwrap();
    assert_eq!(proven.user_id, "alice");
    assert_eq!(said.agree_with(&proven).unwrap_err().pointer.as_deref(), Some("remote-user"));
}

#[test]
fn a_group_with_a_role_in_its_name_is_not_the_role() {
    let headers =
        map(&[("x-user-id", b"alice"), ("x-user-roles", "IT admin, 管理员, Support,gateway ".as_bytes())]);
    let caller = watch("").read(&headers).unwrap().first().caller().unwrap();
    assert_eq!(caller.roles.names(), ["user", "gateway"]);
}

#[test]
fn presets_read_the_person_that_their_gateways_write_and_roles_only_if_named() {
    let rows = [
        ("oauth2-proxy", "X-Auth-Request-User", "X-Auth-Request-Groups"),
        ("kong", "X-Consumer-Custom-ID", "X-Consumer-Groups"),
        ("apisix", "X-Consumer-Username", "X-Consumer-Role"),
        ("envoy", "x-jwt-claim-sub", "x-jwt-claim-roles"),
        ("authelia", "Remote-User", "Remote-Groups"),
    ];
    for (preset, user, roles) in rows {
        let sent = [
            (user, b"alice".as_slice()),
            (roles, b"support"),
            ("x-user-id", b"mallory"),
            ("x-user-roles", b"admin"),
        ];
        for (named, given) in [("", vec!["user"]), (roles, vec!["user", "support"])] {
            let settings = format!("identity_preset = \"{preset}\"\nidentity_roles_header = \"{named}\"");
            let caller = watch(&settings).read(&map(&sent)).unwrap().first().caller().unwrap();
            assert_eq!((caller.user_id.as_str(), caller.roles.names()), ("alice", given), "{preset} {named}");
        }
    }
    assert!(Watch::new(&config("identity_preset = \"nginx\"").identity).is_err());
}

#[test]
fn an_employee_s_own_header_of_roles_counts_for_nothing_by_default() {
    let config = Config::from_toml("database_url = \"postgresql://\"").unwrap();
    for name in ["x-user-roles", "x-roles", "x-auth-request-groups", "remote-groups", "x-consumer-groups"] {
        let headers = map(&[("x-user-id", b"alice"), (name, b"admin,gateway,directory,support")]);
        let caller = Watch::new(&config.identity).unwrap().read(&headers).unwrap().first().caller().unwrap();
        assert_eq!(caller.roles.names(), ["user"], "{name}");
        let refused = caller.require(Role::Admin).unwrap_err();
        let expected = "this requires the role admin; the caller has user; no header for roles is set: see the setting \
             `identity_roles_header`";
        assert_eq!(refused.detail, expected, "{name}");
    }
}

#[test]
fn a_signature_covers_its_roles_whether_or_not_the_settings_name_the_header() {
    for named in ["", "x-user-roles"] {
        let settings = format!("identity_mode = \"hmac\"\nidentity_roles_header = \"{named}\"");
        let headers = map(&[("x-user-id", b"alice"), ("x-user-roles", b"support")]);
        let watch = watch(&settings);
        let said = watch.read(&headers).unwrap();
        assert_eq!(said.first().caller().unwrap().roles.names(), ["user", "support"], "{named}");
    }
}

#[test]
fn kongs_anonymous_consumer_is_nobody_and_a_user_name_is_no_id() {
    let kong = "identity_preset = \"kong\"";
    let anonymous = [("x-consumer-custom-id", b"guest".as_slice()), ("x-anonymous-consumer", b"true")];
    assert_eq!(refusal(kong, &anonymous).0, Kind::Unauthenticated);
    let watch = watch(kong);
    let headers = map(&[("x-consumer-username", b"alice"), ("x-consumer-groups", b"admin")]);
    assert_eq!(watch.read(&headers).unwrap().first().caller().unwrap_err().kind, Kind::Unauthenticated);
}

#[test]
fn settings_whose_headers_collide_are_refused() {
    let colliding = [
        ("x-user", "X-User"),
        ("x-user", "x_user"),
        ("authorization", "x-user-roles"),
        ("x-gateway-secret", "x-user-roles"),
        ("no header", "x-user-roles"),
        ("", "x-user-roles"),
    ];
    for (user, roles) in colliding {
        let text = format!("identity_user_header = \"{user}\"\nidentity_roles_header = \"{roles}\"");
        assert!(Watch::new(&config(&text).identity).is_err(), "{user} {roles}");
    }
}
