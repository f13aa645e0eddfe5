//! Sealed files against other processes: one at a time, and killed at any moment. The other process is this executable
//! again.
#![expect(clippy::unwrap_used, reason = "a test; most of it is outside of functions marked as one")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use hallpass_token_store::{
    Keychain, Opener, Seal, SealedFault, SealedFiles, StoreError, TokenSet, TokenStore as _,
};
use model::{AccountId, ItemId, ServerId, TokenEndpointAuth, UnixTime};

const FOLDER: &str = "HALLPASS_TEST_FOLDER";

fn record() -> ItemId {
    ItemId::parse("0a1b").unwrap()
}

fn tokens(generation: u64) -> TokenSet {
    TokenSet {
        access_token: format!("access-{generation}").into(),
        refresh_token: Some(format!("refresh-{generation}-{}", "r".repeat(5000)).into()),
        id_token: None,
        expires_at: Some(UnixTime(1_800_000_030)),
        lifetime: Some(30),
        received_at: UnixTime(1_800_000_000),
        scopes: Vec::new(),
        generation,
        epoch: 1,
        subject_checked: true,
        seal: Seal {
            issuer: "https://as.example".into(),
            token_endpoint: "https://as.example/token".into(),
            token_endpoint_auth: TokenEndpointAuth::None,
            revocation_endpoint: None,
            userinfo_endpoint: None,
            jwks_uri: None,
            introspection_endpoint: None,
            renewal: hallpass_token_store::Renewal::default(),
            resource: "https://mcp.example/".into(),
            endpoint: "https://mcp.example/mcp".into(),
            client_id: "c1".into(),
            client_secret: None,
            subject: Some("ana".into()),
            told: None,
            server: ServerId::parse("jira").unwrap(),
            account: AccountId::parse("a1").unwrap(),
        },
    }
}

/// A folder of sealed files that a key file beside it opens.
fn place(scratch: &Path) -> PathBuf {
    let own = scratch.join("own");
    let folder = own.join("sealed");
    std::fs::create_dir_all(&folder).unwrap();
    SealedFiles::create(&folder, Opener::KeyFile(scratch.join("key")), None, &own).unwrap();
    folder
}

/// A process that saves one generation after the other and says which it has saved.
struct Writer(Child, BufReader<ChildStdout>);

impl Writer {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writes_until_it_is_killed", "--ignored", "--nocapture"])
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self(child, said)
    }

    /// The next generation that it has saved; `None` at its end.
    fn next(&mut self) -> Option<u64> {
        let mut line = String::new();
        while self.1.read_line(&mut line).unwrap() > 0 {
            if let Some(number) = line.trim().strip_prefix("saved ") {
                return Some(number.parse().unwrap());
            }
            line.clear();
        }
        None
    }

    /// Kills it and says what it had saved last.
    fn kill(mut self, mut last: u64) -> u64 {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        while let Some(more) = self.next() {
            last = more;
        }
        last
    }
}

#[test]
#[ignore = "started by the other tests"]
fn writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let keychain = Keychain::sealed(&SealedFiles::at(Path::new(&folder)));
        let first = keychain.load_tokens(&record()).await.unwrap().map_or(0, |set| set.generation);
        for generation in first + 1.. {
            keychain.save_tokens(&record(), &tokens(generation)).await.unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "saved {generation}").unwrap();
            out.flush().unwrap();
        }
    });
}

#[test]
fn a_writer_that_is_killed_at_any_moment_leaves_what_it_said_it_had_saved() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = place(scratch.path());
    let mut at_least = 0;
    for round in 0..20 {
        let mut writer = Writer::start(&folder);
        let mut last = at_least;
        // Another count each time, so that the kill meets other moments.
        for _ in 0..=(round % 7) {
            last = writer.next().unwrap();
        }
        at_least = writer.kill(last);
        let store = SealedFiles::at(&folder);
        store.ready().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stored = runtime.block_on(Keychain::sealed(&store).load_tokens(&record())).unwrap().unwrap();
        // One more may have been saved that nobody heard of.
        assert!(
            stored.generation == at_least || stored.generation == at_least + 1,
            "{} after {at_least} were saved",
            stored.generation
        );
        assert_eq!(stored, tokens(stored.generation), "whole");
        at_least = stored.generation;
    }
    assert!(at_least >= 20);
    let names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names.iter().all(|name| ["lock", "key.json", "0a1b.sealed"].contains(&name.as_str())),
        "{names:?}"
    );
}

#[test]
fn a_second_process_is_kept_out_until_the_first_is_gone() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = place(scratch.path());
    let mut writer = Writer::start(&folder);
    let last = writer.next().unwrap();
    let store = SealedFiles::at(&folder);
    let refused = store.ready().unwrap_err();
    assert!(matches!(&refused, StoreError::Sealed(SealedFault::InUse { .. })), "{refused:?}");
    writer.kill(last);
    store.ready().unwrap();
}
