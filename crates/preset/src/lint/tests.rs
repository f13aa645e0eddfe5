//! Every rule, in every place where it can be broken. Secrets are put together here, so that none stands in a file.

use serde_json::json;

use super::*;

fn github() -> String {
    format!("ghp_{}", "Zk3vQ8rT1yB6nW0pL5sD9fG2hJ7kM4xCqE8u")
}

fn random() -> String {
    "Q8rT1yB6nW0pL5sD9fG2hJ7k".to_owned()
}

/// A list without a finding.
fn good() -> Value {
    let mut value: Value = serde_json::from_str(&crate::starter(model::UnixTime(1_795_132_800))).unwrap();
    value["servers"][0]["server"]["packages"] = json!([{
        "registryType": "npm", "identifier": "@acme/tickets", "version": "1.0.0",
        "fileSha256": "3f9a0c7be5d14826613f9a0c7be5d14826613f9a0c7be5d14826613f9a0c7be5",
        "transport": {"type": "stdio"},
        "packageArguments": [{"type": "named", "name": "--region", "value": "eu"}],
        "environmentVariables": [{"name": "ACME_TOKEN", "isSecret": true, "isRequired": true}],
    }]);
    value["servers"][0]["server"]["remotes"][0]["headers"] = json!([
        {"name": "Authorization", "value": "Bearer {token}", "isSecret": true,
         "variables": {"token": {"isSecret": true, "isRequired": true}}},
        {"name": "X-Tenant-Id", "value": "acme"},
        {"name": "X-MCP-Toolsets", "value": "repos,issues"},
    ]);
    value
}

fn rules_at(value: &Value) -> Vec<(Rule, String)> {
    findings(value).into_iter().map(|finding| (finding.rule, finding.at)).collect()
}

#[test]
fn a_good_list_has_no_finding() {
    assert_eq!(rules_at(&good()), []);
}

