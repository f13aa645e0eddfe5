//! The record that a Grant's tokens lie in, and the seal that says whose they are.

use model::{AccountId, ItemId, Secret, ServerId, TokenEndpointAuth, UnixTime, WhoamiTool};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::StoreError;
use crate::record;

/// Everything that one sign-in or refresh gave, and whom it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSet {
    /// `access_token` (RFC 6749 section 5.1).
    pub access_token: Secret<String>,
    /// `refresh_token`, where the issuer gave one.
    pub refresh_token: Option<Secret<String>>,
    /// `id_token` of an identity provider, which is shown to it again when it is to vouch for the person. Of others
    /// none is kept.
    pub id_token: Option<Secret<String>>,
    /// When the access token ends, where the issuer said so.
    pub expires_at: Option<UnixTime>,
    /// `expires_in` as received, in seconds.
    pub lifetime: Option<u64>,
    /// When it was received.
    pub received_at: UnixTime,
    /// Scopes as granted.
    pub scopes: Vec<String>,
    /// Counts the token sets of one sign-in. Not the keychain's own count of writes.
    pub generation: u64,
    /// Counts sign-ins and sign-outs of the Grant.
    pub epoch: u64,
    /// Whether the person behind these tokens has been compared since they came.
    pub subject_checked: bool,
    /// Whose they are and where they may go.
    pub seal: Seal,
}

/// Lies beside the tokens, inside the secret: it wins over `state.json`, which anyone may edit.
///
/// URLs and identifiers are kept exactly as the validated metadata gave them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Issuer identifier (RFC 8414 section 2).
    pub issuer: String,
    /// The only place that the refresh token is ever sent to.
    pub token_endpoint: String,
    /// How we authenticate there.
    pub token_endpoint_auth: TokenEndpointAuth,
    /// RFC 7009, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
    /// OpenID Connect Core section 5.3, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo_endpoint: Option<String>,
    /// RFC 7662, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint: Option<String>,
    /// The issuer's keys, where it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// How these tokens are renewed.
    #[serde(default, skip_serializing_if = "Renewal::is_default")]
    pub renewal: Renewal,
    /// Resource indicator (RFC 8707).
    pub resource: String,
    /// The MCP URL that is called with the access token.
    pub endpoint: String,
    /// Who we are to the issuer.
    pub client_id: String,
    /// The record of the client secret, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<ItemId>,
    /// `sub`, where something proved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Whom the server's own whoami tool named, where nothing better proved a subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
    /// The Server that these tokens are for.
    pub server: ServerId,
    /// The Account that these tokens are of.
    pub account: AccountId,
}

/// What a whoami tool was asked, and what it answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The tool.
    pub asked: WhoamiTool,
    /// Its answer, exact.
    pub id: String,
}

/// How the next tokens are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Renewal {
    /// With the refresh token, where there is one (RFC 6749 section 6).
    #[default]
    RefreshToken,
    /// Not at all: a person made this token at the server and pasted it. It is nobody's to renew or revoke but theirs.
    Pasted,
    /// With our own credentials: these are no person's tokens (RFC 6749 section 4.4).
    ClientCredentials,
    /// With a new word of the identity provider (RFC 7523 section 2.1).
    IdentityAssertion {
        /// The Server entry of the identity provider, where the same Account is signed in.
        provider: ServerId,
    },
}

impl Renewal {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl TokenSet {
    /// Whether new tokens can be asked for without the person.
    pub fn renews(&self) -> bool {
        match self.seal.renewal {
            Renewal::RefreshToken => self.refresh_token.is_some(),
            Renewal::Pasted => false,
            Renewal::ClientCredentials | Renewal::IdentityAssertion { .. } => true,
        }
    }

    /// Whether these are the tokens of that Account at that Server. Ask before every use: two records can be
    /// exchanged by hand, and then nobody must act as the other.
    pub fn matches(&self, server: &ServerId, account: &AccountId) -> bool {
        self.seal.server == *server && self.seal.account == *account
    }

    /// The same question as an error that fails closed.
    pub fn sealed_for(
        self,
        record: &ItemId,
        server: &ServerId,
        account: &AccountId,
    ) -> Result<Self, StoreError> {
        if self.matches(server, account) {
            Ok(self)
        } else {
            Err(StoreError::Swapped { record: record.to_string() })
        }
    }

    /// What orders token sets of one Grant: a later sign-in wins over any refresh of an earlier one.
    pub(crate) fn age(&self) -> (u64, u64) {
        (self.epoch, self.generation)
    }

    /// The JSON text that is stored.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        record::to_text(&Wire {
            v: record::VERSION,
            // Exposed to be written into the keychain, and only there.
            access_token: self.access_token.expose().into(),
            refresh_token: self.refresh_token.as_ref().map(|token| token.expose().into()),
            id_token: self.id_token.as_ref().map(|token| token.expose().into()),
            expires_at: self.expires_at,
            lifetime: self.lifetime,
            received_at: self.received_at,
            scopes: self.scopes.clone(),
            generation: self.generation,
            epoch: self.epoch,
            subject_checked: self.subject_checked,
            seal: self.seal.clone(),
        })
    }

    /// Reads it again; `record` is for the message.
    pub(crate) fn parse(record: &ItemId, text: &str) -> Result<Self, StoreError> {
        let wire: Wire<'_> = record::parse(record, text)?;
        Ok(Self {
            access_token: Secret::new(wire.access_token.into_owned()),
            refresh_token: wire.refresh_token.map(|token| Secret::new(token.into_owned())),
            id_token: wire.id_token.map(|token| Secret::new(token.into_owned())),
            expires_at: wire.expires_at,
            lifetime: wire.lifetime,
            received_at: wire.received_at,
            scopes: wire.scopes,
            generation: wire.generation,
            epoch: wire.epoch,
            subject_checked: wire.subject_checked,
            seal: wire.seal,
        })
    }
}

