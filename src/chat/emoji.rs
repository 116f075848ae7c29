//! Emoji: pictures that a text names as `[:emoji_id:]`. Unknown names stay text.

use crate::base::error::{Error, Result};
use crate::base::store::{Statements, Store};
use crate::sql;

const ID_MAX_CHARS: usize = 64;
const ADDRESS_MAX_CHARS: usize = 2_048;

#[derive(Debug)]
pub struct Emoji {
    pub emoji_id: String,
    /// A URL, or a key with which the portal finds the picture.
    pub address: String,
}

/// All emoji, by id.
pub async fn list(store: &Store) -> Result<Vec<Emoji>> {
    let rows = store.all(sql!("chat/emoji/list"), &[]).await?;
    Ok(rows.iter().map(|row| Emoji { emoji_id: row.get(0), address: row.get(1) }).collect())
}

/// Adds an emoji, or changes its address.
pub async fn put(store: &Store, emoji: &Emoji) -> Result<()> {
    let shaped = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !(1..=ID_MAX_CHARS).contains(&emoji.emoji_id.len()) || !emoji.emoji_id.chars().all(shaped) {
        return Err(Error::parameter("emoji_id", "must have 1 to 64 characters of A–Z a–z 0–9 _ -"));
    }
    let chars = emoji.address.chars().count();
    if chars == 0 || chars > ADDRESS_MAX_CHARS || emoji.address.chars().any(char::is_control) {
        return Err(Error::field("/address", "must have 1 to 2,048 characters and no control characters"));
    }
    store.run(sql!("chat/emoji/put"), &[&emoji.emoji_id, &emoji.address]).await?;
    Ok(())
}

/// Removes an emoji.
pub async fn remove(store: &Store, emoji_id: &str) -> Result<()> {
    match store.run(sql!("chat/emoji/remove"), &[&emoji_id]).await? {
        0 => Err(Error::not_found("no such emoji")),
        _ => Ok(()),
    }
}
