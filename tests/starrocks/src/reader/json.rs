//! JSON values as the reader returns them.

use std::borrow::Cow;

use super::syntax::Cursor;

pub(crate) type Object<'a, T> = Vec<(Cow<'a, str>, T)>;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Boolean(bool),
    /// The spelling of the number, with the blanks after it.
    Number(&'a str),
    Text(Cow<'a, str>),
    /// An object or an array whose syntax is checked, as text.
    Composite(&'a str),
}

impl<'a> Json<'a> {
    /// The text that a text column stores for this value (§7.1).
    pub(crate) fn as_text(&self) -> Cow<'_, str> {
        match self {
            Self::Null => Cow::Borrowed(""),
            Self::Boolean(value) => Cow::Borrowed(if *value { "1" } else { "0" }),
            Self::Number(text) => Cow::Borrowed(text),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Composite(text) => Cow::Owned(minify(text)),
        }
    }

    /// Parses text that is exactly one JSON value.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut cursor = Cursor::new(text);
        let json = cursor.value(0).ok()?;
        cursor.peek().is_none().then_some(json)
    }

    /// The fields of an object given as text.
    pub(crate) fn fields(text: &'a str) -> Option<Object<'a, Self>> {
        let mut cursor = Cursor::new(text);
        let fields = cursor.object().ok()?;
        cursor.peek().is_none().then_some(fields)
    }

    /// The elements of an array given as text.
    pub(crate) fn elements(text: &'a str) -> Option<Vec<Self>> {
        let mut elements = Vec::new();
        let mut cursor = Cursor::new(text);
        cursor.array(0, |element| elements.push(element)).ok()?;
        cursor.peek().is_none().then_some(elements)
    }
}

fn minify(text: &str) -> String {
    let (mut in_string, mut is_escaped) = (false, false);
    let keep = |letter: &char| {
        let keeps = in_string || !letter.is_ascii_whitespace();
        if *letter == '"' && !is_escaped {
            in_string = !in_string;
        }
        is_escaped = in_string && *letter == '\\' && !is_escaped;
        keeps
    };
    text.chars().filter(keep).collect()
}

/// A JSON value parsed to its leaves.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree<'a> {
    Scalar(Json<'a>),
    Array(Vec<Tree<'a>>),
    Object(Object<'a, Tree<'a>>),
}

impl<'a> Tree<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        Self::of(&Json::parse(text)?)
    }

    pub(crate) fn of(json: &Json<'a>) -> Option<Self> {
        let Json::Composite(text) = json else { return Some(Self::Scalar(json.clone())) };
        let mut cursor = Cursor::new(text);
        if cursor.peek() == Some(b'{') {
            let fields = cursor.object().ok()?.into_iter();
            return fields
                .map(|(name, value)| Some((name, Self::of(&value)?)))
                .collect::<Option<_>>()
                .map(Self::Object);
        }
        let elements = Json::elements(text)?;
        elements.iter().map(Self::of).collect::<Option<_>>().map(Self::Array)
    }
}
