//! Where known texts, or parts of them, are in another text.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// The shortest part of a known text that is looked for where a text was cut, in bytes.
pub(super) const PART_BYTES: usize = 4;

/// Texts of [`PART_BYTES`] bytes and more, sorted so that a search takes little time however many they are.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct KnownTexts {
    by_beginning: Sorted,
    by_end: Sorted,
}

/// Which part of a known text is compared first.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Side {
    #[default]
    Beginning,
    End,
}

#[derive(Clone, Default, PartialEq, Eq)]
struct Sorted {
    side: Side,
    texts: Vec<Arc<str>>,
    /// A bit for each hash of the first bytes of a text: most places of most texts are none.
    filter: Vec<u64>,
    /// A tree of the shortest parts that count: each node has the least of two.
    least: Vec<u32>,
}

/// How large a part of a known text has to be, so that it is found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Least {
    /// A few bytes: the text was cut here.
    Few,
    /// Half of it: the text may have been cut here.
    Half,
}

impl KnownTexts {
    pub fn new(texts: BTreeSet<Arc<str>>) -> Self {
        let texts: Vec<Arc<str>> = texts.into_iter().filter(|text| text.len() >= PART_BYTES).collect();
        let by_end = Sorted::new(Side::End, texts.clone());
        Self { by_beginning: Sorted::new(Side::Beginning, texts), by_end }
    }

    pub fn texts(&self) -> &[Arc<str>] {
        &self.by_beginning.texts
    }

    /// About how much memory they take, in bytes, in the three lists that a release has of them.
    pub fn bytes(&self) -> u64 {
        self.texts().iter().map(|text| text.len() as u64 + 176).sum()
    }

    /// Whether one of them is in the text.
    pub fn is_in(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        (0..bytes.len()).any(|at| self.by_beginning.whole(&bytes[at..]) > 0)
    }

    /// Where they are, and what is left of them where the text was cut; in order, and apart.
    pub fn find(&self, text: &str) -> Vec<Range<usize>> {
        let bytes = text.as_bytes();
        let whole = (0..bytes.len()).map(|at| at..at + self.by_beginning.whole(&bytes[at..]));
        let mut found = apart(whole.filter(|place| !place.is_empty()).collect());
        let in_whole = |at: usize| {
            let before = found.partition_point(|place| place.start < at);
            before > 0 && at < found[before - 1].end
        };
        let marks = |marks: Vec<(usize, Least)>| -> Vec<(usize, Least)> {
            marks.into_iter().filter(|(at, _)| !in_whole(*at)).collect()
        };
        let (ends, beginnings) = (marks(ends(text)), marks(beginnings(text)));
        let parts: Vec<Range<usize>> = (0..bytes.len())
            .filter_map(|at| self.before_cut(bytes, at, &ends))
            .chain((0..=bytes.len()).filter_map(|at| self.after_cut(bytes, at, &beginnings)))
            .collect();
        found.extend(parts);
        apart(found)
    }

    /// The longest beginning of a known text that begins here and ends at one of the cuts.
    fn before_cut(&self, text: &[u8], at: usize, cuts: &[(usize, Least)]) -> Option<Range<usize>> {
        let most = at + self.by_beginning.shared(&text[at..]);
        let first = cuts.partition_point(|(cut, _)| *cut < at + PART_BYTES);
        let last = cuts.partition_point(|(cut, _)| *cut <= most);
        let counts = |(cut, least): &&(usize, Least)| self.by_beginning.counts(&text[at..*cut], *least);
        cuts.get(first..last)?.iter().rev().find(counts).map(|(cut, _)| at..*cut)
    }

    /// The longest end of a known text that ends here and begins at one of the cuts.
    fn after_cut(&self, text: &[u8], at: usize, cuts: &[(usize, Least)]) -> Option<Range<usize>> {
        let most = at - self.by_end.shared(&text[..at]);
        let first = cuts.partition_point(|(cut, _)| *cut < most);
        let last = cuts.partition_point(|(cut, _)| cut + PART_BYTES <= at);
        let counts = |(cut, least): &&(usize, Least)| self.by_end.counts(&text[*cut..at], *least);
        cuts.get(first..last)?.iter().find(counts).map(|(cut, _)| *cut..at)
    }
}

impl Side {
    fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Self::Beginning => a.cmp(b),
            Self::End => a.iter().rev().cmp(b.iter().rev()),
        }
    }

    /// How many bytes they have in common.
    fn common(self, a: &[u8], b: &[u8]) -> usize {
        let same = |(a, b): &(&u8, &u8)| a == b;
        match self {
            Self::Beginning => a.iter().zip(b).take_while(same).count(),
            Self::End => a.iter().rev().zip(b.iter().rev()).take_while(same).count(),
        }
    }

    fn part(self, text: &[u8], length: usize) -> Option<&[u8]> {
        match self {
            Self::Beginning => text.get(..length),
            Self::End => text.get(text.len().checked_sub(length)?..),
        }
    }
}

