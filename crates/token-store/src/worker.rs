//! The one thread that talks to the keychain. Async tasks must not: the D-Bus library panics there, and
//! a locked keychain may keep a call waiting for a person.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::{StoreError, TokenStore};

/// Opens the store; called on the keychain thread, again whenever the connection has ended.
pub(crate) type Open = dyn Fn() -> Result<Arc<dyn TokenStore>, StoreError> + Send + Sync;

/// Sends jobs to the thread, which does them one by one in the order in which they came.
#[derive(Clone)]
pub(crate) struct Worker {
    jobs: mpsc::Sender<Job>,
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

impl Worker {
    /// Starts the thread. It ends when the last clone of the worker is gone.
    pub(crate) fn start(open: Arc<Open>) -> Self {
        let (jobs, queue) = mpsc::channel::<Job>();
        let mut connection = Connection { open, store: None };
        thread::Builder::new()
            .name("keychain".into())
            .spawn(move || queue.iter().for_each(|job| job(&mut connection)))
            .expect("the system has a thread for the keychain");
        Self { jobs }
    }

    /// Does `work` on the thread. After `limit` the caller gets [`StoreError::TimedOut`]: work that had not
    /// begun is dropped then, work that had begun comes to its own end.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce(&dyn TokenStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, wait) = oneshot::channel();
        let deadline = Instant::now() + limit;
        let job: Job = Box::new(move |connection| {
            // Nobody may be told "timed out" and find the write done a minute later.
            if !answer.is_closed() && Instant::now() < deadline {
                // The caller may have gone meanwhile; then nobody wants the result.
                let _ = answer.send(connection.run(work));
            }
        });
        self.jobs.send(job).map_err(|_| StoreError::Stopped)?;
        match tokio::time::timeout(limit, wait).await {
            Ok(Ok(result)) => result,
            // A job is dropped unanswered when its time is over; otherwise the thread has died.
            Ok(Err(_)) if Instant::now() < deadline => Err(StoreError::Stopped),
            Ok(Err(_)) | Err(_) => Err(StoreError::TimedOut { limit }),
        }
    }
}

/// The open store, or none yet.
struct Connection {
    open: Arc<Open>,
    store: Option<Arc<dyn TokenStore>>,
}

impl Connection {
    fn run<T>(
        &mut self,
        work: impl FnOnce(&dyn TokenStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // A store that was in use when something panicked may be in any state: it is thrown away.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let store = match &self.store {
                Some(store) => Arc::clone(store),
                None => (self.open)()?,
            };
            self.store = Some(Arc::clone(&store));
            work(&*store)
        }));
        let result = outcome.unwrap_or_else(|_| Err(StoreError::failed("the keychain library panicked")));
        if result.as_ref().is_err_and(StoreError::ends_connection) {
            self.store = None;
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::{AbsentReason, MemoryStore};

    const LONG: Duration = Duration::from_secs(30);
    const SHORT: Duration = Duration::from_millis(50);

    fn worker() -> Worker {
        let store = MemoryStore::new();
        Worker::start(Arc::new(move || Ok(Arc::new(store.clone()))))
    }

    #[tokio::test]
    async fn a_hanging_call_times_out_and_so_do_those_behind_it_which_are_then_never_done() {
        let worker = worker();
        let (release, hold) = mpsc::channel::<()>();
        let done = Arc::new(Mutex::new(Vec::new()));
        let log = |name: &'static str| {
            let done = Arc::clone(&done);
            move || done.lock().unwrap().push(name)
        };
        let (first, second, third) = (log("first"), log("second"), log("third"));
        let hanging = worker.run(SHORT, move |_| {
            let _ = hold.recv();
            first();
            Ok(())
        });
        assert!(matches!(hanging.await, Err(StoreError::TimedOut { limit: SHORT })));
        let behind = worker.run(SHORT, move |_| {
            second();
            Ok(())
        });
        assert!(matches!(behind.await, Err(StoreError::TimedOut { .. })));
        release.send(()).unwrap();
        worker
            .run(LONG, move |_| {
                third();
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!(
            *done.lock().unwrap(),
            ["first", "third"],
            "what was told to have timed out was not begun"
        );
    }

    #[tokio::test]
    async fn calls_are_done_in_the_order_in_which_they_came() {
        let worker = worker();
        let done = Arc::new(Mutex::new(Vec::new()));
        let calls: Vec<_> = (0..100)
            .map(|n| {
                let (worker, done) = (worker.clone(), Arc::clone(&done));
                async move {
                    worker
                        .run(LONG, move |_| {
                            done.lock().unwrap().push(n);
                            Ok(())
                        })
                        .await
                }
            })
            .collect();
        let mut waiting = tokio::task::JoinSet::new();
        for call in calls {
            waiting.spawn(call);
        }
        while let Some(joined) = waiting.join_next().await {
            joined.unwrap().unwrap();
        }
        assert_eq!(*done.lock().unwrap(), (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_call_whose_caller_has_gone_is_not_begun() {
        let worker = worker();
        let (release, hold) = mpsc::channel::<()>();
        let begun = Arc::new(AtomicU32::new(0));
        let (first, second, counter) = (worker.clone(), worker.clone(), Arc::clone(&begun));
        let blocked = tokio::spawn(async move {
            let wait = move |_: &dyn TokenStore| {
                let _ = hold.recv();
                Ok(())
            };
            first.run(LONG, wait).await
        });
        tokio::task::yield_now().await;
        let cancelled = tokio::spawn(async move {
            let count = move |_: &dyn TokenStore| {
                counter.fetch_add(1, Ordering::SeqCst);
                Ok(())
            };
            second.run(LONG, count).await
        });
        tokio::task::yield_now().await;
        cancelled.abort();
        let _ = cancelled.await;
        release.send(()).unwrap();
        blocked.await.unwrap().unwrap();
        worker.run(LONG, |_| Ok(())).await.unwrap();
        assert_eq!(begun.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn the_store_is_opened_again_after_it_was_absent_failed_or_panicked() {
        let opened = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&opened);
        let worker = Worker::start(Arc::new(move || match counter.fetch_add(1, Ordering::SeqCst) {
            0 => Err(StoreError::Absent { reason: AbsentReason::NoService, source: None }),
            _ => Ok(Arc::new(MemoryStore::new())),
        }));
        let absent = worker.run(LONG, |_| Ok(())).await;
        assert!(matches!(absent, Err(StoreError::Absent { reason: AbsentReason::NoService, .. })));
        worker.run(LONG, |_| Ok(())).await.unwrap();
        worker.run(LONG, |_| Err::<(), _>(StoreError::Locked)).await.unwrap_err();
        worker.run(LONG, |_| Ok(())).await.unwrap();
        assert_eq!(opened.load(Ordering::SeqCst), 2, "a locked keychain is not opened anew");
        worker.run(LONG, |_| Err::<(), _>(StoreError::failed("the bus is gone"))).await.unwrap_err();
        worker.run(LONG, |_| Ok(())).await.unwrap();
        assert_eq!(opened.load(Ordering::SeqCst), 3);
        let panicked = worker.run(LONG, |_| -> Result<(), _> { panic!("ordered by the test") }).await;
        assert!(matches!(panicked, Err(StoreError::Failed { .. })));
        worker.run(LONG, |_| Ok(())).await.unwrap();
        assert_eq!(opened.load(Ordering::SeqCst), 4);
    }
}
