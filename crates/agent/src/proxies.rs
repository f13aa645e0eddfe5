//! The proxies of the person's session. Their addresses are remembered in the state, without user and password: those lie
//! in the keychain, and are shown nowhere.

use std::collections::BTreeMap;
use std::time::Duration;

use ipc::Error;
use model::{ItemId, Secret};
use token_store::{StaticSecret, StoreError};
use url::Url;

use crate::agent::Agent;
use crate::error;

/// Proxy variables by name in lower case, as a session has them: addresses may carry a user and a password.
pub(crate) type Proxies = BTreeMap<String, String>;

/// The same, apart: what may be read by anybody, and the addresses that may not.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parted {
    clear: Proxies,
    secret: Proxies,
}

fn part(proxies: &Proxies) -> Parted {
    let mut parted = Parted::default();
    for (name, value) in proxies {
        let clear = if name == "no_proxy" { value.clone() } else { without_user(value) };
        if clear != *value {
            parted.secret.insert(name.clone(), value.clone());
        }
        parted.clear.insert(name.clone(), clear);
    }
    parted
}

/// An address without user and password. What is no address may hide one: a word takes its place that no network takes
/// for an address, so that nothing ever goes out beside a proxy that was meant.
fn without_user(address: &str) -> String {
    if !address.contains('@') {
        return address.to_owned();
    }
    let trimmed = address.trim();
    let whole = if trimmed.contains("://") { trimmed.to_owned() } else { format!("http://{trimmed}") };
    let Ok(mut url) = Url::parse(&whole) else { return UNUSABLE.to_owned() };
    if url.host_str().is_none() || url.set_username("").is_err() || url.set_password(None).is_err() {
        return UNUSABLE.to_owned();
    }
    url.to_string()
}

impl Agent {
    /// Remembers what agents that start from an empty environment need.
    pub(crate) async fn record_environment(
        &self,
        dbus_address: Option<String>,
        proxies: Option<Proxies>,
    ) -> Result<(), Error> {
        let Some(proxies) = proxies else {
            return match dbus_address {
                Some(_) => self
                    .change(|state| state.environment.dbus_address = dbus_address)
                    .map_err(error::of_state),
                None => Ok(()),
            };
        };
        let news = self.use_proxies(proxies.clone());
        let Parted { clear, secret } = part(&proxies);
        let old = self.read(|state| state.environment.proxy_secret.clone());
        let known =
            self.read(|state| state.environment.proxies == clear) && secret.is_empty() == old.is_none();
        if !news && known && dbus_address.is_none() {
            return Ok(());
        }
        let item = if secret.is_empty() {
            None
        } else if known && !news {
            old.clone()
        } else {
            self.keep_proxy_secret(old.as_ref(), &secret).await
        };
        self.change(|state| {
            if dbus_address.is_some() {
                state.environment.dbus_address = dbus_address;
            }
            state.environment.proxies = clear;
            state.environment.proxy_secret.clone_from(&item);
        })
        .map_err(error::of_state)?;
        if let Some(old) = old.filter(|_| item.is_none())
            && let Ok(keychain) = self.keychain().await
            && let Err(error) = keychain.delete_secret(&old).await
        {
            tracing::warn!(%error, "a proxy's password that nobody needs is still in the keychain");
        }
        Ok(())
    }

    /// The item that holds them now. Without a keychain they are known to this agent alone, and to the next one when the
    /// person's session tells it.
    async fn keep_proxy_secret(&self, old: Option<&ItemId>, secret: &Proxies) -> Option<ItemId> {
        let text = Secret::new(serde_json::to_string(secret).unwrap_or_default());
        let item = old.cloned().unwrap_or_else(|| self.world.item_id());
        let kept = async {
            let keychain = self.keychain().await?;
            if old.is_some() && keychain.load_secret(&item).await?.is_some_and(|stored| stored.0 == text) {
                return Ok(());
            }
            keychain.save_secret(&item, &StaticSecret(text)).await
        };
        match kept.await {
            Ok::<_, StoreError>(()) => Some(item),
            Err(error) => {
                tracing::warn!(%error, "a proxy's password is not in the keychain");
                old.cloned()
            }
        }
    }

