//! Sealed files: where tokens lie on a machine without a keychain, because a person said so.
//!
//! ```text
//! sealed/ (0700)   lock        held for life by the one process that uses it
//!                  key.json    how the key is sealed (Argon2id), never the key
//!                  <record>.sealed   XChaCha20-Poly1305, the record's id sealed in; replaced whole
//!                  <record>.damaged  one that could not be opened when its record was deleted: kept
//! ```

mod key;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use model::Secret;
use platform::lock::Lock;
use platform::{FileError, file};
use zeroize::Zeroizing;

pub use key::Opener;

use crate::{ItemKey, StoreError, TokenStore};
use key::{Header, StoreKey};

/// A folder of sealed files. Clones share what opens it, so that one unlocking serves them all.
#[derive(Clone)]
pub struct SealedFiles {
    folder: PathBuf,
    open: Arc<Mutex<Option<Opened>>>,
}

/// The key, and the lock that keeps every other process out.
struct Opened {
    key: StoreKey,
    lock: Lock,
}

/// What can be wrong with a folder of sealed files beyond what holds for every store.
#[derive(Debug, thiserror::Error)]
pub enum SealedFault {
    /// A person must type the passphrase.
    #[error("the sealed files are locked")]
    PassphraseNeeded,
    /// It does not open the key.
    #[error("that passphrase does not open the sealed files; nothing was changed")]
    WrongPassphrase,
    /// Too easy to guess.
    #[error("a passphrase for sealed files has at least {least} characters")]
    ShortPassphrase {
        /// In characters.
        least: usize,
    },
    /// There is none to be changed.
    #[error("the sealed files are opened by the key file {path}, and by no passphrase", path = path.display())]
    NoPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// The key file cannot be read, or others can.
    #[error("the key file {path} cannot be used", path = path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// The key file is no key.
    #[error("the key file {path} is too short to be a key: it needs 32 random bytes", path = path.display())]
    ShortKeyFile {
        /// The file.
        path: PathBuf,
    },
    /// The key file lies beside what it opens.
    #[error("the key file {path} lies in Hallpass's own folder: whoever copies that has both", path = path.display())]
    KeyFileInside {
        /// The file.
        path: PathBuf,
    },
    /// Another key than the one that sealed the folder.
    #[error("the key file {path} does not open the sealed files: it is another key", path = path.display())]
    WrongKeyFile {
        /// The file.
        path: PathBuf,
    },
    /// The folder or its header is gone: moved away, not mounted, never made.
    #[error("the sealed files are not there: {path} is missing", path = path.display())]
    Missing {
        /// The header.
        path: PathBuf,
    },
    /// The header is not what we once wrote. It is left as it is.
    #[error("{path} is damaged: without it nothing can be unsealed", path = path.display())]
    Header {
        /// The header.
        path: PathBuf,
    },
    /// Sealed files are there already.
    #[error("there are sealed files already in {folder}", folder = folder.display())]
    Exists {
        /// The folder.
        folder: PathBuf,
    },
    /// Another process holds the folder's lock.
    #[error("another process uses the sealed files in {folder}", folder = folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("a sealed file cannot be read or written")]
    File {
        /// Which, and why.
        source: FileError,
    },
    /// The lock cannot be used.
    #[error("the lock of the sealed files cannot be used")]
    Lock {
        /// Why.
        source: platform::lock::LockError,
    },
    /// The key or a record cannot be sealed.
    #[error("the sealed files cannot be used: {what}")]
    Broken {
        /// What is wrong.
        what: &'static str,
    },
}

impl SealedFiles {
    /// The store's kind, as `state.json` records it.
    pub const NAME: &'static str = "sealed-file";

