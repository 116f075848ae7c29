//! `DEMO=keep`: the company stays, with a page for visitors.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;

use crate::stage::Stage;
use crate::story::{AWAY, DIRECTOR, LI, NEWCOMER, WANG};
use crate::tryit::{People, Site};

/// Opens the page. It works until the site is dropped.
pub async fn welcome(stage: &Stage) -> Site {
    let person = |n: &usize| (stage.people[*n].user_id.clone(), stage.people[*n].name.clone());
    let people: People = [WANG, LI, NEWCOMER, DIRECTOR, AWAY].iter().map(person).collect();
    let (gateway, offline) = (stage.gateway.remote(), stage.books.offline.clone());
    let disconnected = move |mut away: BTreeSet<String>| -> BoxFuture<'static, ()> {
        let gateway = gateway.clone();
        away.extend(offline.iter().cloned());
        Box::pin(async move { gateway.set_offline(&away).await })
    };
    Site::open(&stage.service.url(), &people, disconnected).await
}
