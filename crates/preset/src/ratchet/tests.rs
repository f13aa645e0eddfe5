//! Files in their order: which takes the place of which, and what is refused.

use serde_json::{Value, json};

use super::*;
use crate::signing::{Protection, SecretKey, generate};

struct Publisher {
    key: PublicKey,
    secret: SecretKey,
}

impl Publisher {
    fn new() -> Self {
        let keys = generate(Protection::None).unwrap();
        Self { secret: SecretKey::open(&keys.secret_file, None).unwrap(), key: keys.public }
    }

    fn sign(&self, bytes: &[u8]) -> String {
        self.secret.sign(bytes, "made for a test").unwrap()
    }
}

const NOW: UnixTime = UnixTime(1_795_200_000);

fn list(serial: u64, next: &[&PublicKey], title: &str) -> Vec<u8> {
    let mut value: Value = serde_json::from_str(&crate::starter(UnixTime(1_795_132_800))).unwrap();
    let about = &mut value["_meta"]["dev.hallpass/list"];
    about["serial"] = json!(serial);
    about["title"] = json!(title);
    about["nextKeys"] = json!(next);
    serde_json::to_vec(&value).unwrap()
}

fn offer<'a>(bytes: &'a [u8], signature: &'a str) -> Offered<'a> {
    Offered { bytes, signature: Some(signature), etag: Some("\"e\"") }
}

/// The first file of a list, accepted.
fn first(publisher: &Publisher, serial: u64, next: &[&PublicKey]) -> Seen {
    let bytes = list(serial, next, "t");
    accept(None, Some(&publisher.key), offer(&bytes, &publisher.sign(&bytes)), NOW).unwrap().seen
}

fn then(seen: &Seen, publisher: &Publisher, bytes: &[u8]) -> Result<Accepted, Refused> {
    accept(Some(seen), None, offer(bytes, &publisher.sign(bytes)), NOW)
}

#[test]
fn a_higher_serial_and_the_same_bytes_are_taken() {
    let acme = Publisher::new();
    let bytes = list(41, &[], "t");
    let accepted = accept(None, Some(&acme.key), offer(&bytes, &acme.sign(&bytes)), NOW).unwrap();
    assert_eq!(accepted.news, News::First);
    assert_eq!(
        accepted.trust,
        Trust::Verified { key: acme.key.clone(), comment: "made for a test".to_owned() }
    );
    let seen = accepted.seen;
    assert_eq!(
        (seen.serial, seen.list.as_deref(), seen.etag.as_deref()),
        (41, Some("com.example/tools"), Some("\"e\""))
    );
    assert_eq!(seen.keys, [acme.key.as_str()]);
    assert_eq!(then(&seen, &acme, &bytes).unwrap().news, News::Same);
    let newer = then(&seen, &acme, &list(43, &[], "t")).unwrap();
    assert_eq!((newer.news, newer.seen.serial), (News::Newer, 43));
    let again: Seen = serde_json::from_str(&serde_json::to_string(&newer.seen).unwrap()).unwrap();
    assert_eq!(again, newer.seen);
    assert_eq!(not_modified(&seen, UnixTime(NOW.0 + 9)).last_success, UnixTime(NOW.0 + 9));
}

