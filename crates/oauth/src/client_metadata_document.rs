//! Our client id metadata document (draft-ietf-oauth-client-id-metadata-document; MCP authorization, Client ID Metadata
//! Documents): `client.json` in this crate's folder, to be put at the address that it names.

/// Where our document lies: `HALLPASS_CLIENT_METADATA_URL` when this was built. `None`: it was set to nothing, and no
/// document is presented but one that a person or a list names.
pub const CLIENT_METADATA_URL: Option<&str> = match option_env!("HALLPASS_CLIENT_METADATA_URL") {
    Some(url) if !url.is_empty() => Some(url),
    Some(_) | None => None,
};

#[cfg(test)]
mod tests {
    use model::LoopbackHost;
    use serde_json::Value;

    use super::*;
    use crate::CALLBACK_PATH;
    use crate::device_authorization::DEVICE_CODE;

    const DOCUMENT: &str = include_str!("../client.json");

    #[test]
    fn the_document_says_who_we_are_in_every_sign_in() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let id = document["client_id"].as_str().unwrap();
        assert!(id.starts_with("https://") && id.ends_with("/client.json"), "{id}");
        // A build that presents it presents the address that it names: issuers compare the two to the letter.
        assert_eq!(CLIENT_METADATA_URL.unwrap_or(id), id);
        assert_eq!(document["token_endpoint_auth_method"], "none");
        assert_eq!(document["application_type"], "native");
        let holds = |list: &str, one: &str| {
            document[list].as_array().unwrap().iter().any(|entry| entry.as_str() == Some(one))
        };
        for grant in ["authorization_code", "refresh_token", DEVICE_CODE] {
            assert!(holds("grant_types", grant), "{grant}");
        }
        for host in [LoopbackHost::Literal, LoopbackHost::Localhost] {
            // Without a port: any port of a loopback address is meant (RFC 8252 section 7.3).
            let with_port = crate::redirect_uri(host, 80).replace(":80", "");
            assert!(with_port.ends_with(CALLBACK_PATH) && holds("redirect_uris", &with_port), "{with_port}");
        }
        let secret = ["client_secret", "jwks", "jwks_uri"];
        assert!(secret.iter().all(|name| document.get(name).is_none()), "a public client has none");
    }
}
