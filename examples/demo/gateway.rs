//! The gateway: an HTTP server in its own process. It accepts pushes, checks their signatures and answers with
//! verdicts. On a second port the demo sets who is online and reads what arrived.
//!
//! | call | does |
//! | --- | --- |
//! | `GET /` | the offline users, the mode, and counts |
//! | `PUT /offline` `[user_id, …]` | these users are offline, all others are online |
//! | `PUT /mode` `"works"`, `"holds"`, `"fails"`, `"down"` | `holds`: answers later; `fails`: answers 500; `down`: does not listen |
//! | `PUT /timeless` | accepts signatures of any time from now on, because the demo moves the service's clock |
//! | `GET /taken?channel_id` | `[[seq, ms_id, receiver], …]`, in the order of their first arrival |
//! | `GET /wait?pairs=n&failures=n` | answers after that many pairs and failures |

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::{Answer, Batch, Client, Gate, Gateway, Sandbox};

/// The argument that starts this program as the gateway.
pub const PLAY: &str = "gateway";
const LOG: &str = "gateway.log";
const LOG_TAIL: usize = 20;
/// The timeout of `/wait`. It is longer than the leases of a killed service.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Works,
    Holds,
    Fails,
    Down,
}

/// The state of the gateway.
#[derive(Default)]
struct Desk {
    mode: Mode,
    offline: BTreeSet<String>,
    /// Opened when holding ends.
    held: Option<Gate>,
    /// By channel, in the order of their first arrival.
    taken: BTreeMap<String, Vec<(i64, String, String)>>,
    known: HashSet<(String, String)>,
    batches: usize,
    failures: usize,
    repeats: usize,
}

impl Desk {
    fn take(&mut self, batch: &Batch) -> Answer {
        self.batches += 1;
        if self.mode == Mode::Fails {
            self.failures += 1;
            return Answer::status(500);
        }
        for (message, receiver) in batch.pairs() {
            if self.known.insert((message.ms_id.clone(), receiver.to_owned())) {
                let taken = self.taken.entry(message.channel_id.clone()).or_default();
                taken.push((message.seq, message.ms_id.clone(), receiver.to_owned()));
            } else {
                self.repeats += 1;
            }
        }
        let mut offline = batch.receivers();
        offline.retain(|receiver| self.offline.contains(*receiver));
        let offline: Vec<&str> = offline.into_iter().collect();
        let answer = Answer::all_except(&offline, &[]);
        match &self.held {
            Some(gate) => answer.behind(gate),
            None => answer,
        }
    }

    fn behave(&mut self, mode: Mode) {
        self.mode = mode;
        if let Some(gate) = self.held.take() {
            gate.open();
        }
        if mode == Mode::Holds {
            self.held = Some(Gate::closed());
        }
    }

    fn summary(&self, refused: usize) -> Value {
        json!({
            "mode": self.mode,
            "offline": self.offline,
            "batches": self.batches,
            "pairs": self.known.len(),
            "failures": self.failures,
            "repeats": self.repeats,
            "refused": refused,
        })
    }
}

#[derive(Clone)]
struct Control {
    desk: watch::Sender<Desk>,
    gateway: Arc<Gateway>,
}

impl Control {
    fn summary(&self) -> Json<Value> {
        let refused = self.gateway.read(|record| record.refusals.len());
        Json(self.desk.borrow().summary(refused))
    }
}

