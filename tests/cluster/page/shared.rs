//! The page of the operator: everyone signs in with a token of the cluster, and sees and does what it allows.

use serde_json::json;
use supercargo_testbed::fetch::{Answer, Trust, send};
use supercargo_testbed::operator::Options;
use supercargo_testbed::{Profiles, Proxy, Story, ports, story};

use super::acting::{changes, plan};
use super::window::Window;
use crate::scene::{BINARY, Scene, config_map, release};

const PROFILES: Profiles = Profiles::First("the page acts with the rights of a person");

/// What a reader of releases may do, and what else lets them act.
pub const READ: &str =
    "{apiGroups: [supercargo.dev], resources: [ociartifactreleases], verbs: [get, list, watch]}";
pub const ACT: &str = "{apiGroups: [supercargo.dev], resources: [ociartifactreleases], verbs: [patch]}, \
    {apiGroups: [''], resources: [events], verbs: [create, list]}, \
    {apiGroups: [''], resources: [configmaps], verbs: [get]}";

/// An operator with its page, and a release in its namespace and in another one.
pub struct Cluster {
    pub scene: Scene<'static>,
    pub page: String,
    secret: String,
}

impl Cluster {
    pub async fn begin(name: &str, arguments: &[&str]) -> Cluster {
        Cluster::of(Story::begin(name).await, name, arguments, None).await
    }

    /// The same, with a proxy before the API server.
    pub async fn behind_proxy(name: &str) -> (Cluster, Proxy) {
        let story = Story::begin(name).await;
        let proxy = Proxy::before_api_server(story.bed());
        (Cluster::of(story, name, &[], Some(&proxy)).await, proxy)
    }

    async fn of(story: Story<'static>, name: &str, arguments: &[&str], proxy: Option<&Proxy>) -> Cluster {
        let secret = story.another_namespace(&format!("{name}-secret"));
        let port = ports::free();
        let builder = Scene::of(story)
            .watching(&[&secret])
            .chart_values(&["--set=ui.enabled=true".to_owned()])
            .argument(&format!("--ui-addr=127.0.0.1:{port}"));
        let builder = arguments.iter().fold(builder, |builder, argument| builder.argument(argument));
        let scene = builder.start_with(|options| match proxy {
            Some(proxy) => options.through(proxy),
            None => options,
        });
        scene.install("app", &config_map("a", "one"), json!({"interval": "1h"})).await;
        let theirs =
            release(&secret, "theirs", "oci://127.0.0.1:1/app", json!({"suspend": true})).to_string();
        scene.story.bed().kubectl(&["apply", "-f", "-"], &theirs);
        Cluster { scene, page: format!("http://localhost:{port}"), secret }
    }

    /// A token of a ServiceAccount of the story's namespace with these rights there.
    pub fn token(&self, name: &str, rules: &str) -> String {
        let story = &self.scene.story;
        story.apply(&format!(
            "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}}}\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: {name}}}\nrules: [{rules}]\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: {name}}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name}}}\n\
             subjects: [{{kind: ServiceAccount, name: {name}, namespace: {}}}]\n",
            story.namespace()
        ));
        story.bed().service_account_token(story.namespace(), name)
    }

    /// The name of a ServiceAccount of the story's namespace, as the API server knows it.
    pub fn user(&self, name: &str) -> String {
        format!("system:serviceaccount:{}:{name}", self.scene.namespace())
    }

    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        send("GET", &format!("{}{path}", self.page), headers, b"", Trust::default())
    }

    /// The cookie that a sign-in gives.
    pub fn cookie(&self, token: &str) -> String {
        let entered =
            self.post("/sign-in", &[("origin", self.page.as_str())], &format!("token={token}&to=%2F"));
        assert_eq!(entered.code, 303, "{}", entered.text());
        let cookie = entered.header("set-cookie").and_then(|cookie| cookie.split(';').next());
        cookie.expect("a cookie").to_owned()
    }

    fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let headers = [&[form], headers].concat();
        send("POST", &format!("{}{path}", self.page), &headers, body.as_bytes(), Trust::default())
    }

    /// A browser in which a person has signed in.
    pub async fn signed_in(&self, token: &str) -> Window {
        let window = Window::open().await;
        window.goto(&format!("{}/releases", self.page)).await;
        window.wait("the page asks for a token", "return !!document.querySelector('#token')").await;
        window.type_into("#token", &format!("{token}\u{e007}")).await;
        window.wait_text("Releases").await;
        window
    }
}

