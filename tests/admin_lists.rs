//! Administrators make, check, sign and verify lists; the minisign tool and we read each other's files. No agent.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

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

fn json(said: &Said) -> Value {
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
    let schema: Value = json(&presets(&folder, &["schema"], "", 0));
    assert_eq!(schema["title"], "Hallpass list");

    let created =
        json(&presets(&folder, &["keygen", "--out", "k", "--password-stdin", "--json"], "hunter2\n", 0));
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

    let key = key_of(&folder, "k.pub");
    let verified = json(&presets(&folder, &["verify", "list.json", "--key", &key, "--json"], "", 0));
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
    let found = json(&machine);
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
