//! The least HTTP that a counterpart needs: a server that may also misbehave, and a one-shot requester.
//! On loopback only; in clear text, or in TLS behind a private authority.

mod exchange;
mod server;

#[cfg(test)]
pub(crate) use exchange::Exchange;
pub use exchange::ExchangeError;
pub(crate) use exchange::{Trust, exchange};
pub(crate) use server::{
    Answer, Body, Incoming, StreamEnd, WebServer, bytes_reply, html, json, redirect, stream_reply,
};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// `bytes` of operating system randomness as base64url.
pub(crate) fn random_text(bytes: usize) -> String {
    let mut raw = vec![0; bytes];
    getrandom::fill(&mut raw).expect("the operating system always has randomness on a running machine");
    URL_SAFE_NO_PAD.encode(raw)
}

/// The fields of a form or query, the first of equal names winning.
pub(crate) fn fields(encoded: &[u8]) -> std::collections::HashMap<String, String> {
    let mut found = std::collections::HashMap::new();
    for (name, value) in url::form_urlencoded::parse(encoded) {
        found.entry(name.into_owned()).or_insert_with(|| value.into_owned());
    }
    found
}
