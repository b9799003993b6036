//! Which hosts a server may redirect to.
//!
//! A registry names other hosts: by redirects, by its token service, by the location of
//! an upload. It must not use this process to reach what it could not reach itself.
//! Nothing here resolves names or sends anything.

use crate::oci::reference::Zone;

/// The origin of the URL of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::oci) enum Reach {
    /// The configuration of this process, or the cloud that it runs in.
    Own,
    /// A server in this zone.
    Named(Zone),
}

impl Reach {
    /// What a release or a person names: no metadata service of a cloud.
    pub const NAMED_BY_RELEASE: Self = Self::Named(Zone::Loopback);

    /// The reach of a URL in an answer: a server that `self` reached redirects us, from
    /// its zone.
    pub fn redirected(self, zone: Zone, same_host: bool) -> Self {
        let from = if same_host { zone } else { zone.for_others() };
        match self {
            Self::Own => Self::Named(from),
            Self::Named(before) => Self::Named(before.min(from)),
        }
    }

    /// Limited by another reach.
    pub fn within(self, other: Self) -> Self {
        match (self, other) {
            (Self::Own, reach) | (reach, Self::Own) => reach,
            (Self::Named(one), Self::Named(other)) => Self::Named(one.min(other)),
        }
    }

    /// Whether the host is allowed; names are checked again after their resolution.
    ///
    /// # Errors
    /// What kind of address it is.
    pub fn check(self, host: &str) -> Result<(), &'static str> {
        match (self, Zone::of_host(host)) {
            (Self::Named(zone), Some(target)) if !zone.admits(target) => Err(target.describe()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_sends_us_nearer_than_it_is() {
        let (public, private, loopback, forbidden) =
            (Zone::Public, Zone::Private, Zone::Loopback, Zone::Forbidden);
        let check = |from: Zone, same_host: bool, to: &[Zone]| {
            let reach = Reach::Own.redirected(from, same_host);
            let Reach::Named(zone) = reach else { panic!("{reach:?}") };
            for target in [public, private, loopback, forbidden] {
                assert_eq!(zone.admits(target), to.contains(&target), "{from:?} {same_host} {target:?}");
            }
        };
        check(public, false, &[public]);
        check(private, false, &[public, private]);
        check(loopback, false, &[public, private, loopback]);
        check(forbidden, false, &[public]);
        check(forbidden, true, &[public, private, loopback, forbidden]);
        // A name that was public must not become private on the way.
        check(public, true, &[public]);
        // The Internet must not redirect back in.
        let there = Reach::Own.redirected(private, false).redirected(public, false);
        assert_eq!(there.redirected(private, false).check("10.0.0.1"), Err("a private address"));
        assert_eq!(Reach::Own.check("169.254.169.254"), Ok(()));
    }
}