#[story]
async fn a_person_with_a_token_sees_and_changes_what_their_rights_allow() {
    let cluster = Cluster::begin("page-token", &[]).await;
    let scene = &cluster.scene;
    let token = cluster.token("amara", &format!("{READ}, {ACT}"));
    let window = cluster.signed_in(&token).await;
    // One goes on to where one wanted to go, and sees one's own namespace only.
    assert_eq!(window.address().await, format!("{}/releases", cluster.page));
    window.wait_text("1 release").await;
    window.wait_text("app").await;
    assert!(!window.text().await.contains("theirs"), "{}", window.text().await);
    assert_eq!(window.run("return document.cookie").await, "", "no script reads the cookie");
    let footer = window.run("return document.querySelector('footer').innerText").await.to_string();
    assert!(footer.contains(&cluster.user("amara")) && footer.contains("1 release"), "{footer}");
    assert_eq!(window.violations().await, Vec::<String>::new());
    // What the API server refuses, the page refuses in its words.
    window.goto(&format!("{}/release/{}/theirs", cluster.page, cluster.secret)).await;
    window.wait_text("cannot get resource").await;

    // A change has the name of the person, in the event and in the audit log.
    let mark = scene.story.bed().audit().mark();
    window.goto(&format!("{}/release/{}/app", cluster.page, scene.namespace())).await;
    window.click(".actions a[href$='do=suspend']").await;
    window.wait_text(&cluster.user("amara")).await;
    window.click("button.primary").await;
    window.wait_text("Suspended.").await;
    assert_eq!(scene.story.release("app").await.expect("the release")["spec"]["suspend"], true);
    let note = scene.wait_event("app", "Requested", &["suspended the release"]).await;
    assert!(note.starts_with(&cluster.user("amara")), "{note}");
    let requests = scene.story.bed().audit().since(mark, &cluster.user("amara"));
    let patched =
        requests.iter().any(|request| request.verb == "patch" && request.resource == "ociartifactreleases");
    assert!(patched, "{requests:?}");

    // Sign out: the cookie is gone, and so is the page.
    window.click("form.person button").await;
    window.wait("the page asks for a token", "return !!document.querySelector('#token')").await;
    window.goto(&format!("{}/releases", cluster.page)).await;
    window.wait("the page asks for a token", "return !!document.querySelector('#token')").await;
    assert_eq!(window.violations().await, Vec::<String>::new());
    window.close().await;
    assert!(!scene.operator.log().contains(&token), "a token is in the log");
}

#[story]
async fn a_person_with_a_token_does_on_the_page_of_the_operator_what_the_rights_allow() {
    let cluster = Cluster::begin("page-shared-act", &[]).await;
    let scene = &cluster.scene;
    let window = cluster.signed_in(&cluster.token("amara", &format!("{READ}, {ACT}"))).await;
    let page = format!("{}/release/{}/app", cluster.page, scene.namespace());
    // A plan waits: it is what needs a person first, and the page shows what it would do.
    scene.change("app", json!({"approval": "Manual"}));
    scene.upgrade("app", "2", &config_map("a", "two"));
    let hash = plan(scene, "").await;
    window.goto(&cluster.page).await;
    window.wait_text("Needs approval").await;
    window.goto(&page).await;
    window.wait_text(&format!("--hash {hash}")).await;
    window.click("a[href*='do=approve']").await;
    window.click("button.primary").await;
    window.wait_text("Plan approved.").await;
    scene.wait_data("a", "two").await;
    let note = scene.wait_event("app", "Requested", &["approved plan", &hash]).await;
    assert!(note.starts_with(&cluster.user("amara")), "{note}");
    scene.change("app", json!({"approval": "Automatic"}));
    scene.story.wait_ready("app", "2@").await;
    changes(scene, &window, &page, &cluster.user("amara")).await;
    // Its objects and its events are read with the token.
    window.goto(&page).await;
    window.wait_text("1 object, all healthy").await;
    window.wait_text(&format!("ConfigMap\n{}/a", scene.namespace())).await;
    window.wait_text("pinned the release to 1@").await;
    assert_eq!(window.violations().await, Vec::<String>::new());
    window.close().await;
}

