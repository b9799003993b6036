//! The next page of a list of a registry.

use http::HeaderMap;
use http::header::LINK;
use reqwest::Url;

/// The target of `Link: <…>; rel="next"` (RFC 8288), which must stay on the host.
///
/// # Errors
/// The fault, as the end of a sentence about the list.
pub(in crate::oci) fn next(headers: &HeaderMap, page: &Url) -> Result<Option<Url>, &'static str> {
    let values = headers.get_all(LINK).iter().filter_map(|v| v.to_str().ok());
    let Some(target) = values.flat_map(|value| value.split('<').skip(1)).find_map(next_target) else {
        return Ok(None);
    };
    let url = page.join(target).map_err(|_| "has a malformed Link header")?;
    if url.origin() != page.origin() || !url.path().starts_with("/v2/") {
        return Err("links to another host");
    }
    Ok(Some(url))
}

/// The target of one link after its `<`, if its relation is `next`.
fn next_target(link: &str) -> Option<&str> {
    let (target, parameters) = link.split_once('>')?;
    let next = |p: &str| {
        let (key, value) = p.split_once('=').unwrap_or((p, ""));
        key.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
    };
    parameters.split([';', ',']).any(next).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_the_link_that_says_so() {
        let page = Url::parse("https://h.io/v2/a/tags/list?n=2").unwrap();
        let check = |values: &[&str], expected: Result<Option<&str>, ()>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(LINK, value.parse().unwrap());
            }
            let found = next(&headers, &page).map(|url| url.map(|u| u.to_string())).map_err(drop);
            assert_eq!(found, expected.map(|url| url.map(str::to_owned)), "{values:?}");
        };
        let second = Ok(Some("https://h.io/v2/a/tags/list?last=x"));
        check(&[], Ok(None));
        check(&["</v2/a/tags/list?last=x>; rel=\"next\""], second);
        check(&["</v2/a/tags/list?last=x>;rel=next"], second);
        check(&["<list?last=x>; title=\"a\"; REL=NEXT"], second);
        check(&["</v2/a>; rel=\"prev\", <https://h.io/v2/a/tags/list?last=x>; rel=\"next\""], second);
        check(&["</v2/a>; rel=\"prev\"", "</v2/a/tags/list?last=x>; rel=\"next\""], second);
        check(&["</v2/next>; rel=\"prev\""], Ok(None));
        check(&["</v2/a; rel=\"next\""], Ok(None));
        check(&["<//evil.com/v2/a>; rel=\"next\""], Err(()));
        check(&["<http://h.io/v2/a>; rel=\"next\""], Err(()));
        check(&["<https://[>; rel=\"next\""], Err(()));
    }
}
