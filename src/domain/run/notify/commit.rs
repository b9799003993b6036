//! The commit that an artifact is made from, as its annotations name it, at one forge. A publisher writes
//! these annotations: they choose among the repositories that are listed for a receiver, and nothing else.

use super::news::News;

/// Where commits are, and which may get a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forge {
    /// The host in the URLs of the sources, without a port.
    pub host: String,
    /// Repositories, or groups of them: `acme/web`, `acme`.
    pub repositories: Vec<String>,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// `owner/name`, or a longer path.
    pub repository: String,
    /// The hash.
    pub hash: String,
}

impl Forge {
    /// The forge whose API is at a host.
    pub fn with_api_at(host: &str, repositories: Vec<String>) -> Self {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let host = if host == "api.github.com" { "github.com".to_owned() } else { host };
        Self { host, repositories }
    }

    /// The commit of what a notification is about, if it is at this forge and in one of its repositories.
    pub fn commit(&self, news: &News) -> Option<Commit> {
        let (host, commit) = commit_in(&self.repositories, news)?;
        host.eq_ignore_ascii_case(&self.host).then_some(commit)
    }
}

/// The commit of what a notification is about, if it is in one of these repositories, and the host of its forge.
pub fn commit_in<'n>(repositories: &[String], news: &'n News) -> Option<(&'n str, Commit)> {
    let (host, repository) = repository_of(news.source.as_deref()?)?;
    let hash = hash_of(news.source_revision.as_deref()?)?;
    let below = |listed: &String| {
        let rest = repository.strip_prefix(listed.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    repositories.iter().any(below).then_some((host, Commit { repository, hash }))
}

/// Whether a text is a path of a repository, or of a group of them.
pub fn is_repository(path: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    path.len() <= 255
        && path.split('/').all(|part| {
            !part.is_empty() && !part.starts_with('.') && part != ".." && part.bytes().all(allowed)
        })
}

/// Host and path of `https://host/a/b.git`, `ssh://git@host:22/a/b` or `git@host:a/b.git`.
fn repository_of(source: &str) -> Option<(&str, String)> {
    let source = source.trim().trim_start_matches("git+");
    let (authority, path) = match source.split_once("://") {
        Some(("https" | "http" | "ssh" | "git", rest)) => rest.split_once('/')?,
        Some(_) => return None,
        None => source.split_once(':')?,
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (path.contains('/') && is_repository(path)).then(|| (host, path.to_owned()))
}

/// The hash in `main@sha1:0123…`, `sha1:0123…`, `main/0123…` or `0123…`.
fn hash_of(revision: &str) -> Option<String> {
    let last = revision.trim().rsplit(['@', ':', '/']).next()?;
    let is_hash = [40, 64].contains(&last.len()) && last.bytes().all(|b| b.is_ascii_hexdigit());
    is_hash.then(|| last.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::notify::news::tests::news;

    const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

    fn found(source: &str, revision: &str) -> Option<String> {
        let forge =
            Forge { host: "git.example".into(), repositories: vec!["acme".into(), "other/one".into()] };
        let news = News { source: Some(source.into()), source_revision: Some(revision.into()), ..news() };
        forge.commit(&news).map(|commit| format!("{} {}", commit.repository, commit.hash))
    }

    #[test]
    fn a_source_names_its_repository() {
        let check = |source: &str, expected: Option<&str>| {
            let expected = expected.map(|repository| format!("{repository} {HASH}"));
            assert_eq!(found(source, HASH), expected, "{source}");
        };
        for source in [
            "https://git.example/acme/web",
            "https://GIT.example:8443/acme/web.git/",
            "https://user:password@git.example/acme/web?x=y#z",
            "git+ssh://git@git.example:22/acme/web.git",
            "git@git.example:acme/web.git",
        ] {
            check(source, Some("acme/web"));
        }
        check("https://git.example/acme/group/web", Some("acme/group/web"));
        check("https://git.example/other/one", Some("other/one"));
    }

    #[test]
    fn a_publisher_cannot_name_another_forge_or_repository() {
        for source in [
            "https://git.example.evil.example/acme/web",
            "https://evil.example/acme/web",
            "https://git.example@evil.example/acme/web",
            "https://evil.example/git.example/acme/web",
            "https://git.example/acmee/web",
            "https://git.example/other/two",
            "https://git.example/other/one2",
            "https://git.example/acme/../other/two",
            "https://git.example/acme/%2e%2e/two",
            "https://git.example/acme/web/statuses/x y",
            "https://git.example/acme",
            "https://git.example/acme//web",
            "file:///acme/web",
            "",
        ] {
            assert_eq!(found(source, HASH), None, "{source}");
        }
    }

    #[test]
    fn a_revision_has_a_hash() {
        let check = |revision: &str, expected: bool| {
            assert_eq!(found("https://git.example/acme/web", revision).is_some(), expected, "{revision}");
        };
        for good in
            [HASH.to_owned(), format!("main@sha1:{HASH}"), format!("sha1:{HASH}"), format!("a/b/{HASH}")]
        {
            check(&good, true);
        }
        check(&HASH.to_uppercase(), true);
        check(&format!("{HASH}0123456789abcdef01234567"), true);
        for bad in ["main", &HASH[1..], &format!("{HASH}/.."), &format!("{HASH}?x"), "v1.0@sha1:xyz"] {
            check(bad, false);
        }
    }
}
