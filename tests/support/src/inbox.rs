//! A receiver of notifications: an HTTP server on loopback that keeps what it is sent and answers as it is
//! told. It stands in for services that cannot run here; of their APIs it knows no more than each test says.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::certificates::Authority;
use crate::fetch;

/// A request that came.
#[derive(Debug, Clone)]
pub struct Letter {
    /// `POST /path`.
    pub line: String,
    /// The headers; names are in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// The status that it was answered with; 0 without an answer.
    pub status: u16,
    /// When all of it was there.
    pub at: std::time::Instant,
}

impl Letter {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// With a status and headers.
    Status(u16, Vec<(String, String)>),
    /// With a body that never ends.
    Endless,
    /// Not at all, with an open connection.
    Silence,
    /// With bytes that are no HTTP.
    Junk,
}

impl Reply {
    /// A status and one header.
    pub fn with(status: u16, header: &str, value: &str) -> Reply {
        Reply::Status(status, vec![(header.to_owned(), value.to_owned())])
    }
}

#[derive(Default)]
struct State {
    letters: Vec<Letter>,
    replies: VecDeque<Reply>,
    always: Option<Reply>,
}

/// A running receiver. It ends with the process.
pub struct Inbox {
    address: String,
    state: Arc<Mutex<State>>,
}

impl Inbox {
    /// Starts one that takes everything.
    pub fn start() -> Inbox {
        Inbox::on(0)
    }

    /// Starts one on this port.
    pub fn on(port: u16) -> Inbox {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("bind a port");
        let address = listener.local_addr().expect("a bound address").to_string();
        Inbox::serve(listener, format!("http://{address}"), None)
    }

    /// Starts one with a certificate of this authority.
    pub fn secure(authority: &Authority) -> Inbox {
        let (certificate, key) = authority.server().to_der();
        let tls = rustls::ServerConfig::builder_with_provider(fetch::provider())
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a server configuration");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind a port");
        let address = listener.local_addr().expect("a bound address").to_string();
        Inbox::serve(listener, format!("https://{address}"), Some(Arc::new(tls)))
    }

    fn serve(listener: TcpListener, address: String, tls: Option<Arc<rustls::ServerConfig>>) -> Inbox {
        let state = Arc::new(Mutex::new(State::default()));
        let keep = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (keep, tls) = (Arc::clone(&keep), tls.clone());
                std::thread::spawn(move || match tls {
                    None => drop(serve(stream, &keep)),
                    Some(tls) => {
                        let connection = rustls::ServerConnection::new(tls).expect("a connection");
                        drop(serve(rustls::StreamOwned::new(connection, stream), &keep));
                    }
                });
            }
        });
        Inbox { address, state }
    }

    /// Its URL with a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// The next requests are answered so.
    pub fn next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.lock().expect("lock").replies.extend(replies);
    }

    /// All requests are answered so, after those of [`Inbox::next`]; `None` is 200.
    pub fn always(&self, reply: Option<Reply>) {
        self.state.lock().expect("lock").always = reply;
    }

    /// All requests that have come.
    pub fn letters(&self) -> Vec<Letter> {
        self.state.lock().expect("lock").letters.clone()
    }

    /// Those that were taken.
    pub fn taken(&self) -> Vec<Letter> {
        self.letters().into_iter().filter(|letter| letter.status == 200).collect()
    }
}

fn serve(stream: impl Read + Write, keep: &Mutex<State>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
        let mut headers = Vec::new();
        loop {
            let mut header = String::new();
            stream.read_line(&mut header)?;
            let Some((name, value)) = header.trim().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let mut body = vec![0; length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)];
        stream.read_exact(&mut body)?;
        let body = String::from_utf8_lossy(&body).into_owned();
        let reply = {
            let mut state = keep.lock().expect("lock");
            let reply = state.replies.pop_front().or_else(|| state.always.clone());
            let reply = reply.unwrap_or_else(|| Reply::Status(200, Vec::new()));
            let status = if let Reply::Status(status, _) = &reply { *status } else { 0 };
            let at = std::time::Instant::now();
            state.letters.push(Letter { line, headers, body, status, at });
            reply
        };
        let out = stream.get_mut();
        match reply {
            Reply::Status(status, headers) => {
                let headers: String =
                    headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                out.write_all(
                    format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: 2\r\n\r\nok").as_bytes(),
                )?;
            }
            Reply::Endless => {
                out.write_all(b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                loop {
                    out.write_all(format!("10000\r\n{}\r\n", "x".repeat(65536)).as_bytes())?;
                }
            }
            Reply::Silence => loop {
                std::thread::sleep(Duration::from_secs(60));
            },
            Reply::Junk => return out.write_all(b"\x00\x01 junk\r\n\r\n"),
        }
    }
}
