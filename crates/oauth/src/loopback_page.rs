//! The few pages that the loopback redirect can show: static, no script, nothing from the request.

/// What a connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    SignedIn,
    NotSignedIn,
    BadRequest,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    TooLarge,
}

impl Page {
    /// The whole response, headers and body.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let (status, title, text) = match self {
            Self::SignedIn => ("200 OK", "Signed in", "Hallpass has signed you in. You may close this tab."),
            Self::NotSignedIn => (
                "200 OK",
                "Not signed in",
                "Hallpass could not sign you in. You may close this tab; the reason stands where you started the sign-in.",
            ),
            Self::BadRequest => (
                "400 Bad Request",
                "Nothing happened",
                "This does not belong to a sign-in that Hallpass is waiting for.",
            ),
            Self::Forbidden => ("403 Forbidden", "Refused", "Hallpass takes no requests from other pages."),
            Self::NotFound => ("404 Not Found", "Nothing here", "There is nothing at this address."),
            Self::MethodNotAllowed => ("405 Method Not Allowed", "Refused", "Only GET is taken here."),
            Self::TooLarge => ("431 Request Header Fields Too Large", "Refused", "The request is too large."),
        };
        let body = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title} - Hallpass</title>\n<h1>{title}</h1>\n<p>{text}</p>\n</html>\n"
        );
        let allow = if self == Self::MethodNotAllowed { "Allow: GET\r\n" } else { "" };
        format!(
            "HTTP/1.1 {status}\r\n\
             Content-Type: text/html; charset=utf-8\r\n\
             Content-Length: {length}\r\n\
             Cache-Control: no-store\r\n\
             Content-Security-Policy: default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'\r\n\
             Referrer-Policy: no-referrer\r\n\
             X-Content-Type-Options: nosniff\r\n\
             {allow}Connection: close\r\n\r\n{body}",
            length = body.len()
        )
        .into_bytes()
    }
}
