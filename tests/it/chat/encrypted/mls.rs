//! Three clients that encrypt with `openmls` talk over the service, add and remove a member. Their words are nowhere in it.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use openmls::prelude::tls_codec::{Deserialize, Serialize};
use openmls::prelude::*;
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use serde_json::{Value, json};

use super::{commit, group, messages};
use crate::app::{TestApp, text};
use crate::archive::moving::Aged;

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
/// Said in the encrypted group.
const SECRETS: [&str; 4] = ["xylophonebudget", "quarzfusion", "gelatinemerger", "zephyrlayoffs"];
/// Said in a plain group, so that what looks for words is seen to find them.
const PLAIN: &str = "obviouslunch";

/// A client of a user, with one device.
struct Device {
    user: &'static str,
    provider: OpenMlsRustCrypto,
    signer: SignatureKeyPair,
    credential: CredentialWithKey,
    group: Option<MlsGroup>,
    /// The last message that it has taken in.
    seen: i64,
    /// What it has read.
    read: Vec<String>,
}

fn bytes(message: &impl Serialize) -> String {
    BASE64_STANDARD.encode(message.tls_serialize_detached().expect("it can be written"))
}

fn parsed(content: &Value) -> MlsMessageIn {
    let message = BASE64_STANDARD.decode(text(&content["mls"])).expect("base64");
    MlsMessageIn::tls_deserialize_exact(message).expect("a message of MLS")
}

impl Device {
    fn new(user: &'static str) -> Self {
        let provider = OpenMlsRustCrypto::default();
        let signer = SignatureKeyPair::new(SUITE.signature_algorithm()).expect("a key pair");
        signer.store(provider.storage()).expect("it is kept");
        let credential = CredentialWithKey {
            credential: BasicCredential::new(user.into()).into(),
            signature_key: signer.public().into(),
        };
        Self { user, provider, signer, credential, group: None, seen: 0, read: Vec::new() }
    }

    /// Publishes a key package, so that others can add the device.
    async fn publish(&self, app: &TestApp) {
        let made = KeyPackage::builder()
            .build(SUITE, &self.provider, &self.signer, self.credential.clone())
            .expect("a key package");
        let body = json!({"key_packages": [bytes(made.key_package())], "device_id": "laptop"});
        app.person(self.user).put("/users/me/key-packages", body).await.expect(200);
    }

    /// Takes a key package of another user.
    async fn claim(&self, app: &TestApp, user: &str) -> KeyPackage {
        let path = format!("/users/{user}/key-packages/claim");
        let claimed = app.person(self.user).post(&path, json!(null)).await.expect(200);
        let package = text(&claimed["key_packages"][0]["key_package"]);
        let package = BASE64_STANDARD.decode(package).expect("base64");
        let package = KeyPackageIn::tls_deserialize_exact(package).expect("a key package");
        package.validate(self.provider.crypto(), ProtocolVersion::Mls10).expect("it is signed")
    }

    fn begin(&mut self) {
        let config =
            MlsGroupCreateConfig::builder().ciphersuite(SUITE).use_ratchet_tree_extension(true).build();
        let made = MlsGroup::new(&self.provider, &self.signer, &config, self.credential.clone());
        self.group = Some(made.expect("a group"));
    }

    fn group(&mut self) -> &mut MlsGroup {
        self.group.as_mut().expect("the device is in the group")
    }

    async fn say(&mut self, app: &TestApp, channel: &str, words: &str) {
        let Self { group, provider, signer, .. } = self;
        let group = group.as_mut().expect("the device is in the group");
        let sealed = group.create_message(provider, signer, words.as_bytes()).expect("it encrypts");
        let content = json!({"mls": bytes(&sealed), "kind": "application", "epoch": group.epoch().as_u64()});
        let body = json!({"type": "mls", "content": content});
        app.person(self.user).post(&messages(channel), body).await.expect(201);
    }

    /// Sends a commit, and goes into the next epoch if the service takes it.
    async fn commit(&mut self, app: &TestApp, channel: &str, made: &MlsMessageOut) -> bool {
        let mut body = commit(self.group().epoch().as_u64(), "");
        body["content"]["mls"] = json!(bytes(made));
        body.as_object_mut().expect("an object").remove("client_id");
        let reply = app.person(self.user).post(&messages(channel), body).await;
        let Self { group, provider, .. } = self;
        let group = group.as_mut().expect("the device is in the group");
        if reply.status == 201 {
            group.merge_pending_commit(provider).expect("the next epoch");
            return true;
        }
        reply.expect_problem(409, "epoch-taken");
        group.clear_pending_commit(provider.storage()).expect("the commit is dropped");
        false
    }

    async fn welcome(&self, app: &TestApp, channel: &str, made: &MlsMessageOut) {
        let body = json!({"type": "mls", "content": {"mls": bytes(made), "kind": "welcome"}});
        app.person(self.user).post(&messages(channel), body).await.expect(201);
    }

