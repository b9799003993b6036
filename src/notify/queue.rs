//! The notifications that wait for one receiver. A newer one about the same release and digest takes the
//! place of an older one, so that there are never many more than releases.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::mailbox::Mailbox;
use crate::domain::notify::news::News;

/// The most notifications that wait for a receiver of the administrator; for one more, the oldest is dropped.
const MAX_WAITING: usize = 20_000;

/// A notification that waits.
#[derive(Clone, Debug)]
pub struct WaitingNews {
    /// What it says.
    pub news: Arc<News>,
    /// Of whom.
    pub mailbox: Weak<Mailbox>,
    /// When it may be sent.
    pub due: Instant,
    /// When it came.
    pub came: Instant,
}

type Key = (String, Option<String>);

/// The queue.
#[derive(Debug)]
pub struct NewsQueue {
    most: usize,
    next: u64,
    waiting: BTreeMap<u64, WaitingNews>,
    places: BTreeMap<Key, u64>,
    /// Those that are being sent, and are still true: when they came.
    sending: BTreeMap<Key, Instant>,
}

fn key_of(news: &News) -> Key {
    (news.uid.clone(), news.digest.clone())
}

impl Default for NewsQueue {
    fn default() -> Self {
        Self::holding(MAX_WAITING)
    }
}

impl NewsQueue {
    /// A queue for at most so many.
    pub fn holding(most: usize) -> Self {
        let (waiting, places, sending) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { most, next: 0, waiting, places, sending }
    }

    /// Adds one; returns whether another one was dropped for it.
    pub fn add(&mut self, one: WaitingNews) -> bool {
        let key = key_of(&one.news);
        if let Some(known) = self.places.get(&key).and_then(|place| self.waiting.get_mut(place)) {
            // Newer ones do not put it off.
            *known = WaitingNews { came: known.came, ..one };
            return false;
        }
        let is_full = self.waiting.len() >= self.most;
        if is_full && let Some((_, oldest)) = self.waiting.pop_first() {
            self.places.remove(&key_of(&oldest.news));
        }
        self.next += 1;
        self.places.insert(key, self.next);
        self.waiting.insert(self.next, one);
        is_full
    }

    /// Removes what is not true any more. What is being sent does not come back.
    pub fn withdraw(&mut self, uid: &str, digest: Option<&str>) {
        let key = (uid.to_owned(), digest.map(str::to_owned));
        if let Some(place) = self.places.remove(&key) {
            self.waiting.remove(&place);
        }
        self.sending.remove(&key);
    }

    /// Removes all of a release.
    pub fn withdraw_release(&mut self, uid: &str) {
        let first = (uid.to_owned(), None);
        let of_release = |(key, _): &(&Key, &u64)| key.0 == uid;
        let waiting = self.places.range(first.clone()..).take_while(of_release);
        let keys: Vec<Key> = waiting.map(|(key, _)| key.clone()).collect();
        let sending = self.sending.range(first..).take_while(|(key, _)| key.0 == uid);
        let keys: Vec<Key> = sending.map(|(key, _)| key.clone()).chain(keys).collect();
        for (uid, digest) in keys {
            self.withdraw(&uid, digest.as_deref());
        }
    }

    /// When the next ones are to be sent, after they were gathered for that long; `None` when nothing
    /// waits.
    pub fn wakes_at(&self, group: Duration) -> Option<Instant> {
        let mut first = None;
        // They are in the order in which they came: behind one that is gathered only, none is earlier.
        for one in self.waiting.values() {
            let gathered = one.came + group;
            let at = one.due.max(gathered);
            first = Some(first.map_or(at, |first: Instant| first.min(at)));
            if one.due <= gathered {
                break;
            }
        }
        first
    }

    /// Takes those that may be sent, the oldest first.
    pub fn take(&mut self, now: Instant, most: usize) -> Vec<WaitingNews> {
        let due = self.waiting.iter().filter(|(_, one)| one.due <= now);
        let places: Vec<u64> = due.map(|(place, _)| *place).take(most).collect();
        let taken = places.iter().filter_map(|place| self.waiting.remove(place));
        let taken: Vec<WaitingNews> = taken.collect();
        for one in &taken {
            self.places.remove(&key_of(&one.news));
        }
        self.sending = taken.iter().map(|one| (key_of(&one.news), one.came)).collect();
        taken
    }

    /// What was taken is done with.
    pub fn done(&mut self) {
        self.sending.clear();
    }

