//! Edits as the journal keeps them: places in the text after all of them, so that undo needs no order.

use serde::{Deserialize, Serialize};

use crate::splice::Splice;

/// One changed place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Edit {
    /// Byte offset in the text after all edits.
    pub(crate) at: usize,
    /// What stands there now. Ours alone, so it holds no secret.
    pub(crate) inserted: String,
    /// What stood there before.
    pub(crate) removed: Removed,
}

/// The bytes that an edit took away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Removed {
    /// White space, commas, a byte order mark, an entry of ours: bytes without a secret.
    Text(String),
    /// The value of the entry with this name, kept with the entry.
    Entry(String),
}

/// All edits of one plan, in ascending order of place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Edits(Vec<Edit>);

/// An edit would cut through another one of the same plan.
pub(crate) struct Overlap;

impl Edits {
    /// Makes a splice in `text` and remembers it. `removed` says what the bytes were.
    pub(crate) fn make(
        &mut self,
        text: &mut String,
        splice: &Splice,
        removed: Removed,
    ) -> Result<(), Overlap> {
        let span = splice.span.clone();
        let inside = |edit: &Edit| edit.at <= span.start && span.end <= edit.at + edit.inserted.len();
        let within =
            self.0.iter().position(|edit| inside(edit) && !(edit.inserted.is_empty() && span.is_empty()));
        let place = if let Some(place) = within {
            let edit = &mut self.0[place];
            edit.inserted.replace_range(span.start - edit.at..span.end - edit.at, &splice.text);
            place
        } else {
            let place = self.0.iter().position(|edit| edit.at >= span.end).unwrap_or(self.0.len());
            let before = place.checked_sub(1).map(|at| &self.0[at]);
            if before.is_some_and(|edit| edit.at + edit.inserted.len() > span.start) {
                return Err(Overlap);
            }
            self.0.insert(place, Edit { at: span.start, inserted: splice.text.clone(), removed });
            place
        };
        self.shift(place + 1, span.len(), splice.text.len());
        text.replace_range(span, &splice.text);
        Ok(())
    }

    fn shift(&mut self, from: usize, gone: usize, come: usize) {
        for edit in &mut self.0[from..] {
            edit.at = edit.at + come - gone;
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Undoes all, `original` giving the value of an entry by its name. `None` if the text is not what
    /// the edits had made.
    pub(crate) fn undo(&self, text: &str, original: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut text = text.to_owned();
        for edit in self.0.iter().rev() {
            let span = edit.at..edit.at.checked_add(edit.inserted.len())?;
            if text.get(span.clone())? != edit.inserted {
                return None;
            }
            match &edit.removed {
                Removed::Text(before) => text.replace_range(span, before),
                Removed::Entry(name) => text.replace_range(span, &original(name)?),
            }
        }
        Some(text)
    }
}
