//! `fuzz`: built with instrumentation, the fuzzer itself, with the target that `TARGET` names and the options of
//! libFuzzer; otherwise `fuzz TARGET FILE...` runs a target on files.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
mod guided {
    use std::cell::RefCell;

    use fuzz::Fuzzed;

    thread_local! {
        static CHOSEN: RefCell<Fuzzed> = RefCell::new(chosen());
    }

    fn chosen() -> Fuzzed {
        let name = std::env::var("TARGET").unwrap_or_default();
        let mut fuzzed = fuzz::named(&name).expect("TARGET names a target");
        bear_with_the_driver();
        // An empty input first, so that one-time allocations happen before memory is counted.
        fuzzed(b"");
        fuzzed
    }

    /// The worker catches panics of its MySQL driver; without this hook libFuzzer would end the process before that.
    fn bear_with_the_driver() {
        let ends = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let of_driver = panic.location().is_some_and(|place| place.file().contains("/mysql_"));
            if !of_driver {
                ends(panic);
            }
        }));
    }

    libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
        CHOSEN.with_borrow_mut(|chosen| fuzz::run(chosen, bytes));
    });
}

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let unknown = || {
        let known: Vec<_> = fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
        std::io::Error::other(format!("no target is named {name:?}; there are {}", known.join(", ")))
    };
    let mut fuzzed = fuzz::named(&name).ok_or_else(unknown)?;
    fuzzed(b"");
    for file in arguments {
        fuzz::run(&mut fuzzed, &std::fs::read(file)?);
    }
    Ok(())
}
