//! The rows of `docs/performance.md`: what stands in them, what was aimed at, whether it is met.

use crate::stats::Figures;
use crate::world::{DIRECT, FLOOR, HALLPASS};

/// How a figure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Milliseconds, microseconds, MiB: few digits.
    Plain,
    /// A part of one.
    Share,
    /// A large count.
    Count,
}

/// Whether a row must be met, or only explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Must,
    Wanted,
}

/// One row.
pub(crate) struct Row {
    /// In words, with the unit.
    pub(crate) title: &'static str,
    /// The figures that it shows, in this order.
    pub(crate) keys: &'static [&'static str],
    pub(crate) form: Form,
    pub(crate) goal: &'static str,
    pub(crate) weight: Weight,
    /// Whether the goal is met; `None` where a figure is missing.
    pub(crate) met: fn(&Figures) -> Option<bool>,
}

fn ours(figures: &Figures, key: &str) -> Option<f64> {
    figures.median(key, HALLPASS)
}

/// Ours is at most `factor` times what another one has.
fn within(figures: &Figures, key: &str, other: &str, factor: f64) -> Option<bool> {
    Some(ours(figures, key)? <= factor * figures.median(key, other)?)
}

fn at_most(figures: &Figures, key: &str, limit: f64) -> Option<bool> {
    Some(ours(figures, key)? <= limit)
}

/// Every part is met; a missing one leaves it open.
fn all<const N: usize>(parts: [Option<bool>; N]) -> Option<bool> {
    parts.into_iter().try_fold(true, |all, part| Some(all & part?))
}

/// Rows of the window: what stands in them, and the figure.
pub(crate) const WINDOWS: [(&str, &str); 9] = [
    ("start to a usable window (its first view painted to the end), ms", "window_ms"),
    ("the same, agent not running, ms", "window_no_agent_ms"),
    ("start to the tray (`--hidden`, the icon registered), ms", "tray_ms"),
    ("the same, agent not running, ms", "tray_no_agent_ms"),
    ("PSS with the window open, all processes, MiB", "window_pss_mib"),
    ("PSS after the window was closed, the tray goes on, MiB", "closed_pss_mib"),
    ("web processes left then (goal: 0)", "web_left"),
    ("PSS of a start to the tray, no window yet, MiB", "tray_pss_mib"),
    ("size of the executables (ours: window, and CLI, bridge, agent in one), MB", "size_mb"),
];

