//! The one recipe by which a token is renewed: saved before it is checked, checked before it is handed
//! out, never handed out for another person.
//!
//! ```text
//! read record -> epoch ours? -> unchecked? check first -> fresh? done
//!   -> intent (generation, tried) -> POST with *that* refresh token -> epoch still ours?
//!   -> KEYCHAIN, marked unchecked -> subject equal? -> unmark -> remove intent -> hand out
//! ```
//!
//! Everything outside comes in through [`Steps`], so that tests can stop the recipe anywhere.

use std::time::Duration;

use model::{GrantState, ItemId, UnixTime};
use token_store::{Renewal, StoreError, TokenSet};

use crate::schedule;

/// What the recipe needs of the world.
pub(crate) trait Steps {
    /// Reads the record from the keychain.
    async fn load(&self, record: &ItemId) -> Result<Option<TokenSet>, StoreError>;
    /// Writes it, reads it back, compares.
    async fn save(&self, record: &ItemId, set: &TokenSet) -> Result<(), StoreError>;
    /// The Grant's epoch; `None` if there is no Grant any more.
    fn epoch(&self, record: &ItemId) -> Option<u64>;
    /// The intent that an earlier attempt left behind; one that cannot be read stands for `generation`.
    fn intent(&self, record: &ItemId, generation: u64) -> Option<Intent>;
    /// Writes the intent so that it survives a crash.
    fn write_intent(&self, record: &ItemId, intent: Intent) -> Result<(), String>;
    /// Removes the intent.
    fn clear_intent(&self, record: &ItemId);
    /// Asks the sealed token endpoint (RFC 6749 section 6).
    async fn post(&self, set: &TokenSet) -> Result<Renewed, Refusal>;
    /// Are these tokens of the person of the record? `old` is the set before, for a look at its claims.
    async fn subject(
        &self,
        set: &TokenSet,
        id_token: Option<&model::Secret<String>>,
        old: Option<&TokenSet>,
    ) -> Subject;
    /// Revokes what nobody shall use (RFC 7009).
    async fn revoke(&self, set: &TokenSet);
    /// Now.
    fn now(&self) -> UnixTime;
    /// A place where tests may kill this process.
    fn point(&self, name: &'static str);
}

/// What a crash must not forget: that a request may be on its way. Holds no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Intent {
    /// The generation whose refresh token is sent.
    pub(crate) generation: u64,
    /// This is the second and last time.
    pub(crate) tried: bool,
}

/// A token answer, as far as it concerns the recipe.
#[derive(Debug)]
pub(crate) struct Renewed {
    /// The next generation, not checked yet.
    pub(crate) set: TokenSet,
    /// The id_token that came with it.
    pub(crate) id_token: Option<model::Secret<String>>,
}

/// Why there is no token answer (security.md section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request never left.
    NotSent(String),
    /// It left, and nobody knows what came of it.
    Unknown(String),
    /// An answer that decides nothing: 5xx, 429, HTML.
    NotAVerdict {
        /// In words.
        what: String,
        /// The issuer asked to wait so long.
        retry_after: Option<Duration>,
    },
    /// `invalid_grant`.
    InvalidGrant,
    /// Whoever vouched for the person does not any more.
    Over(String),
    /// `invalid_client`, `unauthorized_client`.
    RegistrationGone,
}

/// Whose tokens they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The person of the record; something proved it.
    Equal,
    /// Somebody else.
    Other,
    /// It could not be asked now.
    CannotAsk(String),
    /// Nothing can prove it.
    NothingToAsk,
}

/// What is wanted of the recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// This generation was refused by the Server: only a newer one helps.
    pub(crate) rejected: Option<u64>,
    /// Renew as soon as the schedule says so, not only when little is left.
    pub(crate) ahead: bool,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A checked token.
    Token {
        /// The set.
        set: TokenSet,
        /// It was renewed just now, and something proved the subject.
        renewed: bool,
        /// The subject was proven just now.
        proven: bool,
    },
    /// Nothing newer for the time being; this checked set can be used while it lasts.
    Kept {
        /// The set as it was.
        set: TokenSet,
        /// In words.
        trouble: String,
        /// The issuer asked to wait so long.
        retry_after: Option<Duration>,
    },
    /// Renewed, but not in the keychain: to be kept in memory and saved again and again.
    Unsaved {
        /// The set.
        set: TokenSet,
        /// Why.
        error: StoreError,
    },
    /// The person has to sign in again. Nothing was deleted.
    NeedsSignIn {
        /// One sentence.
        reason: String,
    },
    /// A pasted token is over: whoever made it must make another.
    Over(Over),
    /// The keychain cannot be used.
    Store(StoreError),
    /// The Grant is gone or belongs to another sign-in.
    Ended,
}

