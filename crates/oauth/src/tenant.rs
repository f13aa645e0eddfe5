//! Which organisation an identity belongs to, where the issuer says so. Kept beside an identity to tell
//! people apart by eye and to notice a change; issuer and subject alone decide who somebody is.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::json_field;

/// Longest value that is kept, in bytes.
const LONGEST: usize = 256;

/// Claims about the organisation and about the person inside it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// `tid`: the Entra tenant
    /// (<https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference>).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tid: Option<String>,
    /// `oid`: the person inside the Entra tenant. `sub` there is another one for each app, `tid` + `oid` is
    /// one for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oid: Option<String>,
    /// `hd`: the Google Workspace domain (<https://developers.google.com/identity/openid-connect/openid-connect>).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosted_domain: Option<String>,
    /// `org_id`: the organisation at Auth0 and WorkOS
    /// (<https://auth0.com/docs/manage-users/organizations/using-tokens>).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
}

impl Tenant {
    /// Reads the claims; `None` if there are none. What is no text, or holds control characters, is left out.
    pub(crate) fn of_claims(claims: &Map<String, Value>) -> Option<Self> {
        let text = |name| {
            json_field::text(claims, name)
                .filter(|text| text.len() <= LONGEST && !text.chars().any(char::is_control))
                .map(str::to_owned)
        };
        let found = Self {
            tid: text("tid"),
            oid: text("oid"),
            hosted_domain: text("hd"),
            organization: text("org_id"),
        };
        (found != Self::default()).then_some(found)
    }

    /// What to show beside a name: the organisation, as a person knows it.
    pub fn label(&self) -> Option<&str> {
        self.hosted_domain.as_deref().or(self.organization.as_deref()).or(self.tid.as_deref())
    }

    /// Whether both name an organisation, or a person inside one, and not the same.
    pub fn contradicts(&self, other: &Self) -> bool {
        let differ = |a: &Option<String>, b: &Option<String>| matches!((a, b), (Some(a), Some(b)) if a != b);
        differ(&self.tid, &other.tid)
            || differ(&self.oid, &other.oid)
            || differ(&self.hosted_domain, &other.hosted_domain)
            || differ(&self.organization, &other.organization)
    }
}

impl fmt::Debug for Tenant {
    /// Which claims there are; their values belong to a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant")
            .field("tid", &self.tid.is_some())
            .field("oid", &self.oid.is_some())
            .field("hosted_domain", &self.hosted_domain.is_some())
            .field("organization", &self.organization.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(claims: Value) -> Option<Tenant> {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        Tenant::of_claims(&claims)
    }

    #[test]
    fn claims_are_kept_as_text_and_odd_ones_left_out() {
        let entra = of(json!({ "tid": "t-1", "oid": "o-1", "acr": 1, "amr": "pwd" })).unwrap();
        assert_eq!((entra.tid.as_deref(), entra.oid.as_deref()), (Some("t-1"), Some("o-1")));
        assert_eq!(entra.label(), Some("t-1"));
        assert_eq!(of(json!({ "hd": "corp.example" })).unwrap().label(), Some("corp.example"));
        assert_eq!(of(json!({ "org_id": "org_9" })).unwrap().label(), Some("org_9"));
        for odd in [
            json!({}),
            json!({ "tid": 7, "oid": null, "hd": "", "org_id": ["x"] }),
            json!({ "hd": "a\u{1b}[2J" }),
            json!({ "tid": "x".repeat(257) }),
        ] {
            assert_eq!(of(odd.clone()), None, "{odd}");
        }
    }

    #[test]
    fn only_two_different_values_contradict() {
        let one = of(json!({ "tid": "t-1", "oid": "o-1" })).unwrap();
        for (other, want) in [
            (json!({ "tid": "t-1", "oid": "o-1" }), false),
            (json!({ "tid": "t-1" }), false),
            (json!({ "hd": "corp.example" }), false),
            (json!({ "tid": "t-2" }), true),
            (json!({ "tid": "t-1", "oid": "o-2" }), true),
        ] {
            assert_eq!(one.contradicts(&of(other.clone()).unwrap()), want, "{other}");
        }
    }
}
