//! Keychain items that nothing names any more: deleted as soon as the keychain can be used.

use crate::agent::Agent;

impl Agent {
    /// Deletes what can be deleted. What is left stays noted, and is tried again, by the next agent too.
    pub(crate) async fn delete_discarded(&self) {
        for item in self.read(model::State::disposable) {
            let deleted = match self.keychain().await {
                Ok(keychain) => keychain.delete_secret(&item).await,
                Err(error) => Err(error),
            };
            if let Err(error) = deleted {
                tracing::info!(%error, "a discarded keychain item is deleted later");
                return;
            }
            if let Err(error) = self.change(|state| state.discarded.retain(|one| one.item != item)) {
                tracing::warn!(%error, "a deleted keychain item is still noted");
            }
        }
    }
}
