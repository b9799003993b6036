//! A collector of traces: OTLP over HTTP, read with OpenTelemetry's own types. (The
//! project's collector cannot be built from what Go's module proxies have.)

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message;

/// One span, as far as tests look at it.
#[derive(Debug, Clone)]
pub struct Span {
    /// The name.
    pub name: String,
    /// Hex.
    pub trace: String,
    /// Hex.
    pub id: String,
    /// Hex; empty for the first of a trace.
    pub parent: String,
    /// When, in nanoseconds of Unix time.
    pub from: u64,
    /// Until when.
    pub to: u64,
    /// Its attributes, and those of its resource.
    pub attributes: Vec<(String, String)>,
    /// The messages of its events.
    pub events: Vec<String>,
    /// Whether its status is an error.
    pub failed: bool,
}

impl Span {
    /// One attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A running collector. It ends with the process.
pub struct Collector {
    url: String,
    got: Arc<Mutex<Got>>,
}

#[derive(Default)]
struct Got {
    spans: Vec<Span>,
    heads: Vec<String>,
}

impl Collector {
    /// Starts one.
    pub fn start() -> Collector {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind a port");
        let url = format!("http://{}", listener.local_addr().expect("a bound address"));
        let got = Arc::new(Mutex::new(Got::default()));
        let keep = Arc::clone(&got);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let keep = Arc::clone(&keep);
                std::thread::spawn(move || drop(serve(stream, &keep)));
            }
        });
        Collector { url, got }
    }

    /// Its base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All spans that have come.
    pub fn spans(&self) -> Vec<Span> {
        self.got.lock().expect("lock").spans.clone()
    }

    /// The heads of the requests: first line and headers.
    pub fn heads(&self) -> Vec<String> {
        self.got.lock().expect("lock").heads.clone()
    }
}

fn serve(stream: TcpStream, keep: &Mutex<Got>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let spans = ExportTraceServiceRequest::decode(body.as_slice()).map(|request| read(&request));
    let known = head.starts_with("POST /v1/traces ");
    let status = match &spans {
        Ok(_) if known => "200 OK",
        _ => "400 Bad Request",
    };
    {
        let mut got = keep.lock().expect("lock");
        got.heads.push(head);
        got.spans.extend(spans.ok().filter(|_| known).unwrap_or_default());
    }
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.get_mut().write_all(answer.as_bytes())
}

fn read(request: &ExportTraceServiceRequest) -> Vec<Span> {
    const ERROR: i32 = 2;
    let mut found = Vec::new();
    for resource in &request.resource_spans {
        let common = resource.resource.iter().flat_map(|r| pairs(&r.attributes)).collect::<Vec<_>>();
        for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
            found.push(Span {
                name: span.name.clone(),
                trace: hex::encode(&span.trace_id),
                id: hex::encode(&span.span_id),
                parent: hex::encode(&span.parent_span_id),
                from: span.start_time_unix_nano,
                to: span.end_time_unix_nano,
                attributes: pairs(&span.attributes).chain(common.clone()).collect(),
                events: span.events.iter().map(|event| event.name.clone()).collect(),
                failed: span.status.as_ref().is_some_and(|status| status.code == ERROR),
            });
        }
    }
    found
}

fn pairs(attributes: &[KeyValue]) -> impl Iterator<Item = (String, String)> {
    attributes.iter().map(|pair| (pair.key.clone(), text(pair.value.as_ref())))
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|v| v.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::BoolValue(truth)) => truth.to_string(),
        Some(Any::DoubleValue(number)) => number.to_string(),
        _ => String::new(),
    }
}
