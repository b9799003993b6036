//! Persons who show a token of the cluster: who they are, and which releases they see, as the API server says.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use super::seal::SealKey;
use super::token::{EntryRefusal, Token};
use crate::cluster::error::ApiError;
use crate::cluster::inventory::SECRET_BYTES;
use crate::cluster::review::TokenUser;
use crate::cluster::session::Session;
use crate::cluster::session::person::PersonSessions;
use crate::reconcile::env::plan_keys::random;

/// How long an answer about a token counts: so long a page outlives its token.
const FRESH: Duration = Duration::from_secs(30);
/// How long an answer about the rights of a person counts.
const RIGHTS_FRESH: Duration = Duration::from_secs(120);
/// How long an answer about a token counts while the API server gives no answer, so that an open page can say so.
const GRACE: Duration = Duration::from_secs(300);
/// How long a review may take: an open page has to say soon that there is no news.
const PATIENCE: Duration = Duration::from_secs(5);
/// Tokens that are remembered; for another one, that which was reviewed first is forgotten.
const MAX_KNOWN: usize = 1024;
/// Namespaces that are reviewed for one person who does not see all.
const MAX_NAMESPACES: usize = 500;
/// Reviews of one person at a time, and persons who are reviewed at a time.
const AT_ONCE: usize = 8;
/// Tokens that are not known yet, reviewed at a time: anyone can send some.
const STRANGERS_AT_ONCE: usize = 4;

type Hash = [u8; 32];

/// A person whom the API server knows.
#[derive(Clone)]
pub struct KnownPerson {
    /// Who it is.
    pub user: TokenUser,
    /// Their own rights.
    pub session: Session,
    /// When the API server was asked.
    checked: Instant,
    /// When it was first asked about their rights.
    judged: Instant,
    /// Whether they may list the releases of all namespaces.
    sees_all: bool,
    /// Of each reviewed namespace: whether they may list its releases.
    reviewed: BTreeMap<String, bool>,
}

impl KnownPerson {
    /// The namespaces whose releases they see; none for all.
    pub fn namespaces(&self) -> Option<BTreeSet<String>> {
        let allowed = self.reviewed.iter().filter(|(_, allowed)| **allowed);
        (!self.sees_all).then(|| allowed.map(|(namespace, _)| namespace.clone()).collect())
    }

    fn unreviewed(&self, namespaces: &BTreeSet<String>) -> Vec<String> {
        let left = if self.sees_all { 0 } else { MAX_NAMESPACES.saturating_sub(self.reviewed.len()) };
        let new = namespaces.iter().filter(|namespace| !self.reviewed.contains_key(*namespace));
        new.take(left).cloned().collect()
    }
}

/// What is remembered of tokens: hashes of them, and for a short time.
#[derive(Default)]
struct Memory(HashMap<Hash, KnownPerson>);

impl Memory {
    fn keep(&mut self, key: Hash, person: KnownPerson) {
        self.0.retain(|_, known| known.checked.elapsed() < GRACE);
        if !self.0.contains_key(&key) && self.0.len() >= MAX_KNOWN {
            let oldest = self.0.iter().min_by_key(|(_, person)| person.checked).map(|(key, _)| *key);
            oldest.and_then(|oldest| self.0.remove(&oldest));
        }
        self.0.insert(key, person);
    }
}

/// The entrance for everyone with a token.
pub struct TokenDoor {
    operator: Session,
    persons: PersonSessions,
    /// The namespace and the name of the Secret with the key that all replicas share.
    home: (String, String),
    key: OnceCell<SealKey>,
    memory: Mutex<Memory>,
    turns: Semaphore,
    /// The same for tokens that are not known yet.
    strangers: Semaphore,
}

impl TokenDoor {
    /// The operator asks who a person is, and what they may list. Its Secret has the key of cookies.
    ///
    /// # Errors
    /// When the certificates of the API server are invalid.
    pub fn new(operator: Session, home: (String, String)) -> Result<Self, ApiError> {
        let persons = PersonSessions::of(&operator)?;
        let (memory, turns, strangers) =
            (Mutex::default(), Semaphore::new(AT_ONCE), Semaphore::new(STRANGERS_AT_ONCE));
        Ok(Self { operator, persons, home, key: OnceCell::new(), memory, turns, strangers })
    }