/// Where a value is put (a pointer below the first server entry, or from the root), the value, and what is found.
#[test]
fn a_secret_is_found_wherever_it_hides() {
    const REMOTE: &str = "/servers/0/server/remotes/0";
    const PACKAGE: &str = "/servers/0/server/packages/0";
    const OURS: &str = "/servers/0/_meta/dev.hallpass~1server";
    let (token, random) = (github(), random());
    let jwt = ["eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJhbmEifQ", "c2lnbmF0dXJlLW9mLWl0LWFsbA"].join(".");
    let pem = format!("-----BEGIN {} KEY-----", "PRIVATE");
    let hidden = format!("{}\u{200b}{}", &token[..9], &token[9..]);
    let encoded = token.replace('_', "%5F");
    let cases: Vec<(&str, String, Value, Rule, &str)> = vec![
        // P01
        (
            "secret header with a value",
            format!("{REMOTE}/headers/1"),
            json!({"name": "X-Key", "isSecret": true, "value": "hunter2"}),
            Rule::P01,
            "/value",
        ),
        (
            "secret header with a default",
            format!("{REMOTE}/headers/1"),
            json!({"name": "X-Key", "isSecret": true, "default": "hunter2"}),
            Rule::P01,
            "/default",
        ),
        (
            "secret header with choices",
            format!("{REMOTE}/headers/1"),
            json!({"name": "X-Key", "isSecret": true, "choices": ["hunter2"]}),
            Rule::P01,
            "/choices",
        ),
        (
            "braces that name no variable",
            format!("{REMOTE}/headers/1"),
            json!({"name": "X-Key", "isSecret": true, "value": "{hunter2}"}),
            Rule::P01,
            "/value",
        ),
        (
            "isSecret is no boolean",
            format!("{REMOTE}/headers/1"),
            json!({"name": "X-Key", "isSecret": "yes", "value": "hunter2"}),
            Rule::P01,
            "/value",
        ),
        (
            "secret URL variable with a value",
            format!("{REMOTE}/variables"),
            json!({"k": {"isSecret": true, "value": "hunter2"}}),
            Rule::P01,
            "/k/value",
        ),
        (
            "secret variable of a header",
            format!("{REMOTE}/headers/0/variables/token"),
            json!({"isSecret": true, "default": "hunter2"}),
            Rule::P01,
            "/default",
        ),
        (
            "secret environment variable",
            format!("{PACKAGE}/environmentVariables/0"),
            json!({"name": "ACME_TOKEN", "isSecret": true, "default": "hunter2"}),
            Rule::P01,
            "/default",
        ),
        (
            "secret argument",
            format!("{PACKAGE}/packageArguments/0"),
            json!({"type": "named", "name": "--k", "isSecret": true, "value": "hunter2"}),
            Rule::P01,
            "/value",
        ),
        // P02
        (
            "authorization",
            format!("{REMOTE}/headers/1"),
            json!({"name": "Authorization", "value": "Bearer hunter2"}),
            Rule::P02,
            "/value",
        ),
        (
            "authorization in capitals",
            format!("{REMOTE}/headers/1"),
            json!({"name": "AUTHORIZATION", "value": "hunter2"}),
            Rule::P02,
            "/value",
        ),
        (
            "authorization by default",
            format!("{REMOTE}/headers/1"),
            json!({"name": "authorization", "default": "Basic aHVudGVyMg=="}),
            Rule::P02,
            "/default",
        ),
        (
            "proxy authorization",
            format!("{REMOTE}/headers/1"),
            json!({"name": "Proxy-Authorization", "value": "Basic x"}),
            Rule::P02,
            "/value",
        ),
        (
            "cookie",
            format!("{REMOTE}/headers/1"),
            json!({"name": "Cookie", "value": "s=1"}),
            Rule::P02,
            "/value",
        ),
        (
            "api key",
            format!("{REMOTE}/headers/1"),
            json!({"name": "X-Api-Key", "value": "k"}),
            Rule::P02,
            "/value",
        ),
        (
            "another telling header",
            format!("{REMOTE}/headers/1"),
            json!({"name": "X-Auth-Token", "value": "hunter2"}),
            Rule::P02,
            "/value",
        ),
        (
            "a variable's fixed value",
            format!("{REMOTE}/headers/0"),
            json!({"name": "Authorization", "value": "Bearer {t}", "variables": {"t": {"value": "hunter2"}}}),
            Rule::P02,
            "/variables/t/value",
        ),
        (
            "headers as other configs have them",
            format!("{REMOTE}/headers"),
            json!({"Authorization": "Bearer hunter2"}),
            Rule::P02,
            "/Authorization",
        ),
        (
            "headers as lines",
            format!("{REMOTE}/headers"),
            json!(["Authorization: Bearer hunter2"]),
            Rule::P02,
            "/0",
        ),
        // P03
        (
            "user information",
            format!("{REMOTE}/url"),
            json!("https://ana:hunter2@mcp.example.com/mcp"),
            Rule::P03,
            "",
        ),
        (
            "a user name alone",
            format!("{REMOTE}/url"),
            json!("https://hunter2@mcp.example.com/mcp"),
            Rule::P03,
            "",
        ),
        (
            "a token in the query",
            format!("{REMOTE}/url"),
            json!("https://mcp.example.com/mcp?api_key=hunter2"),
            Rule::P03,
            "",
        ),
        (
            "a token in the fragment",
            format!("{REMOTE}/url"),
            json!("https://mcp.example.com/#access_token=hunter2"),
            Rule::P03,
            "",
        ),
        ("a template as host", format!("{REMOTE}/url"), json!("https://u:p@{host}/mcp"), Rule::P03, ""),
        (
            "a repository",
            "/servers/0/server/repository".to_owned(),
            json!({"url": "https://ana:hunter2@git.example.com/x"}),
            Rule::P03,
            "/url",
        ),
        (
            "a website",
            "/servers/0/server/websiteUrl".to_owned(),
            json!("https://a.example/?token=hunter2"),
            Rule::P03,
            "",
        ),
        (
            "a URL in a description",
            "/servers/0/server/description".to_owned(),
            json!("see (https://a.example/x?access_token=hunter2)."),
            Rule::P03,
            "",
        ),
        ("the issuer", format!("{OURS}/oauth/issuer"), json!("https://ana@login.example.com"), Rule::P03, ""),
        (
            "the contact",
            "/_meta/dev.hallpass~1list/contact".to_owned(),
            json!("https://a.example/?secret=hunter2"),
            Rule::P03,
            "",
        ),
        // P04
        (
            "a description",
            "/servers/0/server/description".to_owned(),
            json!(format!("use {token} please")),
            Rule::P04,
            "",
        ),
        ("a title", "/servers/0/server/title".to_owned(), json!(token), Rule::P04, ""),
        ("a version", "/servers/0/server/version".to_owned(), json!(token), Rule::P04, ""),
        ("a plain header", format!("{REMOTE}/headers/1/value"), json!(token), Rule::P04, ""),
        (
            "a random header",
            format!("{REMOTE}/headers/1"),
            json!({"name": "X-Thing", "value": random}),
            Rule::P04,
            "/value",
        ),
        ("a JWT", format!("{REMOTE}/headers/1/value"), json!(jwt), Rule::P04, ""),
        ("a PEM", "/servers/0/server/description".to_owned(), json!(pem), Rule::P04, ""),
        (
            "a path",
            format!("{REMOTE}/url"),
            json!(format!("https://mcp.example.com/s/{random}/mcp")),
            Rule::P04,
            "",
        ),
        ("the client id", format!("{OURS}/oauth/clientId"), json!(token), Rule::P04, ""),
        ("a scope", format!("{OURS}/oauth/scopes/0"), json!(token), Rule::P04, ""),
        ("a profile", format!("{OURS}/profile"), json!(random), Rule::P04, ""),
        (
            "a reason",
            format!("{OURS}/revoked"),
            json!({"reason": format!("leaked {token}")}),
            Rule::P04,
            "/reason",
        ),
        ("the list's title", "/_meta/dev.hallpass~1list/title".to_owned(), json!(token), Rule::P04, ""),
        (
            "somebody else's _meta",
            "/_meta/com.acme".to_owned(),
            json!({"deep": [{"er": token}]}),
            Rule::P04,
            "/deep/0/er",
        ),
        ("the registry's metadata", "/metadata".to_owned(), json!({"note": token}), Rule::P04, "/note"),
        ("a digest that is none", format!("{PACKAGE}/fileSha256"), json!(random), Rule::P04, ""),
        (
            "split by an invisible character",
            "/servers/0/server/description".to_owned(),
            json!(hidden),
            Rule::P04,
            "",
        ),
        ("percent encoded", "/servers/0/server/description".to_owned(), json!(encoded), Rule::P04, ""),
        (
            "in an icon",
            "/servers/0/server/icons".to_owned(),
            json!([{"src": format!("data:text/plain,{token}")}]),
            Rule::P04,
            "/0/src",
        ),
        // P05
        (
            "an environment variable",
            format!("{PACKAGE}/environmentVariables/0"),
            json!({"name": "ACME_TOKEN", "value": "hunter2-hunter2"}),
            Rule::P05,
            "/value",
        ),
        (
            "its default",
            format!("{PACKAGE}/environmentVariables/0"),
            json!({"name": "DB_PASSWORD", "default": "hunter2-hunter2"}),
            Rule::P05,
            "/default",
        ),
        (
            "env as other configs have it",
            format!("{PACKAGE}/env"),
            json!({"API_KEY": "hunter2-hunter2"}),
            Rule::P05,
            "/API_KEY",
        ),
        (
            "a named argument",
            format!("{PACKAGE}/packageArguments/0"),
            json!({"type": "named", "name": "--api-key", "value": "hunter2-hunter2"}),
            Rule::P05,
            "/value",
        ),
        (
            "a positional argument behind a flag",
            format!("{PACKAGE}/packageArguments"),
            json!([{"type": "positional", "value": "--token"}, {"type": "positional", "value": "hunter2-hunter2"}]),
            Rule::P05,
            "/1/value",
        ),
        (
            "an argument with an equals sign",
            format!("{PACKAGE}/runtimeArguments"),
            json!([{"type": "positional", "value": "--password=hunter2-hunter2"}]),
            Rule::P05,
            "/0/value",
        ),
        (
            "args as other configs have them",
            format!("{PACKAGE}/args"),
            json!(["-y", "mcp-remote", "https://a.example", "--header", "Authorization: Bearer hunter2"]),
            Rule::P05,
            "/4",
        ),
    ];
    for (what, at, value, rule, below) in cases {
        let mut list = good();
        put(&mut list, &at, value);
        let found = rules_at(&list);
        assert!(found.contains(&(rule, format!("{at}{below}"))), "{what}: {found:?}");
        let bytes = serde_json::to_vec(&list).unwrap();
        let refused = crate::List::parse(&bytes).unwrap_err();
        let told = format!("{refused} {refused:?} {:?}", lint(&bytes));
        for secret in ["hunter2", &token, &random, &jwt] {
            assert!(!told.contains(secret), "{what}: the secret is repeated: {told}");
        }
    }
}

