//! From the command line to a verb and back to an exit code.

use std::io::{self, BufWriter};
use std::path::Path;
use std::process::ExitCode;

use clap::FromArgMatches;

use crate::cli::args::{
    self, AdoptCommand, Arguments, Command, DocsPage, GetCommand, InspectCommand, ListCommand, PullCommand,
    PushCommand, ReconcileCommand, ResumeCommand, StatusCommand, SuspendCommand, TagCommand, VerifyCommand,
};
use crate::cli::reach::connect::connect;
use crate::cli::{
    CliError, Look, Printer, adopt, completion, crd, docs, exit, inspect_artifact, inventory, list, metrics,
    pull, push, reconcile, releases, status, tag, verify_artifact, version,
};

/// What kubectl runs for `kubectl supercargo`.
const PLUGIN: &str = "kubectl-supercargo";

/// Reads the arguments of the process; ends it when they make no sense.
pub fn arguments() -> Arguments {
    let matches = args::command(called()).get_matches();
    Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// How a person typed the name of the program, if it is not `supercargo`.
fn called() -> Option<&'static str> {
    let name = std::env::args_os().next()?;
    let name = Path::new(&name).file_stem()?.to_str()?;
    (name == PLUGIN).then_some("kubectl supercargo")
}

/// Runs a verb. The controller is not one: the binary starts it by itself.
pub fn main(arguments: Arguments) -> ExitCode {
    let (mut out, mut err) = (BufWriter::new(io::stdout()), io::stderr());
    let mut printer = Printer::with(&mut out, &mut err, Look::of_process(arguments.global.color));
    let compares = matches!(arguments.command, Command::Diff(_));
    let result = match at_once(&arguments, &mut printer) {
        Some(result) => result,
        None => over_the_network(arguments, &mut printer),
    };
    printer.progress().clear();
    // Data before what is said about it, also when the verb has failed.
    let flushed = printer.finish();
    match ending(result, flushed, compares) {
        Ok(()) => ExitCode::from(exit::SUCCESS),
        Err(e) => {
            if e.is_told() {
                printer.fail(&e);
            }
            ExitCode::from(e.exit_code())
        }
    }
}

/// How a command ends: as its verb has, unless its output is lost.
fn ending(
    result: Result<(), CliError>,
    flushed: Result<(), CliError>,
    compares: bool,
) -> Result<(), CliError> {
    match (result, flushed) {
        (result, Ok(())) => result,
        (Ok(()) | Err(CliError::Differs), Err(e)) if compares => Err(e.of_comparison()),
        (Ok(()), Err(e)) => Err(e),
        (Err(e), Err(_)) => Err(e),
    }
}

/// Verbs that need nothing but their arguments: no runtime is started for them.
fn at_once(arguments: &Arguments, printer: &mut Printer<'_>) -> Option<Result<(), CliError>> {
    match &arguments.command {
        Command::Crd => Some(crd::print(printer)),
        Command::Version(arguments) => Some(version::print(arguments, printer)),
        Command::Completion(arguments) => Some(completion::print(arguments, printer)),
        Command::Docs(arguments) => Some(match arguments.page {
            DocsPage::Cli => docs::print(printer),
            DocsPage::Metrics => metrics::print(printer),
        }),
        // The binary starts it before it comes here.
        Command::Controller(_) => Some(Err(CliError::Usage("the controller is not a verb".into()))),
        _ => None,
    }
}

fn over_the_network(arguments: Arguments, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| CliError::Input(format!("cannot start the async runtime: {e}")))?;
    let result = runtime.block_on(run(arguments, printer));
    // A read of stdin or of a file may be stuck for ever; nobody waits for it.
    runtime.shutdown_background();
    result
}

