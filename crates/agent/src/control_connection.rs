//! One caller of the control wire: requests in, answers and events out.

use std::sync::Arc;

use ipc::{Call, CodecError, Error, ErrorCode, Event, FromAgent, ProfileView, Request, Response};
use tokio::sync::{broadcast, mpsc};

use crate::agent::Agent;
use crate::listener::{Reader, Writer};
use crate::redirects::SignInSettings;
use crate::sign_in::Held;
use crate::{error, lifecycle};

/// Serves a caller until it goes away. Sign-ins that it began wait for their person then, or end with it.
pub(crate) async fn run(agent: &Arc<Agent>, mut reader: Reader, mut writer: Writer) {
    let (outbox, mut outgoing) = mpsc::unbounded_channel();
    let mut watched: Option<broadcast::Receiver<Event>> = None;
    let mut held: Vec<Held> = Vec::new();
    loop {
        tokio::select! {
            Some(message) = outgoing.recv() => if say(&mut writer, message).await.is_err() { return },
            event = next_event(&mut watched) => {
                if writer.send(&FromAgent::Event { event }).await.is_err() {
                    return;
                }
            }
            call = reader.next::<Call>() => match call {
                Ok(Some(Call { id, request: Request::Watch })) => {
                    watched = Some(agent.events.subscribe());
                    answer(&outbox, id, Ok(Response::Done));
                }
                Ok(Some(Call { id, request: request @ Request::BeginSignIn { .. } })) => {
                    hold(agent.begin_sign_in(request, outbox.clone()), id, &outbox, &mut held);
                }
                Ok(Some(Call { id, request: Request::ResumeSignIn { sign_in } })) => {
                    hold(agent.resume_sign_in(sign_in, outbox.clone()), id, &outbox, &mut held);
                }
                Ok(Some(Call { id, request })) => {
                    let (agent, outbox) = (Arc::clone(agent), outbox.clone());
                    tokio::spawn(async move { answer(&outbox, id, dispatch(&agent, request).await) });
                }
                Ok(None) => return,
                Err(CodecError::Malformed { source }) => {
                    let what = format!("the request could not be understood: {source}");
                    answer(&outbox, 0, Err(Error::new(ErrorCode::Usage, what)));
                }
                Err(CodecError::TooLong { call, .. }) => {
                    answer(&outbox, call.unwrap_or(0), Err(ipc::request_too_long()));
                }
                Err(error) => {
                    tracing::info!(%error, "a caller is gone");
                    return;
                }
            },
        }
    }
}

/// Answers which sign-in it is, then tells what the caller has missed of it.
fn hold(
    begun: Result<Held, Error>,
    id: u64,
    outbox: &mpsc::UnboundedSender<FromAgent>,
    held: &mut Vec<Held>,
) {
    let mut begun = match begun {
        Ok(begun) => begun,
        Err(error) => return answer(outbox, id, Err(error)),
    };
    let sign_in = begun.id();
    answer(outbox, id, Ok(Response::SignIn { sign_in }));
    for step in std::mem::take(&mut begun.replay) {
        let _gone = outbox.send(FromAgent::Event { event: Event::SignIn { sign_in, step } });
    }
    held.push(begun);
}

/// Sends a message; instead of an answer that is too long, an error goes out.
async fn say(writer: &mut Writer, message: FromAgent) -> Result<(), CodecError> {
    match (writer.send(&message).await, message) {
        (Err(CodecError::TooLong { .. }), FromAgent::Reply { id, .. }) => {
            writer.send(&FromAgent::Reply { id, result: Err(ipc::answer_too_long()) }).await
        }
        (sent, _) => sent,
    }
}

fn answer(outbox: &mpsc::UnboundedSender<FromAgent>, id: u64, result: Result<Response, Error>) {
    let _gone = outbox.send(FromAgent::Reply { id, result });
}

async fn next_event(watched: &mut Option<broadcast::Receiver<Event>>) -> Event {
    match watched {
        None => std::future::pending().await,
        Some(receiver) => match receiver.recv().await {
            Ok(Event::Changed) => {
                // One look at everything serves for all that has piled up.
                while let Ok(Event::Changed) = receiver.try_recv() {}
                Event::Changed
            }
            Ok(event) => event,
            // Who was too slow is told to look again.
            Err(broadcast::error::RecvError::Lagged(_)) => Event::Changed,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        },
    }
}

