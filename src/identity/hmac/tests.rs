use http::{HeaderMap, HeaderValue, Method};

use super::*;
use crate::base::config::Config;
use crate::base::error::Kind;
use crate::identity::Role;
use crate::identity::headers::Watch;

const OLD: &str = "an-old-secret-of-at-least-32-bytes!";
const NEW: &str = "a-new-secret-of-at-least-32-bytes!!";
const BODY: &[u8] = br#"{"seq":5}"#;
const TIME: i64 = 1_700_000_000;

fn config() -> Config {
    let text = format!(
        "database_url = \"postgresql://\"\nidentity_mode = \"hmac\"\nhmac_secrets = [\"{OLD}\", \"{NEW}\"]\n"
    );
    Config::from_toml(&text).unwrap()
}

pub fn sign(secret: &Secret, text: &str) -> String {
    STANDARD.encode(mac(secret, text.as_bytes()).finalize().into_bytes())
}

/// A request as a gateway signs it; what differs on the way is set afterwards.
struct Request {
    method: Method,
    path: String,
    body: Vec<u8>,
    headers: HeaderMap,
}

fn request(secret: &str, stamp: &str) -> Request {
    let digest: String = Sha256::digest(BODY).iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("v1\nPOST\n/api/v1/channels/7/read?x=1\n{digest}\nalice\nsupport\n{stamp}");
    let signature = sign(&Secret::from(secret.to_owned()), &text);
    let mut headers = HeaderMap::new();
    for (name, value) in [(USER, "alice"), (ROLES, "support"), (TIMESTAMP, stamp), (SIGNATURE, &signature)] {
        headers.insert(name, HeaderValue::from_str(value).unwrap());
    }
    Request {
        method: Method::POST,
        path: "/api/v1/channels/7/read?x=1".to_owned(),
        body: BODY.to_vec(),
        headers,
    }
}

fn verify_at(request: &Request, now: OffsetDateTime) -> Result<VerifiedSignature> {
    let config = config();
    let watch = Watch::new(&config.identity).unwrap();
    let said = watch.read(&request.headers)?;
    let claimed = Claimed {
        peer: "192.0.2.7:1".parse().unwrap(),
        method: &request.method,
        path_and_query: &request.path,
        headers: &request.headers,
        body: Some(&request.body),
    };
    Signatures::new(&config.identity).unwrap().verify(&claimed, said.first(), now)
}

fn verify(request: &Request) -> Result<VerifiedSignature> {
    verify_at(request, at(0))
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(TIME + seconds).unwrap()
}

#[test]
fn any_of_the_secrets_proves_the_caller() {
    for secret in [OLD, NEW] {
        let proven = verify(&request(secret, "1700000000")).unwrap();
        assert_eq!(proven.caller.user_id, "alice");
        assert!(proven.caller.roles.has(Role::Support));
        assert_eq!(proven.expires_at, at(120), "kept as long as any replica could believe it");
    }
    let stranger = request("another-secret-of-at-least-32-bytes", "1700000000");
    assert_eq!(verify(&stranger).unwrap_err().kind, Kind::Unauthenticated);
}

#[test]
fn everything_that_is_signed_is_covered() {
    let changes: [fn(&mut Request); 8] = [
        |r| r.method = Method::PUT,
        |r| r.path = "/api/v1/channels/8/read?x=1".to_owned(),
        |r| r.path = "/api/v1/channels/7/read".to_owned(),
        |r| r.body.push(b' '),
        |r| drop(r.headers.insert(USER, HeaderValue::from_static("bob"))),
        |r| drop(r.headers.insert(ROLES, HeaderValue::from_static("admin"))),
        |r| drop(r.headers.remove(ROLES)),
        |r| drop(r.headers.insert(TIMESTAMP, HeaderValue::from_static("1700000001"))),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut request = request(NEW, "1700000000");
        change(&mut request);
        assert_eq!(verify(&request).unwrap_err().kind, Kind::Unauthenticated, "change {number}");
    }
}

#[test]
fn a_missing_part_is_refused() {
    for name in [USER, TIMESTAMP, SIGNATURE] {
        let mut request = request(NEW, "1700000000");
        request.headers.remove(&name);
        assert_eq!(verify(&request).unwrap_err().kind, Kind::Unauthenticated, "{name}");
    }
}

#[test]
fn a_duplicate_or_look_alike_of_a_signature_is_refused() {
    for name in ["x-signature", "x-signature-timestamp", "x_signature", "x-signature_timestamp"] {
        let mut request = request(NEW, "1700000000");
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers.append(name, HeaderValue::from_static("1700000000"));
        assert_eq!(verify(&request).unwrap_err().kind, Kind::InvalidParameter);
    }
}

#[test]
fn a_signature_from_another_time_is_refused() {
    let request = request(NEW, "1700000000");
    assert!(verify_at(&request, at(60)).is_ok() && verify_at(&request, at(-60)).is_ok());
    for seconds in [-61, 61, 86_400] {
        assert_eq!(verify_at(&request, at(seconds)).unwrap_err().kind, Kind::Unauthenticated);
    }
}

#[test]
fn two_equal_requests_of_one_second_have_two_signatures() {
    let (one, other) = (request(NEW, "1700000000.25"), request(NEW, "1700000000.250000001"));
    assert_ne!(verify(&one).unwrap().signature, verify(&other).unwrap().signature);
}

#[test]
fn another_spelling_of_a_signature_is_the_same_one() {
    // Base64 has spare bits and, in other alphabets, other letters: only one spelling decodes.
    let good = request(NEW, "1700000000");
    let spelled = good.headers[&SIGNATURE].to_str().unwrap().to_owned();
    let spellings = [
        spelled.trim_end_matches('=').to_owned(),
        format!("{spelled}="),
        spelled.replace('=', ""),
        "AA==".to_owned(),
    ];
    for spelling in spellings {
        let mut request = request(NEW, "1700000000");
        request.headers.insert(SIGNATURE, HeaderValue::from_str(&spelling).unwrap());
        assert_eq!(verify(&request).unwrap_err().kind, Kind::InvalidParameter, "{spelling}");
    }
}

#[test]
fn a_timestamp_has_one_reading() {
    assert_eq!(moment("1700000000"), Some(at(0)));
    assert_eq!(moment("1700000000.5"), Some(at(0) + Duration::milliseconds(500)));
    for stamp in [
        "",
        ".",
        "1.",
        ".5",
        "-1",
        "+1",
        "1e9",
        " 1",
        "0x10",
        "1.0000000001",
        "99999999999999999999",
        "1.5.5",
    ] {
        assert_eq!(moment(stamp), None, "{stamp}");
    }
    assert_eq!(moment(&"9".repeat(31)), None);
}

#[test]
fn weak_settings_do_not_start() {
    let broken = [
        "hmac_secrets = []",
        "hmac_secrets = [\"0123456789012345678901234567890\"]",
        "hmac_secrets = [\"01234567890123456789012345678901\", \"short\"]",
        "hmac_secrets = [\"01234567890123456789012345678901\"]\nhmac_skew_ms = 0",
        "hmac_secrets = [\"01234567890123456789012345678901\"]\nhmac_skew_ms = 900001",
    ];
    for text in broken {
        let config = Config::from_toml(&format!("database_url = \"postgresql://\"\n{text}")).unwrap();
        let problem = Signatures::new(&config.identity).err().unwrap().to_string();
        assert!(problem.contains("hmac_") && !problem.contains("0123456789"), "{problem}");
    }
}
