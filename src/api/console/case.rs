//! The case: the reason for which its caller looks, kept in a cookie of the browser.

use axum::extract::{FromRequest, Request, State};
use axum::http::header::{COOKIE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use url::Url;

use super::calls::Refusal;
use super::visit::Visit;
use crate::api::Api;
use crate::api::origin::is_foreign;
use crate::api::wire::{check_reason, read_body};
use crate::base::config::Config;
use crate::base::error::Error;

/// The reason, with the user who gave it: another user of the browser gives their own.
pub const CASE: &str = "impg-case";
/// What a form has to send back.
pub const TOKEN: &str = "impg-form";
pub const LANGUAGE: &str = "impg-lang";
/// The access token of a person who has signed in to the console itself.
pub const ACCESS: &str = "impg-access";
/// The refresh token of the same session.
pub const REFRESH: &str = "impg-refresh";
/// The secret of a developer's link. It holds until the browser is closed, or the link ends.
pub const LINK: &str = "impg-link";
/// What a form of a developer has to send back.
pub const LINK_TOKEN: &str = "impg-link-form";
/// A working day. The browser forgets the reason after it.
const CASE_LIFE_S: u32 = 8 * 3_600;
const LANGUAGE_LIFE_S: u32 = 400 * 86_400;
/// The pages that can follow a form.
const PAGES: &[&str] = &[
    "search",
    "channel",
    "message",
    "why",
    "people",
    "person",
    "home",
    "operations",
    "endpoints",
    "endpoint",
    "dead-letters",
    "archive",
    "runs",
    "run",
    "edits",
    "edit",
    "schedule",
    "replicas",
    "groups",
    "rescue",
    "absent",
    "nudge",
    "replay-one",
    "endpoint-link",
];

/// A cookie of a request.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// A cookie for the browser. Without a path it holds for the pages of the console, below any path of the gateway.
pub fn set_cookie(config: &Config, headers: &HeaderMap, name: &str, value: &str) -> String {
    let (life_s, same_site) = match name {
        TOKEN | LINK_TOKEN => (None, "Strict"),
        LINK => (value.is_empty().then_some(0), "Strict"),
        // Until the browser is closed. A link from a ticket opens its page; no form of another site is sent with it.
        ACCESS | REFRESH => (value.is_empty().then_some(0), "Lax"),
        // A link from a ticket opens a page of the case.
        CASE => (Some(if value.is_empty() { 0 } else { CASE_LIFE_S }), "Lax"),
        _ => (Some(LANGUAGE_LIFE_S), "Lax"),
    };
    let life = life_s.map(|life_s| format!("; Max-Age={life_s}")).unwrap_or_default();
    let secure = if is_secure(config, headers, name) { "; Secure" } else { "" };
    format!("{name}={value}; HttpOnly; SameSite={same_site}{life}{secure}")
}

/// Whether browsers reach the page by TLS. Then they send the cookie by nothing else. `console_url` is the address of
/// developers alone: staff can come by another one.
fn is_secure(config: &Config, headers: &HeaderMap, name: &str) -> bool {
    let is_of_developer = [LINK, LINK_TOKEN].contains(&name);
    headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https")
        || config.server.is_encrypted()
        || is_of_developer
            && Url::parse(&config.callbacks.console_url).is_ok_and(|url| url.scheme() == "https")
}

/// The reason in a cookie, if this user gave it.
pub fn reason_of(headers: &HeaderMap, user_id: &str) -> Option<String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cookie(headers, CASE)?).ok()?;
    let (by, reason): (String, String) = serde_json::from_slice(&bytes).ok()?;
    let reason = check_reason(Some(&reason)).ok()??.to_owned();
    (by == user_id).then_some(reason)
}

fn kept(user_id: &str, reason: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&(user_id, reason)).unwrap_or_default())
}

/// A token that no other site can guess.
pub fn new_token() -> Result<String, Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(Error::internal)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(random))
}

/// Begins or ends a case.
pub async fn change(
    State(api): State<Api>,
    visit: Visit,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Refusal> {
    let is_end = !form.field("end").is_empty();
    let value = if is_end {
        String::new()
    } else {
        let reason = check_reason(Some(form.field("reason")))?.unwrap_or_default();
        kept(&visit.caller.user_id, reason)
    };
    let cookie = set_cookie(&api.config, &headers, CASE, &value);
    let next = if is_end { "search" } else { form.next() };
    Ok((StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, next.to_owned())]).into_response())
}

