//! The messages, both ways.

use std::collections::BTreeMap;

use model::{AccountId, ClientAppId, Endpoint, Era, PrivateAuthority, ServerId};
use serde::{Deserialize, Serialize};

use crate::AccessToken;

/// A Session's right to tokens of one Account. Unique for the life of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseId(pub u64);

/// From a bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BridgeMessage {
    /// Opens the Session. Sent once, first.
    Attach {
        /// The ClientApp that the config entry names. A label.
        app: ClientAppId,
        /// The Server.
        server: ServerId,
        /// The Account that the config entry pins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<AccountId>,
        /// The workspace that the config entry names.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workspace: Option<String>,
    },
    /// Asks for a token of a lease: a newer one than `rejected`, if the Server refused that generation.
    /// Answered by [`AgentMessage::Token`] with the same lease.
    Token {
        /// The lease that the call began with.
        lease: LeaseId,
        /// The generation that was answered with 401.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rejected: Option<u64>,
    },
    /// The switch with this number is in force: no request will be started under an older standing.
    Acknowledge {
        /// The number of [`AgentMessage::Switched`].
        seq: u64,
    },
    /// The last call under this lease has ended; the lease may be forgotten.
    Release {
        /// The lease.
        lease: LeaseId,
    },
    /// The Server refused a call because the token's rights are too few (RFC 6750 section 3.1,
    /// `insufficient_scope`). Answered by [`AgentMessage::TooNarrow`] with the same lease.
    TooNarrow {
        /// The lease that the call was made under.
        lease: LeaseId,
        /// The values of its `WWW-Authenticate` headers.
        challenges: Vec<String>,
    },
    /// What the bridge saw of the Server.
    Learned {
        /// The era that it speaks.
        era: Era,
    },
    /// What the Server has said of itself to the person of a lease, or to nobody: only what is news. Kept for the next start.
    Seen {
        /// The lease under which it was said; none where the Server is open to everybody.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<LeaseId>,
        /// What was said.
        known: Known,
    },
    /// Whether the Server can be reached, as the bridge sees it. Sent when that changes.
    Trouble {
        /// One sentence without values; none: it goes well again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        what: Option<String>,
    },
    /// A message of a newer version: ignored.
    #[serde(other)]
    Unknown,
}

/// From the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AgentMessage {
    /// Answers [`BridgeMessage::Attach`].
    Attached {
        /// What to call.
        server: ServerFacts,
        /// As whom.
        standing: Standing,
    },
    /// The Attach is refused (unknown Server and the like); nothing follows. The bridge answers
    /// `initialize` with this error and stays until its host goes away.
    Refused {
        /// Why, and what to do.
        closed: Closed,
    },
    /// Answers [`BridgeMessage::Token`].
    Token {
        /// The lease that was asked for.
        lease: LeaseId,
        /// A token of exactly that lease's Account, or why there is none.
        outcome: Result<AccessToken, TokenRefusal>,
    },
    /// What the person can do about missing rights. Nobody is asked by this: a wider sign-in begins with them.
    TooNarrow {
        /// The lease that the call was made under.
        lease: LeaseId,
        /// Which rights, and what to do.
        closed: Closed,
    },
    /// From now on another standing holds. To be acknowledged within one second, else the Session is
    /// cut off.
    Switched {
        /// Counts up within a connection.
        seq: u64,
        /// What holds from now on.
        standing: Standing,
        /// Calls in flight under older leases may end as they began (a switch), or must be given up
        /// now (sign-out, removal).
        older: OlderLeases,
    },
    /// What the Server has said of itself to this Account before, if that is known. Follows [`Self::Attached`], and the
    /// acknowledgement of a switch.
    Known {
        /// The Account that it was said to; none where the Server is open to everybody.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<AccountId>,
        /// What was said.
        known: Known,
    },
    /// These leases are void although the standing holds: their person has been signed out, and what still drains under
    /// them is given up now. To be acknowledged like [`AgentMessage::Switched`].
    Voided {
        /// Counts up within a connection, together with that of [`AgentMessage::Switched`].
        seq: u64,
        /// Which.
        leases: Vec<LeaseId>,
    },
    /// A message of a newer version: ignored.
    #[serde(other)]
    Unknown,
}