/// How a pasted token ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// The server refuses it.
    Revoked,
    /// The day came that was said when it was pasted.
    DayCame,
}

impl Over {
    /// One sentence.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Revoked => "the server refuses the pasted token: it was revoked there, or has ended",
            Self::DayCame => "the day has come on which the pasted token ends",
        }
    }

    /// What becomes of the Grant.
    pub(crate) fn state(self) -> GrantState {
        match self {
            Self::Revoked => GrantState::RevokedByServer,
            Self::DayCame => GrantState::NeedsSignIn { reason: self.reason().to_owned() },
        }
    }
}

/// Runs the recipe. The caller holds the flight of this record: nobody else is in here for it.
pub(crate) async fn refresh<S: Steps>(steps: &S, record: &ItemId, ask: Ask) -> Outcome {
    let Some(epoch) = steps.epoch(record) else { return Outcome::Ended };
    let set = match steps.load(record).await {
        Ok(Some(set)) => set,
        Ok(None) => {
            return Outcome::NeedsSignIn { reason: "its tokens are not in the keychain any more".to_owned() };
        }
        Err(error) => return Outcome::Store(error),
    };
    // A newer epoch in the keychain is a sign-in whose last step, state.json, was lost: it was confirmed.
    if set.epoch < epoch {
        return Outcome::Ended;
    }
    let mut proven = false;
    let set = if set.subject_checked {
        set
    } else {
        match check(steps, record, set, None, None).await {
            Checked::Good { set, proven: now } => {
                proven = now;
                set
            }
            Checked::Bad(outcome) => return outcome,
        }
    };
    let now = steps.now();
    let newer = ask.rejected.is_none_or(|rejected| set.generation > rejected);
    if newer && !is_wanted(now, &set, ask.ahead) {
        // Two deaths with a good token in between are not one request that was tried twice.
        steps.clear_intent(record);
        return Outcome::Token { set, renewed: false, proven };
    }
    if !set.renews() {
        if newer && !schedule::is_over(now, set.expires_at) {
            return Outcome::Token { set, renewed: false, proven };
        }
        return match set.seal.renewal {
            // It is not tried again: one refusal is the server's word.
            Renewal::Pasted if newer => Outcome::Over(Over::DayCame),
            Renewal::Pasted => Outcome::Over(Over::Revoked),
            Renewal::RefreshToken | Renewal::ClientCredentials | Renewal::IdentityAssertion { .. } => {
                let reason = "the sign-in has ended, and this server lets nobody renew it".to_owned();
                Outcome::NeedsSignIn { reason }
            }
        };
    }
    renew(steps, record, set, epoch).await
}

/// Whether a renewal is due.
fn is_wanted(now: UnixTime, set: &TokenSet, ahead: bool) -> bool {
    let scheduled = schedule::renewal_at(set.received_at, set.lifetime, 1.0);
    schedule::is_due(now, set.expires_at, set.lifetime) || (ahead && scheduled.is_some_and(|at| at <= now))
}

