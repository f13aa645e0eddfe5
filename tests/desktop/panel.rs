//! A panel that shows no picture: it is the session's tray host (`org.kde.StatusNotifierWatcher`), reads the real menu
//! over D-Bus (`com.canonical.dbusmenu`) and clicks its rows.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use zbus::zvariant::{OwnedValue, Value};
use zbus::{Connection, Proxy};

use crate::desk::{Desk, eventually};

pub(crate) struct Panel {
    bus: Connection,
    icons: Arc<Mutex<Vec<(String, String)>>>,
}

/// One row of the menu, as a panel would show it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    id: i32,
    pub(crate) label: String,
    pub(crate) enabled: bool,
    /// Ticked or not, where it can be.
    pub(crate) ticked: Option<bool>,
    pub(crate) below: Vec<Row>,
}

struct Watcher {
    icons: Arc<Mutex<Vec<(String, String)>>>,
}

#[expect(clippy::needless_pass_by_value, clippy::unused_self, reason = "the interface wants them so")]
#[zbus::interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    fn register_status_notifier_item(
        &self,
        service: &str,
        #[zbus(header)] header: zbus::message::Header<'_>,
    ) {
        // Either a bus name, or the path of an icon of the sender.
        let sender = header.sender().map(ToString::to_string).unwrap_or_default();
        let icon = if service.starts_with('/') {
            (sender, service.to_owned())
        } else {
            (service.to_owned(), "/StatusNotifierItem".to_owned())
        };
        self.icons.lock().unwrap().push(icon);
    }

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }

    #[zbus(property)]
    fn registered_status_notifier_items(&self) -> Vec<String> {
        self.icons.lock().unwrap().iter().map(|(name, path)| format!("{name}{path}")).collect()
    }
}

type Layout = (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>);

impl Panel {
    /// Takes the place of the desktop's panel; before the app starts, which looks for it once.
    pub(crate) async fn on(desk: &Desk) -> Self {
        let icons = Arc::default();
        let watcher = Watcher { icons: Arc::clone(&icons) };
        let address = desk.sandbox.dbus_address().expect("a desk has a session bus");
        let bus = zbus::connection::Builder::address(address.as_str()).unwrap();
        let bus = bus.serve_at("/StatusNotifierWatcher", watcher).unwrap();
        let bus = bus.name("org.kde.StatusNotifierWatcher").unwrap().build().await.unwrap();
        Self { bus, icons }
    }

    /// How many programs have shown an icon here.
    pub(crate) fn programs(&self) -> usize {
        self.icons.lock().unwrap().iter().map(|(name, _)| name).collect::<BTreeSet<_>>().len()
    }

    /// The rows of the menu now; `None` while there is no icon with one.
    pub(crate) async fn rows(&self) -> Option<Vec<Row>> {
        let (menu, _) = self.menu().await?;
        let nothing: Vec<&str> = Vec::new();
        let (_, layout): (u32, Layout) = menu.call("GetLayout", &(0, -1, nothing)).await.ok()?;
        Some(row(layout).below)
    }

    /// Waits until the menu is as wanted.
    pub(crate) async fn shows(&self, what: &str, wanted: impl Fn(&[Row]) -> bool) -> Vec<Row> {
        let last = Mutex::new(Vec::new());
        let look = async || {
            let rows = self.rows().await?;
            last.lock().unwrap().clone_from(&rows);
            wanted(&rows).then_some(rows)
        };
        tokio::select! {
            rows = eventually_quiet(look) => rows,
            () = tokio::time::sleep(crate::desk::PATIENCE) => {
                panic!("the tray does not show {what}, but:\n{}", drawn(&last.lock().unwrap()))
            }
        }
    }

    /// Clicks a row by its labels from the top, once it is there.
    pub(crate) async fn click(&self, labels: &[&str]) {
        let what = labels.join(" > ");
        eventually(&format!("a click on {what}"), async || {
            let rows = self.shows(&what, |rows| find(rows, labels).is_some()).await;
            let id = find(&rows, labels).expect("waited for just above").id;
            let (menu, _) = self.menu().await?;
            // Refused where the menu has been made anew since it was read: then its rows have other numbers.
            let clicked: zbus::Result<()> = menu.call("Event", &(id, "clicked", Value::from(0), 0_u32)).await;
            match clicked {
                // Who quits is gone before it can answer.
                Err(zbus::Error::MethodError(name, ..)) if name == "org.freedesktop.DBus.Error.NoReply" => {
                    Some(())
                }
                clicked => clicked.ok(),
            }
        })
        .await;
    }

    async fn menu(&self) -> Option<(Proxy<'static>, String)> {
        let (name, path) = self.icons.lock().unwrap().last().cloned()?;
        let icon = Proxy::new(&self.bus, name.clone(), path, "org.kde.StatusNotifierItem").await.ok()?;
        let menu: zbus::zvariant::OwnedObjectPath = icon.get_property("Menu").await.ok()?;
        let menu = Proxy::new(&self.bus, name.clone(), menu, "com.canonical.dbusmenu").await.ok()?;
        Some((menu, name))
    }
}

/// The row below these labels. A label may be the beginning of the row's.
pub(crate) fn find<'a>(rows: &'a [Row], labels: &[&str]) -> Option<&'a Row> {
    let (first, rest) = labels.split_first()?;
    let row = rows.iter().find(|row| row.label.starts_with(first))?;
    if rest.is_empty() { Some(row) } else { find(&row.below, rest) }
}

/// The menu as text, for the report of a failing test.
pub(crate) fn drawn(rows: &[Row]) -> String {
    let lines = rows.iter().flat_map(|row| {
        let tick = row.ticked.map_or("   ", |on| if on { "[x]" } else { "[ ]" });
        let off = if row.enabled { "" } else { " (off)" };
        let below = drawn(&row.below);
        let below = below.lines().map(|line| format!("    {line}")).collect::<Vec<_>>();
        std::iter::once(format!("{tick} {}{off}", row.label)).chain(below)
    });
    lines.collect::<Vec<_>>().join("\n")
}

async fn eventually_quiet<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

fn row((id, properties, below): Layout) -> Row {
    let word = |name: &str| properties.get(name).and_then(|value| value.downcast_ref::<&str>().ok());
    let number = |name: &str| properties.get(name).and_then(|value| value.downcast_ref::<i32>().ok());
    let label = match word("type") {
        Some("separator") => "---".to_owned(),
        // An underscore marks a shortcut, two are one.
        Some(_) | None => word("label").unwrap_or_default().replace("__", "_"),
    };
    let enabled =
        properties.get("enabled").and_then(|value| value.downcast_ref::<bool>().ok()).unwrap_or(true);
    let ticked =
        word("toggle-type").filter(|kind| !kind.is_empty()).map(|_| number("toggle-state") == Some(1));
    let below = below.into_iter().map(|value| row(Layout::try_from(value).expect("a layout"))).collect();
    Row { id, label, enabled, ticked, below }
}
