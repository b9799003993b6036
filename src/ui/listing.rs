//! Which rows a page shows: filtered, searched, sorted, and cut into pages.

use std::sync::Arc;

use super::row::{ReleaseState, Row};

/// Rows on a page.
pub const PAGE: usize = 100;
/// The longest text that is searched for, in characters.
const MAX_TEXT: usize = 100;

/// The column that sorts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Column {
    /// Namespace and name.
    #[default]
    Name,
    /// How urgent it is.
    State,
    /// The reason.
    Reason,
    /// The applied revision.
    Revision,
    /// Since when it is so; the newest first.
    Since,
}

impl Column {
    /// The word in addresses.
    pub fn key(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::Reason => "reason",
            Self::Revision => "revision",
            Self::Since => "since",
        }
    }

    fn named(key: &str) -> Option<Self> {
        [Self::Name, Self::State, Self::Reason, Self::Revision, Self::Since]
            .into_iter()
            .find(|c| c.key() == key)
    }
}

/// What a person asks to see, as it is in the address of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Every word of it is in the name, the source, the reason or the message.
    pub text: String,
    /// Only releases of this namespace.
    pub namespace: String,
    /// Only these.
    pub standing: Option<ReleaseState>,
    /// The column that sorts.
    pub sort: Column,
    /// Whether the order is turned around.
    pub descending: bool,
    /// The page, from 0 on.
    pub page: usize,
}

impl Query {
    /// From the query of an address. What it cannot be is left out.
    pub fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match key.as_ref() {
                "q" => parsed.text = value.trim().chars().take(MAX_TEXT).collect(),
                "namespace" => parsed.namespace = value.trim().chars().take(MAX_TEXT).collect(),
                "state" => parsed.standing = ReleaseState::named(&value),
                "sort" => parsed.sort = Column::named(&value).unwrap_or_default(),
                "order" => parsed.descending = value == "desc",
                "page" => parsed.page = value.parse::<usize>().unwrap_or(1).clamp(1, 1 << 20) - 1,
                _ => {}
            }
        }
        parsed
    }

    /// The address of the same, without the question mark. Defaults are left out.
    pub fn address(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let mut add = |key: &str, value: &str| {
            if !value.is_empty() {
                query.append_pair(key, value);
            }
        };
        add("q", &self.text);
        add("namespace", &self.namespace);
        add("state", self.standing.map_or("", ReleaseState::key));
        add("sort", if self.sort == Column::default() { "" } else { self.sort.key() });
        add("order", if self.descending { "desc" } else { "" });
        add("page", &if self.page == 0 { String::new() } else { (self.page + 1).to_string() });
        query.finish()
    }

    /// The same at another page.
    #[must_use]
    pub fn at(&self, page: usize) -> Self {
        Self { page, ..self.clone() }
    }

    /// The same with another order: a second time, the order is turned around.
    #[must_use]
    pub fn sorted_by(&self, sort: Column) -> Self {
        Self { sort, descending: self.sort == sort && !self.descending, page: 0, ..self.clone() }
    }

    fn wants(&self, row: &Row, words: &[String]) -> bool {
        if self.standing.is_some_and(|standing| standing != row.standing) {
            return false;
        }
        if !self.namespace.is_empty() && self.namespace != row.id.namespace {
            return false;
        }
        let fields = [&row.id.namespace, &row.id.name, &row.source, &row.reason, &row.message, &row.revision];
        words.iter().all(|word| fields.iter().any(|field| contains(field, word)))
    }
}

/// Whether a text has a word that is in lower case, whatever the text's case is.
fn contains(text: &str, word: &str) -> bool {
    let is_plain = text.is_ascii() && word.is_ascii();
    if !is_plain {
        return text.to_lowercase().contains(word);
    }
    let (text, word) = (text.as_bytes(), word.as_bytes());
    text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}

/// The rows of a page.
#[derive(Debug, PartialEq, Eq)]
pub struct RowPage {
    /// The rows.
    pub rows: Vec<Arc<Row>>,
    /// How many there are on all pages.
    pub total: usize,
    /// The page, which exists.
    pub page: usize,
}

