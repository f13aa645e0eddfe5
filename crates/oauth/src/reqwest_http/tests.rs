//! Real sockets: raw servers that answer as told, and what becomes of the answer.

use std::str::FromStr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;

use super::*;

fn tls() -> rustls::ClientConfig {
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

fn http(network: Network) -> ReqwestHttp {
    ReqwestHttp::new(network, tls(), &BTreeMap::new()).unwrap()
}

/// What a raw server does after it has read a request head.
#[derive(Clone)]
enum Then {
    /// Writes and closes.
    Say(Vec<u8>),
    /// Writes and keeps the connection open.
    SayAndHold(&'static str),
    /// Closes without a word.
    Hang,
}

/// A server on a port of its own; sends on what it read.
async fn server(then: Then) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut kept_open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            let mut bytes = [0; 1024];
            // A TLS hello has no end of a head.
            while !head.starts_with(&[0x16]) && !head.windows(4).any(|w| w == b"\r\n\r\n") {
                match stream.read(&mut bytes).await {
                    Ok(read) if read > 0 => head.extend_from_slice(&bytes[..read]),
                    _ => break,
                }
            }
            let _ = told.send(String::from_utf8_lossy(&head).into_owned());
            match &then {
                Then::Say(bytes) => {
                    let _ = stream.write_all(bytes).await;
                    let _ = stream.shutdown().await;
                }
                Then::SayAndHold(text) => {
                    let _ = stream.write_all(text.as_bytes()).await;
                    kept_open.push(stream);
                }
                Then::Hang => {}
            }
        }
    });
    (port, receiver)
}

fn say(text: &str) -> Then {
    Then::Say(text.as_bytes().to_vec())
}

async fn get(port: u16) -> Result<HttpResponse, HttpError> {
    http(Network::PublicAndLoopback).send(HttpRequest::get_json(&format!("http://127.0.0.1:{port}/x"))).await
}

#[tokio::test]
async fn an_answer_of_any_status_is_an_answer_and_redirects_are_not_followed() {
    for (status, more) in
        [(200, ""), (404, ""), (307, "Location: /y\r\n"), (302, "Location: https://evil.example/\r\n")]
    {
        let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n{more}\r\nhi");
        let (port, mut heard) = server(say(&text)).await;
        let answer = get(port).await.unwrap();
        assert_eq!((answer.status, answer.body.expose().as_slice()), (status, &b"hi"[..]));
        get(port).await.unwrap();
        let heads = [heard.recv().await.unwrap(), heard.recv().await.unwrap()];
        assert!(
            heads.iter().all(|head| head.starts_with("GET /x ") && !head.to_lowercase().contains("cookie"))
        );
        assert!(heard.try_recv().is_err(), "a third request was made");
    }
}

#[tokio::test]
async fn a_body_is_counted_whatever_its_header_says() {
    let long = "a".repeat(BODY_CAP + 1);
    for text in [
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{long}", long.len()),
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n",
            long.len()
        ),
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{long}"),
    ] {
        let (port, _heard) = server(say(&text)).await;
        assert!(matches!(get(port).await, Err(HttpError::TooLarge { .. })));
    }
    let most = "a".repeat(BODY_CAP);
    let (port, _heard) =
        server(say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY_CAP}\r\n\r\n{most}"))).await;
    assert_eq!(get(port).await.unwrap().body.expose().len(), BODY_CAP);
}

