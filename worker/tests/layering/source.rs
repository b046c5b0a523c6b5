//! Reads Rust sources just far enough to find the paths that the code names.
//!
//! Splits the text into words and punctuation, without comments, strings and the module `tests` at the end of a file;
//! then follows every path, through groups, from the root of the crate.

use std::collections::BTreeSet;

/// Every path that the source of `module` names: `crate::…` made absolute, all others as written.
pub(crate) fn paths(module: &[&str], text: &str) -> BTreeSet<String> {
    let tokens = tokens(text);
    let mut paths = BTreeSet::new();
    let mut place = 0;
    while place < tokens.len() {
        place = follow(&tokens, place, &[], &mut paths).max(place + 1);
    }
    paths.iter().map(|path| absolute(module, path)).collect()
}

/// Reads one path, or one group of paths below `parent`; returns the index after it.
fn follow(
    tokens: &[String],
    mut place: usize,
    parent: &[String],
    paths: &mut BTreeSet<Vec<String>>,
) -> usize {
    let mut path = parent.to_vec();
    while let Some(token) = tokens.get(place) {
        if token == "{" && !path.is_empty() {
            return group(tokens, place + 1, &path, paths);
        }
        if !is_word(token) && token != "*" {
            break;
        }
        path.push(token.clone());
        place += 1;
        if tokens.get(place).map(String::as_str) != Some("::") {
            break;
        }
        place += 1;
    }
    if path.len() > parent.len() {
        paths.insert(path);
    }
    place
}

fn group(tokens: &[String], mut place: usize, parent: &[String], paths: &mut BTreeSet<Vec<String>>) -> usize {
    while let Some(token) = tokens.get(place) {
        place = match token.as_str() {
            "}" => return place + 1,
            _ => follow(tokens, place, parent, paths).max(place + 1),
        };
    }
    place
}

/// Resolves `self` and `super`. A path of an inline module may have more `super` than the file's own module allows;
/// then the rest of the path is taken from the root of the crate.
fn absolute(module: &[&str], path: &[String]) -> String {
    let climbs = path.iter().take_while(|step| *step == "super").count();
    if climbs == 0 {
        let path: Vec<&str> = path.iter().map(String::as_str).filter(|step| *step != "self").collect();
        return path.join("::");
    }
    let kept = &module[..module.len().saturating_sub(climbs)];
    let steps =
        ["crate"].into_iter().chain(kept.iter().copied()).chain(path[climbs..].iter().map(String::as_str));
    steps.collect::<Vec<_>>().join("::")
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

fn tokens(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    // A visibility is not a path.
    let text = text.replace("pub(crate)", "pub");
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let length = skipped(rest);
        if length > 0 {
            rest = &rest[length..];
            continue;
        }
        let word = rest.find(|next: char| !(next.is_alphanumeric() || next == '_')).unwrap_or(rest.len());
        let length = if word > 0 {
            word
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(rest[..length].to_owned());
        rest = &rest[length..];
    }
    tokens
}

/// The length in bytes of the blank, comment, string or character with which `text` begins.
fn skipped(text: &str) -> usize {
    let through =
        |end: &str, from: usize| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    let hashes = text.strip_prefix('r').map(|rest| rest.bytes().take_while(|byte| *byte == b'#').count());
    match text.as_bytes() {
        [b'/', b'/', ..] => through("\n", 0),
        [b'/', b'*', ..] => through("*/", 2),
        [b'"', ..] => string(text),
        [b'\'', b'\\', _, ..] => through("'", 3),
        [b'\'', _, b'\'', ..] => 3,
        _ => match hashes {
            Some(hashes) if text[1 + hashes..].starts_with('"') => {
                through(&format!("\"{}", "#".repeat(hashes)), hashes + 2)
            }
            _ => text.len() - text.trim_start().len(),
        },
    }
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (place, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return place + 1,
            _ => {}
        }
    }
    text.len()
}
