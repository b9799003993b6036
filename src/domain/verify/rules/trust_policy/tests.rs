//! The trust policy: which prefix counts, and what is refused.

use super::*;

const HEAD: &str = "apiVersion: supercargo.dev/v1alpha1\nkind: TrustPolicy\n";
/// A P-256 key, made for this test.
const PEM: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEFpDz7tGyceb31ZcH3fCgGWJXSkF8
lAMuwSxhIol7wjAv2JwPdGZMWVQG+ovXeN3v6YGsskkxpRrsTg2YZ7kJeg==
-----END PUBLIC KEY-----
";

fn trust_policy(body: &str) -> Result<TrustPolicy, String> {
    let draft = TrustPolicyDraft::parse(&format!("{HEAD}{body}")).map_err(|e| e.to_string())?;
    let files =
        BTreeMap::from([("a.pub".to_owned(), PEM.as_bytes().to_vec()), ("b.pub".into(), b"junk".to_vec())]);
    draft.complete(&files, &Arc::new(TrustRoot::public_good())).map_err(|e| e.to_string())
}

fn demanded(trust_policy: &TrustPolicy, repository: &str) -> String {
    let (registry, path) = repository.split_once('/').unwrap();
    match trust_policy.demand(registry, path) {
        PolicyDemand::Nothing => "nothing".into(),
        PolicyDemand::Exempt => "exempt".into(),
        PolicyDemand::Signed(policy) => {
            let names: Vec<&str> = policy.authorities.iter().map(|a| a.name.as_str()).collect();
            format!("{} {}/{}", policy.origin, policy.threshold, names.join("+"))
        }
    }
}

#[test]
fn the_longest_prefix_counts() {
    let trust_policy = trust_policy(
        "registries:
- {prefix: '*', keys: [{name: any, file: a.pub}]}
- {prefix: ghcr.io/acme, keys: [{name: acme, file: a.pub}]}
- prefix: ghcr.io/acme/critical
  authorities:
  - {name: build, keys: [{name: build, file: a.pub}]}
  - {name: security, keys: [{name: security, file: a.pub}]}
exempt: [ghcr.io/acme/critical/playground, quay.io]
",
    )
    .unwrap();
    let check = |repository: &str, expected: &str| assert_eq!(demanded(&trust_policy, repository), expected);
    check("ghcr.io/acme/app", "the trust policy for ghcr.io/acme 1/");
    check("ghcr.io/acme-evil/app", "the trust policy for * 1/");
    check("ghcr.io/acme/critical/app", "the trust policy for ghcr.io/acme/critical 2/build+security");
    check("ghcr.io/acme/critical/playground/app", "exempt");
    check("quay.io/any/thing", "exempt");
    check("quay.io.evil.com/any/thing", "the trust policy for * 1/");
    assert_eq!(demanded(&TrustPolicy::default(), "ghcr.io/acme/app"), "nothing");
}

