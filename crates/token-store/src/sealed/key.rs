//! The key of a folder of sealed files: random, and itself sealed by what a passphrase or a key file becomes.

use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use model::Secret;
use platform::FileError;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::StoreError;
use crate::sealed::SealedFault;

/// Where the key that opens the folder comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opener {
    /// A person types a passphrase each time the agent has started.
    Passphrase,
    /// A file of random bytes, 0600, outside of Hallpass's own folder: nobody is asked.
    KeyFile(PathBuf),
}

/// The folder's own secret, ready to seal and open with.
#[derive(Clone)]
pub(super) struct StoreKey {
    id: String,
    cipher: XChaCha20Poly1305,
}

/// `key.json`: everything but the passphrase. What it says is sealed into the key, so a changed line opens nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    v: u64,
    /// Random, in hexadecimal digits: tells one folder's files from another's.
    id: String,
    /// What opens it.
    pub(super) opener: Opener,
    /// Argon2id: memory in KiB.
    memory_kib: u32,
    /// Argon2id: passes over that memory.
    passes: u32,
    /// Argon2id: lanes.
    lanes: u32,
    /// 16 bytes, base64.
    salt: String,
    /// 24 bytes, base64.
    nonce: String,
    /// The key and its tag, 48 bytes, base64.
    sealed_key: String,
}

impl Header {
    /// A new random key, sealed by `material`.
    pub(super) fn create(opener: Opener, material: &Secret<Vec<u8>>) -> Result<(Self, StoreKey), StoreError> {
        let mut id = String::new();
        for byte in random::<16>()? {
            use std::fmt::Write as _;
            write!(id, "{byte:02x}").expect("a String takes everything");
        }
        let key = Zeroizing::new(random::<32>()?);
        let header = Self::sealing(&key, id.clone(), opener, material)?;
        Ok((header, StoreKey { id, cipher: cipher(&key) }))
    }

    /// The same key, sealed by another material: what lies in the folder stays as it is.
    pub(super) fn resealed(
        &self,
        material: &Secret<Vec<u8>>,
        next: &Secret<Vec<u8>>,
    ) -> Result<Self, StoreError> {
        let key = self.unseal(material)?;
        Self::sealing(&key, self.id.clone(), self.opener.clone(), next)
    }

    fn sealing(
        key: &[u8; 32],
        id: String,
        opener: Opener,
        material: &Secret<Vec<u8>>,
    ) -> Result<Self, StoreError> {
        let (memory_kib, passes, lanes) = cost(&opener);
        let mut header = Self {
            v: VERSION,
            id,
            opener,
            memory_kib,
            passes,
            lanes,
            salt: BASE64.encode(random::<16>()?),
            nonce: BASE64.encode(random::<24>()?),
            sealed_key: String::new(),
        };
        let mut sealed = Zeroizing::new(Vec::with_capacity(32 + TAG));
        sealed.extend_from_slice(key);
        let nonce = header.nonce()?;
        header
            .wrapping(material)?
            .encrypt_in_place(&nonce, header.associated().as_bytes(), &mut *sealed)
            .map_err(|_| broken("its key cannot be sealed"))?;
        header.sealed_key = BASE64.encode(&*sealed);
        Ok(header)
    }

    /// Reads the file's bytes.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, StoreError> {
        #[derive(Deserialize)]
        struct OfVersion {
            v: u64,
        }
        let damaged = || StoreError::Sealed(SealedFault::Header { path: path.to_owned() });
        let version: OfVersion = serde_json::from_slice(bytes).map_err(|_| damaged())?;
        if version.v > VERSION {
            return Err(StoreError::Newer { record: path.display().to_string(), found: version.v });
        }
        let header: Self = serde_json::from_slice(bytes).map_err(|_| damaged())?;
        // A line that somebody changed must not take all of the machine's memory.
        let bearable = header.memory_kib <= MOST_MEMORY_KIB && header.passes <= 16 && header.lanes <= 16;
        if header.v != VERSION || !bearable {
            return Err(damaged());
        }
        Ok(header)
    }

    /// The bytes to write.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("texts and numbers always serialise");
        bytes.push(b'\n');
        bytes
    }

    /// The key, if `material` opens it. Takes a tenth of a second for a passphrase, on purpose.
    pub(super) fn open(&self, material: &Secret<Vec<u8>>) -> Result<StoreKey, StoreError> {
        Ok(StoreKey { id: self.id.clone(), cipher: cipher(&*self.unseal(material)?) })
    }

    fn unseal(&self, material: &Secret<Vec<u8>>) -> Result<Zeroizing<[u8; 32]>, StoreError> {
        let sealed = decode(&self.sealed_key)?;
        let mut key = Zeroizing::new(sealed);
        let opened = self.wrapping(material)?.decrypt_in_place(
            &self.nonce()?,
            self.associated().as_bytes(),
            &mut *key,
        );
        let fits = opened.is_ok() && key.len() == 32;
        match (fits, &self.opener) {
            (true, _) => {
                let mut bytes = Zeroizing::new([0; 32]);
                bytes.copy_from_slice(&key);
                Ok(bytes)
            }
            (false, Opener::Passphrase) => Err(StoreError::Sealed(SealedFault::WrongPassphrase)),
            (false, Opener::KeyFile(path)) => {
                Err(StoreError::Sealed(SealedFault::WrongKeyFile { path: path.clone() }))
            }
        }
    }

    /// What the passphrase or the key file becomes (RFC 9106).
    fn wrapping(&self, material: &Secret<Vec<u8>>) -> Result<XChaCha20Poly1305, StoreError> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32))
            .map_err(|_| broken("its costs make no sense"))?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            // Read to be stretched, and nowhere else.
            .hash_password_into(material.expose(), &decode(&self.salt)?, &mut *key)
            .map_err(|_| broken("its key cannot be derived"))?;
        Ok(cipher(&key))
    }

    fn nonce(&self) -> Result<XNonce, StoreError> {
        let bytes: [u8; NONCE] =
            decode(&self.nonce)?.try_into().map_err(|_| broken("its nonce has a wrong length"))?;
        Ok(XNonce::from(bytes))
    }

    /// Every line of the header that is not the sealed key itself.
    fn associated(&self) -> String {
        let opener = match &self.opener {
            Opener::Passphrase => "passphrase".to_owned(),
            Opener::KeyFile(path) => format!("key file {}", path.display()),
        };
        format!(
            "hallpass sealed key\0{}\0{}\0{opener}\0{}\0{}\0{}\0{}",
            self.v, self.id, self.memory_kib, self.passes, self.lanes, self.salt
        )
    }
}

