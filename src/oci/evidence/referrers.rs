//! The referrers of the digest in a registry: its referrers API, and the tag that
//! replaces it (distribution specification 1.1).

use http::{Method, StatusCode};
use reqwest::Url;

use super::gather::{Gathered, Notes};
use super::listing::{BUNDLE_TYPE, Referrer, Shortlist, entries};
use super::search::Search;
use crate::oci::artifact::layout::RawDescriptor;
use crate::oci::error::OciError;
use crate::oci::limits::{MAX_MANIFEST_BYTES, MAX_REFERRER_PAGES};
use crate::oci::transport::{Body, Request, Transport, link};

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// The hex digits of a digest that the specification keeps in the fallback's tag.
const TAG_DIGITS: usize = 64;
/// How a registry without the API answers. By the specification with 404; the others
/// occur in practice.
const ABSENT: [StatusCode; 6] = [
    StatusCode::BAD_REQUEST,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::NOT_ACCEPTABLE,
    StatusCode::GONE,
    StatusCode::NOT_IMPLEMENTED,
];

/// One page of the list.
enum Page {
    /// The registry has no such list.
    None,
    /// Entries, and the next page.
    Entries(Vec<RawDescriptor>, Result<Option<Url>, OciError>),
    TooLong(OciError),
}

impl Search<'_> {
    /// What the referrers API lists.
    ///
    /// # Errors
    /// When the registry does not return the list.
    pub async fn referrers(self) -> Result<Gathered<Referrer>, OciError> {
        let first = Transport::url(self.repository, self.access, &format!("referrers/{}", self.digest))?;
        let (mut shortlist, mut notes) = (Shortlist::default(), Notes::default());
        if !self.pages(first.clone(), &mut shortlist, &mut notes).await? {
            // There are so many other referrers that a signature may be on a later page.
            // The filter finds those whose type the registry knows.
            notes.note(format!("its list of referrers has more than {MAX_REFERRER_PAGES} pages"));
            let mut filtered = first;
            filtered.query_pairs_mut().append_pair("artifactType", BUNDLE_TYPE);
            self.pages(filtered, &mut shortlist, &mut notes).await?;
        }
        Ok(shortlist.finish(notes))
    }

    /// What the index under the tag of the digest lists.
    ///
    /// # Errors
    /// When the registry does not answer whether the tag exists.
    pub async fn referrers_tag(self) -> Result<Gathered<Referrer>, OciError> {
        let (algorithm, digits) = self.digest.as_str().split_once(':').unwrap_or_default();
        let tag = format!("{algorithm}-{}", digits.get(..TAG_DIGITS).unwrap_or(digits));
        let (mut shortlist, mut notes) = (Shortlist::default(), Notes::default());
        if let Some(bytes) = self.tagged(&tag, &mut notes).await? {
            match entries(&bytes) {
                // GitLab resolves the tag to the digest itself.
                _ if self.digest.is_of(&bytes) => {}
                Some(page) => shortlist.add(&page),
                None => notes.note(format!("tag {tag}: it is not an index of referrers")),
            }
        }
        Ok(shortlist.finish(notes))
    }

    /// Reads a list; returns whether it was read to its end.
    async fn pages(self, first: Url, list: &mut Shortlist, notes: &mut Notes) -> Result<bool, OciError> {
        const LIST: &str = "its list of referrers";
        let mut url = first;
        for _ in 0..MAX_REFERRER_PAGES {
            let next = match self.page(&url).await? {
                Page::None => return Ok(true),
                Page::TooLong(error) => Err(error),
                Page::Entries(page, next) => {
                    list.add(&page);
                    next
                }
            };
            match next {
                Ok(None) => return Ok(true),
                Ok(Some(next)) if next == url => {
                    notes.missed(LIST, self.unusable("links back to itself"));
                    return Ok(true);
                }
                Ok(Some(next)) => url = next,
                Err(error) => {
                    notes.missed(LIST, error);
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn page(self, url: &Url) -> Result<Page, OciError> {
        let subject = format!("{} (its referrers)", self.repository.at(self.digest));
        let mut request = Request::new(Method::GET, url.clone());
        request.accept = Some(INDEX_TYPE);
        let inner = &self.registry.0;
        let reply = inner.sessions.send(&inner.transport, self.context(&subject), request).await?;
        if ABSENT.contains(&reply.status) {
            return Ok(Page::None);
        }
        if !reply.status.is_success() {
            return Err(reply.error(&subject).await);
        }
        let next = link::next(&reply.headers, url).map_err(|why| self.unusable(why));
        let Body::Whole(bytes) = reply.body(MAX_MANIFEST_BYTES).await? else {
            let why = format!("one page of it is longer than {MAX_MANIFEST_BYTES} bytes");
            return Ok(Page::TooLong(OciError::TooLarge { subject, why }));
        };
        // A server that answers every path with an HTML page has no such list.
        Ok(entries(&bytes).map_or(Page::None, |page| Page::Entries(page, next)))
    }

    fn unusable(self, why: &str) -> OciError {
        let host = self.repository.registry().to_owned();
        OciError::Unavailable { host, why: format!("its list of referrers {why}").into() }
    }
}
