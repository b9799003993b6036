//! How a list or a page is printed: kubectl's `-o`.

use clap::Args;
use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::print::jsonpath::JsonPathTemplate;

/// kubectl's `-o`, for commands that print a table.
#[derive(Clone, Debug, Args)]
pub struct OutputArgs {
    /// Output format; wide adds columns to the table.
    #[arg(
        short = 'o',
        long,
        default_value = "table",
        value_parser = FormatParser(TABLE),
        hide_possible_values = true,
        value_name = "table|wide|name|json|yaml|jsonpath=…"
    )]
    pub output: Output,
    /// Omit the header row of the table.
    #[arg(long)]
    pub no_headers: bool,
}

/// The same for a command that prints one thing, not a table.
#[derive(Clone, Debug, Default, Args)]
pub struct PageArgs {
    /// Output format (default: text).
    #[arg(short = 'o', long, value_parser = FormatParser(PAGE).try_map(Output::into_format), hide_possible_values = true, value_name = "json|yaml|jsonpath=…")]
    pub output: Option<OutputFormat>,
}

/// The same for a command that prints manifests.
#[derive(Clone, Debug, Args)]
pub struct ManifestOutput {
    /// Output format.
    #[arg(short = 'o', long, default_value = "yaml", value_parser = FormatParser(NAMED), hide_possible_values = true, value_name = "yaml|json|name|jsonpath=…")]
    pub output: Output,
}

/// The same for a command that made one thing, which has a name.
#[derive(Clone, Debug, Default, Args)]
pub struct ResultArgs {
    /// Output format (default: text).
    #[arg(short = 'o', long, value_parser = FormatParser(NAMED), hide_possible_values = true, value_name = "json|yaml|name|jsonpath=…")]
    pub output: Option<Output>,
}

/// An output format.
#[derive(Clone, Debug)]
pub enum Output {
    /// For people.
    Table,
    /// For people with a wide terminal.
    Wide,
    /// Only names, one a line.
    Name,
    /// For programs.
    Data(OutputFormat),
}

/// An output format for programs.
#[derive(Clone, Debug)]
pub enum OutputFormat {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// What a template takes out of it.
    JsonPath(JsonPathTemplate),
}

impl Output {
    /// The format for programs, if it is one.
    pub fn format(&self) -> Option<&OutputFormat> {
        match self {
            Self::Table | Self::Wide | Self::Name => None,
            Self::Data(format) => Some(format),
        }
    }

    /// Whether it is the wide table.
    pub fn is_wide(&self) -> bool {
        matches!(self, Self::Wide)
    }

    fn into_format(self) -> Result<OutputFormat, &'static str> {
        match self {
            Self::Data(format) => Ok(format),
            _ => Err("is for tables"),
        }
    }
}

/// What starts the template of a format.
const JSONPATH: &str = "jsonpath=";
const TABLE: &[&str] = &["table", "wide", "name", "json", "yaml", JSONPATH];
const NAMED: &[&str] = &["name", "json", "yaml", JSONPATH];
const PAGE: &[&str] = &["json", "yaml", JSONPATH];

/// Reads a format that is one of these.
#[derive(Clone, Copy)]
struct FormatParser(&'static [&'static str]);

impl TypedValueParser for FormatParser {
    type Value = Output;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Self::Value, clap::Error> {
        let read = value.to_str().ok_or_else(|| "must be text".to_owned()).and_then(|text| self.read(text));
        read.map_err(|why| {
            let flag = argument.map(ToString::to_string).unwrap_or_default();
            let mut error = clap::Error::raw(
                ErrorKind::ValueValidation,
                format!("invalid value '{}' for '{flag}': {why}\n", value.to_string_lossy()),
            )
            .with_cmd(command);
            error.insert(ContextKind::InvalidArg, ContextValue::String(flag));
            error
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

impl FormatParser {
    fn read(self, text: &str) -> Result<Output, String> {
        if let Some(template) = text.strip_prefix(JSONPATH) {
            return JsonPathTemplate::parse(template).map(|t| Output::Data(OutputFormat::JsonPath(t)));
        }
        match text {
            _ if !self.0.contains(&text) => {
                Err(format!("must be one of {}", self.0.join(", ").replace(JSONPATH, "jsonpath=TEMPLATE")))
            }
            "wide" => Ok(Output::Wide),
            "name" => Ok(Output::Name),
            "json" => Ok(Output::Data(OutputFormat::Json)),
            "yaml" => Ok(Output::Data(OutputFormat::Yaml)),
            _ => Ok(Output::Table),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_one_of_those_of_its_command() {
        let check = |formats: &'static [&'static str], text: &str, expected: Result<&str, &str>| {
            let read = FormatParser(formats).read(text).map(|output| match output {
                Output::Table => "table",
                Output::Wide => "wide",
                Output::Name => "name",
                Output::Data(OutputFormat::Json) => "json",
                Output::Data(OutputFormat::Yaml) => "yaml",
                Output::Data(OutputFormat::JsonPath(_)) => "jsonpath",
            });
            assert_eq!(read.as_ref().map(|name| *name).map_err(String::as_str), expected, "{text}");
        };
        for format in ["table", "wide", "name", "json", "yaml"] {
            check(TABLE, format, Ok(format));
        }
        check(PAGE, "jsonpath={.a}", Ok("jsonpath"));
        check(PAGE, "name", Err("must be one of json, yaml, jsonpath=TEMPLATE"));
        check(NAMED, "wide", Err("must be one of name, json, yaml, jsonpath=TEMPLATE"));
        check(TABLE, "xml", Err("must be one of table, wide, name, json, yaml, jsonpath=TEMPLATE"));
        check(TABLE, "jsonpath", Err("must be one of table, wide, name, json, yaml, jsonpath=TEMPLATE"));
        check(TABLE, "jsonpath=", Err("has no template; write jsonpath='{.metadata.name}'"));
        check(TABLE, "jsonpath=.a", Err("needs braces around a path; write jsonpath='{.a}'"));
    }
}
