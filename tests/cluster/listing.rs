//! How the operator lists what exists: with the watch that follows it where the API server can do that, in
//! pages where it cannot, and in both cases without losing or inventing an object.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use supercargo_testbed::proxy::{Fate, Seen};
use supercargo_testbed::{Bed, Profiles, Proxy, Story, story};

use crate::scene::{Scene, config_map};

const PROFILES: Profiles = Profiles::First("how objects are listed does not depend on rights");

const WATCHED: [&str; 3] = ["ociartifactreleases", "serviceaccounts", "configmaps"];
const STREAM: &str = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";

fn is_of(seen: &Seen, kind: &str) -> bool {
    seen.path.split('?').next().is_some_and(|path| path.ends_with(&format!("/{kind}")))
}

fn is_stream(seen: &Seen) -> bool {
    seen.path.contains(STREAM)
}

fn is_page(seen: &Seen) -> bool {
    seen.path.contains("&limit=")
}

/// How often each watched kind was listed: as a stream, and by a page.
fn lists(proxy: &Proxy) -> [(usize, usize); 3] {
    WATCHED.map(|kind| {
        let streams = proxy.count(|seen| is_of(seen, kind) && is_stream(seen));
        (streams, proxy.count(|seen| is_of(seen, kind) && is_page(seen)))
    })
}

/// Edits an object that a release has applied, and waits until that is corrected.
async fn drifts(scene: &Scene<'_>, name: &str) {
    scene.story.kubectl(&["patch", "cm", name, "-p", r#"{"data":{"key":"edited"}}"#], "");
    let put_back = async || {
        let map = scene.story.object("v1", "configmaps", name).await?;
        (map["data"]["key"] == "one").then_some(())
    };
    scene.story.wait_for("the edit is put back", put_back).await;
}

async fn install(scene: &Scene<'_>, name: &str) {
    scene.install(name, &config_map(name, "one"), json!({"interval": "1h", "retryInterval": "1h"})).await;
}

#[story]
async fn what_exists_comes_with_its_watch_and_what_a_broken_stream_has_shown_proves_nothing() {
    let story = Story::begin("listing").await;
    let mut proxy = Proxy::before_api_server(story.bed());
    let scene = Scene::of(story).start_with(|options| options.through(&proxy));
    install(&scene, "app").await;
    drifts(&scene, "app").await;
    for (kind, (streams, pages)) in WATCHED.iter().zip(lists(&proxy)) {
        assert!(streams >= 1 && pages == 0, "{kind}: {:?}", proxy.seen());
    }

    // The version of the watch is too old. The next stream shows the object as it was, and breaks off.
    let get = ["get", "cm", "app", "-o", "json", "--show-managed-fields"];
    let object: Value = serde_json::from_str(&scene.story.kubectl(&get, "")).expect("an object");
    let shown = json!({"type": "ADDED", "object": object}).to_string() + "\n";
    let gone = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410,
        "message":"too old resource version"}"#;
    let (mut first_watch, mut first_stream) = (true, true);
    proxy.forget();
    proxy.rule(move |seen| match is_of(seen, "configmaps") && seen.path.contains("watch=true") {
        true if is_stream(seen) && std::mem::take(&mut first_stream) => Fate::Answer(200, shown.clone()),
        true if !is_stream(seen) && std::mem::take(&mut first_watch) => Fate::Answer(410, gone.to_owned()),
        _ => Fate::Pass,
    });
    proxy.refuse();
    scene.story.kubectl(&["delete", "cm", "app"], "");
    proxy.listen();
    let is_back = async || scene.story.object("v1", "configmaps", "app").await;
    scene.story.wait_for("the deletion is put back", is_back).await;
    let [_, _, config_maps] = lists(&proxy);
    assert_eq!(config_maps, (1, 1), "{:?}", proxy.seen());
    drifts(&scene, "app").await;
}

#[story]
async fn an_api_server_that_is_too_busy_for_a_list_is_asked_again_when_it_says() {
    let story = Story::begin("listing-busy").await;
    let proxy = Proxy::before_api_server(story.bed());
    let scene = Scene::of(story).start_with(|options| options.through(&proxy));
    let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let noted = Arc::clone(&times);
    proxy.rule(move |seen| {
        if !is_of(seen, "configmaps") || !is_stream(seen) {
            return Fate::Pass;
        }
        let mut times = noted.lock().expect("lock");
        times.push(Instant::now());
        if times.len() < 3 { Fate::too_many_requests(2) } else { Fate::Pass }
    });
    install(&scene, "app").await;
    drifts(&scene, "app").await;
    let times = times.lock().expect("lock").clone();
    assert!(times.len() >= 3, "{times:?}");
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_secs(2), "{:?}", pair[1] - pair[0]);
    }
    assert_eq!(lists(&proxy)[2].1, 0, "no page is asked for");
}

#[story]
async fn where_the_api_server_does_not_stream_lists_they_come_in_pages() {
    let bed = Bed::with_flags(&["--feature-gates=WatchList=false"]);
    bed.install_crds();
    // It refuses a stream. Behind the other proxy, it has never heard of streams and ignores what asks for
    // one.
    for (name, ignores) in [("listing-refused", false), ("listing-ignored", true)] {
        let story = Story::on(&bed, name).await;
        let proxy = Proxy::before_api_server(&bed);
        if ignores {
            proxy.rule(|seen| match is_stream(seen) {
                true => Fate::Rewrite(seen.path.replace(STREAM, "")),
                false => Fate::Pass,
            });
        }
        let scene = Scene::of(story).start_with(|options| options.through(&proxy));
        install(&scene, "app").await;
        drifts(&scene, "app").await;
        for (kind, (streams, pages)) in WATCHED.iter().zip(lists(&proxy)) {
            assert!(streams >= 1 && pages >= 1, "{name}, {kind}: {:?}", proxy.seen());
        }
        // That is known now.
        proxy.forget();
        install(&scene, "other").await;
        drifts(&scene, "other").await;
        let [_, (streams, pages), _] = lists(&proxy);
        assert!(streams == 0 && pages >= 1, "{name}: {:?}", proxy.seen());
        drifts(&scene, "app").await;
    }
}