/// What a Server has said of itself to one Account. Each is a JSON text as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The result of `initialize`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialize: Option<String>,
    /// The result of `server/discover`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discover: Option<String>,
    /// The whole list of tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<String>,
}

impl Known {
    /// Takes over what `newer` says; whether that changed anything.
    pub fn merge(&mut self, newer: Self) -> bool {
        let before = self.clone();
        let Self { initialize, discover, tools } = newer;
        self.initialize = initialize.or(self.initialize.take());
        self.discover = discover.or(self.discover.take());
        self.tools = tools.or(self.tools.take());
        *self != before
    }
}

/// What becomes of calls that began before a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OlderLeases {
    /// They end as they began, however long it takes.
    Drain,
    /// Their leases are void: they get an error now.
    Void,
}

/// What a bridge needs to know of its Server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFacts {
    /// Id.
    pub id: ServerId,
    /// What people call it.
    pub label: String,
    /// The only URL that a token of this Session may be sent to.
    pub endpoint: Endpoint,
    /// Headers without secrets, added to every request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The era that it was last seen to speak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub era: Option<Era>,
    /// Addresses of private networks are allowed.
    #[serde(default)]
    pub private_network: bool,
    /// A private authority that is trusted for it, besides those of the operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<PrivateAuthority>,
    /// Proxy variables of the person's session, by name in lower case (`https_proxy`, `no_proxy`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub proxies: BTreeMap<String, String>,
}

/// As whom new requests go out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// As this person.
    Ready {
        /// The right to this person's tokens.
        lease: LeaseId,
        /// Who it is.
        person: Person,
        /// The token of now.
        token: AccessToken,
    },
    /// As nobody: the Server was added as one without sign-in. No credential is ever sent.
    Open,
    /// Not at all.
    Closed(Closed),
}

/// A person, in words fit for an error message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Decides.
    pub account: AccountId,
    /// For eyes.
    pub label: String,
}

/// Why no request may go out, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// For programs.
    pub code: ClosedCode,
    /// One sentence: what happened.
    pub message: String,
    /// One sentence: what to do now.
    pub hint: String,
    /// The person that the rules name, if they name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
}

/// Why no request may go out. Grown only when somebody branches on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedCode {
    /// No Server has that id.
    UnknownServer,
    /// Nobody was chosen for this Server.
    NobodyChosen,
    /// The person must sign in (again).
    SignInNeeded,
    /// The Account that the rules name does not exist any more.
    UnknownAccount,
    /// The Server is closed for everybody.
    ServerClosed,
    /// The person has not given the rights that the Server wants for this call.
    RightsMissing,
    /// The keychain is locked.
    KeychainLocked,
    /// The keychain is not there.
    KeychainAbsent,
    /// Anything else.
    Failed,
    /// A code of a newer version.
    #[serde(other)]
    Unknown,
}

