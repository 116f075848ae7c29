//! HTTP interface. This is the only module that uses axum and the wire format. One file per resource.

mod account_admin;
mod accounts;
mod archive;
mod around;
mod at_work;
mod bodies;
mod callbacks;
mod calls;
mod cards;
mod channels;
mod compress;
mod conditions;
mod console;
pub mod contract;
mod conversations;
mod deliveries;
mod departments;
mod diagnosis;
mod directory;
mod edits;
mod emojis;
mod escalations;
mod events;
mod favourites;
mod files;
mod forwards;
mod gate;
mod host;
mod joining;
mod key_packages;
mod links;
mod messages;
mod notifications;
mod observed;
mod operations;
mod origin;
mod preferences;
mod presence;
mod problem;
mod rates;
mod receipts;
mod relations;
mod request;
mod robots;
mod scim;
mod search;
mod service;
mod socket;
mod statistics;
mod statuses;
mod support;
mod sync;
mod threads;
mod tokens;
mod upkeep;
mod uploads;
mod users;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use time::OffsetDateTime;
use tokio::sync::Notify;
use tower_http::catch_panic::CatchPanicLayer;

use crate::accounts::Accounts;
use crate::archive::Archive;
use crate::archive::index::Index;
use crate::archive::mover::Archiver;
use crate::base::config::{Config, IdentityMode, IdentityNames};
use crate::base::cron::Zone;
use crate::base::error::{Error, Kind};
use crate::base::number::MsId;
use crate::base::store::{Standby, Store};
use crate::base::wakers::Wakers;
use crate::calls::Calls;
use crate::delivery::endpoint::Callbacks;
use crate::delivery::escalation::Escalation;
use crate::events::stream::Hub;
use crate::files::Files;
use crate::identity::{Caller, Claimed, Identity, Role, Roles};
use crate::people::contacts;
use crate::people::presence::{Presence, Sockets};
use crate::people::users::{check_active, of_login_name};
use crate::records::receipt::Inbox;
use crate::sync::Followers;
use crate::sync::edit::Edits;
use at_work::AtWork;
use bodies::Budget;
use rates::Rates;

pub use gate::GatedSender;
pub use socket::Connection;

/// State that all handlers share.
#[derive(Clone)]
pub struct Api(Arc<Stages>, Rates);

/// The modules that handlers call.
pub struct Stages {
    pub config: Config,
    pub store: Store,
    /// A separate pool for probes. They get an answer even when `store` is busy.
    pub probes: Store,
    /// What serves reads beside `store`.
    pub standby: Option<Arc<Standby>>,
    pub identity: Identity,
    /// If users sign in to this service itself.
    pub accounts: Option<Arc<Accounts>>,
    pub sender: GatedSender,
    pub calls: Calls,
    pub inbox: Inbox,
    pub callbacks: Arc<Callbacks>,
    pub presence: Presence,
    /// The users with open sockets, if these make them online.
    pub sockets: Option<Arc<Sockets>>,
    pub escalation: Arc<Escalation>,
    pub archive: Option<Arc<dyn Archive>>,
    pub index: Option<Arc<Index>>,
    pub archiver: Option<Arc<Archiver>>,
    pub streams: Arc<Hub>,
    /// Wakes the worker that writes receipts and reads into the ledger.
    pub receipts: Arc<Notify>,
    /// Wakes the push workers.
    pub wakers: Arc<Wakers>,
    /// Wakes the worker that synchronizes the directory from its source.
    pub directory: Arc<Notify>,
    /// Wakes the workers that apply changes of the directory.
    pub followers: Followers,
    pub edits: Arc<Edits>,
    pub files: Files,
    /// Wakes the worker that sends notifications.
    pub notifications: Arc<Notify>,
}

impl std::ops::Deref for Api {
    type Target = Stages;
    fn deref(&self) -> &Stages {
        &self.0
    }
}

impl Api {
    pub fn new(stages: Stages) -> Self {
        let rates = Rates::new(&stages.config.server);
        Self(Arc::new(stages), rates)
    }

    /// The limits of callers on this replica.
    fn rates(&self) -> &Rates {
        &self.1
    }

    fn archive(&self) -> Option<&dyn Archive> {
        self.archive.as_deref()
    }

