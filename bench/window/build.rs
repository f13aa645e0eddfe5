//! Tauri's own part of the build, if there is anything to build.

fn main() {
    #[cfg(feature = "window")]
    tauri_build::build();
}
