//! Why a server's certificate is not accepted, in words; an authority that nobody trusts is named.

use std::error::Error;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, OtherError};

/// Why a certificate is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nobody here trusts who issued it.
    #[error("it comes from {}, an authority that is not trusted here", .authority.as_deref().map_or_else(|| "an unnamed authority".to_owned(), |name| format!("\"{name}\"")))]
    UnknownAuthority {
        /// What the authority calls itself.
        authority: Option<String>,
    },
    /// It is somebody else's.
    #[error("it is not valid for {host}")]
    OtherHost {
        /// The host that was called.
        host: String,
    },
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// Its time has not come.
    #[error("it is not valid yet; is this machine's clock right?")]
    NotYetValid,
    /// It was taken back.
    #[error("it has been revoked")]
    Revoked,
    /// Anything else.
    #[error("it is not valid ({what})")]
    Invalid {
        /// In the words of the library.
        what: String,
    },
}

impl Refused {
    /// Words for a verdict on the chain whose last certificate is `last`.
    pub(super) fn of(why: &CertificateError, last: &CertificateDer<'_>, host: &str) -> Self {
        match why {
            CertificateError::UnknownIssuer => Self::UnknownAuthority { authority: issuer_name(last) },
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::OtherHost { host: host.to_owned() }
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::Revoked => Self::Revoked,
            other => Self::Invalid { what: other.to_string().chars().take(120).collect() },
        }
    }

    /// The refusal behind an error of rustls, wherever in the chain of causes it is.
    pub fn behind<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(refused) = error.downcast_ref::<Self>() {
                return Some(refused);
            }
            if let Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner)))) =
                error.downcast_ref::<rustls::Error>()
            {
                return inner.downcast_ref::<Self>();
            }
            // One that is shared hides what it is, and its source is the source of what it is.
            if let Some(shared) = error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
                next = Some(&**shared);
                continue;
            }
            // An I/O error's source leaves out the error that it was made of.
            next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        None
    }
}

/// The common name of who issued a certificate, or else the organisation (RFC 5280 section 4.1.2.4).
pub(super) fn issuer_name(certificate: &[u8]) -> Option<String> {
    let mut outer = Der(certificate);
    let mut certificate = Der(outer.take(SEQUENCE)?);
    let mut fields = Der(certificate.take(SEQUENCE)?);
    if fields.tag() == Some(EXPLICIT_0) {
        fields.take(EXPLICIT_0)?;
    }
    fields.take(INTEGER)?;
    fields.take(SEQUENCE)?;
    let mut names = Der(fields.take(SEQUENCE)?);
    let (mut common, mut organisation) = (None, None);
    while let Some(set) = names.take(SET) {
        let mut set = Der(set);
        while let Some(attribute) = set.take(SEQUENCE) {
            let mut attribute = Der(attribute);
            let kind = attribute.take(OBJECT_IDENTIFIER)?;
            let tag = attribute.tag()?;
            let value = String::from_utf8_lossy(attribute.take(tag)?).into_owned();
            match kind {
                COMMON_NAME => common = Some(value),
                ORGANISATION => organisation = Some(value),
                _ => {}
            }
        }
    }
    let name = common.or(organisation)?;
    let tame = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    Some(name.chars().filter(|c| tame(*c)).take(80).collect())
}

/// Reads DER (ITU-T X.690) from the front, as far as names in certificates need it.
struct Der<'d>(&'d [u8]);

impl<'d> Der<'d> {
    fn tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The content of the next element, if it has this tag.
    fn take(&mut self, tag: u8) -> Option<&'d [u8]> {
        let (head, rest) = self.0.split_first_chunk::<2>()?;
        if head[0] != tag {
            return None;
        }
        let (length, rest) = match head[1] {
            short @ 0..=0x7f => (usize::from(short), rest),
            long @ 0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }
}

const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const EXPLICIT_0: u8 = 0xa0;
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.4.10
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate's beginning: version, serial, algorithm, issuer with an organisation and a common name.
    fn beginning(version: bool, common: &str) -> Vec<u8> {
        let element = |tag: u8, content: &[u8]| {
            let mut bytes = vec![tag, u8::try_from(content.len()).unwrap()];
            bytes.extend_from_slice(content);
            bytes
        };
        let name = |kind: &[u8], value: &str| {
            let pair = [element(OBJECT_IDENTIFIER, kind), element(0x0c, value.as_bytes())].concat();
            element(SET, &element(SEQUENCE, &pair))
        };
        let mut fields = Vec::new();
        if version {
            fields.extend(element(EXPLICIT_0, &element(INTEGER, &[2])));
        }
        fields.extend(element(INTEGER, &[1]));
        fields.extend(element(SEQUENCE, &[]));
        fields.extend(element(SEQUENCE, &[name(ORGANISATION, "Acme"), name(COMMON_NAME, common)].concat()));
        element(SEQUENCE, &element(SEQUENCE, &fields))
    }

    #[test]
    fn an_authority_is_named() {
        for version in [true, false] {
            assert_eq!(issuer_name(&beginning(version, "Acme Root")).as_deref(), Some("Acme Root"));
        }
        assert_eq!(issuer_name(&beginning(true, "A\u{202e}\u{7}B")).as_deref(), Some("AB"));
    }

    #[test]
    fn garbage_names_nobody() {
        let whole = beginning(true, "Acme Root");
        for end in 0..whole.len() {
            assert_eq!(issuer_name(&whole[..end]), None, "{end}");
        }
        assert_eq!(issuer_name(&[0x30, 0x84, 1, 1, 1, 1]), None);
    }

    #[test]
    fn a_refusal_is_found_behind_other_errors() {
        let refused = Refused::Expired;
        let tls =
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused.clone()))));
        let io = std::io::Error::new(std::io::ErrorKind::InvalidData, tls);
        assert_eq!(Refused::behind(&io), Some(&refused));
        let shared: Arc<dyn Error + Send + Sync> = Arc::new(refused.clone());
        assert_eq!(Refused::behind(&std::io::Error::other(shared)), Some(&refused));
        assert_eq!(Refused::behind(&std::io::Error::other("x")), None);
    }
}
