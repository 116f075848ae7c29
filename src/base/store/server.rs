//! A server that a setting names: whether it accepts connections, and what to do if it does not.

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use deadpool_postgres::{HookError, PoolError, TimeoutType};
use refinery::error::Kind as Failure;
use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;

use crate::base::error::{Error, Kind, Unreachable};

/// The standard library's message for a name without an address. It has no error kind of its own.
const NO_ADDRESS: &str = "failed to lookup address information";

/// The server, and when the last connection succeeded or failed.
#[derive(Debug)]
pub struct Server {
    /// `host:port`, several with commas.
    place: String,
    database: String,
    role: String,
    /// The setting that names it.
    setting: &'static str,
    contact: Mutex<Contact>,
}

/// The setting with the primary. Only of it the log says here whether it is away; the standby has lines of its own.
pub const PRIMARY: &str = "database_url";
/// The setting with the standby.
pub const STANDBY: &str = "database_read_url";

#[derive(Debug, Default)]
struct Contact {
    connected: Option<Instant>,
    away_since: Option<Instant>,
}

impl Server {
    /// The server of an address that this setting has.
    pub fn of(pg: &tokio_postgres::Config, setting: &'static str) -> Self {
        let ports = pg.get_ports();
        let place = |(i, host): (usize, &Host)| {
            let port = ports.get(i).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(name) => format!("{name}:{port}"),
                Host::Unix(folder) => folder.display().to_string(),
            }
        };
        let places: Vec<String> = pg.get_hosts().iter().enumerate().map(place).collect();
        let role = pg.get_user().unwrap_or_default().to_owned();
        let database = pg.get_dbname().unwrap_or(&role).to_owned();
        Self { place: places.join(","), database, role, setting, contact: Mutex::default() }
    }

    /// `host:port`, several with commas.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The setting that names it.
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// Reports a connection whose attempt began then. Logs if the server was away before. An older attempt
    /// does not count: a dying server may still have accepted it.
    pub fn connected(&self, began: Instant) {
        let mut contact = self.contact.lock().unwrap_or_else(PoisonError::into_inner);
        contact.connected = Some(Instant::now());
        if self.setting != PRIMARY {
            return;
        }
        if let Some(since) = contact.away_since.take_if(|since| *since < began) {
            let away_ms = since.elapsed().as_millis() as u64;
            tracing::info!(server = self.place, away_ms, "the database is back");
        }
    }

    /// Reports a failed attempt that began then. Logs the first failure until a connection succeeds.
    pub fn refused(&self, began: Instant, e: PoolError) -> Error {
        let why = match e {
            PoolError::Backend(e) | PoolError::PostCreateHook(HookError::Backend(e)) => self.explain(&e),
            PoolError::Timeout(TimeoutType::Create) => {
                format!("{} does not answer within database_wait_ms", self.place)
            }
            e => return Error::unavailable("no database connection is free").because(e),
        };
        if self.setting != PRIMARY {
            return Error::unavailable("the standby is away").because(Unreachable(why));
        }
        let mut contact = self.contact.lock().unwrap_or_else(PoisonError::into_inner);
        let overtaken = contact.connected.is_some_and(|connected| connected > began);
        if !overtaken && contact.away_since.is_none() {
            contact.away_since = Some(Instant::now());
            tracing::warn!(server = self.place, why, "the database is away");
        }
        Error::unavailable("the database is away").because(Unreachable(why))
    }

    /// Why there is no connection, and what the operator can do.
    fn explain(&self, e: &tokio_postgres::Error) -> String {
        let Self { place, database, role, setting, .. } = self;
        if let Some(code) = e.code() {
            return match code.code() {
                "3D000" => format!(
                    "{place} has no database {database:?}: CREATE DATABASE {database} OWNER {role}, or correct \
                     {setting}"
                ),
                "28P01" => format!("{place} refuses the password of the role {role:?}: correct {setting}"),
                "28000" => format!(
                    "{place} does not let the role {role:?} in: CREATE ROLE {role} LOGIN, allow it in pg_hba.conf, \
                     or correct {setting}"
                ),
                "42501" => format!(
                    "the role {role:?} may not connect: GRANT CONNECT ON DATABASE {database} TO {role}"
                ),
                "53300" => format!(
                    "{place} takes no more connections: replicas × (database_pool_size + 2) must stay below its \
                     max_connections"
                ),
                "57P03" => format!("{place} is starting, stopping or recovering"),
                code => format!("{place} refuses the connection with SQL state {code}"),
            };
        }
        let io = e.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        match (io.map(io::Error::kind), io) {
            (Some(ErrorKind::ConnectionRefused), _) => format!(
                "nothing listens at {place}: start PostgreSQL there, or correct host and port in {setting}"
            ),
            (Some(ErrorKind::TimedOut), _) => format!("{place} does not answer"),
            (_, Some(io)) if io.to_string().starts_with(NO_ADDRESS) => {
                format!("the host of {place} has no address: correct the host in {setting}, or DNS")
            }
            _ => match e.source() {
                Some(cause) => format!("{place}: {e}: {cause}"),
                None => format!("{place}: {e}"),
            },
        }
    }

    /// Why no work is possible on a server that takes no writes.
    pub fn only_reads(&self) -> String {
        format!("{} only reads: name the primary in database_url", self.place)
    }

    /// A migration of the database is not one of this version, whose last migration is `newest`.
    pub fn foreign_schema(&self, theirs: i32, newest: i32) -> Error {
        let why = if theirs > newest {
            format!(
                "a newer im-push-gateway has upgraded this database to schema V{theirs}, and this one knows V{newest} \
                 at most: run the newer one. The only way back is a backup from before the upgrade"
            )
        } else {
            format!(
                "the database {:?} was made by another build: its schema V{theirs} is not ours. Run that build, or name \
                 another database in database_url",
                self.database
            )
        };
        Error::new(Kind::Internal, why)
    }

    /// Why the migration failed, and what to do. `newest` is the last migration of this version.
    pub fn explain_migration(&self, e: refinery::Error, newest: i32) -> Error {
        let Self { database, role, .. } = self;
        let why = match e.kind() {
            Failure::MissingVersion(theirs) | Failure::DivergentVersion(theirs, _) => {
                return self.foreign_schema(theirs.version(), newest);
            }
            Failure::Connection(_, cause) => match cause.downcast_ref::<tokio_postgres::Error>() {
                Some(e) if e.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => format!(
                    "the role {role:?} may not change the schema of the database {database:?}: run `im-push-gateway \
                     migrate` as the role that owns the tables, or as its administrator, ALTER DATABASE {database} OWNER TO {role}, or GRANT CREATE ON SCHEMA public TO {role}"
                ),
                Some(e) if e.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => self.only_reads(),
                _ => return Error::new(Kind::Internal, "the database schema cannot be updated").because(e),
            },
            _ => return Error::internal(e),
        };
        Error::new(Kind::Internal, why)
    }
}
