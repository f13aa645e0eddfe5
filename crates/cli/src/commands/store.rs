//! `hallpass store show|use|passphrase|unlock`.

use std::io::BufRead as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use agent::{Choice, Chosen};
use ipc::{AgentView, Error, ErrorCode, KeychainState, Request, Response};
use model::Secret;

use super::unexpected;
use crate::args::{Passphrase, Sealing, Store, StoreKind, StoreUse};
use crate::link::{Link, root};
use crate::output::{Output, can_ask};

pub(crate) async fn run(verb: Store, quiet: bool) -> Result<ExitCode, Error> {
    match verb {
        Store::Show(json) => show(Output { json: json.json, quiet }).await,
        Store::Use(options) => {
            let out = Output { json: options.json.json, quiet };
            let chosen = choose(&options, out).await?;
            if out.json {
                out.object("store-use", &object(&chosen))?;
            } else {
                say(out, &chosen);
            }
            Ok(ExitCode::SUCCESS)
        }
        Store::Passphrase { passphrase_stdin, json } => {
            let out = Output { json: json.json, quiet };
            let mut link = Link::open().await?;
            let source = Passphrase { passphrase_stdin };
            let (old, new) = (passphrase(source)?, new_passphrase(source)?);
            // Put-only: there is no answer that holds them.
            let (old, new) = (old.expose().clone(), new.expose().clone());
            match link.ask(Request::ChangePassphrase { old, new }).await? {
                Response::Done if out.json => out.object("store", &agent(&mut link).await?.keychain)?,
                Response::Done => out.line("the new passphrase opens the sealed files from now on"),
                other => return Err(unexpected(&other)),
            }
            Ok(ExitCode::SUCCESS)
        }
        Store::Unlock { passphrase, json } => {
            let out = Output { json: json.json, quiet };
            let mut link = Link::open().await?;
            unlock(&mut link, passphrase).await?;
            let agent = agent(&mut link).await?;
            if out.json {
                out.object("store", &agent.keychain)?;
            } else {
                out.talk(format!("{}: open", words(&agent.keychain)));
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What `login --store` does first: the same choice, unless it has been made already.
pub(crate) async fn choose_first(store: StoreKind, sealing: Sealing, out: Output) -> Result<(), Error> {
    let mut link = Link::open().await?;
    let state = agent(&mut link).await?.keychain;
    let in_use = match &state {
        KeychainState::Ready { store } | KeychainState::Locked { store } => store == SEALED,
        KeychainState::Absent { .. } => false,
    };
    match (store, &state) {
        (StoreKind::SealedFile, KeychainState::Locked { .. }) if in_use => {
            unlock(&mut link, sealing.passphrase).await
        }
        (StoreKind::SealedFile, KeychainState::Ready { .. }) if in_use => Ok(()),
        (StoreKind::Keychain, KeychainState::Ready { .. }) if !in_use => Ok(()),
        (StoreKind::Keychain | StoreKind::SealedFile, _) => {
            drop(link);
            let options =
                StoreUse { store, sealing, start_over: false, json: crate::args::Json { json: false } };
            let chosen = choose(&options, out).await?;
            out.notice(format!("tokens lie in {} from now on", chosen.store));
            Ok(())
        }
    }
}

async fn choose(options: &StoreUse, out: Output) -> Result<Chosen, Error> {
    let root = root()?;
    let recorded = recorded(&root);
    let to_files = options.store == StoreKind::SealedFile;
    let key_file = options.sealing.key_file.as_ref().map(std::path::absolute).transpose().map_err(|e| {
        Error::new(ErrorCode::Usage, format!("--key-file: {e}")).hint("name a file with its whole path")
    })?;
    // Sealed files that are to be made without a key file need a passphrase; those in use may.
    let makes = to_files && key_file.is_none() && (options.start_over || recorded.as_deref() != Some(SEALED));
    let leaves = !to_files && recorded.as_deref() == Some(SEALED) && is_locked().await;
    let passphrase = match (makes, leaves) {
        (true, _) => Some(new_passphrase(options.sealing.passphrase)?),
        (false, true) => Some(passphrase(options.sealing.passphrase)?),
        (false, false) => None,
    };
    let chosen = alone(&root, options, key_file, passphrase.clone(), out).await?;
    if let Some(passphrase) = passphrase.filter(|_| makes) {
        // The agent that starts now is the one that has to know it.
        give(&mut Link::open().await?, Some(&passphrase)).await?;
    }
    Ok(chosen)
}

/// With the agent stopped and nobody able to start another.
async fn alone(
    root: &platform::Root,
    options: &StoreUse,
    key_file: Option<PathBuf>,
    passphrase: Option<Secret<String>>,
    out: Output,
) -> Result<Chosen, Error> {
    let _starts = ipc::hold_starts(root, PATIENCE).await.map_err(|e| e.to_error())?;
    super::agent::stop(true).await?;
    let store = match options.store {
        StoreKind::Keychain => agent::Store::Keychain,
        StoreKind::SealedFile => agent::Store::SealedFile,
    };
    out.talk("moving what is stored");
    agent::choose(root, Choice { store, key_file, passphrase, start_over: options.start_over }).await
}

async fn show(out: Output) -> Result<ExitCode, Error> {
    let agent = agent(&mut Link::open().await?).await?;
    if out.json {
        out.object("store", &agent.keychain)?;
    } else {
        out.line(words(&agent.keychain));
    }
    Ok(match agent.keychain {
        KeychainState::Ready { .. } => ExitCode::SUCCESS,
        KeychainState::Locked { .. } => ExitCode::from(ErrorCode::KeychainLocked.exit_code()),
        KeychainState::Absent { .. } => ExitCode::from(ErrorCode::KeychainAbsent.exit_code()),
    })
}

fn words(state: &KeychainState) -> String {
    match state {
        KeychainState::Ready { store } => format!("{store}, ready"),
        KeychainState::Locked { store } => format!("{store}, LOCKED; next: hallpass store unlock"),
        KeychainState::Absent { reason } => format!("absent: {reason}"),
    }
}

/// Sealed files ask for their passphrase, a keychain shows the system's own dialog.
async fn unlock(link: &mut Link, source: Passphrase) -> Result<(), Error> {
    let state = agent(link).await?.keychain;
    match &state {
        KeychainState::Ready { .. } => Ok(()),
        KeychainState::Locked { store } if store == SEALED => {
            let passphrase = passphrase(source)?;
            give(link, Some(&passphrase)).await
        }
        KeychainState::Locked { .. } | KeychainState::Absent { .. } => give(link, None).await,
    }
}

async fn give(link: &mut Link, passphrase: Option<&Secret<String>>) -> Result<(), Error> {
    // Put-only: there is no answer that holds it.
    let passphrase = passphrase.map(|passphrase| passphrase.expose().clone());
    match link.ask(Request::UnlockStore { passphrase }).await? {
        Response::Done => Ok(()),
        other => Err(unexpected(&other)),
    }
}

async fn agent(link: &mut Link) -> Result<AgentView, Error> {
    match link.ask(Request::Status).await? {
        Response::Status(status) => Ok(status.agent),
        other => Err(unexpected(&other)),
    }
}

async fn is_locked() -> bool {
    let Ok(mut link) = Link::open().await else { return false };
    matches!(agent(&mut link).await, Ok(AgentView { keychain: KeychainState::Locked { .. }, .. }))
}

/// The store that `state.json` names: what is asked for follows from it, nothing else.
fn recorded(root: &platform::Root) -> Option<String> {
    let bytes = platform::file::read_private(&root.state().join("state.json"), 64 * 1024 * 1024).ok()?;
    model::State::parse(&bytes).ok()?.keychain.map(|record| record.store)
}

/// One that is in use.
fn passphrase(source: Passphrase) -> Result<Secret<String>, Error> {
    if source.passphrase_stdin { from_stdin() } else { ask("Passphrase", None) }
}

/// A new one, typed twice.
fn new_passphrase(source: Passphrase) -> Result<Secret<String>, Error> {
    if source.passphrase_stdin {
        return from_stdin();
    }
    ask("New passphrase (at least 12 characters; nobody can recover it)", Some("The same again"))
}

fn from_stdin() -> Result<Secret<String>, Error> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|e| {
        Error::new(ErrorCode::Usage, format!("the passphrase cannot be read from standard input: {e}"))
    })?;
    Ok(Secret::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn ask(prompt: &str, again: Option<&str>) -> Result<Secret<String>, Error> {
    if !can_ask() {
        return Err(Error::new(ErrorCode::Usage, "there is no terminal to ask for the passphrase on")
            .hint("give it on standard input with --passphrase-stdin, or use --key-file"));
    }
    let mut password = dialoguer::Password::new().with_prompt(prompt);
    if let Some(again) = again {
        password = password.with_confirmation(again, "These were two different ones");
    }
    password
        .interact()
        .map(Secret::new)
        .map_err(|e| Error::new(ErrorCode::Cancelled, format!("the passphrase was not entered: {e}")))
}

fn object(chosen: &Chosen) -> serde_json::Value {
    serde_json::json!({
        "store": chosen.store, "moved": chosen.moved, "left": chosen.left, "aside": chosen.aside,
    })
}

fn say(out: Output, chosen: &Chosen) {
    out.line(format!("tokens lie in {} from now on", chosen.store));
    if chosen.moved > 0 {
        out.line(format!("  {} record(s) moved; nobody has to sign in again", chosen.moved));
    }
    if let Some(aside) = &chosen.aside {
        out.notice(format!("the files that could not be opened are now in {}", aside.display()));
    }
    for left in &chosen.left {
        out.notice(format!("left behind: {left}"));
    }
}

/// As `state.json` and the views name it.
const SEALED: &str = "sealed-file";
const PATIENCE: Duration = Duration::from_secs(30);
