//! The groups of rows, and what they share.

mod big;
mod calls;
mod cold;
mod gone;
mod many;
mod restart;
mod start;
mod tls;
mod window;

use std::io;

use crate::host::Host;
use crate::pin::OneProcessor;
use crate::server::Server;
use crate::stats::Figures;
use crate::world::World;

pub(crate) use gone::stand_in;

/// One run of the benchmark.
pub(crate) struct Run<'a> {
    pub(crate) world: &'a World,
    pub(crate) figures: Figures,
    pub(crate) rounds: usize,
}

/// A group's name and what measures it.
pub(crate) type Group = (&'static str, fn(&mut Run<'_>));

/// All groups: of bridge and agent, and of the window.
pub(crate) const GROUPS: [Group; 9] = [
    ("start", start::measure),
    ("calls", calls::measure),
    ("big", big::measure),
    ("many", many::measure),
    ("gone", gone::measure),
    ("restart", restart::measure),
    ("cold", cold::measure),
    ("tls", tls::measure),
    ("window", window::measure),
];

impl Run<'_> {
    /// Driver, server, agent and every bridge that is started from here on, until it is dropped.
    fn on_one_processor(&self) -> OneProcessor {
        OneProcessor::hold(self.world.agent_pid().as_slice())
    }

    /// A greeted bridge of this contender at the common server.
    fn greeted(&self, contender: &str) -> io::Result<Host> {
        self.greeted_at(contender, ("bench", &self.world.server))
    }

    fn greeted_at(&self, contender: &str, server: (&str, &Server)) -> io::Result<Host> {
        let mut host = self.started_at(contender, server)?;
        host.greet()?;
        Ok(host)
    }

    fn started_at(&self, contender: &str, server: (&str, &Server)) -> io::Result<Host> {
        Host::start(self.world.command(contender, server).map_err(io::Error::other)?)
    }

    /// Measures one contender; what goes wrong becomes a note in every one of these rows that has no figure.
    fn attempt(
        &mut self,
        rows: &[&'static str],
        contender: &'static str,
        measure: impl FnOnce(&mut Self) -> io::Result<()>,
    ) {
        if let Err(error) = measure(self) {
            let why = match error.kind() {
                io::ErrorKind::TimedOut => "no answer within the limit".to_owned(),
                io::ErrorKind::UnexpectedEof => "ended by itself".to_owned(),
                _ => error.to_string(),
            };
            for row in rows {
                self.figures.note(row, contender, why.clone());
            }
        }
    }
}

/// The line of a `tools/call`.
pub(crate) fn call(id: u64, tool: &str, message: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"{tool}\",\"arguments\":{{\"message\":\"{message}\"}}}}}}\n"
    )
}

/// What takes seconds in the slow peers is done less often there.
pub(crate) fn is_slow(contender: &str) -> bool {
    matches!(contender, "hyper-mcp-remote" | "mcp-stdio" | "mcp-remote")
}

/// Counts are small enough to be exact.
pub(crate) fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
