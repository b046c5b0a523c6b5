//! The memory limit of the process: that of its cgroup, version 1 or 2.

use std::{fs, path::PathBuf};

const ROOT: &str = "/sys/fs/cgroup";
/// Version 1 writes a value beyond this for "no limit".
const NO_LIMIT: u64 = 1 << 50;

/// The smallest limit of the groups that the process is in; `None` without a limit.
pub(super) fn limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    files(&groups).into_iter().filter_map(|file| parsed(&fs::read_to_string(file).ok()?)).min()
}

/// The limits of parent groups apply too. In a container the process's own group may appear as the root.
fn files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = match controllers {
            "" => (PathBuf::from(ROOT), "memory.max"),
            memory if memory.split(',').any(|name| name == "memory") => {
                (PathBuf::from(ROOT).join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = root.join(path.trim_start_matches('/'));
        files.extend(
            group.ancestors().take_while(|group| group.starts_with(&root)).map(|group| group.join(file)),
        );
    }
    files
}

fn parsed(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_bound_by_those_above_it_in_either_version() {
        let names = |groups| files(groups).iter().map(|file| file.display().to_string()).collect::<Vec<_>>();
        assert_eq!(
            names("0::/pod/one\n"),
            [
                "/sys/fs/cgroup/pod/one/memory.max",
                "/sys/fs/cgroup/pod/memory.max",
                "/sys/fs/cgroup/memory.max"
            ]
        );
        assert_eq!(names("5:cpu,cpuacct:/x\n4:memory:/\n"), ["/sys/fs/cgroup/memory/memory.limit_in_bytes"]);
    }

    #[test]
    fn no_limit_is_none() {
        for (text, limit) in
            [("max\n", None), ("9223372036854771712\n", None), ("134217728\n", Some(128 << 20))]
        {
            assert_eq!(parsed(text), limit);
        }
    }
}
