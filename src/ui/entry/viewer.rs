//! What a request may see and do: the gate makes this value, and every view is made from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use super::rights::{Namespaces, Visibility};
use super::session::Visitor;
use super::token::Token;
use super::tokens::{KnownPerson, TokenDoor};
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;
use crate::ui::index::{Coverage, ReleaseIndex, Rows};
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
}

/// By what a request is known.
#[derive(Clone, Debug)]
pub enum EntryProof {
    /// The cookie of a browser that has opened the link.
    Visitor(Visitor),
    /// A token of the cluster, and when it counts no more: that of a cookie has an end.
    Token(Token, Option<Timestamp>),
    /// Nothing.
    None,
}

/// What a person may do besides looking at statuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Read objects, events and the contents of plans.
    pub read: bool,
    /// Change releases.
    pub act: bool,
    /// Compare revisions, and the cluster with a revision: it renders artifacts, with the memory of this process.
    pub compare: bool,
    /// Compare the cluster with what the spec names now, and not only with what was applied last.
    pub compare_spec: bool,
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
    /// A signal that the person sees more or less than now; none where that does not change.
    pub changes: Option<watch::Receiver<u64>>,
    /// The browser that has sent it, whose forms may change releases.
    visitor: Option<Visitor>,
    visible: Visibility,
}

impl Viewer {
    /// The person who has started the page.
    pub fn of_link(session: Session, place: Place, visitor: Visitor) -> Self {
        Self {
            session,
            can: Abilities {
                read: true,
                act: true,
                compare: true,
                compare_spec: true,
                reach_clusters: true,
                operate: true,
            },
            place,
            credential: EntryProof::Visitor(visitor.clone()),
            changes: None,
            visitor: Some(visitor),
            visible: Visibility::All,
        }
    }

    /// A person who has shown a token, and sees some of the releases of these namespaces.
    pub async fn of_token(
        door: &TokenDoor,
        person: KnownPerson,
        namespaces: &Namespaces,
        place: Place,
        proof: (&Token, Option<Timestamp>),
    ) -> Self {
        // Before it is read: no change after that is missed.
        let changes = Some(person.rights.changes());
        let visible = person.rights.visible(&door.reviewer, namespaces).await;
        Self {
            can: Abilities { read: true, act: true, compare: true, ..Abilities::default() },
            place: Place { person: Some(person.user.name().to_owned()), ..place },
            session: person.session,
            credential: EntryProof::Token(proof.0.clone(), proof.1),
            changes,
            visitor: Some(Visitor::of_secret(proof.0.secret())),
            visible,
        }
    }

    /// Nobody: the session is that of the operator, of which only statuses of releases are shown.
    pub fn anonymous(session: Session, place: Place) -> Self {
        let (can, credential) = (Abilities::default(), EntryProof::None);
        Self { session, can, place, credential, changes: None, visitor: None, visible: Visibility::All }
    }

    /// The rows that this viewer sees.
    pub fn rows(&self, index: &ReleaseIndex) -> Rows {
        let mut all = index.rows();
        if !self.can.operate {
            // It names the account of the operator, and namespaces that this person may not know.
            all.sync = all.sync.without_words();
        }
        match &self.visible {
            Visibility::All => all,
            Visibility::Some { namespaces, unchecked, beyond, is_stuck } => {
                let (unchecked, beyond, is_stuck) = (*unchecked, *beyond, *is_stuck);
                let coverage = Coverage { is_partial: true, unchecked, beyond, is_stuck };
                Rows { rows: Arc::new(seen(&all.rows, namespaces)), coverage, ..all }
            }
        }
    }

    /// Whether the release itself may be read: nobody sees more than what is in the index.
    pub fn may_open(&self, id: &ReleaseId, rows: &Rows) -> bool {
        self.can.read || rows.rows.contains_key(id)
    }

    /// Whose share of the streams it takes; empty where persons are not known.
    pub fn tenant(&self) -> &str {
        self.place.person.as_deref().unwrap_or_default()
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
    namespaces: &BTreeSet<Arc<str>>,
) -> BTreeMap<ReleaseId, Arc<Row>> {
    let seen = rows.iter().filter(|(id, _)| namespaces.contains(id.namespace.as_str()));
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
            let namespaces = namespaces.iter().map(|&name| name.into()).collect();
            let seen = seen(&rows, &namespaces);
            assert_eq!(seen.keys().map(|id| id.name.as_str()).collect::<Vec<_>>(), expected);
        };
        check(&[], &[]);
        check(&["a"], &["one"]);
        check(&["a", "b", "c"], &["one", "two"]);
    }
}
