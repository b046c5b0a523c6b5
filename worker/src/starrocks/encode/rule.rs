//! The job's rules for values that their target column cannot hold.
//!
//! A rule never applies to a key, and never hides a malformed value: it applies to values that PostgreSQL can hold and
//! StarRocks cannot.

use super::{problem::Problem, text::first_bytes, value::Form};
use crate::{
    config::{JsonNumbers, TooLong, Unfit, Values},
    progress::Loss,
    starrocks::target::TargetType,
};

/// What to do with a value that cannot be written unchanged.
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

/// What is written instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Instead<'a> {
    /// None means null.
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

    /// What to write instead of a value with this problem, or the problem when the rule does not cover it.
    pub(super) fn instead(self, form: Form, text: &[u8], problem: Problem) -> Result<Instead<'_>, Problem> {
        match self {
            _ if !problem.is_of_the_value() => Err(problem),
            // StarRocks does the rounding.
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
