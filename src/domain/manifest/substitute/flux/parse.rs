//! The parser of Flux's engine.

use super::error::FluxError;
use super::limits::MAX_NESTING;
use super::scan::{Accept, Mode, Scanner, Token};

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// Text.
    Text(Vec<u8>),
    /// A variable.
    Variable(Function),
}

/// A variable, and what is done with its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Function {
    /// The variable.
    pub(super) name: String,
    /// The operator; empty without any.
    pub(super) operator: String,
    /// The arguments.
    pub(super) arguments: Vec<Node>,
}

/// Reads a text.
///
/// # Errors
/// The first form that is not known.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Node>, FluxError> {
    Parser { scanner: Scanner::new(text), depth: 0 }.all()
}

struct Parser {
    scanner: Scanner,
    depth: usize,
}

type Parsed<T> = Result<T, FluxError>;

impl Parser {
    fn all(&mut self) -> Parsed<Vec<Node>> {
        let mut nodes = Vec::new();
        loop {
            let scanner = &mut self.scanner;
            scanner.accept = Accept::Any;
            scanner.mode = Mode { text: true, open: true, close: false, escapes: true };
            scanner.backslash = false;
            match scanner.scan() {
                Token::Text => nodes.push(Node::Text(scanner.token()?)),
                Token::End => return Ok(nodes),
                Token::Open => nodes.push(Node::Variable(self.function()?)),
                Token::Illegal | Token::Close => return Err(FluxError::BadSubstitution),
            }
        }
    }

    fn scan(&mut self, accept: Accept, mode: Mode) -> Token {
        (self.scanner.accept, self.scanner.mode) = (accept, mode);
        self.scanner.scan()
    }

    fn token(&self) -> Parsed<String> {
        Ok(String::from_utf8_lossy(&self.scanner.token()?).into_owned())
    }

    fn function(&mut self) -> Parsed<Function> {
        if self.depth == MAX_NESTING {
            return Err(FluxError::TooDeep(MAX_NESTING));
        }
        self.depth += 1;
        let function = self.any_function();
        self.depth -= 1;
        function
    }

    fn any_function(&mut self) -> Parsed<Function> {
        self.scanner.backslash = true;
        if self.scanner.peek() == '#' {
            return self.length();
        }
        if self.scan(Accept::Identifier, Mode::TEXT) != Token::Text {
            return Err(FluxError::NoName);
        }
        let name = self.token()?;
        match self.scanner.peek() {
            ':' => {
                self.scanner.read();
                let operator = self.scanner.peek();
                self.scanner.unread();
                match operator {
                    '=' | '-' | '?' | '+' => self.default(name),
                    _ => self.part(name),
                }
            }
            '=' => self.default(name),
            ',' | '^' => self.casing(name),
            '/' => self.replace(name),
            '#' => self.removal(name, Accept::Hashes),
            '%' => self.removal(name, Accept::Percents),
            _ => match self.scan(Accept::Identifier, Mode::CLOSE) {
                Token::Close => Ok(Function { name, ..Function::default() }),
                _ => Err(FluxError::MissingClosingBrace(name)),
            },
        }
    }

    fn argument(&mut self, accept: Accept, mode: Mode) -> Parsed<Node> {
        match self.scan(accept, Mode { open: true, ..mode }) {
            Token::Open => Ok(Node::Variable(self.function()?)),
            Token::Text | Token::Close => Ok(Node::Text(self.scanner.token()?)),
            Token::Illegal | Token::End => Err(FluxError::BadArgument),
        }
    }

    fn operator(&mut self, accept: Accept) -> Parsed<String> {
        match self.scan(accept, Mode::TEXT) {
            Token::Text => self.token(),
            _ => Err(FluxError::BadSubstitution),
        }
    }

    /// The end of a function.
    fn closed(&mut self, function: Function) -> Parsed<Function> {
        self.scanner.mode = Mode::CLOSE;
        match self.scanner.scan() {
            Token::Close => Ok(function),
            _ => Err(FluxError::BadSubstitution),
        }
    }

    /// `${name:offset}` and `${name:offset:length}`.
    fn part(&mut self, name: String) -> Parsed<Function> {
        let operator = self.operator(Accept::OneColon)?;
        let mut arguments = vec![self.argument(Accept::NotColonOrClosing, Mode::TEXT)?];
        match self.scan(Accept::Colon, Mode::TEXT_OR_CLOSE) {
            Token::Close => return Ok(Function { name, operator, arguments }),
            Token::Text => {}
            _ => return Err(FluxError::BadSubstitution),
        }
        arguments.push(self.argument(Accept::NotClosing, Mode::TEXT)?);
        self.closed(Function { name, operator, arguments })
    }

    /// `${name#pattern}`, `##`, `%` and `%%`.
    fn removal(&mut self, name: String, accept: Accept) -> Parsed<Function> {
        let operator = self.operator(accept)?;
        let arguments = vec![self.argument(Accept::NotClosing, Mode::TEXT)?];
        self.closed(Function { name, operator, arguments })
    }

    /// `${name/text/other}`, `//`, `/#` and `/%`.
    fn replace(&mut self, name: String) -> Parsed<Function> {
        let operator = self.operator(Accept::Replace)?;
        let mut arguments = vec![self.argument(Accept::NotSlash, Mode::ESCAPED)?];
        if self.scan(Accept::Slash, Mode::TEXT) != Token::Text {
            return Err(FluxError::BadSubstitution);
        }
        if self.scanner.peek() != '}' {
            arguments.push(self.argument(Accept::NotClosing, Mode::ESCAPED)?);
        }
        self.closed(Function { name, operator, arguments })
    }

    /// `${name=word}`, and `:=`, `:-`, `:?`, `:+`.
    fn default(&mut self, name: String) -> Parsed<Function> {
        let accept = if self.scanner.peek() == '=' { Accept::OneEqual } else { Accept::Default };
        if self.scan(accept, Mode::TEXT) != Token::Text {
            return Err(FluxError::BadDefault(name));
        }
        let operator = self.token()?;
        let mut arguments = Vec::new();
        while self.scanner.peek() != '}' {
            arguments.push(self.argument(Accept::NotClosing, Mode::TEXT)?);
        }
        self.closed(Function { name, operator, arguments })
    }

    /// `${name,}`, and `,,`, `^`, `^^`.
    fn casing(&mut self, name: String) -> Parsed<Function> {
        let operator = self.operator(Accept::Casing)?;
        self.closed(Function { name, operator, arguments: Vec::new() })
    }

    /// `${#name}`.
    fn length(&mut self) -> Parsed<Function> {
        let operator = self.operator(Accept::OneHash)?;
        if self.scan(Accept::Identifier, Mode::TEXT) != Token::Text {
            return Err(FluxError::BadSubstitution);
        }
        let name = self.token()?;
        self.closed(Function { name, operator, arguments: Vec::new() })
    }
}
