//! MCP servers over real sockets, with tokens of a real authorization server.

use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

use super::*;
use crate::authorization_server::AuthorizationServer;
use crate::web::{Exchange, exchange};

struct Bed {
    authorization: AuthorizationServer,
    server: McpServer,
}

/// One caller: a token, and for the handshake era a session.
struct Caller<'a> {
    bed: &'a Bed,
    token: String,
    session: String,
    version: &'static str,
}

impl Bed {
    async fn new(eras: Eras) -> Self {
        let authorization = AuthorizationServer::start().await.unwrap();
        let server = McpServer::protected(authorization.handle(), eras).await.unwrap();
        Self { authorization, server }
    }

    fn handle(&self) -> &Handle {
        self.server.handle()
    }

    fn token(&self, person: &str) -> String {
        self.authorization.handle().issue_access_token(person, &self.server.endpoint())
    }

    async fn caller(&self, person: &str, version: &'static str) -> Caller<'_> {
        let mut caller = Caller { bed: self, token: self.token(person), session: String::new(), version };
        let params = json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let answer = caller.post(&request(0, "initialize", &params)).await;
        caller.session = answer.header("mcp-session-id").unwrap().to_owned();
        assert_eq!(last(&answer)["result"]["protocolVersion"], version);
        let told = caller.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        assert_eq!(told.status, StatusCode::ACCEPTED);
        caller
    }
}

impl Caller<'_> {
    fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("authorization", format!("Bearer {}", self.token)),
            ("accept", "application/json, text/event-stream".to_owned()),
        ];
        if !self.session.is_empty() {
            headers.push(("mcp-session-id", self.session.clone()));
            headers.push(("mcp-protocol-version", self.version.to_owned()));
        }
        headers
    }

    async fn send(&self, method: Method, body: String) -> Exchange {
        let headers = self.headers();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        exchange(method, &Url::parse(&self.bed.server.endpoint()).unwrap(), &None, &headers, body)
            .await
            .unwrap()
    }

    async fn post(&self, message: &Value) -> Exchange {
        self.send(Method::POST, message.to_string()).await
    }

    async fn call(&self, tool: &str, arguments: &Value) -> Value {
        last(&self.post(&request(7, "tools/call", &json!({"name": tool, "arguments": arguments}))).await)
    }

    async fn whoami(&self) -> String {
        said(&self.call("whoami", &json!({})).await)
    }

    async fn live(&self) -> Live {
        let live = Live::open(&self.bed.server, Method::GET, &self.headers(), String::new()).await;
        // The reply is on its way before the stream is entered in the session.
        while self.bed.handle().sessions().iter().all(|view| view.id != self.session || view.streams == 0) {
            tokio::task::yield_now().await;
        }
        live
    }
}

/// A response body that is read while it grows.
struct Live {
    body: hyper::body::Incoming,
    text: String,
}

