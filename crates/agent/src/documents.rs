//! Which client id metadata document is presented to an issuer: the Server's own, else the one of this build; and none to
//! an issuer that did not know us by it and lets us register.

use ipc::{Error, ErrorCode};
use model::{Endpoint, RegistrationChoice, Server, State};
use oauth::{AuthorizationServerMetadata, CLIENT_METADATA_URL};

/// How a registration is obtained at this issuer now.
pub(crate) fn choice(
    state: &State,
    server: &Server,
    metadata: &AuthorizationServerMetadata,
) -> RegistrationChoice {
    let refused = state.documents_refused.contains(&metadata.issuer);
    let can_register = metadata.registration_endpoint.is_some();
    RegistrationChoice {
        metadata_url: presented(&server.registration, CLIENT_METADATA_URL)
            .filter(|_| !(refused && can_register)),
        ..server.registration.clone()
    }
}

fn presented(choice: &RegistrationChoice, of_build: Option<&str>) -> Option<String> {
    let own = choice.metadata_url.as_deref();
    own.or(of_build).filter(|url| !url.is_empty()).map(str::to_owned)
}

/// An address that somebody names: https with a path, or nothing at all for "none".
pub(crate) fn check(url: Option<&str>) -> Result<(), Error> {
    let Some(url) = url.filter(|url| !url.is_empty()) else { return Ok(()) };
    let good = Endpoint::parse(url).is_ok_and(|e| e.url().scheme() == "https" && e.url().path().len() > 1);
    if good {
        return Ok(());
    }
    Err(Error::new(ErrorCode::Usage, "a client id metadata document lies at an https address with a path")
        .hint("give its whole address, or leave it out"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_document_comes_before_the_builds_and_nothing_is_nothing() {
        let named = |url: Option<&str>| RegistrationChoice {
            metadata_url: url.map(str::to_owned),
            ..RegistrationChoice::default()
        };
        const BUILD: Option<&str> = Some("https://hallpass.example/client.json");
        for (own, of_build, expected) in [
            (None, None, None),
            (None, BUILD, BUILD),
            (Some("https://acme.example/c.json"), BUILD, Some("https://acme.example/c.json")),
            (Some(""), BUILD, None),
        ] {
            assert_eq!(presented(&named(own), of_build).as_deref(), expected, "{own:?}");
        }
        for (url, good) in [
            (None, true),
            (Some(""), true),
            (Some("https://a.example/c.json"), true),
            (Some("https://a.example"), false),
            (Some("http://a.example/c.json"), false),
            (Some("c.json"), false),
        ] {
            assert_eq!(check(url).is_ok(), good, "{url:?}");
        }
    }
}
