//! ClientApps: what their files hold, how they would change, and the change itself. Only the agent writes
//! them, and only after somebody has said yes to the digest of what they saw.

mod apply;
mod connect;
mod views;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use client_config::{ClientApp, Document, Journal, Located, LocationEnv, RestorePlan, Scope, Target, Which};
use ipc::{AppView, Error, ErrorCode, PlanView};
use model::{ClientAppId, Origin, Server};
use platform::Os;

use crate::agent::{Agent, lock};
use crate::servers::chain;

/// Plans that were shown and not yet carried out, by digest.
#[derive(Default)]
pub(crate) struct Plans(Mutex<HashMap<String, Prepared>>);

/// So many shown plans are remembered; older ones are planned again.
const REMEMBERED: usize = 32;

/// A plan with what it needs beside the file.
enum Prepared {
    Connect { plan: client_config::Plan, new_servers: Vec<Server> },
    Restore(RestorePlan),
}

impl Plans {
    fn keep(&self, digest: &str, prepared: Prepared) {
        let mut plans = lock(&self.0);
        if plans.len() >= REMEMBERED {
            plans.clear();
        }
        plans.insert(digest.to_owned(), prepared);
    }

    fn take(&self, digest: &str) -> Option<Prepared> {
        lock(&self.0).remove(digest)
    }
}

impl Agent {
    /// Every ClientApp that we know, with its files and what they hold.
    pub(crate) fn app_views(&self, location: &BTreeMap<String, String>) -> Result<Vec<AppView>, Error> {
        let env = self.location_env(location)?;
        let bound = self.read(|state| state.bindings.apps.clone());
        Ok(client_config::CLIENT_APPS
            .iter()
            .map(|app| AppView {
                app: app.app_id(),
                name: app.name.to_owned(),
                running: is_running(app),
                locations: client_config::locate(Os::current(), &env, app)
                    .iter()
                    .map(|l| views::location(app, l))
                    .collect(),
                bound: bound.get(&app.app_id()).cloned().unwrap_or_default(),
            })
            .collect())
    }

    /// Works out how our entries would leave an app's file.
    pub(crate) fn plan_restore(
        &self,
        app: &ClientAppId,
        location: &BTreeMap<String, String>,
    ) -> Result<PlanView, Error> {
        let app = known(app)?;
        let (path, bytes) = self.file(app, location)?;
        let target = Target { path: &path, bytes: bytes.as_deref(), app };
        let plan =
            client_config::restore(target, Which::All, &self.journal()).map_err(|e| unusable(&path, &e))?;
        let mut view = plan.view();
        view.notes.extend(self.stays(&view));
        self.plans.keep(&view.digest, Prepared::Restore(plan));
        Ok(view)
    }

    /// Servers that came out of this file and stay when our entries leave it.
    fn stays(&self, view: &PlanView) -> Vec<String> {
        let leaving = view.entries.iter().filter(|entry| entry.changes()).filter_map(|e| e.server.as_ref());
        let imported = |id: &&model::ServerId| {
            self.read(|state| {
                let server = state.servers.get(*id);
                server.is_some_and(|s| s.origin == Origin::Imported { app: view.app.clone() })
            })
        };
        let note = |id: &model::ServerId| {
            format!("{id} stays in Hallpass with its sign-ins; forget it with: hallpass servers remove {id}")
        };
        leaving.filter(imported).map(note).collect()
    }

    /// Carries out a plan that was shown.
    pub(crate) async fn apply_plan(self: &Arc<Self>, digest: &str) -> Result<(), Error> {
        if platform::process::inside_package() {
            return Err(Error::new(
                ErrorCode::Failed,
                "this agent was started inside a packaged app, where changes to files go astray",
            )
            .hint("run: hallpass agent stop, then do this again in a terminal"));
        }
        let Some(prepared) = self.plans.take(digest) else {
            return Err(Error::new(ErrorCode::ChangedOutside, "that plan is not known any more")
                .hint("look at the change again, then say yes to it"));
        };
        let app = match &prepared {
            Prepared::Connect { plan, .. } => plan.app(),
            Prepared::Restore(plan) => plan.app(),
        };
        if app.pick_up == client_config::PickUp::AtStart && is_running(app) {
            self.plans.keep(digest, prepared);
            return Err(Error::new(
                ErrorCode::AppRunning,
                format!("{} is running and would write its file over ours when it ends", app.name),
            )
            .hint(format!("quit {} (also in the tray), then do this again", app.name)));
        }
        match prepared {
            Prepared::Connect { plan, new_servers } => self.apply_connect(plan, new_servers).await,
            Prepared::Restore(plan) => self.apply_restore(plan).await,
        }
    }

    /// The one file of an app that is planned for, with its bytes.
    fn file(
        &self,
        app: &'static ClientApp,
        location: &BTreeMap<String, String>,
    ) -> Result<(PathBuf, Option<Vec<u8>>), Error> {
        let env = self.location_env(location)?;
        let located: Vec<Located> = client_config::locate(Os::current(), &env, app)
            .into_iter()
            .filter(|l| l.scope != Scope::Project)
            .collect();
        let preferred: Vec<&Located> = located.iter().filter(|l| l.preferred).collect();
        let one = match (&preferred[..], &located[..]) {
            ([one], _) => *one,
            ([], [one]) => one,
            _ => {
                let paths: Vec<String> = located.iter().map(|l| l.path.display().to_string()).collect();
                return Err(Error::new(
                    ErrorCode::Ambiguous,
                    format!("{} may read any of: {}", app.name, paths.join(", ")),
                )
                .hint("remove the installation that you do not use, then try again"));
            }
        };
        let bytes = client_config::read(&one.path).map_err(|e| unusable(&one.path, &e))?;
        Ok((one.path.clone(), bytes))
    }

    pub(crate) fn location_env(&self, location: &BTreeMap<String, String>) -> Result<LocationEnv, Error> {
        let Some(home) = self.root.path().parent() else {
            return Err(Error::new(ErrorCode::Failed, "the home folder cannot be told"));
        };
        Ok(LocationEnv::new(home, location))
    }

    fn journal(&self) -> Journal {
        Journal::new(&self.root.journal())
    }
}

fn known(app: &ClientAppId) -> Result<&'static ClientApp, Error> {
    ClientApp::by_id(app).ok_or_else(|| {
        let ids: Vec<&str> = client_config::CLIENT_APPS.iter().map(|app| app.id).collect();
        Error::new(ErrorCode::NotFound, format!("{app} is not an app that can be connected"))
            .hint(format!("known apps: {}", ids.join(", ")))
    })
}

fn is_running(app: &ClientApp) -> bool {
    let ours = |process: &platform::process::Running| {
        process
            .executable
            .as_deref()
            .and_then(std::path::Path::to_str)
            .is_some_and(|executable| app.owns_process(Os::current(), executable))
    };
    !platform::process::running(ours).is_empty()
}

/// A file that cannot be planned for, and stays as it is.
fn unusable(path: &std::path::Path, error: &dyn std::error::Error) -> Error {
    Error::new(ErrorCode::Failed, format!("{}: {}", path.display(), chain(error)))
        .hint("the file was not touched; mend it, then try again")
}

/// Parses a file for looking at it.
fn parse(app: &'static ClientApp, bytes: Option<&[u8]>) -> Result<Document, client_config::DocumentError> {
    match bytes {
        Some(bytes) => Document::parse(bytes, app),
        None => Ok(Document::missing(app)),
    }
}
