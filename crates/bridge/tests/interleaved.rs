use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use serde_json::json;
use token_lease::{AccessToken, AgentMessage, BridgeMessage, LeaseId, OlderLeases, Standing};
use tokio::sync::mpsc;

use crate::support::{Server, facts, ready, soon, start, text, token};

const CALLS: i64 = 1000;

/// xorshift: the same run every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Each answer's person is the one in force when the call was accepted. Calls that lay in the pipe while a
/// switch was under way may have been accepted as either; all others are exact.
#[tokio::test]
async fn a_thousand_calls_among_many_switches_and_renewals_are_never_somebody_else() {
    for seed in [0x9e37_79b9, 0xdead_beef] {
        let mut dice = Dice(seed);
        let server = Server::start().await;
        let (mut host, mut agent) = start().await;
        let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
        let people = ["ana", "ben", "cleo"];
        let mut now = "ana";
        let book =
            Arc::new(Mutex::new(Book { leases: HashMap::from([(LeaseId(1), "ana")]), ..Book::default() }));
        let (say, mut to_say) = mpsc::unbounded_channel::<AgentMessage>();
        let (acknowledge, mut acknowledged) = mpsc::unbounded_channel();
        let lending = book.clone();
        let agent = tokio::spawn(async move {
            loop {
                tokio::select! {
                    message = to_say.recv() => match message {
                        Some(message) => connection.say(&message).await,
                        None => return,
                    },
                    heard = connection.hear() => match heard {
                        BridgeMessage::Acknowledge { seq } => acknowledge.send(seq).unwrap(),
                        BridgeMessage::Token { lease, rejected } => {
                            let outcome = Ok(lending.lock().unwrap().lend(lease, rejected));
                            connection.say(&AgentMessage::Token { lease, outcome }).await;
                        }
                        _ => {}
                    },
                }
            }
        });
        host.initialize().await;
        let (mut switches, mut renewals, mut exact) = (0, 0, 0);
        let mut allowed: HashMap<i64, BTreeSet<&str>> = HashMap::new();
        let mut open: BTreeSet<i64> = BTreeSet::new();
        // Sent, and perhaps not accepted yet.
        let mut in_pipe: Vec<i64> = Vec::new();
        let wrong = Mutex::new(Vec::<String>::new());
        let mut refused = 0;
        let mut next = 1;
        while next <= CALLS || !open.is_empty() {
            let act = if next > CALLS { 99 } else { dice.roll(100) };
            match act {
                0..=74 => {
                    let ms = dice.roll(15);
                    let mut message = crate::support::call(next, "nap");
                    message["params"]["arguments"] = json!({"ms": ms});
                    host.send(message).await;
                    allowed.insert(next, BTreeSet::from([now]));
                    in_pipe.push(next);
                    open.insert(next);
                    next += 1;
                }
                75..=80 => {
                    if dice.roll(2) == 0 {
                        // After this, everything that was sent has been accepted.
                        for message in host.settled(&format!("barrier-{next}")).await {
                            note(&message, &allowed, &mut open, &mut refused, &wrong);
                        }
                        exact += in_pipe.len();
                        in_pipe.clear();
                    }
                    now = people[usize::try_from(dice.roll(3)).unwrap()];
                    for id in &in_pipe {
                        allowed.get_mut(id).unwrap().insert(now);
                    }
                    switches += 1;
                    let lease = LeaseId(switches + 1);
                    let mut standing = ready(lease.0, now);
                    if let Standing::Ready { token: lent, .. } = &mut standing {
                        let mut book = book.lock().unwrap();
                        book.leases.insert(lease, now);
                        *lent = book.lend(lease, None);
                    }
                    say.send(AgentMessage::Switched { seq: switches, standing, older: OlderLeases::Drain })
                        .unwrap();
                    assert_eq!(soon("the acknowledgement", acknowledged.recv()).await, Some(switches));
                }
                81..=84 => {
                    if server.state.has_rejected_lately() {
                        // A second 401 of one call would be an error, and rightly so.
                        continue;
                    }
                    let mut book = book.lock().unwrap();
                    let generation = book.generations.entry(now).or_insert(1);
                    *generation += 1;
                    let generation = *generation - 1;
                    server.state.dead.lock().unwrap().push(format!("tok-{now}-{generation}"));
                    renewals += 1;
                }
                _ => {
                    let wait = std::time::Duration::from_millis(if next > CALLS { 10_000 } else { 2 });
                    if let Ok(message) = tokio::time::timeout(wait, host.next()).await {
                        note(&message, &allowed, &mut open, &mut refused, &wrong);
                    }
                }
            }
        }
        assert_eq!(*wrong.lock().unwrap(), Vec::<String>::new(), "seed {seed:x}");
        server.assert_nothing_wrong();
        assert!(refused < CALLS / 10, "{refused} refused");
        assert!(!agent.is_finished());
        assert!(switches >= 50 && renewals >= 20 && exact >= 200, "{switches} {renewals} {exact}");
    }
}

fn note(
    message: &serde_json::Value,
    allowed: &HashMap<i64, BTreeSet<&str>>,
    open: &mut BTreeSet<i64>,
    refused: &mut i64,
    wrong: &Mutex<Vec<String>>,
) {
    let Some(id) = message["id"].as_i64() else { return };
    assert!(open.remove(&id), "a second answer: {message}");
    if message["error"]["data"]["code"] == "sign_in_needed" {
        // The handshake of its session met two renewals in a row. Nobody is better than somebody else.
        *refused += 1;
        return;
    }
    assert!(message.get("result").is_some(), "a failed call: {message}");
    if !allowed[&id].contains(text(message)) {
        wrong.lock().unwrap().push(format!("call {id} ran as {}, not {:?}", text(message), allowed[&id]));
    }
}

/// What the agent knows: whose lease it is, and whose token is how new.
#[derive(Default)]
struct Book {
    leases: HashMap<LeaseId, &'static str>,
    generations: HashMap<&'static str, u64>,
}

impl Book {
    /// A token of that lease's own person, newer than the one that was rejected.
    fn lend(&mut self, lease: LeaseId, rejected: Option<u64>) -> AccessToken {
        let person = self.leases[&lease];
        let generation = self.generations.entry(person).or_insert(1);
        if rejected.is_some_and(|rejected| rejected >= *generation) {
            *generation += 1;
        }
        token(person, *generation)
    }
}
