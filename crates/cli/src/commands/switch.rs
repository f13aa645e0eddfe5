//! `hallpass switch`.

use std::process::ExitCode;

use ipc::{Error, ErrorCode, Request, Response};

use super::{accounts::who, unexpected};
use crate::args::Switch;
use crate::link::Link;
use crate::output::Output;

pub(crate) async fn run(options: Switch, quiet: bool) -> Result<ExitCode, Error> {
    let out = Output { json: options.json.json, quiet };
    if let (Some(name), Some(account)) = (options.profile, &options.account) {
        let words = format!("{name}: {} is {account} now; who acts now has not changed", options.server);
        let request = Request::ChangeProfile { name, server: options.server, account: options.account };
        super::profiles::changed(out, request, &words).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let request = Request::UseAccount {
        server: options.server,
        account: options.account,
        app: options.app,
        follow_selection: options.follow,
    };
    let view = match Link::open().await?.ask(request).await? {
        Response::Switched(view) => view,
        other => return Err(unexpected(&other)),
    };
    if out.json {
        out.object("switch", &view)?;
    } else {
        let subject = view.app.as_ref().map_or_else(String::new, |app| format!("{app} at "));
        match &view.account {
            Some(account) => out.line(format!("{subject}{} now acts as {}", view.server, who(account))),
            None => out.line(format!("{subject}{} now acts as nobody", view.server)),
        }
        if view.acknowledged > 0 {
            out.talk(format!("  {} running app connection(s) took it over", view.acknowledged));
        }
        if view.cut_off > 0 {
            out.notice(format!("{} app connection(s) did not answer and were cut off", view.cut_off));
        }
    }
    if view.needs_sign_in {
        out.notice(format!("  next: hallpass login {}", view.server));
        return Ok(ExitCode::from(ErrorCode::SignInNeeded.exit_code()));
    }
    Ok(ExitCode::SUCCESS)
}