/// Does it within the time that it may take. Verbs that wait for something bound
/// the wait alone: to be cut off in the middle of a write helps nobody.
async fn run(arguments: Arguments, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let waits = matches!(
        arguments.command,
        Command::Apply(_) | Command::Delete(_) | Command::Reconcile(_) | Command::Resume(_)
    );
    let compares = matches!(arguments.command, Command::Diff(_));
    let Some(timeout) = arguments.global.timeout.filter(|_| !waits) else {
        return verb(arguments, printer).await;
    };
    match tokio::time::timeout(timeout, verb(arguments, printer)).await {
        Ok(result) => result,
        Err(_) => {
            let late = CliError::Failed(format!("it was not done within --timeout ({}s)", timeout.as_secs()));
            Err(if compares { late.of_comparison() } else { late })
        }
    }
}

async fn verb(arguments: Arguments, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let cluster = arguments.cluster;
    match arguments.command {
        Command::Push(PushCommand::Artifact(push)) => push::artifact(&push, printer).await,
        Command::Pull(PullCommand::Artifact(pull)) => pull::artifact(&pull, printer).await,
        Command::Tag(TagCommand::Artifact(tag)) => tag::artifact(&tag, printer).await,
        Command::List(ListCommand::Artifacts(list)) => list::artifacts(&list, printer).await,
        Command::Verify(VerifyCommand::Artifact(verify)) => verify_artifact::artifact(&verify, printer).await,
        Command::Inspect(InspectCommand::Artifact(inspect)) => {
            inspect_artifact::artifact(&inspect, printer).await
        }
        Command::Build(build) => inventory::build(build, printer).await,
        Command::Apply(apply) => inventory::apply(apply, &cluster, printer).await,
        Command::Diff(diff) => inventory::diff(diff, &cluster, printer).await,
        Command::Delete(delete) => inventory::delete(delete, &cluster, printer).await,
        Command::Get(GetCommand::Inventories(get)) => inventory::list(get, &cluster, printer).await,
        Command::Inspect(InspectCommand::Inventory(inspect)) => {
            inventory::inspect(inspect, &cluster, printer).await
        }
        Command::Adopt(AdoptCommand::Inventory(what)) => adopt::inventory(what, &cluster, printer).await,
        Command::Adopt(AdoptCommand::Flux(what)) => adopt::kustomization(what, &cluster, printer).await,
        Command::Get(GetCommand::Releases(arguments)) => {
            releases::get(&arguments, &connect(&cluster).await?, printer).await
        }
        Command::Status(StatusCommand::Release(arguments)) => {
            status::release(&arguments, &connect(&cluster).await?, printer).await
        }
        Command::Reconcile(ReconcileCommand::Release(arguments)) => {
            reconcile::reconcile(&arguments, &connect(&cluster).await?, printer).await
        }
        Command::Suspend(SuspendCommand::Release(arguments)) => {
            reconcile::suspend(&arguments, &connect(&cluster).await?, printer).await
        }
        Command::Resume(ResumeCommand::Release(arguments)) => {
            reconcile::resume(&arguments, &connect(&cluster).await?, printer).await
        }
        // These have been done without a runtime.
        Command::Crd
        | Command::Controller(_)
        | Command::Completion(_)
        | Command::Version(_)
        | Command::Docs(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn output_that_is_lost_changes_the_end_where_it_has_to() {
        let check = |result: Result<(), CliError>, flushed: ErrorKind, compares: bool, expected: u8| {
            let shown = format!("{result:?} {flushed:?}");
            let flushed = Err(CliError::Output(flushed.into()));
            let code = ending(result, flushed, compares).map_or_else(|e| e.exit_code(), |()| exit::SUCCESS);
            assert_eq!(code, expected, "{shown}");
        };
        let full = ErrorKind::StorageFull;
        check(Ok(()), full, false, 1);
        check(Err(CliError::Usage("x".into())), full, false, 2);
        check(Err(CliError::Failed("x".into())), full, false, 1);
        check(Ok(()), full, true, 2);
        check(Err(CliError::Differs), full, true, 2);
        check(Err(CliError::NotCompared("x".into())), full, true, 2);
        assert_eq!(CliError::Output(full.into()).of_comparison().exit_code(), 2);
    }
}
