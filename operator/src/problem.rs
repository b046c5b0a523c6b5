//! What prevents a job from running: a reason of the closed list, and a message with a remedy.

use crds::Reason;

/// A problem that a person must solve, or that passes by itself. Its message becomes that of a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Problem {
    pub reason: Reason,
    /// Whole sentences: what is wrong, and what can be done.
    pub message: String,
}

impl Problem {
    /// Joins the phrases `what` and `fix` into sentences.
    pub fn new(reason: Reason, what: &str, fix: &str) -> Self {
        Self { reason, message: sentences(&[what, fix]) }
    }
}

/// Joins phrases into sentences: a capital letter first, a full stop last.
pub fn sentences(phrases: &[&str]) -> String {
    let phrases = phrases.iter().map(|phrase| phrase.trim()).filter(|phrase| !phrase.is_empty());
    phrases.map(sentence).collect::<Vec<_>>().join(" ")
}

/// The API server's own message, without the rest of its answer.
pub(crate) fn why(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        error => error.to_string(),
    }
}

fn sentence(phrase: &str) -> String {
    let mut letters = phrase.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let end = if phrase.ends_with(['.', '!', '?', ';']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_become_sentences() {
        assert_eq!(sentences(&["no such table", "create it."]), "No such table. Create it.");
        assert_eq!(sentences(&["", "wait"]), "Wait.");
    }
}
