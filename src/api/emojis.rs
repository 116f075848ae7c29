//! `/emojis`: custom emoji that a text can use.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};

use super::wire::{Json, PathWord};
use super::{Api, Authenticated, Person};
use crate::base::error::Result;
use crate::chat::emoji::{self, Emoji};
use crate::identity::Role;

pub fn routes() -> Router<Api> {
    Router::new().route("/emojis", get(list)).route("/emojis/{emoji_id}", put(add).delete(remove))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewEmoji {
    address: String,
}

#[derive(Serialize)]
struct EmojiView {
    emoji_id: String,
    address: String,
}

#[derive(Serialize)]
struct Emojis {
    items: Vec<EmojiView>,
}

async fn list(State(api): State<Api>, _: Person) -> Result<Reply<Emojis>> {
    let view = |e: Emoji| EmojiView { emoji_id: e.emoji_id, address: e.address };
    Ok(Reply(Emojis { items: emoji::list(&api.store).await?.into_iter().map(view).collect() }))
}

async fn add(
    State(api): State<Api>,
    caller: Authenticated,
    PathWord(emoji_id): PathWord,
    Json(new): Json<NewEmoji>,
) -> Result<Reply<EmojiView>> {
    caller.must_be(Role::Admin)?;
    let emoji = Emoji { emoji_id, address: new.address };
    emoji::put(&api.store, &emoji).await?;
    Ok(Reply(EmojiView { emoji_id: emoji.emoji_id, address: emoji.address }))
}

async fn remove(
    State(api): State<Api>,
    caller: Authenticated,
    PathWord(emoji_id): PathWord,
) -> Result<StatusCode> {
    caller.must_be(Role::Admin)?;
    emoji::remove(&api.store, &emoji_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
