//! `supercargo completion`.

use clap::Args;
use clap_complete::env::Shells;

use crate::cli::args::ClusterArgs;
use crate::cli::shell::complete::VARIABLE;
use crate::cli::{CliError, Printer};

/// Print the completion script of a shell.
///
/// Writes the script to stdout; reads nothing. For each word that you complete, the script runs supercargo, which also
/// completes the names of releases, inventories, namespaces and contexts: it reads them from the cluster of the
/// flags typed so far, for at most two seconds. Without a cluster it offers none.
///
/// Exit codes: 0 success; 2 unknown shell.
#[derive(Debug, Args)]
#[command(args = ClusterArgs::hidden(), after_long_help = EXAMPLES)]
pub struct CompletionArgs {
    /// Type of the shell.
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

const EXAMPLES: &str = "\
Examples:
  # bash, in this shell and in future ones
  source <(supercargo completion bash)
  echo 'source <(supercargo completion bash)' >> ~/.bashrc

  # zsh
  supercargo completion zsh > \"${fpath[1]}/_supercargo\"

  # fish
  supercargo completion fish > ~/.config/fish/completions/supercargo.fish

  # PowerShell
  supercargo completion powershell | Out-String | Invoke-Expression";

impl CompletionArgs {
    /// Prints the script for a shell.
    ///
    /// # Errors
    /// When it cannot be written to stdout.
    pub(in crate::cli) fn run(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let name = self.shell.to_string();
        let shells = Shells::builtins();
        let shell = shells.completer(&name);
        let shell = shell.ok_or_else(|| CliError::Usage(format!("{name} is not a known shell")))?;
        let mut script = Vec::new();
        let program = "supercargo";
        let written = shell.write_registration(VARIABLE, program, program, program, &mut script);
        written.map_err(|error| CliError::Input(format!("cannot write the script: {error}")))?;
        printer.data(&script)
    }
}
