//! The test bed itself: what the other tests rely on.

use supercargo_testbed::Bed;

#[test]
fn a_deployment_becomes_available_within_seconds() {
    let bed = Bed::shared();
    bed.kubectl(&["create", "namespace", "bed-deployment"], "");
    let start = std::time::Instant::now();
    bed.kubectl(
        &["--namespace=bed-deployment", "create", "deployment", "web", "--image=web:1", "--replicas=2"],
        "",
    );
    bed.kubectl(
        &[
            "--namespace=bed-deployment",
            "wait",
            "deployment/web",
            "--for=condition=Available",
            "--timeout=60s",
        ],
        "",
    );
    eprintln!("available after {:?}", start.elapsed());
    bed.kubectl(&["delete", "namespace", "bed-deployment", "--wait=true", "--timeout=60s"], "");
    eprintln!("gone after {:?}", start.elapsed());
}
