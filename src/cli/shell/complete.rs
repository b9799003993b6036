//! Completion in a shell: `COMPLETE=bash supercargo` is what the script of `supercargo completion bash`
//! runs for each word. Names in a cluster are read from it, within a time that a person does not notice
//! as a wait, and silently: a message would be in the middle of the line that is being typed.

use std::sync::mpsc;
use std::time::Duration;

use clap::{Arg, Command};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};

use crate::cli::args::ClusterArgs;
use crate::cli::reach::connect::connect;
use crate::cluster::browse::NameSource;
use crate::cluster::connection::Connection;

/// The variable that asks for completion.
pub(in crate::cli) const VARIABLE: &str = "COMPLETE";
/// How long a shell waits for names at most.
const PATIENCE: Duration = Duration::from_secs(2);

/// What has names.
#[derive(Clone, Copy)]
enum Source {
    Releases,
    Inventories,
    Namespaces,
    Contexts,
    Clusters,
    Users,
}

/// Completes a word and ends the process, if a shell asks for that.
pub(in crate::cli) fn answer(root: impl Fn() -> Command) {
    CompleteEnv::with_factory(|| with_names(root(), "")).var(VARIABLE).bin("supercargo").complete();
}

/// The same commands, whose arguments know where their values come from.
fn with_names(command: Command, verb: &str) -> Command {
    let name = command.get_name().to_owned();
    let command = command.mut_args(|argument| named(argument, verb, &name));
    command.mut_subcommands(|below| with_names(below, &name))
}

fn named(argument: Arg, verb: &str, noun: &str) -> Arg {
    let Some(source) = source(argument.get_id().as_str(), verb, noun) else { return argument };
    argument.add(ArgValueCandidates::new(move || {
        names(source).into_iter().map(CompletionCandidate::new).collect()
    }))
}

/// Where the values of an argument come from.
fn source(argument: &str, verb: &str, noun: &str) -> Option<Source> {
    match (argument, verb, noun) {
        ("namespace" | "inventory_namespace", _, _) => Some(Source::Namespaces),
        ("context", _, _) => Some(Source::Contexts),
        ("cluster", _, _) => Some(Source::Clusters),
        ("user", _, _) => Some(Source::Users),
        ("name" | "names", "get", "releases") | ("name" | "names", _, "release") => Some(Source::Releases),
        ("name", "get", "inventories") | ("name", "diff" | "inspect", "inventory") => {
            Some(Source::Inventories)
        }
        ("name", _, "apply" | "diff" | "delete" | "plan") => Some(Source::Inventories),
        _ => None,
    }
}

/// The names, or none where they cannot be read in time.
fn names(source: Source) -> Vec<String> {
    let (sender, found) = mpsc::channel();
    // A credential plugin may hang: the thread ends with the process.
    std::thread::spawn(move || {
        let mut cluster = typed(std::env::args());
        if matches!(source, Source::Namespaces) {
            // Half of a name.
            cluster.namespace = None;
        }
        // The receiver is gone when it was too late.
        let _ = sender.send(read(source, &cluster));
    });
    found.recv_timeout(PATIENCE).ok().flatten().unwrap_or_default()
}

fn read(source: Source, cluster: &ClusterArgs) -> Option<Vec<String>> {
    let connection = Connection { kubeconfig: cluster.kubeconfig.clone(), ..Connection::default() };
    match source {
        Source::Contexts => return Some(connection.entries().contexts),
        Source::Clusters => return Some(connection.entries().clusters),
        Source::Users => return Some(connection.entries().users),
        Source::Releases | Source::Inventories | Source::Namespaces => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let session = connect(cluster).await.ok()?;
        let namespace = session.default_namespace();
        let named = match source {
            Source::Releases => NameSource::Releases(namespace),
            Source::Inventories => NameSource::Inventories(namespace),
            _ => NameSource::Namespaces,
        };
        session.names(named).await.ok()
    })
}

/// The flags that select a cluster, from a line that is not complete: clap does not read such a line.
fn typed(words: impl Iterator<Item = String>) -> ClusterArgs {
    let mut cluster = ClusterArgs::default();
    let mut words = words.skip_while(|word| word != "--").skip(1).peekable();
    while let Some(word) = words.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) if word.starts_with("--") => (flag.to_owned(), Some(value.to_owned())),
            _ => match word.strip_prefix("-n").filter(|value| !value.is_empty()) {
                Some(value) => ("-n".to_owned(), Some(value.trim_start_matches('=').to_owned())),
                None => (word, None),
            },
        };
        let mut set = |place: &mut Option<String>| *place = value.clone().or_else(|| words.peek().cloned());
        match flag.as_str() {
            "-n" | "--namespace" => set(&mut cluster.namespace),
            "--context" => set(&mut cluster.context),
            "--cluster" => set(&mut cluster.cluster),
            "--user" => set(&mut cluster.user),
            "-s" | "--server" => set(&mut cluster.server),
            "--kubeconfig" => {
                let mut file = None;
                set(&mut file);
                cluster.kubeconfig = file.map(Into::into);
            }
            _ => {}
        }
    }
    // The word that is being completed.
    for place in [&mut cluster.namespace, &mut cluster.context, &mut cluster.cluster, &mut cluster.user] {
        place.take_if(|value| value.is_empty());
    }
    cluster
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_of_a_line_is_that_of_its_flags() {
        let check = |line: &str, namespace: Option<&str>, context: Option<&str>| {
            let words = format!("supercargo -- supercargo {line}");
            let cluster = typed(words.split(' ').map(str::to_owned));
            assert_eq!(
                (cluster.namespace.as_deref(), cluster.context.as_deref()),
                (namespace, context),
                "{line}"
            );
        };
        check("status release ", None, None);
        check("-n apps status release ", Some("apps"), None);
        check("status release -napps --context=prod ", Some("apps"), Some("prod"));
        check("status release --namespace=apps --context prod x", Some("apps"), Some("prod"));
        check("get releases -n ", None, None);
    }

    #[test]
    fn names_are_offered_where_they_are_arguments() {
        let check = |argument: &str, verb: &str, noun: &str, expected: bool| {
            assert_eq!(source(argument, verb, noun).is_some(), expected, "{verb} {noun} {argument}");
        };
        check("name", "status", "release", true);
        check("names", "get", "releases", true);
        check("names", "reconcile", "release", true);
        check("name", "supercargo", "apply", true);
        check("name", "inspect", "inventory", true);
        check("url", "push", "artifact", false);
        check("namespace", "", "supercargo", true);
    }
}
