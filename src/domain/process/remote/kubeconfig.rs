//! A kubeconfig as a release may give it: everything that it needs is in it. What names a program or
//! a file, or makes the connection unsafe, is refused by its name, as is everything that is not known
//! here: nothing is left out silently.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::domain::process::configuration::{Wrong, read_single, wrong};
use crate::domain::process::proxy::ProxyUrl;
use crate::domain::process::zone::Zone;

/// The longest kubeconfig that is read, in bytes.
pub const MAX_KUBECONFIG: usize = 256 << 10;

/// How another API server is reached, and as whom.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteAccess {
    /// `https://host[:port][/path]`, without a slash at its end.
    pub server: String,
    /// The host of the URL, an IPv6 address without brackets.
    pub host: String,
    /// The name that its certificate is verified for, where that is not the host.
    pub server_name: Option<String>,
    /// The CA that verifies its certificate, in PEM; the system's authorities when absent.
    pub authority: Option<Vec<u8>>,
    /// A client certificate and its key, in PEM.
    pub certificate: Option<(Vec<u8>, Vec<u8>)>,
    /// A bearer token.
    pub token: Option<String>,
    /// User and password.
    pub basic: Option<(String, String)>,
    /// The proxy in front of it.
    pub proxy: Option<ProxyUrl>,
}

impl Drop for RemoteAccess {
    fn drop(&mut self) {
        self.token.zeroize();
        if let Some((_, password)) = &mut self.basic {
            password.zeroize();
        }
        if let Some((_, key)) = &mut self.certificate {
            key.zeroize();
        }
    }
}

impl fmt::Debug for RemoteAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteAccess({})", self.server)
    }
}

/// Which addresses a release may name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoteReach {
    /// Whether addresses of this machine are allowed.
    pub local: bool,
}

/// The administrator's settings for other clusters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoteSettings {
    /// Whether releases may have objects in other clusters.
    pub enabled: bool,
    /// Which addresses they may name.
    pub reach: RemoteReach,
}

impl RemoteReach {
    /// Whether an address in this zone may be called.
    ///
    /// # Errors
    /// What kind of address it is.
    pub fn check(self, zone: Zone) -> Result<(), &'static str> {
        match zone {
            Zone::Public | Zone::Private => Ok(()),
            Zone::Loopback if self.local => Ok(()),
            Zone::Loopback | Zone::Forbidden => Err(zone.describe()),
        }
    }

    /// The same for a host; a name that is resolved later is checked then.
    ///
    /// # Errors
    /// What kind of address it is.
    pub fn check_host(self, host: &str) -> Result<(), &'static str> {
        Zone::of_host(host).map_or(Ok(()), |zone| self.check(zone))
    }
}

