//! (d) Streams: what each costs in memory, and how soon all of them have one message.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::Bench;
use super::http::{Receiver, Request};
use super::load::{Load, paced};
use super::report::{Figure, Report};
use super::takers::{Moment, places, spread, stamps};
use super::world::World;

/// Messages a second into the group of all who listen.
const RATE: f64 = 2.0;
const WARM: Duration = Duration::from_secs(3);
const REST: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);
const MEMORY_TARGET_KB: f64 = 20.0;
/// Connections that are opened at once.
const OPENING: usize = 16;

pub async fn measure(bench: &Bench, report: &mut Report) {
    let receiver = Receiver::start().await;
    let world = World::open(&bench.cluster, &receiver).await;
    let members = i32::try_from(bench.streams).expect("not that many") + 1;
    world.people(members).await;
    let group = world.group(members).await;
    world.settle_down().await;
    let work = || vec![vec![Request::send(group, "u0000001")]];
    // Everything that does not grow with them: a few listen, and are told.
    let few = Ears::open(world.address(), OPENING).await;
    paced(world.address(), work(), WARM, RATE).await.or_panic("sends");
    drop(few);
    tokio::time::sleep(REST).await;
    let before = world.memory();
    let started = Instant::now();
    let ears = Ears::open(world.address(), bench.streams).await;
    let opened = started.elapsed().as_secs_f64();
    tokio::time::sleep(REST).await;
    let open = world.memory();
    let moment = Moment::now();
    let sent = paced(world.address(), work(), bench.length, RATE).await.or_panic("sends");
    let expected = sent.latencies.len() * bench.streams;
    let all = ears.wait_for(expected).await;
    let after = world.memory();
    let mut delays = ears.delays(moment);
    let each = |memory: f64| (memory - before) * 1024.0 / bench.streams as f64;
    let (idle, told) = (each(open), each(after));
    report.add(
        Figure::new(format!("(d) memory of a stream, {} open", bench.streams), format!("{idle:.1} kB"))
            .beside(format!("after {} messages to all: {told:.1} kB", sent.latencies.len()), told / idle)
            .target(format!("< {MEMORY_TARGET_KB:.0} kB"), idle.max(told) < MEMORY_TARGET_KB),
    );
    report.add(Figure::new(format!("(d) one message to {} streams", bench.streams), spread(&mut delays)));
    report.note(format!(
        "(d) resident memory of the service {before:.1} MB before, {open:.1} MB with all streams open, {after:.1} MB after; opened in \
         {opened:.1} s; {RATE} messages a second into a group of {members}, each also pushed to the gateway; {} of {expected} \
         events came; load of the machine {}{}",
        delays.latencies.len(),
        super::load_average(),
        if all { "" } else { "; NOT ALL ARRIVED in time" }
    ));
    drop(ears);
    world.close().await;
}

/// Listeners of `u0000002` and on, on a thread of their own. Dropped: cut.
struct Ears {
    heard: Arc<Heard>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Heard {
    open: AtomicUsize,
    messages: AtomicUsize,
    /// What came with messages in it, and when.
    texts: Mutex<Vec<(Instant, Vec<u8>)>>,
}

impl Ears {
    async fn open(address: SocketAddr, count: usize) -> Self {
        let ears = Self { heard: Arc::default(), stop: CancellationToken::new() };
        let (heard, stop) = (ears.heard.clone(), ears.stop.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                for number in 0..count {
                    while number - heard.open.load(Ordering::Relaxed) >= OPENING {
                        tokio::time::sleep(LOOK / 20).await;
                    }
                    tokio::spawn(heard.clone().listen(address, format!("u{:07}", number + 2)));
                }
                stop.cancelled().await;
            });
        });
        let deadline = Instant::now() + LONG;
        while ears.heard.open.load(Ordering::Relaxed) < count && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
        ears
    }

    /// Waits until so many messages were heard; whether they were.
    async fn wait_for(&self, messages: usize) -> bool {
        let deadline = Instant::now() + LONG;
        while self.heard.messages.load(Ordering::Relaxed) < messages && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
        self.heard.messages.load(Ordering::Relaxed) >= messages
    }

    fn delays(&self, moment: Moment) -> Load {
        let mut all = Load::default();
        for (came, text) in self.heard.texts.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            all.latencies.extend(stamps(text).filter_map(|stamp| moment.delay(stamp, *came)));
        }
        all
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Heard {
    async fn listen(self: Arc<Self>, address: SocketAddr, user: String) {
        let mut stream = TcpStream::connect(address).await.expect("the service listens");
        let head = format!("GET /api/v1/events HTTP/1.1\r\nhost: bench\r\nx-user-id: {user}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("a request");
        let mut text = Vec::with_capacity(1 << 12);
        let mut greeted = false;
        while stream.read_buf(&mut text).await.is_ok_and(|read| read > 0) {
            let came = Instant::now();
            // A piece of the answer is one event or more, whole.
            if !text.ends_with(b"\n\n\r\n") {
                continue;
            }
            let messages = places(&text).count();
            if messages > 0 {
                self.texts.lock().unwrap_or_else(PoisonError::into_inner).push((came, text.clone()));
                self.messages.fetch_add(messages, Ordering::Relaxed);
            }
            if !greeted && text.windows(12).any(|window| window == b"event: hello") {
                greeted = true;
                self.open.fetch_add(1, Ordering::Relaxed);
            }
            text.clear();
        }
    }
}
