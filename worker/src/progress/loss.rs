//! Counts of values that the job's rules altered before they were stored.

/// The rule by which a value was altered or set to NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Loss {
    DateNull,
    DecimalNull,
    JsonNull,
    JsonNumberRounded,
    TooLongNull,
    TooLongTruncated,
}

impl Loss {
    pub const ALL: [Self; 6] = [
        Self::DateNull,
        Self::DecimalNull,
        Self::JsonNull,
        Self::JsonNumberRounded,
        Self::TooLongNull,
        Self::TooLongTruncated,
    ];

    /// The spelling in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DateNull => "date_null",
            Self::DecimalNull => "decimal_null",
            Self::JsonNull => "json_null",
            Self::JsonNumberRounded => "json_number_rounded",
            Self::TooLongNull => "too_long_null",
            Self::TooLongTruncated => "too_long_truncated",
        }
    }
}

/// How many values each rule has altered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses([u64; Loss::ALL.len()]);

impl Losses {
    pub fn count(&mut self, loss: Loss) {
        self.0[loss as usize] += 1;
    }

    pub fn of(&self, loss: Loss) -> u64 {
        self.0[loss as usize]
    }

    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, more)| *sum += more);
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_counted_by_itself() {
        for loss in Loss::ALL {
            let (mut one, mut sum) = (Losses::default(), Losses::default());
            one.count(loss);
            sum.add(&one);
            sum.add(&one);
            let counts = Loss::ALL.map(|other| sum.of(other));
            assert_eq!(counts.iter().sum::<u64>(), 2);
            assert_eq!(sum.of(loss), 2, "{}", loss.as_str());
        }
    }
}