/// The stored form. A field that an older build must not drop needs a new `v`; others are ignored on purpose.
#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    v: u64,
    access_token: std::borrow::Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id_token: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<UnixTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifetime: Option<u64>,
    received_at: UnixTime,
    scopes: Vec<String>,
    generation: u64,
    epoch: u64,
    subject_checked: bool,
    seal: Seal,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const ACCESS: &str = "access-d41d8cd98f";
    const REFRESH: &str = "refresh-3b5d5c3712";

    pub(crate) fn sample() -> TokenSet {
        TokenSet {
            access_token: ACCESS.into(),
            refresh_token: Some(REFRESH.into()),
            id_token: None,
            expires_at: Some(UnixTime(1_800_000_030)),
            lifetime: Some(30),
            received_at: UnixTime(1_800_000_000),
            scopes: vec!["openid".into(), "tools".into()],
            generation: 7,
            epoch: 2,
            subject_checked: true,
            seal: Seal {
                issuer: "https://as.example".into(),
                token_endpoint: "https://as.example/token".into(),
                token_endpoint_auth: TokenEndpointAuth::ClientSecretBasic,
                revocation_endpoint: Some("https://as.example/revoke".into()),
                userinfo_endpoint: None,
                introspection_endpoint: None,
                jwks_uri: Some("https://as.example/jwks".into()),
                renewal: Renewal::default(),
                resource: "https://mcp.example/".into(),
                endpoint: "https://mcp.example/mcp".into(),
                client_id: "c1".into(),
                client_secret: Some(ItemId::parse("5ec").unwrap()),
                subject: Some("ana".into()),
                told: None,
                server: ServerId::parse("jira").unwrap(),
                account: AccountId::parse("a1").unwrap(),
            },
        }
    }

    #[test]
    fn the_wire_form_is_fixed() {
        let text = concat!(
            r#"{"v":1,"access_token":"access-d41d8cd98f","refresh_token":"refresh-3b5d5c3712","#,
            r#""expires_at":1800000030,"lifetime":30,"received_at":1800000000,"scopes":["openid","tools"],"#,
            r#""generation":7,"epoch":2,"subject_checked":true,"seal":{"issuer":"https://as.example","#,
            r#""token_endpoint":"https://as.example/token","token_endpoint_auth":"client_secret_basic","#,
            r#""revocation_endpoint":"https://as.example/revoke","jwks_uri":"https://as.example/jwks","#,
            r#""resource":"https://mcp.example/","endpoint":"https://mcp.example/mcp","client_id":"c1","#,
            r#""client_secret":"5ec","subject":"ana","server":"jira","account":"a1"}}"#,
        );
        assert_eq!(sample().to_text().as_str(), text);
        assert_eq!(TokenSet::parse(&ItemId::parse("r").unwrap(), text).unwrap(), sample());
    }

    #[test]
    fn a_small_set_and_odd_characters_come_back() {
        let mut set = sample();
        set.refresh_token = None;
        set.expires_at = None;
        set.lifetime = None;
        set.access_token = "quote \" slash \\ é 漢 \u{1} end".into();
        set.seal.subject = None;
        let text = set.to_text();
        assert!(!text.contains("refresh_token") && !text.contains("subject\""));
        assert_eq!(TokenSet::parse(&ItemId::parse("r").unwrap(), &text).unwrap(), set);
    }

    #[test]
    fn no_secret_is_in_the_debug_form_or_in_an_error() {
        let shown = format!("{:?}", sample());
        assert!(shown.contains("jira") && !shown.contains(ACCESS) && !shown.contains(REFRESH), "{shown}");
        let record = ItemId::parse("r").unwrap();
        // The token where a number belongs: a parser's own message would quote it.
        let bad = sample().to_text().replace("1800000000", &format!("\"{ACCESS}\""));
        let error = TokenSet::parse(&record, &bad).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(ACCESS));
    }

    #[test]
    fn a_damaged_or_newer_record_is_refused() {
        let record = ItemId::parse("r").unwrap();
        let good = sample().to_text();
        for bad in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"v":1}"#,
            &good[..good.len() - 1],
            &good.replace("\"v\":1", "\"v\":0"),
        ] {
            assert!(matches!(TokenSet::parse(&record, bad), Err(StoreError::Damaged { .. })), "{bad}");
        }
        let newer = good.replace("\"v\":1", "\"v\":2");
        assert!(matches!(TokenSet::parse(&record, &newer), Err(StoreError::Newer { found: 2, .. })));
    }

    #[test]
    fn a_record_of_another_server_or_account_fails_closed() {
        let (record, set) = (ItemId::parse("r").unwrap(), sample());
        let (jira, a1) = (set.seal.server.clone(), set.seal.account.clone());
        let (wiki, b2) = (ServerId::parse("wiki").unwrap(), AccountId::parse("b2").unwrap());
        assert!(set.matches(&jira, &a1) && set.clone().sealed_for(&record, &jira, &a1).is_ok());
        for (server, account) in [(&wiki, &a1), (&jira, &b2), (&wiki, &b2)] {
            assert!(!set.matches(server, account));
            let error = set.clone().sealed_for(&record, server, account).unwrap_err();
            assert!(matches!(error, StoreError::Swapped { .. }));
        }
    }
}
