//! Memory of the host: what is left of it, and vectors that are refused by name where there is not enough.
//!
//! Rust ends the process where the system gives no memory, and a system that overcommits ends it later. So whoever makes something large
//! says first how much it needs ([`require`]), and makes it with [`filled`].

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

/// What limits the memory of this process, and how much is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Limit {
    what: &'static str,
    left_bytes: u64,
}

/// Refuses what needs more memory than is left. Where nothing is known of what is left, it passes.
///
/// # Errors
/// [`Error::OutOfMemory`] with the need and the limit.
pub fn require(what: &str, need_bytes: u64) -> Result<()> {
    match tightest() {
        Some(limit) if need_bytes > limit.left_bytes => Err(out_of_memory(what, need_bytes, &limit)),
        _ => Ok(()),
    }
}

/// A vector of `n` equal values.
///
/// # Errors
/// [`Error::OutOfMemory`] where the system has no memory for it.
pub fn filled<T: Copy>(what: &str, n: usize, value: T) -> Result<Vec<T>> {
    let mut values = Vec::new();
    if values.try_reserve_exact(n).is_err() {
        let need_bytes = n as u64 * size_of::<T>() as u64;
        let unknown = Limit { what: "what the system gives", left_bytes: 0 };
        return Err(out_of_memory(what, need_bytes, &tightest().unwrap_or(unknown)));
    }
    values.resize(n, value);
    Ok(values)
}

fn out_of_memory(what: &str, need_bytes: u64, limit: &Limit) -> Error {
    Error::OutOfMemory {
        what: what.to_owned(),
        need_bytes,
        left_bytes: limit.left_bytes,
        limit: limit.what.to_owned(),
    }
}

/// The limit of which least is left. Only Linux tells without asking in ways of its own.
fn tightest() -> Option<Limit> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let machine = of_machine(&read("/proc/meminfo"))
        .map(|left_bytes| Limit { what: "the machine's memory", left_bytes });
    let process = of_process(&read("/proc/self/limits"), &read("/proc/self/statm"))
        .map(|left_bytes| Limit { what: "the limit of the process (ulimit -v)", left_bytes });
    let group = of_groups(&read("/proc/self/cgroup"), Path::new("/sys/fs/cgroup"))
        .map(|left_bytes| Limit { what: "the memory limit of the control group", left_bytes });
    [machine, process, group].into_iter().flatten().min_by_key(|limit| limit.left_bytes)
}

/// What programs can have without ending others, and swap space, bytes.
fn of_machine(meminfo: &str) -> Option<u64> {
    let kib = |name: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some((kib("MemAvailable")? + kib("SwapFree").unwrap_or(0)) << 10)
}

/// What is left of the address space; None where it has no limit.
fn of_process(limits: &str, statm: &str) -> Option<u64> {
    /// What the system counts `statm` in, bytes; larger where pages are, so that less is left than this says.
    const PAGE: u64 = 4096;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
    let pages: u64 = statm.split_whitespace().next()?.parse().ok()?;
    Some(limit.saturating_sub(pages * PAGE))
}

/// What is left to the control groups of a process, of version 2 or 1; None where none has a limit.
fn of_groups(cgroup: &str, root: &Path) -> Option<u64> {
    let mut least: Option<u64> = None;
    for line in cgroup.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (mount, names) = match controllers {
            "" => (root.to_path_buf(), ["memory.max", "memory.current"]),
            "memory" => (root.join("memory"), ["memory.limit_in_bytes", "memory.usage_in_bytes"]),
            _ => continue,
        };
        // A group is also held to the limits of those above it.
        for group in
            mount.join(path.trim_start_matches('/')).ancestors().take_while(|g| g.starts_with(&mount))
        {
            let read = |name: &str| fs::read_to_string(group.join(name)).ok();
            let [limit, used] = names.map(|name| read(name)?.trim().parse::<u64>().ok());
            let (Some(limit), Some(used)) = (limit, used) else { continue };
            // Pages of files that were read are given back when programs ask.
            let stat = read("memory.stat").unwrap_or_default();
            let inactive =
                stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse::<u64>().ok());
            let left = limit.saturating_sub(used.saturating_sub(inactive.unwrap_or(0)));
            least = Some(least.map_or(left, |least| least.min(left)));
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_refused_with_need_and_limit() {
        require("a byte", 1).unwrap();
        let error = filled("the edges of everything", usize::MAX / 16, 0_u64).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains("the edges of everything"), "{error}");
        assert_eq!(filled("three", 3, 7_u32).unwrap(), [7, 7, 7]);
        if cfg!(target_os = "linux") {
            let error = require("more than there is", u64::MAX).unwrap_err().to_string();
            assert!(
                error.contains("more than there is needs 17592186044416 MiB")
                    && error.contains("MiB are left"),
                "{error}"
            );
        }
    }

    #[test]
    fn linux_says_what_is_left() {
        let meminfo = "MemTotal:  24000 kB\nMemFree:  100 kB\nMemAvailable:   2000 kB\nSwapFree:  48 kB\n";
        assert_eq!(of_machine(meminfo), Some(2048 << 10));
        assert_eq!(of_machine(""), None);
        let limits = |soft: &str| {
            format!("Limit  Soft Limit  Hard Limit  Units\nMax address space   {soft}  unlimited  bytes\n")
        };
        assert_eq!(of_process(&limits("1000000"), "100 20 3 1 0 4 0\n"), Some(1_000_000 - 409_600));
        assert_eq!(of_process(&limits("1000"), "100 20 3 1 0 4 0\n"), Some(0));
        assert_eq!(of_process(&limits("unlimited"), "100 20"), None);
    }

    #[test]
    fn control_groups_count_with_those_above_them() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write("job/step/memory.max", "max\n");
        write("job/step/memory.current", "100\n");
        write("job/memory.max", "5000\n");
        write("job/memory.current", "3000\n");
        write("job/memory.stat", "anon 2500\ninactive_file 400\n");
        assert_eq!(of_groups("0::/job/step\n", root.path()), Some(2400));
        assert_eq!(of_groups("0::/other\n", root.path()), None);
        write("memory/slurm/memory.limit_in_bytes", "9000\n");
        write("memory/slurm/memory.usage_in_bytes", "1000\n");
        assert_eq!(of_groups("4:memory:/slurm\n1:cpu:/\n", root.path()), Some(8000));
        assert_eq!(of_groups("4:memory:/slurm\n0::/job\n", root.path()), Some(2400));
    }
}
