//! The one request that asks an endpoint, without a token, whether it wants one.
//!
//! It is `server/discover` of the 2026-07-28 revision: a read without effect on servers that know it, an
//! unknown method to older ones, and by that revision's own rules the first request to a server of
//! unknown era. A server that protects anything answers 401 before it looks at the method.

use std::collections::BTreeMap;

use model::Endpoint;

use crate::http::{DOCUMENT_TIME, Http, HttpError, HttpRequest, HttpResponse};

/// The revision that the probe speaks.
pub(crate) const REVISION: &str = "2026-07-28";

/// Sends the probe with the Server's own headers.
pub(crate) async fn probe(
    http: &dyn Http,
    endpoint: &Endpoint,
    headers: &BTreeMap<String, String>,
) -> Result<HttpResponse, HttpError> {
    let body = serde_json::json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "server/discover",
        "params": { "_meta": {
            "io.modelcontextprotocol/protocolVersion": REVISION,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": { "name": "hallpass", "version": env!("CARGO_PKG_VERSION") },
        } },
    });
    let body = body.to_string().into_bytes();
    let request = HttpRequest::post(endpoint.as_str(), "application/json", body, DOCUMENT_TIME);
    let request = own_headers(request, headers)
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", REVISION)
        .header("mcp-method", "server/discover");
    http.send(request).await
}

/// Opens the event stream of a 2024-11-05 server, which takes no POST at its endpoint.
pub(crate) async fn probe_event_stream(
    http: &dyn Http,
    endpoint: &Endpoint,
    headers: &BTreeMap<String, String>,
) -> Result<HttpResponse, HttpError> {
    let request = own_headers(HttpRequest::get_json(endpoint.as_str()), headers);
    http.send(request.header("accept", "text/event-stream")).await
}

/// The Server's headers are no secret; what would be one, or would break the request, is left out.
fn own_headers(mut request: HttpRequest, headers: &BTreeMap<String, String>) -> HttpRequest {
    for (name, value) in headers {
        let refused = [
            "authorization",
            "cookie",
            "host",
            "content-length",
            "content-type",
            "connection",
            "transfer-encoding",
        ];
        if !refused.iter().any(|word| name.eq_ignore_ascii_case(word)) {
            request = request.header(name, value);
        }
    }
    request
}
