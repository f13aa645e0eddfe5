//! A private certificate authority: what a person trusts for one Server besides the operating system's own.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Certificates in PEM (RFC 7468), and nothing but certificates: text around them is dropped, and anything
/// else between `-----BEGIN` and `-----END` is refused, above all a private key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PrivateAuthority(String);

impl PrivateAuthority {
    /// Takes the certificates out of a text. What is in them is looked at when they are first used.
    pub fn parse(text: &str) -> Result<Self, AuthorityError> {
        if text.len() > LARGEST {
            return Err(AuthorityError::TooLarge);
        }
        let mut pem = String::new();
        let mut label: Option<&str> = None;
        for line in text.lines().map(str::trim) {
            match (label, marker(line, "-----BEGIN "), marker(line, "-----END ")) {
                (None, Some(began), _) => {
                    if began.ends_with("PRIVATE KEY") {
                        return Err(AuthorityError::PrivateKey { label: began.to_owned() });
                    }
                    if began != CERTIFICATE {
                        let shown = began.chars().filter(|c| !c.is_control()).take(40).collect();
                        return Err(AuthorityError::Other { label: shown });
                    }
                    label = Some(began);
                    pem.push_str("-----BEGIN CERTIFICATE-----\n");
                }
                (None, None, _) => {}
                (Some(began), None, Some(ended)) if began == ended => {
                    label = None;
                    pem.push_str("-----END CERTIFICATE-----\n");
                }
                (Some(_), None, None) if line.bytes().all(is_base64) => {
                    pem.push_str(line);
                    pem.push('\n');
                }
                (Some(_), _, _) => return Err(AuthorityError::Damaged),
            }
        }
        match (label, pem.is_empty()) {
            (Some(_), _) => Err(AuthorityError::Damaged),
            (None, true) => Err(AuthorityError::Empty),
            (None, false) => Ok(Self(pem)),
        }
    }

    /// The certificates, one PEM block after the other.
    pub fn pem(&self) -> &str {
        &self.0
    }
}

/// The label of a line such as `-----BEGIN CERTIFICATE-----`.
fn marker<'l>(line: &'l str, start: &str) -> Option<&'l str> {
    line.strip_prefix(start)?.strip_suffix("-----")
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)
}

impl fmt::Debug for PrivateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateAuthority").field("bytes", &self.0.len()).finish()
    }
}

impl TryFrom<String> for PrivateAuthority {
    type Error = AuthorityError;
    fn try_from(text: String) -> Result<Self, AuthorityError> {
        Self::parse(&text)
    }
}

impl From<PrivateAuthority> for String {
    fn from(authority: PrivateAuthority) -> String {
        authority.0
    }
}

/// Why a text is no authority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// No certificate in it.
    #[error("it holds no certificate in PEM form (a block that begins with -----BEGIN CERTIFICATE-----)")]
    Empty,
    /// A private key: nobody needs it to trust the authority, and it must not be handed around.
    #[error(
        "it holds a private key ({label}): give the authority's certificate alone, and keep the key away"
    )]
    PrivateKey {
        /// What the block calls itself.
        label: String,
    },
    /// Something else.
    #[error("it holds something that is no certificate ({label})")]
    Other {
        /// What the block calls itself.
        label: String,
    },
    /// A block without an end, or with something in it that is not base64.
    #[error("its PEM form is damaged")]
    Damaged,
    /// Too much.
    #[error("it is larger than {LARGEST} bytes")]
    TooLarge,
}

const CERTIFICATE: &str = "CERTIFICATE";
/// In bytes; a chain of certificates is far smaller.
const LARGEST: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_stay_and_the_words_around_them_go() {
        let text =
            "Issuer: ACME\r\n-----BEGIN CERTIFICATE-----\r\nMIIB\r\nAA==\r\n-----END CERTIFICATE-----\r\nbye";
        let authority = PrivateAuthority::parse(text).unwrap();
        assert_eq!(authority.pem(), "-----BEGIN CERTIFICATE-----\nMIIB\nAA==\n-----END CERTIFICATE-----\n");
        assert_eq!(PrivateAuthority::parse(authority.pem()).unwrap(), authority);
    }

    #[test]
    fn a_private_key_is_refused_by_name() {
        for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
            let key = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
            let both = format!("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{key}");
            for text in [&key, &both] {
                let error = PrivateAuthority::parse(text).unwrap_err();
                assert!(error.to_string().contains(label), "{error}");
            }
        }
    }

    #[test]
    fn nothing_else_is_an_authority() {
        let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        let odd = "-----BEGIN CERTIFICATE-----\nA!\n-----END CERTIFICATE-----\n";
        let other = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
        let large = "x".repeat(LARGEST + 1);
        for text in ["", "hello", cut, odd, other, &large] {
            assert!(PrivateAuthority::parse(text).is_err(), "{} was taken", &text[..text.len().min(40)]);
        }
    }
}
