//! Makes keys and signatures for administrators, in the file forms of the minisign tool.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign::{KeyPair, SecretKey as Inner, SecretKeyBox};
use model::Secret;

use crate::{KeyError, PublicKey, verify};

/// A publisher's secret key, open. Never shown.
pub struct SecretKey(Inner);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// Whether a secret key's file is protected by a password.
#[derive(Debug)]
pub enum Protection {
    /// By this one (scrypt: about a second).
    Password(Secret<String>),
    /// Who can read the file can sign.
    None,
}

/// A new pair of keys as the texts of two files.
#[derive(Debug)]
pub struct NewKeys {
    /// The key to give to everybody.
    pub public: PublicKey,
    /// The text of the `.pub` file.
    pub public_file: String,
    /// The text of the secret key's file.
    pub secret_file: Secret<String>,
}

/// Makes a pair of keys out of the operating system's randomness.
pub fn generate(protection: Protection) -> Result<NewKeys, SigningError> {
    let made = match protection {
        Protection::Password(password) => {
            // Said here because the library must have it as its own String.
            KeyPair::generate_encrypted_keypair(Some(password.expose().clone()))
        }
        Protection::None => KeyPair::generate_unencrypted_keypair(),
    };
    let pair = made.map_err(|source| SigningError::Library { source })?;
    let public = PublicKey::parse(&pair.pk.to_base64()).map_err(|source| SigningError::Key { source })?;
    let comment = format!("minisign secret key {}", public.id());
    let secret = pair.sk.to_box(Some(&comment)).map_err(|source| SigningError::Library { source })?;
    let public_file = format!("untrusted comment: minisign public key {}\n{public}\n", public.id());
    Ok(NewKeys { public, public_file, secret_file: Secret::new(secret.into_string()) })
}

/// Whether a secret key's file asks for a password. Errors if it is no such file.
pub fn needs_password(file: &Secret<String>) -> Result<bool, SigningError> {
    // Only the header is looked at: bytes 2 and 3 name the key derivation, zero for none.
    let bytes = bytes_of(file);
    match bytes.expose().as_slice() {
        [b'E', b'd', 0, 0, ..] => Ok(false),
        [b'E', b'd', b'S', b'c', ..] => Ok(true),
        _ => Err(SigningError::Form),
    }
}

/// The bytes of a secret key's file; none if it is no such file.
fn bytes_of(file: &Secret<String>) -> Secret<Vec<u8>> {
    let mut lines = file.expose().lines();
    let key = match (lines.next(), lines.next()) {
        (Some(comment), Some(key)) if comment.starts_with("untrusted comment:") => key.trim(),
        _ => "",
    };
    let mut bytes = STANDARD.decode(key).unwrap_or_default();
    if bytes.len() != SECRET_BYTES {
        bytes.clear();
    }
    Secret::new(bytes)
}

impl SecretKey {
    /// Opens the text of a secret key's file. The password must be given exactly if [`needs_password`].
    pub fn open(file: &Secret<String>, password: Option<&Secret<String>>) -> Result<Self, SigningError> {
        let opened = match (needs_password(file)?, password) {
            // The library must have its own copies of both.
            (true, Some(password)) => {
                SecretKeyBox::from(file.expose().clone()).into_secret_key(Some(password.expose().clone()))
            }
            // Not as a box: the minisign tool leaves the checksum of an open key empty, and the library wants one.
            (false, _) => Inner::from_bytes(bytes_of(file).expose()),
            (true, None) => return Err(SigningError::PasswordWanted),
        };
        opened.map(Self).map_err(|source| match source.kind() {
            minisign::ErrorKind::Verify => SigningError::WrongPassword,
            _ => SigningError::Library { source },
        })
    }

    /// The public half.
    pub fn public(&self) -> Result<PublicKey, SigningError> {
        let public = minisign::PublicKey::from_secret_key(&self.0)
            .map_err(|source| SigningError::Library { source })?;
        PublicKey::parse(&public.to_base64()).map_err(|source| SigningError::Key { source })
    }

    /// Signs bytes, prehashed, and gives the text of the `.minisig` file. The comment becomes the trusted one: one
    /// line, no secret.
    pub fn sign(&self, bytes: &[u8], comment: &str) -> Result<String, SigningError> {
        let comment: String =
            comment.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect();
        let public = self.public()?;
        let untrusted = format!("signature from hallpass with key {}", public.id());
        let signature = minisign::sign(None, &self.0, bytes, Some(&comment), Some(&untrusted))
            .map(minisign::SignatureBox::into_string)
            .map_err(|source| SigningError::Library { source })?;
        // A damaged key signs as well.
        match verify(&public, bytes, &signature) {
            Ok(_) => Ok(signature),
            Err(_) => Err(SigningError::WrongPassword),
        }
    }
}

/// Why a key cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// No secret key's file.
    #[error("this file holds no minisign secret key")]
    Form,
    /// It is protected, and no password was given.
    #[error("the key is protected by a password, and none was given")]
    PasswordWanted,
    /// It does not open with that password, or is damaged.
    #[error("the key does not open: wrong password, or a damaged file")]
    WrongPassword,
    /// The library failed.
    #[error("the key cannot be used: {source}")]
    Library {
        /// How.
        source: minisign::PError,
    },
    /// The library's public key is none.
    #[error("the key cannot be used: {source}")]
    Key {
        /// Why.
        source: KeyError,
    },
}

/// `Ed`, key derivation, checksum kind, salt, two limits, key id, secret and public key, checksum.
const SECRET_BYTES: usize = 2 + 2 + 2 + 32 + 8 + 8 + 8 + 64 + 32;
