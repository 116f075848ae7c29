//! OpenLDAP's slapd, with a company in it: a process of its own, on data of its own.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, Mod};

use super::sandbox::{POLL, Sandbox, free_port};

/// The topmost entry, and who may do everything.
pub const TOP: &str = "dc=example,dc=com";
const ROOT: &str = "cn=root,dc=example,dc=com";
const PASSWORD: &str = "of-the-ldap-tests";
const BINARY: &str = "/usr/sbin/slapd";
const LOG: &str = "slapd.log";
/// Starting takes at most this long.
const START: Duration = Duration::from_secs(30);

/// How a server answers who asks for what has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// It remembers who was removed.
    Log,
    /// It names whoever is still there.
    Present,
    /// Not here, though it can elsewhere.
    Elsewhere,
    /// Not at all.
    Never,
}

/// The server. Dropped, or its owner dead: killed.
pub struct Slapd {
    /// Where it answers in plain, and encrypted from the beginning.
    port: u16,
    encrypted_port: u16,
    child: Option<Child>,
    operator: Option<Ldap>,
    sandbox: Sandbox,
    /// Where its certificate is, if it has one.
    pub certificate: Option<PathBuf>,
}

impl Slapd {
    /// Returns when it answers; if it does not, that is a panic with its log.
    pub async fn start(sync: Sync) -> Self {
        Self::start_with(sync, "").await
    }