#[test]
fn what_is_older_other_or_signed_by_nobody_known_is_refused() {
    let (acme, mallory) = (Publisher::new(), Publisher::new());
    let seen = first(&acme, 42, &[]);
    assert_eq!(then(&seen, &acme, &list(41, &[], "t")), Err(Refused::Rollback { seen: 42, found: 41 }));
    assert_eq!(then(&seen, &acme, &list(42, &[], "other")), Err(Refused::Alarm { serial: 42 }));
    let next = list(43, &[], "t");
    assert_eq!(then(&seen, &mallory, &next), Err(Refused::Signature(SignatureError::OtherKey)));
    // The key that is named beside it is not asked: the kept ones count.
    assert_eq!(
        accept(Some(&seen), Some(&mallory.key), offer(&next, &mallory.sign(&next)), NOW),
        Err(Refused::Signature(SignatureError::OtherKey))
    );
    let swapped = acme.sign(&list(42, &[], "t"));
    assert_eq!(
        accept(Some(&seen), None, offer(&next, &swapped), NOW),
        Err(Refused::Signature(SignatureError::Wrong))
    );
    let bare = Offered { bytes: &next, signature: None, etag: None };
    assert_eq!(accept(Some(&seen), None, bare, NOW), Err(Refused::Unsigned));
    assert_eq!(accept(None, Some(&acme.key), bare, NOW), Err(Refused::Unsigned));
    let mut other: Value = serde_json::from_slice(&next).unwrap();
    other["_meta"]["dev.hallpass/list"]["id"] = json!("com.example/others");
    let other = serde_json::to_vec(&other).unwrap();
    assert!(matches!(then(&seen, &acme, &other), Err(Refused::OtherList { .. })));
    let registry = br#"{"servers":[]}"#;
    assert_eq!(then(&seen, &acme, registry), Err(Refused::NoSerial));
    let huge = vec![b' '; crate::MAX_BYTES + 1];
    assert!(matches!(then(&seen, &acme, &huge), Err(Refused::List(ListError::Json(_)))));
    let token = format!("ghp_{}", "Zk3vQ8rT1yB6nW0pL5sD9fG2hJ7kM4xCqE8u");
    let chatty = acme.secret.sign(&next, &format!("token {token}")).unwrap();
    let refused = accept(Some(&seen), None, offer(&next, &chatty), NOW).unwrap_err();
    assert!(matches!(refused, Refused::Comment(_)) && !format!("{refused} {refused:?}").contains(&token));
    let mut forgotten = seen.clone();
    forgotten.keys = vec!["RWx".to_owned()];
    assert_eq!(then(&forgotten, &acme, &next), Err(Refused::Forgotten));
    // None of it moved the ratchet.
    assert_eq!(then(&seen, &acme, &next).unwrap().seen.serial, 43);
}

#[test]
fn a_list_that_breaks_a_rule_is_refused_although_it_is_signed() {
    let acme = Publisher::new();
    let mut value: Value = serde_json::from_slice(&list(1, &[], "t")).unwrap();
    value["servers"][0]["server"]["remotes"][0]["url"] = json!("https://mcp.example.com/?token=hunter2");
    let bytes = serde_json::to_vec(&value).unwrap();
    let refused = accept(None, Some(&acme.key), offer(&bytes, &acme.sign(&bytes)), NOW).unwrap_err();
    assert!(matches!(refused, Refused::List(ListError::Lint(_))));
}

#[test]
fn keys_follow_each_other_and_at_most_two_are_live() {
    let (old, new, third) = (Publisher::new(), Publisher::new(), Publisher::new());
    let seen = first(&old, 1, &[]);
    // Not announced yet.
    assert!(then(&seen, &new, &list(2, &[], "t")).is_err());
    let seen = then(&seen, &old, &list(2, &[&new.key], "t")).unwrap().seen;
    assert_eq!(seen.keys, [old.key.as_str(), new.key.as_str()]);
    // Both may sign now.
    let still_old = then(&seen, &old, &list(3, &[&new.key], "t")).unwrap().seen;
    let seen = then(&still_old, &new, &list(4, &[], "t")).unwrap().seen;
    assert_eq!(seen.keys, [new.key.as_str()]);
    // The first list under the new key retired the old one.
    assert_eq!(then(&seen, &old, &list(5, &[], "t")), Err(Refused::Signature(SignatureError::OtherKey)));
    // An announcement can be taken back.
    let seen = then(&seen, &new, &list(6, &[&third.key], "t")).unwrap().seen;
    let seen = then(&seen, &new, &list(7, &[], "t")).unwrap().seen;
    assert!(then(&seen, &third, &list(8, &[], "t")).is_err());
    // A key announces itself in vain, and two others are one too many.
    assert_eq!(then(&seen, &new, &list(8, &[&new.key, &old.key], "t")).unwrap().seen.keys.len(), 2);
    assert_eq!(then(&seen, &new, &list(8, &[&third.key, &old.key], "t")), Err(Refused::TooManyKeys));
}

