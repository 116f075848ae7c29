//! A SCIM 2.0 server that is not ours: scim2-server, a process of its own, and its data in its memory.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Client, Reply};
use super::sandbox::{POLL, Sandbox, free_port};

const TOKEN: &str = "of-the-scim-tests";
/// Starting takes at most this long.
const START: Duration = Duration::from_secs(60);
const LOG: &str = "scim.log";
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// The server, and who looks after its people. Dropped, or its owner dead: killed.
pub struct ScimServer {
    base: String,
    operator: Client,
    child: Child,
    sandbox: Sandbox,
}

impl ScimServer {
    /// Returns when it answers; if it does not, that is a panic with its log.
    pub async fn start() -> Self {
        let (sandbox, port) = (Sandbox::new("scim", ""), free_port());
        let binary = concat!(env!("CARGO_MANIFEST_DIR"), "/.cache/bin/scim2-server");
        let mut command = Command::new(binary);
        command.args(["--port", &port.to_string(), "--bearer-token", TOKEN]);
        let child = sandbox.enter(&mut command, LOG).spawn();
        let child = child.unwrap_or_else(|e| panic!("{binary}: {e}; tests/tools ensure scim2-server"));
        let base = format!("http://127.0.0.1:{port}/v2");
        let operator = Client::anonymous(&base).with_header("authorization", &format!("Bearer {TOKEN}"));
        let server = Self { base, operator, child, sandbox };
        let deadline = Instant::now() + START;
        while server.operator.try_call(Method::GET, "/Users", None).await.is_err() {
            assert!(
                Instant::now() < deadline,
                "no answer after {START:?}:\n{}",
                server.sandbox.tail(LOG, 40)
            );
            tokio::time::sleep(POLL).await;
        }
        server
    }

    /// The settings (TOML) of a service that asks it when it is told to, and writes there.
    pub fn settings(&self) -> String {
        let base = &self.base;
        format!(
            "directory.source = \"scim\"\ndirectory.users_url = \"{base}\"\n\
             directory.write_url = \"{base}/Users/{{id}}\"\ndirectory.authorization = \"Bearer {TOKEN}\"\n\
             directory.schedule = \"\"\ndirectory.full_schedule = \"\"\ndirectory.guard_share = 1.0\n"
        )
    }

    /// Hires somebody; returns the id the server gives them.
    pub async fn hire(&self, login_name: &str, more: Value) -> String {
        let mut user = json!({"schemas": [USER, ENTERPRISE], "userName": login_name, "active": true});
        let attributes = more.as_object().expect("attributes").clone();
        user.as_object_mut().expect("an object").extend(attributes);
        id(self.operator.post("/Users", user).await)
    }

    /// Makes a Group of these people.
    pub async fn group(&self, name: &str, members: &[&str]) -> String {
        let members: Vec<Value> = members.iter().map(|id| json!({"value": id, "type": "User"})).collect();
        id(self
            .operator
            .post("/Groups", json!({"schemas": [GROUP], "displayName": name, "members": members}))
            .await)
    }

    /// Does one thing to a resource, such as `/Users/{id}`, as its operator.
    pub async fn patch(&self, path: &str, operation: Value) {
        let body = json!({"schemas": [PATCH_OP], "Operations": [operation]});
        let reply = self.operator.patch(path, body).await;
        assert!(reply.status < 300, "{} answered {}: {}", reply.what, reply.status, reply.body);
    }

    pub async fn remove(&self, path: &str) {
        self.operator.delete(path).await.expect(204);
    }

    pub async fn get(&self, path: &str) -> Value {
        self.operator.get(path).await.expect(200)
    }
}

fn id(reply: Reply) -> String {
    reply.expect(201)["id"].as_str().expect("an id").to_owned()
}

impl Drop for ScimServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
