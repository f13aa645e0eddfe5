//! The rules of a list: P01 to P08 refuse the whole file, W01 to W05 are told. No finding repeats a value.
//!
//! The whole document is searched, not only the parts that Hallpass reads: a secret in a description has leaked as
//! well as one in a header. W05 needs the network: whoever has it asks, and enters what is found.

mod input;
mod server;
mod text;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::json::{self, below};
use crate::list::{self, ListError};
use crate::reader::shown;

pub(crate) use text::is_invisible;

/// What is wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which rule.
    pub rule: Rule,
    /// JSON pointer (RFC 6901) of the place; `signature` for the trusted comment; for W05 the server's name.
    pub at: String,
    /// What is wrong, one sentence without a stop.
    pub message: String,
    /// What to do about it, one sentence without a stop.
    pub fix: &'static str,
}

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Rule {
    /// `isSecret` with a value.
    P01,
    /// A header for credentials with a literal.
    P02,
    /// User information or a token in a URL.
    P03,
    /// A known key shape or a random value.
    P04,
    /// A secret in a package's arguments or environment.
    P05,
    /// Plain http to another machine.
    P06,
    /// An `account` rule where nobody vouches for the account.
    P07,
    /// A parameter of the sign-in that the sign-in sets itself.
    P08,
    /// No issuer pinned.
    W01,
    /// A wildcard scope.
    W02,
    /// No `expires`.
    W03,
    /// The same URL twice.
    W04,
    /// A server or its issuer cannot be reached, or is not as declared.
    W05,
}

/// Whether a rule refuses the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

/// What was found, in the order of rules and places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// They refuse the file.
    pub errors: Vec<Finding>,
    /// They do not.
    pub warnings: Vec<Finding>,
}

/// Checks the bytes of a list, form included. `Err` only for what is no list at all; a misfit of form is told beside
/// the findings by [`Checked::misfit`].
pub fn lint(bytes: &[u8]) -> Result<Checked, ListError> {
    let value = json::parse(bytes)?;
    let (errors, warnings) =
        findings(&value).into_iter().partition(|finding| finding.rule.severity() == Severity::Error);
    Ok(Checked { findings: Findings { errors, warnings }, misfit: list::read(&value).err() })
}

/// The result of [`lint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// By the rules.
    pub findings: Findings,
    /// The first place that does not fit the format, if one does not.
    pub misfit: Option<crate::Misfit>,
}

impl Checked {
    /// Whether the file may be published.
    pub fn is_good(&self) -> bool {
        self.findings.errors.is_empty() && self.misfit.is_none()
    }
}

/// Checks the trusted comment of a signature: it is shown, so it may hold no secret either.
pub fn lint_comment(comment: &str) -> Option<Finding> {
    text::secret_in(comment, text::Random::Counts).map(|kind| Finding {
        rule: Rule::P04,
        at: "signature".to_owned(),
        message: format!("the trusted comment of the signature holds what looks like a secret ({kind})"),
        fix: "sign again with another comment, and make a new secret: this one has been published",
    })
}

/// Everything in a document, one finding for a place: the more exact rule wins.
pub(crate) fn findings(root: &Value) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut walk = Walk { found: &mut found };
    walk.value(root, "", Place::default());
    server::list(root, &mut found);
    let mut places = BTreeMap::<String, Finding>::new();
    let mut kept = Vec::new();
    found.sort_by_key(|finding| finding.rule);
    for finding in found {
        // P04 is what remains where no other rule says more.
        let said = places.contains_key(&finding.at);
        if !(said && matches!(finding.rule, Rule::P04)) && places.get(&finding.at) != Some(&finding) {
            places.insert(finding.at.clone(), finding.clone());
            kept.push(finding);
        }
    }
    kept
}

/// What is known of a place from above it.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// A value here may look random: a client id, a digest, a public key.
    random_is_fine: bool,
}

struct Walk<'a> {
    found: &'a mut Vec<Finding>,
}

impl Walk<'_> {
    fn value(&mut self, value: &Value, at: &str, place: Place) {
        match value {
            Value::String(text) => self.text(text, at, place),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(item, &below(at, &index.to_string()), place);
                }
            }
            Value::Object(fields) => {
                input::check(fields, at, self.found);
                for (name, value) in fields {
                    let shown = shown(name);
                    if let Some(kind) = text::secret_in(name, text::Random::Counts) {
                        self.push(
                            Rule::P04,
                            at,
                            &format!("a name here looks like a secret ({kind})"),
                            ROTATE,
                        );
                        continue;
                    }
                    let place =
                        Place { random_is_fine: place.random_is_fine || text::random_is_fine(name, value) };
                    self.value(value, &below(at, &shown), place);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn text(&mut self, text: &str, at: &str, place: Place) {
        if let Some(what) = text::secret_in_url(text) {
            self.push(Rule::P03, at, &format!("a URL here carries {what}"), URL);
        }
        let random = if place.random_is_fine { text::Random::IsFine } else { text::Random::Counts };
        if let Some(kind) = text::secret_in(text, random) {
            self.push(Rule::P04, at, &format!("this looks like a secret ({kind})"), ROTATE);
        }
    }

    fn push(&mut self, rule: Rule, at: &str, message: &str, fix: &'static str) {
        self.found.push(Finding { rule, at: at.to_owned(), message: message.to_owned(), fix });
    }
}

impl Rule {
    /// Whether it refuses the file.
    pub fn severity(self) -> Severity {
        match self {
            Self::P01 | Self::P02 | Self::P03 | Self::P04 | Self::P05 | Self::P06 | Self::P07 | Self::P08 => {
                Severity::Error
            }
            Self::W01 | Self::W02 | Self::W03 | Self::W04 | Self::W05 => Severity::Warning,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at \"{}\": {}; {}", self.rule, self.at, self.message, self.fix)
    }
}

const ROTATE: &str = "take it out, and make a new one at its issuer if it was ever published";
const URL: &str = "write the URL without it; people sign in as themselves";

#[cfg(test)]
mod tests;
