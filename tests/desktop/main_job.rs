//! The main job, through everything that people touch: a token in a file becomes two people in a window, and a switch
//! in the tray changes whom the same running client acts as.
//!
//! ```text
//! WebKitWebDriver -> window \                          / oidc-provider  <- scripted browser ($BROWSER)
//! D-Bus menu ------> tray    -> agent -> keychain     /
//! TypeScript SDK --stdio--> bridge ---------HTTP---> FastMCP server
//! ```

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::desk::{Desk, Running, announced, click, eventually, gone, picture, reopened, seen, tick};
use crate::panel::{Panel, find};
use crate::running_app::RunningApp;

const TOKEN: &str = "ghp_windowQ7xK2mV9tR4wZ8bN1cJ5hL3pS6dF0g";

#[tokio::test]
async fn a_token_in_a_file_becomes_two_people_and_the_tray_says_who_acts() {
    let desk = Desk::new();
    let panel = Panel::on(&desk).await;
    let peers = Peers::start(&desk);
    let file = desk.sandbox.home().join(".cursor/mcp.json");
    let before = format!(
        "{{\n\t// the team's\n\t\"mcpServers\": {{\n\t\t\"tracker\": {{ \"url\": \"{}\", \"headers\": {{ \"Authorization\": \"Bearer {TOKEN}\" }} }},\n\t}},\n}}\n",
        peers.server
    );
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, &before).unwrap();
    let page = desk.open_window().await;

    // Import: what is found is chosen, and the file's change is shown and applied.
    peers.browse_as(&desk, "ana");
    click(&page, "import-found").await;
    tick(&page, "found-tracker").await;
    picture(&page, "main-1-import.png").await;
    click(&page, "import-go").await;
    click(&page, "import-apply-cursor").await;
    let applied = eventually("the changed file", async || {
        let text = std::fs::read_to_string(&file).unwrap();
        (!text.contains(TOKEN)).then_some(text)
    })
    .await;
    assert!(applied.contains("// the team's") && applied.contains("\"bridge\""), "{applied}");
    picture(&page, "main-2-plan.png").await;

    // ana signs in; the browser is opened by the window, once.
    click(&page, "import-to-sign-in").await;
    let server =
        desk.hallpass_json(&["servers", "list", "--json"])["servers"][0]["id"].as_str().unwrap().to_owned();
    click(&page, &format!("sign-in-{server}")).await;
    sign_in(&page, "ana").await;
    click(&page, "import-done").await;

    // A client of another project, started as its app starts it: by the entry in the file.
    let client = RunningApp::start(peers.client(&desk, &entry(&applied))).await;
    assert_eq!(whoami(&client).await, "ana");

    // ben, in the window; nothing changes for the client yet.
    peers.browse_as(&desk, "ben");
    click(&page, &format!("server-{server}")).await;
    click(&page, &format!("sign-in-{server}")).await;
    sign_in(&page, "ben").await;
    assert_eq!(whoami(&client).await, "ana");

    // Two clicks in the tray: everybody says ben, the same client's next call too.
    let label =
        |rows: &[crate::panel::Row], who: &str| find(rows, &["tracker", who]).and_then(|row| row.ticked);
    panel
        .shows("both people", |rows| label(rows, "ana") == Some(true) && label(rows, "ben") == Some(false))
        .await;
    panel.click(&["tracker", "ben"]).await;
    panel
        .shows("ben ticked", |rows| label(rows, "ana") == Some(false) && label(rows, "ben") == Some(true))
        .await;
    assert_eq!(whoami(&client).await, "ben");
    let status = desk.hallpass_json(&["status", "--json"]);
    let selected =
        status["servers"][0]["grants"].as_array().unwrap().iter().find(|grant| grant["selected"] == true);
    assert_eq!(selected.unwrap()["account"]["subject"], "ben", "{status}");
    click(&page, "tab-servers").await;
    eventually("ben in the window", async || {
        let row = seen(&page, &format!("server-{server}")).await;
        let name = row.attr("aria-label").await.ok()??;
        name.contains("ben").then_some(())
    })
    .await;
    picture(&page, "main-3-switched.png").await;

    // Back as it was, byte for byte.
    click(&page, "tab-apps").await;
    click(&page, "restore-cursor").await;
    click(&page, "apply").await;
    eventually("the file as it was", async || {
        (std::fs::read_to_string(&file).unwrap() == before).then_some(())
    })
    .await;
    client.close().await;
    page.close().await.unwrap();
}

