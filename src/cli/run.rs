//! From the command line to a verb and back to an exit code.

use std::io::{self, BufWriter};
use std::path::Path;
use std::process::ExitCode;

use clap::FromArgMatches;

use super::root::{Arguments, command};
use super::shell::{complete, missing_noun};
use super::{CliError, Look, Printer, exit};

/// What kubectl runs for `kubectl supercargo`.
const PLUGIN: &str = "kubectl-supercargo";

/// Reads the arguments of the process; exits when they are invalid, or after it has completed a word
/// for a shell.
pub fn arguments() -> Arguments {
    complete::answer(|| command(called()));
    let matches = command(called()).try_get_matches().unwrap_or_else(|error| refuse(&error));
    Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Says why the arguments are invalid, and exits.
fn refuse(error: &clap::Error) -> ! {
    let typed: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    match missing_noun::hint(command(called()), &typed, error) {
        Some(message) => clap::Error::raw(error.kind(), message).exit(),
        None => error.exit(),
    }
}

/// The program's name as it was typed, if it is not `supercargo`.
fn called() -> Option<&'static str> {
    let name = std::env::args_os().next()?;
    let name = Path::new(&name).file_stem()?.to_str()?;
    (name == PLUGIN).then_some("kubectl supercargo")
}

/// Runs a verb. The controller is not one: the binary starts it directly.
pub fn main(arguments: Arguments) -> ExitCode {
    let (mut out, mut err) = (BufWriter::new(io::stdout()), io::stderr());
    let mut printer = Printer::with(&mut out, &mut err, Look::of_process(arguments.global.color));
    let compares = arguments.command.compares();
    let result = match arguments.command.at_once(&mut printer) {
        Some(result) => result,
        None => over_the_network(arguments, &mut printer),
    };
    printer.progress().clear();
    // Data before messages, also when the verb has failed.
    let flushed = printer.finish();
    match ending(result, flushed, compares) {
        Ok(()) => ExitCode::from(exit::SUCCESS),
        Err(e) => {
            if e.is_reported() {
                printer.fail(&e);
            }
            ExitCode::from(e.exit_code())
        }
    }
}

/// The result of a command: that of its verb, unless its output is lost.
fn ending(
    result: Result<(), CliError>,
    flushed: Result<(), CliError>,
    compares: bool,
) -> Result<(), CliError> {
    match (result, flushed) {
        (result, Ok(())) => result,
        (Ok(()) | Err(CliError::Differs | CliError::Unhealthy), Err(e)) if compares => Err(e.of_comparison()),
        (Ok(()), Err(e)) => Err(e),
        (Err(e), Err(_)) => Err(e),
    }
}

fn over_the_network(arguments: Arguments, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| CliError::Input(format!("cannot start the async runtime: {e}")))?;
    let result = runtime.block_on(within_its_time(arguments, printer));
    // A read of stdin or of a file may block for ever; it is not waited for.
    runtime.shutdown_background();
    result
}

/// Runs the verb within `--timeout`, unless the verb limits its own wait.
async fn within_its_time(arguments: Arguments, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let Arguments { command, global, cluster } = arguments;
    let (waits, compares) = (command.waits(), command.compares());
    let work = command.run(&cluster, printer);
    let Some(timeout) = global.timeout.filter(|_| !waits) else {
        return work.await;
    };
    match tokio::time::timeout(timeout, work).await {
        Ok(result) => result,
        Err(_) => {
            let late = CliError::Failed(format!("timed out after {}s (--timeout)", timeout.as_secs()));
            Err(if compares { late.of_comparison() } else { late })
        }
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
