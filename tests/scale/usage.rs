//! Reads the CPU and memory usage of a process from `/proc` (proc_pid_stat(5), proc_pid_status(5)).

use test_kit::Operator;

/// Ticks per second of Linux's CPU times.
const TICKS: f64 = 100.0;

/// The usage of a process so far.
#[derive(Debug)]
pub(crate) struct Usage {
    /// CPU time in seconds.
    pub(crate) cpu: f64,
    /// Resident memory now, in MiB.
    pub(crate) resident: u32,
    /// The most resident memory so far, in MiB.
    pub(crate) most: u32,
}

impl Usage {
    pub(crate) fn of(operator: &Operator) -> Self {
        let read = |name: &str| {
            std::fs::read_to_string(format!("/proc/{}/{name}", operator.pid())).expect("a running operator")
        };
        let stat = read("stat");
        // Fields 14 and 15, counted from field 3 behind the name, which may have blanks.
        let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
        let ticks: u32 = fields
            .split(' ')
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u32>().expect("a number"))
            .sum();
        let status = read("status");
        let field = |name: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .expect("a field");
            let kib: u32 = line.trim().trim_end_matches(" kB").parse().expect("a number");
            kib / 1024
        };
        Self {
            cpu: f64::from(ticks) / TICKS,
            resident: field("VmRSS:"),
            most: field("VmHWM:"),
        }
    }

    /// Resident now, and the most so far.
    pub(crate) fn memory(&self) -> String {
        format!("{} MiB, {} MiB", self.resident, self.most)
    }
}
