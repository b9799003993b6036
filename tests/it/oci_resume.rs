//! Transfers that break, and registries that lie about where they go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::response::Response;
use supercargo::api::reason::Reason;
use supercargo::oci::{Artifact, Digest, OciError, Registry, Selection};

use crate::liar::{Liar, Seen, access, broken, manifest, options, reply, soon};

/// How a registry answers the nth request for a blob.
type Habit = fn(&Seen, usize, &[u8]) -> Option<Response>;

/// A layer of YAML of so many bytes.
fn yaml(size: usize) -> Vec<u8> {
    let line = b"# a line of some length that says nothing, and comes again and again\n";
    let mut text = b"kind: ConfigMap\n".to_vec();
    while text.len() < size {
        text.extend_from_slice(line);
    }
    text.truncate(size - 1);
    text.push(b'\n');
    text
}

/// Fetches a layer of so many bytes from a registry of that habit; with the
/// ranges that were asked for.
async fn fetch(size: usize, habit: Habit) -> (Result<Artifact, OciError>, Vec<Option<String>>) {
    let liar = Liar::start().await;
    let layer = yaml(size);
    let digest = liar.manifest("1.0", &manifest(&liar.blob(&layer), layer.len()));
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    liar.lie(move |seen| match seen.path.contains("blobs/") {
        true => habit(seen, counter.fetch_add(1, Ordering::SeqCst), &layer),
        false => None,
    });
    let registry = Registry::new(options());
    let fetched =
        soon(registry.fetch(&liar.repository(), &digest, &access(None), &Selection::default())).await;
    let blobs = liar.seen().into_iter().filter(|seen| seen.path.contains("blobs/"));
    (fetched, blobs.map(|seen| seen.header("range")).collect())
}

/// Breaks after so many bytes of what is still to come.
fn cut(layer: &[u8], from: usize, bytes: usize) -> Response {
    let length = (layer.len() - from).to_string();
    let range = format!("bytes {from}-{}/{}", layer.len() - 1, layer.len());
    let status = if from == 0 { 200 } else { 206 };
    reply(
        status,
        &[("content-length", &length), ("content-range", &range)],
        broken(&layer[from..from + bytes]),
    )
}

/// The rest, honestly.
fn rest(layer: &[u8], from: usize) -> Response {
    let range = format!("bytes {from}-{}/{}", layer.len() - 1, layer.len());
    reply(206, &[("content-range", &range)], layer[from..].to_vec())
}

fn from(seen: &Seen) -> usize {
    let range = seen.header("range").unwrap_or_default();
    range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or_default()
}

const LARGE: usize = 3 << 20;

#[tokio::test]
async fn a_large_blob_goes_on_where_it_broke() {
    let (fetched, ranges) = fetch(LARGE, |seen, n, layer| match n {
        0 => Some(cut(layer, 0, 1 << 20)),
        1 => Some(cut(layer, from(seen), 512 << 10)),
        _ => Some(rest(layer, from(seen))),
    })
    .await;
    assert_eq!(Digest::of(&fetched.unwrap().files[0].1), Digest::of(&yaml(LARGE)));
    assert_eq!(ranges.len(), 3);
    assert_eq!(ranges[0], None);
    let told: Vec<usize> = ranges[1..]
        .iter()
        .map(|r| r.as_deref().unwrap().trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap())
        .collect();
    assert!(told[0] > 0 && told[0] <= 1 << 20 && told[1] > told[0], "{told:?}");
}

#[tokio::test]
async fn a_registry_without_ranges_is_read_from_the_start_again() {
    for status in [200, 416] {
        let habit: Habit = match status {
            200 => |_, n, layer| (n == 0).then(|| cut(layer, 0, 1 << 20)),
            _ => |seen, n, layer| match (n, seen.header("range")) {
                (0, _) => Some(cut(layer, 0, 1 << 20)),
                (_, Some(_)) => Some(reply(416, &[], "")),
                (_, None) => None,
            },
        };
        let (fetched, ranges) = fetch(LARGE, habit).await;
        assert_eq!(Digest::of(&fetched.unwrap().files[0].1), Digest::of(&yaml(LARGE)), "{status}");
        assert!(ranges[1].is_some());
    }
}

#[tokio::test]
async fn a_small_blob_is_asked_for_as_a_whole_again() {
    let (fetched, ranges) = fetch(100 << 10, |_, n, layer| (n == 0).then(|| cut(layer, 0, 70 << 10))).await;
    fetched.unwrap();
    assert_eq!(ranges, [None, None]);
}

#[tokio::test]
async fn a_lie_about_the_range_is_found_out() {
    let check = async |habit: Habit, reason: Reason, says: &str| {
        let (fetched, ranges) = fetch(LARGE, habit).await;
        let error = fetched.unwrap_err();
        assert_eq!(error.reason(), reason, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(ranges.len(), 2);
    };
    let elsewhere = "at the wrong offset";
    // From the start, but called a part.
    check(
        |_, n, layer| match n {
            0 => Some(cut(layer, 0, 1 << 20)),
            _ => {
                let range = format!("bytes 0-{}/{}", layer.len() - 1, layer.len());
                Some(reply(206, &[("content-range", &range)], layer.to_vec()))
            }
        },
        Reason::RegistryUnavailable,
        elsewhere,
    )
    .await;
    // A part of nothing in particular.
    check(
        |_, n, layer| match n {
            0 => Some(cut(layer, 0, 1 << 20)),
            _ => Some(reply(206, &[], layer.to_vec())),
        },
        Reason::RegistryUnavailable,
        elsewhere,
    )
    .await;
    // The right range, and other bytes; or more of them than there are.
    let mismatch = "content that does not match the digest";
    check(
        |seen, n, layer| match n {
            0 => Some(cut(layer, 0, 1 << 20)),
            _ => Some(rest(&vec![b'#'; layer.len()], from(seen))),
        },
        Reason::DigestMismatch,
        mismatch,
    )
    .await;
    check(
        |seen, n, layer| match n {
            0 => Some(cut(layer, 0, 1 << 20)),
            _ => {
                let from = from(seen);
                let range = format!("bytes {from}-{}/{}", layer.len() - 1, layer.len());
                Some(reply(206, &[("content-range", &range)], crate::liar::endless()))
            }
        },
        Reason::DigestMismatch,
        mismatch,
    )
    .await;
}

#[tokio::test]
async fn promise_7_a_transfer_that_always_breaks_ends() {
    let (fetched, ranges) = fetch(LARGE, |seen, _, layer| Some(cut(layer, from(seen), 64 << 10))).await;
    let error = fetched.unwrap_err();
    assert_eq!(error.reason(), Reason::RegistryUnavailable, "{error}");
    assert!(error.to_string().contains("the connection broke"), "{error}");
    assert_eq!(ranges.len(), 6, "once, and five times more");
}
