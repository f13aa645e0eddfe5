//! The issuer of the model: it rotates refresh tokens, and an old one that comes back ends the whole sign-in.

use std::collections::BTreeMap;

/// The person whose sign-in it is.
pub(super) const ANA: &str = "ana";
/// Somebody else, for whom the issuer may answer by mistake.
pub(super) const BEN: &str = "ben";

/// What the issuer knows. Tokens are numbers as text, so that each is one of a kind.
#[derive(Debug, Default)]
pub(super) struct Issuer {
    families: Vec<Family>,
    /// The family of every refresh token ever issued.
    refresh: BTreeMap<String, usize>,
    /// The person of every access token ever issued.
    access: BTreeMap<String, &'static str>,
    issued: usize,
    /// A new sign-in ends those before, as some issuers do.
    pub(super) one_family: bool,
}

#[derive(Debug)]
struct Family {
    /// The one refresh token that is good.
    newest: String,
    ended: bool,
}

/// A pair of tokens.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    pub(super) access: String,
    pub(super) refresh: String,
}

impl Issuer {
    /// A person signs in.
    pub(super) fn sign_in(&mut self) -> Tokens {
        if self.one_family {
            self.families.iter_mut().for_each(|family| family.ended = true);
        }
        let family = self.families.len();
        self.families.push(Family { newest: String::new(), ended: false });
        self.issue(family, ANA)
    }

    /// A refresh request. `None`: `invalid_grant`.
    pub(super) fn refresh(&mut self, token: &str, person: &'static str) -> Option<Tokens> {
        let at = *self.refresh.get(token)?;
        let family = &mut self.families[at];
        // Used before: somebody has stolen it, for all that the issuer knows.
        family.ended |= family.newest != token;
        if family.ended { None } else { Some(self.issue(at, person)) }
    }

    /// RFC 7009. One that was used before is unknown, and nothing is done.
    pub(super) fn revoke(&mut self, token: &str) {
        if let Some(at) = self.refresh.get(token) {
            let family = &mut self.families[*at];
            family.ended |= family.newest == token;
        }
    }

    /// Whether a refresh with this token would succeed.
    pub(super) fn is_good(&self, token: &str) -> bool {
        self.refresh.get(token).is_some_and(|at| {
            let family = &self.families[*at];
            !family.ended && family.newest == token
        })
    }

    /// Sign-ins that have not ended.
    pub(super) fn alive(&self) -> usize {
        self.families.iter().filter(|family| !family.ended).count()
    }

    /// Whose an access token is.
    pub(super) fn person(&self, access: &str) -> Option<&'static str> {
        self.access.get(access).copied()
    }

    fn issue(&mut self, family: usize, person: &'static str) -> Tokens {
        self.issued += 1;
        let tokens =
            Tokens { access: format!("access-{}", self.issued), refresh: format!("refresh-{}", self.issued) };
        self.families[family].newest.clone_from(&tokens.refresh);
        self.refresh.insert(tokens.refresh.clone(), family);
        self.access.insert(tokens.access.clone(), person);
        tokens
    }
}