#[test]
fn a_secret_as_a_name_is_found_and_not_repeated() {
    let mut list = good();
    list["metadata"][github()] = json!(1);
    list["servers"][0]["server"][github()] = json!({"x": 1});
    assert_eq!(
        rules_at(&list),
        [(Rule::P04, "/servers/0/server".to_owned()), (Rule::P04, "/metadata".to_owned())]
    );
    assert!(!format!("{:?}", findings(&list)).contains(&github()));
}

#[test]
fn rules_of_servers_and_of_the_list() {
    const OURS: &str = "/servers/0/_meta/dev.hallpass~1server";
    let url = "/servers/0/server/remotes/0/url";
    let second = |list: &mut Value, url: &str| {
        let mut entry = list["servers"][0].clone();
        entry["server"]["name"] = json!("com.example/other");
        entry["server"]["remotes"][0]["url"] = json!(url);
        list["servers"].as_array_mut().unwrap().push(entry);
    };
    type Break = Box<dyn Fn(&mut Value)>;
    let set = |at: String, value: Value| -> Break { Box::new(move |list| put(list, &at, value.clone())) };
    let without = |at: &'static str, name: &'static str| -> Break {
        Box::new(move |list| drop(list.pointer_mut(at).unwrap().as_object_mut().unwrap().shift_remove(name)))
    };
    let cases: Vec<(Break, Rule, String)> = vec![
        (set(url.into(), json!("http://mcp.example.com/mcp")), Rule::P06, url.into()),
        (set(url.into(), json!("HTTP://mcp.example.com/mcp")), Rule::P06, url.into()),
        (set(url.into(), json!("http://10.0.0.1/mcp")), Rule::P06, url.into()),
        (set(url.into(), json!("http://{host}/mcp")), Rule::P06, url.into()),
        (
            set(format!("{OURS}/oauth/issuer"), json!("http://login.example.com")),
            Rule::P06,
            format!("{OURS}/oauth/issuer"),
        ),
        (
            without("/servers/0/_meta/dev.hallpass~1server/oauth", "issuer"),
            Rule::P07,
            format!("{OURS}/account"),
        ),
        (without("/servers/0/_meta/dev.hallpass~1server", "oauth"), Rule::W01, OURS.into()),
        (
            set(format!("{OURS}/oauth/scopes/0"), json!("tickets:*")),
            Rule::W02,
            format!("{OURS}/oauth/scopes/0"),
        ),
        (without("/_meta/dev.hallpass~1list", "expires"), Rule::W03, "/_meta/dev.hallpass~1list".into()),
        (
            Box::new(move |list| second(list, "https://MCP.example.com:443/mcp")),
            Rule::W04,
            "/servers/1/server/remotes/0/url".into(),
        ),
    ];
    for (break_it, rule, at) in cases {
        let mut list = good();
        break_it(&mut list);
        assert!(rules_at(&list).contains(&(rule, at.clone())), "{rule} at {at}: {:?}", rules_at(&list));
    }
    for fine in ["http://localhost:3000/mcp", "http://127.0.0.1/mcp", "http://[::1]/mcp"] {
        let mut list = good();
        put(&mut list, url, json!(fine));
        assert_eq!(rules_at(&list), [], "{fine}");
    }
}

