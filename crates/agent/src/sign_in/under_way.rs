//! The sign-ins under way. One whose caller goes away while the person is at the browser, or at another device, waits for
//! them: nothing is kept before somebody is there again to see who came back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipc::{Error, ErrorCode, Event, FromAgent, SignInId, SignInStep, SignInView};
use model::{Secret, ServerId, UnixTime};
use tokio::sync::{broadcast, mpsc, watch};

use super::{Wanted, Way};
use crate::agent::{Agent, lock};

/// All sign-ins under way.
#[derive(Debug, Default)]
pub(crate) struct SignIns {
    next: AtomicU64,
    live: Mutex<HashMap<SignInId, Live>>,
    /// How those ended that nobody was there to see, for whoever comes back.
    unseen: Mutex<HashMap<ServerId, String>>,
}

/// The person's side of a sign-in.
#[derive(Debug)]
struct Live {
    wanted: Wanted,
    began_at: UnixTime,
    ends_at: UnixTime,
    /// What has been told so far, for a window that opens later.
    steps: Arc<Mutex<Vec<SignInStep>>>,
    caller: Arc<Mutex<Caller>>,
    /// Somebody is there.
    attended: watch::Sender<bool>,
    answers: mpsc::UnboundedSender<bool>,
    pasted: mpsc::UnboundedSender<Secret<String>>,
    cancelled: watch::Sender<bool>,
}

/// Whom it is told to.
#[derive(Debug)]
struct Caller {
    /// Counts callers, so that one that is gone does not send away the one after it.
    number: u64,
    events: Option<mpsc::UnboundedSender<FromAgent>>,
}

/// A caller's hold on a sign-in. Dropping it parks the sign-in where that can be gone on with, and cancels it otherwise.
pub(crate) struct Held {
    agent: Arc<Agent>,
    id: SignInId,
    number: u64,
    /// What the caller has not heard yet, to be told after the answer that names the sign-in.
    pub(crate) replay: Vec<SignInStep>,
}

impl Held {
    /// Names it.
    pub(crate) fn id(&self) -> SignInId {
        self.id
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.agent.sign_ins.leave_alone(self.id, self.number);
        self.agent.changed();
    }
}

/// The running task's ends of what [`Live`] holds, and its way to tell the caller.
#[derive(Debug)]
pub(crate) struct Line {
    id: SignInId,
    caller: Arc<Mutex<Caller>>,
    steps: Arc<Mutex<Vec<SignInStep>>>,
    watchers: broadcast::Sender<Event>,
    pub(crate) answers: mpsc::UnboundedReceiver<bool>,
    pub(crate) pasted: mpsc::UnboundedReceiver<Secret<String>>,
    attended: watch::Receiver<bool>,
    cancelled: watch::Receiver<bool>,
}

impl Line {
    /// Names the sign-in.
    pub(super) fn id(&self) -> SignInId {
        self.id
    }

    /// Tells the caller, and whoever watches that there is something to see.
    pub(crate) fn step(&self, step: SignInStep) {
        lock(&self.steps).push(step.clone());
        let event = Event::SignIn { sign_in: self.id, step };
        if let Some(events) = &lock(&self.caller).events {
            let _gone = events.send(FromAgent::Event { event });
        }
        let _watchers = self.watchers.send(Event::Changed);
    }

    /// Resolves when the sign-in is cancelled.
    pub(crate) fn cancelled(&self) -> impl Future<Output = ()> + use<> {
        let mut cancelled = self.cancelled.clone();
        async move {
            // An error means that nobody is left who could want the result.
            let _gone = cancelled.wait_for(|cancelled| *cancelled).await;
        }
    }

    /// Whether somebody is there, who comes within `limit` at the latest.
    pub(super) async fn attended(&mut self, limit: Duration) -> bool {
        let cancelled = self.cancelled();
        tokio::select! {
            there = self.attended.wait_for(|there| *there) => there.is_ok(),
            () = tokio::time::sleep(limit) => false,
            () = cancelled => false,
        }
    }
}

/// How a sign-in begins for a caller.
pub(super) enum Entered {
    /// Anew. `before`: one that was given up for it, until that has let go of everything.
    Anew { line: Line, before: Option<watch::Sender<bool>> },
    /// As the one that was under way.
    GoneOn,
}

impl SignIns {
    /// Sign-ins under way.
    pub(crate) fn running(&self) -> usize {
        lock(&self.live).len()
    }