    /// Puts back those that were not accepted, before all others, unless there is a newer one or they are not
    /// true any more.
    pub fn put_back(&mut self, taken: Vec<WaitingNews>) {
        let sending = std::mem::take(&mut self.sending);
        let mut all: Vec<WaitingNews> = taken;
        let waiting = std::mem::take(&mut self.waiting);
        all.retain(|one| {
            let key = key_of(&one.news);
            sending.contains_key(&key) && !self.places.contains_key(&key)
        });
        all.extend(waiting.into_values());
        self.places.clear();
        for one in all {
            self.add(one);
        }
    }

    /// When the oldest one came that is not accepted yet.
    pub fn oldest(&self) -> Option<Instant> {
        let waiting = self.waiting.values().next().map(|one| one.came);
        waiting.into_iter().chain(self.sending.values().copied()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::notify::news::tests::news;

    fn one(uid: &str, digest: &str, message: &str, came: Instant) -> WaitingNews {
        let news = News { uid: uid.into(), digest: Some(digest.into()), message: message.into(), ..news() };
        WaitingNews { news: Arc::new(news), mailbox: Weak::new(), due: came, came }
    }

    fn messages(taken: &[WaitingNews]) -> Vec<&str> {
        taken.iter().map(|one| one.news.message.as_str()).collect()
    }

    #[test]
    fn the_newest_of_a_digest_is_sent_and_digests_in_their_order() {
        let (mut queue, start) = (NewsQueue::default(), Instant::now());
        for (uid, digest, message) in [("u", "a", "1"), ("u", "b", "2"), ("u", "a", "3"), ("v", "a", "4")] {
            assert!(!queue.add(one(uid, digest, message, start)));
        }
        queue.withdraw("u", Some("b"));
        queue.withdraw("u", Some("c"));
        let taken = queue.take(start, 10);
        assert_eq!(messages(&taken), ["3", "4"]);
        assert_eq!((queue.wakes_at(Duration::ZERO), queue.oldest()), (None, Some(start)));
        // While these are sent, one becomes outdated.
        queue.add(one("v", "a", "5", start));
        queue.add(one("w", "a", "6", start));
        queue.put_back(taken);
        assert_eq!(messages(&queue.take(start, 2)), ["3", "5"]);
        assert_eq!(messages(&queue.take(start, 2)), ["6"]);
        queue.done();
        assert_eq!(queue.oldest(), None);
    }

    #[test]
    fn what_is_over_while_it_is_sent_does_not_come_back() {
        let (mut queue, start) = (NewsQueue::default(), Instant::now());
        for (uid, digest, message) in [("u", "a", "1"), ("u", "b", "2"), ("v", "a", "3")] {
            queue.add(one(uid, digest, message, start));
        }
        let taken = queue.take(start, 10);
        queue.withdraw("u", Some("a"));
        // It is back with other words.
        queue.withdraw("u", Some("b"));
        queue.add(one("u", "b", "4", start));
        queue.put_back(taken);
        assert_eq!(messages(&queue.take(start, 10)), ["3", "4"]);
        queue.done();
        assert_eq!(queue.oldest(), None);
    }

    #[test]
    fn a_release_that_is_no_longer_of_interest_leaves_nothing() {
        let (mut queue, start) = (NewsQueue::default(), Instant::now());
        queue.add(one("u", "a", "1", start));
        let taken = queue.take(start, 1);
        for (uid, digest) in [("t", "a"), ("u", "b"), ("u", "c"), ("v", "a")] {
            queue.add(one(uid, digest, uid, start));
        }
        queue.withdraw_release("u");
        queue.put_back(taken);
        assert_eq!(messages(&queue.take(start, 10)), ["t", "v"]);
    }

    #[test]
    fn one_that_has_to_wait_is_not_taken() {
        let (mut queue, start) = (NewsQueue::default(), Instant::now());
        let later = start + Duration::from_secs(60);
        queue.add(WaitingNews { due: later, ..one("u", "a", "1", start) });
        assert_eq!(queue.take(start, 10).len(), 0);
        assert_eq!(queue.wakes_at(Duration::from_secs(5)), Some(later));
        queue.add(one("v", "a", "2", start));
        assert_eq!(queue.wakes_at(Duration::from_secs(5)), Some(start + Duration::from_secs(5)));
        assert_eq!(messages(&queue.take(start, 10)), ["2"]);
        assert_eq!(messages(&queue.take(later, 10)), ["1"]);
    }

    #[test]
    fn what_waits_has_a_bound() {
        let (mut queue, start) = (NewsQueue::default(), Instant::now());
        let dropped =
            (0..MAX_WAITING + 3).filter(|n| queue.add(one(&n.to_string(), "a", "m", start))).count();
        assert_eq!((dropped, queue.waiting.len(), queue.places.len()), (3, MAX_WAITING, MAX_WAITING));
        assert_eq!(queue.take(start, 1)[0].news.uid, "3");
    }
}
