//! What CLI and window do alike on their way to the agent: what they hand it of the person's session, and what they do
//! about one that is too old.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use platform::dirs::Root;

use crate::{Connection, Error, Request, Role, StartError, Starter, VERSIONS, connect, connect_or_start};

/// What the agent gets from a person's own session; nothing else of the environment reaches it.
const PASSED_ON: [&str; 12] = [
    "HOME",
    "PATH",
    "LANG",
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_RUNTIME_DIR",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "SystemRoot",
];
/// Proxy variables, either case.
const PROXIES: [&str; 4] = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"];
/// Where apps keep their files, as far as variables move it.
const LOCATIONS: [&str; 4] = ["APPDATA", "LOCALAPPDATA", "XDG_CONFIG_HOME", "USERPROFILE"];

impl Starter {
    /// How a process of the person's own session starts the agent with this executable.
    pub fn of_session(executable: PathBuf) -> Self {
        // No proxy: its address may carry a password, and is told in the first request instead.
        let environment = PASSED_ON
            .iter()
            .filter_map(|name| std::env::var_os(name).map(|value| (OsString::from(name), value)))
            .collect();
        Self { executable, environment, patience: Duration::from_secs(10) }
    }
}

/// Connects as a person's front; starts the agent if none is running, and one that is too old is asked to
/// retire first. [`session_record`] is what to send next.
pub async fn open_control(root: &Root, starter: &Starter) -> Result<Connection, StartError> {
    match connect_or_start(root, Role::Control, &[], starter).await {
        Err(StartError::Refused { error, versions }) if versions.iter().max() < VERSIONS.iter().max() => {
            retire(root, error, versions).await?;
            connect_or_start(root, Role::Control, &[], starter).await
        }
        other => other,
    }
}

/// What an agent that starts from an empty environment will have to know of this session.
pub fn session_record() -> Request {
    let dbus_address = std::env::var("DBUS_SESSION_BUS_ADDRESS").ok();
    Request::RecordEnvironment { dbus_address, proxies: proxies() }
}

/// The variables that say where apps keep their files.
pub fn locations() -> BTreeMap<String, String> {
    LOCATIONS
        .iter()
        .filter_map(|name| std::env::var(name).ok().map(|value| ((*name).to_owned(), value)))
        .collect()
}

/// The proxy variables of this session, by name in lower case; where it has none, what the system's settings name. `None`:
/// nobody says anything, which is no word against what another session said. An empty variable says that there is none.
pub fn proxies() -> Option<BTreeMap<String, String>> {
    let value = |name: &str| std::env::var(name).or_else(|_| std::env::var(name.to_uppercase())).ok();
    let of_session: BTreeMap<_, _> =
        PROXIES.iter().filter_map(|name| value(name).map(|v| ((*name).to_owned(), v))).collect();
    if of_session.keys().any(|name| name != "no_proxy") {
        Some(of_session)
    } else {
        platform::proxy::of_system()
    }
}

async fn retire(root: &Root, error: Error, versions: Vec<u32>) -> Result<(), StartError> {
    // The answer to this role is the end of the connection, whatever the versions are.
    let _goodbye = connect(root, Role::Retire).await;
    for _ in 0..100 {
        match connect(root, Role::Control).await {
            Err(StartError::NotRunning) => return Ok(()),
            Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    Err(StartError::Refused { error, versions })
}
