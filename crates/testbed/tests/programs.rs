//! The program `testbed` as other processes use it: the scripted browser as `$BROWSER`, and the servers over pipes.

#![expect(clippy::unwrap_used, reason = "a test of a program has no better end than a panic")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

const TESTBED: &str = env!("CARGO_BIN_EXE_testbed");

struct Served {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    first: Value,
}

impl Served {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(TESTBED);
        command.arg("serve").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut served = Self { stdin: child.stdin.take().unwrap(), child, stdout, first: Value::Null };
        served.first = served.line();
        served
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn ask(&mut self, command: &Value) -> Value {
        writeln!(self.stdin, "{command}").unwrap();
        self.line()
    }

    fn authorization_url(&self, redirect_uri: &str) -> String {
        let mut url = format!(
            "{}/authorize?client_id=https%3A%2F%2Fapp.example%2Fid",
            self.first["issuer"].as_str().unwrap()
        );
        url.push_str("&response_type=code&code_challenge=c&code_challenge_method=S256&scope=mcp&state=s");
        url.push_str("&resource=http%3A%2F%2F127.0.0.1%3A1%2Fmcp&redirect_uri=");
        url.push_str(redirect_uri);
        url
    }
}

#[test]
fn the_browser_program_signs_in_or_says_why_not_without_telling_the_code() {
    let mut served = Served::start(&["--eras", "handshake"]);
    let knobs = json!({"client_id_metadata_documents": true});
    assert_eq!(served.ask(&json!({"do": "set_authorization_server", "knobs": knobs})), json!({"ok": true}));
    // The issuer itself plays the callback: a page that is not there, at an address that is.
    let callback = format!("{}/callback", served.first["issuer"].as_str().unwrap());
    let url = served.authorization_url(&callback);
    let log = std::env::temp_dir().join(format!("testbed-browser-{}", std::process::id()));
    let run =
        Command::new(TESTBED).args(["browser", "--as", "ana", "--log"]).arg(&log).arg(&url).output().unwrap();
    let visited = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    assert_eq!(format!("http://{}", visited.trim()), served.first["issuer"]);
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(!run.status.success() && said.contains("404") && !said.contains("code="), "{said}");
    assert_eq!(served.ask(&json!({"do": "stats"}))["authorization_server"]["authorizations"], 1);
    let secrets = served.ask(&json!({"do": "secrets"}));
    assert_eq!((&secrets[0]["kind"], &secrets[0]["person"]), (&json!("code"), &json!("ana")));
    Command::new(TESTBED).args(["browser", "--as", "ana", "--deny", &url]).output().unwrap();
    assert_eq!(served.ask(&json!({"do": "stats"}))["authorization_server"]["authorizations"], 1);
    let nobody = Command::new(TESTBED).args(["browser", &url]).output().unwrap();
    assert!(String::from_utf8(nobody.stderr).unwrap().contains("--as NAME"));
}

#[test]
fn the_servers_obey_lines_refuse_nonsense_and_end_with_stdin() {
    let mut served = Served::start(&[]);
    let token = served.ask(&json!({"do": "issue", "person": "ben"}))["access_token"].clone();
    let known = served.ask(&json!({"do": "introspect", "token": token}));
    assert_eq!((&known["person"], &known["resource"]), (&json!("ben"), &served.first["endpoint"]));
    served.ask(&json!({"do": "expire_access_tokens"}));
    assert_eq!(served.ask(&json!({"do": "introspect", "token": token}))["expired"], true);
    assert!(served.ask(&json!({"do": "set_mcp_server", "knobs": {"no_such": 1}}))["error"].is_string());
    assert!(served.ask(&json!({"do": "dance"}))["error"].is_string());
    assert_eq!(served.ask(&json!({"do": "push"})), json!({"reached": 0}));
    drop(served.stdin);
    assert!(served.child.wait().unwrap().success());
}