impl Live {
    async fn open(
        server: &McpServer,
        method: Method,
        headers: &[(&'static str, String)],
        body: String,
    ) -> Self {
        let url = Url::parse(&server.endpoint()).unwrap();
        let authority = url.authority().to_owned();
        let stream = TcpStream::connect(&authority).await.unwrap();
        let mut request = http::Request::builder().method(method).uri("/mcp").header("host", &authority);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let body = if body.is_empty() {
            Empty::<bytes::Bytes>::new().boxed()
        } else {
            http_body_util::Full::new(bytes::Bytes::from(body)).boxed()
        };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let reply = sender.send_request(request.body(body).unwrap()).await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
        Self { body: reply.into_body(), text: String::new() }
    }

    /// Reads up to and with the message that holds `part`.
    async fn until(&mut self, part: &str) -> Value {
        loop {
            if let Some(found) =
                messages(&self.text).into_iter().find(|message| message.to_string().contains(part))
            {
                return found;
            }
            let frame = self.body.frame().await.expect("the stream goes on").unwrap();
            self.text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    }
}

fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn messages(events: &str) -> Vec<Value> {
    let whole = events.rfind("\n\n").map_or("", |end| &events[..end]);
    whole.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect()
}

/// The last message of an answer of either form.
fn last(answer: &Exchange) -> Value {
    let text = answer.text();
    serde_json::from_str(&text)
        .ok()
        .or_else(|| messages(&text).pop())
        .unwrap_or_else(|| panic!("no message: {text}"))
}

fn said(message: &Value) -> String {
    message["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{message}")).to_owned()
}

async fn get(url: String) -> Exchange {
    exchange(Method::GET, &Url::parse(&url).unwrap(), &None, &[], "").await.unwrap()
}

#[tokio::test]
async fn without_a_good_token_the_answer_is_a_challenge_that_leads_to_the_issuer() {
    let bed = Bed::new(Eras::Both).await;
    let mut caller = Caller { bed: &bed, token: "nobody's".into(), session: String::new(), version: "" };
    let refused = caller.post(&request(1, "tools/list", &json!({}))).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let challenge = refused.header("www-authenticate").unwrap();
    let (_, place) = challenge.split_once("resource_metadata=\"").unwrap();
    let document = get(place.trim_end_matches('"').to_owned()).await;
    let document: Value = serde_json::from_slice(&document.body).unwrap();
    assert_eq!(document["resource"], bed.server.endpoint());
    assert_eq!(document["authorization_servers"][0], bed.authorization.issuer());
    caller.token = bed.authorization.handle().issue_access_token("ana", "http://127.0.0.1:1/mcp");
    assert_eq!(caller.post(&json!({})).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(bed.handle().stats().wrong_audience, 1);
    caller.token = bed.token("ana");
    bed.authorization.handle().expire_access_tokens();
    assert_eq!(caller.post(&json!({})).await.status, StatusCode::UNAUTHORIZED);
    bed.handle().set(|knobs| {
        knobs.metadata_in_challenge = false;
        knobs.metadata_places = vec![MetadataPlace::Root];
    });
    let refused = caller.post(&json!({})).await;
    assert!(!refused.header("www-authenticate").unwrap().contains("resource_metadata"));
    assert_eq!(get(place.trim_end_matches('"').to_owned()).await.status, StatusCode::NOT_FOUND);
    let last = bed.handle().requests().pop().unwrap();
    assert_eq!((last.person.as_deref(), last.status), (Some("ana"), 401));
}

#[tokio::test]
async fn each_handshake_revision_answers_as_the_person_of_the_token_in_both_forms() {
    for answers in [AnswerForm::Json, AnswerForm::Sse] {
        let bed = Bed::new(Eras::Handshake).await;
        bed.handle().set(|knobs| {
            knobs.answers = answers;
            knobs.sse_piece = 3;
        });
        for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
            let (ana, ben) = tokio::join!(bed.caller("ana", version), bed.caller("ben", version));
            assert_eq!((ana.whoami().await, ben.whoami().await), ("ana".to_owned(), "ben".to_owned()));
            assert_eq!(said(&ben.call("big", &json!({"bytes": 100_000})).await).len(), 100_000);
            assert_eq!(ana.send(Method::DELETE, String::new()).await.status, StatusCode::OK);
            assert_eq!(ana.post(&request(1, "ping", &json!({}))).await.status, StatusCode::NOT_FOUND);
        }
        let stats = bed.handle().stats();
        assert_eq!((stats.sessions_opened, stats.sessions_deleted, stats.mixed_sessions), (6, 3, 0));
        assert_eq!((stats.tool_calls["ana"], stats.tool_calls["ben"]), (3, 6));
    }
}

#[tokio::test]
async fn another_person_s_token_in_a_session_is_refused_and_counted() {
    let bed = Bed::new(Eras::Handshake).await;
    let mut ana = bed.caller("ana", "2025-11-25").await;
    ana.token = bed.token("ben");
    assert_eq!(ana.post(&request(1, "ping", &json!({}))).await.status, StatusCode::FORBIDDEN);
    assert_eq!(bed.handle().stats().mixed_sessions, 1);
    assert_eq!(bed.handle().stats().tool_calls.len(), 0);
}

#[tokio::test]
async fn a_slow_call_reports_progress_and_ends_when_it_is_cancelled() {
    let bed = Bed::new(Eras::Handshake).await;
    bed.handle().set(|knobs| knobs.answers = AnswerForm::Sse);
    let ana = bed.caller("ana", "2025-11-25").await;
    let params = json!({"name": "slow", "arguments": {"ms": 100}, "_meta": {"progressToken": "p"}});
    let answer = ana.post(&request(5, "tools/call", &params)).await;
    let seen = messages(&answer.text());
    assert_eq!(
        seen[0]["params"],
        json!({"progressToken": "p", "progress": 50, "total": 100, "message": "ana"})
    );
    assert_eq!(said(seen.last().unwrap()), "ana");
    bed.handle().set(|knobs| knobs.answers = AnswerForm::Json);
    let params = json!({"name": "slow", "arguments": {"ms": 100_000}});
    let call = request(6, "tools/call", &params);
    let cancel = async {
        bed.handle().wait_until(LONG, |seen| seen.iter().any(|one| one.id == Some(json!(6)))).await;
        let params = json!({"requestId": 6});
        while bed.handle().stats().cancelled == 0 {
            ana.post(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})).await;
        }
    };
    let (answer, ()) = tokio::join!(ana.post(&call), cancel);
    assert_eq!(last(&answer)["error"]["code"], -32800);
}

