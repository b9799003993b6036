//! The scanner of Flux's engine, with its position, the width of what it has read last, and how it
//! removes what escapes.

use super::error::FluxError;
use super::text::{first, is_identifier};

/// Which tokens are recognized now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mode {
    pub(super) text: bool,
    pub(super) open: bool,
    pub(super) close: bool,
    pub(super) escapes: bool,
}

impl Mode {
    pub(super) const TEXT: Self = Self { text: true, open: false, close: false, escapes: false };
    pub(super) const CLOSE: Self = Self { text: false, open: false, close: true, escapes: false };
    pub(super) const ESCAPED: Self = Self { text: true, open: false, close: false, escapes: true };
    pub(super) const TEXT_OR_CLOSE: Self = Self { text: true, open: false, close: true, escapes: false };
}

/// Which runes belong to a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accept {
    Any,
    Identifier,
    Colon,
    OneHash,
    NotClosing,
    Hashes,
    Percents,
    Default,
    Replace,
    OneEqual,
    OneColon,
    NotColonOrClosing,
    Slash,
    NotSlash,
    Casing,
}

impl Accept {
    /// Whether the rune, which ends so many bytes after the start of the token, belongs to it.
    fn takes(self, rune: char, at: usize) -> bool {
        match self {
            Self::Any => true,
            Self::Identifier => is_identifier(rune),
            Self::Colon => rune == ':',
            Self::OneHash => rune == '#' && at == 1,
            Self::NotClosing => rune != '}',
            Self::Hashes => rune == '#' && at < 3,
            Self::Percents => rune == '%' && at < 3,
            Self::Default => at == 1 && rune == ':' || at == 2 && matches!(rune, '=' | '-' | '?' | '+'),
            Self::Replace => at == 1 && rune == '/' || at == 2 && matches!(rune, '/' | '#' | '%'),
            Self::OneEqual => at == 1 && rune == '=',
            Self::OneColon => at == 1 && rune == ':',
            Self::NotColonOrClosing => rune != ':' && rune != '}',
            Self::Slash => rune == '/',
            Self::NotSlash => rune != '/',
            Self::Casing => matches!(rune, ',' | '^') && at < 3,
        }
    }
}

/// What was recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Illegal,
    End,
    Text,
    Open,
    Close,
}

/// What the engine reads at the end. A NUL in the text is the end, too.
const END: char = '\0';

/// A text and the place that was reached in it. What is before the place and what is after it are
/// apart, so that one byte can be removed without moving the rest.
pub(super) struct Scanner {
    before: Vec<u8>,
    /// In reverse order.
    after: Vec<u8>,
    start: usize,
    width: usize,
    pub(super) mode: Mode,
    pub(super) accept: Accept,
    /// Whether a backslash escapes, too.
    pub(super) backslash: bool,
    /// Whether the engine would have read before the begin of its text.
    is_broken: bool,
}

impl Scanner {
    pub(super) fn new(text: &[u8]) -> Self {
        Self {
            before: Vec::with_capacity(text.len()),
            after: text.iter().rev().copied().collect(),
            start: 0,
            width: 0,
            mode: Mode::default(),
            accept: Accept::Any,
            backslash: false,
            is_broken: false,
        }
    }

    pub(super) fn read(&mut self) -> char {
        let next: Vec<u8> = self.after.iter().rev().take(4).copied().collect();
        let Some((rune, width)) = first(&next) else {
            self.width = 0;
            return END;
        };
        self.width = width;
        self.forward(width);
        rune
    }

    fn forward(&mut self, count: usize) {
        for _ in 0..count {
            self.before.extend(self.after.pop());
        }
    }

    pub(super) fn unread(&mut self) {
        for _ in 0..self.width {
            match self.before.pop() {
                Some(byte) => self.after.push(byte),
                None => self.is_broken = true,
            }
        }
    }

    /// Removes the byte before the place; the byte after it is before it then.
    fn skip(&mut self) {
        self.before.pop();
        self.forward(1);
    }

    pub(super) fn peek(&mut self) -> char {
        let rune = self.read();
        self.unread();
        rune
    }

    /// The last token.
    ///
    /// # Errors
    /// The engine would fail here.
    pub(super) fn token(&self) -> Result<Vec<u8>, FluxError> {
        let token = self.before.get(self.start..).filter(|_| !self.is_broken);
        token.map(<[u8]>::to_vec).ok_or_else(|| FluxError::Panic("...".to_owned()))
    }

    pub(super) fn scan(&mut self) -> Token {
        self.start = self.before.len();
        let rune = self.read();
        match () {
            () if rune == END => Token::End,
            () if self.opens(rune) => Token::Open,
            () if self.mode.close && rune == '}' => Token::Close,
            () if self.is_text(rune) => Token::Text,
            () => Token::Illegal,
        }
    }

    fn at(&self) -> usize {
        self.before.len().saturating_sub(self.start)
    }

    fn is_text(&mut self, rune: char) -> bool {
        if !self.mode.text {
            return false;
        }
        if self.escapes(rune) {
            self.skip();
        } else if !self.accept.takes(rune, self.at()) {
            return false;
        }
        loop {
            let rune = self.read();
            if rune == END {
                self.unread();
                return true;
            }
            if self.opens(rune) {
                self.unread();
                self.unread();
                return true;
            }
            if self.escapes(rune) {
                self.skip();
            } else if !self.accept.takes(rune, self.at()) {
                self.unread();
                return true;
            }
        }
    }

    fn opens(&mut self, rune: char) -> bool {
        if !self.mode.open || rune != '$' {
            return false;
        }
        if self.read() == '{' {
            return true;
        }
        self.unread();
        false
    }

    fn escapes(&mut self, rune: char) -> bool {
        if !self.mode.escapes {
            return false;
        }
        match rune {
            '$' => self.peek() == '$',
            '\\' if self.backslash => matches!(self.peek(), '/' | '\\'),
            _ => false,
        }
    }
}
