//! Which proxy leads to the API server: as kubectl has it, which is written in Go.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;

use crate::cli::program;

/// A proxy that lets nobody through, and what it was asked.
struct Proxy {
    address: String,
    asked: std::thread::JoinHandle<String>,
}

impl Proxy {
    /// Of HTTP: the head of the first request.
    fn http() -> Self {
        Self::answering(|mut stream| {
            let mut head = String::new();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            while lines.read_line(&mut head).unwrap() > 2 {}
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").unwrap();
            head
        })
    }

    /// Of SOCKS: the first bytes.
    fn socks() -> Self {
        Self::answering(|mut stream| {
            let mut first = [0; 3];
            stream.read_exact(&mut first).unwrap();
            format!("{first:?}")
        })
    }

    fn answering(answer: impl FnOnce(std::net::TcpStream) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = std::thread::spawn(move || answer(listener.accept().unwrap().0));
        Self { address, asked }
    }

    fn asked(self) -> String {
        self.asked.join().unwrap()
    }
}

const VARIABLES: [&str; 8] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// What `get releases` says of a server, with this in its cluster of the
/// kubeconfig, in this environment.
fn said(directory: &Path, server: &str, cluster: &str, environment: &[(&str, &str)]) -> String {
    let kubeconfig = directory.join("kubeconfig");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}],
        clusters: [{{name: c, cluster: {{server: '{server}'{cluster}}}}}], users: [{{name: u, user: {{token: t}}}}]}}"
    );
    std::fs::write(&kubeconfig, text).unwrap();
    let mut command = program(&["get", "releases", "--kubeconfig", kubeconfig.to_str().unwrap()]);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    let output = command.envs(environment.iter().copied()).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(!err.contains("s3cret"), "{err}");
    err
}

#[test]
fn the_api_server_is_asked_through_the_proxy_that_kubectl_would_use() {
    let directory = tempfile::tempdir().unwrap();
    let check = |server: &str, cluster: &str, environment: &[(&str, &str)], proxied: bool| {
        let err = said(directory.path(), server, cluster, environment);
        let through = err.contains(" through the proxy http://127.0.0.1:2: Connection refused");
        assert_eq!(through, proxied, "{server} {cluster} {environment:?}: {err}");
        assert!(err.starts_with(&format!("error: the API server does not answer: {server}")), "{err}");
    };
    let proxy = ("HTTPS_PROXY", "http://user:s3cret@127.0.0.1:2");
    let api = "https://api.invalid:6443";
    check(api, "", &[], false);
    check(api, "", &[proxy], true);
    check(api, "", &[("https_proxy", proxy.1)], true);
    check(api, "", &[("HTTP_PROXY", proxy.1)], false);
    check(api, "", &[("HTTPS_PROXY", "127.0.0.1:2")], true);
    check("https://127.0.0.1:1", "", &[proxy], false);
    check("https://localhost:1", "", &[proxy], false);
    check("https://[::1]:1", "", &[proxy], false);
    for none in
        ["api.invalid", "api.invalid,", ".invalid", "*.invalid", "invalid:6443", "*", " a , api.invalid "]
    {
        check(api, "", &[proxy, ("NO_PROXY", none)], false);
    }
    for none in ["", ",", "127.0.0.1", "api.invalid:443", "pi.invalid", "127.0.0.0/8"] {
        check(api, "", &[proxy, ("NO_PROXY", none)], true);
    }
    check(api, "", &[proxy, ("no_proxy", "invalid")], false);
    check("https://192.0.2.1:6443", "", &[proxy, ("NO_PROXY", "10.0.0.0/8")], true);
    // What the kubeconfig names is meant, whatever the environment exempts.
    let own = ", proxy-url: 'http://user:s3cret@127.0.0.1:2'";
    check(api, own, &[("NO_PROXY", "*")], true);
    check("https://127.0.0.1:1", own, &[], true);
    check(api, own, &[("HTTPS_PROXY", "http://127.0.0.1:3")], true);
    check(api, ", proxy-url: ''", &[proxy], true);
    let err = said(directory.path(), api, ", proxy-url: 'ftp://user:s3cret@proxy'", &[]);
    assert_eq!(
        err,
        "error: invalid kubeconfig: proxy-url has an unsupported proxy scheme: use http, https or socks5\n"
    );
}

#[test]
fn a_proxy_gets_the_credentials_of_its_url_and_the_name_of_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let api = "https://api.invalid:6443";
    let proxy = Proxy::http();
    let url = format!("http://us%65r:s3cret@{}", proxy.address);
    let err = said(directory.path(), api, "", &[("HTTPS_PROXY", &url)]);
    assert!(err.contains(&format!(" through the proxy http://{}: ", proxy.address)), "{err}");
    let head = proxy.asked().to_lowercase();
    assert!(head.starts_with("connect api.invalid:6443 http/1.1\r\n"), "{head}");
    // user:s3cret
    assert!(head.contains("proxy-authorization: basic dxnlcjpzm2nyzxq=\r\n"), "{head}");
    let socks = Proxy::socks();
    let err = said(directory.path(), api, "", &[("HTTPS_PROXY", &format!("socks5://{}", socks.address))]);
    assert!(err.contains(&format!(" through the proxy socks5://{}: ", socks.address)), "{err}");
    assert_eq!(socks.asked(), "[5, 1, 0]");
}
