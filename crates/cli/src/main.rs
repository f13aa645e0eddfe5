//! `hallpass`: CLI, bridge and agent in one executable.

mod args;
mod commands;
mod link;
mod output;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use ipc::{Error, ErrorCode};

use crate::args::{Agent, Cli, Command};
use crate::commands::bridge::Parsed;

fn main() -> ExitCode {
    // What starts a bridge, or an agent through one, must not choose whom it trusts.
    if platform::CHANNEL_IS_RELEASE {
        platform::trust::forget_environment();
    }
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|verb| verb == "bridge")
        && let Parsed::Options(options) = commands::bridge::parse(arguments)
    {
        return commands::bridge::run(options);
    }
    let cli = Cli::parse();
    let json = wants_json(&cli.command);
    match run(cli) {
        Ok(code) => code,
        Err(error) => output::fail(&error, json),
    }
}

fn run(cli: Cli) -> Result<ExitCode, Error> {
    let quiet = cli.quiet;
    let done = |()| ExitCode::SUCCESS;
    match cli.command {
        Command::Agent(Agent::Run) => commands::agent::run().map(done),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "hallpass", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        // Reached only if the fast path could not read the options, and clap could.
        Command::Bridge(options) => match options.account.as_deref().map(model::AccountId::parse) {
            None | Some(Ok(_)) => Ok(commands::bridge::run(bridge::Options {
                app: options.app,
                server: options.server,
                account: options.account.and_then(|a| model::AccountId::parse(&a).ok()),
                workspace: options.workspace,
            })),
            Some(Err(error)) => Err(Error::new(ErrorCode::Usage, format!("--account: {error}"))
                .hint("entries name an account by its id; hallpass accounts list shows them")),
        },
        Command::Servers(verb) => wait(commands::servers::run(verb, quiet)).map(done),
        Command::Login(options) => wait(commands::login::run(options, quiet)).map(done),
        Command::Logout(options) => wait(commands::logout::run(options, quiet)).map(done),
        Command::Status(options) => wait(commands::status::run(options, quiet)),
        Command::Accounts(verb) => wait(commands::accounts::run(verb, quiet)).map(done),
        Command::Switch(options) => wait(commands::switch::run(options, quiet)),
        Command::Profiles(verb) => wait(commands::profiles::run(verb, quiet)),
        Command::Config(verb) => wait(commands::config::run(verb, quiet)).map(done),
        Command::Apps(verb) => wait(commands::apps::run(verb, quiet)).map(done),
        Command::Presets(verb) => commands::presets::run(verb, quiet),
        Command::Import(options) => wait(commands::import::run(options, quiet)).map(done),
        Command::Agent(Agent::Status(json)) => wait(commands::agent::status(json, quiet)),
        Command::Agent(Agent::Stop) => wait(commands::agent::stop(quiet)).map(done),
        Command::Store(verb) => wait(commands::store::run(verb, quiet)),
        Command::Doctor(json) => wait(commands::doctor::run(json, quiet)),
    }
}

fn wait<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    publish();
    run_alone(work)
}

/// The same for work that leaves this home as it is.
fn run_alone<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::new(ErrorCode::Failed, format!("this process cannot wait for anything: {e}")))?;
    let result = runtime.block_on(work);
    // A thread that still reads standard input must not hold up the end.
    runtime.shutdown_background();
    result
}

/// Heals `bin/hallpass`, the path that configurations name. What goes wrong is the doctor's to tell.
fn publish() {
    if let (Ok(root), Ok(executable)) = (link::root(), std::env::current_exe())
        && root.ensure().is_ok()
        && let Err(error) = platform::publish::publish(&root, &executable, env!("CARGO_PKG_VERSION"))
    {
        tracing::debug!(%error, "the stable path could not be published");
    }
}

fn wants_json(command: &Command) -> bool {
    use args::{Accounts, Apps, Config, Presets, Profiles, Servers, Store};
    match command {
        Command::Servers(Servers::Add(options)) => options.json.json,
        Command::Servers(Servers::Set(options)) => options.json.json,
        Command::Servers(
            Servers::List(json)
            | Servers::Show { json, .. }
            | Servers::Test { json, .. }
            | Servers::Rename { json, .. }
            | Servers::Pause { json, .. }
            | Servers::Resume { json, .. }
            | Servers::Trust { json, .. }
            | Servers::Remove { json, .. },
        )
        | Command::Accounts(Accounts::List(json) | Accounts::Remove { json, .. })
        | Command::Apps(Apps::List(json) | Apps::Diff { json, .. })
        | Command::Presets(Presets::List(json) | Presets::Remove { json, .. })
        | Command::Agent(Agent::Status(json))
        | Command::Profiles(
            Profiles::List(json)
            | Profiles::Create { json, .. }
            | Profiles::Use { json, .. }
            | Profiles::Delete { json, .. },
        )
        | Command::Config(Config::Get { json, .. } | Config::Set { json, .. })
        | Command::Store(Store::Show(json) | Store::Unlock { json, .. } | Store::Passphrase { json, .. })
        | Command::Doctor(json) => json.json,
        Command::Store(Store::Use(options)) => options.json.json,
        Command::Login(options) => options.json.json,
        Command::Logout(options) => options.json.json,
        Command::Status(options) => options.json.json,
        Command::Switch(options) => options.json.json,
        Command::Import(options) => options.json.json,
        Command::Apps(Apps::Connect(options)) => options.change.json.json,
        Command::Apps(Apps::Disconnect(options) | Apps::Restore(options)) => options.change.json.json,
        Command::Presets(Presets::Subscribe(options)) => options.answer.json.json,
        Command::Presets(Presets::Update(options)) => options.answer.json.json,
        Command::Presets(Presets::Lint(options)) => options.json.json,
        Command::Presets(Presets::Keygen(options)) => options.json.json,
        Command::Presets(Presets::Sign(options)) => options.json.json,
        Command::Presets(Presets::Verify(options)) => options.json.json,
        Command::Presets(Presets::New(_) | Presets::Schema)
        | Command::Accounts(Accounts::Rename { .. })
        | Command::Agent(Agent::Run | Agent::Stop)
        | Command::Config(Config::Path)
        | Command::Completions { .. }
        | Command::Bridge(_) => false,
    }
}
