//! Linux: the Secret Service on the session bus, asked whether it is locked before a call that would prompt.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use keyring::api::CredentialStoreApi;
use zbus::blocking::connection::Builder;
use zbus::blocking::{Connection, Proxy};
use zbus::zvariant::{DynamicDeserialize, DynamicType, ObjectPath, OwnedObjectPath, OwnedValue};
use zbus_secret_service_keyring_store::Store;

use super::LABEL;
use crate::{AbsentReason, ItemKey, StoreError};

pub(super) const NAME: &str = "secret-service";

/// No limit of the service: large enough that a token set is one part, small enough to be quick.
pub(super) const ITEM_LIMIT: usize = 48 * 1024;

const SERVICE: &str = "org.freedesktop.secrets";
const SERVICE_PATH: &str = "/org/freedesktop/secrets";
const SERVICE_INTERFACE: &str = "org.freedesktop.Secret.Service";
const COLLECTION_INTERFACE: &str = "org.freedesktop.Secret.Collection";
const PROMPT_INTERFACE: &str = "org.freedesktop.Secret.Prompt";

/// The path that stands for "none".
const NO_OBJECT: &str = "/";

/// The longest that our own questions wait. The service answers them without asking a person.
const QUESTION_LIMIT: Duration = Duration::from_secs(10);

/// A connection for our own questions and the store's own one beside it.
pub(super) struct System {
    service_name: String,
    bus: Connection,
    session: Mutex<Option<Session>>,
}

/// The store's session with one running service; when that is restarted, its session is void.
struct Session {
    owner: String,
    store: Arc<Store>,
}

impl System {
    pub(super) fn open(service_name: &str) -> Result<Self, StoreError> {
        let bus = Builder::session().and_then(connect).map_err(no_bus)?;
        Ok(Self { service_name: service_name.to_owned(), bus, session: Mutex::default() })
    }

    pub(super) fn ready(&self) -> Result<(), StoreError> {
        let collection = self.default_collection()?;
        let property = (COLLECTION_INTERFACE, "Locked");
        let locked: OwnedValue =
            ask(&self.bus, collection.as_str(), "org.freedesktop.DBus.Properties", "Get", &property)?;
        if bool::try_from(locked).map_err(StoreError::failed)? { Err(StoreError::Locked) } else { Ok(()) }
    }

    pub(super) fn unlock(&self) -> Result<(), StoreError> {
        let collection = self.default_collection()?;
        let (_, prompt): (Vec<OwnedObjectPath>, OwnedObjectPath) =
            ask(&self.bus, SERVICE_PATH, SERVICE_INTERFACE, "Unlock", &(vec![collection],))?;
        if prompt.as_str() != NO_OBJECT {
            self.show(&prompt)?;
        }
        self.ready()
    }

    /// The entry of a key, after making sure that a call on it will neither prompt nor guess.
    pub(super) fn entry(&self, key: &ItemKey) -> Result<keyring::Entry, StoreError> {
        self.ready()?;
        let attributes = HashMap::from([("service", self.service_name.as_str()), ("username", key.as_str())]);
        let (open, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) =
            ask(&self.bus, SERVICE_PATH, SERVICE_INTERFACE, "SearchItems", &(attributes,))?;
        if open.len() + locked.len() > 1 {
            return Err(StoreError::Ambiguous { key: key.to_string() });
        }
        // In another collection than the default one, which is open.
        if !locked.is_empty() {
            return Err(StoreError::Locked);
        }
        let label = HashMap::from([("label", LABEL)]);
        self.store()?
            .build(&self.service_name, key.as_str(), Some(&label))
            .map_err(|error| super::explain(key, error))
    }

    /// The store's session with the service that runs now.
    fn store(&self) -> Result<Arc<Store>, StoreError> {
        let bus_path = "/org/freedesktop/DBus";
        let owner: String = self
            .bus
            .call_method(Some(BUS), bus_path, Some(BUS), "GetNameOwner", &(SERVICE,))
            .and_then(|reply| reply.body().deserialize())
            .map_err(question_failed)?;
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = session.as_ref().filter(|open| open.owner == owner) {
            return Ok(Arc::clone(&open.store));
        }
        let store = Store::new().map_err(|error| match error {
            keyring::Error::PlatformFailure(source) | keyring::Error::NoStorageAccess(source) => {
                failure(source)
            }
            // The library's enum may grow.
            other => StoreError::failed(other),
        })?;
        *session = Some(Session { owner, store: Arc::clone(&store) });
        Ok(store)
    }

