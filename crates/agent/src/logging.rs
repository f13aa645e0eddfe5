//! The agent's log: an allow-list of fields as JSON lines, rotated daily, kept for seven days.

use platform::Root;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging into the root's folder. Libraries say nothing below `warn`: they may print what they
/// carry.
pub(crate) fn start(root: &Root) {
    let appender = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("agent")
        .filename_suffix("log")
        .max_log_files(7)
        .build(root.logs());
    let Ok(appender) = appender else { return };
    let filter = EnvFilter::new("warn,hallpass_agent=info,hallpass_token_store=info");
    let layer = tracing_subscriber::fmt::layer().json().with_writer(appender).with_ansi(false);
    // A second agent in one process (tests) keeps the first one's log.
    let _first = tracing_subscriber::registry().with(filter).with(layer).try_init();
    std::panic::set_hook(Box::new(|panic| {
        // The place, not the payload: a payload may quote what it choked on.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}
