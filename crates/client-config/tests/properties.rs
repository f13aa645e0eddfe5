//! What holds for every file: foreign bytes stay, undo gives back each byte, nothing panics.
#![allow(clippy::unwrap_used, reason = "what helps a test may panic as the test may")]

mod support;

use hallpass_client_config::{Change, ClientApp, Document, EntryKind, Target, Which, entries, plan};
use proptest::prelude::*;
use support::{EXECUTABLE, Sandbox, claude, connect, connect_everything, cursor};

/// White space, and for Cursor comments, between two tokens.
fn gap(comments: bool) -> BoxedStrategy<String> {
    let blank = "[ \t\r\n]{0,3}".boxed();
    if comments {
        let comment = prop_oneof!["/\\*[a-z *]{0,4}\\*/", "//[a-zé\"{},:]{0,4}[\r\n]", Just(String::new())];
        (blank.clone(), comment, blank).prop_map(|(a, b, c)| a + &b + &c).boxed()
    } else {
        blank
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        r"[a-zA-Z0-9 .:/@?&=_é日-]{0,12}".prop_map(|s| format!("\"{s}\"")),
        Just(r#""\u0041\n\"\\\/é😀""#.to_owned()),
        Just(r#""Bearer Zk3vQ8rT1yB6nW0pL5sD9fG2hJ7k""#.to_owned()),
        Just(r#""${env:X}""#.to_owned()),
    ]
}

/// A JSON value written in any manner.
fn value(comments: bool) -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        4 => text().boxed(),
        1 => prop::sample::select(vec!["null", "true", "false", "0", "-1.50e+3", "123456789012345678901234567890"])
            .prop_map(str::to_owned).boxed(),
    ];
    scalar.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            object(prop::collection::vec(("[a-z]{1,5}", inner.clone()), 0..4).boxed(), comments),
            (prop::collection::vec(inner, 0..4), gap(comments)).prop_map(|(values, gap)| {
                format!("[{gap}{}{gap}]", values.join(&format!("{gap},{gap}")))
            }),
        ]
    })
}

/// Members in any manner; a key that comes twice is made another one.
fn object(members: BoxedStrategy<Vec<(String, String)>>, comments: bool) -> BoxedStrategy<String> {
    (members, gap(comments), gap(comments), gap(comments), any::<bool>())
        .prop_map(move |(members, a, b, c, trailing)| {
            let comma = if comments && trailing && !members.is_empty() { "," } else { "" };
            let members: Vec<String> = members
                .iter()
                .enumerate()
                .map(|(at, (key, value))| {
                    format!("\"{key}{}\"{b}:{c}{value}", if key == "mcpServers" { "" } else { SUFFIXES[at] })
                })
                .collect();
            format!("{{{a}{}{b}{comma}{c}}}", members.join(&format!("{c},{a}")))
        })
        .boxed()
}

const SUFFIXES: [&str; 8] = ["", "0", "1", "2", "3", "4", "5", "6"];

fn entry(comments: bool) -> BoxedStrategy<String> {
    let remote = (text(), gap(comments), value(comments)).prop_map(|(token, gap, extra)| {
        format!(
            "{{{gap}\"url\":{gap}\"https://a.example/mcp?token=Zk3vQ8rT1yB6\",{gap}\"headers\":{{\"A\":{token}{gap}}},\"extra\":{extra}{gap}}}"
        )
    });
    let mcp_remote = (text(), gap(comments)).prop_map(|(token, gap)| {
        format!("{{\"command\":\"npx\",{gap}\"args\":[\"mcp-remote\",{gap}\"https://a.example\",\"--header\",{token}]}}")
    });
    prop_oneof![2 => remote, 2 => mcp_remote, 1 => value(comments)].boxed()
}

fn file(comments: bool) -> impl Strategy<Value = String> {
    let servers = object(prop::collection::vec(("[a-z]{1,5}", entry(comments)), 0..4).boxed(), comments);
    let root = (prop::collection::vec(("[a-z]{1,5}", value(comments)), 0..3), servers, 0..4usize).prop_map(
        |(mut members, servers, at)| {
            if at < 3 {
                members.insert(at.min(members.len()), ("mcpServers".to_owned(), servers));
            }
            members
        },
    );
    (any::<bool>(), gap(comments), object(root.boxed(), comments), gap(comments))
        .prop_map(|(bom, a, root, b)| format!("{}{a}{root}{b}", if bom { "\u{feff}" } else { "" }))
}

