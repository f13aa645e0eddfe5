//! `hallpass login`: shows the steps, opens the browser, asks what only a person can answer.

use std::io::BufRead;
use std::process::Command;

use ipc::{Approval, Error, ErrorCode, Event, Request, Response, SignInId, SignInStep, SignInWay};
use model::{BrowserAddress, BrowserAddressError, ProofKind};
use tokio::sync::mpsc;

use super::{accounts::who, unexpected};
use crate::args::Login;
use crate::link::Link;
use crate::output::{Output, can_ask, moment, now, relative};

pub(crate) async fn run(options: Login, quiet: bool) -> Result<(), Error> {
    let out = Output { json: options.json.json, quiet };
    let approval = match (options.yes, can_ask()) {
        (true, _) => Approval::Yes,
        (false, true) => Approval::Ask,
        (false, false) => Approval::ExpectOnly,
    };
    if let Some(store) = options.store {
        super::store::choose_first(store, options.sealing.clone(), out).await?;
    }
    let no_browser = options.no_browser;
    let pasted = options.token_stdin;
    let way = if pasted {
        let token = super::secret_typed_or_piped("the token", &format!("Token for {}", options.server))?;
        SignInWay::Pasted { token, ends_at: options.expires.map(|ends| ends.at(now())) }
    } else if options.device {
        SignInWay::Device
    } else if options.application {
        SignInWay::Application
    } else if options.id_token_stdin {
        SignInWay::IdToken { id_token: super::secret_from_stdin("the id_token")? }
    } else {
        SignInWay::Browser
    };
    let request = Request::BeginSignIn {
        server: options.server.clone(),
        account: options.account,
        expect: options.expect,
        label: options.label,
        select: options.select,
        approval,
        same_person: options.same_person,
        login_hint: options.login_hint,
        way,
        anew: options.anew,
        timeout: options.timeout.as_secs(),
    };
    let mut link = Link::open().await?;
    let sign_in = match link.ask(request).await? {
        Response::SignIn { sign_in } => sign_in,
        other => return Err(unexpected(&other)),
    };
    let mut addresses = None;
    // The person is somewhere else by now, and may come back after this program is gone.
    let mut handed_over = false;
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let step = tokio::select! {
            biased;
            // First: whoever sees the browser open can count on it.
            _ = &mut interrupt => {
                if handed_over {
                    link.ask(Request::ParkSignIn { sign_in }).await?;
                    return Err(Error::new(ErrorCode::Cancelled, "left; nothing was changed").hint(format!(
                        "what your browser or device shows stays good for a while: the same command goes on with it; \
                         hallpass login {} --anew begins anew",
                        options.server
                    )));
                }
                link.ask(Request::CancelSignIn { sign_in }).await?;
                return Err(Error::new(ErrorCode::Cancelled, "cancelled; nothing was changed"));
            }
            step = next_step(&mut link, sign_in) => step?,
            Some(url) = line(&mut addresses) => {
                link.send(Request::PasteCallback { sign_in, url }).await?;
                continue;
            }
        };
        handed_over |= matches!(step, SignInStep::OpenBrowser { .. } | SignInStep::EnterCode { .. });
        match step {
            SignInStep::Found { what } => out.talk(format!("  {what}")),
            SignInStep::OpenBrowser { url, port } => {
                let url = match BrowserAddress::parse(&url) {
                    Ok(url) => url,
                    Err(reason) => {
                        link.ask(Request::CancelSignIn { sign_in }).await?;
                        return Err(not_opened(reason));
                    }
                };
                if no_browser {
                    out.notice("open this address in a browser:");
                    out.notice(format!("  {url}"));
                    out.notice(format!(
                        "on another machine, first: ssh -L {port}:127.0.0.1:{port} <this machine>"
                    ));
                    out.notice("or paste the final address of the browser here:");
                    addresses = Some(lines_of_stdin());
                } else {
                    out.talk("  waiting for your browser (Ctrl-C leaves it)");
                    if let Err(reason) = open_browser(&url) {
                        out.notice(format!("no browser could be opened ({reason}); open this address:"));
                        out.notice(format!("  {url}"));
                    }
                }
            }
            SignInStep::EnterCode { user_code, url, complete_url: _, qr, ends_at } => {
                out.notice("on any device, open this address and enter the code:");
                out.notice(format!("  {url}"));
                out.notice(format!("  code: {user_code}  (ends {})", relative(ends_at)));
                Output::picture(&half_blocks(&qr));
                out.talk("  waiting for you there (Ctrl-C leaves it)");
            }
            SignInStep::Exchanging => out.talk("  you came back"),
            SignInStep::Confirm { account } => {
                let how = if pasted { "The token is of" } else { "Signed in as" };
                let question = format!("{how} {} at {}. Use this account?", who(&account), account.issuer);
                let yes = ask(question).await;
                link.send(Request::ConfirmSignIn { sign_in, yes }).await?;
            }
            SignInStep::SamePerson { account } => {
                let called = account.name.as_ref().filter(|_| account.proof == ProofKind::Whoami);
                let how = called.map_or_else(
                    || "Nothing proves who came back".to_owned(),
                    |name| format!("The server calls this {name}"),
                );
                let question = format!("{how}. Is this still {}?", account.label);
                let yes = ask(question).await;
                link.send(Request::ConfirmSignIn { sign_in, yes }).await?;
            }
            SignInStep::Done { account, selected, renewable, ends_at, new_account } => {
                if out.json {
                    return out.object(
                        "login",
                        &serde_json::json!({
                            "server": options.server, "account": account, "selected": selected,
                            "renewable": renewable, "ends_at": ends_at, "new_account": new_account,
                        }),
                    );
                }
                out.line(format!("signed in to {} as {}", options.server, who(&account)));
                if account.proof == ProofKind::Application {
                    out.notice("this is an application, which acts for no person");
                }
                match ends_at {
                    _ if pasted => out.notice(
                        "it is a pasted token: only you can renew or revoke it, at the server where you made it",
                    ),
                    _ if renewable => {}
                    Some(end) => out.notice(format!(
                        "this server gives no refresh token: sign in again by {}; hallpass status reminds you",
                        moment(end)
                    )),
                    None => out.notice(
                        "this server gives no refresh token and does not say when this sign-in ends: \
                         you will have to sign in again then",
                    ),
                }
                if !selected {
                    let next = format!("hallpass switch {} {}", options.server, account.id);
                    out.talk(format!("  {} is not the one in use; next: {next}", account.label));
                }
                return Ok(());
            }
            SignInStep::Failed { error } => return Err(error),
        }
    }
}

