//! One request of a page: who asks, why, in which language, for what.

use axum::extract::FromRequestParts;
use axum::http::header::{ACCEPT_LANGUAGE, CONTENT_TYPE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use url::form_urlencoded::{Serializer, parse};

use super::calls::Refusal;
use super::case::{LANGUAGE, TOKEN, cookie, new_token, reason_of, set_cookie};
use super::sign_in::OwnSession;
use crate::api::{Api, Authenticated};
use crate::base::error::Error;
use crate::console::frame::{Frame, Part};
use crate::console::lang::Lang;
use crate::identity::{Caller, Role};

/// A request of a page by a caller who may see it.
pub struct Visit {
    pub caller: Caller,
    /// `None`: the caller has to give one.
    pub reason: Option<String>,
    /// Whether the caller has signed in to the console itself.
    signs_out: bool,
    asked: Asked,
    token: String,
    /// Cookies that the answer sets.
    cookies: Vec<String>,
}

/// What a request asks for, before the caller is known.
pub struct Asked {
    pub lang: Lang,
    params: Vec<(String, String)>,
    /// The page and its parameters, relative to the console, without the language.
    pub here: String,
}

impl FromRequestParts<Api> for Visit {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        let Authenticated(caller) = Authenticated::from_request_parts(parts, api).await?;
        caller.require(Role::Support).map_err(IntoResponse::into_response)?;
        Self::of(api, caller, parts).map_err(IntoResponse::into_response)
    }
}

/// A request of a page of the directory.
pub struct DirectoryVisit(pub Visit);

impl FromRequestParts<Api> for DirectoryVisit {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        let Authenticated(caller) = Authenticated::from_request_parts(parts, api).await?;
        caller.require(Role::Directory).map_err(IntoResponse::into_response)?;
        Visit::of(api, caller, parts).map(Self).map_err(IntoResponse::into_response)
    }
}

/// A request of a page for operators.
pub struct Operator(pub Visit);

impl FromRequestParts<Api> for Operator {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        let Authenticated(caller) = Authenticated::from_request_parts(parts, api).await?;
        if !caller.roles.has(Role::Admin) {
            return Err(Refusal::not_an_operator().into_response());
        }
        Visit::of(api, caller, parts).map(Self).map_err(IntoResponse::into_response)
    }
}

impl Visit {
    fn of(api: &Api, caller: Caller, parts: &Parts) -> Result<Self, Error> {
        let asked = Self::outside(&parts.headers, &parts.uri);
        let mut cookies = Vec::new();
        let token = match cookie(&parts.headers, TOKEN).filter(|token| !token.is_empty()) {
            Some(token) => token.to_owned(),
            None => {
                let token = new_token()?;
                cookies.push(set_cookie(&api.config, &parts.headers, TOKEN, &token));
                token
            }
        };
        cookies.extend(asked.language_cookie(api, &parts.headers));
        let reason = reason_of(&parts.headers, &caller.user_id);
        let signs_out = parts.extensions.get::<OwnSession>().is_some();
        Ok(Self { caller, reason, signs_out, asked, token, cookies })
    }
}

impl Asked {
    /// A parameter of the page, or nothing.
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Keeps the language that the reader has chosen.
    pub fn language_cookie(&self, api: &Api, headers: &HeaderMap) -> Option<String> {
        let is_chosen = self.param("lang") == self.lang.code();
        is_chosen.then(|| set_cookie(&api.config, headers, LANGUAGE, self.lang.code()))
    }

    /// The frame of a page for a caller who has no case, or may not see the page.
    pub fn frame_of<'a>(&'a self, caller: Option<&'a Caller>) -> Frame<'a> {
        let Self { lang, here, .. } = self;
        Frame {
            lang: *lang,
            part: Part::None,
            caller: caller.map(|caller| caller.user_id.as_str()),
            roles: caller.map(|caller| caller.roles).unwrap_or_default(),
            signs_out: false,
            reason: None,
            here,
            token: "",
            calls: &[],
        }
    }
}

impl Visit {
    /// What a request asks for.
    pub fn outside(headers: &HeaderMap, uri: &Uri) -> Asked {
        let params: Vec<(String, String)> =
            parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let given = params.iter().find(|(name, _)| name == "lang").and_then(|(_, value)| Lang::parse(value));
        let kept = || cookie(headers, LANGUAGE).and_then(Lang::parse);
        let accepted = || headers.get(ACCEPT_LANGUAGE)?.to_str().ok().and_then(Lang::accepted);
        let lang = given.or_else(kept).or_else(accepted).unwrap_or(Lang::En);
        let page = uri.path().rsplit('/').next().unwrap_or_default();
        let query = Serializer::new(String::new())
            .extend_pairs(params.iter().filter(|(name, _)| name != "lang"))
            .finish();
        let here = if query.is_empty() { page.to_owned() } else { format!("{page}?{query}") };
        Asked { lang, params, here }
    }

    /// A parameter of the page, or nothing.
    pub fn param(&self, name: &str) -> &str {
        self.asked.param(name)
    }

    /// The cursor, if there is one.
    pub fn cursor(&self) -> Option<(&'static str, &str)> {
        Some(("cursor", self.param("cursor"))).filter(|(_, cursor)| !cursor.is_empty())
    }

    pub fn frame<'a>(&'a self, part: Part, calls: &'a [String]) -> Frame<'a> {
        let Asked { lang, here, .. } = &self.asked;
        let caller = Some(self.caller.user_id.as_str());
        Frame {
            lang: *lang,
            part,
            caller,
            roles: self.caller.roles,
            signs_out: self.signs_out,
            reason: self.reason.as_deref(),
            here,
            token: &self.token,
            calls,
        }
    }

    /// The frame of a page of the directory. Administrators see it among the pages of operators.
    pub fn frame_of_directory<'a>(&'a self, calls: &'a [String]) -> Frame<'a> {
        let is_operator = self.caller.roles.has(Role::Admin);
        self.frame(if is_operator { Part::Operations } else { Part::Directory }, calls)
    }

    /// The page that asks for the reason.
    pub fn ask_reason(&self) -> Response {
        self.html(self.frame(Part::None, &[]).ask_reason())
    }

    /// A page, with the cookies that the browser lacks.
    pub fn html(&self, html: String) -> Response {
        let mut response = ([(CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response();
        for cookie in &self.cookies {
            if let Ok(cookie) = HeaderValue::try_from(cookie.as_str()) {
                response.headers_mut().append(SET_COOKIE, cookie);
            }
        }
        response
    }
}
