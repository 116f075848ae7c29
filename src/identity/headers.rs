//! Identity headers, and attacks on them.
//!
//! Each check here answers a published vulnerability. Examples: `_` variants of a header that the proxy
//! cleans (CVE-2025-64484, oauth2-proxy), a `Connection` header that makes a proxy drop one (CVE-2025-48865,
//! Fabio), and duplicates of which the proxy and the backend read different ones.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, CONNECTION, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use super::{Caller, Role, Roles, check_named, hmac, refused, setting};
use crate::base::config::{IdentityMode, IdentityNames, IdentitySettings, UserEncoding};
use crate::base::error::{Error, Result};

/// Header with the secret shared with the gateway.
pub const GATEWAY_SECRET: HeaderName = HeaderName::from_static("x-gateway-secret");
/// Header by which Kong marks an anonymous caller (`kong/constants.lua`).
const ANONYMOUS: HeaderName = HeaderName::from_static("x-anonymous-consumer");

/// The headers that name a user and their roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    user: HeaderName,
    roles: Option<HeaderName>,
}

impl Names {
    /// The user header comes from the preset or the setting:
    ///
    /// | preset | user header | written by |
    /// | --- | --- | --- |
    /// | `oauth2-proxy` | `X-Auth-Request-User` | `--set-xauthrequest`, handed on by nginx's `auth_request_set`; oauth2-proxy `pkg/apis/options/legacy_options.go` |
    /// | `kong` | `X-Consumer-Custom-ID` | every authentication plugin, cleared when absent; `kong/constants.lua` |
    /// | `apisix` | `X-Consumer-Username` | every authentication plugin; `apisix/consumer.lua` |
    /// | `envoy` | `x-jwt-claim-sub` | `jwt_authn`'s `claim_to_headers`, which also removes what the client sent; `extractor.cc` |
    /// | `authelia` | `Remote-User` | trusted header SSO; `internal/handlers/const.go` |
    ///
    /// The roles header comes only from the setting, and is off without it. No gateway writes one by
    /// default: each needs a line, a claim or a plugin. Without that, the header of the client arrives here.
    /// A missing user header refuses all users, which is noticed. An unprotected roles header would make
    /// every employee an administrator.
    ///
    /// Kong's `X-Consumer-Username` is not a fallback: the user name of one consumer can equal the custom
    /// id of another.
    fn new(settings: &IdentitySettings) -> Result<Self> {
        let user = match settings.preset.as_str() {
            "" => settings.user_header.as_str(),
            "oauth2-proxy" => "x-auth-request-user",
            "kong" => "x-consumer-custom-id",
            "apisix" => "x-consumer-username",
            "envoy" => "x-jwt-claim-sub",
            "authelia" => "remote-user",
            _ => {
                return Err(setting(
                    "`identity_preset` must be oauth2-proxy, kong, apisix, envoy or authelia",
                ));
            }
        };
        let name = |key: &str, text: &str| {
            HeaderName::from_bytes(text.as_bytes())
                .map_err(|_| setting(format!("{key} must be the name of a header")))
        };
        let roles = settings.roles_header.as_str();
        let roles = if roles.is_empty() { None } else { Some(name("identity_roles_header", roles)?) };
        Ok(Self { user: name("identity_user_header", user)?, roles })
    }

    fn read<'a>(&'a self, headers: &'a HeaderMap, reading: Reading) -> Result<ClaimedUser<'a>> {
        let sent = headers.get(&self.user).map(HeaderValue::as_bytes);
        let user = sent.map(|sent| reading.user(sent)).transpose();
        let user = user.map_err(|problem| parameter(&self.user, problem))?;
        let roles = self.roles.as_ref().and_then(|name| headers.get(name));
        Ok(ClaimedUser { names: self, user, sent, roles: roles.map(HeaderValue::as_bytes) })
    }
}

/// How a header encodes a user id.
#[derive(Debug, Clone, Copy)]
struct Reading {
    encoding: UserEncoding,
    names: IdentityNames,
}