async fn dispatch(agent: &Arc<Agent>, request: Request) -> Result<Response, Error> {
    match request {
        Request::RecordEnvironment { dbus_address, proxies } => {
            agent.record_environment(dbus_address, proxies).await?;
            Ok(Response::Done)
        }
        Request::Status => Ok(Response::Status(Box::new(agent.status_view().await))),
        Request::AddServer(new) => Ok(Response::Server(Box::new(agent.add_server(new).await?))),
        Request::GiveClientSecret { server, secret } => {
            agent.keep_client_secret(&server, secret.into()).await?;
            Ok(Response::Done)
        }
        Request::UnlockStore { passphrase } => {
            let unlocked = agent.unlock_store(passphrase.map(Into::into)).await;
            unlocked.map(|()| Response::Done).map_err(|error| error::of_store(&error))
        }
        Request::ChangePassphrase { old, new } => {
            agent.change_passphrase(old.into(), new.into()).await?;
            Ok(Response::Done)
        }
        Request::ListServers => Ok(Response::Servers { servers: agent.server_views() }),
        Request::ShowServer { server } => Ok(Response::Server(Box::new(agent.server_view(&server)?))),
        Request::TestServer { server } => {
            let tested = agent.test_server(&server).await;
            agent.asked(&server, &tested);
            Ok(Response::Discovery(Box::new(tested?)))
        }
        Request::RenameServer { server, label } => {
            Ok(Response::Server(Box::new(agent.rename_server(&server, &label)?)))
        }
        Request::PauseServer { server, paused } => {
            Ok(Response::Server(Box::new(agent.pause_server(&server, paused).await?)))
        }
        Request::TrustServer { server, ca } => {
            Ok(Response::Server(Box::new(agent.trust_server(&server, ca.as_deref())?)))
        }
        Request::SetSignIn { server, redirect, parameters, except, metadata_url } => {
            let set = SignInSettings { redirect, parameters, except, metadata_url };
            Ok(Response::Server(Box::new(agent.set_sign_in(&server, set)?)))
        }
        Request::RemoveServer { server } => Ok(Response::SignedOut(agent.remove_server(&server).await?)),
        Request::ConfirmSignIn { sign_in, yes } => {
            agent.sign_ins.confirm(sign_in, yes)?;
            Ok(Response::Done)
        }
        Request::PasteCallback { sign_in, url } => {
            agent.sign_ins.paste(sign_in, url.into())?;
            Ok(Response::Done)
        }
        Request::ParkSignIn { sign_in } => {
            agent.sign_ins.park(sign_in)?;
            agent.changed();
            Ok(Response::Done)
        }
        Request::CancelSignIn { sign_in } => {
            agent.sign_ins.cancel(sign_in);
            Ok(Response::Done)
        }
        Request::SignOut { server, account, all, keep_upstream } => {
            let view = agent.sign_out(&server, account.as_deref(), all, keep_upstream).await?;
            Ok(Response::SignedOut(view))
        }
        Request::ListAccounts => {
            let mut accounts: Vec<_> = agent
                .read(|s| s.accounts.values().map(|a| crate::views::account_with_servers(s, a)).collect());
            accounts.sort_by(|a, b| a.label.cmp(&b.label));
            Ok(Response::Accounts { accounts })
        }
        Request::RenameAccount { account, label } => {
            agent.rename_account(&account, &label)?;
            Ok(Response::Done)
        }
        Request::RemoveAccount { account } => Ok(Response::SignedOut(agent.remove_account(&account).await?)),
        Request::UseAccount { server, account, app, follow_selection } => {
            let view = agent.use_account(&server, account.as_deref(), app.as_ref(), follow_selection).await?;
            Ok(Response::Switched(Box::new(view)))
        }
        Request::ListProfiles => Ok(profiles(agent.profiles())),
        Request::CreateProfile { name, replace } => agent.create_profile(&name, replace).map(profiles),
        Request::ChangeProfile { name, server, account } => {
            agent.change_profile(&name, &server, account.as_deref()).map(profiles)
        }
        Request::UseProfile { name } => Ok(Response::ProfileUsed(Box::new(agent.use_profile(&name).await?))),
        Request::DeleteProfile { name } => agent.delete_profile(&name).map(profiles),
        Request::ChangeSettings { settings } => Ok(Response::Settings(agent.change_settings(&settings)?)),
        Request::ReadPaste { text } => Ok(Response::Pasted(Box::new(agent.read_paste(&text)))),
        Request::FindServers { location } => Ok(Response::Found { servers: agent.find_servers(&location)? }),
        Request::ListApps { location } => Ok(Response::Apps { apps: agent.app_views(&location)? }),
        Request::PlanConnect { app, location, servers, account } => {
            let plan = agent.plan_connect(&app, &location, servers.as_deref(), account.as_deref()).await?;
            Ok(Response::Plan(Box::new(plan)))
        }
        Request::PlanRestore { app, location } => {
            Ok(Response::Plan(Box::new(agent.plan_restore(&app, &location)?)))
        }
        Request::ApplyPlan { digest } => {
            agent.apply_plan(&digest).await?;
            Ok(Response::Done)
        }
        Request::PlanPreset { source, key, ca } => {
            let plan = agent.plan_preset(&source, key.as_deref(), ca.as_deref()).await?;
            Ok(Response::PresetPlan(Box::new(plan)))
        }
        Request::PlanPresetUpdate { preset, bring_back } => {
            Ok(Response::PresetPlan(Box::new(agent.plan_preset_update(&preset, &bring_back).await?)))
        }
        Request::ApplyPreset { digest } => {
            Ok(Response::Presets { presets: agent.apply_preset(&digest).await? })
        }
        Request::ListPresets => Ok(Response::Presets { presets: agent.presets() }),
        Request::RemovePreset { preset } => {
            Ok(Response::Presets { presets: agent.remove_preset(&preset).await? })
        }
        Request::Doctor => Ok(Response::Checks { checks: agent.checks().await }),
        Request::Stop => {
            lifecycle::retire(agent)?;
            Ok(Response::Done)
        }
        Request::Watch | Request::BeginSignIn { .. } | Request::ResumeSignIn { .. } | Request::Unknown => {
            Err(Error::new(ErrorCode::Usage, "this agent does not know that request")
                .hint("run: hallpass agent stop, then try again"))
        }
    }
}

fn profiles(profiles: Vec<ProfileView>) -> Response {
    Response::Profiles { profiles }
}
