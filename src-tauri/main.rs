//! The executable of the window. Everything it does is in the library, so that it can be tested.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

fn main() -> std::process::ExitCode {
    hallpass_desktop_lib::run()
}
