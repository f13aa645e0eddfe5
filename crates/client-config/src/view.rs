//! The diff that people see of a plan: no foreign value can be read in it.

use similar::TextDiff;

use crate::cut::{For, HIDDEN, comments_in, scalars};
use crate::document::Document;
use crate::entry::{EntryKind, kind};
use crate::node::Node;

/// The difference of two documents, values hidden.
pub(crate) fn diff(before: &Document, after: &Document) -> String {
    let (before, after) = (visible(before), visible(after));
    TextDiff::from_lines(&before, &after)
        .unified_diff()
        .context_radius(3)
        .header("before", "after")
        .to_string()
}

/// The text with every value hidden but those of entries of ours.
fn visible(document: &Document) -> String {
    let text = document.text();
    let mut spans = comments_in(document, &(0..text.len()));
    let root = document.root().and_then(Node::members).unwrap_or_default();
    for member in root {
        match member.value.members() {
            Some(entries) if member.key == document.app().root_key => {
                for entry in entries {
                    let ours = matches!(kind(document, entry), EntryKind::Ours(ours) if ours.untouched);
                    if !ours {
                        scalars(document, &entry.value, "", For::View, &mut spans);
                    }
                }
            }
            _ => scalars(document, &member.value, "", For::View, &mut spans),
        }
    }
    spans.sort_by_key(|span| span.start);
    let (mut visible, mut end) = (String::new(), 0);
    for span in spans {
        visible.push_str(&text[end..span.start]);
        visible.push_str(HIDDEN);
        end = span.end;
    }
    visible + &text[end..]
}
