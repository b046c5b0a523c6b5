//! The targets by name. Each is created once, with everything it needs except the input.

mod batch;
mod control;
mod files;
mod sink;
mod source;
mod tables;

/// Called with one input after another.
pub type Fuzzed = Box<dyn FnMut(&[u8])>;

/// The name of a target, and its constructor.
type Named = (&'static str, fn() -> Fuzzed);

/// Every target.
pub const TARGETS: [Named; 15] = [
    ("stream", source::stream),
    ("messages", source::messages),
    ("session", source::session),
    ("certificate", source::certificate),
    ("values", batch::values),
    ("spelled", batch::spelled),
    ("http", sink::http),
    ("answer", sink::answer),
    ("step", sink::step),
    ("catalogue", sink::catalogue),
    ("mysql", sink::mysql),
    ("job", files::job),
    ("environment", files::environment),
    ("notes", files::notes),
    ("control", control::control),
];

/// The target of this name, ready for its first input.
pub fn named(name: &str) -> Option<Fuzzed> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, make)| make())
}

/// The first byte, which selects the variant, and the rest, which is the data.
fn chosen(bytes: &[u8]) -> (u8, &[u8]) {
    bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest))
}
