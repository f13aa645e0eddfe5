//! The control wire itself, where the command line would do two steps in one.

use ipc::{Call, Connection, Error, FromAgent, LineWriter, Request, Response, Role};
use platform::Root;

use super::{LIMIT, World};

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

    /// The same for a caller that says more at once than the agent takes.
    pub(crate) async fn without_limit(world: &World) -> Self {
        let Self { connection, next } = Self::open(world).await;
        let writer = LineWriter::new(connection.writer.into_inner(), usize::MAX);
        Self { connection: Connection { writer, ..connection }, next }
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask(&mut self, request: Request) -> Result<Response, Error> {
        let asked = self.begin(request).await;
        loop {
            let (id, result) = self.next_reply().await;
            if id == asked {
                return result;
            }
        }
    }

    /// Asks without waiting; the number of the answer.
    pub(crate) async fn begin(&mut self, request: Request) -> u64 {
        self.next += 1;
        let call = Call { id: self.next, request };
        self.connection.writer.send(&call).await.expect("the agent reads");
        self.next
    }

    /// The next answer, whatever it answers.
    pub(crate) async fn next_reply(&mut self) -> (u64, Result<Response, Error>) {
        loop {
            let message = tokio::time::timeout(LIMIT, self.connection.reader.next::<FromAgent>());
            match message.await.expect("the agent answers in time").expect("a line of the agent's") {
                Some(FromAgent::Reply { id, result }) => return (id, result),
                Some(FromAgent::Event { .. }) => {}
                None => panic!("the agent is gone"),
            }
        }
    }
}