    /// What the state remembers, with users and passwords out of the keychain. `Err`: the keychain cannot say now, and
    /// until it can, the proxy is asked without them.
    pub(crate) async fn restore_proxies(&self) -> Result<(), StoreError> {
        let (mut proxies, item) =
            self.read(|state| (state.environment.proxies.clone(), state.environment.proxy_secret.clone()));
        let Some(item) = item else { return Ok(()) };
        let Some(stored) = self.keychain().await?.load_secret(&item).await? else { return Ok(()) };
        // To be handed to the proxy that they are for.
        let secret: Proxies = serde_json::from_str(stored.0.expose()).unwrap_or_default();
        for (name, value) in secret {
            // Only what still is the address that was remembered without them.
            if proxies.get(&name).is_some_and(|clear| *clear == without_user(&value)) {
                proxies.insert(name, value);
            }
        }
        self.use_proxies(proxies);
        Ok(())
    }

    /// These from now on, for bridges as well. `false`: they are the same.
    fn use_proxies(&self, proxies: Proxies) -> bool {
        let news = self.network.set_proxies(proxies);
        if news {
            let servers: Vec<_> = self.read(|state| state.servers.keys().cloned().collect());
            self.reattach(&servers);
        }
        news
    }

    /// Tries again until the keychain can say.
    pub(crate) async fn keep_restoring_proxies(&self) {
        while let Err(error) = self.restore_proxies().await {
            tracing::info!(%error, "the proxy's password cannot be read yet");
            tokio::time::sleep(AGAIN).await;
            if !self.network.lacks_secret(&self.read(|state| state.environment.proxies.clone())) {
                return;
            }
        }
    }

    /// An earlier build wrote addresses as they were: their users and passwords leave the state.
    pub(crate) async fn clean_recorded_proxies(&self) {
        let recorded = self.read(|state| state.environment.proxies.clone());
        if part(&recorded).secret.is_empty() {
            return;
        }
        if let Err(error) = self.record_environment(None, Some(recorded)).await {
            tracing::warn!(%error, "a proxy's password is still in the state");
        }
    }
}

/// No scheme that anybody speaks.
const UNUSABLE: &str = "unusable://proxy";
const AGAIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_passwords_are_taken_out_of_addresses_and_nothing_else_is() {
        for (given, clear) in [
            ("http://proxy.corp:3128", "http://proxy.corp:3128"),
            ("proxy.corp:3128", "proxy.corp:3128"),
            ("", ""),
            ("http://ana:s3cret@proxy.corp:3128", "http://proxy.corp:3128/"),
            ("ana:s3cret@proxy.corp:3128", "http://proxy.corp:3128/"),
            ("http://ana@proxy.corp", "http://proxy.corp/"),
            ("http://ana:p@ss:w/rd@proxy.corp", UNUSABLE),
            ("http://ana:s3cret@", UNUSABLE),
            ("socks5://ana:s3cret@proxy.corp:1080", "socks5://proxy.corp:1080"),
        ] {
            let shown = without_user(given);
            assert!(!shown.contains("s3cret") && !shown.contains("p@ss"), "{shown}");
            if clear != UNUSABLE || !shown.contains("ana") {
                assert_eq!(shown.trim_end_matches('/'), clear.trim_end_matches('/'), "{given}");
            }
        }
    }

    #[test]
    fn exceptions_are_no_secret_and_what_has_no_user_is_kept_as_it_is() {
        let proxies = Proxies::from([
            ("https_proxy".to_owned(), "http://u:p@a:1".to_owned()),
            ("all_proxy".to_owned(), "b:2".to_owned()),
            ("no_proxy".to_owned(), "x@y".to_owned()),
        ]);
        let Parted { clear, secret } = part(&proxies);
        assert_eq!(secret.keys().collect::<Vec<_>>(), ["https_proxy"]);
        assert_eq!((clear["all_proxy"].as_str(), clear["no_proxy"].as_str()), ("b:2", "x@y"));
        assert_eq!(part(&clear), Parted { clear: clear.clone(), secret: Proxies::new() });
    }
}
