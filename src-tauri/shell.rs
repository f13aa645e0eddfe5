//! What tray, window and commands share: the link, what the agent said last, and where the window is asked to go.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipc::{SettingsView, SignInId, StatusView};
use model::ServerId;
use platform::Root;
use serde::Serialize;
use tokio::sync::Notify;

use crate::agent_link::AgentLink;

/// Shared by everything in this process; Tauri keeps it.
pub(crate) struct Shell {
    /// The folder of everything of ours.
    pub(crate) root: Root,
    /// The agent.
    pub(crate) link: AgentLink,
    /// Something has changed: ask the agent, and draw the tray anew.
    pub(crate) stale: Notify,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    status: Option<StatusView>,
    settings: SettingsView,
    wish: Option<Show>,
    browsers: BTreeMap<SignInId, String>,
}

/// A page of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Page {
    /// All Servers, or one of them.
    Servers,
    /// The sign-in sheet of a Server.
    SignIn,
}

/// What the window is asked to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Show {
    pub(crate) page: Page,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<ServerId>,
}

impl Shell {
    pub(crate) fn new(root: Root, link: AgentLink) -> Self {
        Self { root, link, stale: Notify::new(), inner: Mutex::default() }
    }

    /// What the agent said last; `None` before it did, and after it went.
    pub(crate) fn status(&self) -> Option<StatusView> {
        self.lock().status.clone()
    }

    /// Keeps what the agent said. True if the settings are others than before.
    pub(crate) fn set_status(&self, status: Option<StatusView>) -> bool {
        let mut inner = self.lock();
        let changed = status.as_ref().is_some_and(|status| status.settings != inner.settings);
        if let Some(status) = &status {
            inner.settings = status.settings.clone();
        }
        inner.status = status;
        changed
    }

    /// The settings as the agent said them last; the defaults before that.
    pub(crate) fn settings(&self) -> SettingsView {
        self.lock().settings.clone()
    }

    /// Keeps settings that have just been saved.
    pub(crate) fn set_settings(&self, settings: &SettingsView) {
        self.lock().settings = settings.clone();
    }

    /// Remembers where a window that is being opened shall go.
    pub(crate) fn wish(&self, show: Option<Show>) {
        self.lock().wish = show;
    }

    /// What the window was opened for; told once.
    pub(crate) fn take_wish(&self) -> Option<Show> {
        self.lock().wish.take()
    }

    /// Keeps the address of a sign-in. True if it is a new one: an issuer that cannot ask which account is meant is
    /// asked anew, at another address.
    pub(crate) fn keep_browser(&self, sign_in: SignInId, url: &str) -> bool {
        self.lock().browsers.insert(sign_in, url.to_owned()).is_none_or(|old| old != url)
    }

    /// Forgets the address of a sign-in that has ended.
    pub(crate) fn forget_browser(&self, sign_in: SignInId) {
        self.lock().browsers.remove(&sign_in);
    }

    /// Forgets all of them: their agent is gone.
    pub(crate) fn forget_browsers(&self) {
        self.lock().browsers.clear();
    }

    /// The address that a sign-in waits for.
    pub(crate) fn browser(&self, sign_in: SignInId) -> Option<String> {
        self.lock().browsers.get(&sign_in).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing is left half changed by a panic here.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
