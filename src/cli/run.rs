//! From the command line to a verb and back to an exit code.

use std::io::{self, BufWriter};
use std::process::ExitCode;

use clap::Parser;

use super::args::{Arguments, Command, PullCommand, PushCommand};
use super::{CliError, Printer, crd, exit, pull, push};
use crate::oci::{Registry, RegistryOptions};

/// Reads the arguments of the process; ends it when they make no sense.
pub fn arguments() -> Arguments {
    Arguments::parse()
}

/// Runs a verb. The controller is not one: the binary starts it by itself.
pub fn main(command: Command) -> ExitCode {
    let (mut out, mut err) = (BufWriter::new(io::stdout()), io::stderr());
    let mut printer = Printer::new(&mut out, &mut err);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(command, &mut printer)),
        Err(e) => Err(CliError::Input(format!("cannot start the async runtime: {e}"))),
    };
    match result.and_then(|()| printer.finish()) {
        Ok(()) => ExitCode::from(exit::SUCCESS),
        Err(e) => {
            let code = e.exit_code();
            if code != exit::SUCCESS {
                printer.say(&format!("error: {}", e.chain()));
            }
            ExitCode::from(code)
        }
    }
}

async fn run(command: Command, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let registry = Registry::new(RegistryOptions::default());
    match command {
        Command::Push(PushCommand::Artifact(arguments)) => {
            push::artifact(&arguments, &registry, printer).await
        }
        Command::Pull(PullCommand::Artifact(arguments)) => {
            pull::artifact(&arguments, &registry, printer).await
        }
        Command::Crd => crd::print(printer),
        // The binary starts it before it comes here.
        Command::Controller(_) => Err(CliError::Usage("the controller is not a verb".into())),
    }
}
