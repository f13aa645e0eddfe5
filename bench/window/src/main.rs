//! The least that Tauri can do of what our window does: a tray icon, one window with one sentence and one button in it
//! unless told `--hidden`, and it goes on without the window. Same Tauri, same features, same size of window as ours.

use tauri::menu::{Menu, MenuItem};
use tauri::tray::TrayIconBuilder;
use tauri::{RunEvent, WebviewUrl, WebviewWindowBuilder};

fn main() -> tauri::Result<()> {
    let hidden = std::env::args().any(|argument| argument == "--hidden");
    let app = tauri::Builder::default()
        .setup(move |app| {
            let menu = Menu::with_items(app, &[&MenuItem::new(app, "Quit", true, None::<&str>)?])?;
            let icon = app.default_window_icon().cloned().ok_or("no icon")?;
            TrayIconBuilder::new().icon(icon).menu(&menu).build(app)?;
            if !hidden {
                let window = WebviewWindowBuilder::new(app, "main", WebviewUrl::default());
                window.title("Bare").inner_size(960.0, 660.0).center().build()?;
            }
            Ok(())
        })
        .build(tauri::generate_context!())?;
    app.run(|_, event| {
        if let RunEvent::ExitRequested { code: None, api, .. } = event {
            api.prevent_exit();
        }
    });
    Ok(())
}