async fn renew<S: Steps>(steps: &S, record: &ItemId, set: TokenSet, epoch: u64) -> Outcome {
    let mut tried =
        match steps.intent(record, set.generation).filter(|intent| intent.generation == set.generation) {
            None => false,
            Some(Intent { tried: false, .. }) => true,
            Some(Intent { tried: true, .. }) => {
                let reason = "a renewal was interrupted twice, and its outcome is unknown".to_owned();
                steps.clear_intent(record);
                return Outcome::NeedsSignIn { reason };
            }
        };
    loop {
        if let Err(trouble) = steps.write_intent(record, Intent { generation: set.generation, tried }) {
            return Outcome::Kept { set, trouble, retry_after: None };
        }
        steps.point("refresh.intent-written");
        let refusal = match steps.post(&set).await {
            Ok(renewed) => return take(steps, record, set, epoch, renewed).await,
            Err(refusal) => refusal,
        };
        steps.point("refresh.refused");
        match refusal {
            Refusal::Unknown(_) if !tried => {
                // Was it us after all? Only the keychain knows.
                match steps.load(record).await {
                    Ok(Some(stored)) if stored.generation == set.generation && stored.epoch == set.epoch => {
                        tried = true;
                    }
                    Ok(Some(_) | None) => return Outcome::Ended,
                    Err(error) => return Outcome::Store(error),
                }
            }
            Refusal::NotSent(trouble) | Refusal::Unknown(trouble) => {
                steps.clear_intent(record);
                return Outcome::Kept { set, trouble, retry_after: None };
            }
            Refusal::NotAVerdict { what, retry_after } => {
                steps.clear_intent(record);
                return Outcome::Kept { set, trouble: what, retry_after };
            }
            Refusal::InvalidGrant => {
                steps.clear_intent(record);
                // Final only for what is still the newest.
                return match steps.load(record).await {
                    Ok(Some(stored)) if stored.generation > set.generation && stored.subject_checked => {
                        Outcome::Token { set: stored, renewed: false, proven: false }
                    }
                    Ok(Some(_) | None) => {
                        Outcome::NeedsSignIn { reason: "the issuer has ended this sign-in".to_owned() }
                    }
                    Err(error) => Outcome::Store(error),
                };
            }
            Refusal::Over(reason) => {
                steps.clear_intent(record);
                return Outcome::NeedsSignIn { reason };
            }
            Refusal::RegistrationGone => {
                steps.clear_intent(record);
                return Outcome::NeedsSignIn {
                    reason: "the issuer does not know this Hallpass any more".to_owned(),
                };
            }
        }
    }
}

/// The answer is here: the old refresh token is spent. From now on only the new set counts.
async fn take<S: Steps>(steps: &S, record: &ItemId, old: TokenSet, epoch: u64, renewed: Renewed) -> Outcome {
    steps.point("refresh.answered");
    let Renewed { mut set, id_token } = renewed;
    set.subject_checked = false;
    if steps.epoch(record) != Some(epoch) {
        steps.revoke(&set).await;
        steps.clear_intent(record);
        return Outcome::Ended;
    }
    if let Err(error) = steps.save(record, &set).await {
        return Outcome::Unsaved { set, error };
    }
    steps.point("refresh.saved");
    match check(steps, record, set, id_token.as_ref(), Some(old)).await {
        Checked::Good { set, proven } => {
            steps.clear_intent(record);
            steps.point("refresh.done");
            Outcome::Token { set, renewed: true, proven }
        }
        Checked::Bad(outcome) => {
            steps.clear_intent(record);
            outcome
        }
    }
}

enum Checked {
    Good { set: TokenSet, proven: bool },
    Bad(Outcome),
}

/// Compares the subject of a set that lies in the keychain as unchecked, and takes the mark away.
async fn check<S: Steps>(
    steps: &S,
    record: &ItemId,
    mut set: TokenSet,
    id_token: Option<&model::Secret<String>>,
    old: Option<TokenSet>,
) -> Checked {
    let proven = match steps.subject(&set, id_token, old.as_ref()).await {
        Subject::Equal => true,
        Subject::NothingToAsk => false,
        Subject::Other => {
            steps.revoke(&set).await;
            return Checked::Bad(Outcome::NeedsSignIn {
                reason: "the issuer answered for another person; what it sent was not used".to_owned(),
            });
        }
        Subject::CannotAsk(trouble) => {
            return Checked::Bad(match old {
                Some(set) => Outcome::Kept { set, trouble, retry_after: None },
                // Nothing older is at hand: an over and done set stands for "nothing to use now".
                None => Outcome::Kept {
                    set: TokenSet { expires_at: Some(UnixTime(0)), ..set },
                    trouble,
                    retry_after: None,
                },
            });
        }
    };
    steps.point("refresh.checked");
    set.subject_checked = true;
    match steps.save(record, &set).await {
        // It lies in the keychain in any case; the mark costs one more check at the next start.
        Ok(()) | Err(_) => Checked::Good { set, proven },
    }
}

#[cfg(test)]
pub(crate) mod tests;