    /// Does a read on the standby if there is one that has all that the primary has, otherwise on the primary. The read
    /// can be done twice.
    async fn read<T, F>(&self, work: impl Fn(Store) -> F) -> crate::base::error::Result<T>
    where
        F: Future<Output = crate::base::error::Result<T>>,
    {
        match &self.standby {
            Some(standby) => standby.read(work).await,
            None => work(self.store.clone()).await,
        }
    }

    /// The same for messages that begin at this one. Those of today stay on the primary, which has them in memory: a read
    /// of them is cheaper than the wait for the standby.
    async fn read_history<T, F>(
        &self,
        begin: Option<MsId>,
        work: impl Fn(Store) -> F,
    ) -> crate::base::error::Result<T>
    where
        F: Future<Output = crate::base::error::Result<T>>,
    {
        let today = MsId::first_of(clock().replace_time(time::Time::MIDNIGHT));
        match begin.is_some_and(|begin| begin < today) {
            true => self.read(work).await,
            false => work(self.store.clone()).await,
        }
    }

    /// The time zone in which days begin.
    fn zone(&self) -> crate::base::error::Result<Zone> {
        self.config.server.zone().map_err(Error::internal)
    }

    /// All routes. `openapi/im-push-gateway` describes each of them.
    pub fn router(self) -> Router {
        let timeout = self.config.server.request_timeout;
        let bodies = Budget::new(self.config.server.request_bodies_max_bytes);
        let rates = self.rates().clone();
        let at_work = AtWork::new(self.config.server.requests_max);
        let scheme = if self.config.server.is_encrypted() { "https" } else { "http" };
        let operations = operations_of_callers();
        let pages = console::routes(&self, operations.clone().with_state(self.clone()), &rates);
        let sockets = self.sockets(operations.clone(), (&bodies, &at_work), &rates);
        let proven = operations
            .layer(from_fn_with_state(rates.clone(), rates::limit))
            .layer(from_fn_with_state(self.clone(), prove));
        let transfers = self.transfers(&bodies, &rates);
        Router::new()
            .nest(
                "/api/v1",
                proven.merge(sockets).merge(
                    files::open_routes()
                        .merge(robots::open_routes())
                        .merge(accounts::open_routes())
                        .layer(from_fn(check_open)),
                ),
            )
            .nest("/scim/v2", scim::routes(&self, &rates))
            .merge(service::routes())
            .merge(pages)
            .layer(from_fn(move |request: Request, next: Next| bodies.clone().charge(request, next)))
            .layer(from_fn_with_state(at_work, at_work::shed))
            // Probes are answered also by a replica that has too much to do.
            .merge(service::probes())
            // The timeout ends when the answer begins. A streamed body can take longer.
            .layer(from_fn(move |request: Request, next: Next| async move {
                match tokio::time::timeout(timeout, next.run(request)).await {
                    Ok(response) => response,
                    Err(_) => Error::new(Kind::Timeout, "").into_response(),
                }
            }))
            .layer(compress::layer(self.config.server.compress_min_bytes))
            .layer(from_fn(compress::accept_plain))
            // Bodies of uploads are bounded by the settings of files, and take their time.
            .nest("/api/v1", transfers)
            .fallback(async || Error::not_found("no such path").into_response())
            .method_not_allowed_fallback(async || Error::new(Kind::MethodNotAllowed, "").into_response())
            .layer(CatchPanicLayer::custom(|_| Error::internal("a handler panicked").into_response()))
            .layer(from_fn(host::one_host))
            .layer(from_fn(move |request: Request, next: Next| observed::observe(scheme, request, next)))
            .with_state(self)
    }
}