    /// With more lines of slapd.conf(5) about its database.
    pub async fn start_with(sync: Sync, more: &str) -> Self {
        let sandbox = Sandbox::new("slapd", "");
        let folder = sandbox.path().display().to_string();
        let certificate = make_certificate(&sandbox);
        let overlay = match sync {
            Sync::Log => "overlay syncprov\nsyncprov-sessionlog 1000\nsyncprov-reloadhint TRUE",
            Sync::Present => "overlay syncprov",
            Sync::Elsewhere | Sync::Never => "",
        };
        let module = if sync == Sync::Never { "" } else { "moduleload syncprov" };
        let conf = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/inetorgperson.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n{module}\n\
             TLSCertificateFile {folder}/server.crt\nTLSCertificateKeyFile {folder}/server.key\n\
             pidfile {folder}/pid\nreferral ldap://127.0.0.1:1\nsizelimit unlimited\ndatabase mdb\nmaxsize 268435456\ndbnosync\n\
             suffix \"{TOP}\"\nrootdn \"{ROOT}\"\nrootpw {PASSWORD}\ndirectory {folder}/data\n\
             index objectClass,entryCSN,entryUUID eq\n{more}\n{overlay}\n"
        );
        fs::write(sandbox.path().join("slapd.conf"), conf).expect("a slapd.conf");
        let mut server = Self {
            port: free_port(),
            encrypted_port: free_port(),
            child: None,
            operator: None,
            sandbox,
            certificate: Some(certificate),
        };
        server.empty().await;
        server
    }

    /// Begins anew, with nothing but the topmost entry and the units for people and departments.
    pub async fn empty(&mut self) {
        self.kill();
        let data = self.sandbox.path().join("data");
        let _ = fs::remove_dir_all(&data);
        fs::create_dir(&data).expect("a folder for the data");
        self.run().await;
        self.add(TOP, &[("objectClass", "dcObject"), ("objectClass", "organization"), ("o", "Example")])
            .await;
        for unit in ["people", "departments"] {
            self.add(&format!("ou={unit},{TOP}"), &[("objectClass", "organizationalUnit")]).await;
        }
    }

    /// Starts it, on the data that are there.
    pub async fn run(&mut self) {
        let mut command = Command::new(BINARY);
        let urls = format!("{} {}", self.address("ldap"), self.address("ldaps"));
        command.args(["-h", &urls, "-f", "slapd.conf", "-d", "0"]);
        let child = self.sandbox.enter(&mut command, LOG).spawn();
        self.child = Some(child.unwrap_or_else(|e| panic!("{BINARY}: {e}; tests/tools ensure slapd")));
        let deadline = Instant::now() + START;
        loop {
            if let Ok((connection, ldap)) =
                LdapConnAsync::with_settings(LdapConnSettings::new(), &self.address("ldap")).await
            {
                tokio::spawn(connection.drive());
                self.operator = Some(ldap);
                break;
            }
            assert!(Instant::now() < deadline, "no answer after {START:?}:\n{}", self.sandbox.tail(LOG, 40));
            tokio::time::sleep(POLL).await;
        }
        let bound = self.operator().simple_bind(ROOT, PASSWORD).await.expect("an answer to the bind");
        bound.success().expect("the operator is let in");
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.operator = None;
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn address(&self, scheme: &str) -> String {
        let port = if scheme == "ldaps" { self.encrypted_port } else { self.port };
        format!("{scheme}://127.0.0.1:{port}")
    }

    /// Where it answers in plain.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The settings (TOML) of a service that asks it when it is told to.
    pub fn settings(&self) -> String {
        self.settings_by("ldap")
    }

    /// The same over TLS from the beginning; whom to trust is not among them.
    pub fn encrypted_settings(&self) -> String {
        self.settings_by("ldaps")
    }

    fn settings_by(&self, scheme: &str) -> String {
        let base = self.address(scheme);
        format!(
            "directory.source = \"ldap\"\n\
             directory.users_url = \"{base}/ou=people,{TOP}??sub?(objectClass=inetOrgPerson)\"\n\
             directory.departments_url = \"{base}/ou=people,{TOP}??sub?(objectClass=organizationalUnit)\"\n\
             directory.bind_dn = \"{ROOT}\"\ndirectory.bind_password = \"{PASSWORD}\"\n\
             directory.schedule = \"\"\ndirectory.full_schedule = \"\"\n"
        )
    }

    fn operator(&mut self) -> &mut Ldap {
        self.operator.as_mut().expect("the server runs")
    }

    /// Adds an entry. The attribute of its own name goes without saying.
    pub async fn add(&mut self, dn: &str, attributes: &[(&str, &str)]) {
        let mut all: Vec<(&str, HashSet<&str>)> = Vec::new();
        let (name, rest) = dn.split_once('=').expect("a name");
        let own = rest.replace("\\,", "\0").split(',').next().expect("a value").replace('\0', ",");
        for (attribute, value) in attributes.iter().chain([&(name, own.as_str())]) {
            match all.iter_mut().find(|(other, _)| other == attribute) {
                Some((_, values)) => _ = values.insert(value),
                None => all.push((attribute, HashSet::from([*value]))),
            }
        }
        let done = self.operator().add(dn, all).await.expect("an answer");
        done.success().unwrap_or_else(|e| panic!("{dn}: {e}"));
    }

    /// Hires somebody into a unit of the people, such as `ou=rd`; returns their DN.
    pub async fn hire(&mut self, login_name: &str, name: &str, unit: &str, more: &[(&str, &str)]) -> String {
        let between = if unit.is_empty() { String::new() } else { format!("{unit},") };
        let dn = format!("uid={login_name},{between}ou=people,{TOP}");
        let person = [("objectClass", "inetOrgPerson"), ("cn", name), ("sn", name)];
        self.add(&dn, &[&person[..], more].concat()).await;
        dn
    }

    /// Makes a department below the people; returns its DN.
    pub async fn department(&mut self, rdns: &str) -> String {
        let dn = format!("{rdns},ou=people,{TOP}");
        self.add(&dn, &[("objectClass", "organizationalUnit")]).await;
        dn
    }

    /// Has an attribute of an entry hold this alone.
    pub async fn set(&mut self, dn: &str, attribute: &str, value: &str) {
        self.set_all(dn, attribute, &[value]).await;
    }

    /// Has an attribute of an entry hold these alone, in this order.
    pub async fn set_all(&mut self, dn: &str, attribute: &str, values: &[&str]) {
        let value = |at: usize| HashSet::from([values[at]]);
        let first = Mod::Replace(attribute, value(0));
        let more = (1..values.len()).map(|at| Mod::Add(attribute, value(at)));
        let changes = [first].into_iter().chain(more).collect();
        let done = self.operator().modify(dn, changes).await.expect("an answer");
        done.success().unwrap_or_else(|e| panic!("{dn}: {e}"));
    }

    /// Renames an entry, or moves it with all that is below it; returns its new DN.
    pub async fn rename(&mut self, dn: &str, rdn: &str, above: Option<&str>) -> String {
        let done = self.operator().modifydn(dn, rdn, true, above).await.expect("an answer");
        done.success().unwrap_or_else(|e| panic!("{dn}: {e}"));
        format!("{rdn},{}", above.unwrap_or_else(|| dn.split_once(',').expect("something above").1))
    }

    pub async fn remove(&mut self, dn: &str) {
        let done = self.operator().delete(dn).await.expect("an answer");
        done.success().unwrap_or_else(|e| panic!("{dn}: {e}"));
    }
}

/// A certificate of its own, for its address.
fn make_certificate(sandbox: &Sandbox) -> PathBuf {
    let request = "[req]\ndistinguished_name = dn\n[dn]\n[v3]\nbasicConstraints = CA:FALSE\nsubjectAltName = IP:127.0.0.1\n";
    fs::write(sandbox.path().join("request.cnf"), request).expect("a request");
    let arguments = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ldap -extensions v3 -config request.cnf \
                     -keyout server.key -out server.crt";
    let made =
        Command::new("openssl").args(arguments.split_whitespace()).current_dir(sandbox.path()).output();
    let made = made.expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    sandbox.path().join("server.crt")
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.kill();
    }
}
