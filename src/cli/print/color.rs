//! Colours. Nothing else writes an escape code, and only the
//! printer uses them.

use std::borrow::Cow;
use std::env;
use std::io::IsTerminal;

use clap::builder::styling::{AnsiColor, Effects, Style};

use crate::cli::args::ColorChoice;

/// The meaning of a piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Good news, or an added line.
    Good,
    /// Bad news, or a removed line.
    Bad,
    /// Something in progress.
    Pending,
    /// The position of a hunk in a diff.
    Place,
    /// A heading.
    Heading,
    /// Something unimportant.
    Faint,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Pending => AnsiColor::Yellow.on_default(),
            Self::Place => AnsiColor::Cyan.on_default(),
            Self::Heading => Style::new().effects(Effects::BOLD),
            Self::Faint => Style::new().effects(Effects::DIMMED),
        }
    }
}

/// Whether one stream is coloured. The default is that it is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Colour(bool);

impl Colour {
    /// Depends on the person, the environment and the stream.
    pub(in crate::cli) fn of(choice: ColorChoice, stream: &impl IsTerminal) -> Self {
        Self(decide(choice, stream.is_terminal(), |name| env::var(name).ok()))
    }

    /// A stream with colours.
    #[cfg(test)]
    pub(in crate::cli) fn always() -> Self {
        Self(true)
    }

    /// The text in the colour of its meaning.
    pub(in crate::cli) fn paint<'t>(self, tone: Tone, text: &'t str) -> Cow<'t, str> {
        if !self.0 || text.is_empty() {
            return Cow::Borrowed(text);
        }
        let style = tone.style();
        Cow::Owned(format!("{style}{text}{style:#}"))
    }
}

/// <https://no-color.org> and <https://bixense.com/clicolors>; the flag wins.
fn decide(choice: ColorChoice, is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if set("NO_COLOR") => false,
        ColorChoice::Auto if set("CLICOLOR_FORCE") && variable("CLICOLOR_FORCE").as_deref() != Some("0") => {
            true
        }
        ColorChoice::Auto if variable("CLICOLOR").as_deref() == Some("0") => false,
        ColorChoice::Auto => is_terminal && variable("TERM").as_deref() != Some("dumb"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_person_then_the_environment_then_the_stream_decide() {
        let check = |choice: ColorChoice, is_terminal: bool, variables: &[(&str, &str)], expected: bool| {
            let variable =
                |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(decide(choice, is_terminal, variable), expected, "{choice:?} {variables:?}");
        };
        use ColorChoice::{Always, Auto, Never};
        check(Auto, true, &[], true);
        check(Auto, false, &[], false);
        check(Auto, true, &[("NO_COLOR", "1")], false);
        check(Auto, true, &[("NO_COLOR", "")], true);
        check(Auto, true, &[("TERM", "dumb")], false);
        check(Auto, true, &[("CLICOLOR", "0")], false);
        check(Auto, false, &[("CLICOLOR_FORCE", "1")], true);
        check(Auto, false, &[("CLICOLOR_FORCE", "0")], false);
        check(Auto, false, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false);
        check(Always, false, &[("NO_COLOR", "1")], true);
        check(Never, true, &[("CLICOLOR_FORCE", "1")], false);
    }
}