    /// Takes in what others have sent since.
    async fn pull(&mut self, app: &TestApp, channel: &str) {
        let path = format!("{}?after_seq={}&limit=200", messages(channel), self.seen);
        let page = app.person(self.user).get(&path).await.expect(200);
        for message in page["items"].as_array().expect("items") {
            self.seen = message["seq"].as_i64().expect("a seq");
            if message["sender"] != self.user {
                self.take(&message["content"]);
            }
        }
    }

    fn take(&mut self, content: &Value) {
        match (content["kind"].as_str(), &self.group) {
            (Some("welcome"), None) => self.join(content),
            // What was sent before the device came in is not for it, and a welcome is for those who come in.
            (Some("welcome"), _) | (_, None) => {}
            _ => self.open(content).expect("it decrypts"),
        }
    }

    fn join(&mut self, content: &Value) {
        let MlsMessageBodyIn::Welcome(welcome) = parsed(content).extract() else { panic!("a welcome") };
        let config = MlsGroupJoinConfig::builder().use_ratchet_tree_extension(true).build();
        let staged = StagedWelcome::new_from_welcome(&self.provider, &config, welcome, None);
        self.group = Some(staged.and_then(|staged| staged.into_group(&self.provider)).expect("it is in"));
    }

    /// Decrypts a message, and follows it if it is a commit.
    fn open(&mut self, content: &Value) -> Result<(), String> {
        let message = parsed(content).try_into_protocol_message().map_err(|e| e.to_string())?;
        let Self { group, provider, read, .. } = self;
        let group = group.as_mut().expect("the device is in the group");
        let opened = group.process_message(provider, message).map_err(|e| e.to_string())?;
        match opened.into_content() {
            ProcessedMessageContent::ApplicationMessage(words) => {
                read.push(String::from_utf8(words.into_bytes()).expect("words"));
            }
            ProcessedMessageContent::StagedCommitMessage(staged) => {
                group.merge_staged_commit(provider, *staged).expect("the next epoch");
            }
            _ => panic!("no client sends this"),
        }
        Ok(())
    }

    /// A commit that only gives the device a new key.
    fn renew(&mut self) -> MlsMessageOut {
        let Self { group, provider, signer, .. } = self;
        let group = group.as_mut().expect("the device is in the group");
        let made = group.self_update(provider, signer, LeafNodeParameters::default());
        made.expect("a commit").into_commit()
    }
}

async fn add(app: &TestApp, channel: &str, by: &mut Device, users: &[&str]) {
    let mut packages = Vec::new();
    for user in users {
        packages.push(by.claim(app, user).await);
    }
    let Device { group, provider, signer, .. } = by;
    let group = group.as_mut().expect("the device is in the group");
    let (made, welcome, _) = group.add_members(provider, signer, &packages).expect("a commit");
    assert!(by.commit(app, channel, &made).await);
    by.welcome(app, channel, &welcome).await;
}

async fn remove(app: &TestApp, channel: &str, by: &mut Device, user: &str) {
    let Device { group, provider, signer, .. } = by;
    let group = group.as_mut().expect("the device is in the group");
    let gone = group.members().find(|one| one.credential.serialized_content() == user.as_bytes());
    let index = gone.expect("a member").index;
    let (made, ..) = group.remove_members(provider, signer, &[index]).expect("a commit");
    assert!(by.commit(app, channel, &made).await);
    let path = format!("/channels/{channel}/members/{user}");
    app.person(by.user).delete(&path).await.expect(204);
}

/// Two devices commit in the same epoch. The one that comes late follows the other, and commits again.
async fn race(app: &TestApp, channel: &str, one: &mut Device, other: &mut Device) {
    let (first, second) = (one.renew(), other.renew());
    let (won, also) = tokio::join!(one.commit(app, channel, &first), other.commit(app, channel, &second));
    assert_ne!(won, also, "one commit is taken");
    let (ahead, late) = if won { (one, other) } else { (other, one) };
    late.pull(app, channel).await;
    let again = late.renew();
    assert!(late.commit(app, channel, &again).await);
    ahead.pull(app, channel).await;
}

