//! Saved Selections, as callers see them.

use std::collections::BTreeMap;

use model::{AccountId, ServerId};
use serde::{Deserialize, Serialize};

use super::SwitchView;

/// A saved, named Selection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct ProfileView {
    /// Its name.
    pub name: String,
    /// Which Account it chooses for each Server.
    pub selection: BTreeMap<ServerId, AccountId>,
    /// The Selection is exactly this one now.
    pub in_use: bool,
}

/// A Profile took the Selection's place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct ProfileUsedView {
    /// Its name.
    pub profile: String,
    /// Who acts now where that has changed. Counts of bridges are those of the whole change, in each.
    pub changed: Vec<SwitchView>,
    /// Bridges that took it over.
    pub acknowledged: usize,
    /// Bridges that were silent and were cut off.
    pub cut_off: usize,
}
