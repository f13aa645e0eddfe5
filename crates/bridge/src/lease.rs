//! One lease: its token, the question under way about it, and who waits for the answer.

use http::HeaderValue;
use model::{Endpoint, UnixTime};
use token_lease::{AccessToken, BridgeMessage, Closed, ClosedCode, LeaseId};
use tokio::sync::oneshot;

use crate::error::Failure;

/// The value of `Authorization` for requests of one person (RFC 6750 section 2.1).
#[derive(Clone)]
pub(crate) struct Bearer {
    pub(crate) value: HeaderValue,
    pub(crate) generation: u64,
}

/// Who gets a token as soon as there is one.
pub(crate) type Reply = oneshot::Sender<Result<Option<Bearer>, Failure>>;

/// A lease of one particular agent: another agent counts from the beginning again, and the same number
/// may mean another person there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Loan {
    pub(crate) agent: u64,
    pub(crate) lease: LeaseId,
}

/// One person's tokens at one endpoint, and everybody who waits for a newer one.
pub(crate) struct Lease {
    pub(crate) endpoint: Endpoint,
    pub(crate) token: AccessToken,
    pub(crate) bearer: Bearer,
    pub(crate) asked: Option<Asked>,
    pub(crate) asked_at: Option<UnixTime>,
    pub(crate) waiting: Vec<Waiter>,
    /// Who waits to hear what can be done about missing rights.
    pub(crate) narrow: Vec<oneshot::Sender<Failure>>,
    pub(crate) void: Option<Closed>,
    /// The agent that lent it is still connected.
    pub(crate) known: bool,
}

/// A question under way.
pub(crate) struct Asked {
    pub(crate) rejected: Option<u64>,
}

/// Somebody who waits for a token newer than the rejected one.
pub(crate) struct Waiter {
    pub(crate) rejected: Option<u64>,
    pub(crate) reply: Reply,
}

/// How much of a token's life is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    Fresh,
    /// Good for this request, but a newer one is due.
    Due,
    Over,
}

impl Lease {
    pub(crate) fn ask(
        &mut self,
        id: Loan,
        rejected: Option<u64>,
        connected: bool,
        now: UnixTime,
        out: &mut Vec<BridgeMessage>,
    ) {
        if connected && self.known && self.asked.is_none() {
            self.asked = Some(Asked { rejected });
            self.asked_at = Some(now);
            out.push(BridgeMessage::Token { lease: id.lease, rejected });
        }
    }

    pub(crate) fn renew(&mut self, token: AccessToken) -> Result<(), Failure> {
        if token.generation >= self.token.generation {
            self.bearer = bearer(&token)?;
            self.token = token;
        }
        Ok(())
    }

    /// Hands the token to everybody whom it helps; `asked` is the generation that the question named.
    pub(crate) fn serve(
        &mut self,
        id: Loan,
        asked: Option<u64>,
        connected: bool,
        now: UnixTime,
        out: &mut Vec<BridgeMessage>,
    ) {
        let mut again = None;
        for waiter in std::mem::take(&mut self.waiting) {
            match waiter.rejected {
                Some(rejected) if rejected >= self.token.generation => {
                    if asked.is_some_and(|named| named >= rejected) {
                        // It was told of this very generation and has nothing newer.
                        let _ = waiter.reply.send(Err(Failure::Rejected(None)));
                    } else {
                        again = again.max(Some(rejected));
                        self.waiting.push(waiter);
                    }
                }
                Some(_) | None => {
                    let _ = waiter.reply.send(Ok(Some(self.bearer.clone())));
                }
            }
        }
        if again.is_some() {
            self.ask(id, again, connected, now, out);
        }
    }
}

/// Asked again at min(30 s, 20 % of the lifetime) left.
pub(crate) fn age(token: &AccessToken, now: UnixTime) -> Age {
    let Some(expires_at) = token.expires_at else { return Age::Fresh };
    let left = expires_at.since(now).as_secs();
    let window = token.lifetime.map_or(30, |lifetime| (lifetime / 5).min(30));
    if left <= 1 {
        Age::Over
    } else if left <= window {
        Age::Due
    } else {
        Age::Fresh
    }
}

pub(crate) fn bearer(token: &AccessToken) -> Result<Bearer, Failure> {
    // The one place where a token becomes a header.
    let secret = token.secret.expose();
    let good = !secret.is_empty() && secret.bytes().all(|b| b.is_ascii_graphic());
    let value = good.then(|| HeaderValue::try_from(format!("Bearer {secret}")).ok()).flatten();
    let mut value = value.ok_or_else(|| Failure::Closed(unusable()))?;
    value.set_sensitive(true);
    Ok(Bearer { value, generation: token.generation })
}

pub(crate) fn unusable() -> Closed {
    Closed {
        code: ClosedCode::Failed,
        message: "the access token holds characters that no header can carry".to_owned(),
        hint: "sign in again with `hallpass login`".to_owned(),
        person: None,
    }
}
