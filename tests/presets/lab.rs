//! An administrator with a key and a web server, and people who follow the list.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::PathBuf;

use serde_json::{Value, json};
use testbed::authority::{Authority, Certificate};
use testbed::authorization_server::AuthorizationServer;
use testbed::file_server::{FileServer, Page};
use testbed::mcp_server::{Eras, McpServer};

use crate::support::{Ran, World};

/// The list's own id.
pub(crate) const LIST: &str = "com.acme/tools";
/// Its title.
pub(crate) const TITLE: &str = "Acme tools";
/// Where it is published.
pub(crate) const PATH: &str = "/acme.mcpreset";

/// Everything behind one private authority: issuer, server, and the administrator's web server.
pub(crate) struct Lab {
    pub(crate) world: World,
    pub(crate) authority: Authority,
    pub(crate) issuer: AuthorizationServer,
    pub(crate) server: McpServer,
    pub(crate) files: FileServer,
    /// The publisher's public key.
    pub(crate) key: String,
    /// The publisher's secret key, for files that our own `sign` would refuse.
    pub(crate) secret: preset::SecretKey,
    desk: PathBuf,
}

impl Lab {
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        let authority = Authority::new("Acme Internal CA");
        let good = authority.identify(Certificate::Good);
        let issuer = AuthorizationServer::start_tls(&good).await.unwrap();
        let server = McpServer::protected_tls(issuer.handle(), &good, Eras::Both).await.unwrap();
        let files = FileServer::start_tls(&good).await.unwrap();
        let desk = world.sandbox.home().join("desk");
        std::fs::create_dir(&desk).unwrap();
        let key_file = desk.join("list.key");
        let args = ["presets", "keygen", "--no-password", "--json", "--out", &key_file.display().to_string()];
        world.run(&args).await.ok();
        let text = model::Secret::new(std::fs::read_to_string(&key_file).unwrap());
        let secret = preset::SecretKey::open(&text, None).unwrap();
        let key = secret.public().unwrap().to_string();
        let lab = Self { world, authority, issuer, server, files, key, secret, desk };
        lab.give_authority(&lab.world);
        lab
    }

    /// Puts the authority's certificate into somebody's home; the path.
    pub(crate) fn give_authority(&self, world: &World) -> String {
        let path = world.sandbox.home().join("acme.pem");
        std::fs::write(&path, self.authority.pem()).unwrap();
        path.display().to_string()
    }

    /// Another server behind the same issuer.
    pub(crate) async fn another_server(&self) -> McpServer {
        let good = self.authority.identify(Certificate::Good);
        McpServer::protected_tls(self.issuer.handle(), &good, Eras::Both).await.unwrap()
    }

    /// A list with one server, which names the lab's.
    pub(crate) fn list(&self, serial: u64) -> Value {
        self.list_of(serial, &[self.entry(&self.server.endpoint())])
    }

    /// A list with these entries.
    #[expect(clippy::unused_self, reason = "the lab's list")]
    pub(crate) fn list_of(&self, serial: u64, entries: &[Value]) -> Value {
        json!({
            "servers": entries,
            "metadata": {"count": entries.len()},
            "_meta": {"dev.hallpass/list": {
                "id": LIST, "title": TITLE, "serial": serial, "issued": "2026-01-01T00:00:00Z",
                "expires": "2099-01-01T00:00:00Z", "contact": "it@acme.example",
            }},
        })
    }

    /// The entry `com.acme/tickets` at an endpoint.
    pub(crate) fn entry(&self, endpoint: &str) -> Value {
        json!({
            "server": {
                "name": "com.acme/tickets", "title": "Acme Tickets", "description": "Issue tracker",
                "version": "1.0.0", "remotes": [{"type": "streamable-http", "url": endpoint}],
            },
            "_meta": {"dev.hallpass/server": {"oauth": {"issuer": self.issuer.issuer()}}},
        })
    }

    /// Signs a list with our own command, and publishes both files.
    pub(crate) async fn publish(&self, list: &Value) {
        let file = self.desk.join("acme.mcpreset");
        let path = file.display().to_string();
        std::fs::write(&file, serde_json::to_vec_pretty(list).unwrap()).unwrap();
        let key = self.desk.join("list.key").display().to_string();
        self.world.run(&["presets", "lint", &path]).await.ok();
        self.world.run(&["presets", "sign", &path, "--key", &key]).await.ok();
        self.files.put(PATH, Page::json(std::fs::read(&file).unwrap()));
        let signature = self.desk.join("acme.mcpreset.minisig");
        self.files.put(&format!("{PATH}.minisig"), Page::text(std::fs::read(signature).unwrap()));
    }

    /// Publishes whatever bytes these are, with a signature of the publisher's that holds.
    pub(crate) fn publish_bytes(&self, bytes: &[u8]) {
        self.files.put(PATH, Page::json(bytes));
        let signature = self.secret.sign(bytes, "signed").unwrap();
        self.files.put(&format!("{PATH}.minisig"), Page::text(signature));
    }

    /// `presets subscribe` in somebody's home, with key and authority.
    pub(crate) async fn subscribe(&self, world: &World, more: &[&str]) -> Ran {
        let (url, ca) = (self.files.url(PATH), self.give_authority(world));
        let mut args = vec!["presets", "subscribe", &url, "--key", &self.key, "--ca", &ca];
        args.extend(more);
        world.run(&args).await
    }

    /// `presets update` of the list.
    pub(crate) async fn update(&self, world: &World, more: &[&str]) -> Ran {
        let mut args = vec!["presets", "update", LIST];
        args.extend(more);
        world.run(&args).await
    }

    /// Signs somebody in at a server of the lab.
    pub(crate) async fn login(&self, world: &World, person: &str, server: &str) -> Ran {
        let ca = self.give_authority(world);
        world.login_with(&format!("--as {person} --ca {ca}"), &["login", server, "--yes"]).await
    }
}

/// The one list that is followed, as `presets list --json` shows it.
pub(crate) async fn followed(world: &World) -> Value {
    let listed = world.run(&["presets", "list", "--json"]).await.ok().json();
    assert_eq!(listed["presets"].as_array().map(Vec::len), Some(1), "{listed}");
    listed["presets"][0].clone()
}
