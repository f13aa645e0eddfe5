//! Every sample either goes there and back byte for byte, or is refused with the reason and left alone.
#![allow(clippy::unwrap_used, reason = "what helps a test may panic as the test may")]

mod support;

use hallpass_client_config::{ClientApp, Document, EntryKind, PlannedKind, Target, Which, entries, plan};
use support::{
    EXECUTABLE, Sandbox, claude, connect, connect_everything, cursor, moved_secrets_in, plant, sample,
    secrets_in,
};

/// A configuration and what must come of it.
struct Sample {
    name: String,
    app: &'static ClientApp,
    /// `None`: the file is missing.
    bytes: Option<Vec<u8>>,
    /// Part of the sentence that refuses it.
    refused: Option<&'static str>,
}

const FILES: &[&str] = &[
    "claude-two-servers.json",
    "claude-preferences.json",
    "claude-no-servers.json",
    "claude-empty-servers.json",
    "claude-empty-servers-lines.json",
    "claude-windows-cmd.json",
    "claude-mcp-remote-spellings.json",
    "claude-local-secrets.json",
    "claude-url-entry.json",
    "claude-one-line.json",
    "claude-one-line-spaced.json",
    "cursor-remote.json",
    "cursor-comments.json",
    "cursor-commented-out.json",
    "cursor-trailing-commas.json",
    "cursor-comma-after-comment.json",
    "cursor-references.json",
    "cursor-oauth.json",
    "cursor-userinfo.json",
    "cursor-extra-keys.json",
    "cursor-unicode.json",
    "cursor-empty.json",
    "cursor-empty-spaced.json",
    "cursor-only-comments.json",
    "cursor-comment-in-empty.json",
    "cursor-blank-lines.json",
    "cursor-allman.json",
    "cursor-comma-first.json",
    "cursor-servers-last.json",
    "cursor-odd-entries.json",
    "cursor-ours-beside.json",
];