#[tokio::test]
async fn what_was_not_sent_is_told_from_what_may_have_been() {
    // Held, so that nobody else is given the port, and nobody listens.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    assert!(matches!(get(closed.local_addr().unwrap().port()).await, Err(HttpError::NotSent { .. })));
    for then in [Then::Hang, say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut"), say("nonsense\r\n\r\n")]
    {
        let (port, mut heard) = server(then).await;
        assert!(matches!(get(port).await, Err(HttpError::Unknown { .. })));
        heard.recv().await.unwrap();
        assert!(heard.try_recv().is_err(), "it was sent again");
    }
    let (port, _heard) = server(Then::SayAndHold("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut")).await;
    let mut request = HttpRequest::get_json(&format!("http://127.0.0.1:{port}/x"));
    request.time_limit = Duration::from_secs(3);
    let slow = http(Network::PublicAndLoopback).send(request).await;
    assert!(matches!(slow, Err(HttpError::Unknown { .. })));
    // Not TLS at the other end: nothing of the request was sent.
    let (port, mut heard) = server(say("HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    let request = HttpRequest::get_json(&format!("https://127.0.0.1:{port}/secret-path"));
    let not_tls = http(Network::PublicAndLoopback).send(request).await;
    assert!(matches!(not_tls, Err(HttpError::NotSent { .. })));
    assert!(!heard.try_recv().unwrap_or_default().contains("secret-path"));
}

#[tokio::test]
async fn the_body_of_an_event_stream_is_not_waited_for() {
    let (port, _heard) =
        server(Then::SayAndHold("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: \n\n"))
            .await;
    let answer = get(port).await.unwrap();
    assert_eq!((answer.status, answer.body.expose().len()), (200, 0));
}

#[tokio::test]
async fn plain_http_leaves_this_machine_never() {
    for url in ["http://mcp.example/x", "ftp://mcp.example/", "https://u:p@mcp.example/", "x"] {
        let got = http(Network::Any).send(HttpRequest::get_json(url)).await;
        assert!(matches!(got, Err(HttpError::BadUrl { .. })), "{url}");
    }
}

#[tokio::test]
async fn a_public_servers_metadata_cannot_point_at_this_machine() {
    let (port, mut heard) = server(say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).await;
    for host in ["127.0.0.1", "localhost", "[::1]", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]"] {
        let request = HttpRequest::get_json(&format!("https://{host}:{port}/"));
        let got = http(Network::Public).send(request).await;
        assert!(matches!(got, Err(HttpError::PrivateAddress { .. })), "{host}: {got:?}");
    }
    // A name that only resolves to it: the text looks public, the resolver is what refuses.
    let mut named = http(Network::Public);
    named.network = Network::Any;
    let got = named.send(HttpRequest::get_json(&format!("http://localhost:{port}/"))).await;
    assert!(matches!(got, Err(HttpError::PrivateAddress { .. })), "{got:?}");
    assert!(heard.try_recv().is_err(), "somebody was contacted");
}

#[tokio::test]
async fn the_resolver_keeps_allowed_addresses_only() {
    let resolve = async |network| {
        let resolver = GuardedResolver { network, exempt: vec!["proxy.example".into()] };
        resolver.resolve(Name::from_str("localhost").unwrap()).await.map(Iterator::count)
    };
    assert!(resolve(Network::Public).await.is_err());
    assert!(resolve(Network::PublicAndLoopback).await.unwrap() > 0);
}

#[tokio::test]
async fn a_proxy_may_lie_on_a_private_network_and_is_not_used_for_this_machine() {
    let (proxy, mut heard) = server(say("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")).await;
    let variables: BTreeMap<String, String> = [
        ("https_proxy".to_owned(), format!("http://localhost:{proxy}")),
        ("http_proxy".to_owned(), format!("localhost:{proxy}")),
        ("no_proxy".to_owned(), "direct.example".to_owned()),
        ("unrelated".to_owned(), "x y".to_owned()),
    ]
    .into();
    let by_proxy = ReqwestHttp::new(Network::Public, tls(), &variables).unwrap();
    let got = by_proxy.send(HttpRequest::get_json("https://mcp.example/x")).await;
    assert!(matches!(got, Err(HttpError::NotSent { .. })), "{got:?}");
    assert!(heard.recv().await.unwrap().starts_with("CONNECT mcp.example:443 "));

    let (port, mut direct) = server(say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).await;
    let local = ReqwestHttp::new(Network::PublicAndLoopback, tls(), &variables).unwrap();
    local.send(HttpRequest::get_json(&format!("http://127.0.0.1:{port}/x"))).await.unwrap();
    assert!(direct.recv().await.unwrap().starts_with("GET /x "));
    assert!(heard.try_recv().is_err());
}

#[test]
fn a_proxy_that_is_no_address_is_named() {
    let variables = [("https_proxy".to_owned(), "http://[bad".to_owned())].into();
    let error = ReqwestHttp::new(Network::Public, tls(), &variables).unwrap_err();
    assert!(error.to_string().contains("https_proxy"));
}

#[tokio::test]
async fn an_event_stream_is_read_until_it_is_enough_and_by_nobody_who_did_not_ask_for_it() {
    let stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\ndata: 2\n\n";
    let (port, _heard) = server(Then::SayAndHold(stream)).await;
    let request = || HttpRequest::get_json(&format!("http://127.0.0.1:{port}/x"));
    let http = http(Network::PublicAndLoopback);
    let enough = |bytes: &[u8]| bytes.ends_with(b"data: 2\n\n");
    let read = http.listen(request(), 1000, &enough).await.unwrap();
    assert_eq!(read.body.expose().as_slice(), b"data: 1\n\ndata: 2\n\n", "it has no end of its own");
    assert!(matches!(http.listen(request(), 10, &enough).await, Err(HttpError::TooLarge { .. })));
    let mut short = request();
    short.time_limit = Duration::from_millis(300);
    assert!(matches!(http.listen(short, 1000, &|_| false).await, Err(HttpError::Unknown { .. })));
    assert!(http.fetch(request(), 1000).await.unwrap().body.expose().is_empty());
    // What is no event stream is read to its end, whatever is enough.
    let (port, _heard) = server(say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")).await;
    let request = HttpRequest::get_json(&format!("http://127.0.0.1:{port}/x"));
    assert_eq!(http.listen(request, 1000, &|_| true).await.unwrap().body.expose().as_slice(), b"{}");
}
