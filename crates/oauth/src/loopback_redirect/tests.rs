//! Real sockets: what a browser, a neighbour and a web page can do at the door.

use tokio::io::AsyncReadExt;

use super::*;
use crate::authorization_request::IssParameter;
use crate::server_text::ServerText;

const STATE: &str = "st4te";
const ISSUER: &str = "https://as.example";
/// Long beside every limit here, so that a busy machine does not fail a test.
const PATIENCE: Duration = Duration::from_mins(2);

struct Waiting {
    address: SocketAddr,
    end: JoinHandle<Result<Arrived, WaitError>>,
}

async fn wait_for(seconds: u64, peer: PeerCheck) -> Waiting {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let redirect = LoopbackRedirect::new(listener, peer).unwrap();
    assert_eq!(redirect.redirect_uri(), format!("http://{address}/callback"));
    let expected = ExpectedResponse {
        redirect_uri: redirect.redirect_uri().to_owned(),
        state: STATE.into(),
        issuer: ISSUER.into(),
        iss: IssParameter::Unpromised,
    };
    let deadline = Instant::now() + Duration::from_secs(seconds);
    Waiting { address, end: tokio::spawn(redirect.wait(expected, deadline)) }
}

async fn waiting() -> Waiting {
    wait_for(PATIENCE.as_secs(), Arc::new(|_, _| true)).await
}

impl Waiting {
    /// Sends bytes and reads the whole answer.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The other end may stop reading early.
        let _ = stream.write_all(bytes).await;
        let mut answer = String::new();
        // A connection that is kept is one that was believed.
        let _ = timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("an answer and an end");
        answer
    }

    async fn get(&self, target: &str, host: &str, more: &str) -> String {
        self.raw(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n").as_bytes()).await
    }

    fn host(&self) -> String {
        self.address.to_string()
    }

    /// A browser that keeps its connection until it is told.
    async fn browser(&self, target: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\n\r\n", self.host());
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }
}

async fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn a_right_answer_is_taken_once_and_the_browser_told_at_the_end() {
    let waiting = waiting().await;
    let browser = waiting.browser("/callback?code=c0de&state=st4te").await;
    let host = waiting.host();
    let address = waiting.address;
    let arrived = waiting.end.await.unwrap().unwrap();
    assert_eq!(arrived.outcome.unwrap().code, Secret::from("c0de"));

    // While the exchange runs, the same answer is of no use to anybody else.
    let again = Waiting { address, end: tokio::spawn(async { Err(WaitError::TimedOut) }) };
    let second = again.get("/callback?code=c0de&state=st4te", &host, "").await;
    assert!(second.starts_with("HTTP/1.1 400 "), "{second}");

    let (page, ()) = tokio::join!(rest(browser), arrived.reply.finish(SignedIn::Yes));
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("Signed in"), "{page}");
    for header in [
        "Cache-Control: no-store",
        "Content-Security-Policy: default-src 'none'",
        "Referrer-Policy: no-referrer",
        "nosniff",
    ] {
        assert!(page.contains(header), "{header}");
    }
    assert!(!page.contains("c0de") && !page.contains(STATE) && !page.contains("<script"));
    assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
}

#[tokio::test]
async fn a_reply_that_is_dropped_says_not_signed_in() {
    let waiting = waiting().await;
    let browser = waiting.browser("/callback?code=c0de&state=st4te").await;
    let arrived = waiting.end.await.unwrap().unwrap();
    drop(arrived.reply);
    assert!(rest(browser).await.contains("Not signed in"));
}

