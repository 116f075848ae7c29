//! The audit log: who searched, read or changed what belongs to others. Entries are only added.

use postgres_types::Json;
use serde_json::Value;
use time::OffsetDateTime;

use crate::base::error::Result;
use crate::base::store::{Statements, Store};
use crate::sql;

/// An action on something that belongs to another user.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    pub at: OffsetDateTime,
    pub actor: &'a str,
    pub action: Action,
    pub reason: Option<&'a str>,
    /// The conditions or the change that was asked for.
    pub filter: Value,
    /// The number of results; none if not known yet.
    pub results: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// One page of a search in all messages.
    Search,
    /// The start of an export, and its end with the size.
    ExportBegun,
    ExportEnded,
    /// The receipts of another user's message.
    Receipts,
    /// Channels, their members, or their messages, as support sees them.
    Channels,
    Members,
    Messages,
    /// An administrator transferred the ownership of a group.
    OwnerChanged,
    /// A message was recalled.
    Recall,
    /// A sender nudged the receivers who had not read.
    Nudge,
    /// One page of the users who are suspended or have left.
    Users,
    /// A held directory run was approved, or a run cancelled.
    RunApproved,
    RunCancelled,
    /// An edit was sent to the directory's source again, or cancelled.
    EditRetried,
    EditCancelled,
    /// A callback was created, changed, removed, rotated or tested, or its dead letters or events were replayed.
    CallbackCreated,
    CallbackChanged,
    CallbackRemoved,
    CallbackRotated,
    CallbackTested,
    CallbackReplayed,
    /// A robot of a group was created, changed, rotated or removed.
    RobotCreated,
    RobotChanged,
    RobotRotated,
    RobotRemoved,
    /// A token of the service was created or revoked.
    TokenCreated,
    TokenRevoked,
    /// An account was created on the server, or an administrator changed its roles, suspended it, lifted that, or made a
    /// code for a new password.
    AccountCreated,
    AccountRoles,
    AccountSuspended,
    AccountLifted,
    AccountReset,
    /// A user cancelled their account.
    AccountCancelled,
    /// A refresh token was used twice, which ended its session.
    SessionReused,
    /// An invitation to register was created or revoked.
    InvitationCreated,
    InvitationRevoked,
    /// A link for the developer of a callback was created, used or revoked.
    EndpointLinkCreated,
    EndpointLinkUsed,
    EndpointLinkRevoked,
}

impl Action {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::ExportBegun => "export-begun",
            Self::ExportEnded => "export-ended",
            Self::Receipts => "receipts",
            Self::Channels => "channels",
            Self::Members => "members",
            Self::Messages => "messages",
            Self::OwnerChanged => "owner-changed",
            Self::Recall => "recall",
            Self::Nudge => "nudge",
            Self::Users => "users",
            Self::RunApproved => "run-approved",
            Self::RunCancelled => "run-cancelled",
            Self::EditRetried => "edit-retried",
            Self::EditCancelled => "edit-cancelled",
            Self::CallbackCreated => "callback-created",
            Self::CallbackChanged => "callback-changed",
            Self::CallbackRemoved => "callback-removed",
            Self::CallbackRotated => "callback-rotated",
            Self::CallbackTested => "callback-tested",
            Self::CallbackReplayed => "callback-replayed",
            Self::RobotCreated => "robot-created",
            Self::RobotChanged => "robot-changed",
            Self::RobotRotated => "robot-rotated",
            Self::RobotRemoved => "robot-removed",
            Self::TokenCreated => "token-created",
            Self::TokenRevoked => "token-revoked",
            Self::AccountCreated => "account-created",
            Self::AccountRoles => "account-roles",
            Self::AccountSuspended => "account-suspended",
            Self::AccountLifted => "account-lifted",
            Self::AccountReset => "account-reset",
            Self::AccountCancelled => "account-cancelled",
            Self::SessionReused => "session-reused",
            Self::InvitationCreated => "invitation-created",
            Self::InvitationRevoked => "invitation-revoked",
            Self::EndpointLinkCreated => "endpoint-link-created",
            Self::EndpointLinkUsed => "endpoint-link-used",
            Self::EndpointLinkRevoked => "endpoint-link-revoked",
        }
    }
}

impl<'a> Entry<'a> {
    /// A change that an actor makes at a time, without a reason.
    pub fn change(action: Action, filter: Value, (actor, at): (&'a str, OffsetDateTime)) -> Self {
        Self { at, actor, action, reason: None, filter, results: None }
    }
}

/// An entry from the log.
#[derive(Debug)]
pub struct AuditEntry {
    pub audit_id: i64,
    pub at: OffsetDateTime,
    pub actor: String,
    pub action: String,
    pub reason: Option<String>,
    pub filter: Value,
    pub results: Option<i64>,
}

/// Writes an entry. The result is shown only after that.
pub async fn append(store: &Store, entry: Entry<'_>) -> Result<()> {
    append_with(&store.client().await?, entry).await
}

/// Writes an entry in the caller's transaction.
pub async fn append_with(client: &impl Statements, entry: Entry<'_>) -> Result<()> {
    let Entry { at, actor, action, reason, filter, results } = entry;
    client
        .run(sql!("base/audit/append"), &[&at, &actor, &action.as_str(), &reason, &Json(filter), &results])
        .await?;
    Ok(())
}

/// One page below `before`, newest first; on request only of one actor.
pub async fn list(store: &Store, before: i64, actor: Option<&str>, limit: i64) -> Result<Vec<AuditEntry>> {
    let rows = store.all(sql!("base/audit/list"), &[&before, &actor, &limit]).await?;
    let entry = |row: &tokio_postgres::Row| AuditEntry {
        audit_id: row.get("audit_id"),
        at: row.get("at"),
        actor: row.get("actor"),
        action: row.get("action"),
        reason: row.get("reason"),
        filter: row.get("filter"),
        results: row.get("results"),
    };
    Ok(rows.iter().map(entry).collect())
}
