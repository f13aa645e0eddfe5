//! Decides from the records of all sides whether anybody acted as somebody else. Pure, so that it can be shown to
//! notice what it is there for.
//!
//! The person in force when a bridge accepted a call follows from the order alone: a call that was sent after a
//! `switch` had returned is the new person's, one that the server saw before the `switch` began is the old one's,
//! and what overlaps may be either's. Never a third, and all sides must name the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::running_app::{Answer, Moment};

/// A client hands on what came in order, but prints on several tasks.
const SLACK: Duration = Duration::from_millis(250);

/// Whose choice an app follows: its own, or the general one.
pub(crate) type Rule = Option<&'static str>;

/// A `switch` from its start to its return.
#[derive(Clone, Debug)]
pub(crate) struct Switched {
    pub(crate) rule: Rule,
    pub(crate) began: Moment,
    pub(crate) returned: Moment,
    pub(crate) person: &'static str,
}

/// A call with its answer.
pub(crate) struct Called {
    /// Index of the app.
    pub(crate) app: usize,
    /// The test's name for it, which the server's log repeats.
    pub(crate) tag: String,
    pub(crate) tool: &'static str,
    pub(crate) sent: Moment,
    pub(crate) answer: Answer,
}

/// Everything that all sides have recorded.
pub(crate) struct Record {
    /// Rule and person at the beginning, by index of the app; whether it speaks the stateless era.
    pub(crate) apps: Vec<(Rule, &'static str, bool)>,
    pub(crate) switches: Vec<Switched>,
    pub(crate) calls: Vec<Called>,
    /// What each app heard besides answers.
    pub(crate) events: Vec<(usize, Answer)>,
    /// The protected server's log.
    pub(crate) log: Vec<Value>,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// One sentence each; empty is what is wanted.
    pub(crate) wrong: Vec<String>,
    /// Calls during which a switch of their app took place.
    pub(crate) overlapping: usize,
    /// Calls that ended, as they began, as somebody who was not in force any more.
    pub(crate) ended_as_before: usize,
    /// Stateless questions whose second half would have been somebody else's, refused by name.
    pub(crate) refused_halves: usize,
    /// Notifications that name a person.
    pub(crate) notifications: usize,
    /// Those of them that came on a standing stream, by person.
    pub(crate) chimes: BTreeMap<&'static str, usize>,
    /// Questions of the server.
    pub(crate) questions: usize,
    /// Progress.
    pub(crate) progress: usize,
}

/// A line of the server's log about a call.
struct Seen<'a> {
    at: Moment,
    person: &'a str,
}

impl Record {
    /// Compares all sides.
    pub(crate) fn verdict(&self) -> Verdict {
        let mut verdict = Verdict::default();
        let seen = self.seen(&mut verdict);
        for call in &self.calls {
            self.check_call(call, seen.get(call.tag.as_str()).map_or(&[], Vec::as_slice), &mut verdict);
        }
        for (app, event) in &self.events {
            self.check_event(*app, event, &seen, &mut verdict);
        }
        verdict
    }

