//! minisign signatures over the bytes of a list: prehashed (`ED`) only, trusted comment included.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign_verify as minisign;
use serde::{Deserialize, Serialize};

use crate::ratchet::hexadecimal;
use crate::words;

/// A publisher's key: 42 bytes, written `RW…`. Public.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(String);

/// A signature that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The key that made it.
    pub key: PublicKey,
    /// The trusted comment, which it covers.
    pub comment: String,
}

impl PublicKey {
    /// Parses the text form, or the two lines of a `.pub` file.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let line = match lines.as_slice() {
            [key] => key,
            [comment, key] if comment.starts_with("untrusted comment:") => key,
            _ => return Err(KeyError::Form),
        };
        if line.len() > 100 {
            return Err(KeyError::Form);
        }
        let bytes = STANDARD.decode(line).map_err(|_| KeyError::Form)?;
        if bytes.len() == 42 && bytes.starts_with(b"Ed") {
            Ok(Self((*line).to_owned()))
        } else {
            Err(KeyError::Form)
        }
    }

    /// The text form, `RW…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key as eight words (88 bits), for two people to compare.
    pub fn eight_words(&self) -> String {
        words::eight_words(&self.bytes())
    }

    /// The key id as the minisign tool prints it: 16 hexadecimal digits. A label, not a check.
    pub fn id(&self) -> String {
        let id: Vec<u8> = self.bytes()[2..10].iter().rev().copied().collect();
        hexadecimal(&id).to_uppercase()
    }

    fn bytes(&self) -> Vec<u8> {
        STANDARD.decode(&self.0).expect("decoded when it was made")
    }
}

/// Checks that `signature` (the text of a `.minisig` file) is this key's over these bytes.
pub fn verify(key: &PublicKey, bytes: &[u8], signature: &str) -> Result<Verified, SignatureError> {
    if signature.len() > MAX_SIGNATURE_BYTES {
        return Err(SignatureError::Form);
    }
    // The library takes more lines than there are, and keeps a carriage return in the comment it checks.
    let lines: Vec<&str> = signature.lines().collect();
    if lines.len() != 4 || !lines[0].starts_with("untrusted comment:") {
        return Err(SignatureError::Form);
    }
    let parsed = minisign::Signature::decode(&lines.join("\n")).map_err(|error| match error {
        minisign::Error::UnsupportedAlgorithm => SignatureError::Algorithm,
        _ => SignatureError::Form,
    })?;
    let public = minisign::PublicKey::from_base64(&key.0).map_err(|_| SignatureError::Form)?;
    public.verify(bytes, &parsed, false).map_err(|error| match error {
        minisign::Error::UnexpectedKeyId => SignatureError::OtherKey,
        minisign::Error::UnexpectedAlgorithm | minisign::Error::UnsupportedLegacyMode => {
            SignatureError::Legacy
        }
        _ => SignatureError::Wrong,
    })?;
    Ok(Verified { key: key.clone(), comment: parsed.trusted_comment().to_owned() })
}

/// The largest `.minisig` file, in bytes; a usual one has about 300.
pub const MAX_SIGNATURE_BYTES: usize = 8 * 1024;

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        Self::parse(&text)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        key.0
    }
}

/// A text that is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Another form.
    #[error("this is not a publisher's key: 56 characters that start with RW are wanted")]
    Form,
}

/// Why a signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not the four lines of a `.minisig` file.
    #[error("the signature file is not a minisign signature")]
    Form,
    /// An algorithm that minisign does not have.
    #[error("the signature is of an unknown kind")]
    Algorithm,
    /// `Ed`: over the bytes themselves, not over their hash.
    #[error("the signature is of minisign's legacy kind (Ed); only prehashed signatures (ED) are taken")]
    Legacy,
    /// Another key id.
    #[error("the signature was made with another key")]
    OtherKey,
    /// The bytes or the trusted comment are not what was signed.
    #[error("the signature does not fit the file: one of the two was changed")]
    Wrong,
}

#[cfg(test)]
#[path = "signature/tests.rs"]
mod tests;
