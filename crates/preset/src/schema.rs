//! The JSON Schema of a list, and a list to start from.

use model::UnixTime;

use crate::timestamp::format_time;

/// JSON Schema (draft-07, as `server.json` has it) of a list file. Written by hand: a test holds it against the reader.
pub const SCHEMA: &str = include_str!("list.schema.json");

/// A complete list to start from, issued now and good for 90 days. JSON has no comments: what a field means is in
/// [`SCHEMA`], which editors show.
pub fn starter(now: UnixTime) -> String {
    let day = 24 * 60 * 60;
    include_str!("starter.json")
        .replace("ISSUED", &format_time(now))
        .replace("EXPIRES", &format_time(UnixTime(now.0.saturating_add(90 * day))))
}

#[cfg(test)]
mod tests;