#[tokio::test]
async fn a_sign_in_outlives_its_window() {
    let desk = Desk::new();
    let panel = Panel::on(&desk).await;
    let peers = Peers::start(&desk);
    // A browser that the person has walked away from.
    let asked = desk.sandbox.root().join("asked");
    desk.browse_with(&format!("printf '%s\\n' \"$1\" >> {}", asked.display()));
    assert!(
        desk.hallpass(&["servers", "add", &peers.server, "--id", "tracker", "--label", "tracker"])
            .status
            .success()
    );
    let page = desk.open_window().await;
    click(&page, "sign-in-tracker").await;
    let url = eventually("the browser", async || {
        std::fs::read_to_string(&asked).ok().filter(|text| text.ends_with('\n'))
    })
    .await;
    assert_eq!(url.lines().count(), 1, "{url}");
    desk.close_window().await;
    // The person comes back to the browser, and the tray asks; the new window shows the sheet as it stands.
    let mut browser = Running::start(&mut peers.browser(&desk, "ana", url.trim()));
    panel.shows("the question", |rows| rows.iter().any(|row| row.label.contains("is this you?"))).await;
    panel.click(&["tracker: is this you?"]).await;
    assert!(browser.runs(), "the page waits for the answer");
    reopened(&page).await;
    sign_in(&page, "ana").await;
    assert!(browser.ended().await, "the page in the browser was told");
    let status = desk.hallpass_json(&["status", "--json"]);
    assert_eq!(status["servers"][0]["state"], "connected", "{status}");
}

/// The sheet's end: who came back is confirmed, and it is closed.
async fn sign_in(page: &fantoccini::Client, person: &str) {
    let shown =
        async || seen(page, "sign-in-sheet").await.text().await.is_ok_and(|text| text.contains(person));
    eventually("the question for the right person", async || shown().await.then_some(())).await;
    click(page, "confirm-yes").await;
    click(page, "sheet-done").await;
    gone(page, "sign-in-sheet").await;
}

async fn whoami(client: &RunningApp) -> String {
    let answer = client.call("whoami", json!({})).await.said;
    answer["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// The command of the file's one entry. The file has comments, the entry has none.
fn entry(text: &str) -> Vec<String> {
    let start = text.find("\"tracker\":").map(|at| at + "\"tracker\":".len()).expect("the entry is there");
    let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
    let entry = values.next().expect("a value follows").unwrap_or_else(|error| panic!("{error}: {text}"));
    let words = std::iter::once(&entry["command"]).chain(entry["args"].as_array().expect("it has arguments"));
    words.map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// Other people's authorization server, protected server, browser and client.
struct Peers {
    install: PathBuf,
    server: String,
    _running: [Running; 2],
}

impl Peers {
    fn start(desk: &Desk) -> Self {
        let install = install();
        let mut issuer = desk.command(install.join("bin/node"));
        let (issuer, ready) = announced("oidc-provider", issuer.arg(script("oidc_provider.mjs")));
        let issuer_url = address(&ready, "issuer");
        let mut server = desk.command(install.join("py/bin/python"));
        let (server, ready) =
            announced("FastMCP", server.arg(script("fastmcp_server.py")).args(["--issuer", &issuer_url]));
        Self { install, server: address(&ready, "url"), _running: [issuer, server] }
    }

    fn browser(&self, desk: &Desk, person: &str, url: &str) -> Command {
        let mut browser = desk.command(self.install.join("py/bin/python"));
        browser.arg(script("browser.py")).args(["--as", person, url]);
        browser
    }

    /// From now on this person sits at the browser.
    fn browse_as(&self, desk: &Desk, person: &str) {
        let python = self.install.join("py/bin/python");
        desk.browse_with(&format!(
            "exec {} {} --as {person} \"$1\"",
            python.display(),
            script("browser.py").display()
        ));
    }

    fn client(&self, desk: &Desk, entry: &[String]) -> Command {
        let mut client = desk.command(self.install.join("bin/node"));
        client.arg(script("client_ts_sdk.mjs")).args(["--era", "legacy", "--"]).args(entry);
        client.stderr(Stdio::null());
        client
    }
}

fn address(ready: &str, member: &str) -> String {
    let said: Value = serde_json::from_str(ready).unwrap_or_else(|error| panic!("{error}: {ready}"));
    said[member].as_str().unwrap_or_else(|| panic!("{ready}")).to_owned()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name)
}

/// Where the peers are installed. Without them nothing here can be shown, so that is a failure.
fn install() -> PathBuf {
    let told = std::env::var_os("HALLPASS_PEERS").map(PathBuf::from);
    let path = told.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers"));
    let missing = ["bin/node", "py/bin/python"].into_iter().find(|name| !path.join(name).exists());
    assert!(missing.is_none(), "the peers are not installed in {}; run: cargo xtask test", path.display());
    path
}
