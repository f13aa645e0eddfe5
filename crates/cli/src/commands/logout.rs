//! `hallpass logout`.

use ipc::{Error, Request, Response, SignedOutView};

use super::unexpected;
use crate::args::Logout;
use crate::link::Link;
use crate::output::Output;

pub(crate) async fn run(options: Logout, quiet: bool) -> Result<(), Error> {
    let out = Output { json: options.json.json, quiet };
    let request = Request::SignOut {
        server: options.server,
        account: options.account,
        all: options.all,
        keep_upstream: options.no_revoke,
    };
    match Link::open().await?.ask(request).await? {
        Response::SignedOut(view) if out.json => out.object("signed-out", &view),
        Response::SignedOut(view) => {
            report(out, &view);
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}

/// Who was signed out, and what the issuer knows of it.
pub(crate) fn report(out: Output, view: &SignedOutView) {
    for (server, label) in &view.signed_out {
        out.line(format!("{label} is signed out of {server}"));
    }
    if view.pending > 0 {
        out.notice("the issuer could not be told yet; it is tried again while the agent runs");
    }
    if view.pasted > 0 {
        out.notice("a pasted token is forgotten here and goes on working: delete it at the server, where you made it");
    }
    if view.not_revocable > 0 {
        out.notice("the issuer offers no revocation: the access token ends by itself");
    }
    if view.refused > 0 {
        out.notice(
            "the issuer refused to revoke the tokens: they end by themselves, or in your account's settings there",
        );
    }
    if view.unreadable > 0 {
        out.notice(
            "the tokens could not be read any more, so the issuer was not told: end them in your account's settings there",
        );
    }
    if view.vouched > 0 {
        out.notice(format!(
            "{} of these had come of the identity provider's word, and ended with the sign-in there",
            view.vouched
        ));
    }
}
