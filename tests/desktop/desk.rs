//! A display, a D-Bus session with a keychain, and a home that nothing else uses. All of it ends with the value.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use testbed::sandbox::Sandbox;

/// No step of ours takes longer than this, whatever the machine is doing besides.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) struct Desk {
    pub(crate) sandbox: Sandbox,
    display: String,
    driver_port: u16,
    opener: Opener,
    /// Ends with the desk.
    running: Vec<Running>,
}

impl Desk {
    /// A desk with an unlocked keychain and nothing that shows a tray.
    pub(crate) fn new() -> Self {
        Self::opening(Opener::Variable)
    }

    /// The same, where no variable names the browser: the system's own way is taken, `xdg-open`.
    pub(crate) fn with_xdg_open() -> Self {
        Self::opening(Opener::XdgOpen)
    }

    fn opening(opener: Opener) -> Self {
        let mut display = Command::new("Xvfb");
        display.args(["-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp"]);
        let (x, display) = announced("Xvfb", &mut display);
        let sandbox = Sandbox::new().expect("dbus and gnome-keyring are installed by cargo xtask setup");
        let mut desk =
            Self { sandbox, display: format!(":{display}"), driver_port: 0, opener, running: vec![x] };
        // A browser that does nothing, until a test gives it something to do.
        desk.browse_with("exit 0");
        desk.start_driver();
        // Windows are closed through it, as by a person.
        desk.running.push(Running::start(desk.command("openbox").stderr(Stdio::null())));
        desk
    }

    /// Starts the driver and waits until it listens. Somebody else may have taken its port meanwhile: then it ends,
    /// and gets another one.
    fn start_driver(&mut self) {
        for _ in 0..10 {
            self.driver_port = free_port();
            let mut driver = self.command("WebKitWebDriver");
            driver.arg(format!("--port={}", self.driver_port)).env("TAURI_WEBVIEW_AUTOMATION", "true");
            let mut driver = Running::start(&mut driver);
            let began = Instant::now();
            while driver.runs() {
                assert!(began.elapsed() < PATIENCE, "WebKitWebDriver does not listen");
                if TcpStream::connect(("127.0.0.1", self.driver_port)).is_ok() {
                    self.running.push(driver);
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        panic!("WebKitWebDriver ends at once, whatever its port is");
    }

    /// A program in this session, with nothing of the environment of the test.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.sandbox.command(program);
        command.env("DISPLAY", &self.display).env("GDK_BACKEND", "x11").env("NO_AT_BRIDGE", "1");
        match self.opener {
            Opener::Variable => command.env("BROWSER", self.browser()),
            Opener::XdgOpen => {
                let path = std::env::var("PATH").unwrap_or_default();
                command.env("PATH", format!("{}:{path}", self.sandbox.root().display()))
            }
        };
        command.stdin(Stdio::null());
        command
    }

    /// The command line program of this build, run to its end.
    pub(crate) fn hallpass(&self, args: &[&str]) -> Output {
        self.command(hallpass()).args(args).output().expect("it can be started")
    }

    /// The same, which must succeed and say JSON.
    pub(crate) fn hallpass_json(&self, args: &[&str]) -> Value {
        let ran = self.hallpass(args);
        serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {ran:?}"))
    }

    /// What the browser does from now on: a line of shell, with the address as `$1`.
    pub(crate) fn browse_with(&self, line: &str) {
        let script = format!("#!/bin/sh\n{line}\n");
        // Replaced whole: the old one may be running.
        let fresh = self.browser().with_extension("new");
        std::fs::write(&fresh, script).unwrap();
        assert!(Command::new("chmod").arg("755").arg(&fresh).status().unwrap().success());
        std::fs::rename(&fresh, self.browser()).unwrap();
    }

    fn browser(&self) -> PathBuf {
        self.sandbox.root().join(match self.opener {
            Opener::Variable => "browser.sh",
            Opener::XdgOpen => "xdg-open",
        })
    }

    /// The app without a driver, its words in a file of the sandbox.
    pub(crate) fn app(&self, args: &[&str]) -> Running {
        let log = self.sandbox.root().join("app.log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        Running::start(self.command(app()).args(args).stderr(log))
    }

    /// The window, with a driver on it.
    pub(crate) async fn open_window(&self) -> Client {
        self.open_window_with(&[]).await
    }

    /// The app with these arguments, with a driver on its window.
    pub(crate) async fn open_window_with(&self, args: &[&str]) -> Client {
        let options = json!({"webkitgtk:browserOptions": {"binary": app(), "args": args}});
        let Value::Object(capabilities) = options else { unreachable!("written as an object just above") };
        let capabilities: Capabilities = capabilities.into_iter().collect();
        let address = format!("http://127.0.0.1:{}", self.driver_port);
        let began = Instant::now();
        loop {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            match builder.capabilities(capabilities.clone()).connect(&address).await {
                Ok(page) => return page,
                // The app may need a second start on a machine that does much besides.
                Err(error) if began.elapsed() > PATIENCE => {
                    panic!("WebKitWebDriver opens no window: {error}")
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// The agent's process id, as it says itself; `None` while none runs.
    pub(crate) fn agent_pid(&self) -> Option<u32> {
        let status = self.hallpass_json(&["agent", "status", "--json"]);
        status["agent"]["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
    }

    /// The app's windows on this display, by the X server's word.
    pub(crate) fn windows(&self) -> Vec<String> {
        let found = self.xdotool(&["search", "--onlyvisible", "--name", "^Hallpass$"]);
        found.lines().map(str::to_owned).collect()
    }

    /// Closes the window by the keys of the window manager, which may have to start first.
    pub(crate) async fn close_window(&self) {
        eventually("a window", async || self.windows().pop()).await;
        eventually("no window", async || {
            let Some(window) = self.windows().pop() else { return Some(()) };
            self.xdotool(&["windowactivate", &window]);
            self.xdotool(&["key", "--clearmodifiers", "alt+F4"]);
            None
        })
        .await;
    }

    fn xdotool(&self, args: &[&str]) -> String {
        let ran = self.command("xdotool").args(args).output();
        let ran = ran.expect("xdotool is installed by cargo xtask setup");
        String::from_utf8(ran.stdout).unwrap()
    }

    /// The processes here whose command line has this word.
    pub(crate) fn processes(&self, word: &str) -> Vec<u32> {
        let all = self.sandbox.processes();
        let named = all.iter().filter(|process| String::from_utf8_lossy(&process.argv).contains(word));
        named.map(|process| process.pid).collect()
    }
}

/// How programs find the browser.
#[derive(Clone, Copy)]
enum Opener {
    /// `$BROWSER`.
    Variable,
    /// The first `xdg-open` on the search path.
    XdgOpen,
}

/// A process that ends with the value.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let shown = command.get_program().display().to_string();
        let child = command.stdin(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("cannot start {shown} ({error}): run `cargo xtask setup`")))
    }

    /// Waits for its end by itself; whether it went well.
    pub(crate) async fn ended(&mut self) -> bool {
        let status = eventually("the end of a process", async || self.0.try_wait().unwrap()).await;
        status.success()
    }

    /// True while it runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program that says on its first line where it can be reached.
pub(crate) fn announced(name: &str, command: &mut Command) -> (Running, String) {
    let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child =
        started.unwrap_or_else(|error| panic!("cannot start {name} ({error}): run `cargo xtask setup`"));
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout is piped just above")).read_line(&mut line).unwrap();
    assert!(!line.trim().is_empty(), "{name} ended without saying where it is");
    (Running(child), line.trim().to_owned())
}

/// A port that no other test of this process was given: between the look and the driver's own bind it is
/// free for anybody.
fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if GIVEN.lock().unwrap().insert(port) {
            return port;
        }
    }
}

/// The app under test.
pub(crate) fn app() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_hallpass-desktop"))
}

/// The executable of the other package: `--workspace` builds it into the same folder.
pub(crate) fn hallpass() -> PathBuf {
    let path = app().with_file_name("hallpass");
    assert!(path.exists(), "{} is missing: run `cargo build --workspace --bins`", path.display());
    path
}

/// Asks again and again until the answer is there; the reason for failing is `what`.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) async fn text(page: &Client, css: &str) -> String {
    // An element that is drawn anew after it was found has no text any more.
    eventually(css, async || page.find(Locator::Css(css)).await.ok()?.text().await.ok()).await
}

/// Keeps a screenshot beside the build, and tells its size in bytes.
pub(crate) async fn picture(page: &Client, name: &str) -> usize {
    let picture = page.screenshot().await.unwrap();
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), &picture).unwrap();
    picture.len()
}

