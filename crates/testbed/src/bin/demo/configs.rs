//! Two apps' configuration files as people have them: with somebody's token in plain text.

use std::path::PathBuf;

use serde_json::Value;

use crate::home::Home;
use crate::show::Reason;

/// One app's file.
pub(crate) struct Config {
    pub(crate) app: &'static str,
    pub(crate) path: PathBuf,
    /// The token that lies in it, of no use to anybody.
    pub(crate) token: String,
    original: Vec<u8>,
}

impl Config {
    /// Claude Desktop reaches a remote server through `mcp-remote`.
    pub(crate) fn claude_desktop(home: &Home, endpoint: &str) -> Result<Self, Reason> {
        let token = token("claude");
        let text = format!(
            "{{\n  \"globalShortcut\": \"Ctrl+Space\",\n  \"mcpServers\": {{\n    \"tickets\": {{\n      \
             \"command\": \"npx\",\n      \"args\": [\"-y\", \"mcp-remote\", \"{endpoint}\", \"--header\", \
             \"Authorization: Bearer {token}\"]\n    }}\n  }}\n}}\n"
        );
        Self::write("claude-desktop", home.path(".config/Claude/claude_desktop_config.json"), token, text)
    }

    /// Cursor names URL and headers itself, and takes comments.
    pub(crate) fn cursor(home: &Home, endpoint: &str) -> Result<Self, Reason> {
        let token = token("cursor");
        let text = format!(
            "{{\r\n\t// the team's tracker\r\n\t\"mcpServers\": {{\r\n\t\t\"tickets\": {{ \"url\": \"{endpoint}\", \
             \"headers\": {{ \"Authorization\": \"Bearer {token}\" }} }},\r\n\t}}\r\n}}"
        );
        Self::write("cursor", home.path(".cursor/mcp.json"), token, text)
    }

    fn write(app: &'static str, path: PathBuf, token: String, text: String) -> Result<Self, Reason> {
        let unwritable = |e| format!("{} cannot be written: {e}", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(unwritable)?;
        }
        let original = text.into_bytes();
        std::fs::write(&path, &original).map_err(unwritable)?;
        Ok(Self { app, path, token, original })
    }

    /// The file as it is now.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, Reason> {
        std::fs::read(&self.path).map_err(|e| format!("{} cannot be read: {e}", self.path.display()))
    }

    /// Byte for byte as it was before us.
    pub(crate) fn is_original(&self) -> Result<bool, Reason> {
        Ok(self.bytes()? == self.original)
    }

    /// The entry `tickets`, as the app would read it.
    pub(crate) fn entry(&self) -> Result<Value, Reason> {
        let text = String::from_utf8(self.bytes()?).map_err(|e| e.to_string())?;
        // The comment and the trailing comma are what Cursor accepts and this parser does not.
        let strict: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let strict = strict.replace("},\t}", "}\t}");
        let value: Value =
            serde_json::from_str(&strict).map_err(|e| format!("{}: {e}", self.path.display()))?;
        Ok(value["mcpServers"]["tickets"].clone())
    }
}

/// A made-up token in the form of a common one.
fn token(name: &str) -> String {
    format!("ghp_{name}{}", "Q7xK2mV9tR4wZ8bN1cJ5hL3pS6dF0gYaEu".get(name.len()..).unwrap_or_default())
}
