//! The bridge between a scripted host, a scripted agent and real HTTP servers. One module a journey.
#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

/// The three other parties.
mod support;

/// 401, renewal, refusals, servers without sign-in.
mod authorization;
/// Nobody may call: what the host is told, and how it gets going again.
mod closed;
/// stdin EOF, signals, a lost agent.
mod ends;
/// The transport of 2024-11-05.
mod event_stream;
/// Garbage, sizes, batches.
mod framing;
/// Revisions up to 2025-11-25.
mod handshake;
/// Many calls, many switches: nobody is ever somebody else.
mod interleaved;
/// The host's answers to questions of a server.
mod lost_answers;
/// What the agent remembers of a server: an app starts at once, and keeps its tools.
mod memory;
/// Arguments of tools in headers.
mod mirrored;
/// An app of 2026-07-28 at a server with a handshake.
mod newer_host;
/// An app with a handshake at a server of 2026-07-28.
mod older_host;
/// Revision 2026-07-28.
mod stateless;
/// Another person, while calls are under way.
mod switch;
