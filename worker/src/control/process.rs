//! Memory and CPU time of the process, from `/proc`; zero where there is none.

use std::fs;

/// The kernel reports CPU time in hundredths of a second (`USER_HZ`) on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Resident memory. From `status`, which uses kilobytes: the size of a page depends on the machine.
pub(super) fn resident_bytes() -> u64 {
    fs::read_to_string("/proc/self/status").ok().and_then(|status| resident(&status)).unwrap_or(0)
}

/// CPU seconds of all threads since the start, in user mode and in the kernel.
pub(super) fn cpu_seconds() -> f64 {
    fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu(&stat)).unwrap_or(0.0)
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// Fields 14 and 15. The name of the process, in brackets before them, may contain any character.
fn cpu(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some(user.saturating_add(system) as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_time_are_read_as_the_kernel_writes_them() {
        assert_eq!(resident("Name:\tdbmazz\nVmHWM:\t  9999 kB\nVmRSS:\t    8192 kB\n"), Some(8 << 20));
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 100 1 1";
        assert_eq!(cpu(stat), Some(2.0));
    }

    #[test]
    fn what_is_not_understood_is_not_guessed() {
        for text in ["", "VmRSS: kB", "1 (x", "1 (x) S 1"] {
            assert_eq!((resident(text), cpu(text)), (None, None), "{text}");
        }
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(resident_bytes() > 0);
    }
}