/// Calls a command as code in the web view would: `{"answer": ..}` or `{"refused": ..}`.
pub(crate) async fn invoke(page: &Client, command: &str, arguments: &Value) -> Value {
    let script = "const [command, args, done] = arguments;
        window.__TAURI_INTERNALS__.invoke(command, args).then(answer => done({answer}), refused => done({refused}))";
    page.execute_async(script, vec![json!(command), arguments.clone()]).await.unwrap()
}

/// Asks the shell around the page.
pub(crate) async fn shell(page: &Client, request: Value) -> Value {
    invoke(page, "shell", &json!({ "request": request })).await
}
/// The element with this test id, once it is shown.
pub(crate) async fn seen(page: &Client, testid: &str) -> Element {
    let css = format!("[data-testid=\"{testid}\"]");
    let began = Instant::now();
    loop {
        if let Ok(element) = page.find(Locator::Css(&css)).await
            && element.is_displayed().await.unwrap_or(false)
        {
            return element;
        }
        if began.elapsed() > PATIENCE {
            picture(page, "desktop-missing.png").await;
            panic!("the window does not show {testid}, but:\n{}", text(page, "body").await);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Clicks it, once it is shown and can be clicked.
pub(crate) async fn click(page: &Client, testid: &str) {
    let began = Instant::now();
    loop {
        let element = seen(page, testid).await;
        let tried = match element.is_enabled().await {
            Ok(true) => element.click().await.map_err(|error| error.to_string()),
            Ok(false) => Err("it is disabled".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        match tried {
            Ok(()) => return,
            // It was drawn anew, or something is still on top of it.
            Err(why) if began.elapsed() > PATIENCE => panic!("{testid} cannot be clicked: {why}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Ticks a box that may be ticked already.
pub(crate) async fn tick(page: &Client, testid: &str) {
    // It may be drawn anew between the look and the question.
    let is_ticked = async || seen(page, testid).await.is_selected().await.ok();
    if !eventually(testid, is_ticked).await {
        click(page, testid).await;
    }
}

/// Looks at the window that was opened after the one of this page was closed.
pub(crate) async fn reopened(page: &Client) {
    eventually("the new window", async || {
        let window = page.windows().await.ok()?.pop()?;
        page.switch_to_window(window).await.ok()?;
        page.find(Locator::Css("h1")).await.ok().map(|_| ())
    })
    .await;
}

/// Waits until nothing with this test id is shown.
pub(crate) async fn gone(page: &Client, testid: &str) {
    let css = format!("[data-testid=\"{testid}\"]");
    eventually(&format!("the end of {testid}"), async || {
        page.find_all(Locator::Css(&css)).await.is_ok_and(|found| found.is_empty()).then_some(())
    })
    .await;
}