#[tokio::test]
async fn everything_else_is_turned_away_and_the_wait_goes_on() {
    let waiting = waiting().await;
    let host = waiting.host();
    let port = waiting.address.port();
    let good = "/callback?code=x&state=st4te";
    for (target, host, more, status) in [
        ("/callback?code=x&state=other", host.as_str(), "", 400),
        ("/callback?code=x", &host, "", 400),
        ("/callback?state=st4te", &host, "", 400),
        ("/callback?code=x&code=y&state=st4te", &host, "", 400),
        ("/callback?code=x&state=st4te&state=st4te", &host, "", 400),
        ("/callback", &host, "", 400),
        ("/", &host, "", 404),
        ("/callback/?code=x&state=st4te", &host, "", 404),
        ("//callback?code=x&state=st4te", &host, "", 404),
        ("/favicon.ico", &host, "", 404),
        (good, "localhost", "", 400),
        (good, &format!("localhost:{port}"), "", 400),
        (good, "evil.example", "", 400),
        (good, &format!("127.0.0.1:{}", port ^ 1), "", 400),
        (good, &host, "Host: evil.example\r\n", 400),
        (good, &host, "Origin: https://evil.example\r\n", 403),
        (good, &host, "origin: null\r\n", 403),
    ] {
        let answer = waiting.get(target, host, more).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{target} {host} {more}: {answer}");
        assert!(!answer.contains(STATE));
    }
    for method in ["POST", "HEAD", "OPTIONS", "PUT"] {
        let request = format!("{method} {good} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        assert!(waiting.raw(request.as_bytes()).await.starts_with("HTTP/1.1 405 "), "{method}");
    }
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\r\n\r\n",
    ] {
        let answer = waiting.raw(garbage).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{garbage:?}: {answer}");
    }
    assert!(!waiting.end.is_finished());
    let _browser = waiting.browser(good).await;
    waiting.end.await.unwrap().unwrap().outcome.unwrap();
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let waiting = waiting().await;
    let padding = format!("X-Pad: {}\r\n", "a".repeat(HEAD_CAP));
    let host = waiting.host();
    let answer = waiting.get("/callback?code=x&state=st4te", &host, &padding).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let endless = waiting.raw(&vec![b'a'; 20 * 1024]).await;
    assert!(endless.starts_with("HTTP/1.1 431 "), "{endless}");
    assert!(!waiting.end.is_finished());
}

#[tokio::test]
async fn slow_connections_are_dropped_and_cannot_keep_the_browser_out() {
    let waiting = waiting().await;
    let mut slow = Vec::new();
    for _ in 0..CONNECTIONS + 8 {
        let mut stream = TcpStream::connect(waiting.address).await.unwrap();
        stream.write_all(b"GET /callback?").await.unwrap();
        slow.push(stream);
    }
    let _browser = waiting.browser("/callback?code=x&state=st4te").await;
    // At most one round of the limit per full house, and some patience for a busy machine.
    let arrived = timeout(PATIENCE, waiting.end).await.unwrap().unwrap().unwrap();
    arrived.outcome.unwrap();
}

#[tokio::test]
async fn a_peer_that_is_somebody_else_is_not_heard() {
    let refuse = Arc::new(|_, _| false);
    let waiting = wait_for(5, refuse).await;
    let host = waiting.host();
    assert_eq!(waiting.get("/callback?code=x&state=st4te", &host, "").await, "");
    assert!(matches!(waiting.end.await.unwrap(), Err(WaitError::TimedOut)));
}

#[tokio::test]
async fn the_wait_ends_at_its_deadline() {
    let waiting = wait_for(0, Arc::new(|_, _| true)).await;
    assert!(matches!(waiting.end.await.unwrap(), Err(WaitError::TimedOut)));
}

#[tokio::test]
async fn a_refusal_ends_the_wait_and_another_issuers_words_are_not_repeated() {
    let denied = waiting().await;
    let browser = denied.browser("/callback?error=access_denied&error_description=no%1B&state=st4te").await;
    let arrived = denied.end.await.unwrap().unwrap();
    assert_eq!(
        arrived.outcome.unwrap_err(),
        CallbackError::Denied { text: Some(ServerText::new("no\u{1b}")) }
    );
    let (page, ()) = tokio::join!(rest(browser), arrived.reply.finish(SignedIn::No));
    assert!(page.contains("Not signed in"));

    let mixed = waiting().await;
    let _browser = mixed.browser("/callback?error=gotcha&iss=https%3A%2F%2Fevil.example&state=st4te").await;
    let error = mixed.end.await.unwrap().unwrap().outcome.unwrap_err();
    assert_eq!(error, CallbackError::OtherIssuer { expected: ISSUER.into() });
    assert!(!error.to_string().contains("gotcha") && !error.to_string().contains("evil"));
}

