//! The control wire itself, where the command line would do two steps in one.

use ipc::{Call, Connection, Error, FromAgent, Request, Response, Role};
use platform::Root;

use super::World;

/// A caller of the agent of a world. The agent must be running.
pub(crate) struct Control {
    connection: Connection,
    next: u64,
}

impl Control {
    pub(crate) async fn open(world: &World) -> Self {
        // Whatever it says, it has started the agent.
        world.run(&["status"]).await;
        let root = Root::below(&world.sandbox.home());
        let connection = ipc::connect(&root, Role::Control).await.expect("the agent runs");
        Self { connection, next: 0 }
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask(&mut self, request: Request) -> Result<Response, Error> {
        self.next += 1;
        let call = Call { id: self.next, request };
        self.connection.writer.send(&call).await.expect("the agent reads");
        loop {
            match self.connection.reader.next::<FromAgent>().await.expect("a line of the agent's") {
                Some(FromAgent::Reply { id, result }) if id == self.next => return result,
                Some(FromAgent::Reply { .. } | FromAgent::Event { .. }) => {}
                None => panic!("the agent is gone"),
            }
        }
    }
}
