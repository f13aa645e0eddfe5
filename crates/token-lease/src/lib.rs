//! The wire between a bridge and the agent: the only one that carries a token out of the agent.
//!
//! ```text
//! bridge --Attach{app, server, account?}-->  agent
//! bridge <--Attached{server, standing}----   agent      standing: Ready(token) | Open | Closed(why)
//! bridge --Token{lease, rejected?}------->   agent      when 20 % or 30 s are left, or after a 401
//! bridge <--Token{standing}---------------   agent
//! bridge <--Switched{seq, standing}-------   agent      account switched, signed in or out, removed
//! bridge <--Known{account, known}--------   agent      what the server has said to that person before
//! bridge --Seen{lease, known}------------>   agent      what it says now, where that is news
//! bridge --Acknowledge{seq}-------------->   agent      from now on no new request as the old person
//! bridge --Release{lease}---------------->   agent      the last call of the old person has ended
//! ```
//!
//! One JSON object a line ([`MAX_LINE`] bytes at most), after the hello of `ipc`. A lease is the right
//! to tokens of *one* Account at *one* Server for one connection; it never changes person.

mod access_token;
mod message;

pub use access_token::AccessToken;
pub use message::{
    AgentMessage, BridgeMessage, Closed, ClosedCode, Known, LeaseId, OlderLeases, Person, ServerFacts,
    Standing, TokenRefusal,
};

/// The longest line, in bytes. Access tokens of 16 kB and more exist.
pub const MAX_LINE: usize = 1024 * 1024;
