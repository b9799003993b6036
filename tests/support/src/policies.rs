//! What NetworkPolicies mean for packets, as rules of nftables for the node that forwards
//! them: the part of a network plugin that the tests need. The plugins of others do not run
//! here: they want a kubelet, or parts of the kernel that the machines of tests lack.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use serde_json::Value;

/// What policies know of a pod.
#[derive(Debug, Clone)]
pub struct PodFacts {
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its address.
    pub address: Ipv4Addr,
    /// The ports of its containers that have a name: name, protocol in small letters, number.
    pub ports: Vec<(String, String, u16)>,
}

impl PodFacts {
    /// A pod without labels and names of ports.
    pub fn new(namespace: &str, address: Ipv4Addr) -> PodFacts {
        let (labels, ports) = (BTreeMap::new(), Vec::new());
        PodFacts { namespace: namespace.to_owned(), labels, address, ports }
    }

    /// With a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> PodFacts {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With a TCP port that has a name.
    #[must_use]
    pub fn port(mut self, name: &str, number: u16) -> PodFacts {
        self.ports.push((name.to_owned(), "tcp".to_owned(), number));
        self
    }

    /// As a template of pods describes it: its labels, and the ports of its first container.
    pub fn of_template(namespace: &str, address: Ipv4Addr, template: &Value) -> PodFacts {
        let mut pod = PodFacts::new(namespace, address);
        pod.labels = labels(&template["metadata"]["labels"]);
        for port in list(&template["spec"]["containers"][0]["ports"]) {
            let number = port["containerPort"].as_u64().and_then(|number| u16::try_from(number).ok());
            let protocol = port["protocol"].as_str().unwrap_or("TCP").to_lowercase();
            pod.ports.extend(number.map(|number| (text(&port["name"]).to_owned(), protocol, number)));
        }
        pod
    }

    // The label that the API server gives every namespace.
    fn namespace_labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), self.namespace.clone())])
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    // Names as policies have them.
    fn words(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Direction::Ingress => ("Ingress", "ingress", "from", "saddr"),
            Direction::Egress => ("Egress", "egress", "to", "daddr"),
        }
    }
}

/// The rules of the node for these policies and pods. What the node itself sends to a pod, such
/// as a probe, is not forwarded and so passes, as Kubernetes has it. What is refused is answered,
/// where most plugins say nothing: so a test does not wait for silence.
pub fn ruleset(policies: &[Value], pods: &[PodFacts]) -> String {
    let (mut chains, mut forward) = (String::new(), String::new());
    for (number, pod) in pods.iter().enumerate() {
        for direction in [Direction::Egress, Direction::Ingress] {
            let selecting: Vec<&Value> =
                policies.iter().filter(|policy| selects(policy, direction, pod)).collect();
            if selecting.is_empty() {
                continue;
            }
            let (kind, ..) = direction.words();
            let side = if direction == Direction::Egress { "saddr" } else { "daddr" };
            let rules: Vec<String> =
                selecting.iter().flat_map(|policy| rules_of(policy, direction, pod, pods)).collect();
            let name = format!("{}_{number}", kind.to_lowercase());
            let rules: String = rules.iter().fold(String::new(), |mut all, rule| {
                let _ = writeln!(all, "    {rule} return");
                all
            });
            let _ =
                writeln!(chains, "  chain {name} {{\n{rules}    reject with icmpx admin-prohibited\n  }}");
            let _ = writeln!(forward, "    ip {side} {} jump {name}", pod.address);
        }
    }
    // The first line lets the second one delete a table that may not exist.
    format!(
        "table inet policies\ndelete table inet policies\ntable inet policies {{\n{chains}  chain forward {{\n    \
         type filter hook forward priority 0; policy accept;\n    ct state established,related accept\n{forward}  }}\n}}\n"
    )
}

fn selects(policy: &Value, direction: Direction, pod: &PodFacts) -> bool {
    let spec = &policy["spec"];
    let (kind, rules, ..) = direction.words();
    // As the API server fills it in: a policy is about what comes in, and about what goes out
    // if it has rules for that.
    let concerns = match spec["policyTypes"].as_array() {
        Some(kinds) => kinds.iter().any(|found| found == kind),
        None => direction == Direction::Ingress || !spec[rules].is_null(),
    };
    concerns
        && policy["metadata"]["namespace"] == pod.namespace.as_str()
        && matches(&spec["podSelector"], &pod.labels)
}

fn rules_of(policy: &Value, direction: Direction, pod: &PodFacts, pods: &[PodFacts]) -> Vec<String> {
    let (_, rules, peers, _) = direction.words();
    let mut found = Vec::new();
    for rule in list(&policy["spec"][rules]) {
        let namespace = text(&policy["metadata"]["namespace"]);
        let sides: Vec<Side> = match list(&rule[peers]) {
            [] => vec![Side::Anywhere],
            peers => peers.iter().flat_map(|peer| sides_of(peer, namespace, pods)).collect(),
        };
        for side in sides {
            // A name of a port is one of the pod at which the packet ends.
            let end = match (direction, &side) {
                (Direction::Ingress, _) => Some(pod),
                (Direction::Egress, Side::Pod(other)) => Some(*other),
                (Direction::Egress, _) => None,
            };
            let address = side.words(direction);
            match list(&rule["ports"]) {
                [] => found.push(address),
                ports => found.extend(
                    ports
                        .iter()
                        .filter_map(|port| port_of(port, end))
                        .map(|port| format!("{address} {port}")),
                ),
            }
        }
    }
    found
}

