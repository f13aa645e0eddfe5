//! Whom a server's own whoami tool names: asked with the token that is to be proven, and with no other.

use std::time::Duration;

use model::{AccountKey, Named, Secret, Server, WhoamiTool};
use token_store::TokenSet;

use crate::agent::Agent;
use crate::mcp::{Tool, Visit, VisitError};
use crate::network::Access;
use crate::refresh::Subject;

/// How long a whole visit may take.
const VISIT_TIME: Duration = Duration::from_mins(1);

/// What a server's tool says of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whoami {
    /// This person.
    Named(Person),
    /// Nobody; in words.
    Nobody(String),
    /// No tool is known or named.
    NoTool,
}

/// Whom a tool named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    /// What it was asked.
    pub(crate) asked: WhoamiTool,
    /// What it answered.
    pub(crate) named: Named,
}

impl Person {
    /// What makes them this person: who gave the token, where it was asked, what, and the answer.
    pub(crate) fn key(&self, issuer: &str, server: &Server) -> AccountKey {
        AccountKey::Told {
            issuer: issuer.to_owned(),
            at: server.endpoint.origin(),
            asked: self.asked.clone(),
            id: self.named.id.clone(),
        }
    }

    /// For eyes: the name, or else what identifies them.
    pub(crate) fn label(&self) -> &str {
        self.named.label.as_deref().unwrap_or(&self.named.id)
    }
}

/// A server that has let a token in.
pub(crate) struct Inside<'a> {
    server: &'a Server,
    visit: Visit<'a>,
    tools: Vec<Tool>,
}

impl Agent {
    /// Shows a token to its server, which lists its tools to whom it lets in.
    pub(crate) async fn enter<'a>(
        &self,
        server: &'a Server,
        token: &'a Secret<String>,
    ) -> Result<Inside<'a>, VisitError> {
        let http = self
            .network
            .http(&server.endpoint, Access::of(server))
            .map_err(|error| VisitError::NotNow(error.message))?;
        within(async {
            let mut visit = Visit::begin(http, server, token).await?;
            let tools = visit.tools().await?;
            Ok(Inside { server, visit, tools })
        })
        .await
    }

    /// Whom the whoami tool of a server names by this token, if one is known.
    pub(crate) async fn whoami(&self, server: &Server, token: &Secret<String>) -> Result<Whoami, VisitError> {
        if server.whoami().is_none() {
            return Ok(Whoami::NoTool);
        }
        let asked = async {
            let mut inside = self.enter(server, token).await?;
            let whoami = inside.whoami().await;
            inside.end().await;
            whoami
        };
        match asked.await {
            // The token may be good for something else.
            Err(error @ (VisitError::NotLetIn | VisitError::Odd(_))) => {
                Ok(Whoami::Nobody(format!("nobody is proven by a tool of {}: {error}", server.id)))
            }
            asked => asked,
        }
    }

    /// Compares whom the sealed tool names by `set` with whom it named at the sign-in.
    pub(crate) async fn compare_told(&self, set: &TokenSet) -> Subject {
        let (Some(told), Some(server)) = (&set.seal.told, self.server_of(&set.seal)) else {
            return Subject::NothingToAsk;
        };
        // The sealed token goes to the address that it was issued for, and nowhere else.
        if server.endpoint.as_str() != set.seal.endpoint {
            return Subject::CannotAsk("the server has another address than at the sign-in".to_owned());
        }
        let asked = async {
            let mut inside = self.enter(&server, &set.access_token).await?;
            let whoami = inside.ask(told.asked.clone(), None).await;
            inside.end().await;
            whoami
        };
        match asked.await {
            Ok(Whoami::Named(person)) if person.named.id == told.id => Subject::Equal,
            Ok(Whoami::Named(_)) => Subject::Other,
            // It named somebody before: that it names nobody now says nothing for whoever this is.
            Ok(Whoami::Nobody(why)) => Subject::CannotAsk(why),
            Ok(Whoami::NoTool) => Subject::NothingToAsk,
            Err(error) => Subject::CannotAsk(format!("{} was asked whose it is: {error}", server.id)),
        }
    }
}

impl Inside<'_> {
    /// Whom the server's whoami tool names, if one is known.
    pub(crate) async fn whoami(&mut self) -> Result<Whoami, VisitError> {
        match self.server.whoami() {
            Some((asked, label)) => self.ask(asked, label).await,
            None => Ok(Whoami::NoTool),
        }
    }

    async fn ask(&mut self, asked: WhoamiTool, label: Option<&str>) -> Result<Whoami, VisitError> {
        Ok(match within(self.visit.whoami(&self.tools, &asked, label)).await? {
            Ok(named) => Whoami::Named(Person { asked, named }),
            Err(why) => Whoami::Nobody(format!("its tool {} proves nobody: {why}", asked.tool())),
        })
    }

    /// Leaves.
    pub(crate) async fn end(self) {
        self.visit.end().await;
    }
}

async fn within<T>(visit: impl Future<Output = Result<T, VisitError>>) -> Result<T, VisitError> {
    let late = |_| VisitError::NotNow("it takes too long".to_owned());
    tokio::time::timeout(VISIT_TIME, visit).await.map_err(late)?
}
