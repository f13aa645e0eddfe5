//! A process that starts without a bus address takes one over before its first thread: so this test has no
//! harness, which would start one.
#![expect(clippy::unwrap_used, reason = "a test; most of it is outside of functions marked as one")]

#[expect(dead_code, reason = "the other test of the Secret Service uses all of it")]
mod session;

use hallpass_token_store::{Keychain, StaticSecret, adopt_bus_address, probe};
use model::ItemId;
use session::Session;

fn main() {
    // Harness arguments (`--list`) ask for no run; the session's own environment must not help.
    let listing = std::env::args().any(|argument| argument == "--list");
    if listing || std::env::consts::OS != "linux" {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for malformed in ["", "a\nb", "a\0b"] {
        adopt_bus_address(malformed).unwrap_err();
    }
    adopt_bus_address(&session::address(folder.path())).unwrap();

    let _session = Session::start(folder.path());
    probe(&session::address(folder.path()), std::time::Duration::from_secs(30)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (keychain, record) = (Keychain::system("hallpass-test"), ItemId::parse("0a1b").unwrap());
        let secret = StaticSecret("s3cret".into());
        keychain.save_secret(&record, &secret).await.unwrap();
        assert_eq!(keychain.load_secret(&record).await.unwrap(), Some(secret));
    });
}
