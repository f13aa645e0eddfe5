//! One connection, many requests at once: each gets a number, and its answer finds it by that.

use std::collections::HashMap;

use ipc::{Call, CodecError, Connection, FromAgent, Request, request_too_long, session_record};
use tokio::sync::mpsc;

use super::{Heard, Order, Reply, lost};

/// Serves orders on a connection until it ends; what was not answered then is answered with an error.
pub(super) async fn until_it_ends(
    connection: Connection,
    orders: &mut mpsc::UnboundedReceiver<Order>,
    heard: &mpsc::UnboundedSender<Heard>,
) {
    let Connection { mut reader, mut writer, .. } = connection;
    let (calls, mut outgoing) = mpsc::unbounded_channel::<Call>();
    let (refuse, mut refused) = mpsc::unbounded_channel::<u64>();
    // Beside the reading: two ends that both write and do not read would wait for each other.
    let writing = tokio::spawn(async move {
        while let Some(call) = outgoing.recv().await {
            match writer.send(&call).await {
                Ok(()) => {}
                Err(CodecError::TooLong { .. }) => {
                    let _gone = refuse.send(call.id);
                }
                Err(error) => {
                    tracing::info!(%error, "the agent takes no request");
                    return;
                }
            }
        }
    });
    let mut unanswered: HashMap<u64, Reply> = HashMap::new();
    for (id, request) in [(RECORD, session_record()), (WATCH, Request::Watch)] {
        let _gone = calls.send(Call { id, request });
    }
    let mut last = WATCH;
    loop {
        tokio::select! {
            message = reader.next::<FromAgent>() => match message {
                Ok(Some(FromAgent::Reply { id, result })) => match unanswered.remove(&id) {
                    Some(reply) => {
                        let _gone = reply.send(result);
                    }
                    None => {
                        if let Err(error) = result {
                            tracing::warn!(%error, id, "the agent refused what nobody waits for");
                        }
                    }
                },
                Ok(Some(FromAgent::Event { event })) => {
                    let _gone = heard.send(Heard::Event(event));
                }
                Ok(None) => break,
                // A line of a newer version; the next one may be understood again.
                Err(error @ (CodecError::Malformed { .. } | CodecError::TooLong { .. })) => {
                    tracing::warn!(%error, "a line of the agent was not understood");
                }
                Err(error) => {
                    tracing::info!(%error, "the agent cannot be heard");
                    break;
                }
            },
            Some(id) = refused.recv() => if let Some(reply) = unanswered.remove(&id) {
                let _gone = reply.send(Err(request_too_long()));
            },
            order = orders.recv() => match order {
                Some(Order::Ask { request, reply }) => {
                    last += 1;
                    unanswered.insert(last, reply);
                    if calls.send(Call { id: last, request: *request }).is_err() && let Some(reply) = unanswered.remove(&last) {
                        let _gone = reply.send(Err(lost()));
                    }
                }
                Some(Order::Start) => {}
                None => break,
            },
        }
    }
    writing.abort();
    for (_, reply) in unanswered {
        let _gone = reply.send(Err(lost()));
    }
}

const RECORD: u64 = 1;
const WATCH: u64 = 2;
