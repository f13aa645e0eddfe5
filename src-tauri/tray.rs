//! The tray: draws what `menu` and `face` say, whole and anew each time, and does what is clicked. It holds no truth.

pub(crate) mod face;
pub(crate) mod label;
mod menu;

use std::panic::{AssertUnwindSafe, catch_unwind};

use ipc::{Request, Response, StatusView};
use platform::os::Os;
use tauri::image::Image;
use tauri::menu::{CheckMenuItem, IsMenuItem, Menu, MenuEvent, MenuItem, PredefinedMenuItem, Submenu};
use tauri::tray::TrayIconBuilder;
use tauri::{AppHandle, Manager as _, Wry};

use crate::agent_link::AgentState;
use crate::shell::{Page, Shell, Show};
use crate::windows;
use face::{Shape, face};
use menu::{Act, Item, Look, menu};

/// Puts the icon there. On a system without the library for it there is none, and the window does all.
pub(crate) fn start(app: &AppHandle) {
    let build = || {
        TrayIconBuilder::with_id(ID)
            .icon(picture(Shape::Plain))
            .icon_as_template(Os::current() == Os::MacOs)
            .show_menu_on_left_click(true)
            .on_menu_event(|app, event| clicked(app, &event))
            .build(app)
    };
    // The library is looked for at run time, and its absence is a panic there.
    match catch_unwind(AssertUnwindSafe(build)) {
        Ok(Ok(_)) => redraw(app),
        Ok(Err(error)) => tracing::warn!(%error, "no tray icon"),
        Err(_panic) => tracing::warn!("no tray icon: libayatana-appindicator3 is missing"),
    }
}

/// Draws menu, icon and tooltip from what is known now. From any thread.
pub(crate) fn redraw(app: &AppHandle) {
    let handle = app.clone();
    let drawn = app.run_on_main_thread(move || {
        if let Err(error) = draw(&handle) {
            tracing::warn!(%error, "the tray could not be drawn");
        }
    });
    if let Err(error) = drawn {
        tracing::info!(%error, "the tray is gone");
    }
}

fn draw(app: &AppHandle) -> tauri::Result<()> {
    let Some(tray) = app.tray_by_id(ID) else { return Ok(()) };
    let shell = app.state::<Shell>();
    let status = shell.status();
    let look = look(&shell.link.state(), status.as_ref());
    let (shape, tooltip) = face(look);
    let rows = rows(app, &menu(look))?;
    tray.set_menu(Some(Menu::with_items(app, &as_dyn(&rows))?))?;
    tray.set_icon_with_as_template(Some(picture(shape)), Os::current() == Os::MacOs)?;
    tray.set_tooltip(Some(tooltip))
}

fn look<'a>(state: &AgentState, status: Option<&'a StatusView>) -> Look<'a> {
    match (state, status) {
        (AgentState::Running, Some(status)) => Look::Running(status),
        (AgentState::Running | AgentState::Starting, _) => Look::Starting,
        (AgentState::Stopped(_), _) => Look::Stopped,
    }
}

type Row = Box<dyn IsMenuItem<Wry>>;

fn rows(app: &AppHandle, items: &[Item]) -> tauri::Result<Vec<Row>> {
    // An ampersand marks a shortcut here, two are one.
    let plain = |text: &str| text.replace('&', "&&");
    let made = items.iter().map(|item| {
        Ok(match item {
            Item::Do(act, text) => {
                Box::new(MenuItem::with_id(app, id(act), plain(text), true, None::<&str>)?) as Row
            }
            Item::Choice { act, text, chosen } => {
                Box::new(CheckMenuItem::with_id(app, id(act), plain(text), true, *chosen, None::<&str>)?)
            }
            Item::Says(text) => Box::new(MenuItem::new(app, plain(text), false, None::<&str>)?),
            Item::Line => Box::new(PredefinedMenuItem::separator(app)?),
            Item::Below(text, items) => {
                Box::new(Submenu::with_items(app, plain(text), true, &as_dyn(&rows(app, items)?))?)
            }
        })
    });
    made.collect()
}

fn as_dyn(rows: &[Row]) -> Vec<&dyn IsMenuItem<Wry>> {
    rows.iter().map(AsRef::as_ref).collect()
}

fn id(act: &Act) -> String {
    serde_json::to_string(act).unwrap_or_default()
}

fn clicked(app: &AppHandle, event: &MenuEvent) {
    let Ok(act) = serde_json::from_str::<Act>(event.id().as_ref()) else { return };
    let show = |page, server| windows::show(app, Some(Show { page, server: Some(server) }));
    match act {
        Act::Open => windows::show(app, None),
        Act::SignIn(server) => show(Page::SignIn, server),
        Act::Show(server) => show(Page::Servers, server),
        Act::Use(server, account) => {
            let account = Some(account.to_string());
            ask(app, Request::UseAccount { server, account, app: None, follow_selection: false });
        }
        Act::UseProfile(name) => ask(app, Request::UseProfile { name }),
        Act::Start => app.state::<Shell>().link.start(),
        Act::Quit => app.exit(0),
    }
}

/// Asks the agent; whatever comes of it, the menu is drawn anew, since the toolkit has moved the tick by itself.
fn ask(app: &AppHandle, request: Request) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        let shell = app.state::<Shell>();
        match shell.link.ask(request).await {
            Ok(Response::Switched(switched)) if switched.needs_sign_in => {
                let show = Show { page: Page::SignIn, server: Some(switched.server) };
                windows::show_from_anywhere(&app, Some(show));
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "the tray's wish was refused");
                windows::show_from_anywhere(&app, None);
            }
        }
        shell.stale.notify_one();
    });
}

/// Black on a clear ground for macOS, which colours it; elsewhere light on clear, as panels are dark.
fn picture(shape: Shape) -> Image<'static> {
    match (Os::current(), shape) {
        (Os::MacOs, Shape::Plain) => tauri::include_image!("icons/tray-template.png"),
        (Os::MacOs, Shape::Dot) => tauri::include_image!("icons/tray-template-dot.png"),
        (Os::MacOs, Shape::Slash) => tauri::include_image!("icons/tray-template-slash.png"),
        (Os::Linux | Os::Windows, Shape::Plain) => tauri::include_image!("icons/tray-dark.png"),
        (Os::Linux | Os::Windows, Shape::Dot) => tauri::include_image!("icons/tray-dark-dot.png"),
        (Os::Linux | Os::Windows, Shape::Slash) => tauri::include_image!("icons/tray-dark-slash.png"),
    }
}

const ID: &str = "hallpass";