/// The other side of a packet.
enum Side<'a> {
    Anywhere,
    Pod(&'a PodFacts),
    Block(&'a Value),
}

impl Side<'_> {
    fn words(&self, direction: Direction) -> String {
        let (.., side) = direction.words();
        match self {
            Side::Anywhere => String::new(),
            Side::Pod(pod) => format!("ip {side} {}", pod.address),
            Side::Block(block) => {
                let but: Vec<&str> = list(&block["except"]).iter().map(text).collect();
                let but = match but[..] {
                    [] => String::new(),
                    _ => format!(" ip {side} != {{ {} }}", but.join(", ")),
                };
                format!("ip {side} {}{but}", text(&block["cidr"]))
            }
        }
    }
}

fn sides_of<'a>(peer: &'a Value, namespace: &str, pods: &'a [PodFacts]) -> Vec<Side<'a>> {
    if !peer["ipBlock"].is_null() {
        return vec![Side::Block(&peer["ipBlock"])];
    }
    let of_namespace = |pod: &PodFacts| match &peer["namespaceSelector"] {
        Value::Null => pod.namespace == namespace,
        selector => matches(selector, &pod.namespace_labels()),
    };
    let of_labels =
        |pod: &PodFacts| peer["podSelector"].is_null() || matches(&peer["podSelector"], &pod.labels);
    pods.iter().filter(|pod| of_namespace(pod) && of_labels(pod)).map(Side::Pod).collect()
}

fn port_of(port: &Value, end: Option<&PodFacts>) -> Option<String> {
    let protocol = port["protocol"].as_str().unwrap_or("TCP").to_lowercase();
    let number = match &port["port"] {
        Value::Null => return Some(format!("meta l4proto {protocol}")),
        Value::String(name) => {
            let of_name = |found: &&(String, String, u16)| found.0 == *name && found.1 == protocol;
            u64::from(end?.ports.iter().find(of_name)?.2)
        }
        number => number.as_u64()?,
    };
    Some(match port["endPort"].as_u64() {
        Some(end) => format!("{protocol} dport {number}-{end}"),
        None => format!("{protocol} dport {number}"),
    })
}

/// Whether a selector of labels matches.
fn matches(selector: &Value, found: &BTreeMap<String, String>) -> bool {
    let all = labels(&selector["matchLabels"]).iter().all(|(key, value)| found.get(key) == Some(value));
    all && list(&selector["matchExpressions"]).iter().all(|expression| {
        let value = found.get(text(&expression["key"]));
        let among = || value.is_some_and(|value| list(&expression["values"]).iter().any(|one| one == value));
        match text(&expression["operator"]) {
            "In" => among(),
            "NotIn" => !among(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            other => panic!("a selector has the operator {other:?}"),
        }
    })
}

fn labels(map: &Value) -> BTreeMap<String, String> {
    let pairs = map.as_object().into_iter().flatten();
    pairs.map(|(key, value)| (key.clone(), text(value).to_owned())).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_of_labels_is_read_as_kubernetes_reads_it() {
        let found = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let check = |selector: Value, expected: bool| {
            assert_eq!(matches(&selector, &found), expected, "{selector}");
        };
        check(json!({}), true);
        check(json!({"matchLabels": {"app": "web"}}), true);
        check(json!({"matchLabels": {"app": "web", "tier": "a"}}), false);
        let one = |operator: &str, key: &str, values: &[&str]| json!({"matchExpressions": [{"operator": operator, "key": key, "values": values}]});
        check(one("In", "app", &["db", "web"]), true);
        check(one("In", "tier", &["db"]), false);
        check(one("NotIn", "app", &["db"]), true);
        check(one("NotIn", "tier", &["db"]), true);
        check(one("NotIn", "app", &["web"]), false);
        check(one("Exists", "app", &[]), true);
        check(one("DoesNotExist", "app", &[]), false);
    }

    #[test]
    fn a_pod_that_no_policy_selects_has_no_rules() {
        let pods = [PodFacts::new("a", Ipv4Addr::new(10, 0, 0, 2))];
        let policy = |namespace: &str| json!({"metadata": {"namespace": namespace}, "spec": {"podSelector": {}, "policyTypes": ["Egress"]}});
        assert!(!ruleset(&[policy("b")], &pods).contains("jump"));
        let rules = ruleset(&[policy("a")], &pods);
        assert!(rules.contains("ip saddr 10.0.0.2 jump egress_0") && !rules.contains("ingress_0"), "{rules}");
    }
}