impl RemoteAccess {
    /// Reads the current context of a kubeconfig.
    ///
    /// # Errors
    /// What is wrong with it, and where. Never contains a value of it.
    pub fn read(bytes: &[u8], reach: RemoteReach) -> Result<Self, Wrong> {
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("the kubeconfig", "is not UTF-8 text"))?;
        let document =
            read_single(text, MAX_KUBECONFIG).map_err(|Wrong { place, .. }| match place.as_str() {
                "the file" => wrong(
                    "the kubeconfig",
                    format!("is not one YAML document of at most {MAX_KUBECONFIG} bytes"),
                ),
                // The problem may quote the text.
                line => wrong(line, "is not valid YAML"),
            })?;
        if !document.is_object() {
            return Err(wrong("the kubeconfig", "is not a kubeconfig: it has no fields"));
        }
        let root = Part { place: String::new(), value: &document };
        root.only(&[
            "apiVersion",
            "kind",
            "preferences",
            "current-context",
            "contexts",
            "clusters",
            "users",
        ])?;
        let preferences = &document["preferences"];
        if !preferences.is_null() && preferences.as_object().is_none_or(|fields| !fields.is_empty()) {
            return Err(root.refused("preferences", "remove it, or leave it empty"));
        }
        if document["kind"].as_str().is_some_and(|kind| kind != "Config") {
            return Err(wrong("kind", "must be Config"));
        }
        let current = root
            .text("current-context")?
            .ok_or_else(|| wrong("current-context", "is not set: name the context to use"))?;
        let context = root.entry("contexts", "context", current)?;
        context.only(&["cluster", "user"])?;
        let named =
            |field: &str| context.text(field)?.ok_or_else(|| wrong(context.below(field), "is not set"));
        let cluster = root.entry("clusters", "cluster", named("cluster")?)?;
        let user = root.entry("users", "user", named("user")?)?;
        let mut access = cluster_of(&cluster, reach)?;
        add_user(&mut access, &user)?;
        Ok(access)
    }

    /// An API server without credentials.
    ///
    /// # Errors
    /// What is wrong with its URL.
    pub fn at(server: &str, reach: RemoteReach) -> Result<Self, String> {
        let (server, host) = server_of(server)?;
        reach.check_host(&host).map_err(refused_address)?;
        let (server_name, authority, certificate, token) = (None, None, None, None);
        Ok(Self { server, host, server_name, authority, certificate, token, basic: None, proxy: None })
    }

    /// Identifies everything in it. It is a hash: the credentials cannot be read from it.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |tag: u8, part: &[u8]| {
            hash.update([tag]);
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        };
        add(0, self.server.as_bytes());
        for (tag, text) in [(1, &self.server_name), (2, &self.token)] {
            text.iter().for_each(|text| add(tag, text.as_bytes()));
        }
        self.authority.iter().for_each(|pem| add(3, pem));
        if let Some((certificate, key)) = &self.certificate {
            add(4, certificate);
            add(5, key);
        }
        if let Some((user, password)) = &self.basic {
            add(6, user.as_bytes());
            add(7, password.as_bytes());
        }
        self.proxy.iter().for_each(|proxy| add(8, proxy.url().as_bytes()));
        hex::encode(hash.finalize())
    }

    /// Identifies the API server, without the credentials: its URL, its CA, and what else decides
    /// which server answers, the name in its certificate and the proxy.
    pub fn server_fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        // Shown without its password, which may change.
        let proxy = self.proxy.as_ref().map(ToString::to_string);
        let name = self.server_name.as_deref().unwrap_or_default();
        let authority = self.authority.as_deref().unwrap_or_default();
        let proxy = proxy.as_deref().unwrap_or_default();
        for part in [self.server.as_bytes(), name.as_bytes(), authority, proxy.as_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hex::encode(&hash.finalize()[..16])
    }
}

/// A part of a kubeconfig, and its place in it.
struct Part<'a> {
    place: String,
    value: &'a Value,
}

impl<'a> Part<'a> {
    fn below(&self, field: &str) -> String {
        match self.place.as_str() {
            "" => field.to_owned(),
            place => format!("{place}.{field}"),
        }
    }

    fn refused(&self, field: &str, why: &str) -> Wrong {
        wrong(self.below(field), format!("is not supported: {why}"))
    }

    /// Refuses all fields but these.
    fn only(&self, known: &[&str]) -> Result<(), Wrong> {
        let Some(fields) = self.value.as_object() else {
            return Err(wrong(&*self.place, "has no fields"));
        };
        match fields.iter().find(|(field, _)| !known.contains(&field.as_str())) {
            Some((field, _)) => Err(self.refused(&shown(field), advice(field))),
            None => Ok(()),
        }
    }

    /// A text that is not empty.
    fn text(&self, field: &str) -> Result<Option<&'a str>, Wrong> {
        match &self.value[field] {
            Value::Null => Ok(None),
            Value::String(text) if text.is_empty() => Ok(None),
            Value::String(text) => Ok(Some(text)),
            _ => Err(wrong(self.below(field), "must be text")),
        }
    }

    /// What base64 stands for.
    fn data(&self, field: &str) -> Result<Option<Vec<u8>>, Wrong> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        let plain: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        match STANDARD.decode(plain) {
            Ok(data) if data.windows(10).any(|part| part == b"-----BEGIN") => Ok(Some(data)),
            _ => Err(wrong(self.below(field), "must be PEM in base64")),
        }
    }

    /// The entry of that name in a list of named entries.
    fn entry(&self, list: &str, kind: &str, name: &str) -> Result<Part<'a>, Wrong> {
        let entries = self.value[list].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut found = entries.iter().filter(|entry| entry["name"] == name);
        let place = format!("{list}[{}]", shown(name));
        match (found.next(), found.next()) {
            (Some(entry), None) => {
                Part { place: place.clone(), value: entry }.only(&["name", kind])?;
                Ok(Part { place: format!("{place}.{kind}"), value: &entry[kind] })
            }
            (Some(_), Some(_)) => Err(wrong(place, "is there twice")),
            (None, _) => Err(wrong(list, format!("has no entry {:?}, which is named", shown(name)))),
        }
    }
}

