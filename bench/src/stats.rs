//! Medians and percentiles, and the place where all figures of a run are kept.

use std::collections::BTreeMap;

/// All figures of a run: by row, by contender, one for each round.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    values: BTreeMap<(&'static str, &'static str), Vec<f64>>,
    notes: BTreeMap<(&'static str, &'static str), String>,
}

impl Figures {
    /// Adds a figure. One that is not finite means "never".
    pub(crate) fn add(&mut self, row: &'static str, contender: &'static str, value: f64) {
        self.values.entry((row, contender)).or_default().push(value);
    }

    /// Says why there is none.
    pub(crate) fn note(&mut self, row: &'static str, contender: &'static str, why: impl Into<String>) {
        self.notes.entry((row, contender)).or_insert_with(|| why.into());
    }

    /// The median over the rounds.
    pub(crate) fn median(&self, row: &str, contender: &str) -> Option<f64> {
        let (_, values) = self.values.iter().find(|((r, c), _)| *r == row && *c == contender)?;
        Some(median(values))
    }

    /// Why there is none.
    pub(crate) fn why(&self, row: &str, contender: &str) -> Option<&str> {
        self.notes.iter().find(|((r, c), _)| *r == row && *c == contender).map(|(_, why)| why.as_str())
    }
}

/// The middle value; of an even number of values the mean of the two in the middle. NaN of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (len, half) if len % 2 == 1 => sorted[half],
        (_, half) => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

/// The smallest value that at least `percent` of all values do not exceed (nearest rank). NaN of none.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} {right}");
    }

    #[test]
    fn the_median_is_the_middle() {
        same(median(&[3.0, 1.0, 2.0]), 2.0);
        same(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
        assert!(median(&[1.0, f64::INFINITY, f64::INFINITY]).is_infinite());
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        same(percentile(&values, 50), 50.0);
        same(percentile(&values, 99), 99.0);
        same(percentile(&values, 100), 100.0);
        same(percentile(&[7.0], 99), 7.0);
        assert!(percentile(&[], 50).is_nan());
    }

    #[test]
    fn figures_of_rounds_become_one() {
        let mut figures = Figures::default();
        for value in [1.0, 9.0, 2.0] {
            figures.add("start", "floor", value);
        }
        figures.note("start", "x", "not installed");
        assert_eq!(figures.median("start", "floor"), Some(2.0));
        assert_eq!(figures.median("start", "x"), None);
        assert_eq!(figures.why("start", "x"), Some("not installed"));
    }
}
