//! Which secrets are found in which places, and what each entry is taken for.
#![allow(clippy::unwrap_used, reason = "what helps a test may panic as the test may")]

mod support;

use hallpass_client_config::{ClientApp, Document, Entry, EntryKind, HeaderValue, Remote, entries};
use support::{claude, cursor, plant, sample, secrets_in};

fn read(app: &'static ClientApp, name: &str) -> Vec<Entry> {
    entries(&Document::parse(&sample(name), app).unwrap())
}

/// (place below the root key, kind, line) of each finding.
fn found(entries: &[Entry]) -> Vec<(String, String, usize)> {
    let place = |place: &str| place.trim_start_matches("mcpServers.").to_owned();
    let all = entries.iter().flat_map(|entry| &entry.findings);
    all.map(|f| (place(&f.place), f.kind.clone(), f.position.line)).collect()
}

fn remote<'a>(entries: &'a [Entry], name: &str) -> &'a Remote {
    match &entries.iter().find(|entry| entry.name == name).unwrap().kind {
        EntryKind::Remote(remote) | EntryKind::McpRemote(remote) => remote,
        other => panic!("{name} is {other:?}"),
    }
}

fn expect(found: &[(String, String, usize)], expected: &[(&str, &str, usize)]) {
    let found: Vec<_> =
        found.iter().map(|(place, kind, line)| (place.as_str(), kind.as_str(), *line)).collect();
    assert_eq!(found, expected);
}

#[test]
fn secrets_of_local_commands_are_found_and_named_without_their_value() {
    let entries = read(claude(), "claude-local-secrets.json");
    expect(
        &found(&entries),
        &[
            ("github.env.GITHUB_PERSONAL_ACCESS_TOKEN", "token", 7),
            ("postgres.args[2]", "connection string password", 12),
            ("brave-search.args[2]", "API key", 16),
        ],
    );
    assert_eq!(secrets_in(format!("{entries:?}").as_bytes()), Vec::<String>::new());
    assert!(entries.iter().all(|entry| matches!(entry.kind, EntryKind::Local { .. })));
}

#[test]
fn mcp_remote_is_read_with_its_headers_and_both_halves_of_a_hidden_one() {
    let entries = read(claude(), "claude-mcp-remote-spellings.json");
    expect(
        &found(&entries),
        &[
            ("no blank.args[4]", "API key", 5),
            ("full path.args[7]", "basic credentials", 6),
            ("shell.args[1]", "bearer token", 7),
            ("bun.args[1]", "token in the URL", 8),
            ("one line.command", "secret", 9),
            ("client info.args[3]", "secret", 10),
        ],
    );
    let urls: Vec<_> =
        entries.iter().map(|entry| remote(&entries, &entry.name).url.clone().unwrap()).collect();
    let numbers = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    assert_eq!(urls, numbers.map(|number| format!("https://{number}.example/mcp")));
    let headers = &remote(&entries, "full path").headers;
    assert_eq!(headers[0].value, HeaderValue::Plain("repos,issues".to_owned()));
    assert_eq!((headers[1].name.as_str(), &headers[1].value), ("Authorization", &HeaderValue::Secret));

    let entries = read(claude(), "claude-windows-cmd.json");
    expect(&found(&entries), &[("atlassian.env.AUTH_HEADER", "bearer token", 7)]);
    let headers = &remote(&entries, "atlassian").headers;
    assert_eq!((headers[0].name.as_str(), &headers[0].value), ("Authorization", &HeaderValue::Secret));
}

#[test]
fn remote_entries_are_judged_by_header_url_client_secret_and_comment() {
    expect(
        &found(&read(cursor(), "cursor-remote.json")),
        &[("github.headers.Authorization", "GitHub token", 6)],
    );
    expect(&found(&read(cursor(), "cursor-oauth.json")), &[("figma.auth.CLIENT_SECRET", "secret", 7)]);
    expect(
        &found(&read(cursor(), "cursor-comments.json")),
        &[("sentry.headers.Authorization", "bearer token", 11), ("sentry (comment)", "secret", 10)],
    );
    let entries = read(cursor(), "cursor-userinfo.json");
    expect(
        &found(&entries),
        &[
            ("basic.url", "password in the URL", 3),
            ("token.url", "token in the URL", 4),
            ("query.url", "token in the URL", 5),
            ("path.url", "secret in the URL's path", 6),
            ("escaped.url", "token in the URL", 7),
        ],
    );
    assert_eq!(remote(&entries, "query").url.as_deref(), Some("https://mcp.example.com/mcp?toolsets=repos"));
    assert_eq!(remote(&entries, "path").url, None);
    assert_eq!(remote(&entries, "path").host.as_deref(), Some("mcp.example.com"));
}

