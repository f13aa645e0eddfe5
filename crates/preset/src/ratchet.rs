//! Whether the next file of a list may take the place of the last: signature, list, serial, keys, expiry. Pure.
//!
//! One ratchet for a list: its serial only rises, whichever key signs. A file signed by the present key may announce
//! one more key; the first file under that key retires the older one. Only pinning the list anew starts over.

use std::fmt::Write as _;

use model::{Seen, UnixTime};
use sha2::{Digest as _, Sha256};

use crate::lint::{Finding, lint_comment};
use crate::list::{List, ListError};
use crate::signature::{SignatureError, verify};
use crate::timestamp::format_time;
use crate::{KeyError, PublicKey};

/// What a source gave.
#[derive(Clone, Copy, Debug)]
pub struct Offered<'a> {
    /// The bytes of the list, as they came.
    pub bytes: &'a [u8],
    /// The text of the `.minisig` beside it, if there is one.
    pub signature: Option<&'a str>,
    /// The answer's `ETag`.
    pub etag: Option<&'a str>,
}

/// A file that may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What it says. Without `mandatory` if nobody vouches for it.
    pub list: List,
    /// What to keep for the next time.
    pub seen: Seen,
    /// Whether it says anything new.
    pub news: News,
    /// Who vouches for it.
    pub trust: Trust,
}

/// Whether an accepted file says anything new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The first file of this list.
    First,
    /// A higher serial, or another answer of a registry without serials.
    Newer,
    /// The same bytes as the last time.
    Same,
}

/// Who vouches for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The publisher whose key was pinned, or who was announced by it.
    Verified {
        /// The key that signed.
        key: PublicKey,
        /// What the publisher wrote beside the signature; covered by it.
        comment: String,
    },
    /// Nobody: whoever serves the file can change it.
    Unverified,
}

/// Whether a list is as fresh as it promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is.
    Current,
    /// It expired: what came of it keeps working, and nothing new is added from it.
    Stale {
        /// When it expired.
        since: UnixTime,
    },
}

/// Decides about a file. `pinned` counts until a file was accepted; from then on the keys in `seen` do, and a list
/// that was signed once is never taken unsigned.
pub fn accept(
    seen: Option<&Seen>,
    pinned: Option<&PublicKey>,
    offered: Offered<'_>,
    now: UnixTime,
) -> Result<Accepted, Refused> {
    let live = live_keys(seen, pinned)?;
    let trust = if live.is_empty() { Trust::Unverified } else { verified(&live, offered)? };
    let list = List::parse(offered.bytes)?;
    let sha256 = hexadecimal(&Sha256::digest(offered.bytes));
    let (keys, list) = match &trust {
        Trust::Verified { key, .. } => (next_live_keys(key, &list)?, list),
        Trust::Unverified => (Vec::new(), list.unverified()),
    };
    let about = list.about.as_ref();
    let serial = about.map_or(0, |about| about.serial);
    let id = about.map(|about| about.id.clone());
    let news = match seen {
        None => News::First,
        Some(seen) if seen.sha256 == sha256 => News::Same,
        Some(seen) => {
            if seen.list != id {
                return Err(Refused::OtherList {
                    wanted: seen.list.clone().unwrap_or_else(|| "a plain registry".to_owned()),
                    found: id.unwrap_or_else(|| "a plain registry".to_owned()),
                });
            }
            match serial.cmp(&seen.serial) {
                std::cmp::Ordering::Less => {
                    return Err(Refused::Rollback { seen: seen.serial, found: serial });
                }
                std::cmp::Ordering::Equal if id.is_some() => return Err(Refused::Alarm { serial }),
                // A plain registry has no serial; it is never trusted either.
                std::cmp::Ordering::Greater | std::cmp::Ordering::Equal => News::Newer,
            }
        }
    };
    // The same bytes again move no key: an old file that is signed anew with a retired key stays what it was.
    let keys = match (seen, news) {
        (Some(seen), News::Same) => seen.keys.clone(),
        (_, News::First | News::Newer | News::Same) => keys,
    };
    let seen = Seen {
        list: id,
        serial,
        sha256,
        keys,
        etag: offered.etag.map(str::to_owned),
        last_success: now,
        issued: about.map(|about| about.issued),
        expires: about.and_then(|about| about.expires),
        contact: about.and_then(|about| about.contact.clone()),
        extra: seen.map(|seen| seen.extra.clone()).unwrap_or_default(),
    };
    Ok(Accepted { list, seen, news, trust })
}

/// The source answered that nothing changed (304): the last file counts as obtained now.
#[must_use]
pub fn not_modified(seen: &Seen, now: UnixTime) -> Seen {
    Seen { last_success: now, ..seen.clone() }
}

/// Whether a followed list is as fresh as it promises.
pub fn standing(seen: &Seen, now: UnixTime) -> Standing {
    match seen.expires {
        Some(expires) if expires <= now => Standing::Stale { since: expires },
        Some(_) | None => Standing::Current,
    }
}