#[story]
async fn without_the_right_nothing_changes_and_a_revoked_token_ends_the_page() {
    let cluster = Cluster::begin("page-revoked", &[]).await;
    let scene = &cluster.scene;
    let token = cluster.token("reader", READ);
    let window = cluster.signed_in(&token).await;
    let page = format!("{}/release/{}/app", cluster.page, scene.namespace());
    window.goto(&format!("{page}/confirm?do=suspend")).await;
    window.click("button.primary").await;
    window.wait_text("Nothing was changed").await;
    window.wait_text("cannot patch resource").await;
    assert_eq!(scene.story.release("app").await.expect("the release")["spec"]["suspend"], false);
    // The token is revoked while the page is open: the page ends by itself.
    window.goto(&format!("{}/releases", cluster.page)).await;
    window.wait_text("1 release").await;
    scene.story.kubectl(&["delete", "serviceaccount", "reader"], "");
    let bearer = format!("Bearer {token}");
    let refused = async || (cluster.get("/", &[("authorization", &bearer)]).code == 401).then_some(());
    scene.story.wait_for("the token counts no more", refused).await;
    window.wait("the page asks for a token", "return !!document.querySelector('#token')").await;
    window.close().await;
}

#[story]
async fn nobody_gets_in_without_a_token_or_by_another_name() {
    let cluster = Cluster::begin("page-door", &["--ui-hosts=page.example.com"]).await;
    let token = cluster.token("reader", READ);
    let bearer = format!("Bearer {token}");
    // Nothing without a token, and nothing of the cluster in the answer.
    for path in ["/", "/releases", "/fleet", "/release/a/b", "/live/wrong", "/nothing"] {
        for headers in [&[][..], &[("authorization", "Bearer guess")], &[("cookie", "supercargo=guess")]] {
            let answer = cluster.get(path, headers);
            assert_eq!(answer.code, 401, "{path} {headers:?}: {}", answer.text());
            assert!(!answer.text().contains(cluster.scene.namespace()), "{path}: {}", answer.text());
            assert!(
                answer
                    .header("content-security-policy")
                    .is_some_and(|p| p.contains("frame-ancestors 'none'"))
            );
        }
    }
    // An open page hears that its sign-in has ended.
    let ended = cluster.get("/live/wrong", &[("accept", "text/event-stream")]);
    assert_eq!(ended.text(), "event: end\ndata: \n\n");
    // The link of another site leads to the page that the browser sends its cookie to, and never elsewhere.
    let from_elsewhere = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
    assert!(cluster.get("/releases?q=a", &from_elsewhere).text().contains("url=/releases?q=a"));
    assert!(cluster.get("//evil.example/", &from_elsewhere).text().contains("url=/\""));

    // A proxy sends the token.
    let entered = cluster.get("/releases", &[("authorization", &bearer)]);
    assert_eq!(entered.code, 200, "{}", entered.text());
    // Only by its names.
    for (host, code) in [("page.example.com", 200), ("page.example.com:8443", 200), ("evil.example", 421)] {
        assert_eq!(
            cluster.get("/releases", &[("authorization", &bearer), ("host", host)]).code,
            code,
            "{host}"
        );
    }
    // A token for another audience, and what is no token.
    let namespace = cluster.scene.namespace().to_owned();
    let other = ["create", "token", "reader", "-n", &namespace, "--audience=elsewhere"];
    let other = cluster.scene.story.bed().kubectl(&other, "");
    let own = [("origin", cluster.page.as_str())];
    let sign_in = |headers: &[(&str, &str)], token: &str| {
        let body = format!("token={token}&to=%2Freleases");
        cluster.post("/sign-in", headers, &body)
    };
    for (token, code) in [(other.trim(), 401), ("guess", 401), ("", 400), ("two+words", 400)] {
        let answer = sign_in(&own, token);
        assert_eq!((answer.code, answer.header("set-cookie")), (code, None), "{}", answer.text());
    }
    // A person without rights hears why there is nothing.
    let blind = format!("Bearer {}", cluster.token("blind", ""));
    let empty = cluster.get("/releases", &[("authorization", &blind)]).text();
    assert!(empty.contains("You see no release") && !empty.contains("theirs"), "{empty}");
    // A form of another site signs nobody in.
    assert_eq!(sign_in(&[], &token).code, 403);
    assert_eq!(sign_in(&[("origin", "https://evil.example")], &token).code, 403);
    // The cookie opens the page, is not the token, and goes over TLS where the page has a name.
    let named = [("origin", "https://page.example.com"), ("host", "page.example.com")];
    for (headers, name, attributes) in [
        (&own[..], "supercargo=", "; HttpOnly; SameSite=Strict; Path=/"),
        (&named[..], "__Host-supercargo=", "; Secure; HttpOnly; SameSite=Strict; Path=/"),
    ] {
        let answer = sign_in(headers, &token);
        assert_eq!((answer.code, answer.header("location")), (303, Some("/releases")), "{}", answer.text());
        let cookie = answer.header("set-cookie").expect("a cookie").to_owned();
        assert!(cookie.starts_with(name) && cookie.ends_with(attributes), "{cookie}");
        assert!(!cookie.contains(&token));
        let cookie = cookie.split(';').next().expect("its value").to_owned();
        let host = headers.iter().find(|(name, _)| *name == "host").copied();
        let headers: Vec<(&str, &str)> = [("cookie", cookie.as_str())].into_iter().chain(host).collect();
        assert_eq!(cluster.get("/releases", &headers).code, 200);
        // A cookie is of its host.
        let value = cookie.split_once('=').expect("a value").1;
        let elsewhere = match host {
            Some(_) => cluster.get("/releases", &[("cookie", &format!("supercargo={value}"))]),
            None => {
                let cookie = format!("__Host-supercargo={value}");
                cluster.get("/releases", &[("cookie", &cookie), ("host", "page.example.com")])
            }
        };
        assert_eq!(elsewhere.code, 401);
        // A change needs the form of the page.
        let act = format!("/release/{namespace}/app/act");
        let headers = [headers, vec![("origin", cluster.page.as_str())]].concat();
        assert_eq!(cluster.post(&act, &headers, "do=suspend").code, 403);
    }
}

