//! What can be made to go wrong at an MCP server, as one value that tests set at run time.

use serde::{Deserialize, Serialize};

/// The protocol eras that a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Eras {
    /// `initialize` and sessions, up to 2025-11-25.
    Handshake,
    /// 2026-07-28: every request stands alone.
    Stateless,
    /// Either, as each request asks.
    Both,
}

/// The behaviour of an MCP server. The default is a strict, correct one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// How requests are answered.
    pub answers: AnswerForm,
    /// SSE goes out in pieces of so many bytes; 0 = an event a piece.
    pub sse_piece: usize,
    /// Revisions of the handshake era, the newest last.
    pub handshake_versions: Vec<String>,
    /// Revisions of the stateless era.
    pub stateless_versions: Vec<String>,
    /// `initialize` opens a session with an id.
    pub session_ids: bool,
    /// GET opens a stream (else 405).
    pub get_stream: bool,
    /// DELETE ends a session (else 405).
    pub delete: bool,
    /// The 401 names `resource_metadata` (RFC 9728 section 5.1).
    pub metadata_in_challenge: bool,
    /// The 401 names this `scope`.
    pub challenge_scope: Option<String>,
    /// Where protected resource metadata stands.
    pub metadata_places: Vec<MetadataPlace>,
    /// The `resource` of the metadata is replaced by this.
    pub metadata_resource: Option<String>,
    /// The `authorization_servers` of the metadata are replaced by these.
    pub authorization_servers: Option<Vec<String>>,
    /// `scopes_supported` of the metadata; empty = left out.
    pub scopes_supported: Vec<String>,
    /// A token must have been issued for this server's `resource` (RFC 8707).
    pub check_resource: bool,
    /// Good tokens, too, are answered with 401 so many times.
    pub refuse_tokens: u32,
    /// `tools/call` is answered with 403 `insufficient_scope` for this scope.
    pub insufficient_scope: Option<String>,
    /// The tools `whoami` and `get_me` name this person, whoever asks.
    pub whoami_as: Option<String>,
    /// The tools `whoami` and `get_me` answer this result, whoever asks.
    pub whoami_result: Option<serde_json::Value>,
    /// POST is answered with this status and nothing else.
    pub status: Option<u16>,
    /// POST is answered with 307 to this address, which no token may follow.
    pub redirect: Option<String>,
    /// Every POST is answered so late, in milliseconds.
    pub delay_ms: u64,
    /// `tools/list` has a tool `of-<person>`, so that lists of two people differ.
    pub personal_tool: bool,
    /// Each record says which process asked (Linux; a search through `/proc` for each connection).
    pub identify_peers: bool,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            answers: AnswerForm::Json,
            sse_piece: 0,
            handshake_versions: ["2025-03-26", "2025-06-18", "2025-11-25"].map(str::to_owned).into(),
            stateless_versions: vec!["2026-07-28".to_owned()],
            session_ids: true,
            get_stream: true,
            delete: true,
            metadata_in_challenge: true,
            challenge_scope: None,
            metadata_places: vec![MetadataPlace::Path],
            metadata_resource: None,
            authorization_servers: None,
            scopes_supported: vec!["mcp".to_owned()],
            check_resource: true,
            refuse_tokens: 0,
            insufficient_scope: None,
            whoami_as: None,
            whoami_result: None,
            status: None,
            redirect: None,
            delay_ms: 0,
            personal_tool: true,
            identify_peers: false,
        }
    }
}

/// How requests are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerForm {
    /// One JSON document.
    Json,
    /// An event stream that ends with the answer.
    Sse,
}

/// Where protected resource metadata stands (RFC 9728 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetadataPlace {
    /// `/.well-known/oauth-protected-resource/mcp`.
    Path,
    /// `/.well-known/oauth-protected-resource`.
    Root,
}
