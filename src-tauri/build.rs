//! Tells Tauri where this layout keeps its things, and names the commands that the window may use: all others are denied.
use std::{env, fs, io, path::Path};

/// Every command of ours. Each one also needs `allow-<command>` in `capabilities/main.json`.
const COMMANDS: &[&str] = &["call", "shell"];

const UNBUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Hallpass</title>\
<h1>Hallpass</h1><p>This build has no user interface inside. Run <code>cargo xtask run</code>.</p></html>\n";

fn main() {
    println!("cargo:rerun-if-changed=src-tauri/capabilities");
    println!("cargo:rerun-if-changed=ui/dist");
    if let Err(error) = ensure_user_interface(Path::new("ui/dist/index.html")) {
        println!("cargo:warning=cannot write ui/dist/index.html: {error}");
    }
    let attributes = tauri_build::Attributes::new()
        .capabilities_path_pattern("./src-tauri/capabilities/**/*")
        .app_manifest(tauri_build::AppManifest::new().commands(COMMANDS));
    if let Err(error) = tauri_build::try_build(attributes) {
        println!("cargo:warning=tauri-build: {error:#}");
        std::process::exit(1);
    }
}

/// Code generation needs the folder to exist; a plain `cargo build` must work before the UI has been built.
fn ensure_user_interface(index: &Path) -> io::Result<()> {
    if index.exists() || env::var_os("DEP_TAURI_DEV").is_some_and(|dev| dev == "true") {
        return Ok(());
    }
    println!("cargo:warning=ui/dist is missing, the window will say so. `cargo xtask run` builds it.");
    index.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(index, UNBUILT)
}
