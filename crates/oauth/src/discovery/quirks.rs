//! What single issuers want beside the standards, each with its evidence. Only what weakens nothing is done
//! without asking; what goes against a rule is named, so that a pin can be proposed to a person.

use url::Url;

/// One issuer's peculiarity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirk {
    /// Whose: a host; with a leading dot, every host below it; `*` stands for one label.
    pub host: &'static str,
    /// What.
    pub want: Want,
    /// Where it is written.
    pub evidence: &'static str,
}

/// What an issuer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// A further parameter of authorization requests. Done without asking.
    Parameter {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: &'static str,
    },
    /// The resource identifier under another name as well. Done without asking.
    ResourceAs {
        /// That name.
        name: &'static str,
    },
    /// Client assertions for its token endpoint instead of its identifier (RFC 7523 section 3 as of 2015). To be
    /// handed to [`crate::ClientAssertionSigner`] as audience.
    AssertionForTokenEndpoint,
    /// `ServerPin::tolerate_missing_pkce` would be needed. Never done without a person.
    PinForPkce,
    /// `ServerPin::omit_resource` would be needed. Never done without a person.
    PinForResource,
}

/// The quirks of an issuer, by its identifier.
pub fn quirks_of(issuer: &str) -> Vec<&'static Quirk> {
    let host = Url::parse(issuer).ok().and_then(|url| url.host_str().map(str::to_ascii_lowercase));
    let Some(host) = host else { return Vec::new() };
    QUIRKS.iter().filter(|quirk| fits(quirk.host, &host)).collect()
}

fn fits(pattern: &str, host: &str) -> bool {
    if pattern.starts_with('.') {
        return host.ends_with(pattern);
    }
    match pattern.split_once('*') {
        Some((head, tail)) => host
            .strip_prefix(head)
            .and_then(|rest| rest.strip_suffix(tail))
            .is_some_and(|label| !label.is_empty() && !label.contains('.')),
        None => host == pattern,
    }
}

const QUIRKS: &[Quirk] = &[
    // There is no `offline_access` scope.
    Quirk {
        host: "accounts.google.com",
        want: Want::Parameter { name: "access_type", value: "offline" },
        evidence: "https://developers.google.com/identity/protocols/oauth2/web-server",
    },
    // Without its tenant-wide "resource parameter compatibility profile" it looks at `audience` alone.
    Quirk {
        host: ".auth0.com",
        want: Want::ResourceAs { name: "audience" },
        evidence: "https://auth0.com/ai/docs/mcp/guides/resource-param-compatibility-profile",
    },
    Quirk {
        host: "login.microsoftonline.com",
        want: Want::AssertionForTokenEndpoint,
        evidence: "https://learn.microsoft.com/entra/identity-platform/certificate-credentials",
    },
    Quirk {
        host: "login.microsoftonline.com",
        want: Want::PinForPkce,
        evidence: "https://github.com/modelcontextprotocol/typescript-sdk/issues/832",
    },
    Quirk {
        host: "cognito-idp.*.amazonaws.com",
        want: Want::PinForPkce,
        evidence: "https://github.com/anthropics/claude-code/issues/13275",
    },
    // AADSTS9010010.
    Quirk {
        host: "login.microsoftonline.com",
        want: Want::PinForResource,
        evidence: "https://github.com/punkpeye/mcp-remote/issues/217",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quirk_belongs_to_its_issuer_and_to_no_look_alike() {
        for (issuer, count) in [
            ("https://accounts.google.com", 1),
            ("https://accounts.google.com/", 1),
            ("https://accounts.google.com.evil.example", 0),
            ("https://evil.example/accounts.google.com", 0),
            ("https://dev-1.eu.auth0.com/", 1),
            ("https://auth0.com", 0),
            ("https://evilauth0.com", 0),
            ("https://login.microsoftonline.com/t-1/v2.0", 3),
            ("https://LOGIN.microsoftonline.com/t-1/v2.0", 3),
            ("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x", 1),
            ("https://cognito-idp.amazonaws.com/x", 0),
            ("https://cognito-idp.evil.example.amazonaws.com/x", 0),
            ("https://cognito-idp.x.amazonaws.com.evil.example", 0),
            ("https://as.example", 0),
            ("not a url", 0),
            ("", 0),
        ] {
            assert_eq!(quirks_of(issuer).len(), count, "{issuer}");
        }
    }

    #[test]
    fn every_row_has_evidence_and_no_parameter_of_the_protocol() {
        for quirk in QUIRKS {
            assert!(quirk.evidence.starts_with("https://"), "{quirk:?}");
            if let Want::Parameter { name, .. } | Want::ResourceAs { name } = quirk.want {
                let made = crate::ExtraParameters::new([(name, "x")]);
                assert!(made.is_ok(), "{quirk:?}");
            }
        }
    }
}
