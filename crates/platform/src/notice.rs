//! A notification of the system: one line and one sentence, and whether the person chose it.

/// Shows a notification; resolves with true once the person has chosen it, with false when it is gone otherwise.
///
/// Linux: `org.freedesktop.Notifications`. Elsewhere nothing is shown yet.
pub async fn tell(app: &str, title: &str, body: &str, action: &str) -> bool {
    system::tell(app, title, body, action).await
}

#[cfg(target_os = "linux")]
mod system {
    use std::collections::HashMap;
    use std::time::Duration;

    use zbus::export::ordered_stream::OrderedStreamExt as _;
    use zbus::zvariant::Value;
    use zbus::{Connection, Proxy};

    pub(super) async fn tell(app: &str, title: &str, body: &str, action: &str) -> bool {
        // Servers drop notifications after minutes; what hangs longer is not waited for.
        let chosen = tokio::time::timeout(PATIENCE, shown(app, title, body, action)).await;
        chosen.is_ok_and(|answer| answer.unwrap_or(false))
    }

    async fn shown(app: &str, title: &str, body: &str, action: &str) -> zbus::Result<bool> {
        let bus = Connection::session().await?;
        let server = Proxy::new(&bus, SERVER, PATH, SERVER).await?;
        // Listened to first: the answer may come before the call's own.
        let mut signals = server.receive_all_signals().await?;
        let hints: HashMap<&str, Value<'_>> = HashMap::from([("category", Value::from("presence"))]);
        let body = body.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let actions = ["default", action];
        let call = (app, 0_u32, "", title, body.as_str(), actions.as_slice(), hints, -1_i32);
        let id: u32 = server.call("Notify", &call).await?;
        while let Some(signal) = signals.next().await {
            let header = signal.header();
            match header.member().map(zbus::names::MemberName::as_str) {
                Some("ActionInvoked") if signal.body().deserialize::<(u32, &str)>()?.0 == id => {
                    return Ok(true);
                }
                Some("NotificationClosed") if signal.body().deserialize::<(u32, u32)>()?.0 == id => {
                    return Ok(false);
                }
                Some(_) | None => {}
            }
        }
        Ok(false)
    }

    const SERVER: &str = "org.freedesktop.Notifications";
    const PATH: &str = "/org/freedesktop/Notifications";
    const PATIENCE: Duration = Duration::from_mins(10);
}

#[cfg(not(target_os = "linux"))]
mod system {
    #[expect(clippy::unused_async, reason = "on Linux the session is asked")]
    pub(super) async fn tell(_app: &str, _title: &str, _body: &str, _action: &str) -> bool {
        false
    }
}
