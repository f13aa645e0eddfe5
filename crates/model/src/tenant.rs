//! Which organisation an identity belongs to, where the issuer says so. Kept beside an identity to tell
//! people apart by eye and to notice a change; issuer and subject alone decide who somebody is.

use std::fmt;

use serde::{Deserialize, Serialize};

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
    use super::*;

    fn of(tid: &str, oid: &str) -> Tenant {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Tenant { tid: some(tid), oid: some(oid), ..Tenant::default() }
    }

    #[test]
    fn only_two_different_values_contradict() {
        let one = of("t-1", "o-1");
        for (other, want) in [
            (of("t-1", "o-1"), false),
            (of("t-1", ""), false),
            (Tenant { hosted_domain: Some("corp.example".into()), ..Tenant::default() }, false),
            (of("t-2", ""), true),
            (of("t-1", "o-2"), true),
        ] {
            assert_eq!(one.contradicts(&other), want, "{other:?}");
        }
    }
}