    /// The key of cookies.
    ///
    /// # Errors
    /// When the Secret cannot be read or created.
    pub async fn key(&self) -> Result<&SealKey, ApiError> {
        let read = || async {
            let no_key = || {
                ApiError::Configuration(format!("Secret {}/{} has no key", self.home.0, self.home.1).into())
            };
            let new = random::<SECRET_BYTES>().map_err(|_| no_key())?;
            let secret = self.operator.plan_secret(&self.home.0, &self.home.1, &new).await?;
            let secret = Some(secret).filter(|secret| secret.len() >= SECRET_BYTES);
            secret.and_then(|secret| SealKey::of(&secret)).ok_or_else(no_key)
        };
        self.key.get_or_try_init(read).await
    }

    /// Whom a token belongs to, and which of these namespaces they see; none when the API server does not accept it.
    ///
    /// # Errors
    /// When that is not known.
    pub async fn person(
        &self,
        token: &Token,
        namespaces: &BTreeSet<String>,
    ) -> Result<Option<KnownPerson>, EntryRefusal> {
        let key: Hash = Sha256::digest(token.secret().as_bytes()).into();
        let before = self.memory().0.get(&key).cloned();
        let fresh = before.clone().filter(|person| person.checked.elapsed() < FRESH);
        if fresh.as_ref().is_some_and(|person| person.unreviewed(namespaces).is_empty()) {
            return Ok(fresh);
        }
        // Tokens that nobody has seen before wait for each other, and not those of known persons for them.
        let turns = if before.is_some() { &self.turns } else { &self.strangers };
        let reviewing = tokio::time::timeout(PATIENCE, async {
            // Never closed.
            let _turn = turns.acquire().await;
            self.review(token, before.clone(), namespaces).await
        });
        match reviewing.await.unwrap_or(Err(ApiError::Timeout(PATIENCE))) {
            Ok(Some(person)) => {
                self.memory().keep(key, person.clone());
                Ok(Some(person))
            }
            Ok(None) => {
                self.memory().0.remove(&key);
                Ok(None)
            }
            Err(error) => match before.filter(|person| person.checked.elapsed() < GRACE) {
                Some(person) if error.is_transient() => Ok(Some(person)),
                _ => Err(error.into()),
            },
        }
    }

    /// Asks the API server for what is not known.
    async fn review(
        &self,
        token: &Token,
        before: Option<KnownPerson>,
        namespaces: &BTreeSet<String>,
    ) -> Result<Option<KnownPerson>, ApiError> {
        let mut person = match before.clone().filter(|person| person.checked.elapsed() < FRESH) {
            Some(person) => person,
            None => {
                let checked = Instant::now();
                let Some(user) = self.operator.user_of_token(token.secret()).await? else { return Ok(None) };
                // Other groups may have other rights.
                let is_judged = |p: &KnownPerson| p.user == user && p.judged.elapsed() < RIGHTS_FRESH;
                match before.filter(is_judged) {
                    Some(person) => KnownPerson { checked, ..person },
                    None => self.judged(token, user, checked).await?,
                }
            }
        };
        let reviews = person.unreviewed(namespaces).into_iter().map(|namespace| {
            let (operator, user) = (self.operator.clone(), person.user.clone());
            async move {
                let allowed = operator.may_list_releases(&user, Some(&namespace)).await?;
                Ok::<_, ApiError>((namespace, allowed))
            }
        });
        let reviewed: Vec<(String, bool)> =
            stream::iter(reviews).buffer_unordered(AT_ONCE).try_collect().await?;
        person.reviewed.extend(reviewed);
        Ok(Some(person))
    }

    async fn judged(&self, token: &Token, user: TokenUser, now: Instant) -> Result<KnownPerson, ApiError> {
        let sees_all = self.operator.may_list_releases(&user, None).await?;
        let session = self.persons.with_token(token.secret(), user.name())?;
        Ok(KnownPerson { user, session, checked: now, judged: now, sees_all, reviewed: BTreeMap::new() })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
