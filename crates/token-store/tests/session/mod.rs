//! A D-Bus session with a real gnome-keyring, below a scratch folder; both end with the value.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use zbus::blocking::connection::Builder;
use zbus::blocking::{Connection, Proxy};
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};

const SERVICE: &str = "org.freedesktop.secrets";
const SERVICE_PATH: &str = "/org/freedesktop/secrets";
const LOGIN: &str = "/org/freedesktop/secrets/collection/login";
const PASSWORD: &[u8] = b"test-password";

/// An own configuration: the session's standard one starts a keyring by itself when somebody asks for one.
const BUS_CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>ADDRESS</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// The bus, and the keyring while it runs.
pub(crate) struct Session {
    folder: PathBuf,
    bus: Child,
    keyring: Option<Child>,
}

/// Whether the keyring is given a password at its start, which makes and opens the default collection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    WithPassword,
    Without,
}

/// Where the bus of a session below `folder` listens.
pub(crate) fn address(folder: &Path) -> String {
    format!("unix:path={}", folder.join("bus").display())
}

impl Session {
    /// Starts the bus alone.
    pub(crate) fn start_bus(folder: &Path) -> Self {
        let config = folder.join("bus.conf");
        fs::write(&config, BUS_CONFIG.replace("ADDRESS", &address(folder))).unwrap();
        let mut bus = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--nopidfile", "--print-address"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon starts; on Debian: apt-get install dbus");
        let mut line = String::new();
        BufReader::new(bus.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("unix:"), "dbus-daemon says {line:?}");
        Self { folder: folder.to_owned(), bus, keyring: None }
    }

    /// Starts the keyring as well, with the collections that it finds below `data`.
    pub(crate) fn start(folder: &Path) -> Self {
        let mut session = Self::start_bus(folder);
        session.start_keyring("data", Login::WithPassword);
        session
    }

    pub(crate) fn start_keyring(&mut self, data: &str, login: Login) {
        let data = self.folder.join(data);
        fs::create_dir_all(&data).unwrap();
        let mut command = Command::new("gnome-keyring-daemon");
        command.args(["--foreground", "--components=secrets"]);
        if login == Login::WithPassword {
            command.arg("--unlock");
        }
        let mut keyring = command
            .env("DBUS_SESSION_BUS_ADDRESS", address(&self.folder))
            .env("XDG_RUNTIME_DIR", &self.folder)
            .env("XDG_DATA_HOME", &data)
            .env("HOME", &self.folder)
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("gnome-keyring-daemon starts; on Debian: apt-get install gnome-keyring");
        keyring.stdin.take().unwrap().write_all(PASSWORD).unwrap();
        self.keyring = Some(keyring);
        until(|| {
            let alias: zbus::Result<OwnedObjectPath> = self.service().call("ReadAlias", &("default",));
            alias.is_ok_and(|path| login == Login::Without || path.as_str() == LOGIN)
        });
    }

    pub(crate) fn stop_keyring(&mut self) {
        if let Some(mut keyring) = self.keyring.take() {
            keyring.kill().unwrap();
            keyring.wait().unwrap();
            until(|| self.service().call::<_, _, OwnedObjectPath>("ReadAlias", &("default",)).is_err());
        }
    }

    pub(crate) fn lock(&self) {
        aside(|| {
            let login = OwnedObjectPath::try_from(LOGIN).unwrap();
            let (locked, _): (Vec<OwnedObjectPath>, OwnedObjectPath) =
                self.service().call("Lock", &(vec![login],)).unwrap();
            assert_eq!(locked.len(), 1);
        });
    }

    /// As a person who types the password.
    pub(crate) fn unlock(&self) {
        aside(|| {
            // One connection: the service ties its session to it.
            let (bus, plain) = self.plain_session();
            let interface = "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface";
            let login = OwnedObjectPath::try_from(LOGIN).unwrap();
            let password = (plain, Vec::<u8>::new(), PASSWORD.to_vec(), "text/plain");
            let () = Proxy::new(&bus, SERVICE, SERVICE_PATH, interface)
                .unwrap()
                .call("UnlockWithMasterPassword", &(login, password))
                .unwrap();
        });
    }

    /// An item made behind the crate's back, beside any with the same attributes.
    pub(crate) fn create_item(&self, label: &str, attributes: &HashMap<&str, &str>, secret: &[u8]) {
        aside(|| {
            let (bus, plain) = self.plain_session();
            let properties = HashMap::from([
                ("org.freedesktop.Secret.Item.Label", Value::from(label)),
                ("org.freedesktop.Secret.Item.Attributes", Value::from(attributes.clone())),
            ]);
            let secret = (plain, Vec::<u8>::new(), secret.to_vec(), "text/plain");
            let replace = false;
            let _: (OwnedObjectPath, OwnedObjectPath) =
                Proxy::new(&bus, SERVICE, LOGIN, "org.freedesktop.Secret.Collection")
                    .unwrap()
                    .call("CreateItem", &(properties, secret, replace))
                    .unwrap();
        });
    }

    /// Label and attributes of every item, as anyone may read them while the keyring is locked.
    pub(crate) fn items(&self) -> Vec<(String, HashMap<String, String>)> {
        aside(|| {
            let bus = self.connection();
            let collection = Proxy::new(&bus, SERVICE, LOGIN, "org.freedesktop.Secret.Collection").unwrap();
            let paths: Vec<OwnedObjectPath> = collection.get_property("Items").unwrap();
            paths
                .into_iter()
                .map(|path| {
                    let item = Proxy::new(&bus, SERVICE, path, "org.freedesktop.Secret.Item").unwrap();
                    (item.get_property("Label").unwrap(), item.get_property("Attributes").unwrap())
                })
                .collect()
        })
    }

    /// Starts to record who is asked for the password.
    pub(crate) fn watch_prompts(&self) -> Prompts {
        let mut monitor = Command::new("dbus-monitor")
            .args(["--profile", "--address", &address(&self.folder)])
            .arg("interface='org.freedesktop.Secret.Prompt',member='Prompt'")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-monitor starts; on Debian: apt-get install dbus");
        let mut lines = BufReader::new(monitor.stdout.take().unwrap()).lines();
        // Its own name, told when it has begun to listen.
        lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("NameLost"))).unwrap().unwrap();
        let (tell, seen) = mpsc::channel();
        thread::spawn(move || {
            let prompts = lines.map_while(Result::ok).filter(|line| line.contains("Secret.Prompt"));
            prompts.for_each(|line| tell.send(line).unwrap_or_default());
        });
        Prompts { monitor, seen }
    }

    fn plain_session(&self) -> (Connection, OwnedObjectPath) {
        let bus = self.connection();
        let (_, session): (OwnedValue, OwnedObjectPath) =
            Proxy::new(&bus, SERVICE, SERVICE_PATH, "org.freedesktop.Secret.Service")
                .unwrap()
                .call("OpenSession", &("plain", Value::from("")))
                .unwrap();
        (bus, session)
    }

    fn service(&self) -> Proxy<'static> {
        Proxy::new(&self.connection(), SERVICE, SERVICE_PATH, "org.freedesktop.Secret.Service").unwrap()
    }

    fn connection(&self) -> Connection {
        Builder::address(address(&self.folder).as_str()).unwrap().build().unwrap()
    }
}

/// Dialogs that somebody asked the service to show.
pub(crate) struct Prompts {
    monitor: Child,
    seen: mpsc::Receiver<String>,
}

impl Prompts {
    /// Waits for one.
    pub(crate) fn wait(&self) {
        self.seen.recv_timeout(Duration::from_mins(1)).expect("a dialog was asked for");
    }

    /// How many more there were.
    pub(crate) fn count(&self) -> usize {
        self.seen.try_iter().count()
    }
}

impl Drop for Prompts {
    fn drop(&mut self) {
        let _ = self.monitor.kill();
        let _ = self.monitor.wait();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for child in self.keyring.iter_mut().chain([&mut self.bus]) {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn until(done: impl Fn() -> bool + Sync) {
    aside(|| {
        let end = Instant::now() + Duration::from_mins(1);
        while !done() {
            assert!(Instant::now() < end, "the keyring did not come or go");
            thread::sleep(Duration::from_millis(10));
        }
    });
}

/// On a thread of its own: callers may be inside of a runtime, where blocking calls to the bus panic.
fn aside<T: Send>(call: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(call).join().unwrap())
}
