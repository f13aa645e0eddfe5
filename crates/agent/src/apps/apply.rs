//! Carries plans out: secrets into the keychain and read back, then the file, then what is left over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use client_config::{ApplyError, Done, Plan, RestorePlan, StoredItems};
use ipc::{Error, ErrorCode};
use model::{ItemId, Server};
use token_store::StaticSecret;

use super::unusable;
use crate::agent::Agent;
use crate::error;
use crate::servers::chain;

impl Agent {
    pub(super) async fn apply_connect(
        self: &Arc<Self>,
        plan: Plan,
        new_servers: Vec<Server>,
    ) -> Result<(), Error> {
        let items = self.keep_originals(&plan).await?;
        let added: Vec<_> = new_servers.iter().map(|s| s.id.clone()).collect();
        let change =
            self.change(|state| state.servers.extend(new_servers.into_iter().map(|s| (s.id.clone(), s))));
        if let Err(error) = change {
            self.forget_items(items.into_values().collect()).await;
            return Err(error::of_state(error));
        }
        let (journal, now, path) = (self.journal(), self.world.now(), plan.path().to_owned());
        let stored = items.clone();
        let applied =
            tokio::task::spawn_blocking(move || client_config::apply(&plan, &stored, &journal, now)).await;
        match applied {
            Ok(Ok(done)) => {
                self.forget_items(done.unneeded).await;
                Ok(())
            }
            Ok(Err(error)) => {
                if error.is_untouched() {
                    self.forget_items(items.into_values().collect()).await;
                    self.change(|state| added.iter().for_each(|id| drop(state.servers.remove(id))))
                        .map_err(error::of_state)?;
                }
                Err(of_apply(&path, &error))
            }
            Err(error) => Err(unusable(&path, &error)),
        }
    }

    pub(super) async fn apply_restore(self: &Arc<Self>, plan: RestorePlan) -> Result<(), Error> {
        let path = plan.path().to_owned();
        let mut secrets = BTreeMap::new();
        if !plan.items().is_empty() {
            let keychain = self.keychain().await.map_err(|e| error::of_store(&e))?;
            for item in plan.items() {
                if let Some(secret) = keychain.load_secret(item).await.map_err(|e| error::of_store(&e))? {
                    secrets.insert(item.clone(), secret.0);
                }
            }
        }
        let ready = plan.ready(&secrets).map_err(|e| unusable(&path, &e))?;
        let journal = self.journal();
        let applied =
            tokio::task::spawn_blocking(move || client_config::apply_restore(&ready, &journal)).await;
        match applied {
            Ok(Ok(Done { unneeded, .. })) => {
                self.forget_items(unneeded).await;
                Ok(())
            }
            Ok(Err(error)) => Err(of_apply(&path, &error)),
            Err(error) => Err(unusable(&path, &error)),
        }
    }

    /// Puts what the plan takes out of the file into the keychain, for undo only.
    async fn keep_originals(&self, plan: &Plan) -> Result<StoredItems, Error> {
        let mut items = StoredItems::new();
        for original in plan.originals() {
            let keychain = self.keychain().await.map_err(|e| error::of_store(&e))?;
            let item = self.world.item_id();
            let saved = keychain.save_secret(&item, &StaticSecret(original.cut.secret_text())).await;
            if let Err(error) = saved {
                self.forget_items(items.into_values().collect()).await;
                return Err(error::of_store(&error));
            }
            items.insert(original.name.clone(), item);
        }
        Ok(items)
    }

    async fn forget_items(&self, items: BTreeSet<ItemId>) {
        for item in items {
            let deleted = match self.keychain().await {
                Ok(keychain) => keychain.delete_secret(&item).await,
                Err(error) => Err(error),
            };
            if let Err(error) = deleted {
                tracing::warn!(%error, "a secret that nobody needs is still in the keychain");
            }
        }
    }
}

fn of_apply(path: &Path, error: &ApplyError) -> Error {
    let message = format!("{}: {}", path.display(), chain(error));
    if error.is_changed_meanwhile() {
        Error::new(ErrorCode::ChangedOutside, message)
            .hint("another program changed the file; look at the change again, then say yes to it")
    } else if error.is_untouched() {
        Error::new(ErrorCode::Failed, message)
            .hint("the file was not touched; mend what is named and try again")
    } else {
        Error::new(ErrorCode::Failed, message)
            .hint("look at the file; hallpass apps restore puts back what was there")
    }
}
