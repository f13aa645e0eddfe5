//! Whether anything on this desktop shows tray icons. On Linux that is a matter of the panel, and it comes and goes.

/// True if a tray icon would be seen. Linux: a StatusNotifierItem host is registered on the session bus (GNOME has
/// none without an extension). Elsewhere the system itself is the host.
pub async fn has_host() -> bool {
    system::has_host().await
}

#[cfg(target_os = "linux")]
mod system {
    use std::time::Duration;

    use zbus::Connection;

    pub(super) async fn has_host() -> bool {
        tokio::time::timeout(PATIENCE, asked()).await.is_ok_and(|answer| answer.unwrap_or(false))
    }

    /// `org.kde.StatusNotifierWatcher`, property `IsStatusNotifierHostRegistered`. Nobody is started to answer.
    async fn asked() -> zbus::Result<bool> {
        let bus = Connection::session().await?;
        let known = zbus::fdo::DBusProxy::new(&bus).await?.name_has_owner(WATCHER.try_into()?).await?;
        if !known {
            return Ok(false);
        }
        let watcher = zbus::Proxy::new(&bus, WATCHER, "/StatusNotifierWatcher", WATCHER).await?;
        watcher.get_property("IsStatusNotifierHostRegistered").await
    }

    const WATCHER: &str = "org.kde.StatusNotifierWatcher";
    const PATIENCE: Duration = Duration::from_secs(1);
}

#[cfg(not(target_os = "linux"))]
mod system {
    #[expect(clippy::unused_async, reason = "on Linux the session is asked")]
    pub(super) async fn has_host() -> bool {
        true
    }
}
