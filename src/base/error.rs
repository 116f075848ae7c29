//! The error type of the service, and the table of problem types (RFC 9457).

mod state;

use std::borrow::Cow;
use std::fmt;

use deadpool_postgres::PoolError;
use tokio_postgres::error::{DbError, SqlState};

use crate::base::number::CallId;

use state::Remedy;
pub use state::is_stale;

pub type Result<T> = std::result::Result<T, Error>;

/// Kinds of errors. Each kind is one stable problem type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    MalformedBody,
    InvalidField,
    InvalidParameter,
    Unauthenticated,
    WrongCredentials,
    UnknownUser,
    AccountSuspended,
    Forbidden,
    OnlyAdminsSend,
    OnlyAdminsMentionAll,
    Blocked,
    NoFriends,
    Silenced,
    GateRefused,
    NotFound,
    AccountsOff,
    MethodNotAllowed,
    Conflict,
    ClientIdReused,
    UsernameTaken,
    AlreadyOnline,
    CallRunning,
    ChannelDissolved,
    ChannelEncrypted,
    ChannelNotEncrypted,
    EpochTaken,
    TooLarge,
    QuotaExceeded,
    PreconditionFailed,
    RangeNotSatisfiable,
    UnsupportedMediaType,
    Locked,
    ChecksumMismatch,
    StorageFull,
    RateLimited,
    TooManyStreams,
    NudgedRecently,
    TooManyNotifications,
    GateUnanswered,
    Timeout,
    Unavailable,
    Internal,
}

impl Kind {
    pub const ALL: [Self; 42] = [
        Self::MalformedBody,
        Self::InvalidField,
        Self::InvalidParameter,
        Self::Unauthenticated,
        Self::WrongCredentials,
        Self::UnknownUser,
        Self::AccountSuspended,
        Self::Forbidden,
        Self::OnlyAdminsSend,
        Self::OnlyAdminsMentionAll,
        Self::Blocked,
        Self::NoFriends,
        Self::Silenced,
        Self::GateRefused,
        Self::NotFound,
        Self::AccountsOff,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::ClientIdReused,
        Self::UsernameTaken,
        Self::AlreadyOnline,
        Self::CallRunning,
        Self::ChannelDissolved,
        Self::ChannelEncrypted,
        Self::ChannelNotEncrypted,
        Self::EpochTaken,
        Self::TooLarge,
        Self::QuotaExceeded,
        Self::PreconditionFailed,
        Self::RangeNotSatisfiable,
        Self::UnsupportedMediaType,
        Self::Locked,
        Self::ChecksumMismatch,
        Self::StorageFull,
        Self::RateLimited,
        Self::TooManyStreams,
        Self::NudgedRecently,
        Self::TooManyNotifications,
        Self::GateUnanswered,
        Self::Timeout,
        Self::Unavailable,
        Self::Internal,
    ];

