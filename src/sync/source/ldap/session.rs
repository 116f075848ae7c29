//! A connection to an LDAP server. It reads only while an answer is awaited. The library alone would read a
//! whole listing into memory, as fast as the server sends it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ldap3::controls::RawControl;
use ldap3::result::Result as LdapOutcome;
use ldap3::{LdapConnAsync, LdapConnSettings, LdapError, LdapResult, ResultEntry, Scope, SearchStream};
use rustls::ClientConfig;
use url::Url;

use crate::base::config::Secret;
use crate::sync::source::Failure;

/// Result codes (RFC 4511, appendix A.1; RFC 4533, 2.2).
pub const SUCCESS: u32 = 0;
pub const REFERRAL: u32 = 10;
pub const UNAVAILABLE_EXTENSION: u32 = 12;
pub const NO_SUCH_OBJECT: u32 = 32;
pub const INVALID_DN_SYNTAX: u32 = 34;
pub const INSUFFICIENT_ACCESS: u32 = 50;
pub const UNWILLING_TO_PERFORM: u32 = 53;
pub const REFRESH_REQUIRED: u32 = 4096;

/// A server, and the account to bind with.
pub struct Server {
    pub url: Url,
    pub bind_dn: String,
    pub bind_password: Secret,
    pub starttls: bool,
    pub tls: Arc<ClientConfig>,
    /// Longest wait for one message.
    pub timeout: Duration,
}

/// A search: base, scope and filter.
#[derive(Debug, Clone)]
pub struct LdapSearch {
    pub base: String,
    pub scope: Scope,
    pub filter: String,
}

pub struct Session {
    ldap: ldap3::Ldap,
    driving: Driving,
    timeout: Duration,
}

/// The future that reads and writes, until the connection ends.
struct Driving(Option<BoxFuture<'static, ()>>);

/// The answers to a search.
pub struct Answers {
    stream: SearchStream<'static, String, Vec<String>>,
}

impl Session {
    /// Connects and binds.
    pub async fn open(server: &Server) -> Result<Self, Failure> {
        let settings = LdapConnSettings::new()
            .set_conn_timeout(server.timeout)
            .set_starttls(server.starttls)
            .set_config(server.tls.clone());
        let (connection, ldap) =
            LdapConnAsync::from_url_with_settings(settings, &server.url).await.map_err(|e| failure(&e))?;
        let driving = Driving(Some(connection.drive().map(drop).boxed()));
        let mut session = Self { ldap, driving, timeout: server.timeout };
        if !server.bind_dn.is_empty() {
            let (who, password) = (server.bind_dn.as_str(), server.bind_password.expose());
            session.ldap.with_timeout(session.timeout);
            let bound = session.driving.until(session.ldap.simple_bind(who, password)).await?;
            succeeded("the bind", &bound)?;
        }
        Ok(session)
    }

    /// Begins a search, with controls if any.
    pub async fn search(
        &mut self,
        search: &LdapSearch,
        attributes: &[String],
        controls: Vec<RawControl>,
    ) -> Result<Answers, Failure> {
        self.ldap.with_timeout(self.timeout).with_controls(controls);
        let search =
            self.ldap.streaming_search(&search.base, search.scope, &search.filter, attributes.to_vec());
        Ok(Answers { stream: self.driving.until(search).await? })
    }

    /// The next answer; none at the end.
    pub async fn next(&mut self, answers: &mut Answers) -> Result<Option<ResultEntry>, Failure> {
        self.driving.until(answers.stream.next()).await
    }

    /// The result of a search.
    pub async fn end(mut answers: Answers) -> LdapResult {
        answers.stream.finish().await
    }

    /// Runs several searches at the same time. Each gives its entries, or the server's refusal.
    pub async fn search_all(
        &mut self,
        searches: Vec<LdapSearch>,
        attributes: &[String],
        at_once: usize,
    ) -> Result<Vec<(Vec<ResultEntry>, LdapResult)>, Failure> {
        use futures_util::stream::{self, StreamExt, TryStreamExt};
        let (ldap, timeout) = (&self.ldap, self.timeout);
        let one = |search: LdapSearch| {
            let mut ldap = ldap.clone();
            async move {
                ldap.with_timeout(timeout);
                let found = ldap.search(&search.base, search.scope, &search.filter, attributes).await?;
                Ok((found.0, found.1))
            }
        };
        let all = stream::iter(searches).map(one).buffered(at_once).try_collect();
        self.driving.until(all).await
    }
}

impl Driving {
    /// Reads and writes until `work` is done. Answers that came before the connection ended still count.
    async fn until<T>(&mut self, work: impl Future<Output = LdapOutcome<T>>) -> Result<T, Failure> {
        let mut work = pin!(work);
        if let Some(driving) = &mut self.0 {
            tokio::select! {
                biased;
                done = &mut work => return done.map_err(|e| failure(&e)),
                () = driving => {}
            }
        }
        self.0 = None;
        work.await.map_err(|e| failure(&e))
    }
}

/// Checks the result code of a request.
pub fn succeeded(what: &str, result: &LdapResult) -> Result<(), Failure> {
    match result.rc {
        SUCCESS => Ok(()),
        code => Err(Failure::Failed(format!("the server answers {what} with result code {code}"))),
    }
}

/// Describes an error without quoting requests or answers.
fn failure(error: &LdapError) -> Failure {
    let why = match error {
        LdapError::Timeout { .. } => "no answer in time",
        LdapError::Io { source } if source.get_ref().is_some_and(|e| e.is::<rustls::Error>()) => {
            "the server's certificate is not trusted"
        }
        LdapError::Io { .. } => "no connection",
        LdapError::LdapResult { .. } => "the server refuses encryption",
        LdapError::FilterParsing => "a filter is invalid",
        _ => "the connection ended",
    };
    Failure::Failed(why.to_owned())
}