/// A form that a page of the console has sent. One of another site is refused.
pub struct Form(Vec<(String, String)>);

/// The same for the pages of a link, whose cookie has another name.
pub struct LinkForm(pub Form);

impl FromRequest<Api> for Form {
    type Rejection = Refusal;
    async fn from_request(request: Request, api: &Api) -> Result<Self, Refusal> {
        Self::read(api, request, TOKEN).await
    }
}

impl FromRequest<Api> for LinkForm {
    type Rejection = Refusal;
    async fn from_request(request: Request, api: &Api) -> Result<Self, Refusal> {
        Form::read(api, request, LINK_TOKEN).await.map(Self)
    }
}

impl Form {
    /// `token` is the cookie that has what the form sends back.
    async fn read(api: &Api, request: Request, token: &str) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let headers = &parts.headers;
        let bytes = read_body(body, api).await?;
        let form = Self(url::form_urlencoded::parse(&bytes).into_owned().collect());
        // The token comes back in the form and in the cookie. A site that sends the form knows neither.
        let is_known =
            cookie(headers, token).is_some_and(|token| !token.is_empty() && token == form.field("token"));
        if is_foreign(headers) || !is_known {
            return Err(Refusal::foreign());
        }
        Ok(form)
    }

    /// A field, or nothing.
    pub fn field(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The page that follows.
    pub fn next(&self) -> &str {
        next(self.field("next"))
    }

    /// The answer to a form whose change is made: the browser loads the page that follows.
    pub fn done(&self) -> Response {
        (StatusCode::SEE_OTHER, [(LOCATION, self.next().to_owned())]).into_response()
    }
}

/// The page that follows: only one of the console.
fn next(asked: &str) -> &str {
    page_of(asked).unwrap_or("search")
}

/// A page of the console with its parameters, if it is one.
pub fn page_of(asked: &str) -> Option<&str> {
    let page = asked.split('?').next().unwrap_or_default();
    let is_plain = asked.bytes().all(|b| b.is_ascii_graphic());
    (PAGES.contains(&page) && is_plain).then_some(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_of_the_console_follows_a_form() {
        assert_eq!(next("why?ms_id=1&user_id=%E6%9D%8E"), "why?ms_id=1&user_id=%E6%9D%8E");
        for strange in
            ["", "//evil.example", "https://evil.example", "search\r\nx: y", "/search", "export?format=csv"]
        {
            assert_eq!(next(strange), "search", "{strange:?}");
        }
    }

    #[test]
    fn a_cookie_is_for_tls_alone_where_browsers_come_by_tls() {
        let config = |more: &str| {
            let needed = "database_url = \"postgresql://x\"\ntrusted_peers = [\"127.0.0.1\"]\n";
            Config::from_toml(&format!("{needed}{more}")).unwrap()
        };
        let (plain, outside) = (config(""), config("console_url = \"https://im.corp/console\""));
        let own = config("tls_certificate_file = \"a.pem\"\ntls_key_file = \"a.key\"");
        let (none, mut behind) = (HeaderMap::new(), HeaderMap::new());
        behind.insert("x-forwarded-proto", "https".parse().unwrap());
        for (config, headers, name, is_secure) in [
            (&plain, &none, LINK, false),
            (&plain, &behind, CASE, true),
            (&own, &none, LINK, true),
            (&own, &none, TOKEN, true),
            (&outside, &none, LINK, true),
            (&outside, &none, LINK_TOKEN, true),
            (&outside, &none, TOKEN, false),
        ] {
            let set = set_cookie(config, headers, name, "x");
            assert_eq!(set.ends_with("; Secure"), is_secure, "{set}");
        }
    }

    #[test]
    fn a_reason_counts_for_the_user_who_gave_it() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, format!("a=b; {CASE}={}", kept("李四", "工单 7")).parse().unwrap());
        assert_eq!(reason_of(&headers, "李四").as_deref(), Some("工单 7"));
        assert_eq!(reason_of(&headers, "eve"), None);
    }
}