    /// Status, last part of the `type` URI, and title. The whole table of problems.
    pub fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::MalformedBody => (400, "malformed-body", "The request body is not valid JSON"),
            Self::InvalidField => (422, "invalid-field", "A field of the request body is invalid"),
            Self::InvalidParameter => (400, "invalid-parameter", "A parameter or header is invalid"),
            Self::Unauthenticated => (401, "unauthenticated", "Authentication required"),
            Self::WrongCredentials => (401, "wrong-credentials", "The username or the password is wrong"),
            Self::UnknownUser => (403, "unknown-user", "The caller is not an active user of the directory"),
            Self::AccountSuspended => (403, "account-suspended", "The account is suspended"),
            Self::Forbidden => (403, "forbidden", "The caller is not allowed to do this"),
            Self::OnlyAdminsSend => {
                (403, "only-admins-send", "Only admins and applications send to this group")
            }
            Self::OnlyAdminsMentionAll => {
                (403, "only-admins-mention-all", "Only admins and applications mention all members")
            }
            Self::Blocked => (403, "blocked", "The other user takes nothing from the caller"),
            Self::NoFriends => (403, "no-friends", "Only friends send direct messages to each other"),
            Self::Silenced => (403, "silenced", "An admin has silenced the caller in this group for a while"),
            Self::GateRefused => (403, "gate-refused", "The company's filter refuses the message"),
            Self::NotFound => (404, "not-found", "Not found, or not visible to the caller"),
            Self::AccountsOff => (404, "accounts-off", "Users do not sign in to this service itself"),
            Self::MethodNotAllowed => (405, "method-not-allowed", "The path does not support this method"),
            Self::Conflict => (409, "conflict", "The current state does not allow this"),
            Self::ClientIdReused => {
                (409, "client-id-reused", "The client_id was already used for another request")
            }
            Self::UsernameTaken => {
                (409, "username-taken", "The username is taken, or looks like one that is")
            }
            Self::AlreadyOnline => (409, "already-online", "The user is signed in elsewhere"),
            Self::CallRunning => (409, "call-running", "There is a call in the channel already"),
            Self::ChannelDissolved => (409, "channel-dissolved", "The channel is dissolved"),
            Self::ChannelEncrypted => (409, "channel-encrypted", "The channel is encrypted"),
            Self::ChannelNotEncrypted => (409, "channel-not-encrypted", "The channel is not encrypted"),
            Self::EpochTaken => (409, "epoch-taken", "The commit is not of the channel's epoch"),
            Self::TooLarge => (413, "too-large", "The request is too large"),
            Self::QuotaExceeded => (413, "quota-exceeded", "The files of the user take too much room"),
            Self::PreconditionFailed => (412, "precondition-failed", "A condition of the request is not met"),
            Self::RangeNotSatisfiable => (416, "range-not-satisfiable", "The file has no such range"),
            Self::UnsupportedMediaType => {
                (415, "unsupported-media-type", "The operation does not take a body of this media type")
            }
            Self::Locked => (423, "upload-locked", "Another request writes to the upload"),
            Self::ChecksumMismatch => (460, "checksum-mismatch", "The checksum does not match the bytes"),
            Self::StorageFull => (507, "storage-full", "The file store is full"),
            Self::RateLimited => (429, "rate-limited", "The caller sends too many requests"),
            Self::TooManyStreams => (429, "too-many-streams", "The user has too many open streams"),
            Self::NudgedRecently => (429, "nudged-recently", "The message was nudged a short time ago"),
            Self::TooManyNotifications => {
                (429, "too-many-notifications", "The application has too many open notifications")
            }
            Self::GateUnanswered => {
                (503, "gate-unanswered", "The company's filter does not answer; send the message again")
            }
            Self::Timeout => (503, "timeout", "The request timed out; send it again"),
            Self::Unavailable => {
                (503, "unavailable", "The service is temporarily unavailable; send the request again")
            }
            Self::Internal => (500, "internal", "Internal error"),
        }
    }
}

