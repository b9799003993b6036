//! What a chart cannot do: each attempt is rendered by Helm itself, in the sandbox of builds.

use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use supercargo::api::reason::Reason;
use supercargo::builder::{Availability, BuildError, BuildOptions, BuildProgram, Builder, Chart};
use supercargo::domain::manifest::chart::ChartInputs;
use supercargo_testbed::archive::tar;
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Profiles, processes, story};

use crate::scene::BINARY;

const PROFILES: Profiles = Profiles::First("processes that reach no cluster");

/// The options of a builder in this process, with the Helm of the image.
pub fn options() -> BuildOptions {
    BuildOptions {
        helm_binary: Some(Tools::helm().path("helm").to_path_buf()),
        launcher: BINARY.into(),
        memory: 128 << 20,
        ..BuildOptions::default()
    }
}

fn chart(files: Vec<(&str, Vec<u8>)>, values: &str) -> Chart {
    let meta = b"apiVersion: v2\nname: evil\nversion: 1.0.0\n".to_vec();
    let files = [("Chart.yaml", meta)].into_iter().chain(files);
    let files = files.map(|(name, bytes)| (format!("evil/{name}"), Bytes::from(bytes)));
    let inputs = ChartInputs {
        release_name: "rel".into(),
        values: vec![values.as_bytes().to_vec()],
        ..ChartInputs::default()
    };
    Chart { files: files.collect(), namespace: "ns".into(), inputs, ..Chart::default() }
}

async fn rendered(options: BuildOptions, chart: Chart) -> Result<String, BuildError> {
    let built = Builder::new(options).build("team", chart, 1 << 20).await?;
    Ok(String::from_utf8_lossy(&built.manifests).into_owned())
}

/// Renders one template.
async fn template(text: &str) -> Result<String, BuildError> {
    rendered(options(), chart(vec![("templates/a.yaml", text.into())], "")).await
}

#[story]
async fn promise_7_a_chart_reaches_nothing_but_its_own_files() {
    let builder = Builder::new(options());
    let availability = builder.availability(BuildProgram::Helm).await;
    assert!(matches!(availability, Availability::Ready { confined: true, .. }), "{availability:?}");
    let secret = processes::directory("outside").join("token");
    std::fs::write(&secret, "swordfish").expect("write a file");
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    listener.set_nonblocking(true).expect("a listener");
    let address = listener.local_addr().expect("an address");

    // Its files, and not those outside of it.
    let path = secret.display();
    let reads = format!(
        "own: {{{{ .Files.Get \"own.txt\" }}}}\nabsolute: [{{{{ .Files.Get \"{path}\" }}}}]\nabove: [{{{{ .Files.Get \
         \"../../../../../..{path}\" }}}}]\nvalues: [{{{{ .Files.Get \"../values-0.yaml\" }}}}]\nall: {{{{ range $path, $_ \
         := .Files.Glob \"/**\" }}}}{{{{ $path }}}}{{{{ end }}}}\nhost: [{{{{ getHostByName \"localhost\" }}}}]\nlooked: \
         {{{{ lookup \"v1\" \"Secret\" \"\" \"\" | len }}}}\n"
    );
    let files = vec![("templates/a.yaml", reads.into_bytes()), ("own.txt", b"mine".to_vec())];
    let out = rendered(options(), chart(files, "")).await.expect("it is rendered");
    for line in ["own: mine", "absolute: []", "above: []", "values: []", "all: \n", "host: []", "looked: 0"] {
        assert!(out.contains(line), "{line:?} is not in {out}");
    }
    // What would read the environment is no function of Helm.
    for function in ["env \"HOME\"", "expandenv \"$HOME\""] {
        let error =
            template(&format!("a: {{{{ {function} }}}}")).await.expect_err("there is no such function");
        assert!(error.to_string().contains("not defined"), "{error}");
    }
    // A schema that is elsewhere.
    for reference in [format!("file://{path}"), format!("http://{address}/schema.json")] {
        let schema =
            format!(r#"{{"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "{reference}"}}"#);
        let files = vec![("values.schema.json", schema.into_bytes())];
        let error = rendered(options(), chart(files, "a: 1")).await.expect_err("it cannot be read");
        assert!(error.reason() == Reason::BuildFailed && !error.to_string().contains("swordfish"), "{error}");
    }
    assert!(listener.accept().is_err(), "somebody has connected");
}

#[story]
async fn promise_7_bombs_in_charts_are_ended() {
    let small = || BuildOptions { memory: 96 << 20, cpu: Duration::from_secs(3), ..options() };
    let ends = async |files: Vec<(&str, Vec<u8>)>, values: &str, reasons: &[Reason]| {
        let names = files.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" ");
        let error = rendered(small(), chart(files, values)).await.expect_err("it is ended");
        assert!(reasons.contains(&error.reason()), "{names}: {error}");
        error.to_string()
    };
    let failed = &[Reason::BuildFailed, Reason::ArtifactTooLarge];
    let one = |text: &str| vec![("templates/a.yaml", text.as_bytes().to_vec())];
    // More text than there is memory, and more than an output may have.
    ends(one("a: {{ repeat 2000000000 \"x\" }}"), "", failed).await;
    ends(one("a: {{ range until 300000 }}xxxxxxxxxxxxxxxxxxxx{{ end }}"), "", failed).await;
    // Loops that take hours, and templates that call themselves.
    let loops = "{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}";
    ends(one(loops), "", failed).await;
    ends(one("{{ define \"a\" }}{{ include \"a\" . }}{{ end }}a: {{ include \"a\" . }}"), "", failed).await;
    ends(one("{{ define \"a\" }}{{ template \"a\" . }}{{ end }}a: {{ template \"a\" . }}"), "", failed).await;
    ends(one("a: {{ tpl .Values.again . }}"), "again: '{{ tpl .Values.again . }}'", failed).await;
    // Aliases that double, in the values.
    let mut bomb = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for n in 1..30 {
        let before = n - 1;
        bomb.push_str(&format!("a{n}: &a{n} [*a{before}, *a{before}, *a{before}, *a{before}]\n"));
    }
    ends(one("a: {{ .Values.a29 | toYaml }}"), &bomb, failed).await;
    // A chart within the chart that is larger than all memory once it is unpacked.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = "0".repeat(16 << 20);
    let names: Vec<String> = (0..10).map(|n| format!("sub/{n}.txt")).collect();
    let inner: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), zeros.as_str())).collect();
    encoder.write_all(&tar(&inner)).expect("compress");
    let inner = encoder.finish().expect("compress");
    assert!(inner.len() < 1 << 20);
    ends(vec![("charts/sub-1.0.0.tgz", inner)], "", failed).await;
}

#[story]
async fn what_helm_says_is_passed_on_without_secrets() {
    let fail = "a: {{ fail (printf \"no host, and the password is %s\" .Values.password) }}";
    let mut open = chart(vec![("templates/a.yaml", fail.into())], "password: hunter2");
    let said = rendered(options(), open.clone()).await.expect_err("it fails").to_string();
    assert!(said.starts_with("helm template of evil 1.0.0 failed: ") && said.contains("no host"), "{said}");
    assert!(!said.contains("/tmp"), "{said}");
    open.inputs.has_secrets = true;
    let said = rendered(options(), open).await.expect_err("it fails").to_string();
    let hidden = "helm template of evil 1.0.0 failed (message hidden: it may contain Secret values); run it on your machine \
                  to see why";
    assert_eq!(said, hidden);
}
