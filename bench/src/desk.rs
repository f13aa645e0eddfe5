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
    pub(crate) screen: Screen,
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

    /// Waits until what is painted is complete; milliseconds from `began`.
    pub(crate) fn painted(&mut self, began: Instant) -> io::Result<f64> {
        self.screen.painted(began, LIMIT)
    }

    /// Closes the one window by the keys of the window manager, and waits until it is gone.
    pub(crate) fn close_window(&mut self, title: &str) -> io::Result<()> {
        let found = self.xdotool(&["search", "--onlyvisible", "--name", title])?;
        let window = found.lines().next().ok_or_else(|| io::Error::other("no window is there"))?;
        self.xdotool(&["windowactivate", "--sync", window])?;
        self.xdotool(&["key", "--clearmodifiers", "alt+F4"])?;
        self.screen.emptied(LIMIT)
    }

    fn xdotool(&self, arguments: &[&str]) -> io::Result<String> {
        let ran =
            self.command("xdotool").args(arguments).stdout(Stdio::piped()).spawn()?.wait_with_output()?;
        String::from_utf8(ran.stdout).map_err(io::Error::other)
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.sandbox.command(program);
        command.env("DISPLAY", &self.display).env("GDK_BACKEND", "x11").env("NO_AT_BRIDGE", "1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl App {
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
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
