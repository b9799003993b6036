//! A name server: every name that ends in `.test` is 127.0.0.1, no other exists.
//!
//! A resolver asks port 53 and no other, so each server has an address of its own
//! there, and this process the right to bind it.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};

/// The port that resolvers ask.
const PORT: u16 = 53;
const HEADER: usize = 12;
const A: u16 = 1;

/// A running name server. It ends with the process.
pub struct Names {
    address: Ipv4Addr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Names {
    /// Starts one.
    pub fn start() -> Names {
        // Processes that run at the same time start far from each other.
        let first = u8::try_from(std::process::id() % 250).expect("it is below 250") + 1;
        let mut refused = String::new();
        for last in 1..=250 {
            let address = Ipv4Addr::new(127, 53, first, last);
            match UdpSocket::bind((address, PORT)) {
                Ok(socket) => return Names::on(address, socket, Ipv4Addr::LOCALHOST),
                Err(error) => refused = error.to_string(),
            }
        }
        panic!(
            "no name server can listen on port {PORT} of 127.53.{first}.0/24 ({refused}): run the tests as root, or let \
             everybody have that port: sysctl net.ipv4.ip_unprivileged_port_start=53"
        );
    }

    /// One on a socket that has that address: every name that ends in `.test` is `found`.
    pub(crate) fn on(address: Ipv4Addr, socket: UdpSocket, found: Ipv4Addr) -> Names {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((size, from)) = socket.recv_from(&mut question) {
                if let Some((name, answer)) = answer(&question[..size], found) {
                    told.lock().expect("lock").push(name);
                    // Who asked may have gone; he asks again if he has not.
                    drop(socket.send_to(&answer, from));
                }
            }
        });
        Names { address, asked }
    }

    /// `/etc/resolv.conf` of who is to ask it.
    pub fn resolv_conf(&self) -> String {
        format!("nameserver {}\noptions timeout:5 attempts:6\n", self.address)
    }

    /// The names that were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("lock").clone()
    }
}

// The name in a question, and the answer to it: RFC 1035, section 4.
fn answer(question: &[u8], address: Ipv4Addr) -> Option<(String, Vec<u8>)> {
    let mut labels = Vec::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(question.get(at..at + length)?).into_owned());
        at += length;
    }
    let kind = u16::from_be_bytes([*question.get(at)?, *question.get(at + 1)?]);
    let asked = question.get(HEADER..at + 4)?;
    let name = labels.join(".");
    let known = name.ends_with(".test");
    let found = known && kind == A;
    let mut answer = question.get(..2)?.to_vec();
    // An answer to a query that may be recursive; code 3: there is no such name.
    answer.extend([0x81, if known { 0x80 } else { 0x83 }]);
    // One question, one or no answer, nothing else.
    answer.extend([0, 1, 0, u8::from(found), 0, 0, 0, 0]);
    answer.extend(asked);
    if found {
        // The name of the question, type A, class IN, for no time at all, four bytes.
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    Some((name, answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_known_and_another_is_not() {
        let question = |name: &str, kind: u8| {
            let mut bytes = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            for label in name.split('.') {
                bytes.push(u8::try_from(label.len()).expect("a label is short"));
                bytes.extend(label.as_bytes());
            }
            bytes.extend([0, 0, kind, 0, 1]);
            bytes
        };
        // The code of the answer, and how many addresses it has.
        let check = |name: &str, kind: u8, expected: (u8, u8)| {
            let (asked, answer) = answer(&question(name, kind), Ipv4Addr::LOCALHOST).expect("an answer");
            assert_eq!(asked, name);
            assert_eq!(answer[..2], [7, 9]);
            assert_eq!((answer[3] & 15, answer[7]), expected, "{name} {kind}");
        };
        check("a.test", 1, (0, 1));
        check("a.test", 28, (0, 0));
        check("a.example", 1, (3, 0));
        assert!(answer(&[0; 5], Ipv4Addr::LOCALHOST).is_none());
    }
}