/// The operations of authenticated callers, without their limits.
fn operations_of_callers() -> Router<Api> {
    Router::new()
        .merge(channels::routes())
        .merge(joining::routes())
        .merge(relations::routes())
        .merge(key_packages::routes())
        .merge(messages::routes())
        .merge(around::routes())
        .merge(cards::routes())
        .merge(calls::routes())
        .merge(threads::routes())
        .merge(forwards::routes())
        .merge(favourites::routes())
        .merge(support::routes())
        .merge(diagnosis::routes())
        .merge(receipts::routes())
        .merge(preferences::routes())
        .merge(presence::routes())
        .merge(statuses::routes())
        .merge(conversations::routes())
        .merge(sync::routes())
        .merge(tokens::routes())
        .merge(accounts::routes())
        .merge(account_admin::routes())
        .merge(directory::routes())
        .merge(users::routes())
        .merge(departments::routes())
        .merge(edits::routes())
        .merge(emojis::routes())
        .merge(escalations::routes())
        .merge(notifications::routes())
        .merge(callbacks::routes())
        .merge(deliveries::routes())
        .merge(statistics::routes())
        .merge(operations::routes())
        .merge(links::routes())
        .merge(search::routes())
        .merge(events::routes())
        .merge(archive::routes())
        .merge(upkeep::routes())
        .merge(files::routes())
        .merge(robots::routes())
}

impl Api {
    /// The route of sockets. Their requests are made of the operations, with the limits that requests of HTTP have.
    fn sockets(
        &self,
        operations: Router<Api>,
        (bodies, at_work): (&Budget, &AtWork),
        rates: &Rates,
    ) -> Router<Api> {
        let (bodies, timeout) = (bodies.clone(), self.config.server.request_timeout);
        let operations = operations
            .with_state(self.clone())
            .layer(from_fn_with_state(rates.clone(), rates::limit))
            .layer(from_fn(move |request: Request, next: Next| bodies.clone().charge(request, next)))
            .layer(from_fn_with_state(at_work.clone(), at_work::shed))
            .layer(from_fn(move |request: Request, next: Next| async move {
                match tokio::time::timeout(timeout, next.run(request)).await {
                    Ok(response) => response,
                    Err(_) => Error::new(Kind::Timeout, "").into_response(),
                }
            }))
            .layer(CatchPanicLayer::custom(|_| Error::internal("a handler panicked").into_response()));
        socket::routes(socket::Calls { operations, rates: rates.clone() })
            .layer(from_fn_with_state(rates.clone(), rates::limit))
            .layer(from_fn_with_state(self.clone(), prove))
            .layer(from_fn_with_state(self.clone(), socket::admit))
    }

    /// The routes that take the bytes of files. A body under a signature is read whole before it counts, so it has
    /// the limits of other bodies.
    fn transfers(&self, bodies: &Budget, rates: &Rates) -> Router<Api> {
        let prove = from_fn_with_state(self.clone(), prove);
        let limit = from_fn_with_state(rates.clone(), rates::limit);
        let uploads = uploads::routes()
            .layer(from_fn(uploads::speak))
            .layer(limit.clone())
            .layer(prove.clone())
            .layer(from_fn(uploads::name_version));
        let transfers = files::transfers().layer(limit).layer(prove).merge(uploads);
        if self.config.identity.mode != IdentityMode::Hmac {
            return transfers;
        }
        let bodies = bodies.clone();
        transfers.layer(from_fn(move |request: Request, next: Next| bodies.clone().charge(request, next)))
    }
}

/// Authenticates the caller before any handler runs.
async fn prove(State(api): State<Api>, request: Request, next: Next) -> Response {
    match proven(&api, request).await {
        Ok(request) => next.run(request).await,
        Err(e) => e.into_response(),
    }
}

async fn proven(api: &Api, request: Request) -> crate::base::error::Result<Request> {
    let (mut parts, mut body) = request.into_parts();
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let peer = peer.ok_or_else(|| Error::internal("the peer's address is missing"))?;
    let target =
        parts.extensions.get::<axum::extract::OriginalUri>().map_or(&parts.uri, |original| &original.0);
    let path_and_query = target.path_and_query().map_or("/", |p| p.as_str()).to_owned();
    let mut claimed = Claimed {
        peer,
        method: &parts.method,
        path_and_query: &path_and_query,
        headers: &parts.headers,
        body: None,
    };
    let read;
    if api.identity.needs_body(&claimed, clock())? {
        read = wire::read_body(body, api).await?;
        claimed.body = Some(&read);
        body = Body::from(read.clone());
    }
    let caller = api.identity.caller(&api.store, claimed, clock()).await?;
    let caller = known(api, caller).await?;
    if let Err(refused) = links::confine(&mut parts, &caller).await {
        // A request that is refused here does not come to the limit of its caller, and has to count as well.
        api.rates().take(&caller)?;
        return Err(refused);
    }
    check_text(&mut parts).await?;
    parts.extensions.insert(caller);
    Ok(Request::from_parts(parts, body))
}

