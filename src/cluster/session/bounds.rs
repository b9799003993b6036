//! Bounds on the answers that are read for a person who looks at the objects of a release in the process of the
//! operator: their number and their size are the choice of others.

use std::sync::Arc;

use super::call::{ApiResponse, Call, METADATA_ONLY};
use crate::cluster::error::ApiError;
use crate::domain::capacity::LookShares;
use crate::domain::diff::weight;
use crate::fair::{Gate, Share};

/// The memory for the answers of all persons.
#[derive(Debug)]
pub struct AnswerBounds {
    reading: Arc<Gate>,
    shares: LookShares,
}

impl AnswerBounds {
    /// With this part of the memory of the process.
    pub fn new(shares: LookShares) -> Self {
        Self { reading: Gate::bounded(shares.reading, shares.reading_of_one), shares }
    }

    /// Waits until the longest answer may be read.
    pub(super) async fn enter(&self, tenant: &str) -> Option<Share> {
        // It is there: one answer is less than a person may have.
        self.reading.enter(tenant, self.shares.text).await.ok()
    }

    /// The longest answer that is read.
    pub(super) fn most(&self) -> usize {
        usize::try_from(self.shares.text).unwrap_or(usize::MAX)
    }

    /// Refuses an answer that is too long, or that would be too large once it is decoded. Of metadata alone, the
    /// many fields stay text.
    pub(super) fn check(
        &self,
        call: &Call,
        answer: Result<ApiResponse, ApiError>,
    ) -> Result<ApiResponse, ApiError> {
        let beyond = ApiError::BeyondBounds(self.shares.text);
        match answer {
            Ok(answer) if call.accept != METADATA_ONLY && weight(&answer.body) > self.shares.side => {
                Err(beyond)
            }
            Err(ApiError::TooLong(most)) if most < call.most => Err(beyond),
            answer => answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::cluster::session::call::JSON;
    use crate::domain::capacity::Capacity;

    #[tokio::test]
    async fn answers_wait_for_memory_before_they_are_read_and_one_person_has_a_part_of_it() {
        let bounds = AnswerBounds::new(Capacity::of(512 << 20).look_shares());
        let mut held = Vec::new();
        while let Some(share) = bounds.enter("person amara").now_or_never() {
            held.push(share.expect("it fits"));
        }
        assert_eq!((held.len(), bounds.most()), (4, 3 << 20));
        drop(bounds.enter("person ben").now_or_never().expect("another person has a part, too"));
        held.pop();
        drop(bounds.enter("person amara").now_or_never().expect("there is room again"));
    }

    #[test]
    fn an_answer_beyond_the_bounds_is_refused() {
        let bounds = AnswerBounds::new(Capacity::of(128 << 20).look_shares());
        let check_as = |accept, most: usize, answer: Result<String, ApiError>, is_beyond: bool| {
            let call = Call { most, accept, ..Call::get("/a") };
            let answer = answer.map(|body| ApiResponse { code: 200, body: body.into() });
            let found = bounds.check(&call, answer);
            assert_eq!(
                matches!(&found, Err(ApiError::BeyondBounds(1_048_576))),
                is_beyond,
                "{:?}",
                found.err()
            );
        };
        let check = |most, answer, is_beyond| check_as(JSON, most, answer, is_beyond);
        let long = 64 << 20;
        check(long, Ok("{}".to_owned()), false);
        check(long, Ok(format!("\"{}\"", "a".repeat(1_000_000))), false);
        // It is short, and large once it is decoded.
        let many = || Ok(format!("[{}1]", "1,".repeat(100_000)));
        check(long, many(), true);
        check_as(METADATA_ONLY, long, many(), false);
        check(long, Err(ApiError::TooLong(bounds.most())), true);
        // A call may have a bound of its own, and an answer may be missing.
        check(1000, Err(ApiError::TooLong(1000)), false);
        check(long, Err(ApiError::LeaseOver), false);
        let error = ApiError::BeyondBounds(3 << 20);
        assert!(error.to_string().contains("more than 3072 KiB") && !error.is_transient());
    }
}