#[tokio::test]
async fn three_clients_talk_and_the_service_holds_none_of_their_words() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob", "cy"]).await;
    let channel = group(&aged, &["ann", "bob", "cy"]).await;
    let plain = aged.group(&["ann", "bob"]).await;
    aged.say("ann", &plain, PLAIN).await;
    let (mut ann, mut bob, mut cy) = (Device::new("ann"), Device::new("bob"), Device::new("cy"));
    bob.publish(&aged).await;
    cy.publish(&aged).await;
    ann.begin();
    add(&aged, &channel, &mut ann, &["bob", "cy"]).await;
    ann.say(&aged, &channel, SECRETS[0]).await;
    bob.pull(&aged, &channel).await;
    cy.pull(&aged, &channel).await;
    assert_eq!((&bob.read[..], &cy.read[..]), (&[SECRETS[0].to_owned()][..], &[SECRETS[0].to_owned()][..]));
    cy.say(&aged, &channel, SECRETS[1]).await;
    ann.pull(&aged, &channel).await;
    bob.pull(&aged, &channel).await;
    race(&aged, &channel, &mut ann, &mut bob).await;

    remove(&aged, &channel, &mut ann, "cy").await;
    bob.pull(&aged, &channel).await;
    bob.say(&aged, &channel, SECRETS[2]).await;
    ann.pull(&aged, &channel).await;
    ann.say(&aged, &channel, SECRETS[3]).await;
    bob.pull(&aged, &channel).await;
    assert_eq!(ann.read, [SECRETS[1], SECRETS[2]]);
    assert_eq!(bob.read, [SECRETS[0], SECRETS[1], SECRETS[3]]);
    // A member who was removed gets nothing any more, and could not read it.
    assert_eq!(aged.person("cy").get(&messages(&channel)).await.status, 404);
    let page = aged.person("ann").get(&format!("{}?limit=2", messages(&channel))).await.expect(200);
    for message in page["items"].as_array().expect("items") {
        assert_eq!(message["content"]["kind"], "application");
        assert!(cy.open(&message["content"]).is_err(), "{message}");
    }
    assert_eq!(cy.read, [SECRETS[0]]);

    aged.settled().await;
    aged.indexed().await;
    assert!(holds(&aged, PLAIN).await, "what looks for words finds them");
    nowhere(&aged).await;
    aged.app.clock("0").await;
    aged.move_all().await;
    assert_eq!(aged.count("SELECT count(*) FROM t_im_message", &[]).await, 0, "all is cold");
    nowhere(&aged).await;
    // The clients read on from the archive: a device that has not read for a month.
    let page = aged.person("bob").get(&format!("{}?limit=1", messages(&channel))).await.expect(200);
    assert_eq!(page["items"][0]["content"]["kind"], "application");
}

/// No word of the encrypted group is in the database, the pushes, the archive or what a search finds.
async fn nowhere(aged: &Aged) {
    for secret in SECRETS {
        assert!(!holds(aged, secret).await, "{secret} is in the database");
        for (user, roles, path) in [
            ("ann", &[][..], format!("/search/messages?q={secret}")),
            ("desk", &["support"][..], format!("/support/messages?q={secret}&reason=a+test")),
        ] {
            let found = aged.client(user, roles).get(&path).await.expect(200);
            assert_eq!(found["items"], json!([]));
        }
        let forms = forms(secret);
        let pushed: Vec<String> = aged.gateway.read(|record| {
            let pushed = record.batches().flat_map(|batch| &batch.messages);
            pushed.map(|message| format!("{message:?}")).collect()
        });
        assert!(pushed.len() > 5);
        assert!(pushed.iter().all(|one| forms.iter().all(|form| !one.contains(form))));
        in_no_file(aged.folder(), &forms);
    }
    let found = aged.person("bob").get(&format!("/search/messages?q={PLAIN}")).await.expect(200);
    assert_eq!(found["items"].as_array().map(Vec::len), Some(1));
}

/// A word as it is, in hex, and as base64 in each of the three places that it can have there.
fn forms(word: &str) -> Vec<String> {
    let hex: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
    let encoded = (0..3).map(|shift| {
        let encoded = BASE64_STANDARD_NO_PAD.encode(["\0".repeat(shift), word.to_owned()].concat());
        // The first and the last characters have bits of the bytes beside the word.
        encoded[[0, 2, 3][shift]..encoded.len() - 1].to_owned()
    });
    [word.to_owned(), hex].into_iter().chain(encoded).collect()
}

/// Whether a column of a table has the word, in any form. The audit is left out: it has what support has searched for.
async fn holds(app: &TestApp, word: &str) -> bool {
    let sql = app.sql().await;
    let columns = "SELECT format('%I.%I', c.table_schema, c.table_name), format('%I', c.column_name) \
                   FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name) \
                   WHERE t.table_type = 'BASE TABLE' AND c.table_schema NOT IN ('pg_catalog', 'information_schema') \
                     AND c.table_name <> 't_im_audit'";
    let columns = sql.query(columns, &[]).await.expect("columns");
    assert!(columns.len() > 100, "the walk sees the tables");
    let patterns: Vec<String> = forms(word).iter().map(|form| format!("%{form}%")).collect();
    for column in &columns {
        let (table, name): (&str, &str) = (column.get(0), column.get(1));
        let ask = format!("SELECT EXISTS (SELECT FROM {table} WHERE {name}::text LIKE ANY ($1))");
        if sql.query_one(&ask, &[&patterns]).await.expect("a column").get(0) {
            return true;
        }
    }
    false
}

fn in_no_file(folder: &Path, forms: &[String]) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            in_no_file(&path, forms);
            continue;
        }
        // The index removes files while it works.
        let Ok(bytes) = fs::read(&path) else { continue };
        for form in forms {
            let there = bytes.windows(form.len()).any(|part| part == form.as_bytes());
            assert!(!there, "{form} is in {}", path.display());
        }
    }
}