/// Bytes that a repository or an editor would not keep as they are.
fn odd_samples() -> Vec<Sample> {
    let text = |name: &str| String::from_utf8(sample(name)).unwrap();
    let (two, remote, comments) =
        (text("claude-two-servers.json"), text("cursor-remote.json"), text("cursor-comments.json"));
    let good = |name: &str, app, bytes: Vec<u8>| Sample {
        name: name.into(),
        app,
        bytes: Some(bytes),
        refused: None,
    };
    let bad = |name: &str, app, bytes: &[u8], why| Sample {
        name: name.into(),
        app,
        bytes: Some(bytes.to_vec()),
        refused: Some(why),
    };
    let mixed =
        two.replace("    \"github\"", "\t\"github\"").replace("      \"args\": [\n", "\t\t \"args\": [\r\n");
    let deep = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"deep": {open}{close}, "mcpServers": {{}}}}"#)
    };
    let nul = [b"{\"mcpServers\": {}}".as_slice(), b"\0\0\0\0"].concat();
    let invalid = [b"{\"x\": \"".as_slice(), &[0xff, 0xfe], b"\", \"mcpServers\": {}}"].concat();
    let utf16: Vec<u8> = two.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        good("CRLF", claude(), two.replace('\n', "\r\n").into_bytes()),
        good("CRLF with comments", cursor(), comments.replace('\n', "\r\n").into_bytes()),
        good("lone CR", claude(), two.replace('\n', "\r").into_bytes()),
        good("lone CR with comments", cursor(), comments.replace('\n', "\r").into_bytes()),
        good("tabs", claude(), two.replace("  ", "\t").into_bytes()),
        good("eight blanks", cursor(), remote.replace("  ", "        ").into_bytes()),
        good("tabs, blanks and both line ends", claude(), mixed.into_bytes()),
        good("no final newline", claude(), two.trim_end().into()),
        good("many final newlines", cursor(), format!("{remote}\n\n\n").into_bytes()),
        good("byte order mark, dropped", claude(), format!("\u{feff}{two}").into_bytes()),
        good(
            "byte order mark and CRLF, dropped",
            claude(),
            format!("\u{feff}{}", two.replace('\n', "\r\n")).into(),
        ),
        good("byte order mark, kept", cursor(), format!("\u{feff}{remote}").into_bytes()),
        good("byte order mark alone", claude(), "\u{feff}".into()),
        good("empty file", claude(), Vec::new()),
        good("blanks only", cursor(), b" \r\n\t ".to_vec()),
        good("128 levels", cursor(), deep(127).into_bytes()),
        good("large", claude(), large(&two).into_bytes()),
        Sample { name: "missing".into(), app: claude(), bytes: None, refused: None },
        Sample { name: "missing, Cursor".into(), app: cursor(), bytes: None, refused: None },
        bad("null root key", claude(), b"{\"mcpServers\": null}", "`mcpServers` is null"),
        bad("list as root key", cursor(), b"{\"mcpServers\": []}", "`mcpServers` is a list"),
        bad("text as root key", claude(), b"{\"mcpServers\": \"x\"}", "`mcpServers` is a string"),
        bad("list as root", cursor(), b"[]", "a list where an object"),
        bad("null as root", claude(), b"null", "null where an object"),
        bad("number as root", claude(), b"7", "a number where an object"),
        bad("comment for Claude", claude(), comments.as_bytes(), "not JSON as Claude Desktop reads it"),
        bad(
            "trailing comma for Claude",
            claude(),
            b"{\"mcpServers\": {},}",
            "not JSON as Claude Desktop reads it",
        ),
        bad("truncated", claude(), &two.as_bytes()[..two.len() / 2], "not JSON"),
        bad("truncated string", cursor(), b"{\"mcpServers\": {\"a", "not JSON"),
        bad("two values", cursor(), b"{} {}", "not JSON"),
        bad("missing comma", cursor(), b"{\"a\": 1 \"mcpServers\": {}}", "not JSON"),
        bad("single quotes", cursor(), b"{'mcpServers': {}}", "not JSON"),
        bad("bare key", cursor(), b"{mcpServers: {}}", "not JSON"),
        bad("no JSON at all", claude(), b"hello", "not JSON"),
        bad("unclosed comment", cursor(), b"{\"mcpServers\": {}} /* ", "not JSON"),
        bad("half a surrogate pair", cursor(), br#"{"x": "\ud800", "mcpServers": {}}"#, "not JSON"),
        bad(
            "raw line end in a string",
            claude(),
            b"{\"x\": \"a\nb\", \"mcpServers\": {}}",
            "control character",
        ),
        bad("no-break space", cursor(), "{\u{a0}\"mcpServers\": {}}".as_bytes(), "white space"),
        bad("form feed", claude(), b"{\x0c\"mcpServers\": {}}", "white space"),
        bad("NUL", claude(), &nul, "NUL"),
        bad("invalid UTF-8", cursor(), &invalid, "not UTF-8"),
        bad("UTF-16", claude(), &utf16, "NUL"),
        bad("129 levels", cursor(), deep(128).as_bytes(), "128 levels"),
        bad("100,000 levels", claude(), deep(100_000).as_bytes(), "128 levels"),
        bad("entry twice", cursor(), &sample("cursor-duplicate-entry.json"), "`mcpServers.a` stands twice"),
        bad(
            "root key twice",
            cursor(),
            &sample("cursor-duplicate-root-key.json"),
            "`mcpServers` stands twice",
        ),
        bad(
            "escaped root key twice",
            claude(),
            br#"{"mcpServers": {}, "mcpS\u0065rvers": {}}"#,
            "stands twice",
        ),
    ]
}

fn large(two: &str) -> String {
    let filler = format!("  \"history\": \"{}\",\n", "x".repeat(2_000_000));
    two.replacen("{\n", &format!("{{\n{filler}"), 1)
}

fn samples() -> Vec<Sample> {
    let app = |name: &str| if name.starts_with("claude") { claude() } else { cursor() };
    let files = FILES.iter().map(|name| Sample {
        name: (*name).to_owned(),
        app: app(name),
        bytes: Some(sample(name)),
        refused: None,
    });
    files.chain(odd_samples()).collect()
}

#[test]
fn every_sample_goes_there_and_back_or_is_refused() {
    let samples = samples();
    let (mut there_and_back, mut refused) = (0, 0);
    for sample in &samples {
        if let Some(why) = sample.refused {
            is_refused(sample, why);
            refused += 1;
        } else {
            goes_there_and_back(sample);
            there_and_back += 1;
        }
    }
    println!(
        "{there_and_back} samples went there and back byte for byte, {refused} were refused and left alone"
    );
    assert_eq!((there_and_back, refused), (50, 28));
}

