//! Signals between replicas: texts of the moment, by NOTIFY. The database keeps none of them, and a replica that does
//! not listen misses them.

use futures_util::stream::{StreamExt, poll_fn};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_postgres::config::SslMode;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::server::PRIMARY;
use super::{Store, reachable};
use crate::base::error::Result;
use crate::base::tls::{self, Authorities};

/// Most signals that wait for their reader. Further ones are lost.
const WAITING: usize = 1_024;

/// A connection that listens. Dropping it ends it.
pub struct Signals {
    texts: mpsc::Receiver<String>,
    _client: Client,
}

impl Signals {
    /// The next signal; `None` when the connection is lost.
    pub async fn next(&mut self) -> Option<String> {
        self.texts.recv().await
    }
}

impl Store {
    /// Listens to the signals of a name, over a connection beside the pool.
    pub async fn listen(&self, name: &'static str) -> Result<Signals> {
        let pg = reachable(&self.settings, PRIMARY)?;
        let (client, texts) = if pg.get_ssl_mode() == SslMode::Require {
            let tls = tls::client(&Authorities::Own(&self.settings.ca_file), "database_ca_file")?;
            let (client, connection) = pg.connect(MakeRustlsConnect::new(tls)).await?;
            (client, drive(connection))
        } else {
            let (client, connection) = pg.connect(NoTls).await?;
            (client, drive(connection))
        };
        client.batch_execute(&format!("SET application_name = 'im-push-gateway'; LISTEN {name}")).await?;
        Ok(Signals { texts, _client: client })
    }
}

/// Runs the connection until its client is dropped, and hands on what it is signalled.
fn drive<S, T>(mut connection: Connection<S, T>) -> mpsc::Receiver<String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut messages = poll_fn(move |cx| connection.poll_message(cx));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(signal) = message
                && sender.try_send(signal.payload().to_owned()).is_err()
            {
                tracing::debug!("a signal is lost: too many wait");
            }
        }
    });
    receiver
}