#[test]
fn an_exemption_holds_for_the_named_port_only() {
    let trust_policy = trust_policy(
        "registries:
- {prefix: '*', keys: [{name: any, file: a.pub}]}
- {prefix: r.io/acme, keys: [{name: acme, file: a.pub}]}
exempt: [127.0.0.1/playground, 'r.io:5000/acme/free', r.io/acme/open, docker.io/acme]
",
    )
    .unwrap();
    let check = |repository: &str, expected: &str| assert_eq!(demanded(&trust_policy, repository), expected);
    let (any, acme) = ("the trust policy for * 1/", "the trust policy for r.io/acme 1/");
    for exempt in ["127.0.0.1", "127.0.0.1:443", "127.0.0.1:80", "127.1", "[::ffff:127.0.0.1]"] {
        check(&format!("{exempt}/playground/app"), "exempt");
    }
    for other in ["127.0.0.1:32207", "127.1:5000", "[::ffff:127.0.0.1]:5000"] {
        check(&format!("{other}/playground/app"), any);
    }
    check("r.io:5000/acme/free", "exempt");
    check("r.io:5001/acme/free", acme);
    check("r.io/acme/free", acme);
    check("r.io/acme/open/app", "exempt");
    // The demand next to it is about every port.
    check("r.io:5000/acme/open/app", acme);
    // An organisation is not an official image.
    check("docker.io/acme/app", "exempt");
    check("docker.io/library/acme", any);
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    let check = |body: &str, expected: &str| {
        let error = trust_policy(body).map(drop).unwrap_err();
        assert!(error.starts_with(expected), "{body}: {error}");
    };
    let one = |fields: &str| format!("registries: [{{prefix: ghcr.io/acme, {fields}}}]\n");
    check("registries: [\n", "line ");
    check("registry: []\n", "the file: unknown field \"registry\"");
    check(&one("key: []"), "registries[0]: unknown field \"key\"");
    check(&one("authorities: [{name: a, keyz: []}]"), "registries[0].authorities[0]: unknown field \"keyz\"");
    check("registries: [{keys: []}]\n", "the file: missing field `prefix`");
    check(
        "registries: [{prefix: acme, keys: [{name: a, file: a.pub}]}]\n",
        "registries[0].prefix: \"acme\" is not",
    );
    check(
        &one("keys: []"),
        "registries[0]: needs keys, identities or authorities; authorities cannot be combined with the others",
    );
    check(
        &one("keys: [{name: a, file: a.pub}], authorities: [{name: b, keys: [{name: a, file: a.pub}]}]"),
        "registries[0]: needs keys, identities or authorities; authorities cannot be combined with the others",
    );
    check(&one("keys: [{name: a}]"), "registries[0].keys[0]: needs exactly one of pem and file");
    check(&one("keys: [{name: a, file: a.pub}, {name: b, file: b.pub}]"), "registries[0].keys[1]: ");
    check(&one("keys: [{name: a, file: c.pub}]"), "registries[0].keys[0]: file \"c.pub\" not found");
    check(&one("keys: [{name: a, file: a.pub}], threshold: 1"), "registries[0].threshold: ");
    check(
        &one("keys: [{name: a, file: a.pub}], trustedRoot: a.pub"),
        "registries[0].trustedRoot: needs identities",
    );
    check(&one("identities: [{issuer: '(', subject: a}]"), "registries[0].identities[0]: issuer: ");
    check(&one("identities: [{issuer: a}]"), "the file: missing field `subject`");
    check(
        &one("authorities: [{name: a, keys: [{name: a, file: a.pub}]}], threshold: 2"),
        "registries[0].threshold: must be 1 to 1, not 2",
    );
    check(
        &one("authorities: [{name: a}]"),
        "registries[0].authorities[0]: needs exactly one of keys and identities",
    );
    check("exempt: [ghcr.io/acme, GHCR.io/acme/]\n", "exempt[1]: duplicate prefix ghcr.io/acme");
    for text in ["", "kind: ConfigMap\napiVersion: v1\n", "a: b\n---\nc: d\n"] {
        assert!(TrustPolicyDraft::parse(text).is_err(), "{text}");
    }
    let bomb = format!("{HEAD}a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\n");
    assert!(TrustPolicyDraft::parse(&bomb).is_err());
    assert!(
        TrustPolicyDraft::parse(&" ".repeat(MAX_POLICY_BYTES + 1)).unwrap_err().to_string().contains("bytes")
    );
}

#[test]
fn it_names_the_files_that_it_needs() {
    let text = format!(
        "{HEAD}registries:
- {{prefix: a.io, keys: [{{name: a, file: a.pub}}, {{name: b, pem: x}}]}}
- {{prefix: b.io, authorities: [{{name: c, identities: [], trustedRoot: root.json}}]}}
"
    );
    let draft = TrustPolicyDraft::parse(&text).unwrap();
    assert_eq!(draft.files().into_iter().collect::<Vec<_>>(), ["a.pub", "root.json"]);
}
