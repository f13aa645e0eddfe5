//! Signing in: one task for each, from the Server's own words to a token set in the keychain.
//!
//! ```text
//! keychain open? -> discovery -> listener -> registration -> browser -> code -> tokens
//!   -> who came back? (decide) -> a yes where one is needed -> KEYCHAIN, read back -> state.json -> bridges
//! ```

mod application;
mod attempt;
mod bind;
mod decide;
mod device;
mod flow;
mod pasted;
pub(crate) mod provider;
mod replaced;
mod save;
mod under_way;
mod vouched;

use std::sync::Arc;

use ipc::{Approval, Error, ErrorCode, FromAgent, Request, SignInId, SignInStep, SignInWay};
use model::{AccountId, Secret, ServerId, UnixTime};
use tokio::sync::mpsc;

use crate::agent::Agent;
use crate::{error, people};

use under_way::Entered;
pub(crate) use under_way::{Held, Line, SignIns};

/// What a person asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) server: ServerId,
    /// Sign this Account in again.
    pub(crate) account: Option<AccountId>,
    pub(crate) expect: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) select: bool,
    pub(crate) approval: Approval,
    pub(crate) same_person: bool,
    pub(crate) login_hint: Option<String>,
    /// How they want to.
    pub(crate) way: Way,
    /// Seconds.
    pub(crate) timeout: u64,
}

/// How somebody signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// With a browser of this machine; where an identity provider vouches for them, without one.
    Browser,
    /// On another device.
    Device,
    /// Nobody does: the application itself.
    Application,
    /// With an id_token that another program got of the identity provider.
    IdToken(Secret<String>),
    /// With a personal token that they made at the server.
    Pasted(Given),
}

/// A personal token as it was pasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) text: Secret<String>,
    /// When it ends, by the word of whoever made it.
    pub(crate) ends_at: Option<UnixTime>,
}

impl Way {
    fn of(asked: SignInWay) -> Self {
        match asked {
            SignInWay::Browser => Self::Browser,
            SignInWay::Device => Self::Device,
            SignInWay::Application => Self::Application,
            SignInWay::IdToken { id_token } => Self::IdToken(Secret::new(id_token)),
            SignInWay::Pasted { token, ends_at } => Self::Pasted(Given { text: Secret::new(token), ends_at }),
        }
    }
}

impl Wanted {
    /// Whether whoever wants this may go on with that: all is the same but the patience.
    fn is_like(&self, other: &Self) -> bool {
        *self == Self { timeout: self.timeout, ..other.clone() }
    }
}

impl Agent {
    /// Starts a sign-in as a task of its own, or goes on with the same one that nobody attends. What happens is told on
    /// `events`.
    pub(crate) fn begin_sign_in(
        self: &Arc<Self>,
        request: Request,
        events: mpsc::UnboundedSender<FromAgent>,
    ) -> Result<Held, Error> {
        let Request::BeginSignIn {
            server,
            account,
            expect,
            label,
            select,
            approval,
            same_person,
            login_hint,
            way,
            anew,
            timeout,
        } = request
        else {
            return Err(Error::new(ErrorCode::Usage, "not a sign-in"));
        };
        let account = self.read(|state| {
            if !state.servers.contains_key(&server) {
                return Err(error::no_server(&server));
            }
            account.map(|name| people::resolve(state, Some(&server), &name).map(|a| a.id.clone())).transpose()
        })?;
        let timeout = timeout.clamp(1, 3600);
        let wanted = Wanted {
            server,
            account,
            expect,
            label,
            select,
            approval,
            same_person,
            login_hint,
            way: Way::of(way),
            timeout,
        };
        let now = self.world.now();
        let (id, number, replay, entered) =
            self.sign_ins.enter(&wanted, anew, now, events, self.events.clone())?;
        self.changed();
        if let Entered::Anew { mut line, before } = entered {
            let agent = Arc::clone(self);
            tokio::spawn(async move {
                if let Some(before) = before {
                    // Until it has let go of its port.
                    before.closed().await;
                }
                let step = match flow::run(&agent, &wanted, &mut line).await {
                    Ok(done) => done,
                    Err(error) => {
                        tracing::info!(server = %wanted.server, code = ?error.code, "a sign-in did not succeed");
                        SignInStep::Failed { error }
                    }
                };
                // Out of the register first: who hears of the end may begin the next one at once.
                agent.sign_ins.leave(line.id(), &step);
                line.step(step);
                agent.changed();
            });
        }
        Ok(SignIns::hold(self, id, number, replay))
    }

    /// Goes on with a sign-in whose caller is gone.
    pub(crate) fn resume_sign_in(
        self: &Arc<Self>,
        id: SignInId,
        events: mpsc::UnboundedSender<FromAgent>,
    ) -> Result<Held, Error> {
        let (number, replay) = self.sign_ins.resume(id, self.world.now(), events)?;
        self.changed();
        Ok(SignIns::hold(self, id, number, replay))
    }
}
