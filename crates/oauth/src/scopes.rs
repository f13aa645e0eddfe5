//! Which scopes to ask for (MCP authorization, Scope Selection Strategy; RFC 6749 section 3.3).

/// Scopes in the order in which they are asked for, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<String>);

impl Scopes {
    /// The challenge's scopes, else all that the protected resource metadata lists, else none; then
    /// `openid` and `offline_access`, each only if the *authorization server* lists it. A challenge is
    /// taken as it is; the resource's own list cannot bring `offline_access` in.
    pub fn select(
        challenged: Option<&str>,
        resource_scopes: Option<&[String]>,
        issuer_scopes: Option<&[String]>,
    ) -> Self {
        let issuer_lists = |scope: &str| issuer_scopes.is_some_and(|list| list.iter().any(|s| s == scope));
        let mut scopes = Self::parse(challenged.unwrap_or_default());
        if scopes.0.is_empty() {
            for scope in resource_scopes.unwrap_or_default() {
                if scope != OFFLINE_ACCESS || issuer_lists(OFFLINE_ACCESS) {
                    scopes.add(scope);
                }
            }
        }
        for scope in [OPENID, OFFLINE_ACCESS] {
            if issuer_lists(scope) {
                scopes.add(scope);
            }
        }
        scopes
    }

    /// Reads a `scope` value; what is no scope token is dropped.
    pub fn parse(text: &str) -> Self {
        let mut scopes = Self::default();
        for scope in text.split_ascii_whitespace() {
            scopes.add(scope);
        }
        scopes
    }

    /// From a list; what is no scope token is dropped.
    pub fn of(list: &[String]) -> Self {
        let mut scopes = Self::default();
        for scope in list {
            scopes.add(scope);
        }
        scopes
    }

    /// These and, after them, those of `more` that are new (step-up: what was asked for before and what a
    /// challenge asks for now).
    #[must_use]
    pub fn union(mut self, more: &Self) -> Self {
        for scope in &more.0 {
            self.add(scope);
        }
        self
    }

    /// Those that are not among `others`.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        Self(self.0.iter().filter(|scope| !others.0.contains(scope)).cloned().collect())
    }

    /// What is left where no person is there: neither an identity nor a grant that outlives their presence.
    #[must_use]
    pub fn without_people(&self) -> Self {
        Self(self.0.iter().filter(|scope| *scope != OPENID && *scope != OFFLINE_ACCESS).cloned().collect())
    }

    /// The value of the `scope` parameter; `None` if it is to be left out.
    pub fn parameter(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.join(" "))
    }

    /// One by one.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Whether an id_token is asked for.
    pub fn ask_for_identity(&self) -> bool {
        self.0.iter().any(|scope| scope == OPENID)
    }

    fn add(&mut self, scope: &str) {
        let is_token =
            !scope.is_empty() && scope.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        if is_token && !self.0.iter().any(|known| known == scope) {
            self.0.push(scope.to_owned());
        }
    }
}

const OPENID: &str = "openid";
const OFFLINE_ACCESS: &str = "offline_access";

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn challenge_wins_over_resource_and_nothing_is_invented() {
        for (challenged, resource, issuer, want) in [
            (Some("a b"), Some("c"), None, Some("a b")),
            (None, Some("c d"), None, Some("c d")),
            (Some(""), Some("c d"), None, Some("c d")),
            (None, None, None, None),
            (None, None, Some("x y"), None),
            (None, Some("c"), Some("c offline_access"), Some("c offline_access")),
            (Some("a"), None, Some("openid offline_access profile email"), Some("a openid offline_access")),
            (Some("openid a"), None, Some("openid"), Some("openid a")),
            (None, None, Some("openid"), Some("openid")),
            (None, Some("c offline_access"), Some("c"), Some("c")),
            (None, Some("c offline_access"), None, Some("c")),
            (Some("a offline_access"), None, None, Some("a offline_access")),
            (Some("a a b"), None, None, Some("a b")),
        ] {
            let (resource, issuer) = (resource.map(list), issuer.map(list));
            let got = Scopes::select(challenged, resource.as_deref(), issuer.as_deref());
            assert_eq!(got.parameter().as_deref(), want, "{challenged:?} {resource:?} {issuer:?}");
        }
    }

    #[test]
    fn what_is_no_scope_is_dropped() {
        assert_eq!(Scopes::parse("a \"b\" c\\d é e").parameter().as_deref(), Some("a e"));
    }

    #[test]
    fn a_step_up_keeps_what_was_asked_for_before() {
        let union = Scopes::parse("basic").union(&Scopes::parse("write basic"));
        assert_eq!(union.parameter().as_deref(), Some("basic write"));
    }
}
