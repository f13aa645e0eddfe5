//! Administrators make, check, sign and verify lists; the minisign tool and we read each other's files. No agent.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use testbed::authority::{Authority, Certificate};
use testbed::authorization_server::AuthorizationServer;
use testbed::mcp_server::{Eras, McpServer};

use crate::support::executable;

/// What a program said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs a program in a folder with a text on standard input.
fn run(program: &Path, folder: &TempDir, args: &[&str], stdin: &str) -> Said {
    let mut child = Command::new(program)
        .args(args)
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{} (cargo xtask setup installs it): {error}", program.display()));
    // Who does not read it may close it.
    let _closed = child.stdin.take().expect("piped").write_all(stdin.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[track_caller]
fn presets(folder: &TempDir, args: &[&str], stdin: &str, code: i32) -> Said {
    let said = run(executable(), folder, &[&["presets"], args].concat(), stdin);
    assert_eq!(said.code, Some(code), "{args:?}: {said:?}");
    assert!(code == 0 || args[0] == "lint" || said.err.contains("  next: "), "no next step: {said:?}");
    said
}

fn minisign(folder: &TempDir, args: &[&str], stdin: &str) -> Said {
    run(Path::new("minisign"), folder, args, stdin)
}

fn answer(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

fn key_of(folder: &TempDir, file: &str) -> String {
    let text = fs::read_to_string(folder.path().join(file)).expect("a public key");
    text.lines().nth(1).expect("its second line").to_owned()
}

fn edit(folder: &TempDir, file: &str, from: &str, to: &str) {
    let path = folder.path().join(file);
    let text = fs::read_to_string(&path).expect("a list");
    assert!(text.contains(from), "{from} is not in it");
    fs::write(path, text.replace(from, to)).expect("written");
}

#[test]
fn a_list_goes_from_nothing_to_signed_and_verified() {
    let folder = tempfile::tempdir().expect("a folder");
    presets(&folder, &["new", "list.json"], "", 0);
    presets(&folder, &["new", "list.json"], "", 2);
    presets(&folder, &["lint", "list.json"], "", 0);
    let schema: Value = answer(&presets(&folder, &["schema"], "", 0));
    assert_eq!(schema["title"], "Hallpass list");

    let created =
        answer(&presets(&folder, &["keygen", "--out", "k", "--password-stdin", "--json"], "hunter2\n", 0));
    assert_eq!(created["words"].as_str().expect("words").split(' ').count(), 8);
    // Neither overwritten nor asked for where nobody can answer.
    presets(&folder, &["keygen", "--out", "k", "--no-password"], "", 2);
    presets(&folder, &["keygen", "--out", "other"], "", 2);
    assert!(!folder.path().join("other").exists());
    let mode = fs::metadata(folder.path().join("k")).expect("the key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    presets(&folder, &["sign", "list.json", "--key", "k"], "", 2);
    presets(&folder, &["sign", "list.json", "--key", "k", "--password-stdin"], "hunter3\n", 1);
    assert!(!folder.path().join("list.json.minisig").exists());
    presets(&folder, &["sign", "list.json", "--key", "k", "--password-stdin"], "hunter2\n", 0);

    // Whoever reads a signature while it is made anew has the old one whole.
    let path = folder.path().join("list.json.minisig");
    let (old, mut open) = (fs::read(&path).expect("there"), fs::File::open(&path).expect("there"));
    presets(&folder, &["sign", "list.json", "--key", "k", "--password-stdin"], "hunter2\n", 0);
    let mut read = Vec::new();
    open.read_to_end(&mut read).expect("it is open");
    assert_eq!(read, old);
    assert_ne!(open.metadata().expect("it is open").ino(), fs::metadata(&path).expect("there").ino());
    let others = fs::read_dir(folder.path()).expect("a folder").flatten();
    let others: Vec<_> = others.filter(|file| file.path().extension().is_some_and(|e| e == "new")).collect();
    assert!(others.is_empty(), "{others:?}");
    let key = key_of(&folder, "k.pub");
    let verified = answer(&presets(&folder, &["verify", "list.json", "--key", &key, "--json"], "", 0));
    assert_eq!((&verified["words"], &verified["serial"]), (&created["words"], &Value::from(1)));
    assert_eq!(verified["schema"], "hallpass.presets.verify/1");

    // The next one must have a higher serial and a key that may sign it.
    fs::copy(folder.path().join("list.json"), folder.path().join("old.json")).expect("copied");
    fs::copy(folder.path().join("list.json.minisig"), folder.path().join("old.json.minisig"))
        .expect("copied");
    edit(&folder, "list.json", "The issue tracker", "All issues");
    let sign = ["sign", "list.json", "--key", "k", "--password-stdin", "--previous", "old.json"];
    let said = presets(&folder, &sign, "hunter2\n", 1);
    assert!(said.err.contains("the serial must rise"), "{said:?}");
    let said = presets(&folder, &["verify", "list.json", "--key", &key], "", 1);
    assert!(said.err.contains("one of the two was changed"), "{said:?}");
    edit(&folder, "list.json", "\"serial\": 1", "\"serial\": 2");
    presets(&folder, &sign, "hunter2\n", 0);
    presets(&folder, &["keygen", "--out", "new", "--no-password"], "", 0);
    let foreign = ["sign", "list.json", "--key", "new", "--previous", "old.json"];
    let said = presets(&folder, &foreign, "", 1);
    assert!(said.err.contains("does not announce it"), "{said:?}");
    let other = key_of(&folder, "new.pub");
    let said = presets(&folder, &["verify", "list.json", "--key", &other], "", 1);
    assert!(said.err.contains("made with another key"), "{said:?}");
}

#[test]
fn a_list_with_a_secret_is_neither_published_nor_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    presets(&folder, &["new", "list.json"], "", 0);
    presets(&folder, &["keygen", "--out", "k", "--no-password"], "", 0);
    edit(&folder, "list.json", "https://mcp.example.com/mcp", "https://ana:hunter2@mcp.example.com/mcp");
    let said = presets(&folder, &["lint", "list.json"], "", 1);
    assert!(said.out.contains("error P03  /servers/0/server/remotes/0/url"), "{said:?}");
    let machine = presets(&folder, &["lint", "list.json", "--json"], "", 1);
    let found = answer(&machine);
    assert_eq!((&found["good"], &found["findings"][0]["rule"]), (&Value::from(false), &Value::from("P03")));
    let signed = presets(&folder, &["sign", "list.json", "--key", "k"], "", 1);
    assert!(!folder.path().join("list.json.minisig").exists());
    for said in [said, machine, signed] {
        assert!(!said.out.contains("hunter2") && !said.err.contains("hunter2"), "{said:?}");
    }
    for (text, names) in [("{", "not JSON"), ("[]", "must be an object"), ("{\"a\":1,\"a\":2}", "twice")] {
        fs::write(folder.path().join("bad.json"), text).expect("written");
        let said = presets(&folder, &["lint", "bad.json"], "", 1);
        assert!(said.err.contains(names) || said.out.contains(names), "{text}: {said:?}");
    }
    fs::write(folder.path().join("bad.json"), " ".repeat(1024 * 1024 + 1)).expect("written");
    assert!(presets(&folder, &["lint", "bad.json"], "", 1).err.contains("larger than 1 MiB"));
}

#[tokio::test]
async fn lint_online_asks_servers_and_issuers_whether_they_are_as_declared() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("Acme Internal CA");
    let good = authority.identify(Certificate::Good);
    let issuer = AuthorizationServer::start_tls(&good).await.expect("a port");
    let server = McpServer::protected_tls(issuer.handle(), &good, Eras::Both).await.expect("a port");
    fs::write(folder.path().join("acme.pem"), authority.pem()).expect("written");
    let entry = |name: &str, url: &str, issuer: &str| {
        json!({
            "server": {"name": name, "version": "1.0.0", "remotes": [{"type": "streamable-http", "url": url}]},
            "_meta": {"dev.hallpass/server": {"oauth": {"issuer": issuer}}},
        })
    };
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its own");
    let list = json!({
        "servers": [
            entry("com.acme/good", &server.endpoint(), issuer.issuer()),
            entry("com.acme/other-issuer", &format!("{}?x=1", server.endpoint()), "https://login.acme.example"),
            entry("com.acme/gone", &format!("https://{gone}/mcp"), issuer.issuer()),
        ],
        "_meta": {"dev.hallpass/list": {
            "id": "com.acme/tools", "title": "Acme", "serial": 1, "issued": "2026-01-01T00:00:00Z",
            "expires": "2099-01-01T00:00:00Z",
        }},
    });
    fs::write(folder.path().join("list.json"), list.to_string()).expect("written");
    let findings_of = |more: &'static [&'static str]| {
        let folder = folder.path().to_owned();
        tokio::task::spawn_blocking(move || {
            let args = [&["presets", "lint", "list.json", "--json"], more].concat();
            let output =
                Command::new(executable()).args(args).current_dir(&folder).env("HOME", &folder).output();
            let output = output.expect("it runs");
            assert_eq!(output.status.code(), Some(0), "warnings do not forbid it: {output:?}");
            let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            let findings = found["findings"].as_array().cloned().unwrap_or_default();
            findings.into_iter().filter(|one| one["rule"] == "W05").collect::<Vec<_>>()
        })
    };
    assert_eq!(findings_of(&[]).await.expect("it ends"), Vec::<Value>::new());
    let found = findings_of(&["--online", "--ca", "acme.pem"]).await.expect("it ends");
    let places: Vec<&str> = found.iter().filter_map(|one| one["at"].as_str()).collect();
    assert_eq!(places, ["com.acme/other-issuer", "com.acme/gone"], "{found:?}");
    assert!(
        found.iter().all(|one| one["message"].as_str().is_some_and(|text| !text.is_empty())),
        "{found:?}"
    );
    let found = findings_of(&["--online"]).await.expect("it ends");
    assert_eq!(found.len(), 3, "nobody trusts that authority: {found:?}");
    assert!(found[0]["message"].as_str().is_some_and(|text| text.contains("Acme Internal CA")), "{found:?}");
    assert!(!folder.path().join(".hallpass-dev").exists(), "an administrator's check leaves nothing behind");
}

#[test]
fn the_minisign_tool_and_we_read_each_other_s_files() {
    let folder = tempfile::tempdir().expect("a folder");
    presets(&folder, &["new", "list.json"], "", 0);
    presets(&folder, &["keygen", "--out", "ours", "--password-stdin"], "hunter2\n", 0);
    // Our signature, their check.
    presets(&folder, &["sign", "list.json", "--key", "ours", "--password-stdin"], "hunter2\n", 0);
    let said = minisign(&folder, &["-V", "-p", "ours.pub", "-m", "list.json"], "");
    assert_eq!(said.code, Some(0), "{said:?}");
    // Our key in their hands, prehashed and legacy.
    let key = key_of(&folder, "ours.pub");
    for (kind, file, code) in [(None, "new.minisig", 0), (Some("-l"), "legacy.minisig", 1)] {
        let args = ["-S", "-s", "ours", "-m", "list.json", "-x", file];
        let said = minisign(&folder, &[&args[..], kind.as_slice()].concat(), "hunter2\n");
        assert_eq!(said.code, Some(0), "{said:?}");
        let said = presets(&folder, &["verify", "list.json", "--key", &key, "--signature", file], "", code);
        assert!(code == 0 || said.err.contains("legacy kind (Ed)"), "{said:?}");
    }
    // Their keys in our hands, with a password and without.
    for (name, more, stdin) in [("theirs", None, "hunter2\nhunter2\n"), ("open", Some("-W"), "")] {
        let public = format!("{name}.pub");
        let args = ["-G", "-p", &public, "-s", name];
        let said = minisign(&folder, &[&args[..], more.as_slice()].concat(), stdin);
        assert_eq!(said.code, Some(0), "{said:?}");
        let password = if more.is_none() { &["--password-stdin"][..] } else { &[] };
        presets(&folder, &[&["sign", "list.json", "--key", name], password].concat(), "hunter2\n", 0);
        presets(&folder, &["verify", "list.json", "--key", &key_of(&folder, &public)], "", 0);
    }
}
