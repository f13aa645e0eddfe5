//! Which headers a Server may be given besides its URL.

/// Whether a text may be a header's name here: letters, digits, dashes, underscores.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Whether a header by this name is made by Hallpass itself, or says how a message is carried: nobody else sets it.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|known| name.eq_ignore_ascii_case(known))
}

const RESERVED: &[&str] = &[
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "origin",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case() {
        assert!(is_reserved("Mcp-Session-Id") && is_reserved("HOST"));
        assert!(!is_reserved("X-MCP-Toolsets") && !is_reserved(""));
        assert!(is_name("X_Tenant-1"));
        for bad in ["", "a b", "a:b", "a\r\nb", "\u{e4}"] {
            assert!(!is_name(bad), "{bad:?} was taken");
        }
    }
}
