//! `supercargo health`: the verdicts of the operator, without a cluster.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::cli::args::ClusterArgs;
use crate::cli::input::{files, health_rules};
use crate::cli::print::text::Lines;
use crate::cli::{CliError, Printer};
use crate::domain::health::as_of;
use crate::domain::identity::group_of;
use crate::domain::manifest::decode::decode_values;
use crate::domain::message::and_more;

/// Judge the health of objects in files.
///
/// Prints a line for each object, in the order of the input: its state, the object, and why.
/// The rules are those of the operator. Takes the objects as a cluster gives them, with their
/// status: YAML documents, a List, or a JSON list. Contacts no cluster. Some verdicts depend on the
/// age of an object: see --as-of.
///
/// Exit codes: 0 when every object is Current or Suspended; 1 when one is not; 2 when the input
/// cannot be read or is invalid.
#[derive(Debug, Args)]
#[command(args = ClusterArgs::hidden(), after_long_help = EXAMPLES)]
pub struct HealthArgs {
    /// File or directory of objects; - is stdin. May be repeated.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    filenames: Vec<PathBuf>,
    /// File with expressions that replace the rules of kinds: the list healthCheckExprs of a release, alone or in a
    /// release; - is stdin.
    #[arg(long, value_name = "FILE")]
    expr: Option<PathBuf>,
    /// The time of the verdicts: object is the latest time in the metadata and conditions of each
    /// object, for saved objects; now is for objects that come from a cluster.
    #[arg(long, value_enum, default_value = "object", value_name = "TIME")]
    as_of: AsOf,
    /// Output format: text, or json with one JSON object a line.
    #[arg(short = 'o', long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: HealthFormat,
}

/// How verdicts are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HealthFormat {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

/// By which clock an object is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AsOf {
    /// The latest time in the object.
    Object,
    /// That of this machine.
    Now,
}

const EXAMPLES: &str = "\
Examples:
  # What the operator would say about everything in a namespace
  kubectl get all -n apps -o yaml | supercargo health --as-of now -f -

  # Try the expressions of a release in CI
  supercargo health -f objects.yaml --expr release.yaml

  # Verdicts of saved objects, for a program
  supercargo health -f objects.yaml -o json";

/// The verdict about one object, as it is printed.
#[derive(Serialize)]
struct Verdict<'a> {
    /// `Kind.group/namespace/name`.
    object: String,
    /// `Current`, `InProgress`, `Failed`, `Suspended` or `Terminating`.
    state: &'static str,
    message: &'a str,
}

impl HealthArgs {
    /// Prints the verdicts.
    ///
    /// # Errors
    /// When an object is not healthy, or the input cannot be used.
    pub(in crate::cli) fn run(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        self.judge(printer).map_err(CliError::of_comparison)
    }

    fn judge(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        files::stdin_once(self.filenames.iter().chain(&self.expr))?;
        let rules = self.expr.as_deref().map(health_rules::read).transpose()?.unwrap_or_default();
        let objects = read(&self.filenames)?;
        let mut all_healthy = true;
        for object in &objects {
            let now = match self.as_of {
                AsOf::Object => as_of(object).unwrap_or_else(Timestamp::now),
                AsOf::Now => Timestamp::now(),
            };
            let health = rules.assess(object, now);
            all_healthy &= health.state.is_healthy();
            let verdict =
                Verdict { object: name(object), state: health.state.as_str(), message: &health.message };
            match self.output {
                HealthFormat::Text => {
                    printer.line(format!("{:<11} {}: {}", verdict.state, verdict.object, verdict.message))?;
                }
                HealthFormat::Json => {
                    let line = serde_json::to_string(&verdict)
                        .map_err(|e| CliError::Input(format!("cannot write the output: {e}")))?;
                    printer.data(format!("{line}\n").as_bytes())?;
                }
            }
        }
        if all_healthy { Ok(()) } else { Err(CliError::Unhealthy) }
    }
}

fn read(filenames: &[PathBuf]) -> Result<Vec<Value>, CliError> {
    let (mut objects, mut problems) = (Vec::new(), Vec::new());
    let mut is_blank = true;
    for (name, bytes) in files::read(filenames)? {
        is_blank &= bytes.iter().all(u8::is_ascii_whitespace);
        match decode_values(&name, &bytes) {
            Ok(values) => objects.extend(values.into_iter().map(|(value, _)| value)),
            Err(errors) => {
                problems.extend(errors.first.iter().map(ToString::to_string));
                problems.extend(and_more(errors.more_of_all()));
            }
        }
    }
    if !problems.is_empty() {
        return Err(CliError::Several(problems.into_iter().collect::<Lines>()));
    }
    // A list without items is an answer, too.
    if is_blank {
        return Err(CliError::Input("the input contains no objects".to_owned()));
    }
    Ok(objects)
}

/// `Kind.group/namespace/name`; an object without a namespace has `Kind.group/name`.
fn name(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let group = group_of(text("/apiVersion"));
    let kind = match group {
        "" => text("/kind").to_owned(),
        group => format!("{}.{group}", text("/kind")),
    };
    match text("/metadata/namespace") {
        "" => format!("{kind}/{}", text("/metadata/name")),
        namespace => format!("{kind}/{namespace}/{}", text("/metadata/name")),
    }
}
