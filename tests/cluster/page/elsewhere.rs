//! Pages of other origins in the browser of a person who has signed in: they show nothing of the page, and change nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::Value;
use supercargo_testbed::{Profiles, story};

use super::shared::{ACT, Cluster, READ};

const PROFILES: Profiles = Profiles::First("the page acts with the rights of a person");

/// Answers every request with one document, as a plain server on a port of loopback.
fn serve(document: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let document = document.clone();
            // A browser opens connections that it does not use.
            std::thread::spawn(move || answer(client, &document));
        }
    });
    port
}

fn answer(mut client: TcpStream, document: &str) {
    let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
    while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
        match client.read(&mut buffer) {
            Ok(read) if read > 0 => asked.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        document.len()
    );
    // A browser that has gone reads nothing.
    let _ = client.write_all(format!("{head}{document}").as_bytes());
}

#[story]
async fn a_page_of_another_origin_shows_nothing_of_the_page_and_changes_nothing() {
    let cluster = Cluster::begin("page-elsewhere", &[]).await;
    let scene = &cluster.scene;
    let token = cluster.token("amara", &format!("{READ}, {ACT}"));
    let window = cluster.signed_in(&token).await;
    let release = format!("{}/release/{}/app", cluster.page, scene.namespace());
    let mallory = cluster.token("mallory", READ);
    let field = |name: &str, value: &str| format!("<input type=hidden name={name} value={value}>");
    let form = |id: &str, action: &str, fields: &[String]| {
        format!("<form id={id} method=post action='{action}'>{}<button>Go</button></form>", fields.concat())
    };
    let act = form("act", &format!("{release}/act"), &[field("do", "suspend"), field("token", "guess")]);
    let enter =
        form("enter", &format!("{}/sign-in", cluster.page), &[field("token", &mallory), field("to", "/")]);
    let leave = form("leave", &format!("{}/sign-out", cluster.page), &[]);
    let frame = |url: &str| format!("<iframe src='{url}'></iframe>");
    let plain = serve("<!doctype html><title>a</title><main>harmless</main>".to_owned());
    // Of the same site on another port, to which the browser sends the cookie, and of another site.
    for host in ["localhost", "127.0.0.1"] {
        let frames =
            [frame(&format!("http://{host}:{plain}/")), frame(&release), frame(&cluster.page)].concat();
        let port = serve(format!(
            "<!doctype html><title>evil</title><main id=content>{frames}{act}{enter}{leave}</main>"
        ));
        let evil = format!("http://{host}:{port}/");
        window.goto(&evil).await;
        // The browser shows what may be framed.
        assert_eq!(window.in_frame(0, "return document.body.innerText").await, "harmless", "{host}");
        for nth in [1, 2] {
            let address = window.in_frame(nth, "return location.protocol").await;
            assert_eq!(address, "chrome-error:", "{host} {nth}");
        }
        for id in ["act", "enter", "leave"] {
            window.goto(&evil).await;
            window.click(&format!("#{id} button")).await;
            let sent = format!("return location.port !== '{port}' && document.readyState === 'complete'");
            window.wait("the form was sent", &sent).await;
            let text = window.text().await;
            assert!(text.contains("this request comes from another page"), "{host} {id}: {text}");
        }
        // The person is who they were, and nothing has changed.
        window.goto(&release).await;
        let footer = window.run("return document.querySelector('footer').innerText").await.to_string();
        assert!(footer.contains(&cluster.user("amara")), "{footer}");
        assert_eq!(
            scene.story.release("app").await.expect("the release")["spec"]["suspend"],
            Value::Bool(false)
        );
    }
    window.close().await;
}