#[test]
fn the_same_bytes_under_another_live_key_retire_nobody() {
    let (old, new) = (Publisher::new(), Publisher::new());
    let seen = first(&old, 1, &[&new.key]);
    let again = then(&seen, &new, &list(1, &[&new.key], "t")).unwrap();
    assert_eq!((again.news, again.seen.keys), (News::Same, seen.keys));
}

#[test]
fn an_unverified_list_makes_nothing_mandatory_and_can_be_pinned_later() {
    let acme = Publisher::new();
    let mut value: Value = serde_json::from_slice(&list(1, &[], "t")).unwrap();
    value["servers"][0]["_meta"]["dev.hallpass/server"]["mandatory"] = json!(true);
    let bytes = serde_json::to_vec(&value).unwrap();
    let bare = Offered { bytes: &bytes, signature: None, etag: None };
    let accepted = accept(None, None, bare, NOW).unwrap();
    assert_eq!(accepted.trust, Trust::Unverified);
    assert!(!accepted.list.servers[0].mandatory && accepted.seen.keys.is_empty());
    let older = accept(
        Some(&Seen { serial: 9, ..accepted.seen.clone() }),
        None,
        Offered { bytes: &list(2, &[], "x"), ..bare },
        NOW,
    );
    assert_eq!(older, Err(Refused::Rollback { seen: 9, found: 2 }));
    let pinned =
        accept(Some(&accepted.seen), Some(&acme.key), offer(&bytes, &acme.sign(&bytes)), NOW).unwrap();
    assert!(pinned.list.servers[0].mandatory);
    let registry = |text: &'static str| Offered { bytes: text.as_bytes(), signature: None, etag: None };
    let seen = accept(None, None, registry(r#"{"servers":[]}"#), NOW).unwrap().seen;
    assert_eq!((seen.serial, &seen.list), (0, &None));
    assert_eq!(accept(Some(&seen), None, registry(r#"{"servers":[ ]}"#), NOW).unwrap().news, News::Newer);
}

#[test]
fn a_list_goes_stale_and_says_since_when() {
    let seen = first(&Publisher::new(), 1, &[]);
    let expires = seen.expires.unwrap();
    assert_eq!(standing(&seen, UnixTime(expires.0 - 1)), Standing::Current);
    assert_eq!(standing(&seen, expires), Standing::Stale { since: expires });
    assert_eq!(standing(&seen, expires).words().unwrap(), "the list is stale since 2027-02-18T00:00:00Z");
    assert_eq!(standing(&Seen { expires: None, ..seen }, UnixTime(u64::MAX)), Standing::Current);
}

#[test]
fn every_refusal_says_what_to_do() {
    let finding = lint_comment("-----BEGIN PRIVATE KEY-----").unwrap();
    for refused in [
        Refused::Unsigned,
        Refused::Signature(SignatureError::Legacy),
        Refused::Signature(SignatureError::OtherKey),
        Refused::Signature(SignatureError::Wrong),
        Refused::Comment(finding.clone()),
        Refused::List(ListError::Lint(vec![finding])),
        Refused::NoSerial,
        Refused::TooManyKeys,
        Refused::OtherList { wanted: "a".into(), found: "b".into() },
        Refused::Rollback { seen: 2, found: 1 },
        Refused::Alarm { serial: 1 },
        Refused::Forgotten,
    ] {
        assert!(refused.to_string().len() > 20 && refused.next_step().len() > 20, "{refused:?}");
    }
}
