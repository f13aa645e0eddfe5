//! The real window under Xvfb, driven by WebKitWebDriver, and the real tray menu over D-Bus, with the real agent and a
//! real keychain. Each test has its own display, D-Bus session, home and driver.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod desk;
mod notifier;
mod panel;
#[path = "../support/room.rs"]
mod room;
#[path = "../peers/running_app.rs"]
#[expect(dead_code, reason = "the journeys with real peers use more of it")]
mod running_app;
mod team;

// The window opens, tells the truth about the agent, brings it back, and can do nothing but its two commands.
mod window;

// The tray alone: hidden start, second start, menu, close to the tray and back, where nothing shows a tray.
mod in_tray;

// People through the tray: profiles, another person's sign-in in a window that was closed, notices.
mod people_in_tray;

// Settings are kept and in force; the start at login works from any path; the browser gets the address and no more.
mod outside;

// What should not be: another agent, a keychain that locks, a full disk, an agent that dies, names that lie, far too much.
mod trouble;

// The whole main job with other people's servers and client: import, two people, a switch in the tray, and back.
mod main_job;
