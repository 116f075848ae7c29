//! Elasticsearch by hand: bodies made beforehand, sent one after the other, with nothing in front of it.

use std::fmt::Write;
use std::time::Instant;

use im_push_gateway::archive::{Archive, Document};
use serde_json::{Value, json};

use super::Bench;

/// As large as the service makes them.
const BODY_BYTES: usize = 5 << 20;

pub struct Raw {
    http: reqwest::Client,
    url: String,
}

impl Raw {
    pub fn new(bench: &Bench) -> Self {
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build();
        Self { http: http.expect("an HTTP client"), url: bench.elastic.url() }
    }

    /// Writes documents into an index with the same mapping. Seconds.
    pub async fn bulk(&self, archive: &dyn Archive, index: &str, documents: &[Document]) -> f64 {
        // Makes the index, and is written again below.
        archive.write(&documents[..1]).await.expect("an index");
        let bodies = bodies(index, documents);
        let begun = Instant::now();
        for body in bodies {
            let request = self.http.post(format!("{}/_bulk?filter_path=errors", self.url));
            let sent = request.header("content-type", "application/x-ndjson").body(body).send().await;
            let answer = sent.expect("an answer").text().await.expect("an answer");
            assert_eq!(answer, r#"{"errors":false}"#);
        }
        begun.elapsed().as_secs_f64()
    }

    pub async fn post(&self, path: &str) -> Value {
        let sent = self.http.post(format!("{}{path}", self.url)).send().await.expect("an answer");
        serde_json::from_str(&sent.text().await.expect("an answer")).expect("JSON")
    }

    pub async fn get(&self, path: &str) -> Value {
        let sent = self.http.get(format!("{}{path}", self.url)).send().await.expect("an answer");
        serde_json::from_str(&sent.text().await.expect("an answer")).expect("JSON")
    }

    /// Bytes of an index once it is one segment.
    pub async fn merged_bytes(&self, index: &str) -> f64 {
        self.post(&format!("/{index}-2*/_forcemerge?max_num_segments=1")).await;
        self.post(&format!("/{index}-2*/_flush")).await;
        let stats = self.get(&format!("/{index}-2*/_stats/store")).await;
        stats["_all"]["primaries"]["store"]["size_in_bytes"].as_f64().unwrap_or(f64::NAN)
    }

    pub async fn forget(&self, index: &str) {
        let names = self.get(&format!("/_cat/indices/{index}-2*?format=json&h=index")).await;
        for name in names.as_array().into_iter().flatten() {
            let url = format!("{}/{}", self.url, name["index"].as_str().unwrap_or_default());
            let _ = self.http.delete(url).send().await;
        }
    }
}

fn bodies(index: &str, documents: &[Document]) -> Vec<String> {
    let mut bodies = vec![String::new()];
    for document in documents {
        if bodies.last().is_some_and(|body| body.len() >= BODY_BYTES) {
            bodies.push(String::new());
        }
        let month = document.server_time.date();
        let target = format!("{index}-{:04}-{:02}-write", month.year(), u8::from(month.month()));
        let id = format!("{}.{}.{}", document.ms_id, document.part, document.version);
        let action = json!({"index": {"_index": target, "_id": id}});
        let mut source = serde_json::to_value(document).expect("a document");
        source["words"] = json!(document.words());
        let body = bodies.last_mut().expect("one at least");
        writeln!(body, "{action}\n{source}").expect("text grows");
    }
    bodies
}
