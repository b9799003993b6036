//! Variables that are replaced in manifests.

use clap::{Args, ValueEnum};

/// Variables that are replaced in manifests.
#[derive(Debug, Default, Args)]
pub struct SubstituteArgs {
    /// Replace ${NAME} in the manifests by a value; may be repeated.
    #[arg(long = "substitute", hide_short_help = true, value_name = "NAME=VALUE")]
    pub values: Vec<String>,
    /// Take variables from a file (a manifest of a ConfigMap or Secret, or lines NAME=VALUE), or for a command that contacts the cluster, from configmap/NAME or secret/NAME; may be repeated, later ones win.
    #[arg(long = "substitute-from", hide_short_help = true, value_name = "SOURCE")]
    pub from: Vec<String>,
    /// Type of a variable, in mode typed: String, Number or Boolean; may be repeated.
    #[arg(long = "substitute-type", hide_short_help = true, value_name = "NAME=TYPE")]
    pub types: Vec<String>,
    /// How variables are replaced: typed (only declared ones, in text values) or flux (as Flux does).
    #[arg(
        long = "substitute-mode",
        hide_short_help = true,
        value_enum,
        ignore_case = true,
        default_value = "typed",
        value_name = "MODE"
    )]
    pub mode: SubstituteMode,
    /// Whether a variable that is not declared and has no default is an error (default: only in mode flux).
    #[arg(long = "substitute-strict", hide_short_help = true, value_parser = ["true", "false"], default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_possible_values = true, value_name = "BOOL")]
    pub strict: Option<String>,
}

/// How variables are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SubstituteMode {
    /// Declared variables in text values.
    #[default]
    Typed,
    /// As in Flux.
    Flux,
}

impl SubstituteArgs {
    /// Whether variables are replaced at all.
    pub fn is_given(&self) -> bool {
        !(self.values.is_empty() && self.from.is_empty() && self.types.is_empty())
            || self.mode == SubstituteMode::Flux
            || self.strict.is_some()
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        variables: SubstituteArgs,
    }

    #[test]
    fn nothing_is_replaced_unless_it_is_asked_for() {
        let check = |arguments: &[&str], expected: bool| {
            let arguments = ["x"].iter().chain(arguments);
            let matches = Typed::command().try_get_matches_from(arguments).unwrap();
            let typed = Typed::from_arg_matches(&matches).unwrap();
            assert_eq!(typed.variables.is_given(), expected, "{typed:?}");
        };
        check(&[], false);
        check(&["--substitute-mode", "typed"], false);
        check(&["--substitute-mode", "flux"], true);
        check(&["--substitute-mode", "Flux"], true);
        check(&["--substitute", "A=b"], true);
        check(&["--substitute-strict"], true);
        check(&["--substitute-strict=false"], true);
    }
}
