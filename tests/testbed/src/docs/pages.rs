//! Checks that every link of a page has a target, and that every command in it exists.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The allowed first words of a command, after assignments of variables.
const PROGRAMS: [&str; 5] = ["make", "cargo", "helm", "kubectl", "dbmazz"];

struct Page {
    path: PathBuf,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn pages() -> Vec<Page> {
    let mut paths: Vec<_> = ["README.md", "CHANGELOG.md", "charts/dbmazz-operator/README.md"]
        .map(|page| root().join(page))
        .into();
    for folder in ["docs", "tests/fuzz", "tests/starrocks", "tests/system", "tests/testbed"] {
        let files = fs::read_dir(root().join(folder)).unwrap().map(|file| file.unwrap().path());
        paths.extend(files.filter(|file| file.extension().is_some_and(|extension| extension == "md")));
    }
    paths.into_iter().map(|path| Page { text: fs::read_to_string(&path).unwrap(), path }).collect()
}

/// The lines outside code blocks, or inside those of a language.
fn lines<'a>(text: &'a str, language: Option<&str>) -> Vec<&'a str> {
    let (mut open, mut found) = (None, Vec::new());
    for line in text.lines() {
        match (line.strip_prefix("```"), open) {
            (Some(opened), None) => open = Some(opened),
            (Some(_), Some(_)) => open = None,
            (None, _) if open == language => found.push(line),
            (None, _) => {}
        }
    }
    found
}

/// The targets of `[text](target)` within this repository.
fn links(text: &str) -> Vec<&str> {
    let after = lines(text, None).into_iter().flat_map(|line| line.split("](").skip(1));
    after.filter_map(|rest| Some(rest.split_once(')')?.0)).filter(|target| !target.contains("://")).collect()
}

/// The anchor of a heading on GitHub.
fn anchor(heading: &str) -> String {
    let letters = heading.trim().chars().flat_map(char::to_lowercase);
    let kept = letters.filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

fn has_heading(text: &str, wanted: &str) -> bool {
    let mut headings = lines(text, None).into_iter().filter(|line| line.starts_with('#'));
    headings.any(|line| anchor(line.trim_start_matches('#')) == wanted)
}

/// The file that a link names, and the heading in it; an empty one names the file alone.
fn target<'a>(page: &Page, link: &'a str) -> (PathBuf, &'a str) {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    (if file.is_empty() { page.path.clone() } else { page.path.with_file_name(file) }, heading)
}

fn leads_nowhere(page: &Page, link: &str) -> bool {
    let (path, heading) = target(page, link);
    !path.exists() || !heading.is_empty() && !has_heading(&fs::read_to_string(path).unwrap(), heading)
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let pages = pages();
    assert!(pages.iter().map(|page| links(&page.text).len()).sum::<usize>() > 20);
    for page in &pages {
        let broken: Vec<_> = links(&page.text).into_iter().filter(|link| leads_nowhere(page, link)).collect();
        assert!(broken.is_empty(), "{}: {broken:?}", page.path.display());
    }
}

#[test]
fn every_page_of_docs_is_reached_from_the_readme() {
    let pages = pages();
    let linked = |page: &Page| {
        let paths = links(&page.text).into_iter().map(|link| target(page, link).0);
        paths.filter_map(|path| path.canonicalize().ok()).collect::<Vec<_>>()
    };
    let mut reached = BTreeSet::from([root().join("README.md")]);
    let mut before = 0;
    while reached.len() > before {
        before = reached.len();
        let from: Vec<_> =
            pages.iter().filter(|page| reached.contains(&page.path)).flat_map(linked).collect();
        reached.extend(from);
    }
    let left: Vec<_> = pages.iter().map(|page| &page.path).filter(|path| !reached.contains(*path)).collect();
    assert!(left.iter().all(|path| !path.starts_with(root().join("docs"))), "{left:?}");
}

