//! The page of an administrator that makes and revokes links for the developer of one callback.

use axum::Extension;
use axum::http::Method;
use axum::response::Response;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::Shown;
use super::calls::{Calls, Operations, Refusal, part};
use super::case::{Form, new_token};
use super::visit::Visit;
use crate::api::Now;
use crate::console::developer::answers::{Endpoint, Links, MadeLink};
use crate::console::endpoint_link as page;
use crate::console::frame::{Frame, Part, link};
use crate::identity::Role;

pub async fn show(visit: Visit, Now(now): Now, Extension(operations): Extension<Operations>) -> Shown {
    visit.caller.require(Role::Admin)?;
    let callback_id = visit.param("callback_id").trim();
    if callback_id.is_empty() {
        return Ok(visit.html(page::ask(&visit.frame(Part::Operations, &[]))));
    }
    shown(&visit, &operations, (callback_id, None, now)).await
}

async fn shown(
    visit: &Visit,
    operations: &Operations,
    (callback_id, made, now): (&str, Option<&MadeLink>, OffsetDateTime),
) -> Result<Response, Refusal> {
    let mut calls = Calls::without_case(operations, visit);
    let path = format!("/callbacks/{}", part(callback_id));
    let endpoint: Endpoint = calls.get(&path, &[]).await?;
    let links: Links = calls.get(&format!("{path}/links"), &[]).await?;
    let client_id = new_token()?;
    let shown = page::Shown { endpoint: &endpoint, links: &links, made, client_id: &client_id, now };
    let here = link("endpoint-link", &[("callback_id", callback_id)]);
    let frame = visit.frame(Part::Operations, &calls.made);
    // A page that was sent by a form has no address of its own.
    let frame = Frame { here: &here, ..frame };
    Ok(visit.html(page::page(&frame, &shown)))
}

/// Makes or revokes a link. A new link is shown in the answer itself: its secret is in no address.
pub async fn change(
    visit: Visit,
    Now(now): Now,
    Extension(operations): Extension<Operations>,
    form: Form,
) -> Shown {
    visit.caller.require(Role::Admin)?;
    let calls = Calls::without_case(&operations, &visit);
    let callback_id = form.field("callback_id");
    let path = format!("/callbacks/{}/links", part(callback_id));
    let revoked = form.field("revoke");
    if !revoked.is_empty() {
        let gone = format!("{path}/{}", part(revoked));
        calls.change::<Value>(Method::DELETE, &gone, None).await?;
        return Ok(form.done());
    }
    // The API says what is wrong with a number that is none.
    let hours = form.field("hours");
    let hours = hours.parse::<u32>().map_or_else(|_| json!(hours), |hours| json!(hours));
    let new = json!({"client_id": form.field("client_id"), "name": form.field("name"), "hours": hours});
    let made: MadeLink = calls.change(Method::POST, &path, Some(&new)).await?;
    shown(&visit, &operations, (callback_id, Some(&made), now)).await
}
