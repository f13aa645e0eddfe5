//! `hallpass bridge`: the fastest path, so it reads its own few options and sets up nothing else first.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bridge::{AgentLink, LinkError};
use ipc::{Error, ErrorCode, Role, Starter};
use model::{AccountId, ClientAppId, ServerId, UnixTime};
use platform::Root;
use platform::socket::{ReadEnd, WriteEnd};
use tokio::io::BufReader;

use crate::link;

/// What the options of `hallpass bridge` come to.
pub(crate) enum Parsed {
    /// Run.
    Options(bridge::Options),
    /// Something that the full parser explains better: a typing mistake, `--help`.
    LeaveToClap,
}

/// Reads `--app A --server S [--account ID] [--workspace ID]`, in any order, `--name=value` too.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Parsed {
    let (mut app, mut server, mut account, mut workspace) = (None, None, None, None);
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let Some(text) = argument.to_str() else { return Parsed::LeaveToClap };
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (text.to_owned(), arguments.next().and_then(|v| v.into_string().ok())),
        };
        let Some(value) = value else { return Parsed::LeaveToClap };
        let slot = match name.as_str() {
            "--app" => &mut app,
            "--server" => &mut server,
            "--account" => &mut account,
            "--workspace" => &mut workspace,
            _ => return Parsed::LeaveToClap,
        };
        if slot.replace(value).is_some() {
            return Parsed::LeaveToClap;
        }
    }
    let (Some(app), Some(server)) = (app, server) else { return Parsed::LeaveToClap };
    let (Ok(app), Ok(server)) = (ClientAppId::parse(&app), ServerId::parse(&server)) else {
        return Parsed::LeaveToClap;
    };
    let Ok(account) = account.as_deref().map(AccountId::parse).transpose() else {
        return Parsed::LeaveToClap;
    };
    Parsed::Options(bridge::Options { app, server, account, workspace })
}

/// Runs until the host goes away.
pub(crate) fn run(options: bridge::Options) -> ExitCode {
    platform::process::keep_large_buffers_apart();
    let link = match link::root().and_then(|root| Ok(Agent { root, starter: link::bridge_starter()? })) {
        Ok(link) => link,
        Err(error) => return crate::output::fail(&error, false),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error =
                Error::new(ErrorCode::Failed, format!("this process cannot wait for anything: {error}"));
            return crate::output::fail(&error, false);
        }
    };
    let code = runtime.block_on(async {
        tokio::spawn(async {
            tokio::time::sleep(STARTED).await;
            platform::process::let_go_of_start_up_code();
        });
        let end = async {
            tokio::select! {
                () = platform::process::watch_parent() => {}
                () = platform::process::asked_to_end() => {}
            }
        };
        let surroundings = bridge::Surroundings {
            stdin: platform::stdio::stdin(),
            stdout: platform::stdio::stdout(),
            clock: now,
            end,
        };
        bridge::run(options, surroundings, link).await
    });
    // A read of standard input that still waits must not hold up the end.
    runtime.shutdown_background();
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// The agent of this root, started where it is not running.
struct Agent {
    root: Root,
    starter: Starter,
}

impl AgentLink for Agent {
    type Reader = BufReader<ReadEnd>;
    type Writer = WriteEnd;

    async fn connect(&self, first: &[u8]) -> Result<(Self::Reader, Self::Writer), LinkError> {
        match ipc::connect_or_start(&self.root, Role::Bridge, first, &self.starter).await {
            Ok(connection) => Ok((connection.reader.into_inner(), connection.writer.into_inner())),
            Err(error) => {
                let error = error.to_error();
                Err(LinkError { message: error.message, hint: error.hint })
            }
        }
    }

    fn is_silent(reader: &Self::Reader) -> bool {
        reader.buffer().is_empty() && reader.get_ref().is_silent()
    }
}

/// After so long what only starting needs has done its work.
const STARTED: Duration = Duration::from_millis(500);

fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}
