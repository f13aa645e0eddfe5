//! The window's types are made from the control wire, and the file that is committed is the newest.
//!
//! `cargo xtask types` writes it; this test, run by the stage `ui`, fails where it is stale.

use std::path::{Path, PathBuf};

use hallpass_ipc::{Call, FromAgent};
use ts_rs::{Config, TS};

#[test]
fn the_generated_types_are_those_of_the_wire() {
    let made = tempfile::tempdir().expect("a folder");
    let config = Config::new().with_large_int("number").with_out_dir(made.path());
    Call::export_all(&config).expect("the requests can be exported");
    FromAgent::export_all(&config).expect("the answers can be exported");
    let new = std::fs::read_to_string(made.path().join("wire.ts")).expect("one file is made");
    if std::env::var_os("HALLPASS_WRITE_TYPES").is_some() {
        std::fs::create_dir_all(committed().parent().expect("it has a folder")).expect("its folder");
        std::fs::write(committed(), &new).expect("it can be written");
    }
    let old = std::fs::read_to_string(committed()).unwrap_or_default();
    assert!(old == new, "{} is stale; run: cargo xtask types", committed().display());
    for word in ["access_token", "refresh_token", "TokenSet", "AccessToken", "Secret<"] {
        assert!(!new.contains(word), "the window could name {word}");
    }
}

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/src/ipc/generated/wire.ts")
}