#[test]
fn references_are_no_secrets_but_their_defaults_are() {
    let entries = read(cursor(), "cursor-references.json");
    expect(&found(&entries), &[("github.headers.X-Other", "secret header", 7)]);
    let github = remote(&entries, "github");
    assert_eq!(github.url, None);
    assert_eq!(github.headers[0].value, HeaderValue::Reference);
}

#[test]
fn secrets_in_arguments_are_found_in_every_spelling() {
    let arguments: &[(&str, bool)] = &[
        (r#""--api-key", "@TOKEN@""#, true),
        (r#""--api-key=@TOKEN@""#, true),
        (r#""--x-token=@TOKEN@""#, true),
        (r#""-e", "GITHUB_TOKEN=@TOKEN@""#, true),
        (r#""--env=API_KEY=@TOKEN@""#, true),
        (r#""-u", "ana:@PASSWORD@""#, true),
        (r#""--oauth2Bearer", "@TOKEN@""#, true),
        (r#""--headers", "Authorization", "@TOKEN@""#, true),
        (r#""-H", "Authorization: @TOKEN@""#, true),
        (r#""{\"client_secret\":\"@TOKEN@\"}""#, true),
        (r#""https://a.example/sse?key=@TOKEN@""#, true),
        (r#""Server=a;User=b;Password=@PASSWORD@;""#, true),
        (r#""-c", "API_KEY=@TOKEN@ node server.js""#, true),
        (r#""--token", "@GITHUB@""#, true),
        (r#""@GITHUB@""#, true),
        (r#""--api-key", "${API_KEY}""#, false),
        (r#""--api-key", "--verbose""#, false),
        (r#""-e", "GITHUB_TOKEN""#, false),
        (r#""--key-file", "/home/ana/key""#, false),
        (r#""-y", "@scope/package@1.2.3", "/home/ana/work", "https://a.example/mcp""#, false),
        (r#""--max-tokens", "4096""#, false),
        (r#""--project", "8b1f6d1e-1111-4222-8333-944455566677""#, false),
    ];
    for (arguments, secret) in arguments {
        let text =
            plant(&format!(r#"{{"mcpServers": {{"a": {{"command": "node", "args": [{arguments}]}}}}}}"#));
        let entries = entries(&Document::parse(text.as_bytes(), claude()).unwrap());
        let found = found(&entries);
        assert_eq!(found.len(), usize::from(*secret), "{arguments}: {found:?}");
    }
}

#[test]
fn duplicates_are_both_shown_and_their_secrets_counted() {
    let document = Document::parse(&sample("cursor-duplicate-entry.json"), cursor()).unwrap();
    let entries = entries(&document);
    assert_eq!(entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["a", "b", "a"]);
    assert_eq!(found(&entries).len(), 2);
    assert_eq!(document.duplicates()[0].lines, (3, 5));
}

#[test]
fn entries_of_ours_are_read_from_themselves() {
    let ours = |entry: &Entry| match &entry.kind {
        EntryKind::Ours(ours) => Some((ours.server.to_string(), ours.account.is_some(), ours.untouched)),
        EntryKind::Remote(_)
        | EntryKind::McpRemote(_)
        | EntryKind::Local { .. }
        | EntryKind::Other { .. } => None,
    };
    let entries = read(cursor(), "cursor-ours-beside.json");
    assert_eq!(
        entries.iter().map(ours).collect::<Vec<_>>(),
        [
            Some(("wiki".to_owned(), false, true)),
            Some(("moved".to_owned(), true, true)),
            Some(("edited".to_owned(), false, false)),
            None
        ]
    );
    for not_ours in [
        r#"{"command": "/bin/other", "args": ["bridge", "--server", "a"]}"#,
        r#"{"command": "hallpass", "args": ["status", "--server", "a"]}"#,
        r#"{"command": "hallpass", "args": ["bridge"]}"#,
        r#"{"command": "hallpass", "args": ["bridge", "--server", "Not An Id"]}"#,
        r#"{"command": "hallpass", "args": ["bridge", "--server", "a", "--account", "ana@corp"]}"#,
    ] {
        let text = format!(r#"{{"mcpServers": {{"a": {not_ours}}}}}"#);
        let entries = hallpass_client_config::entries(&Document::parse(text.as_bytes(), claude()).unwrap());
        assert_eq!(ours(&entries[0]), None, "{not_ours}");
    }
    let windows = r#"{"mcpServers": {"a": {"command": "C:\\Users\\ana\\.hallpass\\bin\\hallpass.exe", "args": ["bridge", "--app", "claude-desktop", "--server", "a"]}}}"#;
    let entries = hallpass_client_config::entries(&Document::parse(windows.as_bytes(), claude()).unwrap());
    assert_eq!(ours(&entries[0]), Some(("a".to_owned(), false, true)));
}
