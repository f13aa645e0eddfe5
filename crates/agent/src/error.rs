//! Errors of every part, as people, programs and bridges see them.

use ipc::{Error, ErrorCode};
use model::ServerId;
use token_lease::{Closed, ClosedCode, Person};
use token_store::{SealedFault, StoreError};

use crate::servers::chain;
use crate::state_file::StateFileError;

impl From<StateFileError> for ErrorOf {
    fn from(error: StateFileError) -> Self {
        Self(Error::new(ErrorCode::Failed, chain(&error)).hint("make room or mend the file, then try again"))
    }
}

/// Lets `?` turn errors of our parts into the edge's error.
pub(crate) struct ErrorOf(pub(crate) Error);

impl From<ErrorOf> for Error {
    fn from(error: ErrorOf) -> Self {
        error.0
    }
}

/// The state could not be written.
pub(crate) fn of_state(error: StateFileError) -> Error {
    ErrorOf::from(error).0
}

/// The keychain did not do its work.
pub(crate) fn of_store(error: &StoreError) -> Error {
    let (code, hint) = match error {
        StoreError::Locked | StoreError::TimedOut { .. } => {
            (ErrorCode::KeychainLocked, "unlock your keychain, then try again; nothing was lost")
        }
        StoreError::Absent { .. } => (
            ErrorCode::KeychainAbsent,
            "start a keychain service (on Linux: gnome-keyring or KWallet) in your session, then try again; \
             on a machine without one: hallpass store use sealed-file",
        ),
        StoreError::Sealed(fault) => return of_sealed(fault),
        StoreError::Ambiguous { .. }
        | StoreError::TooLarge { .. }
        | StoreError::StaleGeneration { .. }
        | StoreError::Swapped { .. }
        | StoreError::Damaged { .. }
        | StoreError::Newer { .. }
        | StoreError::ReadBackDiffers { .. }
        | StoreError::Stopped
        | StoreError::Failed { .. } => (ErrorCode::Failed, "run: hallpass doctor"),
    };
    Error::new(code, error.to_string()).hint(hint)
}

/// What is wrong with the sealed files of a machine without a keychain.
fn of_sealed(fault: &SealedFault) -> Error {
    let (code, hint) = match fault {
        SealedFault::PassphraseNeeded => (ErrorCode::KeychainLocked, "run: hallpass store unlock"),
        SealedFault::WrongPassphrase => (
            ErrorCode::KeychainLocked,
            "try again; if it is lost for good: hallpass store use sealed-file --start-over",
        ),
        SealedFault::NoPassphrase { .. } => {
            (ErrorCode::Usage, "to have one: hallpass store use keychain, or make a new key file")
        }
        SealedFault::ShortPassphrase { .. } => (ErrorCode::Usage, "choose a longer one, such as four words"),
        SealedFault::KeyFile { .. } | SealedFault::ShortKeyFile { .. } | SealedFault::WrongKeyFile { .. } => {
            (
                ErrorCode::KeychainAbsent,
                "put the right key file there, 0600, then try again; nothing was lost",
            )
        }
        SealedFault::KeyFileInside { .. } => {
            (ErrorCode::Usage, "name a file elsewhere, with its whole path, best on another disk")
        }
        SealedFault::Missing { .. } => {
            (ErrorCode::KeychainAbsent, "put the folder back, then try again; nothing was lost")
        }
        SealedFault::Header { .. } => (
            ErrorCode::KeychainAbsent,
            "put back a copy of that file; without one: hallpass store use sealed-file --start-over",
        ),
        SealedFault::Exists { .. } => (ErrorCode::Failed, "move that folder away, then try again"),
        SealedFault::InUse { .. } => (ErrorCode::KeychainAbsent, "end that process, then try again"),
        SealedFault::File { .. } | SealedFault::Lock { .. } | SealedFault::Broken { .. } => {
            (ErrorCode::Failed, "make room or mend what is named, then try again; nothing was lost")
        }
    };
    Error::new(code, chain(fault)).hint(hint)
}

/// The same for a bridge.
pub(crate) fn closed_by_store(error: &StoreError, person: Option<Person>) -> Closed {
    let error = of_store(error);
    let code = match error.code {
        ErrorCode::KeychainLocked => ClosedCode::KeychainLocked,
        ErrorCode::KeychainAbsent => ClosedCode::KeychainAbsent,
        _ => ClosedCode::Failed,
    };
    Closed { code, message: error.message, hint: error.hint, person }
}

/// Nobody was chosen for a Server.
pub(crate) fn nobody_chosen(server: &ServerId, anybody_signed_in: bool) -> Closed {
    let (message, hint) = if anybody_signed_in {
        (
            format!("no account is chosen for {server}, so nothing was sent"),
            format!("run: hallpass switch {server} <account>"),
        )
    } else {
        (
            format!("nobody is signed in to {server}, so nothing was sent"),
            format!("run: hallpass login {server}"),
        )
    };
    Closed { code: ClosedCode::NobodyChosen, message, hint, person: None }
}

/// There is nothing to connect a bridge to.
pub(crate) fn no_mcp_server(server: &ServerId) -> Closed {
    Closed {
        code: ClosedCode::ServerClosed,
        message: format!("{server} is an identity provider and no MCP server, so nothing was sent"),
        hint: "take its entry out of the app: hallpass apps connect, with the servers that it vouches for"
            .to_owned(),
        person: None,
    }
}

/// The person that the rules name must sign in.
pub(crate) fn sign_in_needed(server: &ServerId, person: Person, reason: &str) -> Closed {
    let why = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    Closed {
        code: ClosedCode::SignInNeeded,
        message: format!("{} is not signed in to {server}{why}, so nothing was sent", person.label),
        hint: format!("run: hallpass login {server} --account {}", person.account),
        person: Some(person),
    }
}

/// The token that the person pasted is over.
pub(crate) fn token_needed(server: &ServerId, person: Person, reason: &str) -> Closed {
    Closed {
        code: ClosedCode::SignInNeeded,
        message: format!("{} at {server}: {reason}; nothing was sent", person.label),
        hint: format!(
            "make a new token there, then: hallpass login {server} --account {} --token-stdin",
            person.account
        ),
        person: Some(person),
    }
}

/// There is no such Server.
pub(crate) fn no_server(server: &ServerId) -> Error {
    Error::new(ErrorCode::NotFound, format!("there is no server {server}"))
        .hint("hallpass servers list shows all; hallpass servers add <url> adds one")
}