/// Why a field is refused, and what to use instead.
fn advice(field: &str) -> &'static str {
    match field {
        "exec" | "auth-provider" => {
            "it names a program, and none is run; use a token or a client certificate, or spec.kubeConfig.configMapRef"
        }
        "tokenFile" => "it names a file; use token",
        "certificate-authority" => "it names a file; use certificate-authority-data",
        "client-certificate" => "it names a file; use client-certificate-data",
        "client-key" => "it names a file; use client-key-data",
        "insecure-skip-tls-verify" => {
            "the certificate of the API server is always verified; use certificate-authority-data"
        }
        "as" | "as-groups" | "as-uid" | "as-user-extra" => "use spec.serviceAccountName",
        "namespace" => "objects without a namespace get that of the release; remove it",
        _ => "remove it",
    }
}

fn cluster_of(cluster: &Part<'_>, reach: RemoteReach) -> Result<RemoteAccess, Wrong> {
    let known = ["server", "tls-server-name", "certificate-authority-data", "proxy-url"];
    // An explicit `false` is what holds anyway.
    match &cluster.value["insecure-skip-tls-verify"] {
        Value::Bool(false) => cluster.only(&[known.as_slice(), &["insecure-skip-tls-verify"]].concat())?,
        _ => cluster.only(&known)?,
    }
    let place = || cluster.below("server");
    let server = cluster.text("server")?.ok_or_else(|| wrong(place(), "is not set"))?;
    let mut access = RemoteAccess::at(server, reach).map_err(|problem| wrong(place(), problem))?;
    access.server_name = cluster.text("tls-server-name")?.map(str::to_owned);
    access.authority = cluster.data("certificate-authority-data")?;
    access.proxy = match cluster.text("proxy-url")? {
        None => None,
        Some(url) => {
            let place = || cluster.below("proxy-url");
            let proxy = ProxyUrl::parse(url).map_err(|problem| wrong(place(), problem))?;
            let host = host_of(&proxy.address).unwrap_or_default();
            reach.check_host(host).map_err(|kind| wrong(place(), refused_address(kind)))?;
            Some(proxy)
        }
    };
    Ok(access)
}

fn add_user(access: &mut RemoteAccess, user: &Part<'_>) -> Result<(), Wrong> {
    user.only(&["token", "username", "password", "client-certificate-data", "client-key-data"])?;
    let line = |field: &str| match user.text(field)? {
        Some(text) if text.chars().any(|c| c.is_ascii_control()) => {
            Err(wrong(user.below(field), "must be one line"))
        }
        text => Ok(text.map(str::to_owned)),
    };
    access.token = line("token")?;
    access.basic = match (line("username")?, line("password")?) {
        (Some(name), Some(password)) => Some((name, password)),
        (None, None) => None,
        _ => return Err(wrong(&*user.place, "has only one of username and password")),
    };
    access.certificate = match (user.data("client-certificate-data")?, user.data("client-key-data")?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            return Err(wrong(&*user.place, "has only one of client-certificate-data and client-key-data"));
        }
    };
    match (&access.token, &access.basic, &access.certificate) {
        (None, None, None) => Err(wrong(
            &*user.place,
            "has no credentials: set token, or client-certificate-data and client-key-data",
        )),
        (Some(_), Some(_), _) => Err(wrong(&*user.place, "has both a token and a password: keep one")),
        _ => Ok(()),
    }
}

fn refused_address(kind: &str) -> String {
    format!("names {kind}, which releases may not use")
}

