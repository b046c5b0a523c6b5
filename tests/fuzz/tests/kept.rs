//! Every input that is kept passes its target, without instrumentation too.

use std::{fs, panic, path::Path};

/// One test, because memory is counted for the whole process.
#[test]
fn every_kept_input_passes() {
    // Panics of a library that the worker catches; with RUST_BACKTRACE=1 a backtrace would be counted as well.
    panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, make) in fuzz::TARGETS {
        let mut fuzzed = make();
        fuzzed(b"");
        let mut inputs = 0;
        for entry in fs::read_dir(corpora.join(name)).expect("every target has a corpus") {
            let input =
                fs::read(entry.expect("a corpus can be listed").path()).expect("an input can be read");
            fuzz::run(&mut fuzzed, &input);
            inputs += 1;
        }
        assert!(inputs > 0, "{name} has no input");
    }
}
