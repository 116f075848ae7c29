//! A client says up to which message of a channel it has everything. Like a read, it is kept as a range.

use time::OffsetDateTime;

use super::ReadTo;
use crate::archive::Archive;
use crate::base::error::{Error, Result};
use crate::base::number::MsId;
use crate::base::store::{SHARE_SEAL, Statements, Store, retrying};
use crate::sql;

/// Moves the caller's received cursor to `seq`. Returns its position: a lower `seq`, or one that is read, changes
/// nothing. Only the archive knows the position of a cold `seq`, so the answer is `503` while the archive does not
/// answer.
pub async fn receive_up_to(
    store: &Store,
    archive: Option<&dyn Archive>,
    to: ReadTo<'_>,
    now: OffsetDateTime,
) -> Result<i64> {
    if let Some(received_seq) = retrying(|| receive_once(store, to, None, now)).await? {
        return Ok(received_seq);
    }
    let (document, _) = super::cold_document(store, archive, to).await?;
    let received_seq = retrying(|| receive_once(store, to, Some(document.ms_id), now)).await?;
    received_seq.ok_or_else(|| Error::internal("the position of a cold message did not move the cursor"))
}

/// Returns none if the message is cold and `cold_ms_id` is not given.
async fn receive_once(
    store: &Store,
    to: ReadTo<'_>,
    cold_ms_id: Option<MsId>,
    now: OffsetDateTime,
) -> Result<Option<i64>> {
    let ReadTo { channel_id, caller, seq } = to;
    let missing = || Error::not_found("no such channel");
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    tx.batch_execute(SHARE_SEAL).await?;
    let point = tx
        .opt(sql!("records/receipt/received_point"), &[&channel_id, &caller, &seq])
        .await?
        .ok_or_else(missing)?;
    if seq > point.get("last_seq") {
        return Err(Error::field("/seq", "must not be above the last seq of the channel"));
    }
    let received_seq: i64 = point.get("received_seq");
    if seq <= received_seq {
        return Ok(Some(received_seq));
    }
    let Some(ms_id) = point.get::<_, Option<MsId>>("ms_id").or(cold_ms_id) else {
        return Ok(None);
    };
    let moved =
        tx.opt(sql!("records/receipt/receive_up_to"), &[&channel_id, &caller, &seq, &ms_id, &now]).await?;
    let received_seq = moved.ok_or_else(missing)?.get("received_seq");
    tx.commit().await?;
    Ok(Some(received_seq))
}
