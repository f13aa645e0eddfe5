//! Personal tokens: made at the server by a person, pasted by them elsewhere, revoked here.

use std::collections::HashMap;

use crate::web::random_text;

/// All that were made.
#[derive(Debug, Default)]
pub(super) struct PersonalTokens(HashMap<String, Made>);

#[derive(Debug)]
struct Made {
    person: String,
    revoked: bool,
}

impl PersonalTokens {
    /// A new one for a person.
    pub(super) fn make(&mut self, person: &str) -> String {
        let token = format!("tbp_{}", random_text(36));
        self.0.insert(token.clone(), Made { person: person.to_owned(), revoked: false });
        token
    }

    /// From now on nobody comes in by it.
    pub(super) fn revoke(&mut self, token: &str) {
        if let Some(made) = self.0.get_mut(token) {
            made.revoked = true;
        }
    }

    /// Whose it is, and whether it is still good; `None` for what was never made here.
    pub(super) fn look_up(&self, token: &str) -> Option<(String, bool)> {
        self.0.get(token).map(|made| (made.person.clone(), !made.revoked))
    }
}