/// Why a lease gets no token just now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRefusal {
    /// The lease is void: this Session will not get a token under it again.
    pub void: bool,
    /// Why, and what to do.
    pub closed: Closed,
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Secret, UnixTime};

    fn same<T: Serialize + for<'d> Deserialize<'d> + PartialEq + std::fmt::Debug>(value: &T, json: &str) {
        assert_eq!(serde_json::to_string(value).unwrap(), json);
        assert_eq!(serde_json::from_str::<T>(json).unwrap(), *value);
    }

    #[test]
    fn bridge_messages_on_the_wire() {
        same(
            &BridgeMessage::Attach {
                app: ClientAppId::parse("cursor").unwrap(),
                server: ServerId::parse("jira").unwrap(),
                account: None,
                workspace: None,
            },
            r#"{"type":"attach","app":"cursor","server":"jira"}"#,
        );
        same(
            &BridgeMessage::Token { lease: LeaseId(3), rejected: Some(7) },
            r#"{"type":"token","lease":3,"rejected":7}"#,
        );
        same(&BridgeMessage::Acknowledge { seq: 2 }, r#"{"type":"acknowledge","seq":2}"#);
        same(&BridgeMessage::Release { lease: LeaseId(3) }, r#"{"type":"release","lease":3}"#);
        same(
            &BridgeMessage::TooNarrow { lease: LeaseId(3), challenges: vec!["Bearer x".into()] },
            r#"{"type":"too_narrow","lease":3,"challenges":["Bearer x"]}"#,
        );
        same(&BridgeMessage::Learned { era: Era::Stateless }, r#"{"type":"learned","era":"stateless"}"#);
        same(
            &BridgeMessage::Trouble { what: Some("no answer".into()) },
            r#"{"type":"trouble","what":"no answer"}"#,
        );
        same(&BridgeMessage::Trouble { what: None }, r#"{"type":"trouble"}"#);
        let known = Known { tools: Some("[]".into()), ..Known::default() };
        same(
            &BridgeMessage::Seen { lease: Some(LeaseId(3)), known: known.clone() },
            r#"{"type":"seen","lease":3,"known":{"tools":"[]"}}"#,
        );
        same(
            &AgentMessage::Known { account: Some(AccountId::parse("a1").unwrap()), known },
            r#"{"type":"known","account":"a1","known":{"tools":"[]"}}"#,
        );
        let unknown: BridgeMessage = serde_json::from_str(r#"{"type":"from_the_future","x":1}"#).unwrap();
        assert_eq!(unknown, BridgeMessage::Unknown);
    }

    #[test]
    fn agent_messages_on_the_wire() {
        let person = Person { account: AccountId::parse("a1").unwrap(), label: "ana".into() };
        let token = AccessToken {
            secret: Secret::from("t0k3n"),
            expires_at: Some(UnixTime(1000)),
            lifetime: Some(30),
            generation: 4,
        };
        same(
            &AgentMessage::Attached {
                server: ServerFacts {
                    id: ServerId::parse("jira").unwrap(),
                    label: "Jira".into(),
                    endpoint: Endpoint::parse("https://jira.example/mcp").unwrap(),
                    headers: BTreeMap::new(),
                    era: None,
                    private_network: false,
                    authority: None,
                    proxies: BTreeMap::new(),
                },
                standing: Standing::Ready { lease: LeaseId(1), person: person.clone(), token: token.clone() },
            },
            r#"{"type":"attached","server":{"id":"jira","label":"Jira","endpoint":"https://jira.example/mcp","private_network":false},"standing":{"standing":"ready","lease":1,"person":{"account":"a1","label":"ana"},"token":{"secret":"t0k3n","expires_at":1000,"lifetime":30,"generation":4}}}"#,
        );
        let closed = Closed {
            code: ClosedCode::SignInNeeded,
            message: "ana is not signed in".into(),
            hint: "run hallpass login jira".into(),
            person: Some(person),
        };
        same(
            &AgentMessage::Switched {
                seq: 1,
                standing: Standing::Closed(closed.clone()),
                older: OlderLeases::Void,
            },
            r#"{"type":"switched","seq":1,"standing":{"standing":"closed","code":"sign_in_needed","message":"ana is not signed in","hint":"run hallpass login jira","person":{"account":"a1","label":"ana"}},"older":"void"}"#,
        );
        same(
            &AgentMessage::Voided { seq: 2, leases: vec![LeaseId(1), LeaseId(3)] },
            r#"{"type":"voided","seq":2,"leases":[1,3]}"#,
        );
        same(
            &AgentMessage::Token { lease: LeaseId(1), outcome: Ok(token) },
            r#"{"type":"token","lease":1,"outcome":{"Ok":{"secret":"t0k3n","expires_at":1000,"lifetime":30,"generation":4}}}"#,
        );
        same(&Standing::Open, r#"{"standing":"open"}"#);
        let future: ClosedCode = serde_json::from_str(r#""from_the_future""#).unwrap();
        assert_eq!(future, ClosedCode::Unknown);
    }

    #[test]
    fn what_is_newer_replaces_its_own_part_alone() {
        let mut known = Known { initialize: Some("1".into()), tools: Some("2".into()), discover: None };
        let newer = Known { tools: Some("3".into()), ..Known::default() };
        assert!(known.merge(newer.clone()));
        assert!(!known.merge(newer));
        assert_eq!((known.initialize.as_deref(), known.tools.as_deref()), (Some("1"), Some("3")));
    }

    #[test]
    fn debug_output_holds_no_token() {
        let token =
            AccessToken { secret: Secret::from("t0k3n"), expires_at: None, lifetime: None, generation: 1 };
        assert!(!format!("{token:?}").contains("t0k3n"));
    }
}