    /// Who may have been in force at some moment of a span.
    fn in_force(&self, app: usize, from: Moment, to: Moment) -> BTreeSet<&'static str> {
        let (rule, first, _) = self.apps[app];
        let mut people = BTreeSet::from([first]);
        for switch in self.switches.iter().filter(|switch| switch.rule == rule && switch.began <= to) {
            if switch.returned <= from {
                people.clear();
            }
            people.insert(switch.person);
        }
        people
    }

    fn seen(&self, verdict: &mut Verdict) -> BTreeMap<&str, Vec<Seen<'_>>> {
        let known: BTreeSet<&str> = self.calls.iter().map(|call| call.tag.as_str()).collect();
        let mut seen: BTreeMap<&str, Vec<Seen<'_>>> = BTreeMap::new();
        for row in self.log.iter().filter(|row| row["kind"] == "call") {
            let (tag, person) = (text(&row["tag"]), text(&row["sub"]));
            if !known.contains(tag) {
                verdict.wrong.push(format!("the server saw a call that nobody made: {row}"));
            }
            let at = Duration::from_secs_f64(row["at"].as_f64().unwrap_or_default());
            seen.entry(tag).or_default().push(Seen { at, person });
        }
        seen
    }

    fn check_call(&self, call: &Called, seen: &[Seen<'_>], verdict: &mut Verdict) {
        let (tag, said) = (&call.tag, &call.answer.said);
        let mut wrong = |what: String| verdict.wrong.push(format!("{tag}: {what}"));
        let until = seen.first().map_or(call.answer.at, |first| first.at);
        let allowed = self.in_force(call.app, call.sent, until);
        if let Some(other) = seen.iter().find(|each| !allowed.contains(each.person)) {
            wrong(format!("the server saw {}, in force was {allowed:?}", other.person));
        }
        if let Some(other) = seen.iter().find(|each| each.person != seen[0].person) {
            wrong(format!("began as {} and went on as {}", seen[0].person, other.person));
        }
        let halves = call.tool == "ask" && self.apps[call.app].2;
        if seen.len() > if halves { 2 } else { 1 } {
            wrong(format!("carried out {} times", seen.len()));
        }
        let during = self.in_force(call.app, call.sent, call.answer.at);
        verdict.overlapping += usize::from(during.len() > 1);
        if said["ok"] != true || said["is_error"] == true {
            let error = text(&said["error"]);
            if halves && during.len() > 1 && error.contains("began as") {
                verdict.refused_halves += 1;
            } else {
                verdict.wrong.push(format!("{tag}: refused: {said}"));
            }
            return;
        }
        let answered = text(&said["text"]);
        let people: Vec<&str> = PEOPLE.into_iter().filter(|person| answered.contains(person)).collect();
        match (people[..].first(), seen.first()) {
            (Some(person), Some(first)) if people.len() == 1 && *person == first.person => {
                let now = self.in_force(call.app, call.answer.at, call.answer.at);
                verdict.ended_as_before += usize::from(!now.contains(person));
            }
            (_, first) => {
                let logged = first.map(|first| first.person);
                verdict.wrong.push(format!("{tag}: answered {answered:?}, the server saw {logged:?}"));
            }
        }
    }

    fn check_event(
        &self,
        app: usize,
        event: &Answer,
        seen: &BTreeMap<&str, Vec<Seen<'_>>>,
        verdict: &mut Verdict,
    ) {
        let said = &event.said;
        let words = said.to_string();
        let Some(person) = PEOPLE.into_iter().find(|person| words.contains(person)) else {
            if said["event"] == "transport-error" || said["event"] == "closed" {
                verdict.wrong.push(format!("app {app}: {said}"));
            }
            return;
        };
        let mine = || self.calls.iter().filter(|call| call.app == app);
        match text(&said["event"]) {
            "notification" => {
                verdict.notifications += 1;
                if words.contains(": chime ") {
                    *verdict.chimes.entry(person).or_default() += 1;
                }
                // Whatever was sent before this answer came has been heard before it.
                let fences = mine().filter(|call| call.answer.at + SLACK < event.at);
                let fence = fences.map(|call| call.sent).max().unwrap_or_default();
                let allowed = self.in_force(app, fence, event.at);
                if !allowed.contains(person) {
                    verdict.wrong.push(format!("app {app}, in force was {allowed:?}: heard {said}"));
                }
            }
            "elicitation" => {
                verdict.questions += 1;
                let call = mine().find(|call| words.contains(&format!(" {}\"", call.tag)));
                let first = call.and_then(|call| seen.get(call.tag.as_str())?.first());
                if first.is_none_or(|first| first.person != person)
                    || call.is_none_or(|call| call.answer.at < event.at)
                {
                    verdict.wrong.push(format!("app {app}: asked out of a call's bounds: {said}"));
                }
            }
            "progress" => {
                verdict.progress += 1;
                let call = mine().find(|call| call.answer.said["id"] == said["id"]);
                let first = call.and_then(|call| seen.get(call.tag.as_str())?.first());
                if first.is_none_or(|first| first.person != person) {
                    verdict.wrong.push(format!("app {app}: progress of somebody else: {said}"));
                }
            }
            other => verdict.wrong.push(format!("app {app}: {other} is unknown: {said}")),
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(crate) const PEOPLE: [&str; 2] = ["ana", "ben"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    /// One app, switched from ana to ben between 10 and 12; each call is (sent, seen, answered, person).
    fn record(calls: &[(u64, f64, u64, &str)], heard: &[(u64, &str)]) -> Record {
        let called = |(index, (sent, _, answered, person)): (usize, &(u64, f64, u64, &str))| {
            let said = json!({"id": index, "ok": true, "text": person, "is_error": false});
            let answer = Answer { at: at(*answered), said };
            Called { app: 0, tag: format!("t{index}"), tool: "whoami", sent: at(*sent), answer }
        };
        let row = |(index, (_, seen, _, person)): (usize, &(u64, f64, u64, &str))| json!({"kind": "call", "tag": format!("t{index}"), "sub": person, "at": seen});
        let event = |(when, words): &(u64, &str)| {
            let said = json!({"event": "notification", "params": {"data": words}});
            (0, Answer { at: at(*when), said })
        };
        Record {
            apps: vec![(None, "ana", false)],
            switches: vec![Switched { rule: None, began: at(10), returned: at(12), person: "ben" }],
            calls: calls.iter().enumerate().map(called).collect(),
            events: heard.iter().map(event).collect(),
            log: calls.iter().enumerate().map(row).collect(),
        }
    }

    #[test]
    fn calls_before_after_and_during_a_switch_may_be_whose_they_are() {
        let fine = [(1, 1.5, 2, "ana"), (9, 9.5, 20, "ana"), (11, 11.5, 13, "ana"), (11, 11.6, 13, "ben")];
        let verdict = record(&fine, &[]).verdict();
        assert_eq!(verdict.wrong, Vec::<String>::new());
        assert_eq!((verdict.overlapping, verdict.ended_as_before), (3, 2));
        assert_eq!(record(&[(13, 13.5, 14, "ben")], &[]).verdict().wrong.len(), 0);
    }

    #[test]
    fn every_kind_of_wrong_person_is_noticed() {
        for call in [(1, 1.5, 2, "ben"), (13, 13.5, 14, "ana"), (9, 9.5, 20, "ben")] {
            assert_eq!(record(&[call], &[]).verdict().wrong.len(), 1, "{call:?}");
        }
        let mut other_answer = record(&[(11, 11.5, 13, "ana")], &[]);
        other_answer.log[0]["sub"] = json!("ben");
        let mut twice = record(&[(11, 11.5, 13, "ana")], &[]);
        twice.log.push(twice.log[0].clone());
        let mut unseen = record(&[(1, 1.5, 2, "ana")], &[]);
        unseen.log.clear();
        let mut unmade = record(&[(1, 1.5, 2, "ana")], &[]);
        unmade.log.push(json!({"kind": "call", "tag": "x", "sub": "ana", "at": 1.0}));
        let mut refused = record(&[(11, 11.5, 13, "ana")], &[]);
        refused.calls[0].answer.said = json!({"id": 0, "ok": false, "error": "Session not found"});
        for wrong in [other_answer, twice, unseen, unmade, refused] {
            assert_eq!(wrong.verdict().wrong.len(), 1, "{:?}", wrong.verdict());
        }
    }

    #[test]
    fn a_notification_of_the_old_person_is_wrong_once_a_call_after_the_switch_was_answered() {
        let calls = [(1, 1.5, 2, "ana"), (13, 13.5, 14, "ben")];
        for (when, person, wrong) in
            [(3, "ana", 0), (3, "ben", 1), (14, "ana", 0), (15, "ana", 1), (15, "ben", 0)]
        {
            let verdict = record(&calls, &[(when, &format!("{person}: chime"))]).verdict();
            assert_eq!(verdict.wrong.len(), wrong, "{when} {person}: {verdict:?}");
        }
    }
}
