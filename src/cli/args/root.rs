//! The command as a whole.

use clap::{Parser, Subcommand};

use super::{ClusterArgs, ControllerArgs, PullCommand, PushCommand};

/// What [`super::exit`] fixes, for people.
const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed, stderr says why; 2 the arguments make no sense.";

/// Configuration artifacts for Kubernetes, in OCI registries.
#[derive(Debug, Parser)]
#[command(name = "supercargo", version, disable_help_subcommand = true, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Upload to a registry.
    #[command(subcommand, arg_required_else_help = true)]
    Push(PushCommand),
    /// Download from a registry.
    #[command(subcommand, arg_required_else_help = true)]
    Pull(PullCommand),
    /// Print the CustomResourceDefinition of OCIArtifactRelease as YAML.
    Crd,
    /// Run the operator in a cluster.
    Controller(ControllerArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
