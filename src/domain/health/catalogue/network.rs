//! Gateways, routes, meshes and load balancers.

use super::check::Check::{Is, Set, Some, Text};
use super::entry::{CatalogueEntry, of};

const GLOO_BAD: &[&str] = &["Pending", "Rejected", "Warning", "0", "2", "3"];

/// The entries.
#[rustfmt::skip]
pub(super) const TABLE: &[CatalogueEntry] = &[
    of("gateway.networking.k8s.io", &["GatewayClass"]).needs(&[Is("Accepted")]).only(),
    of("gateway.networking.k8s.io", &["Gateway"]).needs(&[Is("Accepted"), Is("Programmed")]),
    of("gateway.networking.k8s.io", &["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"]).needs(&[Set("/status/parents")]),
    of("gateway.networking.k8s.io", &["BackendTLSPolicy"]).quiet(),
    of("gateway.networking.k8s.io", &["ReferenceGrant"]).no_status(),
    of("microgateway.airlock.com", &[]),

    // Gloo writes a word, and a number in its older versions; one status a namespace.
    of("*.solo.io", &["Gateway", "MatchableHttpGateway", "MatchableTcpGateway", "RouteOption", "RouteTable", "VirtualHostOption", "ListenerOption", "HttpListenerOption", "VirtualService", "Proxy", "Settings", "Upstream", "UpstreamGroup", "AuthConfig", "RateLimitConfig"])
        .waits(&[Text("/status/state", GLOO_BAD), Some("/status/statuses", "/state", GLOO_BAD)]).quiet(),

    of("projectcontour.io", &["HTTPProxy"]).needs(&[Text("/status/currentStatus", &["valid"])]),
    of("projectcontour.io", &["ExtensionService"]),
    of("route.openshift.io", &["Route"]).needs(&[Set("/status/ingress")]),
    of("networking.gke.io", &["ManagedCertificate"]).needs(&[Text("/status/certificateStatus", &["Active"])]).only(),
    of("networking.gke.io", &["FrontendConfig"]).no_status(),
    of("cloud.google.com", &["BackendConfig"]).no_status(),
    of("elbv2.k8s.aws", &["IngressClassParams"]).no_status(),

    // Most installations of Istio do not write the status of its configuration.
    of("networking.istio.io", &[]).no_status(),
    of("security.istio.io", &[]).no_status(),
    of("telemetry.istio.io", &[]).no_status(),
    of("extensions.istio.io", &[]).no_status(),
    of("install.istio.io", &["IstioOperator"]).waits(&[Text("/status/status", &["RECONCILING", "UPDATING", "ERROR", "ACTION_REQUIRED"])]).needs(&[Text("/status/status", &["HEALTHY", "NONE"])]).only(),
    of("linkerd.io", &[]).no_status(),
    of("policy.linkerd.io", &["Server", "ServerAuthorization", "AuthorizationPolicy", "MeshTLSAuthentication", "NetworkAuthentication"]).no_status(),
    of("traefik.io", &[]).no_status(),
    of("traefik.containo.us", &[]).no_status(),
    of("configuration.konghq.com", &["KongPlugin", "KongClusterPlugin", "KongIngress"]).no_status(),
    of("getambassador.io", &[]).no_status(),
    of("gateway.envoyproxy.io", &["EnvoyProxy"]).no_status(),
    of("gateway.nginx.org", &["NginxProxy"]).no_status(),
    of("k8s.nginx.org", &["VirtualServer", "VirtualServerRoute", "TransportServer", "Policy"]).needs(&[Text("/status/state", &["Valid"])]).only(),

    of("metallb.io", &["IPAddressPool", "L2Advertisement", "BGPPeer", "BGPAdvertisement", "BFDProfile", "Community"]).no_status(),
    of("cilium.io", &["CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "CiliumLoadBalancerIPPool", "CiliumL2AnnouncementPolicy", "CiliumCIDRGroup", "CiliumEgressGatewayPolicy"]).no_status(),
    of("crd.projectcalico.org", &[]).no_status(),
    of("projectcalico.org", &[]).no_status(),
    of("k8s.cni.cncf.io", &["NetworkAttachmentDefinition"]).no_status(),
    of("nmstate.io", &["NodeNetworkConfigurationPolicy"]).suspended(&[super::check::Check::Reason("Available", &["NoMatchingNode"])]).failed(&[Is("Degraded")]).needs(&[Is("Available")]).only(),
    of("kiali.io", &["Kiali"]),
    of("inference.networking.k8s.io", &["InferencePool"]).quiet(),
];