    fn default_collection(&self) -> Result<OwnedObjectPath, StoreError> {
        let path: OwnedObjectPath =
            ask(&self.bus, SERVICE_PATH, SERVICE_INTERFACE, "ReadAlias", &("default",))?;
        if path.as_str() == NO_OBJECT {
            return Err(StoreError::Absent { reason: AbsentReason::NoCollection, source: None });
        }
        Ok(path)
    }

    /// Shows the service's dialog and waits for the person, without a limit of ours.
    fn show(&self, prompt: &ObjectPath<'_>) -> Result<(), StoreError> {
        let proxy = Proxy::new(&self.bus, SERVICE, prompt, PROMPT_INTERFACE).map_err(question_failed)?;
        // Listening first: a service without a display answers at once.
        let mut completed = proxy.receive_signal("Completed").map_err(question_failed)?;
        proxy.call_method("Prompt", &("",)).map_err(question_failed)?;
        let signal = completed.next().ok_or(StoreError::Absent {
            reason: AbsentReason::NoBus,
            source: Some("the bus closed while the dialog was open".into()),
        })?;
        let (dismissed, _): (bool, OwnedValue) = signal.body().deserialize().map_err(question_failed)?;
        if dismissed { Err(StoreError::Locked) } else { Ok(()) }
    }
}

/// Whether a service answers at `address`.
pub(super) fn probe(address: &str, limit: Duration) -> Result<(), StoreError> {
    let (answer, wait) = mpsc::channel();
    let address = address.to_owned();
    // On its own thread: a socket that takes a connection and says nothing has no time limit of its own.
    thread::spawn(move || {
        let result = Builder::address(address.as_str())
            .and_then(connect)
            .map_err(no_bus)
            .and_then(|bus| {
                ask::<_, OwnedObjectPath>(&bus, SERVICE_PATH, SERVICE_INTERFACE, "ReadAlias", &("default",))
            })
            .map(drop);
        // The caller may have given up.
        let _ = answer.send(result);
    });
    wait.recv_timeout(limit).unwrap_or(Err(StoreError::TimedOut { limit }))
}

/// Access was refused after we had found the keychain open: it was locked in between, or the dialog was closed.
pub(super) fn no_access(_source: Box<dyn Error + Send + Sync>) -> StoreError {
    StoreError::Locked
}

/// Looks into the library's error for what the bus said.
pub(super) fn failure(source: Box<dyn Error + Send + Sync>) -> StoreError {
    let reason = {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&*source);
        std::iter::from_fn(|| {
            let this = cause?;
            cause = this.source();
            Some(this)
        })
        .find_map(|cause| cause.downcast_ref::<zbus::Error>().and_then(absence))
    };
    match reason {
        Some(reason) => StoreError::Absent { reason, source: Some(source) },
        None => StoreError::Failed { source },
    }
}

const BUS: &str = "org.freedesktop.DBus";

fn connect(builder: Builder<'_>) -> zbus::Result<Connection> {
    builder.method_timeout(QUESTION_LIMIT).build()
}

fn ask<B, R>(bus: &Connection, path: &str, interface: &str, method: &str, body: &B) -> Result<R, StoreError>
where
    B: serde::Serialize + DynamicType,
    R: for<'d> DynamicDeserialize<'d>,
{
    bus.call_method(Some(SERVICE), path, Some(interface), method, body)
        .and_then(|reply| reply.body().deserialize())
        .map_err(question_failed)
}

fn no_bus(error: zbus::Error) -> StoreError {
    StoreError::Absent { reason: AbsentReason::NoBus, source: Some(Box::new(error)) }
}

fn question_failed(error: zbus::Error) -> StoreError {
    failure(Box::new(error))
}

/// Whether an error means that there is nobody to ask.
fn absence(error: &zbus::Error) -> Option<AbsentReason> {
    const NO_SERVICE: [&str; 4] = [
        "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.DBus.Error.NameHasNoOwner",
        "org.freedesktop.DBus.Error.NoReply",
        "org.freedesktop.DBus.Error.Disconnected",
    ];
    // Foreign enum: what is not listed is an ordinary failure.
    match error {
        zbus::Error::MethodError(name, ..)
            if NO_SERVICE.contains(&name.as_str())
                || name.as_str().starts_with("org.freedesktop.DBus.Error.Spawn.") =>
        {
            Some(AbsentReason::NoService)
        }
        zbus::Error::FDO(error) => match &**error {
            zbus::fdo::Error::ServiceUnknown(_) | zbus::fdo::Error::NameHasNoOwner(_) => {
                Some(AbsentReason::NoService)
            }
            _ => None,
        },
        zbus::Error::InputOutput(_) | zbus::Error::Address(_) | zbus::Error::Handshake(_) => {
            Some(AbsentReason::NoBus)
        }
        _ => None,
    }
}
