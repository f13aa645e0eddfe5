//! The way from a process up to the first of the system, read without being fooled by reused ids.

use std::path::PathBuf;

use super::{Facts, StartTime, system};

/// A process on the way up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Its id.
    pub pid: u32,
    /// When it began.
    pub start_time: StartTime,
    /// Its executable, where the system tells us.
    pub executable: Option<PathBuf>,
}

/// A process and those above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The process asked for first, then its parent, and so on.
    pub links: Vec<Ancestor>,
    /// True if the chain was read to the top without a gap. Only then does "not in it" mean anything.
    pub complete: bool,
}

/// Walks from a process up to the top of the tree.
pub fn ancestors(pid: u32) -> Chain {
    walk(pid, DEEPEST, system::facts, system::executable, system::is_top)
}

/// The executable of the process that started this one, where the system tells us: the second link of [`ancestors`],
/// without the way above it.
pub fn parent_executable(pid: u32) -> Option<PathBuf> {
    let chain = walk(pid, 2, system::facts, system::executable, system::is_top);
    chain.links.into_iter().nth(1)?.executable
}

fn walk(
    pid: u32,
    deepest: usize,
    facts: impl Fn(u32) -> Option<Facts>,
    executable: impl Fn(u32) -> Option<PathBuf>,
    is_top: impl Fn(u32, Facts) -> bool,
) -> Chain {
    let mut links: Vec<Ancestor> = Vec::new();
    let mut next = pid;
    let complete = loop {
        let Some(now) = facts(next) else { break false };
        let link = Ancestor { pid: next, start_time: now.start_time, executable: executable(next) };
        // Asked again after the executable: the id may have changed hands in between.
        if facts(next) != Some(now) {
            break false;
        }
        if let Some(child) = links.last() {
            // A parent that began after its child is another process with a used id.
            if child.start_time < link.start_time {
                break false;
            }
            // The child may have been taken over by somebody else since it named its parent.
            if facts(child.pid).map(|facts| (facts.start_time, facts.parent))
                != Some((child.start_time, next))
            {
                break false;
            }
        }
        links.push(link);
        if is_top(next, now) {
            break true;
        }
        if links.len() >= deepest || links.iter().any(|link| link.pid == now.parent) {
            break false;
        }
        next = now.parent;
    };
    Chain { links, complete }
}

const DEEPEST: usize = 256;

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::HashMap;

    use super::*;

    fn tree(rows: &[(u32, u32, u64)]) -> HashMap<u32, Facts> {
        rows.iter()
            .map(|(pid, parent, start)| (*pid, Facts { parent: *parent, start_time: StartTime(*start) }))
            .collect()
    }

    fn walk_tree(pid: u32, rows: &[(u32, u32, u64)]) -> (Vec<u32>, bool) {
        let tree = tree(rows);
        let facts = |pid| tree.get(&pid).copied();
        let chain = walk(pid, DEEPEST, facts, |_| None, |_, facts: Facts| facts.parent == 0);
        (chain.links.iter().map(|link| link.pid).collect(), chain.complete)
    }

    #[test]
    fn a_whole_chain_is_complete() {
        assert_eq!(walk_tree(30, &[(30, 20, 9), (20, 1, 5), (1, 0, 0)]), (vec![30, 20, 1], true));
    }

    #[test]
    fn a_short_way_ends_where_it_was_told_to() {
        let tree = tree(&[(30, 20, 9), (20, 1, 5), (1, 0, 0)]);
        let asked = Cell::new(0);
        let facts = |pid| {
            asked.set(asked.get() + u32::from(pid == 1));
            tree.get(&pid).copied()
        };
        let chain = walk(30, 2, facts, |_| None, |_, facts: Facts| facts.parent == 0);
        assert_eq!(chain.links.iter().map(|link| link.pid).collect::<Vec<_>>(), [30, 20]);
        assert_eq!((chain.complete, asked.get()), (false, 0));
    }

    #[test]
    fn a_missing_parent_is_a_gap() {
        assert_eq!(walk_tree(30, &[(30, 20, 9), (1, 0, 0)]), (vec![30], false));
    }

    #[test]
    fn a_parent_younger_than_its_child_is_not_its_parent() {
        assert_eq!(walk_tree(30, &[(30, 20, 9), (20, 1, 10), (1, 0, 0)]), (vec![30], false));
    }

    #[test]
    fn a_circle_is_a_gap() {
        assert_eq!(walk_tree(30, &[(30, 20, 5), (20, 30, 5)]), (vec![30, 20], false));
    }

    #[test]
    fn a_child_taken_over_while_walking_is_a_gap() {
        let tree = tree(&[(30, 20, 9), (20, 1, 5), (1, 0, 0)]);
        let asked = Cell::new(0);
        let facts = |pid| {
            asked.set(asked.get() + 1);
            let facts: Option<Facts> = tree.get(&pid).copied();
            if pid == 30 && asked.get() > 2 { facts.map(|facts| Facts { parent: 1, ..facts }) } else { facts }
        };
        assert!(!walk(30, DEEPEST, facts, |_| None, |_, facts: Facts| facts.parent == 0).complete);
    }
}
