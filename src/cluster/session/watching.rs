//! Watches: a request whose answer goes on.

use std::time::Instant;

use hyper::body::Incoming;

use super::answer::read;
use super::transport::{Lane, Slot};
use super::{Call, REQUEST_TIMEOUT, Session};
use crate::cluster::error::ApiError;
use crate::fair::Share;
use crate::observe::labels::Verb;

impl Session {
    /// Opens a watch and returns its body.
    pub(in crate::cluster) async fn open(&self, call: Call) -> Result<(Slot, Incoming), ApiError> {
        self.check_reachable()?;
        self.open_once(call).await.map_err(|error| self.of_cluster(error))
    }

    /// Opens a watch that begins with a list. For the API server this is as much work as a list, so it
    /// takes a place among the requests, until the caller has the list and drops the share.
    pub(in crate::cluster) async fn open_list(
        &self,
        call: Call,
    ) -> Result<(Share, Slot, Incoming), ApiError> {
        self.check_reachable()?;
        let tenant = self.tenant.as_deref().unwrap_or_else(|| call.namespace());
        let share = self.shared.in_flight.place(tenant).await;
        let (slot, body) = self.open(call).await?;
        Ok((share, slot, body))
    }

    async fn open_once(&self, call: Call) -> Result<(Slot, Incoming), ApiError> {
        let request = self.request(&call, None)?;
        let asked = Instant::now();
        let sent = self.shared.transport.send(Lane::Watch, request);
        let opened = tokio::time::timeout(REQUEST_TIMEOUT, sent).await;
        let opened = opened.unwrap_or(Err(ApiError::Timeout(REQUEST_TIMEOUT)));
        let code = match &opened {
            Ok((_, response)) => response.status().as_u16(),
            Err(error) => error.code(),
        };
        self.count(Verb::Watch, code, asked);
        let (slot, response) = opened?;
        if response.status().is_success() {
            return Ok((slot, response.into_body()));
        }
        match read(response, call.most).await {
            Ok(_) => Err(ApiError::Answer("the answer to a watch has no stream".into())),
            Err(error) => Err(error),
        }
    }
}
