//! Hashes passwords with Argon2id, on threads of their own: few, at a low priority, with a bounded queue. A part of the queue
//! is kept for people who are known, so that a rush of made-up names keeps none of them from signing in.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, Salt, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use tokio::sync::{Semaphore, oneshot};

use crate::base::config::AccountSettings;
use crate::base::error::{Error, Result};

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// Threads that hash, of the processors, when the setting says 0.
const PROCESSORS_PER_THREAD: usize = 4;
/// Lower than the threads of requests, which have 0. Only sign-ins wait for a hash.
const NICE: i32 = 10;
/// When a sign-in that finds the queue full can come again.
const WAIT_S: u64 = 1;

/// One of so many places in the queue is kept for people who are known.
const KEPT_PART: usize = 4;

/// Who waits for a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Stranger,
    /// The user has a session from this address, has just proved who they are, or has a one-time code.
    Known,
}

type Job = Box<dyn FnOnce(&Argon2<'static>) + Send>;

/// The threads that hash, and their queue.
pub struct Hasher {
    jobs: SyncSender<Job>,
    /// The places in the queue that strangers can have.
    places: Arc<Semaphore>,
    params: Params,
    /// A hash of no password. Checking against it takes as long as checking against a real one.
    nobody: String,
    done: Arc<AtomicU64>,
}

impl Hasher {
    pub fn new(settings: &AccountSettings) -> Result<Self> {
        let params = params(settings)?;
        let threads = match settings.hash_threads {
            0 => std::thread::available_parallelism().map_or(1, |n| (n.get() / PROCESSORS_PER_THREAD).max(1)),
            threads => threads,
        };
        let (jobs, waiting) = sync_channel(settings.hash_queue);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads {
            let (waiting, params) = (waiting.clone(), params.clone());
            let work = move || run(&waiting, &argon2(params));
            std::thread::Builder::new().name("passwords".to_owned()).spawn(work).map_err(Error::internal)?;
        }
        let (salt, hash) = (random::<SALT_BYTES>()?, random::<HASH_BYTES>()?);
        let encode = |bytes: &[u8]| BASE64_STANDARD_NO_PAD.encode(bytes);
        let nobody = format!(
            "$argon2id$v=19$m={},t={},p=1${}${}",
            params.m_cost(),
            params.t_cost(),
            encode(&salt),
            encode(&hash)
        );
        let places = Arc::new(Semaphore::new(settings.hash_queue - settings.hash_queue / KEPT_PART));
        Ok(Self { jobs, places, params, nobody, done: Arc::default() })
    }

    /// The PHC string of a password.
    pub async fn hash(&self, password: String, who: Who) -> Result<String> {
        self.work(who, move |argon2| hash_with(argon2, &password)).await?
    }

    /// Whether a password is that of a hash. `None`, an account that does not exist or has no password, takes as long.
    pub async fn verify(&self, password: String, hash: Option<String>, who: Who) -> Result<bool> {
        let is_real = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let is_right = self.work(who, move |argon2| {
            let parsed =
                PasswordHash::new(&hash).map_err(|_| Error::internal("a stored password hash is broken"))?;
            Ok::<_, Error>(argon2.verify_password(password.as_bytes(), &parsed).is_ok())
        });
        Ok(is_right.await?? && is_real)
    }

    /// Whether a hash was made with other parameters than those of the settings.
    pub fn is_outdated(&self, hash: &str) -> bool {
        let of = PasswordHash::new(hash).ok().and_then(|hash| Params::try_from(&hash).ok());
        of.is_none_or(|of| (of.m_cost(), of.t_cost()) != (self.params.m_cost(), self.params.t_cost()))
    }

    /// How many passwords were hashed.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Waits for a thread. A caller who is gone by then costs nothing.
    async fn work<T: Send + 'static>(
        &self,
        who: Who,
        work: impl FnOnce(&Argon2<'static>) -> T + Send + 'static,
    ) -> Result<T> {
        let full =
            || Error::unavailable("too many people sign in at the same time: try again").retry_after(WAIT_S);
        let place = match who {
            Who::Known => None,
            Who::Stranger => Some(self.places.clone().try_acquire_owned().map_err(|_| full())?),
        };
        let (answer, answered) = oneshot::channel();
        let done = self.done.clone();
        let job: Job = Box::new(move |argon2| {
            // The job has left the queue.
            drop(place);
            if !answer.is_closed() {
                done.fetch_add(1, Ordering::Relaxed);
                let _ = answer.send(work(argon2));
            }
        });
        self.jobs.try_send(job).map_err(|_| full())?;
        answered.await.map_err(|_| Error::internal("a thread that hashes passwords has ended"))
    }
}

/// Works until the hasher is dropped.
fn run(waiting: &Mutex<Receiver<Job>>, argon2: &Argon2<'static>) {
    // On Linux this is the priority of this thread alone. Where it is not allowed, the threads are as others.
    let _ = rustix::process::setpriority_process(None, NICE);
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        job(argon2);
    }
}

