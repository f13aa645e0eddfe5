use serde_json::json;

use super::*;
use crate::Endpoint;

fn read(asked: &str, result: Value) -> Result<Named, NamesNobody> {
    let Value::Object(result) = result else { panic!("a result is an object") };
    WhoamiTool::parse(asked).unwrap().read(&result, Some("login"))
}

fn text(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

fn named(id: &str, label: Option<&str>) -> Named {
    Named { id: id.to_owned(), label: label.map(str::to_owned) }
}

#[test]
fn a_tool_and_a_field_are_read_and_written_alike() {
    for good in ["whoami", "get_me:id", "hf_whoami:account.id", "user-info:userId", "a.b/c:x"] {
        assert_eq!(WhoamiTool::parse(good).unwrap().to_string(), good);
    }
    for bad in ["", ":id", "who am i", "x:", "x:.", "x:a..b", "x:a b", "x:a:b", "wer\u{202e}"] {
        assert!(WhoamiTool::parse(bad).is_err(), "{bad} was taken");
    }
    let stored: WhoamiTool = serde_json::from_str(r#""get_me:id""#).unwrap();
    assert_eq!(
        (stored.tool(), serde_json::to_string(&stored).unwrap().as_str()),
        ("get_me", r#""get_me:id""#)
    );
}

#[test]
fn a_plain_answer_is_the_name() {
    assert_eq!(read("whoami", text(" ana \n")), Ok(named("ana", None)));
    assert_eq!(read("whoami", text("42")), Ok(named("42", None)));
    let twice = json!({"content": [{"type": "text", "text": "ana"}, {"type": "text", "text": "ana"}], "isError": false});
    assert_eq!(read("whoami", twice), Ok(named("ana", None)));
    // What libraries add around a plain text is no second answer.
    let wrapped =
        json!({"content": [{"type": "text", "text": "ana"}], "structuredContent": {"result": "ana"}});
    assert_eq!(read("whoami", wrapped), Ok(named("ana", None)));
}

#[test]
fn a_field_is_found_wherever_the_answer_holds_it() {
    let github = text(r#"{"login":"ana-gh","id":583231,"details":{"name":"Ana"}}"#);
    assert_eq!(read("get_me:id", github), Ok(named("583231", Some("ana-gh"))));
    let deep = json!({"structuredContent": {"status": "authenticated", "account": {"id": "u1"}}, "content": [{"type": "text", "text": "# prose"}]});
    assert_eq!(read("hf_whoami:account.id", deep), Ok(named("u1", None)));
    let both =
        json!({"structuredContent": {"id": "u1"}, "content": [{"type": "text", "text": "{\"id\":\"u1\"}"}]});
    assert_eq!(read("x:id", both), Ok(named("u1", None)));
}

#[test]
fn every_doubt_names_nobody() {
    use NamesNobody::{IsError, Nothing, OddType, TwoValues};
    let cases = [
        ("x:id", json!({"content": [{"type": "text", "text": "{\"id\":1}"}], "isError": true}), IsError),
        ("x:id", json!({"content": [{"type": "text", "text": "{\"id\":1}"}], "isError": "yes"}), IsError),
        ("whoami", json!({}), Nothing),
        ("whoami", json!({"content": [{"type": "image", "data": "ana"}]}), Nothing),
        ("whoami", text(""), OddType),
        ("whoami", text("ana\nben"), OddType),
        ("whoami", text("an\u{202e}a"), OddType),
        ("whoami", text(&"x".repeat(201)), OddType),
        ("whoami", text("[\"ana\"]"), OddType),
        (
            "whoami",
            json!({"content": [{"type": "text", "text": "ana"}, {"type": "text", "text": "ben"}]}),
            TwoValues,
        ),
        ("x:id", text("I am ana"), Nothing),
        ("x:id", text(r#"{"user":{"id":1}}"#), Nothing),
        ("x:id", text(r#"{"id":null}"#), OddType),
        ("x:id", text(r#"{"id":true}"#), OddType),
        ("x:id", text(r#"{"id":1.5}"#), OddType),
        ("x:id", text(r#"{"id":["ana"]}"#), OddType),
        ("x:id", text(r#"{"id":""}"#), OddType),
        ("x:id", text(r#"{"id":"ana","id":"ben"}"#), TwoValues),
        (
            "x:id",
            json!({"structuredContent": {"id": "ana"}, "content": [{"type": "text", "text": "{\"id\":\"ben\"}"}]}),
            TwoValues,
        ),
        // One and the same person as a number and as another text.
        (
            "x:id",
            json!({"structuredContent": {"id": 1}, "content": [{"type": "text", "text": "{\"id\":\"01\"}"}]}),
            TwoValues,
        ),
    ];
    for (asked, result, nobody) in cases {
        let told = result.to_string();
        assert_eq!(read(asked, result), Err(nobody), "{told}");
    }
}

#[test]
fn an_object_without_a_chosen_field_says_which_there_are_and_no_value() {
    let error = read("get_me", text(r#"{"login":"ana-gh","id":7,"details":{}}"#)).unwrap_err();
    let words = error.to_string();
    assert!(words.contains("id") && words.contains("login") && !words.contains("details"), "{words}");
    assert!(!words.contains("ana-gh"), "{words}");
    assert!(matches!(
        read("x", json!({"structuredContent": {"id": 7}})),
        Err(NamesNobody::WhichField { .. })
    ));
}

#[test]
fn the_table_is_of_whole_hosts_with_sources_and_dates() {
    let of = |url: &str| KnownWhoami::of(&Endpoint::parse(url).unwrap()).map(|known| known.tool);
    assert_eq!(of("https://api.githubcopilot.com/mcp/readonly"), Some("get_me"));
    assert_eq!(of("https://ai.todoist.net/mcp"), Some("user-info"));
    for other in [
        "https://api.githubcopilot.com.evil.example/mcp",
        "https://evil.example/api.githubcopilot.com",
        "https://api.githubcopilot.com:8443/mcp",
        "https://x.api.githubcopilot.com/mcp",
    ] {
        assert_eq!(of(other), None, "{other}");
    }
    let page = include_str!("../../../../docs/whoami.md");
    for known in KnownWhoami::all() {
        let row = format!("| {} | `{}` | {} | {} |", known.host, known.whoami(), known.source, known.read_on);
        assert!(page.contains(&row), "docs/whoami.md says otherwise: {row}");
        assert_eq!(WhoamiTool::parse(&format!("{}:{}", known.tool, known.field)).unwrap(), known.whoami());
        let date: Vec<&str> = known.read_on.split('-').collect();
        assert!(known.source.contains('@') && date.len() == 3, "{}", known.host);
    }
}