/// The parts of the text in backquotes.
fn spans(text: &str) -> Vec<&str> {
    lines(text, None).into_iter().flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

fn is_of_docs(page: &&Page) -> bool {
    page.path.parent() == Some(&root()) || page.path.starts_with(root().join("docs"))
}

#[test]
fn every_file_that_the_docs_name_is_there() {
    const FOLDERS: [&str; 6] = ["worker/", "operator/", "crds/", "tests/", "charts/", "config/"];
    let is_file = |span: &&str| {
        FOLDERS.iter().any(|folder| span.starts_with(folder))
            && !span.contains(|letter| " …*".contains(letter))
    };
    for page in pages().iter().filter(is_of_docs) {
        let named = spans(&page.text).into_iter().filter(is_file);
        let missing: Vec<_> = named.filter(|file| !root().join(file).exists()).collect();
        assert!(missing.is_empty(), "{}: {missing:?}", page.path.display());
    }
}

/// Whether `a::b::Type` is `a/b.rs` or `a/b/` of a crate.
fn is_module(path: &str) -> bool {
    const CRATES: [&str; 4] = ["worker/src", "operator/src", "tests/system/src", "crds/src"];
    let modules: Vec<_> = path.split("::").filter(|name| name.starts_with(char::is_lowercase)).collect();
    // The path may begin with the name of the crate.
    [&modules[..], &modules[1..]].into_iter().any(|modules| {
        let file = modules.join("/");
        CRATES.iter().any(|sources| {
            let path = root().join(sources).join(&file);
            path.is_dir() || path.with_extension("rs").exists()
        })
    })
}

#[test]
fn every_module_that_the_architecture_names_is_there() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let named: Vec<_> = spans(&text).into_iter().filter(|span| span.contains("::")).collect();
    assert!(named.len() > 50);
    let missing: Vec<_> = named.into_iter().filter(|path| !is_module(path)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The commands of the page's shell blocks, each on one line and without its comment, and every `make …` of its text.
fn commands(text: &str) -> Vec<String> {
    let blocks = lines(text, Some("sh")).join("\n").replace("\\\n", " ");
    let shown = blocks.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    let commands = shown.chain(spans(text).into_iter().filter(|span| span.starts_with("make ")));
    commands.filter(|command| !command.is_empty()).map(str::to_owned).collect()
}

fn is_known(command: &str, makefile: &str) -> Result<(), String> {
    let mut words = command.split_whitespace().skip_while(|word| word.contains('='));
    let program = words.next().unwrap_or_default();
    if !PROGRAMS.contains(&program) {
        return Err(format!("{program} is none of {PROGRAMS:?}"));
    }
    let is_file = |word: &str| ["charts/", "config/"].iter().any(|folder| word.starts_with(folder));
    for word in words {
        let known = match program {
            "make" => is_of_makefile(word, makefile),
            _ => !is_file(word) || root().join(word).exists(),
        };
        if !known {
            return Err(format!("{program} does not know {word}"));
        }
    }
    Ok(())
}

/// A target of the Makefile, or a variable that it reads.
fn is_of_makefile(word: &str, makefile: &str) -> bool {
    match word.split_once('=') {
        Some((variable, _)) => makefile.contains(&format!("$({variable})")),
        None => makefile.lines().any(|line| line.starts_with(&format!("{word}:"))),
    }
}

#[test]
fn every_command_is_one_that_there_is() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    for page in pages() {
        for command in commands(&page.text) {
            assert_eq!(is_known(&command, &makefile), Ok(()), "{}: {command}", page.path.display());
        }
    }
}

#[test]
fn what_is_no_command_is_found() {
    let makefile = "demo:\n\trun $(SECONDS)\n";
    for command in ["make dmo", "make demo KILLS=1", "kubctl get pods", "kubectl apply -f config/none.yaml"] {
        assert!(is_known(command, makefile).is_err(), "{command}");
    }
    for command in ["make demo SECONDS=30", "A=b kubectl get pods", "helm lint charts/dbmazz-operator"] {
        assert_eq!(is_known(command, makefile), Ok(()), "{command}");
    }
    assert_eq!(commands("`make x`\n```sh\na \\\nb # c\n```\n"), ["a  b", "make x"]);
    assert_eq!(anchor(" Upgrade, uninstall"), "upgrade-uninstall");
}
