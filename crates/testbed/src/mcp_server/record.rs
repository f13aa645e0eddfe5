//! What an MCP server saw, for assertions afterwards.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Counts of what an MCP server did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// HTTP requests at the endpoint.
    pub requests: u64,
    /// Requests answered with 401.
    pub unauthorized: u64,
    /// Tool calls, by person.
    pub tool_calls: BTreeMap<String, u64>,
    /// Sessions opened by `initialize`.
    pub sessions_opened: u64,
    /// Sessions ended by DELETE.
    pub sessions_deleted: u64,
    /// Requests in the session of one person with the token of another. Never right.
    pub mixed_sessions: u64,
    /// Answers to server requests that were never asked in that session. Never right.
    pub stray_answers: u64,
    /// Retries with the `requestState` of another person. Never right.
    pub foreign_request_states: u64,
    /// Good tokens of the right issuer for another resource. Never right.
    pub wrong_audience: u64,
    /// Requests with an `Authorization` header at a server that wants none. Never right.
    pub unexpected_credentials: u64,
    /// Requests refused for their headers.
    pub header_errors: u64,
    /// Calls that were cancelled.
    pub cancelled: u64,
}

/// One HTTP request at the endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct Recorded {
    /// Counts up.
    pub number: u64,
    /// When it was read.
    #[serde(skip)]
    pub at: Instant,
    /// GET, POST, DELETE.
    pub http_method: String,
    /// The path.
    pub path: String,
    /// The method of the JSON-RPC message in it; absent in answers to server requests.
    pub method: Option<String>,
    /// The id of that message.
    pub id: Option<Value>,
    /// The tool that is called.
    pub tool: Option<String>,
    /// Whose token it bears, also when the token has ended. `None`: none, or one of nobody's.
    pub person: Option<String>,
    /// `Mcp-Session-Id`.
    pub session: Option<String>,
    /// `MCP-Protocol-Version`.
    pub protocol_version: Option<String>,
    /// Names of all headers, in lower case, sorted.
    pub header_names: Vec<String>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// The command line of the process behind `peer`, if that was asked for and found.
    pub process: Option<String>,
    /// The connection that it came on.
    pub connection: u64,
    /// The HTTP status of the answer; 0 while there is none.
    pub status: u16,
}

/// A session of the handshake era that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionView {
    /// Its id.
    pub id: String,
    /// Whose it is; `None` at a server without authorization.
    pub person: Option<String>,
    /// The revision that was agreed on.
    pub version: String,
    /// Its open GET streams.
    pub streams: usize,
}