impl StoreKey {
    /// Seals bytes for one record of this folder. `plain` is overwritten; the result is what lies in the file.
    pub(super) fn seal(&self, record: &str, mut plain: Zeroizing<Vec<u8>>) -> Result<Vec<u8>, StoreError> {
        let nonce = random::<NONCE>()?;
        // Room for the tag beforehand, so that no unsealed copy is left behind by growing.
        if plain.capacity() < plain.len() + TAG {
            let mut roomy = Zeroizing::new(Vec::with_capacity(plain.len() + TAG));
            roomy.extend_from_slice(&plain);
            plain = roomy;
        }
        self.cipher
            .encrypt_in_place(&XNonce::from(nonce), self.associated(record).as_bytes(), &mut *plain)
            .map_err(|_| broken("a record cannot be sealed"))?;
        let mut file = Vec::with_capacity(MAGIC.len() + NONCE + plain.len());
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&nonce);
        file.extend_from_slice(&plain);
        Ok(file)
    }

    /// Opens what [`StoreKey::seal`] made for the same record of the same folder; else what is wrong with it.
    pub(super) fn open(&self, record: &str, file: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        let rest = file.strip_prefix(MAGIC).ok_or("it is no sealed file of this version")?;
        let (nonce, sealed) = rest.split_at_checked(NONCE).ok_or("it is cut short")?;
        let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| "it is cut short")?;
        let mut plain = Zeroizing::new(sealed.to_vec());
        self.cipher
            .decrypt_in_place(&XNonce::from(nonce), self.associated(record).as_bytes(), &mut *plain)
            .map_err(|_| "it was changed, or is another record's")?;
        Ok(plain)
    }

    fn associated(&self, record: &str) -> String {
        format!("hallpass sealed record\0{}\0{record}", self.id)
    }
}

/// A passphrase is guessed at, a key file is not: RFC 9106's second recommendation, and next to nothing.
fn cost(opener: &Opener) -> (u32, u32, u32) {
    match opener {
        Opener::Passphrase => (64 * 1024, 3, 4),
        Opener::KeyFile(_) => (64, 1, 1),
    }
}

fn cipher(key: &[u8; 32]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Key::from(*key))
}

fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| broken("the system gives no random bytes"))?;
    Ok(bytes)
}

fn decode(text: &str) -> Result<Vec<u8>, StoreError> {
    BASE64.decode(text).map_err(|_| broken("its header is not base64"))
}

fn broken(what: &'static str) -> StoreError {
    StoreError::Sealed(SealedFault::Broken { what })
}

/// The content of a key file. Refused where others may read or write it, and where it is too short to be one.
pub(super) fn read_key_file(path: &Path) -> Result<Secret<Vec<u8>>, StoreError> {
    let fault = |source| StoreError::Sealed(SealedFault::KeyFile { path: path.to_owned(), source });
    let bytes = Zeroizing::new(platform::file::read_secret(path, MOST_KEY_BYTES).map_err(fault)?);
    if bytes.len() < LEAST_KEY_BYTES {
        return Err(StoreError::Sealed(SealedFault::ShortKeyFile { path: path.to_owned() }));
    }
    Ok(Secret::new(bytes.to_vec()))
}

/// Writes a new key file: 32 random bytes as base64, 0600.
pub(super) fn create_key_file(path: &Path) -> Result<(), StoreError> {
    let bytes = Zeroizing::new(random::<32>()?);
    let text = Zeroizing::new(format!("{}\n", BASE64.encode(bytes.as_slice())));
    platform::file::write_private(path, text.as_bytes())
        .map_err(|source| StoreError::Sealed(SealedFault::KeyFile { path: path.to_owned(), source }))
}

/// Whether nothing lies at that path.
pub(super) fn is_missing(path: &Path) -> bool {
    matches!(platform::file::read_secret(path, MOST_KEY_BYTES), Err(FileError::Missing { .. }))
}

const VERSION: u64 = 1;
const MAGIC: &[u8] = b"hallpass sealed 1\n";
const NONCE: usize = 24;
const TAG: usize = 16;
const MOST_MEMORY_KIB: u32 = 1024 * 1024;
const LEAST_KEY_BYTES: usize = 32;
const MOST_KEY_BYTES: u64 = 64 * 1024;