/// The URL without a slash at its end, and its host.
fn server_of(url: &str) -> Result<(String, String), String> {
    const FORM: &str = "must be https://HOST[:PORT][/PATH]";
    let url = url.trim();
    let Some(rest) = url.strip_prefix("https://") else {
        return Err(match url.starts_with("http://") {
            true => "must be https: credentials are not sent over plain HTTP".to_owned(),
            false => FORM.to_owned(),
        });
    };
    let plain =
        |c: char| c.is_ascii_graphic() && !matches!(c, '@' | '?' | '#' | '\\' | '"' | '<' | '>' | '%');
    let authority = rest.split('/').next().unwrap_or_default();
    let host = host_of(authority).filter(|host| !host.is_empty() && rest.chars().all(plain));
    let host = host.ok_or_else(|| FORM.to_owned())?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    // `2130706433` and `0x7f.1` are addresses to some resolvers.
    let is_number = |label: &str| {
        let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_digit())
            || hex.is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let is_address = host.parse::<core::net::IpAddr>().is_ok();
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    if !is_address && (!host.chars().all(is_name) || is_number(last)) {
        return Err(FORM.to_owned());
    }
    Ok((format!("https://{}", rest.trim_end_matches('/')), host.to_ascii_lowercase()))
}

/// The host of `host[:port]`, without brackets; none where the port is no port.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            host.parse::<core::net::Ipv6Addr>().ok()?;
            (host, after.strip_prefix(':').or(after.is_empty().then_some("443"))?)
        }
        None => authority.split_once(':').unwrap_or((authority, "443")),
    };
    port.parse::<u16>().ok().filter(|port| *port > 0).map(|_| host)
}

