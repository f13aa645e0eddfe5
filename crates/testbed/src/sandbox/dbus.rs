//! The daemons of a sandbox and the D-Bus calls to its keychain.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};
use zbus::{Connection, Proxy};

use super::{Sandbox, SandboxError, end};

pub(super) fn address(sandbox: &Sandbox) -> String {
    format!("unix:path={}", sandbox.runtime_dir().join("bus").display())
}

/// With a configuration of our own: the system's would start a keychain service on demand.
pub(super) fn start_bus(sandbox: &Sandbox) -> Result<Child, SandboxError> {
    let failed = |source| SandboxError::Start { program: BUS, source };
    let config = sandbox.root().join("bus.conf");
    fs::write(&config, CONFIG.replace("ADDRESS", &address(sandbox))).map_err(failed)?;
    let mut bus = sandbox
        .command(BUS)
        .arg(format!("--config-file={}", config.display()))
        .args(["--nofork", "--nopidfile", "--print-address"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let mut line = String::new();
    let told = bus.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
    if matches!(told, Some(Ok(1..))) {
        return Ok(bus);
    }
    end(&mut bus);
    Err(SandboxError::Silent(BUS))
}

pub(super) fn start_keychain(sandbox: &Sandbox, address: &str) -> Result<Child, SandboxError> {
    let failed = |source| SandboxError::Start { program: KEYCHAIN, source };
    let mut daemon = sandbox
        .command(KEYCHAIN)
        .args(["--foreground", "--unlock", "--components=secrets"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    // The end of stdin is the end of the password, so the pipe is closed at once.
    let typed = daemon.stdin.take().map(|mut stdin| stdin.write_all(PASSWORD));
    if matches!(typed, Some(Ok(()))) {
        let deadline = Instant::now() + ANSWER;
        while Instant::now() < deadline && matches!(daemon.try_wait(), Ok(None)) {
            if is_locked(address).is_ok_and(|locked| !locked) {
                return Ok(daemon);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    end(&mut daemon);
    Err(SandboxError::Silent(KEYCHAIN))
}

pub(super) fn is_locked(address: &str) -> Result<bool, SandboxError> {
    on_bus(address, async |bus| {
        let proxy = Proxy::new(&bus, SERVICE, COLLECTION, "org.freedesktop.Secret.Collection").await?;
        // A property that was cached before would tell of the past; this proxy is new each time.
        proxy.get_property::<bool>("Locked").await
    })
}

pub(super) fn items(address: &str) -> Result<usize, SandboxError> {
    on_bus(address, async |bus| {
        let proxy = Proxy::new(&bus, SERVICE, COLLECTION, "org.freedesktop.Secret.Collection").await?;
        Ok(proxy.get_property::<Vec<OwnedObjectPath>>("Items").await?.len())
    })
}

pub(super) fn lock(address: &str) -> Result<(), SandboxError> {
    on_bus(address, async |bus| {
        let service = Proxy::new(&bus, SERVICE, PATH, "org.freedesktop.Secret.Service").await?;
        let path = OwnedObjectPath::try_from(COLLECTION)?;
        let _: (Vec<OwnedObjectPath>, OwnedObjectPath) = service.call("Lock", &(vec![path],)).await?;
        Ok(())
    })
}

pub(super) fn unlock(address: &str) -> Result<(), SandboxError> {
    on_bus(address, async |bus| {
        let service = Proxy::new(&bus, SERVICE, PATH, "org.freedesktop.Secret.Service").await?;
        let plain: (OwnedValue, OwnedObjectPath) =
            service.call("OpenSession", &("plain", Value::from(""))).await?;
        let internal =
            Proxy::new(&bus, SERVICE, PATH, "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface")
                .await?;
        let collection = OwnedObjectPath::try_from(COLLECTION)?;
        let secret = (plain.1, Vec::<u8>::new(), PASSWORD.to_vec(), "text/plain");
        internal.call("UnlockWithMasterPassword", &(collection, secret)).await
    })
}

/// Runs `work` on a thread and a runtime of its own, so that callers may be inside of a runtime or not.
fn on_bus<T: Send>(
    address: &str,
    work: impl AsyncFnOnce(Connection) -> zbus::Result<T> + Send,
) -> Result<T, SandboxError> {
    let call = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async { work(zbus::connection::Builder::address(address)?.build().await?).await })
    };
    std::thread::scope(|scope| match scope.spawn(call).join() {
        Ok(outcome) => Ok(outcome?),
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// How long a keychain service may take until it answers: 50 ms, unless something else has the processor.
const ANSWER: Duration = Duration::from_mins(1);
const BUS: &str = "dbus-daemon";
const KEYCHAIN: &str = "gnome-keyring-daemon";
const PASSWORD: &[u8] = b"test-password";
const SERVICE: &str = "org.freedesktop.secrets";
const PATH: &str = "/org/freedesktop/secrets";
const COLLECTION: &str = "/org/freedesktop/secrets/collection/login";
const CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
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