    /// Those under way, oldest first.
    pub(crate) fn views(&self) -> Vec<SignInView> {
        let view = |(id, live): (&SignInId, &Live)| SignInView {
            sign_in: *id,
            server: live.wanted.server.clone(),
            account: live.wanted.account.clone(),
            began_at: live.began_at,
            ends_at: live.ends_at,
            parked: !live.is_attended(),
            steps: lock(&live.steps).clone(),
        };
        let mut views: Vec<SignInView> = lock(&self.live).iter().map(view).collect();
        views.sort_by_key(|view| view.sign_in);
        views
    }

    /// The person's yes or no.
    pub(crate) fn confirm(&self, id: SignInId, yes: bool) -> Result<(), Error> {
        self.with(id, |live| live.answers.send(yes).is_ok())
    }

    /// The browser's final address.
    pub(crate) fn paste(&self, id: SignInId, url: Secret<String>) -> Result<(), Error> {
        self.with(id, |live| live.pasted.send(url).is_ok())
    }

    /// Gives it up.
    pub(crate) fn cancel(&self, id: SignInId) {
        if let Some(live) = lock(&self.live).get(&id) {
            live.cancelled.send_replace(true);
        }
    }

    /// Gives up whatever is under way at a Server.
    pub(crate) fn cancel_at(&self, server: &ServerId) {
        for live in lock(&self.live).values().filter(|live| live.wanted.server == *server) {
            live.cancelled.send_replace(true);
        }
    }

    /// The caller says that it goes away: as if it were gone already.
    pub(crate) fn park(&self, id: SignInId) -> Result<(), Error> {
        let number = self.with_number(id)?;
        self.leave_alone(id, number);
        Ok(())
    }

    /// A caller goes on with one that nobody attends. What it has to hear is the answer.
    pub(super) fn resume(
        &self,
        id: SignInId,
        now: UnixTime,
        events: mpsc::UnboundedSender<FromAgent>,
    ) -> Result<(u64, Vec<SignInStep>), Error> {
        let live = lock(&self.live);
        match live.get(&id) {
            Some(live) if !live.is_attended() => Ok(live.go_on(now, events)),
            Some(_) => Err(Error::new(ErrorCode::Usage, "somebody attends that sign-in already")),
            None => Err(over()),
        }
    }

    /// A caller begins: anew, or with what is under way there and fits.
    pub(super) fn enter(
        &self,
        wanted: &Wanted,
        anew: bool,
        now: UnixTime,
        events: mpsc::UnboundedSender<FromAgent>,
        watchers: broadcast::Sender<Event>,
    ) -> Result<(SignInId, u64, Vec<SignInStep>, Entered), Error> {
        let server = &wanted.server;
        let mut live = lock(&self.live);
        let there = live.iter().find(|(_, l)| l.wanted.server == *server).map(|(id, _)| *id);
        let mut before = None;
        let mut found = Vec::new();
        if let Some(there) = there {
            let other = &live[&there];
            if other.is_attended() && !*other.cancelled.borrow() {
                return Err(Error::new(
                    ErrorCode::Usage,
                    format!("a sign-in to {server} is under way already"),
                )
                .hint("finish or cancel that one first"));
            }
            if !anew && other.wanted.is_like(wanted) && !*other.cancelled.borrow() {
                let (number, replay) = other.go_on(now, events);
                return Ok((there, number, replay, Entered::GoneOn));
            }
            if let Some(other) = live.remove(&there) {
                let begun = minutes(now, other.began_at);
                found.push(format!("the sign-in that was begun {begun} is given up; this is a new one"));
                other.cancelled.send_replace(true);
                before = Some(other.cancelled);
            }
        }
        if let Some(how) = lock(&self.unseen).remove(server) {
            found.push(format!("the sign-in before this one ended while nobody was there: {how}"));
        }
        // Above those of every agent before this one: a window outlives its agent, and must never take the sign-in of
        // one for that of another.
        let least = now.0.saturating_mul(1000);
        let id = self.next.load(Ordering::Relaxed).max(least) + 1;
        self.next.store(id, Ordering::Relaxed);
        let id = SignInId(id);
        let (answers, answers_in) = mpsc::unbounded_channel();
        let (pasted, pasted_in) = mpsc::unbounded_channel();
        let (cancelled, cancelled_in) = watch::channel(false);
        let (there, there_in) = watch::channel(true);
        let told: Vec<SignInStep> = found.into_iter().map(|what| SignInStep::Found { what }).collect();
        let steps = Arc::new(Mutex::new(told.clone()));
        let caller = Arc::new(Mutex::new(Caller { number: 0, events: Some(events) }));
        let entry = Live {
            wanted: wanted.clone(),
            began_at: now,
            ends_at: now.after(Duration::from_secs(wanted.timeout)),
            steps: Arc::clone(&steps),
            caller: Arc::clone(&caller),
            attended: there,
            answers,
            pasted,
            cancelled,
        };
        live.insert(id, entry);
        let task = Line {
            id,
            caller,
            steps,
            watchers,
            answers: answers_in,
            pasted: pasted_in,
            attended: there_in,
            cancelled: cancelled_in,
        };
        Ok((id, 0, told, Entered::Anew { line: task, before }))
    }