/// A failure. `detail` is for the caller, `source` only for the log.
#[derive(Debug)]
pub struct Error {
    pub kind: Kind,
    pub detail: Cow<'static, str>,
    /// JSON pointer (RFC 6901) or parameter name of the wrong value.
    pub pointer: Option<String>,
    /// How many seconds the caller should wait, if that is known.
    pub retry_after_s: Option<u64>,
    /// The call that is in the way.
    pub call_id: Option<CallId>,
    /// The epoch of the encrypted channel.
    pub epoch: Option<i64>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self { kind, detail, pointer: None, retry_after_s: None, call_id: None, epoch: None, source: None }
    }

    /// An invalid field of the body. `pointer` is its JSON pointer.
    pub fn field(pointer: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { pointer: Some(pointer.into()), ..Self::new(Kind::InvalidField, detail) }
    }

    /// An invalid path, query or header parameter.
    pub fn parameter(name: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { pointer: Some(name.into()), ..Self::new(Kind::InvalidParameter, detail) }
    }

    /// The same error with a JSON pointer.
    pub fn at(self, pointer: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), ..self }
    }

    /// The caller is no active user. The detail says what to do. It has no id, because a log can show it.
    pub fn unknown_caller() -> Self {
        Self::new(
            Kind::UnknownUser,
            "add the caller to the directory as an active user (POST /directory/changes, or the source of the \
             directory), or correct the user id that the gateway or the token gives",
        )
    }

    /// The same error with a time to wait.
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    /// There is a call in the channel already.
    pub fn call_running(call_id: CallId) -> Self {
        let detail = format!("join the call with POST /calls/{call_id}/accept");
        Self { call_id: Some(call_id), ..Self::new(Kind::CallRunning, detail) }
    }

    /// Another commit has taken the epoch, or it has not begun.
    pub fn epoch_taken(epoch: i64) -> Self {
        let detail =
            format!("the channel is in epoch {epoch}: apply its commits up to there, then commit again");
        Self { epoch: Some(epoch), ..Self::new(Kind::EpochTaken, detail) }
    }

    pub fn not_found(what: &'static str) -> Self {
        Self::new(Kind::NotFound, what)
    }

    pub fn unavailable(detail: &'static str) -> Self {
        Self::new(Kind::Unavailable, detail)
    }

    /// An internal failure. The log gets the cause. The caller learns only that it happened.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..Self::new(Kind::Internal, "") }
    }

    /// The same error with a cause for the log.
    pub fn because(self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// The text for the caller, in one line.
    pub fn detail(&self) -> &str {
        if self.detail.is_empty() { self.kind.row().2 } else { &self.detail }
    }

    /// Whether the database failed or could not be reached.
    pub fn is_of_database(&self) -> bool {
        let source = self.source.as_deref();
        source.is_some_and(|s| {
            s.is::<tokio_postgres::Error>()
                || s.is::<Unreachable>()
                || s.is::<PoolError>()
                || s.is::<NotFresh>()
        })
    }

    /// Whether a standby does not have, or cannot show that it has, all that the read must see.
    pub fn is_not_fresh(&self) -> bool {
        self.source.as_deref().is_some_and(|s| s.is::<NotFresh>())
    }

    /// Whether the database is away. The store logs this once, and once when it is back.
    pub fn is_database_away(&self) -> bool {
        let Some(source) = self.source.as_deref() else { return false };
        let lost = source.downcast_ref::<tokio_postgres::Error>().is_some_and(|e| match e.as_db_error() {
            Some(db) => state::is_away(db),
            None => is_lost(e),
        });
        lost || source.is::<Unreachable>()
    }

    /// Why a database cannot be reached, if that is the cause.
    pub fn unreachable(&self) -> Option<&Unreachable> {
        self.source.as_deref()?.downcast_ref()
    }

    /// The cause. Only the log may show it.
    pub fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync)> {
        self.source.as_deref()
    }

    /// The error of the database server, if there is one.
    pub fn database(&self) -> Option<&DbError> {
        self.source.as_deref()?.downcast_ref::<tokio_postgres::Error>()?.as_db_error()
    }

    /// Whether a retry can succeed: deadlock, serialization failure or lock timeout.
    pub fn is_contention(&self) -> bool {
        self.remedy() == Some(Remedy::Again)
    }

    /// Whether the database refuses this on connections of this age. An immediate retry fails again.
    pub fn needs_reconnect(&self) -> bool {
        self.remedy() == Some(Remedy::Reconnect)
    }

    /// Whether the disk of the database is full. An immediate retry fails again.
    pub fn is_disk_full(&self) -> bool {
        self.database().is_some_and(|db| *db.code() == SqlState::DISK_FULL)
    }

    fn remedy(&self) -> Option<Remedy> {
        self.database().and_then(state::find).map(|(remedy, _)| remedy)
    }

    /// Whether the database refuses the data (SQLSTATE class 22). A retry fails again.
    pub fn is_of_data(&self) -> bool {
        self.kind == Kind::InvalidParameter
            || self.database().is_some_and(|db| db.code().code().starts_with("22"))
    }

    /// Whether something is unavailable for now: the database, the archive or this replica. The outcome of a commit is then unknown.
    pub fn is_unavailable(&self) -> bool {
        self.kind == Kind::Unavailable
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, slug, _) = self.kind.row();
        match self.kind {
            // A sentence for the operator.
            Kind::Internal if !self.detail.is_empty() => write!(f, "{}", self.detail)?,
            _ if self.detail.is_empty() => write!(f, "{slug}")?,
            _ => write!(f, "{slug}: {}", self.detail)?,
        }
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        if let Some(db) = self.database() {
            // Prints only code and constraint, because message and detail can quote personal data.
            write!(f, " {} {}", db.code().code(), db.constraint().unwrap_or_default())?;
        }
        if let Some(db) = self.database().filter(|db| *db.code() == SqlState::INSUFFICIENT_PRIVILEGE) {
            // This message names a table or a schema.
            write!(f, "{}", db.message())?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Why the database cannot be reached, and what to do. For the operator.
#[derive(Debug)]
pub struct Unreachable(pub String);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

/// Why a read does not use the standby. It is repeated on the primary.
#[derive(Debug)]
pub struct NotFresh(pub &'static str);

impl fmt::Display for NotFresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NotFresh {}

impl From<tokio_postgres::Error> for Error {
    fn from(e: tokio_postgres::Error) -> Self {
        if e.code() == Some(&SqlState::CHARACTER_NOT_IN_REPERTOIRE) {
            return Self::new(Kind::InvalidParameter, "text must not contain U+0000");
        }
        let detail = match e.as_db_error() {
            Some(db) => {
                let found = state::find(db);
                if found.is_some_and(|(remedy, _)| remedy == Remedy::Reconnect) {
                    state::mark_stale();
                }
                found.map(|(_, detail)| detail)
            }
            None => is_lost(&e).then_some("the database is away"),
        };
        let kind = if detail.is_some() { Kind::Unavailable } else { Kind::Internal };
        Self { source: Some(Box::new(e)), ..Self::new(kind, detail.unwrap_or_default()) }
    }
}

/// Whether the connection is lost.
fn is_lost(e: &tokio_postgres::Error) -> bool {
    e.is_closed() || std::error::Error::source(e).is_some_and(|s| s.is::<std::io::Error>())
}