/// Hashes on this thread, for a command on the server.
pub fn hash_now(settings: &AccountSettings, password: &str) -> Result<String> {
    hash_with(&argon2(params(settings)?), password)
}

fn params(settings: &AccountSettings) -> Result<Params> {
    let params = Params::new(settings.hash_memory_kib, settings.hash_passes, 1, Some(HASH_BYTES));
    params.map_err(|_| Error::internal("`account_hash_memory_kib` and `account_hash_passes` cannot be used"))
}

fn argon2(params: Params) -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash_with(argon2: &Argon2<'static>, password: &str) -> Result<String> {
    let failed = |_| Error::internal("a password could not be hashed");
    let salt = SaltString::encode_b64(&random::<SALT_BYTES>()?).map_err(failed)?;
    let salt: Salt<'_> = salt.as_salt();
    Ok(argon2.hash_password(password.as_bytes(), salt).map_err(failed)?.to_string())
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(Error::internal)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::config::Config;
    use crate::base::error::Kind;

    fn settings(more: &str) -> AccountSettings {
        Config::from_toml(&format!("database_url = \"postgresql://localhost/x\"\n{more}"))
            .expect("settings")
            .accounts
    }

    #[tokio::test]
    async fn a_password_is_told_from_others_and_nobody_has_none() {
        let hasher = Hasher::new(&settings("")).unwrap();
        let hash = hasher.hash("correct horse".to_owned(), Who::Stranger).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "OWASP's parameters: {hash}");
        assert_ne!(hash, hasher.hash("correct horse".to_owned(), Who::Stranger).await.unwrap(), "salted");
        let verify = async |password: &str, hash: Option<&String>| {
            hasher.verify(password.to_owned(), hash.cloned(), Who::Stranger).await.unwrap()
        };
        assert!(verify("correct horse", Some(&hash)).await);
        assert!(!verify("correct horsf", Some(&hash)).await);
        let before = hasher.done();
        assert!(!verify("correct horse", None).await);
        assert_eq!(hasher.done(), before + 1, "an unknown name costs a hash, too");
        assert!(!hasher.is_outdated(&hash) && hasher.is_outdated(&hash.replace("t=2", "t=3")));
    }

    #[tokio::test]
    async fn a_rush_beyond_the_queue_is_told_to_come_again() {
        let hasher =
            Arc::new(Hasher::new(&settings("account_hash_queue = 1\naccount_hash_threads = 1")).unwrap());
        let rush = (0..20).map(|_| hasher.hash("x".to_owned(), Who::Stranger));
        let answers = futures_util::future::join_all(rush).await;
        let refused: Vec<&Error> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
        assert!(!refused.is_empty() && refused.len() < 20);
        assert!(refused.iter().all(|e| e.kind == Kind::Unavailable && e.retry_after_s == Some(WAIT_S)));
        assert!(hasher.hash("x".to_owned(), Who::Stranger).await.is_ok(), "the queue is empty again");
    }

    #[tokio::test]
    async fn a_rush_of_strangers_leaves_places_to_people_who_are_known() {
        let hasher = Hasher::new(&settings("account_hash_queue = 8\naccount_hash_threads = 1")).unwrap();
        let rush = (0..20).map(|_| hasher.hash("x".to_owned(), Who::Stranger));
        let known = (0..2).map(|_| hasher.hash("x".to_owned(), Who::Known));
        let (rush, known) = futures_util::future::join(
            futures_util::future::join_all(rush),
            futures_util::future::join_all(known),
        )
        .await;
        assert!(rush.iter().any(Result::is_err) && rush.iter().any(Result::is_ok));
        assert!(known.iter().all(Result::is_ok));
    }
}
