//! Splits SQL text into tokens, with the quoting of StarRocks (§12.3).

use super::SqlError;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    /// A keyword or an unquoted name.
    Word(String),
    /// A name in backticks. All backticks inside are removed, doubled ones too.
    Quoted(String),
    /// A string with its escapes resolved.
    Text(String),
    Number(String),
    /// A system variable `@@name`, without its signs, or a user variable `@name`, with its sign.
    Variable(String),
    Symbol(char),
    Operator(&'static str),
}

impl Token {
    pub(crate) fn print(&self) -> String {
        match self {
            Self::Word(text) | Self::Quoted(text) | Self::Text(text) | Self::Number(text) => text.clone(),
            Self::Variable(name) if name.starts_with('@') => name.clone(),
            Self::Variable(name) => format!("@@{name}"),
            Self::Symbol(symbol) => symbol.to_string(),
            Self::Operator(operator) => (*operator).to_owned(),
        }
    }
}

const OPERATORS: [&str; 7] = ["<=>", "<=", ">=", "<>", "!=", "||", "&&"];

pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// `sql_mode='ANSI_QUOTES'`: double quotes enclose names.
    ansi_quotes: bool,
}

impl<'a> Lexer<'a> {
    /// All tokens, each with its offset in the text.
    pub(crate) fn tokens(text: &'a str) -> Result<Vec<(Token, usize)>, SqlError> {
        Self::tokens_with(text, false)
    }

    pub(crate) fn tokens_with(text: &'a str, ansi_quotes: bool) -> Result<Vec<(Token, usize)>, SqlError> {
        let mut lexer = Self { text, at: 0, ansi_quotes };
        let mut tokens = Vec::new();
        loop {
            lexer.skip_blanks();
            let start = lexer.at;
            let Some(first) = lexer.rest().chars().next() else { return Ok(tokens) };
            tokens.push((lexer.token(first)?, start));
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start().len();
            let rest = self.rest();
            let is_line =
                rest.starts_with('#') || rest.starts_with("-- ") || rest.starts_with("--\t") || rest == "--";
            self.at += if is_line {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                rest.find("*/").map_or(rest.len(), |end| end + 2)
            } else {
                return;
            };
        }
    }

    fn token(&mut self, first: char) -> Result<Token, SqlError> {
        match first {
            '`' => self.quoted('`').map(Token::Quoted),
            '"' if self.ansi_quotes => self.quoted('"').map(Token::Quoted),
            '\'' | '"' => self.string(first).map(Token::Text),
            '@' => Ok(self.variable()),
            '0'..='9' => Ok(self.number()),
            '.' if self.rest().chars().nth(1).is_some_and(|next| next.is_ascii_digit()) => Ok(self.number()),
            _ if is_name_start(first) => Ok(Token::Word(self.run(is_name_part).to_owned())),
            _ => Ok(self.symbol(first)),
        }
    }

    fn symbol(&mut self, first: char) -> Token {
        if let Some(operator) = OPERATORS.into_iter().find(|operator| self.rest().starts_with(operator)) {
            self.at += operator.len();
            return Token::Operator(operator);
        }
        self.at += first.len_utf8();
        Token::Symbol(first)
    }

    fn run(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|letter| !belongs(letter)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// A name may start with a digit, as in `1digit`; that is no number.
    fn number(&mut self) -> Token {
        let start = self.at;
        self.run(|letter| letter.is_ascii_digit());
        if self.rest().starts_with('.') {
            self.at += 1;
            self.run(|letter| letter.is_ascii_digit());
        }
        let mantissa_end = self.at;
        if self.rest().starts_with(['e', 'E']) {
            self.at += 1;
            self.at += usize::from(self.rest().starts_with(['+', '-']));
            if self.run(|letter| letter.is_ascii_digit()).is_empty() {
                self.at = mantissa_end;
            }
        }
        let text = self.text.get(start..self.at).unwrap_or_default().to_owned();
        if self.rest().starts_with(is_name_start) && !text.contains('.') {
            return Token::Word(text + self.run(is_name_part));
        }
        Token::Number(text)
    }

    fn variable(&mut self) -> Token {
        let signs = self.run(|letter| letter == '@').len();
        let name = self.run(|letter| is_name_part(letter) || letter == '.');
        Token::Variable(if signs == 1 { format!("@{name}") } else { name.to_owned() })
    }

    fn quoted(&mut self, quote: char) -> Result<String, SqlError> {
        let start = self.at;
        self.at += 1;
        let mut name = String::new();
        loop {
            name.push_str(self.run(|letter| letter != quote));
            if self.rest().is_empty() {
                return Err(SqlError::syntax(start, "an identifier is not closed"));
            }
            self.at += 1;
            if !self.rest().starts_with(quote) {
                return Ok(name);
            }
            self.at += 1;
        }
    }

    fn string(&mut self, quote: char) -> Result<String, SqlError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            text.push_str(self.run(|letter| letter != quote && letter != '\\'));
            let mut rest = self.rest().chars();
            match (rest.next(), rest.next()) {
                (Some('\\'), Some(escaped)) => {
                    self.at += 1 + escaped.len_utf8();
                    text.push_str(&unescape(escaped));
                }
                (Some(first), Some(second)) if first == quote && second == quote => {
                    self.at += 2;
                    text.push(quote);
                }
                (Some(first), _) if first == quote => {
                    self.at += 1;
                    return Ok(text);
                }
                _ => return Err(SqlError::syntax(start, "a string is not closed")),
            }
        }
    }
}

fn unescape(letter: char) -> String {
    match letter {
        'n' => "\n".to_owned(),
        't' => "\t".to_owned(),
        'r' => "\r".to_owned(),
        'b' => "\u{8}".to_owned(),
        '0' => "\0".to_owned(),
        'Z' => "\u{1a}".to_owned(),
        // In LIKE patterns the backslash is kept.
        '%' | '_' => format!("\\{letter}"),
        _ => letter.to_string(),
    }
}

fn is_name_start(letter: char) -> bool {
    letter.is_alphabetic() || letter == '_' || letter == '$'
}

fn is_name_part(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$'
}
