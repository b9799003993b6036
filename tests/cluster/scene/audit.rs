//! What the scene's operator has asked of the API server, from the audit log.

use supercargo_testbed::audit::{Mark, Request};

use super::build::Scene;

impl Scene<'_> {
    /// Now, in the audit log.
    pub fn mark(&self) -> Mark {
        self.story.bed().audit().mark()
    }

    /// All requests of the operator since then.
    pub fn requests(&self, mark: Mark) -> Vec<Request> {
        self.story.bed().audit().since(mark, &self.account.user())
    }

    /// Its writes since then to objects of releases and to inventories: not to
    /// releases, their status, leases and events.
    pub fn writes(&self, mark: Mark) -> Vec<Request> {
        let requests = self.requests(mark).into_iter();
        requests.filter(|request| request.writes() && !is_bookkeeping(request)).collect()
    }

    /// Its writes since then to objects of releases alone, as `verb plural/name`.
    pub fn object_writes(&self, mark: Mark) -> Vec<String> {
        let requests = self.requests(mark);
        let writes = requests.iter().filter(|request| request.writes() && !is_own(request));
        writes.map(|request| format!("{} {}/{}", request.verb, request.resource, request.name)).collect()
    }
}

/// Whether a request is about releases, events or leases.
fn is_bookkeeping(request: &Request) -> bool {
    ["ociartifactreleases", "leases", "events"].contains(&request.resource.as_str())
}

/// Whether a request is about what the controller itself keeps: releases,
/// inventories, events and the lease.
pub fn is_own(request: &Request) -> bool {
    let of_inventory =
        || request.name.starts_with("inv-") || request.impersonated.is_none() && request.name.is_empty();
    is_bookkeeping(request) || request.resource == "configmaps" && of_inventory()
}
