//! ana, ben and who acts now, as the journeys about switching and renewing ask for it.

use serde_json::{Value, json};
use testbed::host::{Awaited, Host, HostEra, HostError};

use super::{Ran, SERVER, World};

/// The ids of the two people.
#[derive(Clone, Debug)]
pub(crate) struct People {
    pub(crate) ana: String,
    pub(crate) ben: String,
}

impl People {
    pub(crate) async fn of(world: &World) -> Self {
        Self { ana: world.account("ana").await, ben: world.account("ben").await }
    }
}

/// Both protocol eras.
pub(crate) fn eras() -> [HostEra; 2] {
    [handshake(), HostEra::Stateless("2026-07-28".to_owned())]
}

/// The newest revision with a handshake.
pub(crate) fn handshake() -> HostEra {
    HostEra::Handshake("2025-11-25".to_owned())
}

impl World {
    /// Switches everybody and answers what the command says.
    pub(crate) async fn switch(&self, account: &str) -> Value {
        self.run(&["switch", SERVER, account, "--json"]).await.ok().json()
    }

    /// `status --json`, whatever its exit code.
    pub(crate) async fn status(&self) -> Value {
        self.run(&["status", "--json"]).await.json()
    }

    /// A greeted host of this era on a bridge of this app.
    pub(crate) async fn host_in(&self, era: HostEra, app: &str, more: &[&str]) -> Host {
        let host = self.host_of(self.bridge(app, more), era);
        host.greet().await.expect("the bridge answers the greeting");
        host
    }

    /// Starts the slow tool and waits until the server works on it.
    pub(crate) async fn slow_call(&self, host: &Host, ms: u64) -> Awaited {
        let slow = |world: &Self| {
            let requests = world.server.handle().requests();
            requests.iter().filter(|one| one.tool.as_deref() == Some("slow")).count()
        };
        let before = slow(self);
        let params = json!({"name": "slow", "arguments": {"ms": ms}, "_meta": {"progressToken": "slow"}});
        let call = host.send("tools/call", params).await.expect("the bridge reads");
        super::eventually("the slow call", async || (slow(self) > before).then_some(())).await;
        call
    }
}

/// How many requests the server has had that want an answer. What belongs to the end of something earlier (a DELETE,
/// a cancellation) or to the standing stream of another bridge is none: it comes when it comes.
pub(crate) fn asked(world: &World) -> usize {
    let asks = |method: &str| !method.starts_with("notifications/");
    world.server.handle().requests().iter().filter(|one| one.method.as_deref().is_some_and(asks)).count()
}

/// Who the server says that this host is.
pub(crate) async fn whoami(host: &Host) -> Result<String, HostError> {
    host.call_tool("whoami", json!({})).await
}

/// The text of a call's answer.
pub(crate) async fn text_of(call: Awaited) -> String {
    let result = call.result().await.expect("the call is answered");
    result["content"][0]["text"].as_str().unwrap_or_default().to_owned()
}

/// What a call that must fail says, in words.
pub(crate) async fn refusal(host: &Host) -> String {
    match whoami(host).await {
        Err(HostError::Rpc(error)) => error.to_string(),
        other => panic!("nobody may act here, yet the answer is {other:?}"),
    }
}

/// A command that has to end with the code of "sign in first".
#[track_caller]
pub(crate) fn needs_sign_in(ran: Ran) -> Ran {
    ran.fails(4)
}
