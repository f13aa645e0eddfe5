//! `hallpass agent run`: takes the life lock, opens the socket, serves until there is nothing to do.

use std::sync::Arc;

use ipc::{Error, ErrorCode};
use platform::process::Hardening;
use platform::socket::Listener;
use platform::{Lock, Root};

use crate::agent::Agent;
use crate::servers::chain;
use crate::state_file::StateFile;
use crate::world::World;
use crate::{error, listener, logging, presets, renewals, stores};

/// Runs the agent of a root in this process until it is told to stop or has been idle for a minute.
pub fn run(root: Root) -> Result<(), Error> {
    let hardening = if platform::CHANNEL_IS_RELEASE { Hardening::Closed } else { Hardening::Debuggable };
    let hardened = platform::process::harden(hardening);
    root.ensure().map_err(|e| {
        Error::new(ErrorCode::Failed, e.to_string()).hint("make that folder yours alone, then try again")
    })?;
    let path = root.run().join("agent.lock");
    let life = match Lock::try_acquire(&path) {
        Ok(Some(life)) => life,
        Ok(None) => return Err(already_running(&path)),
        Err(e) => return Err(Error::new(ErrorCode::Failed, chain(&e)).hint("run: hallpass doctor")),
    };
    logging::start(&root);
    if let Err(error) = hardened {
        tracing::warn!(%error, "this process could not be closed to others");
    }
    let state = StateFile::open(&root).map_err(error::of_state)?;
    adopt_session_bus(&state);
    // What configurations name must be there before anybody can ask for one. Where it is, making sure that it is this
    // executable means reading both, which takes longer than all the rest of a start: nobody waits for that.
    let is_there = platform::publish::entry_executable(&root).is_file();
    if !is_there {
        publish(&root);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::new(ErrorCode::Failed, format!("the agent cannot run: {e}")))?;
    let served = runtime.block_on(async {
        let publishing = root.clone();
        let serving = serve(root, state, &life);
        if is_there {
            tokio::task::spawn_blocking(move || publish(&publishing));
        }
        serving.await
    });
    // The keychain's thread may be waiting for a person; the end does not wait for it.
    runtime.shutdown_background();
    drop(life);
    served
}

async fn serve(root: Root, state: StateFile, life: &Lock) -> Result<(), Error> {
    let socket = Listener::bind(&root, life)
        .map_err(|e| Error::new(ErrorCode::AgentUnavailable, chain(&e)).hint("run: hallpass doctor"))?;
    let agent = {
        let store = stores::open(&root, state.get().keychain.as_ref());
        Agent::new(root, state, store, World::system())
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), state = %agent.state_file().path().display(), "agent started");
    agent.clean_recorded_proxies().await;
    // Whoever comes first already needs them.
    if agent.restore_proxies().await.is_err() {
        let agent = Arc::clone(&agent);
        tokio::spawn(async move { agent.keep_restoring_proxies().await });
    }
    let serving = tokio::spawn(listener::serve(Arc::clone(&agent), socket));
    let renewing = tokio::spawn(renewals::run(Arc::clone(&agent)));
    agent.load_lists();
    let looking = tokio::spawn(presets::run(Arc::clone(&agent)));
    let watching = tokio::spawn(renewals::watch_endings(Arc::clone(&agent)));
    let revoking = tokio::spawn(renewals::retry_revocations(Arc::clone(&agent)));
    let why = tokio::select! {
        () = agent.stop.notified() => "asked to",
        () = agent.lifecycle.idle(&agent) => "idle",
        () = platform::process::asked_to_end() => "told by the system",
    };
    // Nobody new gets in; what is under way comes to its end.
    serving.abort();
    let _aborted = serving.await;
    agent.lifecycle.drain(&agent).await;
    renewing.abort();
    revoking.abort();
    looking.abort();
    watching.abort();
    tracing::info!(why, "agent ends");
    Ok(())
}

/// Heals `bin/hallpass`.
fn publish(root: &Root) {
    if let Ok(executable) = std::env::current_exe()
        && let Err(error) = platform::publish::publish(root, &executable, env!("CARGO_PKG_VERSION"))
    {
        tracing::warn!(%error, "the stable path could not be published");
    }
}

/// An agent that a bridge started has its host's environment, which says nothing of the person's session.
fn adopt_session_bus(state: &StateFile) {
    if std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some() {
        return;
    }
    let Some(recorded) = state.get().environment.dbus_address.clone() else { return };
    if let Err(error) = token_store::adopt_bus_address(&recorded) {
        tracing::warn!(%error, "the recorded session bus cannot be used");
    }
}

fn already_running(path: &std::path::Path) -> Error {
    let who = match platform::lock::holder(path) {
        Some(holder) => format!("pid {} on {}", holder.pid, holder.host),
        None => "another process".to_owned(),
    };
    Error::new(ErrorCode::AgentUnavailable, format!("an agent is running already ({who})"))
        .hint("hallpass agent status shows it; hallpass agent stop ends it")
}
