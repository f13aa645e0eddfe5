//! What the browser brings back: `state` first, then `iss` (RFC 9207), and only then code or error.

use model::Secret;
use url::{Url, form_urlencoded};

use crate::ServerText;
use crate::authorization_request::{ExpectedResponse, IssParameter};

/// An authorization code whose `state` and `iss` were found right.
#[derive(Clone, Debug)]
pub struct Callback {
    /// `code`; good for one exchange.
    pub code: Secret<String>,
}

/// What a query says about the sign-in that is waiting.
#[derive(Debug)]
pub(crate) enum Reading {
    /// Not meant for it, or not readable: the sign-in goes on waiting.
    NotOurs(NotOurs),
    /// The sign-in ends.
    Ends(Result<Callback, CallbackError>),
}

/// Why a query is not the answer that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOurs {
    /// `state` is missing or another one.
    #[error("this does not belong to the sign-in that is waiting")]
    State,
    /// A parameter stands twice (RFC 6749 section 3.1), or neither code nor error is there.
    #[error("this is not a complete answer to a sign-in")]
    Malformed,
}

/// Why a sign-in ended without a code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// Another issuer answered than the one that was asked. Nothing else of the answer is shown.
    #[error("the answer came from another authorization server than {expected}; the sign-in was stopped")]
    OtherIssuer {
        /// The one that was asked.
        expected: String,
    },
    /// The issuer promised to name itself and did not.
    #[error("the answer does not say that it comes from {expected}; the sign-in was stopped")]
    NoIssuer {
        /// The one that was asked.
        expected: String,
    },
    /// The person, or the issuer, said no.
    #[error("the sign-in was declined{}", crate::server_text::said(.text.as_ref()))]
    Denied {
        /// `error_description`.
        text: Option<ServerText>,
    },
    /// Another `error` (RFC 6749 section 4.1.2.1).
    #[error("the authorization server ended the sign-in: {code}{}", crate::server_text::said(.text.as_ref()))]
    Refused {
        /// `error`.
        code: ServerText,
        /// `error_description`.
        text: Option<ServerText>,
    },
    /// A pasted address that is not the redirect URI.
    #[error("this is not the address that the browser was sent back to; it begins with {redirect_uri}")]
    OtherAddress {
        /// Ours.
        redirect_uri: String,
    },
    /// A pasted address of another sign-in, or an incomplete one.
    #[error(transparent)]
    NotOurs(#[from] NotOurs),
}

impl CallbackError {
    /// The issuer does not know who asks, or does not let it ask in this way.
    pub fn is_unknown_client(&self) -> bool {
        matches!(self, Self::Refused { code, .. }
            if matches!(code.as_str(), "invalid_client" | "unauthorized_client" | "invalid_client_metadata"))
    }
}

/// Reads the query of a callback.
pub(crate) fn read(query: &str, expected: &ExpectedResponse) -> Reading {
    let Ok(fields) = Fields::read(query) else { return Reading::NotOurs(NotOurs::Malformed) };
    if fields.state.as_ref() != Some(&expected.state) {
        return Reading::NotOurs(NotOurs::State);
    }
    match (&fields.iss, expected.iss) {
        (Some(iss), _) if *iss != expected.issuer => {
            return Reading::Ends(Err(CallbackError::OtherIssuer { expected: expected.issuer.clone() }));
        }
        (None, IssParameter::Promised) => {
            return Reading::Ends(Err(CallbackError::NoIssuer { expected: expected.issuer.clone() }));
        }
        (Some(_), _) | (None, IssParameter::Unpromised) => {}
    }
    let text = fields.error_description.as_deref().map(ServerText::new);
    match (fields.error.as_deref(), fields.code) {
        (Some("access_denied"), _) => Reading::Ends(Err(CallbackError::Denied { text })),
        (Some(code), _) => Reading::Ends(Err(CallbackError::Refused { code: ServerText::new(code), text })),
        (None, Some(code)) => Reading::Ends(Ok(Callback { code })),
        (None, None) => Reading::NotOurs(NotOurs::Malformed),
    }
}

/// Reads an address that the person pasted, with the checks of a callback.
pub fn parse_pasted(address: &str, expected: &ExpectedResponse) -> Result<Callback, CallbackError> {
    let other = || CallbackError::OtherAddress { redirect_uri: expected.redirect_uri.clone() };
    let pasted = Url::parse(address.trim()).map_err(|_| other())?;
    let wanted = Url::parse(&expected.redirect_uri).map_err(|_| other())?;
    let same_user = pasted.username().is_empty() && pasted.password().is_none();
    if pasted.origin() != wanted.origin() || pasted.path() != wanted.path() || !same_user {
        return Err(other());
    }
    match read(pasted.query().unwrap_or_default(), expected) {
        Reading::NotOurs(why) => Err(why.into()),
        Reading::Ends(end) => end,
    }
}