fn is_refused(sample: &Sample, why: &str) {
    let name = &sample.name;
    let sandbox = Sandbox::new(sample.app, sample.bytes.as_deref());
    let error = sandbox.plan(&[connect("jira")]).expect_err(name).to_string();
    assert!(error.contains(why), "{name}: {error}");
    assert!(secrets_in(error.as_bytes()).is_empty(), "{name}: {error}");
    assert_eq!(sandbox.bytes(), sample.bytes, "{name}");
    assert!(sandbox.journal_bytes().is_empty(), "{name}");
}

fn goes_there_and_back(sample: &Sample) {
    let name = &sample.name;
    let original = sample.bytes.as_deref();
    let mut sandbox = Sandbox::new(sample.app, original);
    let before = Document::parse(original.unwrap_or_default(), sample.app).unwrap();
    let findings_before = entries(&before).iter().map(|entry| entry.findings.len()).sum::<usize>();
    let plan = sandbox.plan(&connect_everything(&before)).unwrap_or_else(|error| panic!("{name}: {error}"));

    let view = plan.view();
    let shown = serde_json::to_string(&view).unwrap();
    assert_eq!(
        secrets_in(shown.as_bytes()),
        Vec::<String>::new(),
        "{name}: the view shows a secret\n{}",
        view.diff
    );
    assert!(view.diff.contains('+'), "{name}: no diff");
    assert_eq!(view.digest, sandbox.plan(&connect_everything(&before)).unwrap().digest(), "{name}");

    sandbox.apply(&plan).unwrap_or_else(|error| panic!("{name}: {error}"));
    let applied = sandbox.bytes().unwrap();
    assert_eq!(applied, plan.after(), "{name}");
    assert_eq!(moved_secrets_in(&applied), Vec::<String>::new(), "{name}: the applied file holds a secret");
    assert_eq!(
        secrets_in(&sandbox.journal_bytes()),
        Vec::<String>::new(),
        "{name}: the journal holds a secret"
    );
    reads_as_the_app_does(name, sample.app, &applied);
    let kinds = sandbox.kinds();
    for planned in view.entries.iter().filter(|entry| entry.changes()) {
        let EntryKind::Ours(ours) = &kinds[&planned.name] else {
            panic!("{name}: {} is not ours", planned.name)
        };
        assert_eq!(Some(&ours.server), planned.server.as_ref(), "{name}");
        assert!(ours.untouched && ours.executable == EXECUTABLE && ours.app == sample.app.id, "{name}");
    }
    let again = sandbox.plan(&connect_everything(&before)).unwrap();
    assert!(again.is_empty(), "{name}: a second plan changes something: {:?}", again.view().entries);

    let back = sandbox.restore_plan(Which::All);
    let shown = serde_json::to_string(&back.view()).unwrap();
    assert_eq!(secrets_in(shown.as_bytes()), Vec::<String>::new(), "{name}: the view shows a secret");
    assert_eq!(back.findings().len(), view.secrets_moved, "{name}");
    assert!(view.secrets_moved <= findings_before, "{name}");
    let done = sandbox.restore(Which::All);
    assert_eq!(sandbox.bytes().as_deref(), original, "{name}: undo is not exact");
    assert!(done.written.is_some(), "{name}");
    assert!(sandbox.keychain.is_empty(), "{name}: the keychain still holds items that nothing needs");
    assert!(sandbox.journal.items(sample.app, &sandbox.path).unwrap().is_empty(), "{name}");
    assert!(sandbox.restore_plan(Which::All).is_empty(), "{name}");
}

