//! The session's notification service (`org.freedesktop.Notifications`): keeps what it is told, and chooses.
#![expect(clippy::used_underscore_binding, reason = "the interface hands over more than is looked at")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use zbus::Connection;
use zbus::zvariant::OwnedValue;

use crate::desk::{Desk, eventually};

pub(crate) struct Notifier {
    bus: Connection,
    told: Arc<Mutex<Vec<Told>>>,
}

/// One notification.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) title: String,
    pub(crate) body: String,
}

struct Service {
    told: Arc<Mutex<Vec<Told>>>,
}

const PATH: &str = "/org/freedesktop/Notifications";
const NAME: &str = "org.freedesktop.Notifications";

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Service {
    #[expect(clippy::too_many_arguments, reason = "the interface wants them so")]
    fn notify(
        &self,
        _app: &str,
        _replaces: u32,
        _icon: &str,
        title: &str,
        body: &str,
        _actions: Vec<String>,
        _hints: HashMap<String, OwnedValue>,
        _expires: i32,
    ) -> u32 {
        let mut told = self.told.lock().unwrap();
        told.push(Told { title: title.to_owned(), body: body.to_owned() });
        u32::try_from(told.len()).unwrap()
    }
}

impl Notifier {
    pub(crate) async fn on(desk: &Desk) -> Self {
        let told = Arc::default();
        let service = Service { told: Arc::clone(&told) };
        let address = desk.sandbox.dbus_address().expect("a desk has a session bus");
        let bus = zbus::connection::Builder::address(address.as_str()).unwrap();
        let bus = bus.serve_at(PATH, service).unwrap().name(NAME).unwrap().build().await.unwrap();
        Self { bus, told }
    }

    /// Waits for so many notifications; answers all that are there.
    pub(crate) async fn told(&self, least: usize) -> Vec<Told> {
        eventually("a notification", async || {
            let told = self.told.lock().unwrap().clone();
            (told.len() >= least).then_some(told)
        })
        .await
    }

    /// The person clicks a notification.
    pub(crate) async fn choose(&self, index: usize) {
        let id = u32::try_from(index + 1).unwrap();
        let said = (id, "default");
        self.bus.emit_signal(None::<&str>, PATH, NAME, "ActionInvoked", &said).await.unwrap();
    }
}