/// Checks a request that needs no identity.
async fn check_open(request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match check_text(&mut parts).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(e) => e.into_response(),
    }
}

/// Refuses U+0000 in the path and in the query, because PostgreSQL cannot store it. Streams are exempt: their
/// parameters do not reach the database, and an error stops an `EventSource` for good.
async fn check_text(parts: &mut Parts) -> crate::base::error::Result<()> {
    if parts.extensions.get::<MatchedPath>().is_some_and(|path| path.as_str() == events::PATH) {
        return Ok(());
    }
    let refused = |name: &str| Err(Error::parameter(name.replace('\0', ""), "must not contain U+0000"));
    // The extractors report parameters that are not UTF-8.
    if let Ok(path) = RawPathParams::from_request_parts(parts, &()).await
        && let Some((name, _)) = path.iter().find(|(_, value)| value.contains('\0'))
    {
        return refused(name);
    }
    let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    for (name, value) in query {
        if name.contains('\0') || value.contains('\0') {
            return refused(&name);
        }
    }
    Ok(())
}

/// Finds the user of a login name, when the gateway sends login names. A login name without a user is
/// refused, even if it equals a user id.
async fn known(api: &Api, mut caller: Caller) -> crate::base::error::Result<Caller> {
    if api.config.identity.names == IdentityNames::LoginName && caller.token_hash.is_none() {
        match of_login_name(&api.store, &caller.user_id).await? {
            Some(user_id) => caller.user_id = user_id,
            None if caller.roles == Roles::default().with(Role::User) => {
                let detail = "the login name that the gateway gives is that of no active user, or of several: \
                     correct the directory or the gateway";
                return Err(Error::new(Kind::UnknownUser, detail));
            }
            None => caller.roles = caller.roles.without(Role::User),
        }
    }
    Ok(caller)
}

/// Reads the time of a request. Domain functions take it as an argument.
#[expect(clippy::disallowed_methods, reason = "the one place where requests get their time")]
fn clock() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// The time at which the request arrived.
struct Now(OffsetDateTime);

impl FromRequestParts<Api> for Now {
    type Rejection = Response;
    async fn from_request_parts(_: &mut Parts, _: &Api) -> Result<Self, Response> {
        Ok(Self(clock()))
    }
}

/// An authenticated caller. The handler checks the role.
struct Authenticated(Caller);

impl FromRequestParts<Api> for Authenticated {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Response> {
        let caller = parts.extensions.get::<Caller>().cloned();
        caller.map(Self).ok_or_else(|| Error::new(Kind::Unauthenticated, "").into_response())
    }
}

impl Authenticated {
    fn must_be(&self, role: Role) -> crate::base::error::Result<()> {
        self.0.require(role)
    }
}

/// An authenticated caller with the role `user` who is an active user of the directory. A user named by the
/// gateway always has this role. A token has it only if it was created with it.
struct Person(Caller);

impl FromRequestParts<Api> for Person {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        let Authenticated(caller) = Authenticated::from_request_parts(parts, api).await?;
        caller.require(Role::User).map_err(IntoResponse::into_response)?;
        check_active(&api.store, &caller.user_id).await.map_err(IntoResponse::into_response)?;
        Ok(Self(caller))
    }
}

/// Roles of machines that see every user and need not be in the directory.
const SEE_EVERYBODY: [Role; 3] = [Role::Gateway, Role::Directory, Role::Support];

/// A caller who looks at users.
struct Viewer(contacts::Viewer);

impl Viewer {
    async fn of(api: &Api, caller: &Caller) -> crate::base::error::Result<Self> {
        if SEE_EVERYBODY.iter().any(|role| caller.roles.has(*role)) {
            return Ok(Self(contacts::Viewer::default()));
        }
        caller.require(Role::User)?;
        Ok(Self(contacts::viewer(&api.store, &caller.user_id).await?))
    }
}

impl FromRequestParts<Api> for Viewer {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        let Authenticated(caller) = Authenticated::from_request_parts(parts, api).await?;
        Self::of(api, &caller).await.map_err(IntoResponse::into_response)
    }
}