async fn next_step(link: &mut Link, wanted: SignInId) -> Result<SignInStep, Error> {
    loop {
        match link.event().await? {
            Event::SignIn { sign_in, step } if sign_in == wanted => return Ok(step),
            Event::SignIn { .. } | Event::Changed | Event::Unknown => {}
        }
    }
}

/// A QR code for a terminal, two rows of modules a line, dark on light whatever the terminal's colours are, with
/// the margin of four modules that readers need (ISO/IEC 18004 section 9.1).
fn half_blocks(rows: &[String]) -> Vec<String> {
    const MARGIN: usize = 4;
    let dark = |x: usize, y: usize| {
        let row = y.checked_sub(MARGIN).and_then(|y| rows.get(y));
        row.zip(x.checked_sub(MARGIN)).is_some_and(|(row, x)| row.as_bytes().get(x) == Some(&b'#'))
    };
    if rows.is_empty() {
        return Vec::new();
    }
    let side = rows.len() + 2 * MARGIN;
    let line = |y: usize| {
        let cell = |x: usize| match (dark(x, y), dark(x, y + 1)) {
            (false, false) => ' ',
            (true, false) => '\u{2580}',
            (false, true) => '\u{2584}',
            (true, true) => '\u{2588}',
        };
        // Black on white.
        format!("  \u{1b}[30;107m{}\u{1b}[0m", (0..side).map(cell).collect::<String>())
    };
    (0..side).step_by(2).map(line).collect()
}

/// A yes or no on the terminal; anything but a clear yes is a no.
async fn ask(question: String) -> bool {
    let answer = tokio::task::spawn_blocking(move || {
        let out = Output { json: false, quiet: false };
        out.notice(format!("{question} [y/N]"));
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    match answer.await {
        Ok(Ok(line)) => matches!(line.trim().to_lowercase().as_str(), "y" | "yes"),
        Ok(Err(_)) | Err(_) => false,
    }
}

/// Nobody is led there, by a browser of ours or by their own hand.
fn not_opened(reason: BrowserAddressError) -> Error {
    let text = format!("the address where people sign in was not opened: {reason}");
    Error::new(ErrorCode::Failed, text).hint("nothing was changed; ask the server's operator to mend this")
}

/// `$BROWSER` split into argv by us (no shell), else the system's own way.
fn open_browser(url: &BrowserAddress) -> Result<(), String> {
    match std::env::var("BROWSER") {
        Ok(command) if !command.trim().is_empty() => {
            let mut words = command.split_whitespace();
            let program = words.next().unwrap_or_default();
            let mut spawned = Command::new(program);
            spawned.args(words).arg(url.as_str()).stdin(std::process::Stdio::null());
            spawned.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            spawned.spawn().map(|_| ()).map_err(|e| format!("{program}: {e}"))
        }
        Ok(_) | Err(_) => open::that_detached(url.as_str()).map_err(|e| e.to_string()),
    }
}

fn lines_of_stdin() -> mpsc::Receiver<String> {
    let (tx, rx) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if !line.trim().is_empty() && tx.blocking_send(line.trim().to_owned()).is_err() {
                return;
            }
        }
    });
    rx
}

/// The next pasted line; never, while nothing can be pasted.
async fn line(pasted: &mut Option<mpsc::Receiver<String>>) -> Option<String> {
    match pasted {
        Some(lines) => match lines.recv().await {
            Some(line) => Some(line),
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}