impl RowPage {
    /// Of all rows in the order of their names.
    pub fn of<'r>(rows: impl Iterator<Item = &'r Arc<Row>>, query: &Query) -> Self {
        let words: Vec<String> = query.text.split_whitespace().map(str::to_lowercase).collect();
        let mut found: Vec<&Arc<Row>> = rows.filter(|row| query.wants(row, &words)).collect();
        match query.sort {
            Column::Name => {}
            Column::State => found.sort_by(|a, b| a.by_urgency(b)),
            Column::Reason => found.sort_by(|a, b| a.reason.cmp(&b.reason)),
            Column::Revision => found.sort_by(|a, b| a.revision.cmp(&b.revision)),
            Column::Since => found.sort_by_key(|row| std::cmp::Reverse(row.since)),
        }
        if query.descending {
            found.reverse();
        }
        Self::cut(found, query.page)
    }

    /// The rows that a person should look at, the most urgent first.
    pub fn wrong<'r>(rows: impl Iterator<Item = &'r Arc<Row>>, page: usize, most: usize) -> Self {
        let mut found: Vec<&Arc<Row>> = rows.filter(|row| row.standing.is_wrong()).collect();
        found.sort_by(|a, b| a.by_urgency(b));
        Self::cut_at(found, page, most)
    }

    fn cut(found: Vec<&Arc<Row>>, page: usize) -> Self {
        Self::cut_at(found, page, PAGE)
    }

    fn cut_at(found: Vec<&Arc<Row>>, page: usize, most: usize) -> Self {
        let total = found.len();
        let page = page.min(total.saturating_sub(1) / most);
        let rows = found.into_iter().skip(page * most).take(most).cloned().collect();
        Self { rows, total, page }
    }

    /// How many pages there are, at least one.
    pub fn pages(&self, most: usize) -> usize {
        self.total.div_ceil(most).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(namespace: &str, name: &str, ready: &str, reason: &str) -> Arc<Row> {
        Arc::new(Row::of(&json!({"metadata": {"namespace": namespace, "name": name},
            "spec": {"url": format!("oci://ghcr.io/Acme/{name}")},
            "status": {"conditions": [{"type": "Ready", "status": ready, "reason": reason, "message": "because ÄÖ"}]}})))
    }

    fn rows() -> Vec<Arc<Row>> {
        vec![
            row("apps", "api", "True", "ReconciliationSucceeded"),
            row("apps", "web", "False", "HealthTimeout"),
            row("infra", "dns", "Unknown", "Progressing"),
            row("infra", "web", "True", "ReconciliationSucceeded"),
        ]
    }

    #[test]
    fn a_page_shows_what_its_address_asks_for() {
        let rows = rows();
        let check = |query: &str, expected: &[&str]| {
            let listing = RowPage::of(rows.iter(), &Query::parse(query));
            let names: Vec<String> = listing.rows.iter().map(|row| row.id.to_string()).collect();
            assert_eq!(names, expected, "{query}");
        };
        check("", &["apps/api", "apps/web", "infra/dns", "infra/web"]);
        check("q=web", &["apps/web", "infra/web"]);
        check("q=WEB+infra", &["infra/web"]);
        check("q=ghcr.io%2Facme%2Fdns", &["infra/dns"]);
        check("q=%C3%A4%C3%B6", &["apps/api", "apps/web", "infra/dns", "infra/web"]);
        check("q=nothing", &[]);
        check("namespace=infra", &["infra/dns", "infra/web"]);
        check("state=failing", &["apps/web"]);
        check("state=bogus&sort=bogus&page=-1", &["apps/api", "apps/web", "infra/dns", "infra/web"]);
        check("sort=state", &["apps/web", "infra/dns", "apps/api", "infra/web"]);
        check("order=desc", &["infra/web", "infra/dns", "apps/web", "apps/api"]);
        check("sort=reason", &["apps/web", "infra/dns", "apps/api", "infra/web"]);
    }

    #[test]
    fn an_address_says_the_same_when_it_is_read_again() {
        let check = |query: &str, expected: &str| {
            let parsed = Query::parse(query);
            assert_eq!(parsed.address(), expected);
            assert_eq!(Query::parse(&parsed.address()), parsed);
        };
        check("", "");
        check("page=1&sort=name&order=asc", "");
        check(
            "q=a%26b%3D&state=failing&sort=since&order=desc&page=3",
            "q=a%26b%3D&state=failing&sort=since&order=desc&page=3",
        );
        let query = Query::parse("page=3");
        assert_eq!(query.sorted_by(Column::Since).address(), "sort=since");
        assert_eq!(
            query.sorted_by(Column::Since).sorted_by(Column::Since).address(),
            "sort=since&order=desc"
        );
        assert_eq!(Query::parse(&format!("q={}", "x".repeat(5000))).text.len(), MAX_TEXT);
    }

    #[test]
    fn pages_are_cut_and_one_that_is_too_high_is_the_last() {
        let rows: Vec<Arc<Row>> = (0..250).map(|n| row("a", &format!("r{n:03}"), "True", "X")).collect();
        let check = |page: &str, first: &str, count: usize, at: usize| {
            let listing = RowPage::of(rows.iter(), &Query::parse(&format!("page={page}")));
            let found = (listing.rows[0].id.name.as_str(), listing.rows.len(), listing.page);
            assert_eq!(found, (first, count, at), "{page}");
            assert_eq!((listing.total, listing.pages(PAGE)), (250, 3));
        };
        check("1", "r000", 100, 0);
        check("3", "r200", 50, 2);
        check("99999999999999999999", "r000", 100, 0);
        check("7", "r200", 50, 2);
        assert_eq!(RowPage::of([].iter(), &Query::default()).pages(PAGE), 1);
    }

    #[test]
    fn only_what_is_wrong_is_in_the_first_view() {
        let listing = RowPage::wrong(rows().iter(), 0, 10);
        assert_eq!(listing.rows.iter().map(|r| r.id.to_string()).collect::<Vec<_>>(), ["apps/web"]);
    }
}
