//! A name server that changes its mind: real DNS over UDP, as a rebinding attack answers.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

const HEADER_BYTES: usize = 12;
const TYPE_A: [u8; 2] = [0, 1];
const CLASS_IN: [u8; 2] = [0, 1];
/// Where the question's name stands, as a pointer to it.
const NAME_OF_QUESTION: [u8; 2] = [0xc0, 0x0c];
/// A response to a recursive question: all is well; there is no such name.
const FOUND: [u8; 2] = [0x81, 0x80];
const NO_SUCH_NAME: [u8; 2] = [0x81, 0x83];

/// Every name has the addresses it is told, for no time at all.
pub struct NameServer {
    port: u16,
    addresses: Arc<RwLock<Vec<Ipv4Addr>>>,
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl NameServer {
    pub async fn start(addresses: &[Ipv4Addr]) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = socket.local_addr().expect("an address").port();
        let addresses = Arc::new(RwLock::new(addresses.to_vec()));
        let asked = Arc::new(AtomicUsize::new(0));
        let (answers, counting) = (addresses.clone(), asked.clone());
        let serving = tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((length, peer)) = socket.recv_from(&mut query).await {
                let addresses = answers.read().expect("no panic while held").clone();
                let Some((answer, of_v4)) = answer(&query[..length], &addresses) else {
                    continue;
                };
                counting.fetch_add(usize::from(of_v4), Ordering::Relaxed);
                let _ = socket.send_to(&answer, peer).await;
            }
        });
        Self { port, addresses, asked, serving }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on every name leads here; nowhere at all, if this is empty.
    pub fn answer(&self, addresses: &[Ipv4Addr]) {
        *self.addresses.write().expect("no panic while held") = addresses.to_vec();
    }

    /// How often it was asked for IPv4 addresses.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The answer to a query with one question, and whether it was for IPv4 addresses.
fn answer(query: &[u8], addresses: &[Ipv4Addr]) -> Option<(Vec<u8>, bool)> {
    let name_ends = HEADER_BYTES + query.get(HEADER_BYTES..)?.iter().position(|byte| *byte == 0)?;
    let question = query.get(HEADER_BYTES..name_ends + 5)?;
    let of_v4 = question[question.len() - 4..question.len() - 2] == TYPE_A;
    let told: &[Ipv4Addr] = if of_v4 { addresses } else { &[] };
    let code = if addresses.is_empty() { NO_SUCH_NAME } else { FOUND };
    let count = u16::try_from(told.len()).expect("few addresses").to_be_bytes();
    let mut answer = [&query[..2], &code, &[0, 1], &count, &[0, 0, 0, 0], question].concat();
    for address in told {
        let (for_no_time, length) = ([0; 4], [0, 4]);
        answer.extend(NAME_OF_QUESTION.iter().chain(&TYPE_A).chain(&CLASS_IN).chain(&for_no_time));
        answer.extend(length.iter().chain(&address.octets()));
    }
    Some((answer, of_v4))
}
