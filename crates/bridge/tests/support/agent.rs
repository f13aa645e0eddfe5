//! An agent that says what the test tells it to.

use std::collections::BTreeMap;

use hallpass_bridge::{AgentLink, LinkError};
use model::{AccountId, Endpoint, Era, Secret, ServerId, UnixTime};
use token_lease::{
    AccessToken, AgentMessage, BridgeMessage, Closed, ClosedCode, Known, LeaseId, OlderLeases, Person,
    ServerFacts, Standing,
};
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, Lines, ReadHalf, WriteHalf, split,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::soon;

/// Anything that carries bytes both ways.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Bytes for S {}

/// One end of a connection.
pub(crate) type Stream = Box<dyn Bytes>;

/// What carries the bytes.
#[derive(Clone, Copy)]
pub(crate) enum Carrier {
    /// Real sockets.
    Kernel,
    /// For tests on a paused clock, which would run ahead of real sockets.
    Memory,
}

/// Both ends of a connection.
pub(crate) async fn pair(carrier: Carrier) -> (Stream, Stream) {
    match carrier {
        Carrier::Memory => {
            let (one, other) = tokio::io::duplex(64 * 1024);
            (Box::new(one), Box::new(other))
        }
        Carrier::Kernel => {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let one = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (other, _) = listener.accept().await.unwrap();
            one.set_nodelay(true).unwrap();
            other.set_nodelay(true).unwrap();
            (Box::new(one), Box::new(other))
        }
    }
}

/// Where bridges knock.
pub(crate) struct Agent {
    knocking: mpsc::UnboundedReceiver<Stream>,
}

/// The bridge's way to it.
pub(crate) struct Link {
    knock: mpsc::UnboundedSender<Stream>,
    carrier: Carrier,
}

pub(crate) fn scripted(carrier: Carrier) -> (Agent, Link) {
    let (knock, knocking) = mpsc::unbounded_channel();
    (Agent { knocking }, Link { knock, carrier })
}

impl AgentLink for Link {
    type Reader = ReadHalf<Stream>;
    type Writer = WriteHalf<Stream>;

    async fn connect(&self, first: &[u8]) -> Result<(Self::Reader, Self::Writer), LinkError> {
        let absent = || LinkError { message: "no agent was started".into(), hint: "start one".into() };
        let (mut ours, theirs) = pair(self.carrier).await;
        ours.write_all(first).await.map_err(|_| absent())?;
        self.knock.send(theirs).map_err(|_| absent())?;
        Ok(split(ours))
    }
}

impl Agent {
    /// The next bridge that connects.
    pub(crate) async fn accept(&mut self) -> Connection {
        let stream = soon("the bridge", self.knocking.recv()).await.expect("the bridge is there");
        let (read, write) = split(stream);
        Connection { lines: BufReader::new(read).lines(), write, seq: 0 }
    }

    /// Accepts, reads Attach, answers it.
    pub(crate) async fn attach(&mut self, facts: ServerFacts, standing: Standing) -> Connection {
        let mut connection = self.accept().await;
        let attach = connection.hear().await;
        assert!(
            matches!(&attach, BridgeMessage::Attach { app, .. } if app.as_str() == "cursor"),
            "{attach:?}"
        );
        connection.say(&AgentMessage::Attached { server: facts, standing }).await;
        connection
    }
}

/// One connected bridge.
pub(crate) struct Connection {
    lines: Lines<BufReader<ReadHalf<Stream>>>,
    write: WriteHalf<Stream>,
    seq: u64,
}

impl Connection {
    pub(crate) async fn say(&mut self, message: &AgentMessage) {
        let mut line = serde_json::to_vec(message).unwrap();
        line.push(b'\n');
        self.write.write_all(&line).await.unwrap();
    }

