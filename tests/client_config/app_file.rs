//! Two apps' files as people have them, and what is looked up in them.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::World;

pub(super) const CLAUDE: &str = "claude-desktop";
pub(super) const CURSOR: &str = "cursor";

/// Made-up tokens in the form of common ones; each kind of entry has its own.
pub(super) const HEADER_TOKEN: &str = "ghp_headerQ7xK2mV9tR4wZ8bN1cJ5hL3pS6dF0g";
pub(super) const URL_TOKEN: &str = "tok9f3b7c1d5e8a2046b7d9url";
pub(super) const ARGV_TOKEN: &str = "argv-7Kq2Vx9Rw4Zb1Nc5Hj3Lp6Sd0Fg8Ym";
pub(super) const ENV_TOKEN: &str = "ghp_localQ7xK2mV9tR4wZ8bN1cJ5hL3pS6dF0gY";
pub(super) const OPEN_TOKEN: &str = "ghp_openQ7xK2mV9tR4wZ8bN1cJ5hL3pS6dF0gYa";
pub(super) const UNKNOWN_HEADER: &str = "acme-west";

/// One app's file in a world.
pub(super) struct AppFile {
    pub(super) path: PathBuf,
}

impl AppFile {
    /// Where the app looks, as after its first start: the folder is there, the file is not yet.
    pub(super) fn of(world: &World, app: &str) -> Self {
        let below = match app {
            CLAUDE => ".config/Claude/claude_desktop_config.json",
            CURSOR => ".cursor/mcp.json",
            other => panic!("{other} is no app of these journeys"),
        };
        let path = world.sandbox.home().join(below);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder of ours");
        Self { path }
    }

    /// With this text in it.
    pub(super) fn with(world: &World, app: &str, text: &str) -> Self {
        let file = Self::of(world, app);
        file.write(text);
        file
    }

    pub(super) fn write(&self, text: &str) {
        std::fs::write(&self.path, text).expect("a file of ours");
    }

    pub(super) fn text(&self) -> String {
        std::fs::read_to_string(&self.path).expect("it is there and is UTF-8")
    }

    /// An entry of a file without comments.
    #[track_caller]
    pub(super) fn entry(&self, name: &str) -> Value {
        let text = self.text();
        let whole: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        whole["mcpServers"][name].clone()
    }

    /// The command of an entry, started as hosts do: with next to no environment.
    pub(super) fn command(&self, world: &World, name: &str) -> Command {
        let entry = self.entry(name);
        let mut command = world.sandbox.bare_command(entry["command"].as_str().expect("a command"));
        let args = entry["args"].as_array().expect("arguments").iter();
        command.args(args.map(|arg| arg.as_str().expect("text")));
        command
    }
}

/// Every kind of entry: five that call the servers at these two addresses, and two local commands.
pub(super) fn all_kinds(world: &World, open: &str) -> String {
    let endpoint = world.server.endpoint();
    format!(
        r#"{{
  "theme": "dark",
  "mcpServers": {{
    "by-header": {{ "url": "{endpoint}", "headers": {{ "Authorization": "Bearer {HEADER_TOKEN}" }} }},
    "by-url": {{ "url": "{endpoint}?token={URL_TOKEN}" }},
    "by-remote": {{
      "command": "npx",
      "args": ["-y", "mcp-remote", "{endpoint}", "--header", "Authorization: Bearer {ARGV_TOKEN}"]
    }},
    "offers-none": {{ "url": "{open}", "headers": {{ "Authorization": "Bearer {OPEN_TOKEN}" }} }},
    "odd-header": {{ "url": "{endpoint}", "headers": {{ "X-Region-Hint": "{UNKNOWN_HEADER}" }} }},
    "local-secret": {{ "command": "npx", "args": ["-y", "some-server"], "env": {{ "GITHUB_TOKEN": "{ENV_TOKEN}" }} }},
    "local": {{ "command": "uvx", "args": ["mcp-server-time"] }}
  }}
}}
"#
    )
}

/// One entry with a token in a header.
pub(super) fn one_header(world: &World) -> String {
    let endpoint = world.server.endpoint();
    format!(
        r#"{{ "mcpServers": {{ "tracker": {{ "url": "{endpoint}", "headers": {{ "Authorization": "Bearer {HEADER_TOKEN}" }} }} }} }}"#
    )
}

/// The planned entry with this name in a plan.
#[track_caller]
pub(super) fn planned<'a>(plan: &'a Value, name: &str) -> &'a Value {
    let entries = plan["entries"].as_array().expect("a plan has entries");
    entries.iter().find(|entry| entry["name"] == name).unwrap_or_else(|| panic!("no {name} in {plan}"))
}