    /// It has come to its end. Whoever comes back later hears how, if nobody is there to hear it now.
    pub(super) fn leave(&self, id: SignInId, end: &SignInStep) {
        let Some(live) = lock(&self.live).remove(&id) else { return };
        if !live.is_attended() && !*live.cancelled.borrow() {
            let how = match end {
                SignInStep::Failed { error } => error.message.clone(),
                SignInStep::Done { account, .. } => format!("{} is signed in", account.label),
                SignInStep::Found { .. }
                | SignInStep::OpenBrowser { .. }
                | SignInStep::EnterCode { .. }
                | SignInStep::Exchanging
                | SignInStep::Confirm { .. }
                | SignInStep::SamePerson { .. } => return,
            };
            lock(&self.unseen).insert(live.wanted.server, how);
        }
    }

    pub(super) fn hold(agent: &Arc<Agent>, id: SignInId, number: u64, replay: Vec<SignInStep>) -> Held {
        Held { agent: Arc::clone(agent), id, number, replay }
    }

    /// This caller is gone.
    fn leave_alone(&self, id: SignInId, number: u64) {
        if let Some(live) = lock(&self.live).get(&id) {
            let mut caller = lock(&live.caller);
            if caller.number != number || caller.events.is_none() {
                return;
            }
            caller.events = None;
            live.attended.send_replace(false);
            if !live.can_wait() {
                live.cancelled.send_replace(true);
            }
        }
    }

    fn with_number(&self, id: SignInId) -> Result<u64, Error> {
        lock(&self.live).get(&id).map(|live| lock(&live.caller).number).ok_or_else(over)
    }

    fn with(&self, id: SignInId, act: impl FnOnce(&Live) -> bool) -> Result<(), Error> {
        match lock(&self.live).get(&id) {
            Some(live) if act(live) => Ok(()),
            Some(_) | None => Err(over()),
        }
    }
}

impl Live {
    fn is_attended(&self) -> bool {
        *self.attended.borrow()
    }

    /// Whether it can wait for its person: they are at the browser or at another device, or came back from there.
    fn can_wait(&self) -> bool {
        let by_person = match self.wanted.way {
            Way::Browser | Way::Device => true,
            Way::Application | Way::IdToken(_) | Way::Pasted(_) => false,
        };
        by_person && lock(&self.steps).iter().any(is_handed_over)
    }

    /// What the new caller has to hear: that it goes on, and everything since the person was sent away.
    fn go_on(&self, now: UnixTime, events: mpsc::UnboundedSender<FromAgent>) -> (u64, Vec<SignInStep>) {
        let mut caller = lock(&self.caller);
        caller.number += 1;
        caller.events = Some(events);
        let what = format!("going on with the sign-in that was begun {}", minutes(now, self.began_at));
        let steps = lock(&self.steps);
        let since = steps.iter().rposition(is_handed_over).unwrap_or(0);
        let replay = std::iter::once(SignInStep::Found { what }).chain(steps[since..].iter().cloned());
        let replay = replay.collect();
        self.attended.send_replace(true);
        (caller.number, replay)
    }
}

/// The person was sent somewhere else.
fn is_handed_over(step: &SignInStep) -> bool {
    match step {
        SignInStep::OpenBrowser { .. } | SignInStep::EnterCode { .. } => true,
        SignInStep::Found { .. }
        | SignInStep::Exchanging
        | SignInStep::Confirm { .. }
        | SignInStep::SamePerson { .. }
        | SignInStep::Done { .. }
        | SignInStep::Failed { .. } => false,
    }
}

fn minutes(now: UnixTime, at: UnixTime) -> String {
    match now.since(at).as_secs() {
        seconds @ 0..120 => format!("{seconds} s ago"),
        seconds => format!("{} min ago", seconds / 60),
    }
}