#[derive(Deserialize)]
struct Channel {
    channel_id: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wanted {
    pairs: usize,
    failures: usize,
}

/// Runs the gateway until it is killed. Its first line of output has its addresses.
pub async fn serve() -> ExitCode {
    let desk = watch::Sender::<Desk>::default();
    let gateway = Arc::new(Gateway::start());
    let takes = desk.clone();
    gateway.answer(move |batch| {
        let mut answer = None;
        takes.send_modify(|desk| answer = Some(desk.take(batch)));
        answer.expect("send_modify runs its closure")
    });
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("it listens");
    println!("{}", json!({"push": gateway.url(), "control": format!("http://{address}")}));
    let app = Router::new()
        .route("/", get(async |State(control): State<Control>| control.summary()))
        .route("/offline", put(set_offline))
        .route("/mode", put(set_mode))
        .route("/timeless", put(ignore_time))
        .route("/taken", get(taken))
        .route("/wait", get(wait))
        .with_state(Control { desk, gateway });
    match axum::serve(listener, app).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn set_offline(State(control): State<Control>, Json(offline): Json<BTreeSet<String>>) -> Json<Value> {
    control.desk.send_modify(|desk| desk.offline = offline);
    control.summary()
}

async fn set_mode(State(control): State<Control>, Json(mode): Json<Mode>) -> Json<Value> {
    let mut before = Mode::Works;
    control.desk.send_modify(|desk| {
        before = desk.mode;
        desk.behave(mode);
    });
    let gateway = control.gateway.clone();
    let switched = tokio::task::spawn_blocking(move || match (before, mode) {
        (_, Mode::Down) => gateway.down(),
        (Mode::Down, _) => gateway.up(),
        _ => {}
    });
    switched.await.expect("it goes up and down");
    control.summary()
}

async fn ignore_time(State(control): State<Control>) -> Json<Value> {
    control.gateway.ignore_time();
    control.summary()
}

async fn taken(
    State(control): State<Control>,
    Query(Channel { channel_id }): Query<Channel>,
) -> Json<Vec<(i64, String, String)>> {
    Json(control.desk.borrow().taken.get(&channel_id).cloned().unwrap_or_default())
}

async fn wait(
    State(control): State<Control>,
    Query(Wanted { pairs, failures }): Query<Wanted>,
) -> (StatusCode, Json<Value>) {
    let mut desk = control.desk.subscribe();
    let came = desk.wait_for(|desk| desk.known.len() >= pairs && desk.failures >= failures);
    let status = match tokio::time::timeout(PATIENCE, came).await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::GATEWAY_TIMEOUT,
    };
    (status, control.summary())
}

/// The gateway's process. It is killed on drop, and when the demo ends.
pub struct Process {
    pub push_url: String,
    pub control_url: String,
    control: Client,
    child: Child,
    sandbox: Sandbox,
}

impl Process {
    pub fn start() -> Self {
        let sandbox = Sandbox::new("gateway", "");
        let mut command = Command::new(std::env::current_exe().expect("our own path"));
        sandbox.enter(command.arg(PLAY), LOG).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program starts again");
        let mut line = String::new();
        let read = BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line);
        read.expect("the gateway says where it is");
        let places: Value = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("the gateway does not start:\n{}", sandbox.tail(LOG, LOG_TAIL)));
        let place = |name: &str| places[name].as_str().expect("an address").to_owned();
        Self {
            push_url: place("push"),
            control_url: place("control"),
            control: Client::anonymous(&place("control")),
            child,
            sandbox,
        }
    }

    pub fn log_tail(&self) -> String {
        self.sandbox.tail(LOG, LOG_TAIL)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub async fn state(&self) -> Value {
        self.control.get("/").await.expect(200)
    }

    pub async fn set_offline(&self, offline: &BTreeSet<String>) {
        self.remote().set_offline(offline).await;
    }

    /// Sets who is offline, for longer than this is borrowed.
    pub fn remote(&self) -> Remote {
        Remote(self.control.clone())
    }

    pub async fn set_mode(&self, mode: &str) {
        self.control.put("/mode", json!(mode)).await.expect(200);
    }

    /// Accepts signatures of any time: the service's clock is about to move.
    pub async fn ignore_time(&self) {
        self.control.put("/timeless", Value::Null).await.expect(200);
    }

    /// Returns after this many different (message, receiver) pairs have arrived.
    pub async fn wait_for_pairs(&self, pairs: usize) {
        self.control.get(&format!("/wait?pairs={pairs}")).await.expect(200);
    }

    /// Returns after this many batches were answered with 500.
    pub async fn wait_for_failures(&self, failures: usize) {
        let path = format!("/wait?failures={failures}");
        self.control.get(&path).await.expect(200);
    }

    /// The seq, ms_id and receiver of all pairs of a channel, in the order of their first arrival.
    pub async fn taken(&self, channel_id: &str) -> Vec<(i64, String, String)> {
        let path = format!("/taken?channel_id={channel_id}");
        serde_json::from_value(self.control.get(&path).await.expect(200)).expect("a list")
    }
}

/// The control port of the gateway.
#[derive(Clone)]
pub struct Remote(Client);

impl Remote {
    pub async fn set_offline(&self, offline: &BTreeSet<String>) {
        self.0.put("/offline", json!(offline)).await.expect(200);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