#[tokio::test]
async fn only_a_loopback_listener_is_taken() {
    let open = TcpListener::bind("0.0.0.0:0").await.unwrap();
    assert!(LoopbackRedirect::new(open, Arc::new(|_, _| true)).is_err());
}

#[tokio::test]
async fn the_ipv6_loopback_works_with_its_brackets() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else { return };
    let address = listener.local_addr().unwrap();
    let redirect = LoopbackRedirect::new(listener, Arc::new(|_, _| true)).unwrap();
    assert_eq!(redirect.redirect_uri(), format!("http://[::1]:{}/callback", address.port()));
    let expected = ExpectedResponse {
        redirect_uri: redirect.redirect_uri().to_owned(),
        state: STATE.into(),
        issuer: ISSUER.into(),
        iss: IssParameter::Unpromised,
    };
    let end = tokio::spawn(redirect.wait(expected, Instant::now() + PATIENCE));
    let waiting = Waiting { address, end };
    let _browser = waiting.browser("/callback?code=x&state=st4te").await;
    waiting.end.await.unwrap().unwrap().outcome.unwrap();
}

/// Both families on one port; `None` where this machine has no IPv6.
async fn both_families() -> Option<(TcpListener, TcpListener)> {
    TcpListener::bind("[::1]:0").await.ok()?;
    for _ in 0..50 {
        let v4 = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = v4.local_addr().unwrap().port();
        if let Ok(v6) = TcpListener::bind(("::1", port)).await {
            return Some((v4, v6));
        }
    }
    panic!("no port that is free in both families");
}

#[tokio::test]
async fn localhost_is_answered_in_both_families_and_under_no_other_name() {
    let Some((v4, v6)) = both_families().await else { return };
    let port = v4.local_addr().unwrap().port();
    let redirect = LoopbackRedirect::localhost(v4, Some(v6), Arc::new(|_, _| true)).unwrap();
    assert_eq!(redirect.redirect_uri(), format!("http://localhost:{port}/callback"));
    assert_eq!(redirect.redirect_uri(), redirect_uri(LoopbackHost::Localhost, port));
    let expected = ExpectedResponse {
        redirect_uri: redirect.redirect_uri().to_owned(),
        state: STATE.into(),
        issuer: ISSUER.into(),
        iss: IssParameter::Unpromised,
    };
    let end = tokio::spawn(redirect.wait(expected, Instant::now() + PATIENCE));
    let ask = |ip: &'static str, host: String| async move {
        let mut stream = TcpStream::connect((ip, port)).await.unwrap();
        let head = format!("GET /callback?state=wrong HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    };
    for (ip, host) in [
        ("127.0.0.1", format!("127.0.0.1:{port}")),
        ("::1", format!("[::1]:{port}")),
        ("::1", format!("localhost:{port}")),
    ] {
        assert!(ask(ip, host.clone()).await.starts_with("HTTP/1.1 400"), "{host}");
    }
    let mut browser = TcpStream::connect(("::1", port)).await.unwrap();
    let head = format!("GET /callback?code=c&state={STATE} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
    browser.write_all(head.as_bytes()).await.unwrap();
    let arrived = end.await.unwrap().unwrap();
    assert_eq!(arrived.outcome.unwrap().code, "c".into());
    arrived.reply.finish(SignedIn::Yes).await;
}

#[tokio::test]
async fn localhost_needs_one_port_of_both_families() {
    let Some((v4, _v6)) = both_families().await else { return };
    let other = TcpListener::bind("[::1]:0").await.unwrap();
    let same_family = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer: PeerCheck = Arc::new(|_, _| true);
    if other.local_addr().unwrap().port() != v4.local_addr().unwrap().port() {
        assert!(LoopbackRedirect::localhost(v4, Some(other), Arc::clone(&peer)).is_err());
    }
    let v4 = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert!(LoopbackRedirect::localhost(v4, Some(same_family), peer).is_err());
}