/// All rows of bridge and agent.
pub(crate) const ROWS: &[Row] = &[
    Row {
        title: "spawn to `initialize` answered, agent running, ms",
        keys: &["start_ms"],
        form: Form::Plain,
        goal: "<= 2.5 x floor",
        weight: Weight::Must,
        met: |f| within(f, "start_ms", FLOOR, 2.5),
    },
    Row {
        title: "the same, agent not running (process, keychain, hello), ms",
        keys: &["no_agent_ms"],
        form: Form::Plain,
        goal: "faster than hyper-mcp-remote's start",
        weight: Weight::Wanted,
        met: |f| Some(ours(f, "no_agent_ms")? <= f.median("start_ms", "hyper-mcp-remote")?),
    },
    Row {
        title: "CPU of a start, ms",
        keys: &["start_cpu_ms"],
        form: Form::Plain,
        goal: "<= 2.5 x floor",
        weight: Weight::Wanted,
        met: |f| within(f, "start_cpu_ms", FLOOR, 2.5),
    },
    Row {
        title: "PSS after `initialize`, MiB",
        keys: &["pss_mib"],
        form: Form::Plain,
        goal: "<= 4",
        weight: Weight::Must,
        met: |f| at_most(f, "pss_mib", 4.0),
    },
    Row {
        title: "PSS of the agent, MiB",
        keys: &["agent_pss_mib"],
        form: Form::Plain,
        goal: "<= 12",
        weight: Weight::Must,
        met: |f| at_most(f, "agent_pss_mib", 12.0),
    },
    Row {
        title: "RSS growth after 1,000 calls, MiB",
        keys: &["rss_growth_mib"],
        form: Form::Plain,
        goal: "<= 0.2",
        weight: Weight::Wanted,
        met: |f| at_most(f, "rss_growth_mib", 0.2),
    },
    Row {
        title: "RSS growth over 100,000 more calls, 16 in flight, MiB",
        keys: &["rss_growth_long_mib"],
        form: Form::Plain,
        goal: "flat (<= 0.2)",
        weight: Weight::Wanted,
        met: |f| at_most(f, "rss_growth_long_mib", 0.2),
    },
    Row {
        title: "threads; idle wake-ups per s",
        keys: &["threads", "wakeups"],
        form: Form::Plain,
        goal: "<= 2; 0",
        weight: Weight::Wanted,
        met: |f| all([at_most(f, "threads", 2.0), at_most(f, "wakeups", 0.0)]),
    },
    Row {
        title: "CPU per call, us",
        keys: &["cpu_call_us"],
        form: Form::Plain,
        goal: "<= 2 x floor",
        weight: Weight::Wanted,
        met: |f| within(f, "cpu_call_us", FLOOR, 2.0),
    },
    Row {
        title: "added p50, JSON, us",
        keys: &["json_p50_us"],
        form: Form::Plain,
        goal: "<= 2 x floor",
        weight: Weight::Must,
        met: |f| within(f, "json_p50_us", FLOOR, 2.0),
    },
    Row {
        title: "added p99, JSON, us",
        keys: &["json_p99_us"],
        form: Form::Plain,
        goal: "<= 2 x floor's",
        weight: Weight::Wanted,
        met: |f| within(f, "json_p99_us", FLOOR, 2.0),
    },
    Row {
        title: "added p50, SSE answers, us",
        keys: &["sse_p50_us"],
        form: Form::Plain,
        goal: "<= 2 x floor",
        weight: Weight::Wanted,
        met: |f| within(f, "sse_p50_us", FLOOR, 2.0),
    },
    Row {
        title: "share of direct calls per s, 1 / 16 / 64 in flight (direct: calls per s)",
        keys: &["share_1", "share_16", "share_64"],
        form: Form::Share,
        goal: ">= 0.4 / 0.55 / 0.5",
        weight: Weight::Must,
        met: |f| {
            all([("share_1", 0.4), ("share_16", 0.55), ("share_64", 0.5)]
                .map(|(key, least)| Some(ours(f, key)? >= least)))
        },
    },
    Row {
        title: "1 MB there and back, ms",
        keys: &["mb1_ms"],
        form: Form::Plain,
        goal: "<= 1.3 x direct",
        weight: Weight::Wanted,
        met: |f| within(f, "mb1_ms", DIRECT, 1.3),
    },
    Row {
        title: "10 MB there and back, ms; peak RSS, MiB",
        keys: &["mb10_ms", "mb10_peak_mib"],
        form: Form::Plain,
        goal: "<= 1.6 x direct; <= 32",
        weight: Weight::Must,
        met: |f| all([within(f, "mb10_ms", DIRECT, 1.6), at_most(f, "mb10_peak_mib", 32.0)]),
    },
    Row {
        title: "progress events per s, in order, none lost",
        keys: &["progress_per_s"],
        form: Form::Count,
        goal: ">= 0.5 x floor",
        weight: Weight::Wanted,
        met: |f| Some(ours(f, "progress_per_s")? >= 0.5 * f.median("progress_per_s", FLOOR)?),
    },
    Row {
        title: "20 bridges at once: all ready, ms; PSS (ours with the agent), MiB",
        keys: &["many_ms", "many_pss_mib"],
        form: Form::Plain,
        goal: "<= 150; <= 60",
        weight: Weight::Wanted,
        met: |f| all([at_most(f, "many_ms", 150.0), at_most(f, "many_pss_mib", 60.0)]),
    },
    Row {
        title: "gone after EOF / EOF while a call hangs / parent killed, ms",
        keys: &["eof_ms", "eof_hang_ms", "killed_ms"],
        form: Form::Plain,
        goal: "<= 20 each",
        weight: Weight::Must,
        met: |f| all(["eof_ms", "eof_hang_ms", "killed_ms"].map(|key| at_most(f, key, 20.0))),
    },
    Row {
        title: "parent killed while a stranger holds the pipe: gone after, ms",
        keys: &["stranger_ms"],
        form: Form::Plain,
        goal: "<= 2,000",
        weight: Weight::Must,
        met: |f| at_most(f, "stranger_ms", 2000.0),
    },
    Row {
        title: "upstream restarted, sessions lost: failed safe calls / failed tool calls / time to recover, ms",
        keys: &["restart_safe_failed", "restart_unsafe_failed", "restart_ms"],
        form: Form::Plain,
        goal: "0 / <= 1 / <= 20",
        weight: Weight::Wanted,
        met: |f| {
            all([("restart_safe_failed", 0.0), ("restart_unsafe_failed", 1.0), ("restart_ms", 20.0)]
                .map(|(key, most)| at_most(f, key, most)))
        },
    },
    Row {
        title: "over TLS (private authority): spawn to `initialize` answered, ms",
        keys: &["tls_start_ms"],
        form: Form::Plain,
        goal: "<= 2.5 x (floor's start + what TLS adds to direct)",
        weight: Weight::Wanted,
        met: |f| {
            let adds = f.median("tls_start_ms", DIRECT)? - f.median("start_ms", DIRECT)?;
            Some(ours(f, "tls_start_ms")? <= 2.5 * (f.median("start_ms", FLOOR)? + adds.max(0.0)))
        },
    },
    Row {
        title: "over TLS: CPU of a start, ms",
        keys: &["tls_start_cpu_ms"],
        form: Form::Plain,
        goal: "-",
        weight: Weight::Wanted,
        met: |_| None,
    },
    Row {
        title: "over TLS: PSS after `initialize`, MiB",
        keys: &["tls_pss_mib"],
        form: Form::Plain,
        goal: "<= 4",
        weight: Weight::Must,
        met: |f| at_most(f, "tls_pss_mib", 4.0),
    },
    Row {
        title: "over TLS: added p50, JSON, us",
        keys: &["tls_p50_us"],
        form: Form::Plain,
        goal: "<= 2 x floor's without TLS",
        weight: Weight::Wanted,
        met: |f| Some(ours(f, "tls_p50_us")? <= 2.0 * f.median("json_p50_us", FLOOR)?),
    },
    Row {
        title: "start, the executable not in memory, ms",
        keys: &["cold_ms"],
        form: Form::Plain,
        goal: "<= 2.5 x floor",
        weight: Weight::Wanted,
        met: |f| within(f, "cold_ms", FLOOR, 2.5),
    },
    Row {
        title: "`tools/list` with 1,000 tools (250 kB), ms",
        keys: &["tools_ms"],
        form: Form::Plain,
        goal: "<= 2 x floor",
        weight: Weight::Wanted,
        met: |f| within(f, "tools_ms", FLOOR, 2.0),
    },
];