impl Sorted {
    fn new(side: Side, mut texts: Vec<Arc<str>>) -> Self {
        texts.sort_by(|a, b| side.compare(a.as_bytes(), b.as_bytes()));
        let mut found = Self { side, filter: vec![0; texts.len().div_ceil(4)], ..Self::default() };
        for text in &texts {
            if let Some(bit) = found.bit(text.as_bytes()) {
                found.filter[bit / 64] |= 1 << (bit % 64);
            }
        }
        let mut least = vec![0; texts.len()];
        let half = |text: &Arc<str>| u32::try_from(text.len() / 2).unwrap_or(u32::MAX);
        least.extend(texts.iter().map(half));
        for n in (1..texts.len()).rev() {
            least[n] = least[2 * n].min(least[2 * n + 1]);
        }
        (found.texts, found.least) = (texts, least);
        found
    }

    fn bit(&self, text: &[u8]) -> Option<usize> {
        let first: [u8; PART_BYTES] = self.side.part(text, PART_BYTES)?.try_into().ok()?;
        let hash = u64::from(u32::from_le_bytes(first)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        usize::try_from(hash).ok()?.checked_rem(self.filter.len() * 64)
    }

    /// Whether no known text begins as this one.
    fn is_other(&self, text: &[u8]) -> bool {
        self.bit(text).is_none_or(|bit| self.filter[bit / 64] & 1 << (bit % 64) == 0)
    }

    /// The length of the longest known text that is all of this side of the text.
    fn whole(&self, mut text: &[u8]) -> usize {
        if self.is_other(text) {
            return 0;
        }
        loop {
            // What the text begins with is not after the text, and begins all that is between them.
            let after = self.texts.partition_point(|known| self.side.compare(known.as_bytes(), text).is_le());
            let Some(before) = after.checked_sub(1).map(|n| self.texts[n].as_bytes()) else { return 0 };
            let common = self.side.common(before, text);
            match self.side.part(text, common) {
                Some(part) if common < before.len() => text = part,
                _ => return common,
            }
        }
    }

    /// How many bytes of this side of the text are this side of a known text.
    fn shared(&self, text: &[u8]) -> usize {
        if self.is_other(text) {
            return 0;
        }
        let after = self.texts.partition_point(|known| self.side.compare(known.as_bytes(), text).is_lt());
        let near = self.texts[after.saturating_sub(1)..].iter().take(2);
        near.map(|known| self.side.common(known.as_bytes(), text)).max().unwrap_or_default()
    }

    /// Whether the part of a known text is large enough.
    fn counts(&self, part: &[u8], least: Least) -> bool {
        let is_before = |known: &Arc<str>| self.side.compare(known.as_bytes(), part).is_lt();
        let begins = |known: &Arc<str>| self.side.common(known.as_bytes(), part) == part.len();
        match least {
            Least::Few => part.len() >= PART_BYTES,
            Least::Half => {
                let from = self.texts.partition_point(is_before);
                let to = from + self.texts[from..].partition_point(begins);
                part.len() >= PART_BYTES && part.len() >= self.least_of(from..to)
            }
        }
    }

    fn least_of(&self, range: Range<usize>) -> usize {
        let (mut from, mut to) = (range.start + self.texts.len(), range.end + self.texts.len());
        let mut least = u32::MAX;
        while from < to {
            if from % 2 == 1 {
                least = least.min(self.least[from]);
                from += 1;
            }
            if to % 2 == 1 {
                to -= 1;
                least = least.min(self.least[to]);
            }
            (from, to) = (from / 2, to / 2);
        }
        least as usize
    }
}

/// In order; those that overlap are one.
fn apart(mut places: Vec<Range<usize>>) -> Vec<Range<usize>> {
    places.sort_by_key(|place| place.start);
    let mut found: Vec<Range<usize>> = Vec::with_capacity(places.len());
    for place in places {
        match found.last_mut() {
            Some(last) if place.start < last.end => last.end = last.end.max(place.end),
            _ => found.push(place),
        }
    }
    found
}

/// Where a text was cut at its end, or may have been, in order: before an ellipsis, at the end, and where
/// a quote ends.
fn ends(text: &str) -> Vec<(usize, Least)> {
    let cut = text.match_indices('…').chain(text.match_indices("..."));
    // What was cut may end in white space, and others trim it.
    let cut = cut.map(|(at, _)| at).chain([text.len()]);
    let cut = cut.flat_map(|at| [at, text[..at].trim_end().len()]).map(|at| (at, Least::Few));
    let quotes = text.match_indices(['"', '\'', '`', ';', '\n']).map(|(at, _)| (at, Least::Half));
    in_order(cut.chain(quotes).collect())
}

/// The same for what comes before a text.
fn beginnings(text: &str) -> Vec<(usize, Least)> {
    let cut = text.match_indices('…').chain(text.match_indices("..."));
    let cut = cut.map(|(at, dots)| (at + dots.len(), Least::Few));
    let quotes = text.match_indices(['"', '\'', '`', '\n']).map(|(at, mark)| (at + mark.len(), Least::Half));
    in_order(cut.chain([(0, Least::Few)]).chain(quotes).collect())
}

fn in_order(mut found: Vec<(usize, Least)>) -> Vec<(usize, Least)> {
    found.sort_by_key(|(at, least)| (*at, *least == Least::Half));
    found.dedup_by_key(|(at, _)| *at);
    found
}
