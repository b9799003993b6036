//! An OpenID Connect issuer on loopback: a discovery document, a key set, and
//! tokens that say what a test wants them to say.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData, SigningKey};
use serde_json::{Value, json};

/// How long a token is good for, in seconds.
const LIFETIME: u64 = 600;

/// The issuers of one server: one for each path. Lives as long as the process.
pub struct Issuer {
    key: KeyPair,
    url: String,
}

impl Issuer {
    /// Starts the server.
    pub fn start() -> Issuer {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("generate a key");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind a port");
        let url = format!("http://{}", listener.local_addr().expect("a bound address"));
        let site = Arc::new(Site {
            url: url.clone(),
            keys: json!({"keys": [{
                "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "1",
                "x": URL_SAFE_NO_PAD.encode(key.der_bytes()),
            }]}),
        });
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let site = Arc::clone(&site);
                // A client that goes away ends its thread.
                std::thread::spawn(move || drop(site.serve(stream)));
            }
        });
        Issuer { key, url }
    }

    /// The issuer at that path: any word.
    pub fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }

    /// A token of the issuer at `path` for `subject`, which is its verified address
    /// of mail too.
    pub fn token(&self, path: &str, subject: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
        let claims = json!({
            "iss": self.url(path),
            "aud": "sigstore",
            "sub": subject,
            "email": subject,
            "email_verified": true,
            "iat": now,
            "exp": now + LIFETIME,
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": "1"});
        let text = format!("{}.{}", part(&header), part(&claims));
        let signature = self.key.sign(text.as_bytes()).expect("sign a token");
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

struct Site {
    url: String,
    keys: Value,
}

impl Site {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut request = String::new();
        stream.read_line(&mut request)?;
        let mut line = String::new();
        while stream.read_line(&mut line)? > 0 && !line.trim().is_empty() {
            line.clear();
        }
        let path = request.split(' ').nth(1).unwrap_or_default();
        let (status, body) = match self.page(path) {
            Some(body) => ("200 OK", body.to_string()),
            None => ("404 Not Found", String::new()),
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}");
        write!(stream.get_mut(), "{head}\r\nConnection: close\r\n\r\n{body}")
    }

    fn page(&self, path: &str) -> Option<Value> {
        if path == "/keys" {
            return Some(self.keys.clone());
        }
        let issuer = path.strip_suffix("/.well-known/openid-configuration")?;
        let at = |path: &str| format!("{}{path}", self.url);
        Some(json!({
            "issuer": at(issuer),
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "jwks_uri": at("/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA"],
        }))
    }
}
