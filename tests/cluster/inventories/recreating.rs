//! `apply --force`: recreation where a field is immutable, and nowhere else.

use supercargo_testbed::{Profiles, story};

use super::hand::Hand;

const PROFILES: Profiles = Profiles::First("commands under the user's own rights");

fn job(image: &str, more: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: once}}\nspec:\n  template:\n    metadata: {{labels: \
         {{testbed.supercargo.dev/pod: pending}}}}\n    spec: {{restartPolicy: Never, containers: [{{name: main, image: '{image}'{more}}}]}}\n"
    )
}

async fn uid(hand: &Hand) -> String {
    let job = hand.story.object("batch/v1", "jobs", "once").await.expect("the Job exists");
    job["metadata"]["uid"].as_str().expect("a uid").to_owned()
}

#[story]
async fn an_immutable_field_is_refused_with_a_hint_and_recreated_with_force() {
    let hand = Hand::begin("hand-force").await;
    hand.does(&["apply", "-i", "app", "-f", "-"], &job("main:1", ""));
    let first = uid(&hand).await;
    let refused = "Job.batch \"once\" is invalid: spec.template: Invalid value: {…}: field is immutable (it \
                   has not finished yet and will be recreated when it finishes; to recreate it now, use \
                   --force or set supercargo.dev/force: enabled on the object)\n";
    hand.says(
        &["apply", "-i", "app", "-f", "-"],
        &job("main:2", ""),
        1,
        "",
        &format!(
            "building inventory...\napplying 1 manifest(s)...\nerror: nothing applied, dry run failed for 1 \
             object:\n  Job/NS/once: {refused}"
        ),
    );
    hand.says(
        &["diff", "-i", "app", "-f", "-"],
        &job("main:2", ""),
        2,
        "",
        &format!(
            "error: dry run failed for 1 object(s), an apply would write nothing:\n  Job/NS/once: {refused}"
        ),
    );
    hand.says(
        &["diff", "-i", "app", "--force", "-f", "-"],
        &job("main:2", ""),
        1,
        "► Job/NS/once recreated
@@ -27,7 +27,7 @@
         testbed.supercargo.dev/pod: pending
     spec:
       containers:
-      - image: main:1
+      - image: main:2
         imagePullPolicy: IfNotPresent
         name: main
         resources: {}
",
        "",
    );
    assert_eq!(uid(&hand).await, first, "nothing was written until now");
    hand.says(
        &["apply", "-i", "app", "--force", "--dry-run", "-f", "-"],
        &job("main:2", ""),
        0,
        "",
        "building inventory...\nJob/NS/once recreated (server dry run)\n",
    );
    hand.says(
        &["apply", "-i", "app", "--force", "-f", "-"],
        &job("main:2", ""),
        0,
        "",
        "building inventory...\napplying 1 manifest(s)...\nJob/NS/once recreated\n",
    );
    assert_ne!(uid(&hand).await, first);
}

#[story]
async fn b5_force_deletes_nothing_that_could_not_be_made_anew() {
    let hand = Hand::begin("hand-b5").await;
    hand.does(&["apply", "-i", "app", "-f", "-"], &job("main:1", ""));
    let first = uid(&hand).await;
    // Immutable and invalid at once.
    let ended = hand
        .run(&["apply", "-i", "app", "--force", "-f", "-"], &job("main:2", ", imagePullPolicy: Nonsense"));
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(
        ended.err.contains("nothing applied, dry run failed for 1 object:\n  Job/NS/once: "),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("Nonsense"), "{}", ended.err);
    assert_eq!(uid(&hand).await, first);
}

#[story]
async fn force_says_what_holds_the_object_that_has_to_go() {
    let hand = Hand::begin("hand-force-held").await;
    hand.does(&["apply", "-i", "app", "-f", "-"], &job("main:1", ""));
    let hold = r#"{"metadata":{"finalizers":["example.com/hold"]}}"#;
    hand.story.kubectl(&["patch", "job/once", "--type=merge", "--patch", hold], "");
    let apply = ["apply", "-i", "app", "--force", "--timeout", "1s", "-f", "-"];
    hand.says(
        &apply,
        &job("main:2", ""),
        1,
        "",
        "building inventory...\napplying 1 manifest(s)...\nerror: apply stopped, failed for 1 object:\n  \
         Job/NS/once: not deleted within 1s for its recreation, probably because of a finalizer\n",
    );
    assert_eq!(hand.named("app").await, ["NS_once_batch_Job"]);
    hand.let_go("job/once");
    hand.story.wait_gone("batch/v1", "jobs", "once").await;
    hand.does(&apply, &job("main:2", ""));
}