impl Reading {
    fn user<'a>(self, sent: &'a [u8]) -> std::result::Result<Cow<'a, str>, &'static str> {
        // Gateways join a repeated header with commas.
        if sent.contains(&b',') {
            return Err("it is a list, not one user");
        }
        let utf8 = || str::from_utf8(sent).map_err(|_| "it is not UTF-8");
        let user = match self.encoding {
            UserEncoding::Utf8 => Cow::from(utf8()?),
            _ if !sent.is_ascii() => {
                return Err("it is not plain ASCII; `identity_user_encoding` can name another encoding");
            }
            UserEncoding::Ascii => Cow::from(utf8()?),
            UserEncoding::Percent => percent_decoded(utf8()?)?,
        };
        check_named(self.names, &user)?;
        Ok(user)
    }
}

/// Strict decoding by RFC 3986 §2.1: a `%` without two hex digits is an error.
fn percent_decoded(text: &str) -> std::result::Result<Cow<'_, str>, &'static str> {
    let hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let escape = |(at, _): (usize, _)| hex(text.as_bytes().get(at + 1)) && hex(text.as_bytes().get(at + 2));
    if !text.match_indices('%').all(escape) {
        return Err("it is not percent-encoded");
    }
    percent_decode_str(text).decode_utf8().map_err(|_| "it is not percent-encoded UTF-8")
}

/// The user that one pair of headers names, not yet authenticated.
#[derive(Debug)]
pub struct ClaimedUser<'a> {
    names: &'a Names,
    user: Option<Cow<'a, str>>,
    /// The raw value. The signature covers it.
    pub sent: Option<&'a [u8]>,
    /// The raw value. Groups of other systems can use any script.
    pub roles: Option<&'a [u8]>,
}

impl ClaimedUser<'_> {
    /// Trusts the headers. The caller of this function must have authenticated the gateway. Every user has
    /// the role `user`.
    pub fn caller(&self) -> Result<Caller> {
        let user = self.user.as_deref();
        let user = user.ok_or_else(|| refused(format!("the header {} is missing", self.names.user)))?;
        let lacks_roles_header = self.names.roles.is_none();
        Ok(Caller { lacks_roles_header, ..Caller::named(user.to_owned(), self.known_roles()) })
    }

    fn known_roles(&self) -> Roles {
        Roles::listed(self.roles.unwrap_or_default()).with(Role::User)
    }

    fn agrees_with(&self, caller: &Caller) -> Result<()> {
        let blamed = if self.user.as_deref().is_some_and(|user| user != caller.user_id) {
            &self.names.user
        } else if let (Some(_), Some(name)) = (self.roles, &self.names.roles)
            && self.known_roles() != caller.roles.with(Role::User)
        {
            name
        } else {
            return Ok(());
        };
        let mut disagree = refused("a header names another user than the authentication");
        disagree.pointer = Some(blamed.to_string());
        Err(disagree)
    }
}

/// All identity headers of a request.
#[derive(Debug)]
pub struct Said<'a> {
    pub bearer: Option<&'a str>,
    people: Vec<ClaimedUser<'a>>,
}

impl<'a> Said<'a> {
    /// The headers of the current mode.
    pub fn first(&self) -> &ClaimedUser<'a> {
        &self.people[0]
    }

    /// Refuses a caller when a header names another user.
    pub fn agree_with(&self, caller: &Caller) -> Result<()> {
        self.people.iter().try_for_each(|person| person.agrees_with(caller))
    }
}

/// The identity headers, and the check for look-alikes.
pub struct Watch {
    /// The headers of the current mode come first. Never empty.
    names: Vec<Names>,
    reading: Reading,
    watched: Vec<HeaderName>,
    refuse_anonymous: bool,
}

