//! Calls for many objects, a bounded number at once.

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, iter};

use crate::cluster::session::Session;

/// Calls at once for the objects of one release.
pub const PARALLEL: usize = 48;

/// How many calls at once there are for the objects of a release, as this session: one where answers are read within
/// bounds.
pub fn at_once(session: &Session) -> usize {
    if session.is_bounded() { 1 } else { PARALLEL }
}

/// Runs futures, [`PARALLEL`] at once; results come as they are ready.
///
/// The futures are boxed: a stream that holds a closure over references makes
/// the future around it one that the compiler cannot prove to be `Send`
/// (rust-lang/rust#102211).
pub fn unordered<'a, T: Send + 'a>(
    futures: impl Iterator<Item = impl Future<Output = T> + Send + 'a>,
) -> BoxStream<'a, T> {
    unordered_within(PARALLEL, futures)
}

/// As [`unordered`], with so many at once.
pub fn unordered_within<'a, T: Send + 'a>(
    most: usize,
    futures: impl Iterator<Item = impl Future<Output = T> + Send + 'a>,
) -> BoxStream<'a, T> {
    let futures: Vec<BoxFuture<'a, T>> = futures.map(|f| Box::pin(f) as BoxFuture<'a, T>).collect();
    iter(futures).buffer_unordered(most).boxed()
}

/// As [`unordered`], but results come in the order of the futures.
pub fn ordered<'a, T: Send + 'a>(
    futures: impl Iterator<Item = impl Future<Output = T> + Send + 'a>,
) -> BoxStream<'a, T> {
    ordered_within(PARALLEL, futures)
}

/// As [`ordered`], with so many at once.
pub fn ordered_within<'a, T: Send + 'a>(
    most: usize,
    futures: impl Iterator<Item = impl Future<Output = T> + Send + 'a>,
) -> BoxStream<'a, T> {
    let futures: Vec<BoxFuture<'a, T>> = futures.map(|f| Box::pin(f) as BoxFuture<'a, T>).collect();
    iter(futures).buffered(most).boxed()
}