fn any_file() -> impl Strategy<Value = (&'static ClientApp, String)> {
    prop_oneof![file(false).prop_map(|text| (claude(), text)), file(true).prop_map(|text| (cursor(), text)),]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn undo_gives_back_every_byte((app, text) in any_file()) {
        let mut sandbox = Sandbox::new(app, Some(text.as_bytes()));
        let changes = connect_everything(&sandbox.document());
        let plan = sandbox.plan(&changes).unwrap();
        sandbox.apply(&plan).unwrap();
        prop_assert!(sandbox.plan(&changes).unwrap().is_empty());
        sandbox.restore(Which::All);
        prop_assert_eq!(sandbox.bytes().unwrap(), text.as_bytes());
        prop_assert!(sandbox.keychain.is_empty());
    }

    #[test]
    fn several_plans_in_any_order_are_undone_to_the_first_byte((app, text) in any_file(), seed in any::<u64>()) {
        let mut sandbox = Sandbox::new(app, Some(text.as_bytes()));
        let mut changes = connect_everything(&sandbox.document());
        changes.push(connect("another"));
        let turn = usize::try_from(seed % changes.len() as u64).unwrap();
        changes.rotate_left(turn);
        for change in changes.chunks(1 + usize::try_from(seed % 2).unwrap()) {
            let plan = sandbox.plan(change).unwrap();
            sandbox.apply(&plan).unwrap();
        }
        sandbox.restore(Which::All);
        prop_assert_eq!(sandbox.bytes().unwrap(), text.as_bytes());
    }

    #[test]
    fn adding_an_entry_takes_no_byte_away((app, text) in any_file()) {
        let target = Target { path: "/x/config.json".as_ref(), bytes: Some(text.as_bytes()), app };
        let plan = plan(target, &[connect("NEW")], EXECUTABLE).unwrap();
        let document = Document::parse(text.as_bytes(), app).unwrap();
        let kept = text.trim_start_matches('\u{feff}');
        let kept = if app.id == "cursor" { text.as_str() } else { kept };
        // The old text is what is left when the insertions are taken out: a subsequence, byte for byte.
        let mut rest = plan.after().iter();
        prop_assert!(kept.bytes().all(|byte| rest.any(|other| *other == byte)));
        let after = Document::parse(plan.after(), app).unwrap();
        let (before, after) = (entries(&document), entries(&after));
        prop_assert_eq!(after.len(), before.len() + 1);
        let same = |a: &hallpass_client_config::Entry, b: &hallpass_client_config::Entry| a.name == b.name && a.kind == b.kind;
        prop_assert!(before.iter().all(|entry| after.iter().any(|other| same(entry, other))));
    }

    #[test]
    fn taking_an_added_entry_out_by_hand_leaves_the_others((app, text) in any_file()) {
        let mut sandbox = Sandbox::new(app, Some(text.as_bytes()));
        sandbox.connect(&[connect("NEW")]);
        sandbox.connect(&[Change::Disconnect { entry: "NEW".to_owned() }]);
        let before = entries(&Document::parse(text.as_bytes(), app).unwrap());
        let after = entries(&sandbox.document());
        let shape = |all: &[hallpass_client_config::Entry]| -> Vec<(String, EntryKind)> {
            all.iter().map(|e| (e.name.clone(), e.kind.clone())).collect()
        };
        prop_assert_eq!(shape(&after), shape(&before));
    }

    #[test]
    fn any_bytes_are_planned_for_or_refused_without_a_panic(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            r#"[\[\]{}:,"/*\\ \r\n\ta-c0-9.eE+-]{0,40}"#.prop_map(String::into_bytes),
            (any_file(), any::<prop::sample::Index>()).prop_map(|((_, text), at)| text.as_bytes()[..at.index(text.len() + 1)].to_vec()),
        ],
    ) {
        for app in [claude(), cursor()] {
            let target = Target { path: "/x/config.json".as_ref(), bytes: Some(&bytes), app };
            if let Ok(plan) = plan(target, &[connect("new"), connect("a")], EXECUTABLE) {
                prop_assert!(Document::parse(plan.after(), app).is_ok());
                if app.id == "claude-desktop" {
                    prop_assert!(serde_json::from_slice::<serde_json::Value>(plan.after()).is_ok());
                }
            }
        }
    }
}