    pub(crate) async fn say_raw(&mut self, line: &str) {
        self.write.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// What the bridge says next, as it says it.
    pub(crate) async fn hear(&mut self) -> BridgeMessage {
        let line =
            soon("a word to the agent", self.lines.next_line()).await.unwrap().expect("still connected");
        serde_json::from_str(&line).unwrap()
    }

    /// The next message that `wanted` takes; what was learned is of no interest.
    pub(crate) async fn hear_one<T>(&mut self, wanted: impl Fn(&BridgeMessage) -> Option<T>) -> T {
        loop {
            let message = self.hear().await;
            if let Some(found) = wanted(&message) {
                return found;
            }
            assert!(
                matches!(
                    message,
                    BridgeMessage::Learned { .. }
                        | BridgeMessage::Release { .. }
                        | BridgeMessage::Seen { .. }
                        | BridgeMessage::Trouble { .. }
                ),
                "unexpected {message:?}"
            );
        }
    }

    /// Says Switched without waiting.
    pub(crate) async fn switched(&mut self, standing: Standing, older: OlderLeases) -> u64 {
        self.seq += 1;
        self.say(&AgentMessage::Switched { seq: self.seq, standing, older }).await;
        self.seq
    }

    /// Switches, and waits until it is in force.
    pub(crate) async fn switch(&mut self, standing: Standing, older: OlderLeases) {
        let wanted = self.switched(standing, older).await;
        let heard = |m: &BridgeMessage| match m {
            BridgeMessage::Acknowledge { seq } => Some(*seq),
            _ => None,
        };
        assert_eq!(self.hear_one(heard).await, wanted);
    }

    /// Waits for a question about a token.
    pub(crate) async fn asked(&mut self) -> (LeaseId, Option<u64>) {
        self.hear_one(|m| match m {
            BridgeMessage::Token { lease, rejected } => Some((*lease, *rejected)),
            _ => None,
        })
        .await
    }

    /// Waits until a lease is released.
    pub(crate) async fn released(&mut self) -> LeaseId {
        loop {
            if let BridgeMessage::Release { lease } = self.hear().await {
                return lease;
            }
        }
    }

    /// Waits for what the server said of itself, and under which lease.
    pub(crate) async fn seen(&mut self) -> (Option<LeaseId>, Known) {
        loop {
            if let BridgeMessage::Seen { lease, known } = self.hear().await {
                return (lease, known);
            }
        }
    }

    /// Says what the server said to `name` before.
    pub(crate) async fn remind(&mut self, name: &str, known: Known) {
        self.say(&AgentMessage::Known { account: Some(person(name).account), known }).await;
    }

    /// Waits for what the bridge learned.
    pub(crate) async fn learned(&mut self) -> Era {
        self.hear_one(|m| match m {
            BridgeMessage::Learned { era } => Some(*era),
            _ => None,
        })
        .await
    }
}

pub(crate) fn facts(url: &str) -> ServerFacts {
    ServerFacts {
        id: ServerId::parse("jira").unwrap(),
        label: "Jira".into(),
        endpoint: Endpoint::parse(url).unwrap(),
        headers: BTreeMap::from([("X-Tenant".to_owned(), "acme".to_owned())]),
        era: None,
        private_network: false,
        authority: None,
        proxies: BTreeMap::new(),
    }
}

/// `person`'s token of a generation; the test server takes it for that person.
pub(crate) fn token(person: &str, generation: u64) -> AccessToken {
    AccessToken {
        secret: Secret::new(format!("tok-{person}-{generation}")),
        expires_at: Some(UnixTime(1_000_000)),
        lifetime: Some(3600),
        generation,
    }
}

pub(crate) fn ready(lease: u64, person: &str) -> Standing {
    Standing::Ready { lease: LeaseId(lease), person: self::person(person), token: token(person, 1) }
}

fn person(name: &str) -> Person {
    Person { account: AccountId::parse(&format!("acc-{name}")).unwrap(), label: format!("{name}@corp") }
}

pub(crate) fn closed(name: &str) -> Closed {
    Closed {
        code: ClosedCode::SignInNeeded,
        message: format!("{name}@corp is not signed in to Jira"),
        hint: "run `hallpass login jira`".into(),
        person: Some(person(name)),
    }
}
