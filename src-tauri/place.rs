//! Where the window was and how large, in `cache/window.json`: it may be lost.

use std::path::{Path, PathBuf};

use platform::Root;
use serde::{Deserialize, Serialize};
use tauri::{PhysicalPosition, PhysicalSize, WebviewWindow};

/// Where the window was, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    x: i32,
    y: i32,
    width: u32,
    height: u32,
    maximized: bool,
}

/// A screen, in pixels.
#[derive(Clone, Copy, Debug)]
struct Screen {
    x: i32,
    y: i32,
    width: u32,
    height: u32,
}

/// The file of a root.
pub(crate) fn file(root: &Root) -> PathBuf {
    root.cache().join("window.json")
}

/// Notes where the window is. What goes wrong costs nothing but the place.
pub(crate) fn remember(window: &WebviewWindow, path: &Path) {
    let noted = place_of(window).map_err(|error| error.to_string()).and_then(|place| {
        let bytes = serde_json::to_vec(&place).map_err(|error| error.to_string())?;
        platform::file::write_private(path, &bytes).map_err(|error| error.to_string())
    });
    if let Err(error) = noted {
        tracing::info!(error, "the window's place was not noted");
    }
}

/// Puts a window that is not shown yet where the last one was, if that is still on a screen.
pub(crate) fn restore(window: &WebviewWindow, path: &Path) {
    let Ok(bytes) = platform::file::read_private(path, LARGEST) else { return };
    let Ok(place) = serde_json::from_slice::<Place>(&bytes) else { return };
    let screens = window.available_monitors().unwrap_or_default();
    let screens: Vec<Screen> = screens
        .iter()
        .map(|screen| {
            let (position, size) = (screen.position(), screen.size());
            Screen { x: position.x, y: position.y, width: size.width, height: size.height }
        })
        .collect();
    let Some(place) = on_screen(place, &screens) else { return };
    let put = window
        .set_size(PhysicalSize::new(place.width, place.height))
        .and_then(|()| window.set_position(PhysicalPosition::new(place.x, place.y)))
        .and_then(|()| if place.maximized { window.maximize() } else { Ok(()) });
    if let Err(error) = put {
        tracing::info!(%error, "the window's place could not be restored");
    }
}

fn place_of(window: &WebviewWindow) -> tauri::Result<Place> {
    let (position, size) = (window.outer_position()?, window.inner_size()?);
    let maximized = window.is_maximized()?;
    Ok(Place { x: position.x, y: position.y, width: size.width, height: size.height, maximized })
}

/// The place, if enough of its title bar to take hold of is on a screen, and no larger than that screen.
fn on_screen(place: Place, screens: &[Screen]) -> Option<Place> {
    let grip_x = place.x.checked_add(i32::try_from(place.width / 2).ok()?)?;
    let holds = |start: i32, length: u32, point: i32| {
        point >= start && i64::from(point) < i64::from(start) + i64::from(length)
    };
    let screen = screens
        .iter()
        .find(|screen| holds(screen.x, screen.width, grip_x) && holds(screen.y, screen.height, place.y))?;
    let (width, height) = (place.width.min(screen.width), place.height.min(screen.height));
    (width >= LEAST && height >= LEAST).then_some(Place { width, height, ..place })
}

const LARGEST: u64 = 4096;
const LEAST: u32 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    const SCREENS: [Screen; 2] = [
        Screen { x: 0, y: 0, width: 1920, height: 1080 },
        Screen { x: 1920, y: -200, width: 1280, height: 1024 },
    ];

    fn at(x: i32, y: i32, width: u32, height: u32) -> Place {
        Place { x, y, width, height, maximized: false }
    }

    #[test]
    fn a_place_is_kept_where_it_can_be_seen() {
        for (place, kept) in [
            (at(100, 100, 960, 660), Some(at(100, 100, 960, 660))),
            (at(-300, 10, 960, 660), Some(at(-300, 10, 960, 660))),
            (at(2000, -100, 960, 660), Some(at(2000, -100, 960, 660))),
            (at(10, 10, 9000, 9000), None),
            (at(10, 10, 3000, 3000), Some(at(10, 10, 1920, 1080))),
            (at(-3000, 100, 960, 660), None),
            (at(100, -900, 960, 660), None),
            (at(100, 1080, 960, 660), None),
            (at(100, 100, 0, 660), None),
            (at(i32::MAX, i32::MAX, u32::MAX, 660), None),
        ] {
            assert_eq!(on_screen(place, &SCREENS), kept, "{place:?}");
        }
        assert_eq!(on_screen(at(100, 100, 960, 660), &[]), None);
    }
}