fn over() -> Error {
    Error::new(ErrorCode::NotFound, "that sign-in is over").hint("start another one: hallpass login <server>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(way: Way) -> Wanted {
        Wanted {
            server: ServerId::parse("jira").unwrap(),
            account: None,
            expect: None,
            label: None,
            select: false,
            approval: ipc::Approval::Ask,
            same_person: false,
            login_hint: None,
            way,
            timeout: 600,
        }
    }

    fn browser() -> SignInStep {
        SignInStep::OpenBrowser { url: "https://as.example/authorize".into(), port: 4711 }
    }

    fn enter(
        all: &SignIns,
        wanted: &Wanted,
        anew: bool,
    ) -> Result<(SignInId, u64, Vec<SignInStep>, Entered), Error> {
        let (events, _to_nobody) = mpsc::unbounded_channel();
        all.enter(wanted, anew, UnixTime(1000), events, broadcast::channel(4).0)
    }

    fn begin(all: &SignIns, wanted: &Wanted) -> (SignInId, Line) {
        match enter(all, wanted, false).unwrap() {
            (id, _, _, Entered::Anew { line, .. }) => (id, line),
            (.., Entered::GoneOn) => panic!("nothing is there to go on with"),
        }
    }

    #[tokio::test]
    async fn only_what_waits_for_its_person_outlives_its_caller() {
        for (way, handed_over, waits) in [
            (Way::Browser, true, true),
            (Way::Device, true, true),
            (Way::Browser, false, false),
            (Way::Application, true, false),
        ] {
            let all = SignIns::default();
            let (id, mut line) = begin(&all, &wanted(way.clone()));
            if handed_over {
                line.step(browser());
            }
            all.park(id).unwrap();
            assert_eq!(!*line.cancelled.borrow(), waits, "{way:?} {handed_over}");
            assert!(!line.attended(Duration::ZERO).await, "nobody is there");
        }
    }

    #[tokio::test]
    async fn the_same_sign_in_is_gone_on_with_and_another_one_is_begun_anew() {
        let all = SignIns::default();
        let asked = wanted(Way::Browser);
        let (id, mut line) = begin(&all, &asked);
        line.step(SignInStep::Found { what: "long ago".into() });
        line.step(browser());
        assert!(enter(&all, &asked, false).is_err(), "somebody attends it");
        all.park(id).unwrap();
        let Ok((again, number, replay, Entered::GoneOn)) = enter(&all, &asked, false) else { panic!() };
        assert_eq!((again, number, replay.len()), (id, 1, 2), "that it goes on, and where: {replay:?}");
        assert_eq!(replay[1], browser());
        assert!(line.attended(Duration::ZERO).await);
        // The first caller is gone long since, and its end is not the end of the second.
        all.leave_alone(id, 0);
        assert!(line.attended(Duration::ZERO).await);
        all.park(id).unwrap();
        let other = Wanted { expect: Some("ben".into()), ..asked.clone() };
        let Ok((newer, _, told, Entered::Anew { before: Some(_), .. })) = enter(&all, &other, false) else {
            panic!()
        };
        assert!(newer > id && *line.cancelled.borrow());
        assert!(matches!(&told[..], [SignInStep::Found { what }] if what.contains("given up")), "{told:?}");
    }

    #[test]
    fn how_one_ended_that_nobody_saw_is_told_to_whoever_comes_next_and_once() {
        let all = SignIns::default();
        let asked = wanted(Way::Device);
        let (id, line) = begin(&all, &asked);
        line.step(browser());
        all.park(id).unwrap();
        let error = Error::new(ErrorCode::Failed, "nobody entered the code in time");
        all.leave(id, &SignInStep::Failed { error });
        let (id, _, told, _) = enter(&all, &asked, false).unwrap();
        assert!(
            matches!(&told[..], [SignInStep::Found { what }] if what.contains("nobody entered the code"))
        );
        all.leave(id, &SignInStep::Failed { error: over() });
        assert!(enter(&all, &asked, false).unwrap().2.is_empty(), "whoever attended it has seen its end");
    }

    #[test]
    fn anew_is_anew_whatever_is_there() {
        let all = SignIns::default();
        let asked = wanted(Way::Browser);
        let (id, line) = begin(&all, &asked);
        line.step(browser());
        all.park(id).unwrap();
        let (newer, .., entered) = enter(&all, &asked, true).unwrap();
        assert!(newer != id && matches!(entered, Entered::Anew { before: Some(_), .. }));
    }
}
