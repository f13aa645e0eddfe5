//! Tables of what people paste. Tokens are made up here, so that none stands in a file.

use base64::Engine as _;

use super::*;

const URL: &str = "https://mcp.acme.example/mcp";

fn token() -> String {
    format!("ghp_{}", "Zk3vQ8rT1yB6nW0pL5sD9fG2hJ7kM4xCqE8u")
}

/// The one server of a text that can be added.
#[track_caller]
fn one(text: &str) -> PastedServer {
    let pasted = read_pasted(text);
    assert_eq!(pasted.problem, None, "{text}");
    assert_eq!(pasted.servers.len(), 1, "{text}: {pasted:?}");
    let server = pasted.servers.into_iter().next().unwrap();
    assert_eq!(server.problem, None, "{text}");
    server
}

fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

#[test]
fn every_form_yields_the_same_server() {
    let entry = format!(r#"{{"url":"{URL}"}}"#);
    let named = format!(r#"{{"name":"acme","type":"http","url":"{URL}"}}"#);
    let web = format!(
        "https://vscode.dev/redirect?url={}",
        percent(&format!("vscode:mcp/install?{}", percent(&named)))
    );
    let forms = [
        (URL.to_owned(), "a URL", "mcp.acme.example"),
        (format!("  {URL}\n"), "a URL", "mcp.acme.example"),
        (format!("`{URL}`"), "a URL", "mcp.acme.example"),
        (
            format!("cursor://anysphere.cursor-deeplink/mcp/install?name=acme&config={}", base64(&entry)),
            "a Cursor link",
            "acme",
        ),
        (
            format!("https://cursor.com/en/install-mcp?name=acme&config={}", percent(&base64(&entry))),
            "a Cursor link",
            "acme",
        ),
        (
            format!("lmstudio://add_mcp?name=acme&config={}", base64(&entry).trim_end_matches('=')),
            "an LM Studio link",
            "acme",
        ),
        (
            format!("https://kiro.dev/launch/mcp/add?name=acme&config={}", percent(&entry)),
            "a Kiro link",
            "acme",
        ),
        (format!("vscode:mcp/install?{}", percent(&named)), "a VS Code link", "acme"),
        (format!("vscode-insiders:mcp/install?{}", percent(&named)), "a VS Code link", "acme"),
        (web, "a VS Code link", "acme"),
        (format!("hallpass://add?url={}&name=acme", percent(URL)), "a Hallpass link", "acme"),
        (format!("claude mcp add --transport http acme {URL}"), "a Claude Code command", "acme"),
        (format!("$ claude mcp add acme --scope user -t sse \\\n  {URL}"), "a Claude Code command", "acme"),
        (format!("claude mcp add-json acme '{entry}' --scope user"), "a Claude Code command", "acme"),
        (
            format!("codex mcp add acme --url {URL} --bearer-token-env-var ACME_TOKEN"),
            "a Codex command",
            "acme",
        ),
        (format!("gemini mcp add --transport=http acme {URL}"), "a Gemini command", "acme"),
        (format!("code --add-mcp '{named}'"), "an editor's command", "acme"),
        (format!("claude mcp add acme -- npx -y mcp-remote {URL}"), "a Claude Code command", "acme"),
        (
            format!("npx -y mcp-remote@latest {URL} --transport http-only"),
            "a command line",
            "mcp.acme.example",
        ),
        (format!("cmd /c npx mcp-remote {URL}"), "a command line", "mcp.acme.example"),
        (format!(r#"{{"mcpServers":{{"acme":{entry}}}}}"#), "a JSON snippet", "acme"),
        (
            format!(r#"{{"servers":{{"acme":{{"type":"http","url":"{URL}"}}}},"inputs":[]}}"#),
            "a JSON snippet",
            "acme",
        ),
        (format!(r#"{{"mcp":{{"servers":{{"acme":{entry}}}}}}}"#), "a JSON snippet", "acme"),
        (format!(r#"{{"context_servers":{{"acme":{entry}}}}}"#), "a JSON snippet", "acme"),
        (format!(r#"{{"acme":{{"serverUrl":"{URL}"}}}}"#), "a JSON snippet", "acme"),
        (format!("\"acme\": {{ \"url\": \"{URL}\", }},"), "a JSON snippet", "acme"),
        (
            format!("// ~/.cursor/mcp.json\n{{ /* ours */ \"mcpServers\": {{ \"acme\": {entry}, }}, }}"),
            "a JSON snippet",
            "acme",
        ),
        (format!("```json\n{{\"mcpServers\":{{\"acme\":{entry}}}}}\n```"), "a JSON snippet", "acme"),
        (named.clone(), "a JSON snippet", "acme"),
        (entry.clone(), "a JSON snippet", "mcp.acme.example"),
        (
            format!(r#"{{"mcpServers":{{"acme":{{"command":"npx","args":["mcp-remote","{URL}"]}}}}}}"#),
            "a JSON snippet",
            "acme",
        ),
    ];
    for (text, read_as, label) in forms {
        let server = one(&text);
        assert_eq!(server.url.as_deref(), Some(URL), "{text}");
        assert_eq!(server.label, label, "{text}");
        assert_eq!(server.secrets, Vec::<String>::new(), "{text}");
        assert_eq!(read_pasted(&text).read_as, read_as, "{text}");
    }
}

#[test]
fn secrets_are_named_by_kind_and_never_quoted() {
    let t = token();
    let config = base64(&format!(r#"{{"url":"{URL}","headers":{{"Authorization":"Bearer {t}"}}}}"#));
    let texts = [
        (format!("{URL}?api_key={t}"), "GitHub token"),
        (format!("{URL}?toolset=a&access_token=hunter2hunter2"), "token in the URL"),
        (format!("{URL}#access_token=hunter2hunter2&state=x"), "token in the URL"),
        (format!("cursor://anysphere.cursor-deeplink/mcp/install?name=acme&config={config}"), "GitHub token"),
        (
            format!(r#"claude mcp add -t http acme {URL} --header "Authorization: Bearer {t}""#),
            "GitHub token",
        ),
        (format!(r#"claude mcp add -t http acme {URL} -H "X-Api-Key: hunter2""#), "API key"),
        (format!("claude mcp add -t http acme {URL} --env ACME_TOKEN={t}"), "GitHub token"),
        (format!("claude mcp add -t http acme {URL} --client-secret hunter2hunter2"), "secret"),
        (format!("npx mcp-remote {URL} --header 'Authorization: Bearer {t}'"), "GitHub token"),
        (format!("ACME_TOKEN={t} npx mcp-remote {URL}"), "GitHub token"),
        (
            format!(r#"{{"mcpServers":{{"acme":{{"url":"{URL}","env":{{"PASSWORD":"hunter2"}}}}}}}}"#),
            "password",
        ),
    ];
    for (text, kind) in texts {
        let server = one(&text);
        assert!(server.secrets.iter().any(|found| found == kind), "{text}: {:?}", server.secrets);
        let all = format!("{:?}", read_pasted(&text));
        assert!(!all.contains("hunter2") && !all.contains(&t), "{all}");
        let url = server.url.unwrap();
        assert!(url == URL || url == format!("{URL}?toolset=a"), "{url}");
        assert!(server.headers.is_empty());
    }
}

#[test]
fn what_cannot_be_added_says_why() {
    let t = token();
    let servers = [
        (format!("https://ana:{t}@mcp.acme.example/mcp"), "user name or password"),
        ("https://hunter2hunter2@mcp.acme.example/mcp".to_owned(), "user name or password"),
        ("http://mcp.acme.example/mcp".to_owned(), "http"),
        (format!("https://mcp.acme.example/s/{t}/mcp"), "holds a secret"),
        ("https://mcp.\u{430}cme.example/mcp".to_owned(), "xn--"),
        (r#"{"url":"${ACME_URL}/mcp"}"#.to_owned(), "variable"),
        (r#"{"type":"ws","url":"https://mcp.acme.example/mcp"}"#.to_owned(), "WebSocket"),
        (format!(r#"{{"url":"{URL}","headers":{{"X-Odd":"west"}}}}"#), "X-Odd"),
        (r#"{"mcpServers":{"files":{"command":"npx","args":["-y","server-files"]}}}"#.to_owned(), "(npx)"),
        (format!(r#"{{"command":"{t}"}}"#), "local command;"),
        (r#"{"mcpServers":{"x":{"command":"npx","url":"https://a.example"}}}"#.to_owned(), "both"),
        (r#"{"mcpServers":{"x":3}}"#.to_owned(), "a number"),
        (
            r#"{"mcpServers":{"x":{"command":"/o/hallpass","args":["bridge","--app","cursor","--server","jira"]}}}"#
                .to_owned(),
            "own entry",
        ),
        ("docker run -i --rm acme/mcp".to_owned(), "(docker)"),
        ("claude mcp add files -- npx -y server-files /home".to_owned(), "(npx)"),
    ];
    for (text, part) in servers {
        let pasted = read_pasted(&text);
        assert_eq!(pasted.servers.len(), 1, "{text}: {pasted:?}");
        let server = &pasted.servers[0];
        assert_eq!(server.url, None, "{text}");
        assert!(server.problem.as_deref().unwrap_or_default().contains(part), "{text}: {server:?}");
        let all = format!("{pasted:?}");
        assert!(!all.contains("hunter2") && !all.contains(&t), "{all}");
    }
}

#[test]
fn what_is_no_server_at_all_says_what_could_be_pasted_instead() {
    let huge = "x".repeat(10 * 1024 * 1024);
    let deep = "[".repeat(5000);
    let many = format!(
        "{{{}}}",
        (0..1001).map(|n| format!(r#""s{n}":{{"url":"{URL}"}}"#)).collect::<Vec<_>>().join(",")
    );
    for (text, read_as, part) in [
        ("", "nothing", "paste a server's URL"),
        (" \n\t ", "nothing", "paste a server's URL"),
        ("hello there", "a text", "no server can be recognised"),
        ("<script>alert(1)</script>", "a text", "no server can be recognised"),
        (&huge, "a long text", "1 MB"),
        ("https://mcp.acme.example/\u{202e}pcm", "a text", "U+202E"),
        ("https://mcp.ac\u{200b}me.example/mcp", "a text", "U+200B"),
        ("https://mcp.acme.example/\u{1b}[31m", "a text", "U+001B"),
        ("{\"mcpServers\": \0}", "a text", "U+0000"),
        ("mcp.acme.example/mcp", "an address without its scheme", "https://"),
        ("localhost:3000/mcp", "an address without its scheme", "https://"),
        ("{\"mcpServers\": {\"a\": {\"url\": \"https://a.example\"}", "something like JSON", "line 1"),
        ("\"acme\": {\"url\": \"https://a.example\"", "something like JSON", "not JSON"),
        (&deep, "something like JSON", "nested"),
        ("{}", "a JSON snippet", "no server stands in it"),
        ("{\"theme\": \"dark\"}", "a JSON snippet", "no server stands in it"),
        ("[1, 2]", "a JSON snippet", "a list"),
        ("// nothing", "a JSON snippet", "no server stands in it"),
        ("[mcp_servers.acme]\nurl = \"https://a.example\"", "a snippet of TOML", "or the JSON of its entry"),
        (
            "# Codex\n\n[mcp_servers.\"acme\"]\nurl = \"https://a.example\"",
            "a snippet of TOML",
            "paste a server's URL",
        ),
        ("[[servers]]\nname = \"acme\"", "a snippet of TOML", "TOML cannot be read here"),
        ("mcp_servers.acme.url = \"https://a.example\"", "a snippet of TOML", "TOML"),
        ("model = \"o9\"\n[mcp_servers.acme]\nurl = \"https://a.example\"", "a snippet of TOML", "TOML"),
        (
            "mcpServers:\n  - name: acme",
            "a snippet of YAML",
            "YAML cannot be read here; paste a server's URL",
        ),
        ("---\nmcpServers: {}", "a snippet of YAML", "YAML"),
        ("- name: acme\n  url: https://a.example", "a snippet of YAML", "YAML"),
        ("name: acme\nurl: https://a.example/mcp", "a snippet of YAML", "YAML"),
        ("<?xml version=\"1.0\"?><plist><dict/></plist>", "a snippet of XML", "or the JSON of its entry"),
        ("[true]", "a JSON snippet", "a list"),
        ("slack://open?x=1", "a link", "slack:"),
        ("cursor://anysphere.cursor-deeplink/mcp/install?name=x", "a Cursor link", "config="),
        ("cursor://anysphere.cursor-deeplink/mcp/install?name=x&config=%25%25", "a Cursor link", "damaged"),
        ("cursor://anysphere.cursor-deeplink/mcp/install?name=x&config=aGVsbG8=", "a Cursor link", "damaged"),
        ("vscode:mcp/by-name/acme", "a VS Code link", "no address"),
        ("vscode:mcp/install?%7B", "a VS Code link", "damaged"),
        ("hallpass://add", "a Hallpass link", "no address"),
        ("hallpass://steal?url=https://a.example", "a Hallpass link", "does not know"),
        ("hallpass://subscribe?url=http://a.example/l.json", "a Hallpass link", "plain https"),
        (
            "hallpass://subscribe?url=https://a.example/l.json%3Ftoken=hunter2hunter2",
            "a Hallpass link",
            "plain https",
        ),
        ("hallpass://subscribe?url=https://a.example/l.json&key=RWnope", "a Hallpass link", "minisign"),
        ("claude mcp add", "a Claude Code command", "names no server"),
        ("claude mcp list", "a Claude Code command", "mcp add"),
        ("claude mcp add-json acme '{'", "a Claude Code command", "damaged"),
        (&many, "a JSON snippet with 1001 servers", "more than 1000"),
    ] {
        let pasted = read_pasted(text);
        let shown = text.chars().take(80).collect::<String>();
        assert_eq!(pasted.read_as, read_as, "{shown}");
        assert!(pasted.problem.as_deref().unwrap_or_default().contains(part), "{shown}: {pasted:?}");
        assert!(pasted.servers.is_empty() && pasted.lists.is_empty(), "{shown}");
        assert!(!format!("{pasted:?}").contains("hunter2"), "{pasted:?}");
    }
    let pasted = read_pasted(&token());
    assert_eq!(pasted.read_as, "a secret");
    assert!(!format!("{pasted:?}").contains(&token()));
}

#[test]
fn several_servers_come_one_by_one_with_what_each_needs() {
    let text = format!(
        r#"{{"mcpServers":{{
            "acme": {{"url":"{URL}","headers":{{"X-MCP-Toolsets":"repos","Authorization":"Bearer {}"}}}},
            "<script>": {{"url":"https://b.example/mcp"}},
            "files": {{"command":"npx","args":["server-files"]}}
        }}}}"#,
        token()
    );
    let pasted = read_pasted(&text);
    assert_eq!(pasted.read_as, "a JSON snippet with 3 servers");
    let [acme, odd, files] = &pasted.servers[..] else { panic!("{pasted:?}") };
    assert_eq!(acme.headers, BTreeMap::from([("X-MCP-Toolsets".to_owned(), "repos".to_owned())]));
    assert_eq!(acme.secrets, ["GitHub token"]);
    assert_eq!((odd.label.as_str(), odd.url.as_deref()), ("<script>", Some("https://b.example/mcp")));
    assert!(files.problem.is_some());
    let two = read_pasted(&format!("{URL}\nhttps://b.example/mcp"));
    assert_eq!((two.read_as.as_str(), two.servers.len()), ("2 URLs", 2));
}

#[test]
fn a_list_is_told_from_a_server() {
    let key = base64(&format!("Ed{}", "k".repeat(40)));
    let text =
        format!("hallpass://subscribe?url={}&key={}", percent("https://a.example/l.json"), percent(&key));
    let pasted = read_pasted(&text);
    assert_eq!(pasted.lists, [PastedList { source: "https://a.example/l.json".into(), key: Some(key) }]);
    assert_eq!((pasted.problem, pasted.servers.len()), (None, 0));
    let unsigned = read_pasted("hallpass://subscribe?url=https://a.example/l.json");
    assert_eq!(unsigned.lists[0].key, None);
}

#[test]
fn a_name_that_is_a_secret_or_too_long_is_not_shown() {
    let text = format!(r#"{{"{}":{{"url":"{URL}"}}}}"#, token());
    assert_eq!(one(&text).label, "mcp.acme.example");
    let text = format!(r#"{{"{}":{{"url":"{URL}"}}}}"#, "y".repeat(10_000));
    assert_eq!(one(&text).label.len(), 100);
}
