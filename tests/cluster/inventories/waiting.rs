//! `apply --wait`: until everything is ready, or says what is not and why.

use supercargo_testbed::{Profiles, story};

use super::hand::{Hand, config_map, deployment, failing, homeless};

const PROFILES: Profiles = Profiles::First("commands under the user's own rights");

const WAIT: &str = "waiting for resources to become ready...\n";
/// What a pod says that no node takes.
const UNSCHEDULED: &str = "one of its pods: is not scheduled: Unschedulable: 0/1 nodes are available: \
    1 node(s) didn't match Pod's node affinity/selector";

#[story]
async fn a_timeout_names_what_is_not_ready_and_why() {
    let hand = Hand::begin("hand-timeout").await;
    let apply = ["apply", "-i", "app", "--wait", "--timeout", "3s", "-f", "-"];
    let patient =
        |name: &str| homeless(name).replace("progressDeadlineSeconds: 1\n", "progressDeadlineSeconds: 600\n");
    let app: String = ["a", "b", "c", "d"].map(patient).concat();
    let ended = hand.run(&apply, &app);
    let error = "error: not healthy within --timeout (3s):\n";
    let lines: String = ["a", "b", "c", "d"]
        .map(|n| format!("  Deployment/NS/{n}: 0 of 1 replicas ready; {UNSCHEDULED}\n"))
        .concat();
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.ends_with(&format!("{WAIT}{error}{lines}")), "{}", ended.err);
    assert_eq!(hand.named("app").await.len(), 4);
}

#[story]
async fn b16_a_failed_object_ends_the_wait_at_once() {
    let hand = Hand::begin("hand-fails").await;
    let app = failing("bad") + &config_map("a", "1");
    let started = std::time::Instant::now();
    let ended = hand.run(&["apply", "-i", "app", "--wait", "--timeout", "5m", "-f", "-"], &app);
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .err
            .contains(&format!("{WAIT}error: unhealthy:\n  Deployment/NS/bad: ProgressDeadlineExceeded")),
        "{}",
        ended.err
    );
}

fn job(spec: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: once}}\nspec:\n  template:\n    spec: {{{spec}restartPolicy: \
         Never, containers: [{{name: main, image: 'main:1'}}]}}\n"
    )
}

#[story]
async fn b16_a_job_is_waited_for_until_it_is_complete() {
    let hand = Hand::begin("hand-job").await;
    let ended = hand.run(
        &["apply", "-i", "app", "--wait", "--timeout", "1s", "-f", "-"],
        &job("nodeSelector: {no: such}, "),
    );
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.err.contains("error: not healthy within --timeout (1s):\n  Job/NS/once: "),
        "{}",
        ended.err
    );
    let told = hand.does(&["apply", "-i", "other", "--wait", "-f", "-"], &job("").replace("once", "twice"));
    assert!(told.ends_with(&format!("Job/NS/twice created\n{WAIT}all resources are ready\n")), "{told}");
    let done = hand.story.object("batch/v1", "jobs", "twice").await.expect("the Job");
    assert_eq!(done["status"]["succeeded"], 1);
}

#[story]
async fn an_unchanged_apply_waits_for_what_is_not_ready_yet() {
    let hand = Hand::begin("hand-waits-again").await;
    hand.does(&["apply", "-i", "app", "-f", "-"], &homeless("web").replace("Seconds: 1\n", "Seconds: 600\n"));
    let ended = hand.run(
        &["apply", "-i", "app", "--wait", "--timeout", "1s", "-f", "-"],
        &homeless("web").replace("Seconds: 1\n", "Seconds: 600\n"),
    );
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("Deployment/NS/web unchanged\n"), "{}", ended.err);
    let fixed = deployment("web", "", "");
    let told = hand.does(&["apply", "-i", "app", "--wait", "-f", "-"], &fixed);
    assert!(
        told.ends_with(&format!("Deployment/NS/web configured\n{WAIT}all resources are ready\n")),
        "{told}"
    );
}
