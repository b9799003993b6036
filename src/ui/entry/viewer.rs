//! What a request may see and do: the gate makes this value, and every view is made from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::session::Visitor;
use super::token::Token;
use super::tokens::KnownPerson;
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;
use crate::ui::index::{ReleaseIndex, Rows};
use crate::ui::row::Row;

/// Where the page looks, and for whom: what is around every view.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The API server.
    pub server: String,
    /// The only namespace that is shown; all of them without one.
    pub namespace: Option<String>,
    /// Who has signed in, where people do.
    pub person: Option<String>,
    /// Whether that person may not list the releases of all namespaces.
    pub is_partial: bool,
}

/// By what a request is known.
#[derive(Clone, Debug)]
pub enum EntryProof {
    /// The cookie of a browser that has opened the link.
    Visitor(Visitor),
    /// A token of the cluster.
    Token(Token),
    /// Nothing.
    None,
}

/// Which releases a person sees.
#[derive(Clone, Debug)]
enum Sight {
    All,
    Namespaces(Arc<BTreeSet<String>>),
}

/// What a person may do besides looking at statuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Read objects, events and the contents of plans.
    pub read: bool,
    /// Change releases.
    pub act: bool,
    /// Compare: it renders artifacts, with the memory of this process.
    pub compare: bool,
    /// Read objects in other clusters, from the network of this process.
    pub reach_clusters: bool,
    /// See what the API server says to this process itself.
    pub operate: bool,
}

/// What a request may see and do.
#[derive(Clone)]
pub struct Viewer {
    /// With whose rights everything is read and changed that is not in the index.
    pub session: Session,
    /// What is possible.
    pub can: Abilities,
    /// What is around every view.
    pub place: Place,
    /// By what the request is known: a stream asks again with it.
    pub credential: EntryProof,
    /// The browser that has sent it, whose forms may change releases.
    visitor: Option<Visitor>,
    sight: Sight,
}

impl Viewer {
    /// The person who has started the page.
    pub fn of_link(session: Session, place: Place, visitor: Visitor) -> Self {
        Self {
            session,
            can: Abilities { read: true, act: true, compare: true, reach_clusters: true, operate: true },
            place,
            credential: EntryProof::Visitor(visitor.clone()),
            visitor: Some(visitor),
            sight: Sight::All,
        }
    }

    /// A person who has shown a token.
    pub fn of_token(person: &KnownPerson, place: Place, token: &Token) -> Self {
        Self {
            session: person.session.clone(),
            can: Abilities { read: true, act: true, ..Abilities::default() },
            place: Place {
                person: Some(person.user.name().to_owned()),
                is_partial: person.namespaces().is_some(),
                ..place
            },
            credential: EntryProof::Token(token.clone()),
            visitor: Some(Visitor::of_secret(token.secret())),
            sight: match person.namespaces() {
                None => Sight::All,
                Some(namespaces) => Sight::Namespaces(Arc::new(namespaces)),
            },
        }
    }

    /// Nobody: the session is that of the operator, of which only statuses of releases are shown.
    pub fn anonymous(session: Session, place: Place) -> Self {
        let (can, credential) = (Abilities::default(), EntryProof::None);
        Self { session, can, place, credential, visitor: None, sight: Sight::All }
    }

    /// The rows that this viewer sees.
    pub fn rows(&self, index: &ReleaseIndex) -> Rows {
        let mut all = index.rows();
        if !self.can.operate {
            // It names the account of the operator, and namespaces that this person may not know.
            all.sync = all.sync.without_words();
        }
        match &self.sight {
            Sight::All => all,
            Sight::Namespaces(namespaces) => Rows { rows: Arc::new(seen(&all.rows, namespaces)), ..all },
        }
    }

    /// Whether the release itself may be read: nobody sees more than what is in the index.
    pub fn may_open(&self, id: &ReleaseId, rows: &Rows) -> bool {
        self.can.read || rows.rows.contains_key(id)
    }

    /// What a form of this browser has to send.
    pub fn form_token(&self) -> String {
        self.visitor.as_ref().map(Visitor::form_token).unwrap_or_default()
    }

    /// Whether a form of this browser has sent it.
    pub fn has_sent(&self, token: &str) -> bool {
        self.visitor.as_ref().is_some_and(|visitor| visitor.has_sent(token))
    }
}

fn seen(
    rows: &BTreeMap<ReleaseId, Arc<Row>>,
    namespaces: &BTreeSet<String>,
) -> BTreeMap<ReleaseId, Arc<Row>> {
    let seen = rows.iter().filter(|(id, _)| namespaces.contains(&id.namespace));
    seen.map(|(id, row)| (id.clone(), Arc::clone(row))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_rows_of_ones_namespaces_are_seen() {
        let row = |namespace: &str, name: &str| {
            Arc::new(Row::of(
                &json!({"metadata": {"namespace": namespace, "name": name}, "spec": {"url": "oci://r/a"}}),
            ))
        };
        let rows = [row("a", "one"), row("b", "two"), row("ab", "three")];
        let rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.id.clone(), row)).collect();
        let check = |namespaces: &[&str], expected: &[&str]| {
            let namespaces = namespaces.iter().map(|&name| name.to_owned()).collect();
            let seen = seen(&rows, &namespaces);
            assert_eq!(seen.keys().map(|id| id.name.as_str()).collect::<Vec<_>>(), expected);
        };
        check(&[], &[]);
        check(&["a"], &["one"]);
        check(&["a", "b", "c"], &["one", "two"]);
    }
}