fn live_keys(seen: Option<&Seen>, pinned: Option<&PublicKey>) -> Result<Vec<PublicKey>, Refused> {
    match seen {
        Some(seen) if !seen.keys.is_empty() => {
            let keys: Result<Vec<_>, KeyError> = seen.keys.iter().map(|key| PublicKey::parse(key)).collect();
            keys.map_err(|_| Refused::Forgotten)
        }
        // Somebody pinned a key after following the list unverified: it counts from now on.
        Some(_) | None => Ok(pinned.cloned().into_iter().collect()),
    }
}

fn verified(live: &[PublicKey], offered: Offered<'_>) -> Result<Trust, Refused> {
    if offered.bytes.len() > crate::MAX_BYTES {
        return Err(Refused::List(ListError::Json(crate::JsonError::TooLarge)));
    }
    let signature = offered.signature.ok_or(Refused::Unsigned)?;
    let mut refusal = SignatureError::OtherKey;
    for key in live {
        match verify(key, offered.bytes, signature) {
            Ok(verified) => {
                return match lint_comment(&verified.comment) {
                    None => Ok(Trust::Verified { key: verified.key, comment: verified.comment }),
                    Some(finding) => Err(Refused::Comment(finding)),
                };
            }
            // Another live key may fit; what this one says is told if none does.
            Err(SignatureError::OtherKey) => {}
            Err(error) => refusal = error,
        }
    }
    Err(Refused::Signature(refusal))
}

/// The key that signed, and the one it announces.
fn next_live_keys(signer: &PublicKey, list: &List) -> Result<Vec<String>, Refused> {
    let announced = list.about.as_ref().map_or(&[][..], |about| &about.next_keys);
    let mut keys = vec![signer.as_str().to_owned()];
    for key in announced {
        if !keys.iter().any(|known| known == key.as_str()) {
            keys.push(key.as_str().to_owned());
        }
    }
    match (list.about.is_some(), keys.len()) {
        (false, _) => Err(Refused::NoSerial),
        (true, 1 | 2) => Ok(keys),
        (true, _) => Err(Refused::TooManyKeys),
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Why a file is not used. The list that was accepted before stays in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A key is pinned and there is no signature.
    #[error("a publisher's key is pinned for this list, and the file has no signature")]
    Unsigned,
    /// The signature does not hold.
    #[error("{0}")]
    Signature(#[source] SignatureError),
    /// The signature's comment carries a secret.
    #[error("{}", .0.message)]
    Comment(Finding),
    /// It is no list, or breaks a rule.
    #[error(transparent)]
    List(#[from] ListError),
    /// It is signed and has no serial: it could be any file of that publisher, of any day.
    #[error("the file is signed, and does not say which list it is and which serial it has")]
    NoSerial,
    /// It announces more than one key.
    #[error("the list announces more than one new key; at most two keys may be live")]
    TooManyKeys,
    /// Another list of the same publisher.
    #[error("this is another list: {found} in the place of {wanted}")]
    OtherList {
        /// The list that is followed.
        wanted: String,
        /// The list that came.
        found: String,
    },
    /// Older than what was accepted.
    #[error("this is an older list: serial {found}, and serial {seen} was accepted before")]
    Rollback {
        /// The highest serial accepted.
        seen: u64,
        /// The serial that came.
        found: u64,
    },
    /// The same serial with other content: two files were published under one number, or somebody else signs too.
    #[error("ALARM: serial {serial} was accepted before with other content")]
    Alarm {
        /// The serial.
        serial: u64,
    },
    /// The keys that were kept are none.
    #[error("the keys that were kept for this list cannot be read")]
    Forgotten,
}

impl Refused {
    /// One sentence: what to do now.
    pub fn next_step(&self) -> String {
        match self {
            Self::Unsigned => "ask the publisher for the .minisig file, or whether the list has moved".to_owned(),
            Self::Signature(SignatureError::OtherKey) => {
                "ask the publisher for the key, compare its eight words, and subscribe anew".to_owned()
            }
            Self::Signature(SignatureError::Legacy) => {
                "the publisher must sign again with hallpass presets sign or a minisign of version 0.10 or later".to_owned()
            }
            Self::Signature(_) => "try again later; if it stays so, tell the publisher".to_owned(),
            Self::Comment(finding) => finding.fix.to_owned(),
            Self::List(ListError::Lint(_)) => {
                "the publisher must correct it; hallpass presets lint shows every place".to_owned()
            }
            Self::List(_) | Self::TooManyKeys => "the publisher must correct it".to_owned(),
            Self::NoSerial => {
                format!("the publisher must add _meta[\"{}\"]", crate::list::LIST_KEY)
            }
            Self::OtherList { .. } => {
                "check the address; to follow the other list as well, subscribe to it by its own".to_owned()
            }
            Self::Rollback { .. } => {
                "the publisher must publish it with a higher serial; somebody may be holding back newer lists".to_owned()
            }
            Self::Alarm { .. } => {
                "tell the publisher now: either a serial was used twice or somebody else has the key".to_owned()
            }
            Self::Forgotten => "remove the subscription and subscribe anew with the publisher's key".to_owned(),
        }
    }
}

impl Standing {
    /// One sentence for people, nothing while it is current.
    pub fn words(self) -> Option<String> {
        match self {
            Self::Current => None,
            Self::Stale { since } => Some(format!("the list is stale since {}", format_time(since))),
        }
    }
}

#[cfg(test)]
mod tests;