/// By the app's own rules, and by another parser than ours where there is one.
fn reads_as_the_app_does(name: &str, app: &'static ClientApp, bytes: &[u8]) {
    Document::parse(bytes, app).unwrap_or_else(|error| panic!("{name}: {error}"));
    if app.id == "claude-desktop" {
        let value: serde_json::Value =
            serde_json::from_slice(bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(value["mcpServers"].is_object(), "{name}");
        assert_eq!(value["mcpServers"]["added by hallpass"]["args"][0], "bridge", "{name}");
    }
}

#[test]
fn every_sample_survives_a_foreign_edit_between_apply_and_restore() {
    for sample in samples().iter().filter(|sample| sample.refused.is_none()) {
        let name = &sample.name;
        let mut sandbox = Sandbox::new(sample.app, sample.bytes.as_deref());
        let before = Document::parse(sample.bytes.as_deref().unwrap_or_default(), sample.app).unwrap();
        sandbox.connect(&connect_everything(&before));
        // Another program puts a member in front of everything.
        let applied = String::from_utf8(sandbox.bytes().unwrap()).unwrap();
        let at = Document::parse(applied.as_bytes(), sample.app).map(|_| brace(&applied)).unwrap();
        let edited = format!("{}\"foreign\": [1, 2],{}", &applied[..at], &applied[at..]);
        std::fs::write(&sandbox.path, &edited).unwrap();
        let restore = sandbox.restore_plan(Which::All);
        assert!(
            restore
                .view()
                .entries
                .iter()
                .all(|entry| entry.kind != PlannedKind::Conflict || sample.name.contains("ours-beside")),
            "{name}"
        );
        sandbox.restore(Which::All);
        let restored = sandbox.bytes().unwrap();
        let after = Document::parse(&restored, sample.app).unwrap_or_else(|error| panic!("{name}: {error}"));
        let shape = |document: &Document| -> Vec<_> {
            entries(document).into_iter().map(|e| (e.name, e.kind, e.findings.len())).collect()
        };
        assert_eq!(shape(&after), shape(&before), "{name}");
        assert!(String::from_utf8(restored.clone()).unwrap().contains("\"foreign\": [1, 2]"), "{name}");
        assert_eq!(secrets_in(&restored), secrets_in(sample.bytes.as_deref().unwrap_or_default()), "{name}");
        assert!(sandbox.keychain.is_empty(), "{name}");
    }
}

/// Behind the brace that opens the root: the first one outside of comments.
fn brace(text: &str) -> usize {
    let (mut at, bytes) = (0, text.as_bytes());
    while bytes[at] != b'{' {
        let rest = &text[at..];
        at += match (rest.starts_with("//"), rest.starts_with("/*")) {
            (true, _) => rest.find(['\n', '\r']).unwrap(),
            (_, true) => rest.find("*/").unwrap() + 2,
            _ => rest.chars().next().unwrap().len_utf8(),
        };
    }
    at + 1
}

#[test]
fn a_plan_looks_as_its_neighbours_do() {
    let show = |app, text: &str| {
        let text = plant(text);
        let target = Target { path: "/x/config.json".as_ref(), bytes: Some(text.as_bytes()), app };
        let plan = plan(target, &[connect("new")], EXECUTABLE).unwrap();
        String::from_utf8(plan.after().to_vec()).unwrap()
    };
    let args = r#"["bridge", "--app", "cursor", "--server", "new"]"#;
    let entry = |eol: &str, outer: &str, inner: &str| {
        format!("{{{eol}{inner}\"command\": \"{EXECUTABLE}\",{eol}{inner}\"args\": {args}{eol}{outer}}}")
    };
    assert_eq!(
        show(
            cursor(),
            "{\r\n\t\"mcpServers\": {\r\n\t\t\"a\": {\r\n\t\t\t\"command\": \"b\"\r\n\t\t}\r\n\t}\r\n}"
        ),
        format!(
            "{{\r\n\t\"mcpServers\": {{\r\n\t\t\"a\": {{\r\n\t\t\t\"command\": \"b\"\r\n\t\t}},\r\n\t\t\"new\": {}\r\n\t}}\r\n}}",
            entry("\r\n", "\t\t", "\t\t\t")
        )
    );
    assert_eq!(
        show(cursor(), "{\n    \"mcpServers\": {\n        \"a\": {} // why\n    }\n}\n"),
        format!(
            "{{\n    \"mcpServers\": {{\n        \"a\": {{}}, // why\n        \"new\": {}\n    }}\n}}\n",
            entry("\n", "        ", "            ")
        )
    );
    assert_eq!(
        show(cursor(), r#"{"mcpServers":{"a":{"command":"b"}}}"#),
        format!(
            r#"{{"mcpServers":{{"a":{{"command":"b"}},"new":{{"command":"{EXECUTABLE}","args":{}}}}}}}"#,
            args.replace(", ", ",")
        )
    );
    assert_eq!(
        show(cursor(), "{}"),
        format!("{{\n  \"mcpServers\": {{\n    \"new\": {}\n  }}\n}}", entry("\n", "    ", "      "))
    );
}