    /// The sealed files of a folder. Nothing is opened yet.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), open: Arc::default() }
    }

    /// Makes a folder that exists, is private and holds no sealed files yet into a store, opened. `own` is the folder
    /// of everything of ours, in which no key file may lie; one that does not exist yet is made.
    pub fn create(
        folder: &Path,
        opener: Opener,
        passphrase: Option<&Secret<String>>,
        own: &Path,
    ) -> Result<Self, StoreError> {
        let store = Self::at(folder);
        let lock = store.lock()?;
        if fs::symlink_metadata(store.header_path()).is_ok() {
            return Err(SealedFault::Exists { folder: folder.to_owned() }.into());
        }
        let material = match &opener {
            Opener::Passphrase => passphrase_bytes(passphrase)?,
            Opener::KeyFile(path) => {
                if !path.is_absolute() || is_inside(path, own) {
                    return Err(SealedFault::KeyFileInside { path: path.clone() }.into());
                }
                if key::is_missing(path) {
                    key::create_key_file(path)?;
                }
                key::read_key_file(path)?
            }
        };
        let (header, key) = Header::create(opener, &material)?;
        file::write_private(&store.header_path(), &header.to_bytes()).map_err(of_file)?;
        *store.opened() = Some(Opened { key, lock });
        Ok(store)
    }

    /// Seals the folder's key by another passphrase, in one step: what lies in the folder stays as it is, and copies of
    /// it that somebody made before still open by the old one. `between` is called when all is ready and nothing is
    /// written.
    pub fn change_passphrase(
        &self,
        old: &Secret<String>,
        new: &Secret<String>,
        between: impl FnOnce(),
    ) -> Result<(), StoreError> {
        // One at a time, and not while it is opened.
        let _opened = self.opened();
        let header = self.header()?;
        if let Opener::KeyFile(path) = &header.opener {
            return Err(SealedFault::NoPassphrase { path: path.clone() }.into());
        }
        let next = passphrase_bytes(Some(new))?;
        // Read to be stretched, and nowhere else.
        let material = Secret::new(old.expose().as_bytes().to_vec());
        let header = header.resealed(&material, &next)?;
        // What cannot be opened again is not written.
        header.open(&next)?;
        between();
        file::write_private(&self.header_path(), &header.to_bytes()).map_err(of_file)
    }

    /// What opens them: for words, read anew each time.
    pub fn opener(&self) -> Result<Opener, StoreError> {
        Ok(self.header()?.opener)
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, Option<Opened>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key; with a key file the folder opens by itself.
    fn key(&self) -> Result<StoreKey, StoreError> {
        let mut opened = self.opened();
        if let Some(opened) = &*opened {
            // A folder that is not there any more must not pass for an empty one.
            fs::symlink_metadata(self.header_path()).map_err(|_| self.missing())?;
            return Ok(opened.key.clone());
        }
        let header = self.header()?;
        let material = match &header.opener {
            Opener::Passphrase => return Err(SealedFault::PassphraseNeeded.into()),
            Opener::KeyFile(path) => key::read_key_file(path)?,
        };
        self.open_with(&mut opened, &header, &material)
    }

    fn open_with(
        &self,
        opened: &mut Option<Opened>,
        header: &Header,
        material: &Secret<Vec<u8>>,
    ) -> Result<StoreKey, StoreError> {
        let key = header.open(material)?;
        let lock = match opened.take() {
            Some(opened) => opened.lock,
            None => self.lock()?,
        };
        self.sweep();
        *opened = Some(Opened { key: key.clone(), lock });
        Ok(key)
    }

    fn lock(&self) -> Result<Lock, StoreError> {
        match Lock::try_acquire(&self.folder.join("lock")) {
            Ok(Some(lock)) => Ok(lock),
            Ok(None) => Err(SealedFault::InUse { folder: self.folder.clone() }.into()),
            Err(_) if !self.folder.exists() => Err(self.missing()),
            Err(source) => Err(SealedFault::Lock { source }.into()),
        }
    }

    /// Removes what a crash left behind: files that never got their name.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(".hallpass-") {
                // The next start comes by again.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn header(&self) -> Result<Header, StoreError> {
        let path = self.header_path();
        match file::read_private(&path, 64 * 1024) {
            Ok(bytes) => Header::parse(&path, &bytes),
            Err(error) if error.is_missing() => Err(self.missing()),
            Err(error) => Err(of_file(error)),
        }
    }

    fn header_path(&self) -> PathBuf {
        self.folder.join("key.json")
    }

    fn missing(&self) -> StoreError {
        SealedFault::Missing { path: self.header_path() }.into()
    }

    /// A record's file, its bytes and its items; an empty record where there is no file.
    fn record(&self, key: &StoreKey, item: &ItemKey) -> Result<Record, StoreError> {
        let name = item.record();
        let path = self.folder.join(format!("{name}.sealed"));
        let sealed = match file::read_private(&path, MOST_RECORD_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() => {
                return Ok(Record { path, sealed: Vec::new(), items: Items::new() });
            }
            Err(error) => return Err(of_file(error)),
        };
        let damaged = |what| StoreError::Damaged { record: path.display().to_string(), what };
        let plain = key.open(name, &sealed).map_err(damaged)?;
        let items = parse(&plain).ok_or_else(|| damaged("its content is not of our form"))?;
        Ok(Record { path, sealed, items })
    }

    /// Gives a file that cannot be opened another name: it is kept for whoever can make something of it.
    fn set_aside(&self, item: &ItemKey) -> Result<(), StoreError> {
        let path = self.folder.join(format!("{}.sealed", item.record()));
        let mut aside = path.with_extension("damaged");
        for count in 2.. {
            if fs::symlink_metadata(&aside).is_err() {
                break;
            }
            aside = path.with_extension(format!("damaged-{count}"));
        }
        tracing::warn!(from = %path.display(), to = %aside.display(), "a damaged sealed file is set aside");
        match fs::rename(&path, &aside) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(of_file(FileError::Io { action: "set aside", path, source })),
        }
    }
}

