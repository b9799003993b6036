//! Persons who show a token of the cluster: who they are, as the API server says.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::keys::CookieKeys;
use super::refused::RefusedTokens;
use super::rights::{PersonRights, Reviewer};
use super::token::{EntryRefusal, Token, TokenHash};
use crate::cluster::error::ApiError;
use crate::cluster::review::TokenUser;
use crate::cluster::session::Session;
use crate::cluster::session::person::PersonSessions;

/// How long an answer about a token counts: so long a page outlives its token.
const FRESH: Duration = Duration::from_secs(30);
/// How long an answer about a token counts while the API server gives no answer, so that an open page can say so.
const GRACE: Duration = Duration::from_secs(300);
/// How long a review may take: an open page has to say soon that there is no news.
const PATIENCE: Duration = Duration::from_secs(5);
/// Tokens that are remembered; for another one, that which was reviewed first is forgotten.
const MAX_KNOWN: usize = 512;
/// Tokens that are reviewed at a time.
const AT_ONCE: usize = 8;
/// Tokens that are not known yet, reviewed at a time: anyone can send some.
const STRANGERS_AT_ONCE: usize = 4;
/// Requests with the same token wait for the review of the first one. So many queues, by the hashes of tokens.
const QUEUES: usize = 64;

/// A person whom the API server knows.
#[derive(Clone)]
pub struct KnownPerson {
    /// Who it is.
    pub user: TokenUser,
    /// Their own rights.
    pub session: Session,
    /// Which releases they may list, for all of their pages.
    pub rights: Arc<PersonRights>,
    /// When the API server was asked.
    checked: Instant,
}

/// What is known of a token.
enum Standing {
    /// Whose it is, as of a short time ago.
    Fresh(KnownPerson),
    /// Whose it was.
    Stale(KnownPerson),
    /// It was refused a short time ago.
    Refused,
    /// Nothing.
    Unknown,
}

impl Standing {
    /// What is known without a review, or whose token it was.
    fn decided(self) -> ControlFlow<Option<KnownPerson>, Option<KnownPerson>> {
        match self {
            Self::Fresh(person) => ControlFlow::Break(Some(person)),
            Self::Refused => ControlFlow::Break(None),
            Self::Stale(person) => ControlFlow::Continue(Some(person)),
            Self::Unknown => ControlFlow::Continue(None),
        }
    }
}

/// What is remembered of tokens: hashes of them, and for a short time.
#[derive(Default)]
struct Memory {
    known: HashMap<TokenHash, KnownPerson>,
    refused: RefusedTokens,
    /// The rights of persons, who may have several tokens.
    rights: HashMap<String, Weak<PersonRights>>,
}

impl Memory {
    fn standing(&mut self, token: &TokenHash) -> Standing {
        match self.known.get(token) {
            Some(person) if person.checked.elapsed() < FRESH => Standing::Fresh(person.clone()),
            Some(person) => Standing::Stale(person.clone()),
            None if self.refused.has(token, Instant::now()) => Standing::Refused,
            None => Standing::Unknown,
        }
    }

    fn keep(&mut self, token: TokenHash, person: KnownPerson) {
        self.known.retain(|_, known| known.checked.elapsed() < GRACE);
        if !self.known.contains_key(&token) && self.known.len() >= MAX_KNOWN {
            let oldest = self.known.iter().min_by_key(|(_, person)| person.checked).map(|(key, _)| *key);
            oldest.and_then(|oldest| self.known.remove(&oldest));
        }
        self.known.insert(token, person);
    }

    fn refuse(&mut self, token: TokenHash) {
        self.known.remove(&token);
        self.refused.add(token, Instant::now());
    }

    /// The rights of a person: those that their other pages use, if they have any.
    fn rights(&mut self, user: &TokenUser) -> Arc<PersonRights> {
        if let Some(known) = self.rights.get(user.identity().as_str()).and_then(Weak::upgrade) {
            return known;
        }
        self.rights.retain(|_, rights| rights.strong_count() > 0);
        let new = PersonRights::of(user.clone());
        self.rights.insert(user.identity(), Arc::downgrade(&new));
        new
    }
}

/// The entrance for everyone with a token.
pub struct TokenDoor {
    /// The keys of cookies.
    pub keys: CookieKeys,
    /// Asks what persons may list.
    pub reviewer: Reviewer,
    operator: Session,
    persons: PersonSessions,
    memory: Mutex<Memory>,
    queues: [tokio::sync::Mutex<()>; QUEUES],
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
        Ok(Self {
            keys: CookieKeys::new(operator.clone(), home),
            reviewer: Reviewer::new(operator.clone()),
            persons: PersonSessions::of(&operator)?,
            operator,
            memory: Mutex::default(),
            queues: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            turns: Semaphore::new(AT_ONCE),
            strangers: Semaphore::new(STRANGERS_AT_ONCE),
        })
    }

    /// Whom a token belongs to; none when the API server does not accept it.
    ///
    /// # Errors
    /// When that is not known.
    pub async fn person(&self, token: &Token) -> Result<Option<KnownPerson>, EntryRefusal> {
        let hash = token.hash();
        let standing = self.memory().standing(&hash);
        let before = match standing.decided() {
            ControlFlow::Break(known) => return Ok(known),
            ControlFlow::Continue(before) => before,
        };
        let reviewing = tokio::time::timeout(PATIENCE, self.review(token, hash, before.is_some()));
        match reviewing.await.unwrap_or(Err(ApiError::Timeout(PATIENCE))) {
            Ok(found) => Ok(found),
            Err(error) => match before.filter(|person| person.checked.elapsed() < GRACE) {
                Some(person) if error.is_transient() => Ok(Some(person)),
                _ => Err(error.into()),
            },
        }
    }

    /// Asks the API server, unless another request with the same token has just done that.
    async fn review(
        &self,
        token: &Token,
        hash: TokenHash,
        is_known: bool,
    ) -> Result<Option<KnownPerson>, ApiError> {
        let queue = self.queues.get(usize::from(hash[0]) % QUEUES);
        let _one = match queue {
            Some(queue) => Some(queue.lock().await),
            None => None,
        };
        // Of another statement, so that the memory is free while the API server is asked.
        let standing = self.memory().standing(&hash);
        let before = match standing.decided() {
            ControlFlow::Break(known) => return Ok(known),
            ControlFlow::Continue(before) => before,
        };
        // Tokens that nobody has seen before wait for each other, and not those of known persons for them. Never closed.
        let turns = if is_known { &self.turns } else { &self.strangers };
        let _turn = turns.acquire().await;
        let checked = Instant::now();
        let Some(user) = self.operator.user_of_token(token.secret()).await? else {
            self.memory().refuse(hash);
            return Ok(None);
        };
        let person = match before.filter(|person| person.user == user) {
            Some(person) => KnownPerson { checked, ..person },
            // Other groups may have other rights.
            None => {
                let session = self.persons.with_token(token.secret(), user.name())?;
                let rights = self.memory().rights(&user);
                KnownPerson { user, session, rights, checked }
            }
        };
        self.memory().keep(hash, person.clone());
        Ok(Some(person))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