#[story]
async fn a_cookie_of_one_replica_opens_the_page_of_another_one() {
    let cluster = Cluster::begin("page-replicas", &[]).await;
    let scene = &cluster.scene;
    let cookie = cluster.cookie(&cluster.token("amara", READ));
    let port = ports::free();
    let options = Options::new(BINARY, &scene.account).watching(&[scene.namespace()]);
    let mut second = options.argument(&format!("--ui-addr=127.0.0.1:{port}")).start();
    second.wait_ready();
    let open = |cookie: &str| {
        let page = format!("http://localhost:{port}/release/{}/app", scene.namespace());
        send("GET", &page, &[("cookie", cookie)], b"", Trust::default())
    };
    // It has never seen the person, and reads the key from the Secret that both share.
    let first = open(&cookie);
    assert_eq!(first.code, 200, "{}", first.text());
    assert!(first.text().contains(&cluster.user("amara")), "{}", first.text());
    // Another cookie opens nothing there.
    let end = if cookie.ends_with('A') { "B" } else { "A" };
    assert_eq!(open(&format!("{}{end}", &cookie[..cookie.len() - 1])).code, 401);
}

#[story]
async fn a_page_without_sign_in_shows_statuses_and_changes_nothing() {
    let cluster = Cluster::begin("page-open", &["--ui-anonymous"]).await;
    let scene = &cluster.scene;
    assert!(scene.operator.log().contains("the page asks for no sign-in"), "{}", scene.operator.log());
    let window = Window::open().await;
    window.goto(&format!("{}/releases", cluster.page)).await;
    window.wait_text("app").await;
    window.wait_text("theirs").await;
    let page = format!("/release/{}/app", scene.namespace());
    window.goto(&format!("{}{page}", cluster.page)).await;
    window.wait_text("this page shows only the statuses of releases").await;
    let controls = "return document.querySelectorAll('main .actions, main form, main .choice').length";
    assert_eq!(window.run(controls).await, 0);
    assert!(!window.text().await.contains("ConfigMap"), "{}", window.text().await);
    assert_eq!(window.violations().await, Vec::<String>::new());
    window.close().await;
    let own = [("origin", cluster.page.as_str())];
    assert_eq!(cluster.get(&format!("{page}/confirm?do=suspend"), &[]).code, 403);
    assert_eq!(cluster.get(&format!("{page}/diff"), &[]).code, 403);
    assert_eq!(cluster.post(&format!("{page}/act"), &own, "do=suspend&token=").code, 403);
    assert_eq!(cluster.post("/sign-in", &own, "token=a").code, 404);
    assert_eq!(cluster.get("/", &[("host", "evil.example")]).code, 421);
    // A release that the operator does not watch.
    assert_eq!(cluster.get("/release/default/other", &[]).code, 404);
    assert_eq!(scene.story.release("app").await.expect("the release")["spec"]["suspend"], false);
}
