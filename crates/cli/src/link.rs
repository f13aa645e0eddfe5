//! The CLI's end of the control wire: finds or starts the agent, asks, waits for the answer.

use ipc::{Call, Connection, Error, ErrorCode, Event, FromAgent, Request, Response, Role, Starter};
use platform::dirs::Root;

/// A control connection.
pub(crate) struct Link {
    connection: Connection,
    next: u64,
}

impl Link {
    /// Connects; starts the agent if none is running, and one that is too old is asked to retire first.
    pub(crate) async fn open() -> Result<Self, Error> {
        let root = root()?;
        let starter = starter()?;
        let connection = ipc::open_control(&root, &starter).await.map_err(|e| e.to_error())?;
        let mut link = Self { connection, next: 1 };
        link.ask(ipc::session_record()).await?;
        Ok(link)
    }

    /// Connects only if an agent is running.
    pub(crate) async fn open_running() -> Result<Self, Error> {
        let connection = ipc::connect(&root()?, Role::Control).await.map_err(|e| e.to_error())?;
        Ok(Self { connection, next: 1 })
    }

    /// The agent's process id.
    pub(crate) fn agent_pid(&self) -> u32 {
        self.connection.agent_pid
    }

    /// Asks and waits for the answer; events that come meanwhile are dropped.
    pub(crate) async fn ask(&mut self, request: Request) -> Result<Response, Error> {
        let id = self.send(request).await?;
        loop {
            match self.receive().await? {
                FromAgent::Reply { id: answered, result } if answered == id => return result,
                FromAgent::Reply { .. } | FromAgent::Event { .. } => {}
            }
        }
    }

    /// Asks without waiting; returns the call's id.
    pub(crate) async fn send(&mut self, request: Request) -> Result<u64, Error> {
        let id = self.next;
        self.next += 1;
        self.connection.writer.send(&Call { id, request }).await.map_err(|e| gone(&e))?;
        Ok(id)
    }

    /// The next line of the agent. Cancelling it loses nothing.
    pub(crate) async fn receive(&mut self) -> Result<FromAgent, Error> {
        match self.connection.reader.next::<FromAgent>().await {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(Error::new(ErrorCode::AgentUnavailable, "the agent ended the connection")
                .hint("try again; hallpass doctor says more")),
            Err(error) => Err(gone(&error)),
        }
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Result<Event, Error> {
        loop {
            match self.receive().await? {
                FromAgent::Event { event } => return Ok(event),
                FromAgent::Reply { result: Err(error), .. } => return Err(error),
                FromAgent::Reply { result: Ok(_), .. } => {}
            }
        }
    }
}

/// The folder of everything of ours.
pub(crate) fn root() -> Result<Root, Error> {
    Root::locate().map_err(|e| {
        Error::new(ErrorCode::Failed, e.to_string()).hint("set HOME to your home folder and try again")
    })
}

/// How this process would start an agent.
pub(crate) fn starter() -> Result<Starter, Error> {
    let executable = std::env::current_exe()
        .map_err(|e| Error::new(ErrorCode::Failed, format!("this program's own path cannot be read: {e}")))?;
    Ok(Starter::of_session(executable))
}

/// How a bridge would start an agent: its host's environment says nothing of the person's session, so
/// only the home folder and the search path go along, and the agent falls back to what was recorded.
pub(crate) fn bridge_starter() -> Result<Starter, Error> {
    let mut starter = starter()?;
    let kept = ["HOME", "PATH", "LANG", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "SystemRoot"];
    starter.environment.retain(|(name, _)| kept.iter().any(|k| name == k));
    Ok(starter)
}

fn gone(error: &ipc::CodecError) -> Error {
    if matches!(error, ipc::CodecError::TooLong { .. }) {
        return ipc::request_too_long();
    }
    Error::new(ErrorCode::AgentUnavailable, format!("the agent cannot be talked to: {error}"))
        .hint("try again; hallpass doctor says more")
}
