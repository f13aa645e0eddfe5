//! Named places where a test may kill this process at once, and named mistakes that it may make so that a
//! test can show that it would notice them. Builds of the release channel have neither.

use std::time::Duration;

use platform::Root;

/// Dies here if `run/fault` names this point. The file is removed first, so that the next agent lives.
pub(crate) fn point(root: &Root, name: &'static str) {
    if platform::CHANNEL_IS_RELEASE {
        return;
    }
    let path = root.run().join("fault");
    if std::fs::read_to_string(&path).is_ok_and(|wanted| wanted.trim() == name)
        && std::fs::remove_file(&path).is_ok()
    {
        std::process::abort();
    }
}

/// How long `run/idle` lets an agent be idle, in milliseconds there; a test cannot wait for a minute.
pub(crate) fn idle(root: &Root) -> Option<Duration> {
    milliseconds(root, "idle")
}

/// How long `run/acknowledge` lets a bridge be silent after a switch, in milliseconds there; a second is too short for
/// a test on a machine that does much besides.
pub(crate) fn acknowledge_within(root: &Root) -> Option<Duration> {
    milliseconds(root, "acknowledge")
}

fn milliseconds(root: &Root, name: &str) -> Option<Duration> {
    if platform::CHANNEL_IS_RELEASE {
        return None;
    }
    let text = std::fs::read_to_string(root.run().join(name)).ok()?;
    text.trim().parse().ok().map(Duration::from_millis)
}

/// Whether `run/mutant` asks for the mistake of lending one person's token for another.
pub(crate) fn mixes_people(root: &Root) -> bool {
    !platform::CHANNEL_IS_RELEASE
        && std::fs::read_to_string(root.run().join("mutant"))
            .is_ok_and(|wanted| wanted.trim() == "mix-people")
}