#[test]
fn parameters_of_a_sign_in_hold_neither_the_protocols_own_nor_secrets() {
    const AT: &str = "/servers/0/_meta/dev.hallpass~1server/oauth/parameters";
    let cases = [
        ("redirect_uri", json!("https://evil.example/"), Some(Rule::P08)),
        ("Code_Challenge", json!("x"), Some(Rule::P08)),
        ("client_secret", json!("hunter2"), Some(Rule::P08)),
        ("api_key", json!("hunter2-hunter2"), Some(Rule::P04)),
        ("hint", json!(github()), Some(Rule::P04)),
        ("hint", json!(random()), Some(Rule::P04)),
        ("prompt", json!("consent"), None),
        ("audience", json!("https://api.acme.example/"), None),
    ];
    for (name, value, rule) in cases {
        let mut list = good();
        list["servers"][0]["_meta"]["dev.hallpass/server"]["oauth"]["parameters"] = json!({name: value});
        let expected: Vec<_> = rule.map(|rule| (rule, format!("{AT}/{name}"))).into_iter().collect();
        assert_eq!(rules_at(&list), expected, "{name}");
        let read = crate::List::parse(&serde_json::to_vec(&list).unwrap());
        assert_eq!(read.is_err(), rule.is_some(), "{name}");
        assert!(!format!("{read:?}").contains("hunter2"), "{name}");
    }
    let mut list = good();
    let oauth = &mut list["servers"][0]["_meta"]["dev.hallpass/server"]["oauth"];
    oauth["clientMetadataUrl"] = json!("http://acme.example/c.json");
    let at = AT.replace("parameters", "clientMetadataUrl");
    assert_eq!(rules_at(&list), [(Rule::P06, at)]);
}

#[test]
fn a_trusted_comment_holds_no_secret_either() {
    assert_eq!(lint_comment("timestamp:1633700835\tfile:list.json\thashed"), None);
    assert_eq!(lint_comment("com.acme/dev-tools serial 42 issued 2026-11-20T00:00:00Z"), None);
    let found = lint_comment(&format!("key {}", github())).unwrap();
    assert_eq!((found.rule, found.at.as_str()), (Rule::P04, "signature"));
}

/// Puts a value at a pointer; the last step may be new.
fn put(root: &mut Value, at: &str, value: Value) {
    let (parent, name) = at.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/").replace("~0", "~");
    match root.pointer_mut(parent).unwrap_or_else(|| panic!("{parent} is not there")) {
        Value::Object(map) => drop(map.insert(name, value)),
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        other => panic!("{at} lies in {other}"),
    }
}