/// A name from the kubeconfig for a message: its first characters, without control characters.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";

    fn config(cluster: &Value, user: &Value) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Config", "preferences": {}, "current-context": "there",
            "contexts": [{"name": "there", "context": {"cluster": "c", "user": "u"}},
                         {"name": "other", "context": {"cluster": "x", "user": "exec"}}],
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}, {"name": "exec", "user": {"exec": {}}}],
        })
    }

    fn read(config: &Value) -> Result<RemoteAccess, String> {
        let reach = RemoteReach { local: false };
        RemoteAccess::read(config.to_string().as_bytes(), reach).map_err(|wrong| wrong.to_string())
    }

    fn server(url: &str) -> Value {
        json!({"server": url})
    }

    #[test]
    fn what_is_allowed_is_read() {
        let pem = STANDARD.encode(PEM);
        let cluster = json!({"server": "https://Api.example:6443/", "tls-server-name": "kubernetes",
            "certificate-authority-data": pem, "proxy-url": "http://me:secret@proxy.example:3128",
            "insecure-skip-tls-verify": false});
        let user = json!({"token": "t", "client-certificate-data": pem, "client-key-data": pem});
        let access = read(&config(&cluster, &user)).unwrap();
        assert_eq!(
            (access.server.as_str(), access.host.as_str()),
            ("https://Api.example:6443", "api.example")
        );
        assert_eq!(access.server_name.as_deref(), Some("kubernetes"));
        assert_eq!(access.authority.as_deref(), Some(PEM.as_bytes()));
        assert_eq!(access.token.as_deref(), Some("t"));
        assert!(access.certificate.is_some() && access.basic.is_none());
        assert_eq!(
            access.proxy.as_ref().map(ToString::to_string).as_deref(),
            Some("http://proxy.example:3128")
        );
        assert!(!format!("{access:?}").contains("secret"));
        let basic = read(&config(&server("https://10.0.0.1"), &json!({"username": "a", "password": "b"})));
        assert_eq!(basic.unwrap().basic, Some(("a".to_owned(), "b".to_owned())));
    }

    #[test]
    fn everything_else_is_refused_by_its_name() {
        let good = || server("https://api.example");
        let check = |config: Value, expected: &str| {
            let refused = read(&config).unwrap_err();
            assert!(refused.starts_with(expected), "{refused}\n{expected}");
            assert!(!refused.contains("hunter2"), "{refused}");
        };
        for (field, advice) in [
            ("exec", "it names a program"),
            ("auth-provider", "it names a program"),
            ("tokenFile", "it names a file; use token"),
            ("client-certificate", "it names a file; use client-certificate-data"),
            ("client-key", "it names a file; use client-key-data"),
            ("as", "use spec.serviceAccountName"),
            ("as-groups", "use spec.serviceAccountName"),
            ("as-uid", "use spec.serviceAccountName"),
            ("as-user-extra", "use spec.serviceAccountName"),
            ("extensions", "remove it"),
            ("newField", "remove it"),
        ] {
            let mut user = json!({"token": "t"});
            user[field] = "hunter2".into();
            check(config(&good(), &user), &format!("users[u].user.{field}: is not supported: {advice}"));
        }
        for (field, value, advice) in [
            ("certificate-authority", json!("/ca"), "it names a file"),
            ("insecure-skip-tls-verify", json!(true), "the certificate of the API server is always verified"),
            (
                "insecure-skip-tls-verify",
                json!("false"),
                "the certificate of the API server is always verified",
            ),
            ("disable-compression", json!(true), "remove it"),
        ] {
            let mut cluster = good();
            cluster[field] = value;
            let expected = format!("clusters[c].cluster.{field}: is not supported: {advice}");
            check(config(&cluster, &json!({"token": "t"})), &expected);
        }
        let with = |change: &dyn Fn(&mut Value)| {
            let mut config = config(&good(), &json!({"token": "t"}));
            change(&mut config);
            config
        };
        check(
            with(&|c| c["contexts"][0]["context"]["namespace"] = "x".into()),
            "contexts[there].context.namespace: is not supported: objects without a namespace",
        );
        check(with(&|c| c["extensions"] = json!([])), "extensions: is not supported: remove it");
        check(with(&|c| c["preferences"]["colors"] = true.into()), "preferences: is not supported");
        check(with(&|c| c["users"][0]["extra"] = 1.into()), "users[u].extra: is not supported");
        check(with(&|c| c["current-context"] = "none".into()), "contexts: has no entry \"none\"");
        check(with(&|c| c["current-context"] = Value::Null), "current-context: is not set");
        check(with(&|c| c["current-context"] = 7.into()), "current-context: must be text");
        check(with(&|c| c["kind"] = "Secret".into()), "kind: must be Config");
        check(with(&|c| c["contexts"][1]["name"] = "there".into()), "contexts[there]: is there twice");
        check(with(&|c| c["clusters"] = Value::Null), "clusters: has no entry \"c\"");
        check(with(&|c| c["users"][0]["user"] = Value::Null), "users[u].user: has no fields");
    }

    #[test]
    fn credentials_are_whole() {
        let check = |user: Value, expected: &str| {
            assert_eq!(read(&config(&server("https://api.example"), &user)).unwrap_err(), expected);
        };
        let pem = STANDARD.encode(PEM);
        check(
            json!({}),
            "users[u].user: has no credentials: set token, or client-certificate-data and client-key-data",
        );
        check(json!({"token": "a\nb"}), "users[u].user.token: must be one line");
        check(json!({"username": "a"}), "users[u].user: has only one of username and password");
        check(
            json!({"client-key-data": pem}),
            "users[u].user: has only one of client-certificate-data and client-key-data",
        );
        check(
            json!({"client-key-data": "hunter2", "client-certificate-data": pem}),
            "users[u].user.client-key-data: must be PEM in base64",
        );
        check(
            json!({"token": "t", "username": "a", "password": "b"}),
            "users[u].user: has both a token and a password: keep one",
        );
    }

    #[test]
    fn addresses_are_those_of_other_machines() {
        let form = "must be https://HOST[:PORT][/PATH]";
        let local = "names an address of this machine, which releases may not use";
        let forbidden = "names a link-local, metadata or reserved address, which releases may not use";
        let check = |url: &str, local: bool, expected: Result<&str, &str>| {
            let read = RemoteAccess::at(url, RemoteReach { local });
            let read = read.as_ref().map(|access| access.host.as_str()).map_err(String::as_str);
            assert_eq!(read, expected, "{url}");
        };
        check("https://10.1.2.3:6443/k8s/clusters/a", false, Ok("10.1.2.3"));
        check("https://[2001:db8::1]:6443", false, Ok("2001:db8::1"));
        check("https://api.example.", false, Ok("api.example."));
        check("http://api.example", false, Err("must be https: credentials are not sent over plain HTTP"));
        for url in [
            "api.example",
            "https://",
            "https://:443",
            "https://a:b@host",
            "https://host:0",
            "https://host:x",
            "https://host?x",
            "https://host#x",
            "https://ho st",
            "unix:///run/x",
            "https://[::1",
            "https://2130706433",
            "https://0x7f000001",
            "https://127.1",
            "https://a/%2e%2e",
            "https://[fe80::1%25eth0]",
        ] {
            check(url, true, Err(form));
        }
        for url in [
            "https://127.0.0.1:6443",
            "https://localhost",
            "https://[::1]:6443",
            "https://[::ffff:127.0.0.1]",
        ] {
            check(url, false, Err(local));
            assert!(RemoteAccess::at(url, RemoteReach { local: true }).is_ok(), "{url}");
        }
        for url in [
            "https://169.254.169.254",
            "https://0.0.0.0",
            "https://metadata.google.internal",
            "https://[fe80::1]",
        ] {
            check(url, true, Err(forbidden));
        }
        let mut cluster = server("https://api.example");
        cluster["proxy-url"] = "http://127.0.0.1:3128".into();
        let refused = read(&config(&cluster, &json!({"token": "t"}))).unwrap_err();
        assert_eq!(refused, format!("clusters[c].cluster.proxy-url: {local}"));
    }

    #[test]
    fn what_is_no_kubeconfig_is_refused_without_its_text() {
        let check = |text: &[u8], expected: &str| {
            let refused = RemoteAccess::read(text, RemoteReach { local: false }).unwrap_err().to_string();
            assert!(refused.starts_with(expected) && !refused.contains("hunter2"), "{refused}");
        };
        check(b"hunter2", "the kubeconfig: is not a kubeconfig");
        check(b"\xff", "the kubeconfig: is not UTF-8 text");
        check(b"a: [hunter2", "");
        check(b"a: 1\n---\nb: 2", "line 2: is not valid YAML");
        check(" ".repeat(MAX_KUBECONFIG + 1).as_bytes(), "the kubeconfig: is not one YAML document");
    }

    #[test]
    fn each_part_counts_for_the_fingerprint() {
        let access = |change: &dyn Fn(&mut RemoteAccess)| {
            let mut access = RemoteAccess::at("https://api.example", RemoteReach { local: false }).unwrap();
            access.token = Some("t".into());
            change(&mut access);
            access
        };
        let base = access(&|_| {});
        let rotated = access(&|a| a.token = Some("u".into()));
        assert_ne!(base.fingerprint(), rotated.fingerprint());
        assert_eq!(base.server_fingerprint(), rotated.server_fingerprint());
        let changes: [&dyn Fn(&mut RemoteAccess); 5] = [
            &|a| a.authority = Some(b"ca".to_vec()),
            &|a| a.server_name = Some("t".into()),
            &|a| a.basic = Some(("t".into(), String::new())),
            &|a| a.certificate = Some((b"c".to_vec(), b"k".to_vec())),
            &|a| a.proxy = ProxyUrl::parse("http://p").ok(),
        ];
        for change in changes {
            assert_ne!(base.fingerprint(), access(change).fingerprint());
        }
        let proxy = |url: &str| access(&|a| a.proxy = ProxyUrl::parse(url).ok()).server_fingerprint();
        assert_eq!(proxy("http://me:old@p"), proxy("http://me:new@p"));
        let of_server = [
            base.server_fingerprint(),
            access(&|a| a.authority = Some(b"ca".to_vec())).server_fingerprint(),
            access(&|a| a.server_name = Some("ca".into())).server_fingerprint(),
            proxy("http://p"),
            proxy("http://q"),
        ];
        let different: std::collections::BTreeSet<_> = of_server.iter().collect();
        assert_eq!(different.len(), of_server.len());
    }
}