impl TokenStore for SealedFiles {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn ready(&self) -> Result<(), StoreError> {
        self.key().map(drop)
    }

    fn unlock(&self, passphrase: Option<&Secret<String>>) -> Result<(), StoreError> {
        let Some(passphrase) = passphrase else { return self.ready() };
        let mut opened = self.opened();
        let header = self.header()?;
        match &header.opener {
            Opener::Passphrase => {
                // Read to be stretched, and nowhere else.
                let material = Secret::new(passphrase.expose().as_bytes().to_vec());
                self.open_with(&mut opened, &header, &material).map(drop)
            }
            Opener::KeyFile(path) => {
                let material = key::read_key_file(path)?;
                self.open_with(&mut opened, &header, &material).map(drop)
            }
        }
    }

    fn get(&self, key: &ItemKey) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let record = self.record(&self.key()?, key)?;
        Ok(record.items.get(key.place()).cloned())
    }

    fn set(&self, key: &ItemKey, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() > ITEM_LIMIT {
            return Err(StoreError::TooLarge { size: bytes.len(), limit: ITEM_LIMIT });
        }
        let opened = self.key()?;
        let mut record = self.record(&opened, key)?;
        record.items.insert(key.place().to_owned(), Zeroizing::new(bytes.to_vec()));
        write(&opened, key, &record)
    }

    fn delete(&self, key: &ItemKey) -> Result<(), StoreError> {
        let opened = self.key()?;
        let mut record = match self.record(&opened, key) {
            Ok(record) => record,
            Err(StoreError::Damaged { .. }) => return self.set_aside(key),
            Err(error) => return Err(error),
        };
        if record.items.remove(key.place()).is_none() {
            return Ok(());
        }
        if record.items.is_empty() {
            return file::remove_if_same(&record.path, file::Expected::Bytes(&record.sealed))
                .map_err(of_file);
        }
        write(&opened, key, &record)
    }

    fn max_item_bytes(&self) -> usize {
        ITEM_LIMIT
    }
}

/// A record's items by their place within it.
type Items = BTreeMap<String, Zeroizing<Vec<u8>>>;

struct Record {
    path: PathBuf,
    sealed: Vec<u8>,
    items: Items,
}

fn write(key: &StoreKey, item: &ItemKey, record: &Record) -> Result<(), StoreError> {
    let sealed = key.seal(item.record(), to_bytes(&record.items))?;
    file::write_private(&record.path, &sealed).map_err(of_file)
}

/// Each item: length of its place and of its bytes (u32, little endian), then both.
fn to_bytes(items: &Items) -> Zeroizing<Vec<u8>> {
    let length = items.iter().map(|(place, bytes)| 8 + place.len() + bytes.len()).sum::<usize>();
    // With room for the tag, so that nothing is copied when it is sealed.
    let mut out = Zeroizing::new(Vec::with_capacity(length + 64));
    for (place, bytes) in items {
        for part in [place.len(), bytes.len()] {
            out.extend_from_slice(&u32::try_from(part).unwrap_or(u32::MAX).to_le_bytes());
        }
        out.extend_from_slice(place.as_bytes());
        out.extend_from_slice(bytes);
    }
    out
}

fn parse(mut bytes: &[u8]) -> Option<Items> {
    let mut items = Items::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_at_checked(8)?;
        let length = |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?) as usize);
        let (place, rest) = rest.split_at_checked(length(0)?)?;
        let (value, rest) = rest.split_at_checked(length(4)?)?;
        items.insert(std::str::from_utf8(place).ok()?.to_owned(), Zeroizing::new(value.to_vec()));
        bytes = rest;
    }
    Some(items)
}

fn passphrase_bytes(passphrase: Option<&Secret<String>>) -> Result<Secret<Vec<u8>>, StoreError> {
    let passphrase = passphrase.ok_or(SealedFault::PassphraseNeeded)?;
    // Counted, then stretched.
    let text = passphrase.expose();
    if text.chars().count() < LEAST_PASSPHRASE {
        return Err(SealedFault::ShortPassphrase { least: LEAST_PASSPHRASE }.into());
    }
    Ok(Secret::new(text.as_bytes().to_vec()))
}

/// Links are followed as far as they exist, so that none leads in.
fn is_inside(path: &Path, own: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().map(real).unwrap_or_default();
    folder.starts_with(real(own)) || real(path).starts_with(real(own))
}

fn of_file(source: FileError) -> StoreError {
    SealedFault::File { source }.into()
}

impl From<SealedFault> for StoreError {
    fn from(fault: SealedFault) -> Self {
        Self::Sealed(fault)
    }
}

/// No limit of files: large enough that a token set is one part.
const ITEM_LIMIT: usize = 256 * 1024;
const MOST_RECORD_BYTES: u64 = 64 * 1024 * 1024;
const LEAST_PASSPHRASE: usize = 12;

#[cfg(test)]
mod tests;
