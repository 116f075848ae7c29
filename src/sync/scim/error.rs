//! Errors for SCIM clients (RFC 7644 §3.12).

use std::borrow::Cow;

pub type Result<T> = std::result::Result<T, Error>;

/// An error that the client can fix, or any other failure of the service.
#[derive(Debug)]
pub enum Error {
    Refused(Refusal),
    Failed(crate::base::error::Error),
}

/// A status, a keyword of RFC 7644 table 9 if one fits, and a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub scim_type: Option<&'static str>,
    pub detail: Cow<'static, str>,
}

fn refused(status: u16, scim_type: &'static str, detail: impl Into<Cow<'static, str>>) -> Error {
    Error::Refused(Refusal { status, scim_type: Some(scim_type), detail: detail.into() })
}

impl Error {
    pub fn invalid_syntax(detail: impl Into<Cow<'static, str>>) -> Self {
        refused(400, "invalidSyntax", detail)
    }

    pub fn invalid_filter(detail: impl Into<Cow<'static, str>>) -> Self {
        refused(400, "invalidFilter", detail)
    }

    pub fn invalid_path(detail: impl Into<Cow<'static, str>>) -> Self {
        refused(400, "invalidPath", detail)
    }

    pub fn invalid_value(detail: impl Into<Cow<'static, str>>) -> Self {
        refused(400, "invalidValue", detail)
    }

    pub fn no_target(detail: impl Into<Cow<'static, str>>) -> Self {
        refused(400, "noTarget", detail)
    }

    pub fn mutability(detail: impl Into<Cow<'static, str>>) -> Self {
        refused(400, "mutability", detail)
    }

    pub fn too_many(detail: impl Into<Cow<'static, str>>) -> Self {
        refused(400, "tooMany", detail)
    }

    pub fn uniqueness(detail: impl Into<Cow<'static, str>>) -> Self {
        refused(409, "uniqueness", detail)
    }

    pub fn not_found() -> Self {
        let detail = "no such resource".into();
        Self::Refused(Refusal { status: 404, scim_type: None, detail })
    }

    pub fn changed_meanwhile() -> Self {
        let detail = "the resource has changed since the version in If-Match".into();
        Self::Refused(Refusal { status: 412, scim_type: None, detail })
    }
}

impl From<crate::base::error::Error> for Error {
    fn from(e: crate::base::error::Error) -> Self {
        Self::Failed(e)
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(e: tokio_postgres::Error) -> Self {
        Self::Failed(e.into())
    }
}
