//! Who may see the page of a person: the one who has opened the link that was printed.
//!
//! The link has a token that is used once. It is exchanged for a cookie, so that the token is in no later address,
//! bookmark or `Referer`. Only hashes of both are kept: comparing them tells nothing of the secrets by its time.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::reconcile::env::plan_keys::random;

/// The bytes of a secret.
const BYTES: usize = 32;
/// Browsers that may have opened the page; the one that came first is forgotten for another.
const MAX_VISITORS: usize = 32;

type Hash = [u8; 32];

fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

/// A secret in hexadecimal digits; none where the system gives no random bytes.
fn secret() -> Option<String> {
    random::<BYTES>().ok().map(hex::encode)
}

/// Who has opened the page.
#[derive(Debug)]
pub struct Visitors {
    /// The name of the cookie. Cookies are not separated by ports, so it has the port.
    cookie: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    link: Option<Hash>,
    visitors: VecDeque<Hash>,
}

impl Visitors {
    /// With nobody in it yet, on that port.
    pub fn new(port: u16) -> Self {
        Self { cookie: format!("supercargo-{port}"), state: Mutex::default() }
    }

    /// A new token for a link; the one before it is void.
    pub fn invite(&self) -> Option<String> {
        let token = secret()?;
        self.state().link = Some(hash(&token));
        Some(token)
    }

    /// Exchanges a token for the `Set-Cookie` of a browser; none for a token that is wrong or was used.
    pub fn enter(&self, token: &str) -> Option<String> {
        let cookie = secret()?;
        let mut state = self.state();
        state.link.take_if(|link| *link == hash(token))?;
        if state.visitors.len() == MAX_VISITORS {
            state.visitors.pop_front();
        }
        state.visitors.push_back(hash(&cookie));
        Some(format!("{}={cookie}; HttpOnly; SameSite=Strict; Path=/", self.cookie))
    }

    /// The browser that sends these cookies, if it has entered.
    pub fn visitor(&self, cookies: &str) -> Option<Visitor> {
        let values = cookies.split(';').filter_map(|cookie| cookie.trim().split_once('='));
        let mut ours = values.filter(|(name, _)| *name == self.cookie).map(|(_, value)| value);
        let state = self.state();
        ours.find(|value| state.visitors.contains(&hash(value))).map(|value| Visitor(value.to_owned()))
    }

    /// Whether a browser counts still.
    pub fn knows(&self, visitor: &Visitor) -> bool {
        self.state().visitors.contains(&hash(&visitor.0))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A browser that has entered. Its secret is shown nowhere.
#[derive(Clone)]
pub struct Visitor(String);

impl Visitor {
    /// One that is known by another secret.
    pub fn of_secret(secret: &str) -> Self {
        Self(secret.to_owned())
    }

    /// What its forms have to send, so that no other page can write them.
    pub fn form_token(&self) -> String {
        hex::encode(hash(&format!("form {}", self.0)))
    }

    /// Whether a form of this browser has sent it.
    pub fn has_sent(&self, token: &str) -> bool {
        hash(token) == hash(&self.form_token())
    }
}

impl std::fmt::Debug for Visitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Visitor")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_the_page_once() {
        let sessions = Visitors::new(4711);
        assert!(sessions.enter("").is_none() && sessions.enter("guess").is_none());
        let token = sessions.invite().unwrap();
        assert!(sessions.enter("guess").is_none(), "a wrong guess does not use it up");
        let cookie = sessions.enter(&token).unwrap();
        assert!(sessions.enter(&token).is_none());
        let (pair, attributes) = cookie.split_once(';').unwrap();
        assert_eq!(attributes, " HttpOnly; SameSite=Strict; Path=/");
        assert!(!pair.contains(&token) && pair.starts_with("supercargo-4711="));
        let check = |cookies: &str, expected: bool| {
            assert_eq!(sessions.visitor(cookies).is_some(), expected, "{cookies}");
        };
        check(pair, true);
        check(&format!("a=b; {pair}; c"), true);
        check(&pair.replace("4711", "4712"), false);
        check("supercargo-4711=", false);
        check(&format!("supercargo-4711={token}"), false);
        check("", false);
    }

    #[test]
    fn a_newer_link_makes_the_older_void_and_few_browsers_are_remembered() {
        let sessions = Visitors::new(1);
        let old = sessions.invite().unwrap();
        let first = sessions.enter(&sessions.invite().unwrap()).unwrap();
        assert!(sessions.enter(&old).is_none());
        for _ in 0..MAX_VISITORS {
            sessions.enter(&sessions.invite().unwrap()).unwrap();
        }
        assert!(sessions.visitor(first.split(';').next().unwrap()).is_none());
    }

    #[test]
    fn a_form_is_of_one_browser() {
        let (one, other) = (Visitor("one".into()), Visitor("other".into()));
        assert!(one.has_sent(&one.form_token()));
        assert!(!one.has_sent(&other.form_token()) && !one.has_sent("") && !one.has_sent("one"));
        assert!(!one.form_token().contains("one") && !format!("{one:?}").contains("one"));
    }
}
