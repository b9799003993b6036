//! Why a text cannot be replaced as in Flux.

/// What the engine refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FluxError {
    /// The form of a variable is not complete.
    #[error("a variable has a form that Flux does not know (bad substitution)")]
    BadSubstitution,
    /// A brace is missing.
    #[error("${{{0}: the closing brace is missing, or the form is one that Flux does not know")]
    MissingClosingBrace(String),
    /// What follows `${` is no name.
    #[error("what follows ${{ is not a name (write $${{ for the text itself)")]
    NoName,
    /// An argument ends early.
    #[error("an argument of a variable has no end")]
    BadArgument,
    /// A default has no known operator.
    #[error("${{{0}: the default has a form that Flux does not know")]
    BadDefault(String),
    /// The variable is not declared.
    #[error("${{{0}}} is not declared")]
    NotSet(String),
    /// The engine of Flux would end in a panic.
    #[error("${{{0}}}: the part that it takes begins after its end, with which Flux fails")]
    Panic(String),
    /// Nested too deeply.
    #[error("variables are nested more than {0} levels deep")]
    TooDeep(usize),
    /// It takes too long.
    #[error("${{{0}}}: the pattern is too expensive for so long a value")]
    TooExpensive(String),
    /// The result is too large.
    #[error("the text with its variables replaced is too large")]
    TooLarge,
}

/// Why an object cannot be replaced as in Flux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FluxFailure {
    /// In its text.
    Text(FluxError),
    /// The text is no YAML any more: the line in the YAML of the object, and what is wrong there.
    Yaml(usize, String),
    /// The object cannot be written as YAML.
    Unwritable,
}

/// Why an operator fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OperatorFault {
    Panic,
    TooExpensive,
    TooLarge,
}

impl OperatorFault {
    /// About a variable.
    pub(super) fn of(self, name: &str) -> FluxError {
        match self {
            Self::Panic => FluxError::Panic(name.to_owned()),
            Self::TooExpensive => FluxError::TooExpensive(name.to_owned()),
            Self::TooLarge => FluxError::TooLarge,
        }
    }
}
