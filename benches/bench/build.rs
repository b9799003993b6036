//! The build of an overlay in the sandbox, beside the program alone.

use std::fmt::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use supercargo::builder::{BuildOptions, BuildProgram, Builder, Tree};
use supercargo_testbed::processes;
use supercargo_testbed::tools::Tools;

use super::table::{Row, Table, median};

/// Deployments of the overlay, each with its Service.
const APPS: usize = 50;
const RUNS: usize = 21;

/// Measures the rows.
pub async fn measure(table: &mut Table) {
    let program = Tools::image().path("kustomize");
    let files = [
        ("base/all.yaml", objects()),
        ("base/kustomization.yaml", BASE.to_owned()),
        ("prod/kustomization.yaml", PROD.to_owned()),
    ];
    let directory = processes::directory("overlay");
    for (name, content) in &files {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("create a directory");
        std::fs::write(path, content).expect("write a file");
    }
    let builder = Builder::new(BuildOptions {
        binary: Some(program.to_path_buf()),
        launcher: env!("CARGO_BIN_EXE_supercargo").into(),
        ..BuildOptions::default()
    });
    builder.availability(BuildProgram::Kustomize).await;
    let (mut ours, mut alone) = (Vec::new(), Vec::new());
    // In turn, so that both meet the same machine.
    for _ in 0..RUNS {
        let tree = files.iter().map(|(name, content)| ((*name).to_owned(), content.clone().into())).collect();
        let started = Instant::now();
        let built = builder.build("bench", Tree { files: tree, directory: "prod".to_owned() }, 1 << 24).await;
        ours.push(started.elapsed());
        assert!(built.expect("it is built").took.is_some(), "nothing is kept");
        alone.push(run(Command::new(program).args(["build", "prod"]).current_dir(&directory).env_clear()));
    }
    let (ours, alone) = (median(ours), median(alone));
    let share = ours.as_secs_f64() / alone.as_secs_f64();
    let mut add = |work: &str, wall: Duration, note: String| {
        table.add(Row { work: work.into(), wall: Some(wall), note, ..Row::default() });
    };
    add(
        "build of an overlay of 100 objects",
        ours,
        format!("looked at, written, confined, built: {share:.2} × kustomize alone"),
    );
    add("the same by kustomize alone", alone, String::new());
}

const BASE: &str = "resources: [all.yaml]\nconfigMapGenerator:\n- {name: settings, literals: [a=b]}\n";
const PROD: &str = "namespace: prod\nnamePrefix: p-\nresources: [../base]\nimages: [{name: nginx, newTag: '2.0'}]\nlabels: \
                    [{pairs: {env: prod}, includeSelectors: true}]\npatches:\n- target: {kind: Deployment}\n  patch: \
                    '[{\"op\": \"replace\", \"path\": \"/spec/replicas\", \"value\": 3}]'\n";

fn objects() -> String {
    let mut text = String::new();
    for n in 0..APPS {
        let _ = write!(
            text,
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web-{n}}}\nspec:\n  replicas: 1\n  selector: \
             {{matchLabels: {{app: web-{n}}}}}\n  template:\n    metadata: {{labels: {{app: web-{n}}}}}\n    spec:\n      \
             containers:\n      - name: web\n        image: nginx:1.0\n        envFrom: [{{configMapRef: {{name: \
             settings}}}}]\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: web-{n}}}\nspec: {{selector: {{app: \
             web-{n}}}, ports: [{{port: 80}}]}}\n"
        );
    }
    text
}

fn run(command: &mut Command) -> Duration {
    let started = Instant::now();
    let output = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).output();
    let output = output.expect("run kustomize");
    assert!(output.status.success() && !output.stdout.is_empty());
    started.elapsed()
}