impl Watch {
    /// Refuses settings in which one header has two meanings.
    pub fn new(settings: &IdentitySettings) -> Result<Self> {
        let mut names = vec![Names::new(settings)?];
        let mut watched = vec![AUTHORIZATION, GATEWAY_SECRET];
        let refuse_anonymous = settings.preset == "kong";
        watched.extend(refuse_anonymous.then_some(ANONYMOUS));
        if settings.mode == IdentityMode::Hmac {
            watched.extend([hmac::TIMESTAMP, hmac::SIGNATURE]);
            // A header of the settings with the same name is under the signature and read there.
            names[0].roles.take_if(|roles| *roles == hmac::ROLES);
            names.retain(|beside| beside.user != hmac::USER || beside.roles.is_some());
            names.insert(0, Names { user: hmac::USER, roles: Some(hmac::ROLES) });
        }
        for header in names.iter().flat_map(|n| std::iter::once(&n.user).chain(&n.roles)) {
            let taken = |other: &HeaderName| other == header || look_alike(other.as_str(), header.as_str());
            if watched.iter().any(taken) {
                return Err(setting(format!(
                    "the header {header} has two meanings: `identity_user_header`, `identity_roles_header`"
                )));
            }
            watched.push(header.clone());
        }
        let reading = Reading { encoding: settings.user_encoding, names: settings.names };
        Ok(Self { names, reading, watched, refuse_anonymous })
    }

    /// Reads the identity headers, or refuses an attack.
    pub fn read<'a>(&'a self, headers: &'a HeaderMap) -> Result<Said<'a>> {
        self.refuse_tricks(headers)?;
        let people =
            self.names.iter().map(|names| names.read(headers, self.reading)).collect::<Result<_>>()?;
        Ok(Said { bearer: bearer(headers)?, people })
    }

    fn refuse_tricks(&self, headers: &HeaderMap) -> Result<()> {
        if let Some(name) = self.watched.iter().find(|name| headers.get_all(*name).iter().nth(1).is_some()) {
            return Err(parameter(name, "it was sent more than once"));
        }
        let twin = |name: &str| self.watched.iter().any(|watched| look_alike(name, watched.as_str()));
        if let Some(name) = headers.keys().find(|name| twin(name.as_str())) {
            return Err(parameter(name, "it can be mistaken for an identity header"));
        }
        // RFC 9110 §7.6.1: `Connection` lists headers for one hop. An identity header is never one.
        let hops = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
        let mut hops = hops.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase());
        if hops.any(|name| twin(&name) || self.watched.iter().any(|watched| watched.as_str() == name)) {
            return Err(parameter(&CONNECTION, "it lists an identity header"));
        }
        if self.refuse_anonymous && headers.contains_key(ANONYMOUS) {
            return Err(refused("the gateway marks the caller as anonymous"));
        }
        Ok(())
    }
}

/// Whether an intermediate server could confuse the two names. CGI turns every `-` into `_`. Others replace
/// every character that is not a letter or a digit.
fn look_alike(name: &str, other: &str) -> bool {
    let same = |(a, b): (u8, u8)| a == b || !(a.is_ascii_alphanumeric() || b.is_ascii_alphanumeric());
    name != other && name.len() == other.len() && name.bytes().zip(other.bytes()).all(same)
}

/// The bearer token (RFC 6750 §2.1), if there is an `Authorization`. The scheme is case-insensitive (RFC 9110
/// §11.1). Other schemes are refused, because the service cannot check them.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| parameter(&AUTHORIZATION, "it is not plain ASCII"))?;
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_matches(' '),
        _ => return Err(refused("Authorization must be a bearer token")),
    };
    let token68 = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if token.is_empty() || !token.bytes().all(token68) {
        return Err(parameter(&AUTHORIZATION, "it is not one bearer token"));
    }
    Ok(Some(token))
}

fn parameter(name: &HeaderName, problem: &'static str) -> Error {
    Error::parameter(name.as_str(), format!("the header {name} is refused: {problem}"))
}

#[cfg(test)]
mod tests;