/// The parameters of a response, each at most once.
#[derive(Default)]
struct Fields {
    state: Option<Secret<String>>,
    code: Option<Secret<String>>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// A parameter stands twice.
struct Repeated;

impl Fields {
    fn read(query: &str) -> Result<Self, Repeated> {
        let mut fields = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            let taken = match &*name {
                "state" => fields.state.replace(Secret::new(value)).is_some(),
                "code" if value.is_empty() => false,
                "code" => fields.code.replace(Secret::new(value)).is_some(),
                "iss" => fields.iss.replace(value).is_some(),
                "error" => fields.error.replace(value).is_some(),
                "error_description" => fields.error_description.replace(value).is_some(),
                _ => false,
            };
            if taken {
                return Err(Repeated);
            }
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REDIRECT: &str = "http://127.0.0.1:4711/callback";

    fn expected(iss: IssParameter) -> ExpectedResponse {
        ExpectedResponse {
            redirect_uri: REDIRECT.into(),
            state: "s".into(),
            issuer: "https://as.example".into(),
            iss,
        }
    }

    #[test]
    fn the_table_of_rfc_9207_holds_for_codes_and_for_errors() {
        use IssParameter::{Promised, Unpromised};
        for (iss, promise, good) in [
            (Some("https://as.example"), Promised, true),
            (Some("https://as.example"), Unpromised, true),
            (None, Unpromised, true),
            (None, Promised, false),
            (Some("https://as.example/"), Promised, false),
            (Some("https://as.example/"), Unpromised, false),
            (Some("HTTPS://as.example"), Unpromised, false),
            (Some("https://as.example:443"), Unpromised, false),
            (Some("https://evil.example"), Unpromised, false),
            (Some(""), Unpromised, false),
        ] {
            let iss_text = iss.map(|iss| format!("&iss={iss}")).unwrap_or_default();
            let code = read(&format!("state=s&code=c{iss_text}"), &expected(promise));
            assert_eq!(matches!(code, Reading::Ends(Ok(_))), good, "{iss:?} {promise:?}");
            let error =
                read(&format!("state=s&error=oops&error_description=words{iss_text}"), &expected(promise));
            let Reading::Ends(Err(error)) = error else { panic!("{iss:?} {promise:?}") };
            assert_eq!(matches!(error, CallbackError::Refused { .. }), good, "{iss:?} {promise:?}");
            let text = error.to_string();
            assert_eq!(text.contains("oops") && text.contains("words"), good, "{text}");
        }
    }

    #[test]
    fn what_is_not_ours_changes_nothing() {
        for query in [
            "",
            "code=c",
            "state=",
            "state=x&code=c",
            "state=S&code=c",
            "state=s",
            "state=s&code=",
            "state=s&state=s&code=c",
            "state=s&code=c&code=c",
            "state=s&code=c&iss=https://as.example&iss=https://as.example",
        ] {
            let got = read(query, &expected(IssParameter::Unpromised));
            assert!(matches!(got, Reading::NotOurs(_)), "{query}: {got:?}");
        }
    }

    #[test]
    fn an_error_wins_over_a_code() {
        let got = read("state=s&code=c&error=access_denied", &expected(IssParameter::Unpromised));
        assert!(matches!(got, Reading::Ends(Err(CallbackError::Denied { text: None }))));
    }

    #[test]
    fn a_pasted_address_is_checked_like_a_callback() {
        let expected = expected(IssParameter::Unpromised);
        let pasted = |text: &str| parse_pasted(text, &expected);
        assert_eq!(pasted(&format!(" {REDIRECT}?code=c%2F1&state=s#_=_\n")).unwrap().code, "c/1".into());
        for bad in [
            "",
            "c0de",
            "?code=c&state=s",
            "https://127.0.0.1:4711/callback?code=c&state=s",
            "http://127.0.0.1:4712/callback?code=c&state=s",
            "http://localhost:4711/callback?code=c&state=s",
            "http://127.0.0.1:4711/callback/x?code=c&state=s",
            "http://evil.example/callback?code=c&state=s",
            "http://u@127.0.0.1:4711/callback?code=c&state=s",
        ] {
            assert!(matches!(pasted(bad), Err(CallbackError::OtherAddress { .. })), "{bad}");
        }
        assert!(matches!(
            pasted(&format!("{REDIRECT}?code=c&state=x")),
            Err(CallbackError::NotOurs(NotOurs::State))
        ));
        assert!(matches!(
            pasted(&format!("{REDIRECT}?error=access_denied&state=s")),
            Err(CallbackError::Denied { .. })
        ));
    }

    proptest! {
        #[test]
        fn no_query_makes_the_reader_panic_or_gets_in_without_the_state(query in ".{0,200}") {
            prop_assume!(!query.contains("state"));
            let got = read(&query, &expected(IssParameter::Unpromised));
            prop_assert!(matches!(got, Reading::NotOurs(_)));
        }

        #[test]
        fn no_pasted_text_makes_it_panic(text in ".{0,200}") {
            prop_assert!(parse_pasted(&text, &expected(IssParameter::Promised)).is_err());
        }
    }
}
