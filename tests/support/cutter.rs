//! A way to a service that breaks: every connection is cut after a number of bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

/// Listens until it is dropped.
pub struct Cutter {
    address: SocketAddr,
    cuts: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Cutter {
    /// Leads to `to` (host and port). The first `most` connections that send `after` bytes are cut there.
    pub async fn start(to: &str, after: usize, most: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (cuts, to) = (Arc::new(AtomicUsize::new(0)), to.to_owned());
        let counted = cuts.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (to, cuts) = (to.clone(), counted.clone());
                tokio::spawn(async move {
                    let server = TcpStream::connect(&to).await.expect("the service listens");
                    lead(client, server, (after, most), &cuts).await;
                });
            }
        });
        Self { address, cuts, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The number of connections that were cut.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn lead(
    mut client: TcpStream,
    mut server: TcpStream,
    (after, most): (usize, usize),
    cuts: &AtomicUsize,
) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let forth = async {
        let (mut buffer, mut sent) = (vec![0; 64 * 1024], 0);
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            sent += read;
            if sent >= after
                && cuts
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| (n < most).then_some(n + 1))
                    .is_ok()
            {
                return true;
            }
            if to_server.write_all(&buffer[..read]).await.is_err() {
                return false;
            }
        }
        false
    };
    let back = copy(&mut from_server, &mut to_client);
    let is_cut = tokio::select! { is_cut = forth => is_cut, _ = back => false };
    if is_cut {
        // As if the network were gone: no orderly end.
        for socket in [&client, &server] {
            let _ = SockRef::from(socket).set_linger(Some(std::time::Duration::ZERO));
        }
    }
}