#[tokio::test]
async fn pushes_and_questions_reach_the_get_stream_of_their_person() {
    let bed = Bed::new(Eras::Handshake).await;
    let (ana, ben) = (bed.caller("ana", "2025-11-25").await, bed.caller("ben", "2025-11-25").await);
    let (mut ana_hears, mut ben_hears) = (ana.live().await, ben.live().await);
    assert_eq!(bed.handle().push(Push::Message, None), 2);
    assert_eq!(ana_hears.until("notifications/message").await["params"]["data"]["person"], "ana");
    assert_eq!(ben_hears.until("notifications/message").await["params"]["data"]["person"], "ben");
    assert_eq!(bed.handle().push(Push::ResourceUpdated, Some("ben")), 1);
    assert_eq!(ben_hears.until("resources/updated").await["params"]["uri"], "person://ben");
    // Both questions have the same id, and each answer belongs to its own session.
    let answer = async |caller: &Caller, hears: &mut Live| {
        let question = hears.until("elicitation/create").await;
        assert_eq!(question["id"], 1);
        let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept"}});
        assert_eq!(caller.post(&answer).await.status, StatusCode::ACCEPTED);
    };
    let asked = json!({});
    let (one, two, (), ()) = tokio::join!(
        ana.call("ask", &asked),
        ben.call("ask", &asked),
        answer(&ana, &mut ana_hears),
        answer(&ben, &mut ben_hears)
    );
    assert_eq!(said(&one), r#"{"person":"ana","answer":{"action":"accept"}}"#);
    assert_eq!(said(&two), r#"{"person":"ben","answer":{"action":"accept"}}"#);
    let stray = json!({"jsonrpc": "2.0", "id": 99, "result": {}});
    assert_eq!(ana.post(&stray).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(bed.handle().stats().stray_answers, 1);
    bed.handle().lose_sessions();
    assert!(ana_hears.body.frame().await.is_none(), "the stream ends with its session");
    assert_eq!(ana.post(&request(1, "ping", &asked)).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn lists_differ_between_people_and_batches_are_of_one_revision_alone() {
    let bed = Bed::new(Eras::Handshake).await;
    let ana = bed.caller("ana", "2025-03-26").await;
    let batch = json!([request(1, "tools/list", &json!({})), request(2, "ping", &json!({}))]);
    let answers = last(&ana.post(&batch).await);
    let tools = answers[0]["result"]["tools"].as_array().unwrap();
    assert!(tools.iter().any(|tool| tool["name"] == "of-ana"));
    assert_eq!(answers[1], json!({"jsonrpc": "2.0", "id": 2, "result": {}}));
    let ben = bed.caller("ben", "2025-11-25").await;
    assert_eq!(ben.post(&batch).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(ben.call("of-ana", &json!({})).await["error"]["code"], -32602);
}

/// A request of the stateless era: headers and body that agree.
fn stateless(token: &str, message: &Value) -> (Vec<(&'static str, String)>, String) {
    let mut message = message.clone();
    message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2026-07-28".into();
    message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    let mut headers = vec![
        ("authorization", format!("Bearer {token}")),
        ("accept", "application/json, text/event-stream".to_owned()),
        ("mcp-protocol-version", "2026-07-28".to_owned()),
        ("mcp-method", message["method"].as_str().unwrap().to_owned()),
    ];
    if let Some(name) = message["params"]["name"].as_str() {
        headers.push(("mcp-name", name.to_owned()));
    }
    (headers, message.to_string())
}

async fn post(bed: &Bed, (headers, body): (Vec<(&'static str, String)>, String)) -> Exchange {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    exchange(Method::POST, &Url::parse(&bed.server.endpoint()).unwrap(), &None, &headers, body).await.unwrap()
}

#[tokio::test]
async fn the_stateless_era_answers_each_request_as_its_own_person() {
    for answers in [AnswerForm::Json, AnswerForm::Sse] {
        let bed = Bed::new(Eras::Stateless).await;
        bed.handle().set(|knobs| knobs.answers = answers);
        let ana = bed.token("ana");
        let found = last(&post(&bed, stateless(&ana, &request(1, "server/discover", &json!({})))).await);
        assert_eq!(found["result"]["supportedVersions"], json!(["2026-07-28"]));
        assert_eq!(
            (&found["result"]["resultType"], &found["result"]["cacheScope"]),
            (&json!("complete"), &json!("private"))
        );
        for person in ["ana", "ben"] {
            let whoami = request(2, "tools/call", &json!({"name": "whoami", "arguments": {}}));
            assert_eq!(said(&last(&post(&bed, stateless(&bed.token(person), &whoami)).await)), person);
        }
        assert_eq!(bed.handle().stats().sessions_opened, 0);
    }
}

#[tokio::test]
async fn headers_that_do_not_agree_with_the_body_are_refused_by_their_codes() {
    let bed = Bed::new(Eras::Stateless).await;
    let good = stateless(&bed.token("ana"), &request(1, "tools/call", &json!({"name": "whoami"})));
    for (header, value, code) in [
        ("mcp-protocol-version", None, -32020),
        ("mcp-protocol-version", Some("2025-11-25"), -32020),
        ("mcp-method", None, -32020),
        ("mcp-method", Some("tools/list"), -32020),
        ("mcp-name", None, -32020),
        ("mcp-name", Some("echo"), -32020),
    ] {
        let mut spoiled = good.clone();
        spoiled.0.retain(|(name, _)| *name != header);
        spoiled.0.extend(value.map(|value| (header, value.to_owned())));
        let answer = post(&bed, spoiled).await;
        assert_eq!(
            (answer.status, &last(&answer)["error"]["code"]),
            (StatusCode::BAD_REQUEST, &json!(code)),
            "{header}"
        );
    }
    let mut future = good.clone();
    future.0[2].1 = "2099-01-01".into();
    future.1 = future.1.replace("2026-07-28", "2099-01-01");
    let answer = last(&post(&bed, future).await);
    assert_eq!(answer["error"]["code"], -32022);
    assert_eq!(answer["error"]["data"], json!({"supported": ["2026-07-28"], "requested": "2099-01-01"}));
    let unknown = post(&bed, stateless(&bed.token("ana"), &request(1, "initialize", &json!({})))).await;
    assert_eq!((unknown.status, &last(&unknown)["error"]["code"]), (StatusCode::NOT_FOUND, &json!(-32601)));
    assert_eq!(bed.handle().stats().header_errors, 7);
}

#[tokio::test]
async fn a_listen_stream_is_acknowledged_first_and_hears_what_it_asked_for() {
    let bed = Bed::new(Eras::Both).await;
    let params = json!({"notifications": {"toolsListChanged": true}});
    let (headers, body) = stateless(&bed.token("ben"), &request(3, "subscriptions/listen", &params));
    let mut hears = Live::open(&bed.server, Method::POST, &headers, body).await;
    hears.until("subscriptions/acknowledged").await;
    assert_eq!(bed.handle().listeners(), [Some("ben".to_owned())]);
    assert_eq!(bed.handle().push(Push::ResourceUpdated, None), 0);
    assert_eq!(bed.handle().push(Push::ToolsListChanged, None), 1);
    let change = hears.until("list_changed").await;
    assert_eq!(change["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 3);
    drop(hears);
    while !bed.handle().listeners().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_request_state_is_good_for_its_own_person_once() {
    let bed = Bed::new(Eras::Stateless).await;
    let ask = json!({"name": "ask", "arguments": {"method": "roots/list"}});
    let first = last(&post(&bed, stateless(&bed.token("ana"), &request(1, "tools/call", &ask))).await);
    assert_eq!(first["result"]["inputRequests"]["question"]["method"], "roots/list");
    let mut retry = ask.clone();
    retry["requestState"] = first["result"]["requestState"].clone();
    retry["inputResponses"] = json!({"question": {"roots": []}});
    let good = last(&post(&bed, stateless(&bed.token("ana"), &request(2, "tools/call", &retry))).await);
    assert_eq!(said(&good), r#"{"person":"ana","answer":{"roots":[]}}"#);
    let first = last(&post(&bed, stateless(&bed.token("ana"), &request(3, "tools/call", &ask))).await);
    retry["requestState"] = first["result"]["requestState"].clone();
    let foreign = last(&post(&bed, stateless(&bed.token("ben"), &request(4, "tools/call", &retry))).await);
    assert_eq!(foreign["error"]["code"], -32602);
    assert_eq!(bed.handle().stats().foreign_request_states, 1);
}

#[tokio::test]
async fn in_the_stateless_era_the_end_of_the_stream_cancels() {
    let bed = Bed::new(Eras::Stateless).await;
    bed.handle().set(|knobs| knobs.answers = AnswerForm::Sse);
    let params = json!({"name": "slow", "arguments": {"ms": 100_000}, "_meta": {"progressToken": 1}});
    let (headers, body) = stateless(&bed.token("ana"), &request(1, "tools/call", &params));
    let mut hears = Live::open(&bed.server, Method::POST, &headers, body).await;
    hears.until("notifications/progress").await;
    drop(hears);
    while bed.handle().stats().cancelled == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn an_open_server_counts_credentials_that_it_never_asked_for() {
    let authorization = AuthorizationServer::start().await.unwrap();
    let bed = Bed { authorization, server: McpServer::open(Eras::Stateless).await.unwrap() };
    let whoami = request(2, "tools/call", &json!({"name": "whoami"}));
    assert_eq!(said(&last(&post(&bed, stateless("leaked", &whoami)).await)), "nobody");
    assert_eq!(bed.handle().stats().unexpected_credentials, 1);
}

#[tokio::test]
async fn every_request_is_on_record_with_its_connection_and_process() {
    let bed = Bed::new(Eras::Handshake).await;
    bed.handle().set(|knobs| knobs.identify_peers = true);
    let ana = bed.caller("ana", "2025-11-25").await;
    ana.whoami().await;
    let call = bed.handle().requests().pop().unwrap();
    assert_eq!((call.method.as_deref(), call.tool.as_deref()), (Some("tools/call"), Some("whoami")));
    assert_eq!((call.person.as_deref(), call.session.as_ref()), (Some("ana"), Some(&ana.session)));
    assert!(call.header_names.contains(&"authorization".to_owned()));
    assert_eq!(call.status, 200);
    let own = std::env::args().next().unwrap();
    assert!(call.process.unwrap().starts_with(&own));
    assert_eq!(bed.handle().connects_by_peer().values().sum::<usize>(), 3);
}

#[tokio::test]
async fn a_restart_keeps_the_port_and_loses_the_sessions() {
    let mut bed = Bed::new(Eras::Handshake).await;
    let session = bed.caller("ana", "2025-11-25").await.session;
    let handle = bed.handle().clone();
    bed.server = McpServer::open(Eras::Both).await.unwrap();
    bed.server = McpServer::restart(&handle).await.unwrap();
    let ana = Caller { bed: &bed, token: bed.token("ana"), session, version: "2025-11-25" };
    assert_eq!(ana.post(&request(1, "ping", &json!({}))).await.status, StatusCode::NOT_FOUND);
}

const LONG: Duration = Duration::from_mins(1);
