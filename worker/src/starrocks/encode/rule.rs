//! What becomes of a value that its column cannot hold: the job's rule for its type.
//!
//! A rule never touches a key, and never hides what a value should not be at all: it is there for
//! values that PostgreSQL holds and StarRocks does not.

use super::{problem::Problem, text::first_bytes, value::Form};
use crate::{
    config::{JsonNumbers, TooLong, Unfit, Values},
    progress::Loss,
    starrocks::target::TargetType,
};

/// What is done with a value that cannot be written as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Halt,
    Null(Loss),
    Truncate,
    /// Numbers in JSON become doubles; with `null`, other JSON becomes null.
    Round {
        null: bool,
    },
}

/// What is written in its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Instead<'a> {
    /// None is null.
    pub(super) text: Option<&'a [u8]>,
    pub(super) loss: Loss,
}

impl Rule {
    pub(super) fn of(target: TargetType, key: bool, values: Values) -> Self {
        let unfit = |rule, loss| if rule == Unfit::Null { Self::Null(loss) } else { Self::Halt };
        match target {
            _ if key => Self::Halt,
            TargetType::Date | TargetType::DateTime => unfit(values.dates, Loss::DateNull),
            TargetType::Decimal { .. } => unfit(values.decimals, Loss::DecimalNull),
            TargetType::Json if values.json_numbers == JsonNumbers::Round => {
                Self::Round { null: values.json == Unfit::Null }
            }
            TargetType::Json => unfit(values.json, Loss::JsonNull),
            TargetType::Varchar(_) | TargetType::Varbinary => match values.too_long {
                TooLong::Halt => Self::Halt,
                TooLong::Null => Self::Null(Loss::TooLongNull),
                TooLong::Truncate => Self::Truncate,
            },
            _ => Self::Halt,
        }
    }

    /// What to write of a value that has a problem, or the problem when this rule does not cover it.
    pub(super) fn instead(self, form: Form, text: &[u8], problem: Problem) -> Result<Instead<'_>, Problem> {
        match self {
            _ if !problem.is_of_the_value() => Err(problem),
            // StarRocks rounds by itself.
            Self::Round { .. } if problem == Problem::JsonNumberTooLong => {
                Ok(Instead { text: Some(text), loss: Loss::JsonNumberRounded })
            }
            Self::Round { null: true } => Ok(Instead { text: None, loss: Loss::JsonNull }),
            Self::Halt | Self::Round { null: false } => Err(problem),
            Self::Null(loss) => Ok(Instead { text: None, loss }),
            Self::Truncate => {
                let text = Some(first_bytes(text, form.longest()));
                Ok(Instead { text, loss: Loss::TooLongTruncated })
            }
        }
    }
}
