//! `supercargo completion`.

use clap::{Args, Command};

use crate::cli::args::ClusterArgs;
use crate::cli::{CliError, Printer};

/// Print the completion script of a shell.
///
/// Writes the script to stdout; reads nothing.
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
    /// Prints the script of a whole command line for a shell.
    ///
    /// # Errors
    /// When it cannot be written to stdout.
    pub(in crate::cli) fn run(&self, mut root: Command, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut root, "supercargo", &mut script);
        printer.data(&script)
    }
}
