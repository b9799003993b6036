//! The network zone of a host. Nothing here resolves names or sends anything.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The zone of a host. Each is nearer to this process than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Zone {
    /// On the Internet.
    Public,
    /// On a private network (RFC 1918, RFC 4193, RFC 6598, RFC 2544).
    Private,
    /// On this machine.
    Loopback,
    /// Link-local, a cloud's metadata, unspecified, multicast or reserved.
    Forbidden,
}

/// Names of the clouds' metadata services, which resolve only inside of them.
const METADATA_NAMES: [&str; 6] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "metadata.azure.internal",
    "instance-data",
    "instance-data.ec2.internal",
];
/// Metadata services outside of link-local networks: Alibaba's, Oracle's
/// network, Azure's, and in IPv6 those of AWS and Google.
const ALIBABA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
const AZURE: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);
const AWS_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
const GOOGLE_V6: Ipv6Addr = Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254);

impl Zone {
    /// The zone of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }

    /// The zone of a host in a URL; `None` for a name that must be resolved first.
    ///
    /// An HTTP client reads more spellings of an address than the usual one: as one number, with octal or
    /// hexadecimal parts, with a dot at its end. They count as the address.
    pub fn of_host(host: &str) -> Option<Self> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        // A network interface may follow an address in IPv6.
        let address = if bare.contains(':') { bare.split('%').next().unwrap_or(bare) } else { bare };
        if let Ok(address) = address.parse() {
            return Some(Self::of(address));
        }
        let name = match url::Host::parse(bare) {
            Ok(url::Host::Ipv4(address)) => return Some(of_v4(address)),
            Ok(url::Host::Ipv6(address)) => return Some(of_v6(address)),
            Ok(url::Host::Domain(name)) => name,
            Err(_) => bare.to_owned(),
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if METADATA_NAMES.contains(&name.as_str()) {
            return Some(Self::Forbidden);
        }
        (name == "localhost" || name.ends_with(".localhost")).then_some(Self::Loopback)
    }

    /// Whether a server in this zone may redirect us there: not nearer to this process
    /// than itself.
    pub fn admits(self, target: Self) -> bool {
        target <= self
    }

    /// As the origin of a redirect to another host. A forbidden zone may only lead to the
    /// Internet.
    pub fn for_others(self) -> Self {
        if self == Self::Forbidden { Self::Public } else { self }
    }

    /// For messages.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Private => "a private address",
            Self::Loopback => "an address of this machine",
            Self::Forbidden => "a link-local, metadata or reserved address",
        }
    }
}

fn of_v4(address: Ipv4Addr) -> Zone {
    let [a, b, c, _] = address.octets();
    if address.is_loopback() {
        return Zone::Loopback;
    }
    let reserved = a == 0 || a >= 224 || (a, b, c) == (192, 0, 0);
    if reserved || address.is_link_local() || [ALIBABA, AZURE].contains(&address) {
        return Zone::Forbidden;
    }
    let carrier = a == 100 && (64..128).contains(&b);
    let benchmark = a == 198 && (b == 18 || b == 19);
    if address.is_private() || carrier || benchmark { Zone::Private } else { Zone::Public }
}

fn of_v6(address: Ipv6Addr) -> Zone {
    let segments = address.segments();
    if address.is_loopback() {
        return Zone::Loopback;
    }
    if let Some(inner) = embedded(address) {
        return of_v4(inner);
    }
    let teredo = segments[0] == 0x2001 && segments[1] == 0;
    let reserved = address.is_unspecified() || address.is_multicast() || teredo;
    if reserved || address.is_unicast_link_local() || [AWS_V6, GOOGLE_V6].contains(&address) {
        return Zone::Forbidden;
    }
    let site_local = segments[0] & 0xffc0 == 0xfec0;
    let local_nat64 = segments[..3] == [0x64, 0xff9b, 1];
    if address.is_unique_local() || site_local || local_nat64 { Zone::Private } else { Zone::Public }
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, NAT64 (RFC
/// 6052) and 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    let nat64 = s[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    let compatible = s[..6] == [0; 6] && !address.is_unspecified();
    match s {
        _ if nat64 || compatible => Some(of(s[6], s[7])),
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => address.to_ipv4_mapped(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_address_has_its_zone() {
        let check = |host: &str, expected: Option<Zone>| assert_eq!(Zone::of_host(host), expected, "{host}");
        for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.2.1", "[2606:4700::1]", "[::808:808]"] {
            check(public, Some(Zone::Public));
        }
        for private in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "[fc00::1]",
            "[fd12::1]",
            "[fec0::1]",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::a00:1]",
            "[64:ff9b:1::1]",
            "[2002:a00:1::1]",
        ] {
            check(private, Some(Zone::Private));
        }
        for loopback in [
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::127.0.0.1]",
            "localhost",
            "LOCALHOST.",
            "x.localhost",
            "2130706433",
            "0x7f.1",
            "127.1",
            "127.0.0.1.",
        ] {
            check(loopback, Some(Zone::Loopback));
        }
        for forbidden in [
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "255.255.255.255",
            "224.0.0.1",
            "240.0.0.1",
            "192.0.0.192",
            "100.100.100.200",
            "168.63.129.16",
            "[::]",
            "[fe80::1]",
            "[ff02::1]",
            "[fd00:ec2::254]",
            "[fd20:ce::254]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::]",
            "[2001:0:1::1]",
            "2852039166",
            "0xa9fea9fe",
            "0xA9.254.0251.254",
            "0251.0376.0251.0376",
            "169.254.43518",
            "169.254.169.254.",
            "%3169.254.169.254",
            "\u{ff11}69.254.169.254",
            "169\u{3002}254\u{3002}169\u{3002}254",
            "[fe80::1%25eth0]",
            "[FD00:EC2::254]",
            "[0:0:0:0:0:FFFF:A9FE:A9FE]",
            "metadata.google.internal",
            "Metadata.Google.Internal.",
            "metadata",
            "instance-data",
        ] {
            check(forbidden, Some(Zone::Forbidden));
        }
        for name in ["ghcr.io", "registry.internal", "localhost.evil.com", "10.0.0.1.evil.com"] {
            check(name, None);
        }
    }
}
