//! A display, a window manager and a tray of the benchmark's own, on the sandbox's D-Bus session: programs with windows
//! are started, looked at and closed here as by a person.

use std::error::Error;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use testbed::sandbox::Sandbox;

use crate::proc;
use crate::screen::{HEIGHT, Screen, WIDTH};

/// No window takes longer.
const LIMIT: Duration = Duration::from_mins(1);

/// Where windows open.
pub(crate) struct Desk<'a> {
    sandbox: &'a Sandbox,
    display: String,
    screen: Screen,
    icons: Receiver<Instant>,
    _tray: zbus::blocking::Connection,
    /// Ends with the desk.
    running: Vec<App>,
}

/// A program that ends with the value, and everything that it started.
pub(crate) struct App(Child);

struct Watcher(std::sync::mpsc::Sender<Instant>);

#[expect(clippy::unused_self, reason = "the interface wants them so")]
#[zbus::interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    fn register_status_notifier_item(&self, service: &str) {
        // One without a name or a path could not be shown.
        if !service.is_empty() {
            // The receiver lives as long as the connection.
            let _ = self.0.send(Instant::now());
        }
    }

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }

    #[zbus(property)]
    fn registered_status_notifier_items(&self) -> Vec<String> {
        Vec::new()
    }
}

impl<'a> Desk<'a> {
    /// Starts all of it in a sandbox with a D-Bus session.
    pub(crate) fn new(sandbox: &'a Sandbox) -> Result<Self, Box<dyn Error>> {
        let mut server = Command::new("Xvfb");
        server.args(["-displayfd", "1", "-screen", "0", &format!("{WIDTH}x{HEIGHT}x24"), "-nolisten", "tcp"]);
        let mut server = server.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut number = String::new();
        let said = server.stdout.take();
        let running = App(server);
        BufReader::new(said.ok_or("Xvfb is silent")?).read_line(&mut number)?;
        let number = number.trim();
        let (sender, icons) = channel();
        let address = sandbox.dbus_address().ok_or("no D-Bus session")?;
        let tray = zbus::blocking::connection::Builder::address(address.as_str())?
            .serve_at("/StatusNotifierWatcher", Watcher(sender))?
            .name("org.kde.StatusNotifierWatcher")?
            .build()?;
        let mut desk = Self {
            sandbox,
            display: format!(":{number}"),
            screen: Screen::open(number)?,
            icons,
            _tray: tray,
            running: vec![running],
        };
        let manager = App(desk.command("openbox").spawn()?);
        desk.running.push(manager);
        Ok(desk)
    }

    /// Starts a program here.
    pub(crate) fn start(&self, program: &Path, arguments: &[&str]) -> io::Result<App> {
        while self.icons.try_recv().is_ok() {}
        self.command(program).args(arguments).spawn().map(App)
    }

    /// Waits for a tray icon; milliseconds from `began`.
    pub(crate) fn icon(&self, began: Instant) -> io::Result<f64> {
        let at = self.icons.recv_timeout(LIMIT).map_err(|_| io::ErrorKind::TimedOut)?;
        Ok(at.duration_since(began).as_secs_f64() * 1e3)
    }

    /// Waits until the one window is painted to the end; milliseconds from `began`. Then a key is pressed that moves
    /// the focus: a window that does not show that is an error, since nobody could use it.
    pub(crate) fn usable(&mut self, began: Instant) -> io::Result<f64> {
        let painted = self.screen.painted(began, LIMIT)?;
        let press = self.keys("Tab");
        self.screen.answers(LIMIT, || pressed(press))?;
        Ok(painted)
    }

    /// Closes the one window by the keys of the window manager, and waits until it is gone.
    pub(crate) fn close_window(&mut self) -> io::Result<()> {
        pressed(self.keys("alt+F4"))?;
        self.emptied()
    }

    /// Waits until no window is there.
    pub(crate) fn emptied(&mut self) -> io::Result<()> {
        self.screen.emptied(LIMIT)
    }

    /// Presses keys in the window that has the focus, which the window manager gives to each new one.
    fn keys(&self, keys: &str) -> Command {
        let mut press = self.command("xdotool");
        press.args(["key", "--clearmodifiers", keys]);
        press
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.sandbox.command(program);
        command.env("DISPLAY", &self.display).env("GDK_BACKEND", "x11").env("NO_AT_BRIDGE", "1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

fn pressed(mut keys: Command) -> io::Result<()> {
    let status = keys.status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("xdotool ended with {status}"))) }
}

impl App {
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Whether it lives.
    pub(crate) fn runs(&self) -> bool {
        let state = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        // Nobody has waited for it, so an ended one is a zombie.
        state.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }

    /// Ends it and all below it, and waits until they are gone.
    pub(crate) fn end(mut self) -> io::Result<()> {
        let below = proc::tree(self.pid());
        self.0.kill()?;
        self.0.wait()?;
        let began = Instant::now();
        while below.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
            if began.elapsed() > LIMIT {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
