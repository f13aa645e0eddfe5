//! The table of ClientApps: a new one is a row here, an entry shape and a sample file.

use model::{ClientAppId, PickUp};
use platform::Os;

/// A program whose configuration we rewrite.
#[derive(Debug)]
pub struct ClientApp {
    /// The text of its [`ClientAppId`].
    pub id: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// The member of the root object that holds its entries.
    pub root_key: &'static str,
    /// What its parser accepts.
    pub syntax: Syntax,
    /// When it sees a change.
    pub pick_up: PickUp,
    /// Where its files lie.
    pub(crate) places: &'static [Place],
    /// How its processes are told from others.
    pub processes: &'static [ProcessMark],
}

/// What an app's parser accepts beyond RFC 8259.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syntax {
    /// `//` and `/* */`.
    pub comments: bool,
    /// A comma after the last member or element.
    pub trailing_commas: bool,
    /// A byte order mark at the start.
    pub bom: bool,
}

/// Something that the full path of a process' executable shows on one system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessMark {
    /// On which system.
    pub os: Os,
    /// What the path shows.
    pub mark: Mark,
}

/// Part of an executable's path, with `/` between its parts; case counts except on Windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The path contains this.
    Contains(&'static str),
    /// The path ends so.
    EndsWith(&'static str),
}

/// Where a file of an app may lie.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) os: Os,
    pub(crate) base: Base,
    /// Below the base.
    pub(crate) path: &'static [&'static str],
    /// Why there, for people.
    pub(crate) reason: &'static str,
    /// Reported only where its folder exists: other installs of the same app.
    pub(crate) presence: Presence,
}

/// What a [`Place`] starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    Home,
    AppData,
    /// Each folder of `%LOCALAPPDATA%\Packages` whose name starts so.
    Package(&'static str),
    XdgConfig,
    /// The project that was handed in, if one was.
    Project,
}

/// When a [`Place`] is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Always,
    IfFolderExists,
}

impl ClientApp {
    /// The app with this id, if it is one that we know.
    pub fn by_id(id: &ClientAppId) -> Option<&'static Self> {
        CLIENT_APPS.iter().find(|app| app.id == id.as_str())
    }

    /// Its id.
    pub fn app_id(&self) -> ClientAppId {
        ClientAppId::parse(self.id).expect("the ids of the table are checked by a test")
    }

    /// Whether a process with this executable belongs to the app. By full path: the command line tool of
    /// Claude Code has the name of Claude Desktop's executable.
    pub fn owns_process(&self, os: Os, executable: &str) -> bool {
        let path = match os {
            Os::Windows => executable.replace('\\', "/").to_lowercase(),
            Os::Linux | Os::MacOs => executable.trim_end_matches(" (deleted)").to_owned(),
        };
        self.processes.iter().filter(|p| p.os == os).any(|p| match p.mark {
            Mark::Contains(part) => path.contains(part),
            Mark::EndsWith(end) => path.ends_with(end),
        })
    }
}

/// Every app that we know.
pub static CLIENT_APPS: &[ClientApp] = &[
    ClientApp {
        id: "claude-desktop",
        name: "Claude Desktop",
        root_key: "mcpServers",
        syntax: Syntax { comments: false, trailing_commas: false, bom: false },
        pick_up: PickUp::AtStart,
        places: &[
            Place {
                os: Os::Windows,
                base: Base::Package("Claude_"),
                path: &["LocalCache", "Roaming", "Claude", CLAUDE_FILE],
                reason: "the packaged app (Microsoft Store or claude.ai download) reads this private copy",
                presence: Presence::Always,
            },
            Place {
                os: Os::Windows,
                base: Base::AppData,
                path: &["Claude", CLAUDE_FILE],
                reason: "the app from the older installer reads this",
                presence: Presence::Always,
            },
            Place {
                os: Os::Windows,
                base: Base::AppData,
                path: &["Claude-3p", CLAUDE_FILE],
                reason: "the build for third-party inference reads this",
                presence: Presence::IfFolderExists,
            },
            Place {
                os: Os::MacOs,
                base: Base::Home,
                path: &["Library", "Application Support", "Claude", CLAUDE_FILE],
                reason: "the app reads this",
                presence: Presence::Always,
            },
            Place {
                os: Os::MacOs,
                base: Base::Home,
                path: &["Library", "Application Support", "Claude-3p", CLAUDE_FILE],
                reason: "the build for third-party inference reads this",
                presence: Presence::IfFolderExists,
            },
            Place {
                os: Os::Linux,
                base: Base::XdgConfig,
                path: &["Claude", CLAUDE_FILE],
                reason: "the app reads this",
                presence: Presence::Always,
            },
            Place {
                os: Os::Linux,
                base: Base::XdgConfig,
                path: &["Claude-3p", CLAUDE_FILE],
                reason: "the build for third-party inference reads this",
                presence: Presence::IfFolderExists,
            },
            Place {
                os: Os::Linux,
                base: Base::Home,
                path: &[".config", "Claude", CLAUDE_FILE],
                reason: "an app started without XDG_CONFIG_HOME reads this",
                presence: Presence::IfFolderExists,
            },
        ],
        processes: &[
            ProcessMark { os: Os::MacOs, mark: Mark::Contains("/Claude.app/Contents/") },
            ProcessMark { os: Os::Windows, mark: Mark::Contains("/windowsapps/claude_") },
            ProcessMark { os: Os::Windows, mark: Mark::Contains("/anthropicclaude/") },
            ProcessMark { os: Os::Linux, mark: Mark::Contains("/claude-desktop/") },
            ProcessMark { os: Os::Linux, mark: Mark::Contains("/claude-desktop-unofficial/") },
            ProcessMark { os: Os::Linux, mark: Mark::EndsWith("/claude-desktop") },
        ],
    },
    ClientApp {
        id: "cursor",
        name: "Cursor",
        root_key: "mcpServers",
        syntax: Syntax { comments: true, trailing_commas: true, bom: true },
        pick_up: PickUp::Watches,
        places: &[
            Place {
                os: Os::Windows,
                base: Base::Home,
                path: &[".cursor", CURSOR_FILE],
                reason: "the app reads this for every project",
                presence: Presence::Always,
            },
            Place {
                os: Os::MacOs,
                base: Base::Home,
                path: &[".cursor", CURSOR_FILE],
                reason: "the app reads this for every project",
                presence: Presence::Always,
            },
            Place {
                os: Os::Linux,
                base: Base::Home,
                path: &[".cursor", CURSOR_FILE],
                reason: "the app reads this for every project",
                presence: Presence::Always,
            },
            Place {
                os: Os::Windows,
                base: Base::Project,
                path: &[".cursor", CURSOR_FILE],
                reason: PROJECT,
                presence: Presence::IfFolderExists,
            },
            Place {
                os: Os::MacOs,
                base: Base::Project,
                path: &[".cursor", CURSOR_FILE],
                reason: PROJECT,
                presence: Presence::IfFolderExists,
            },
            Place {
                os: Os::Linux,
                base: Base::Project,
                path: &[".cursor", CURSOR_FILE],
                reason: PROJECT,
                presence: Presence::IfFolderExists,
            },
        ],
        processes: &[
            ProcessMark { os: Os::MacOs, mark: Mark::Contains("/Cursor.app/Contents/") },
            ProcessMark { os: Os::Windows, mark: Mark::EndsWith("/cursor/cursor.exe") },
            ProcessMark { os: Os::Linux, mark: Mark::EndsWith("/cursor/cursor") },
            ProcessMark { os: Os::Linux, mark: Mark::EndsWith("/Cursor/cursor") },
            ProcessMark { os: Os::Linux, mark: Mark::EndsWith("/bin/cursor") },
        ],
    },
];

const CLAUDE_FILE: &str = "claude_desktop_config.json";
const CURSOR_FILE: &str = "mcp.json";
const PROJECT: &str = "the app merges this over the global file in one project; it is shared with colleagues";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_can_be_found_by_its_id() {
        for app in CLIENT_APPS {
            assert_eq!(ClientApp::by_id(&app.app_id()).unwrap().name, app.name);
            for os in Os::ALL {
                assert!(app.places.iter().any(|p| p.os == os), "{} has no place on {os}", app.name);
                assert!(app.processes.iter().any(|p| p.os == os), "{} has no process on {os}", app.name);
            }
        }
    }

    #[test]
    fn processes_are_told_by_their_full_path() {
        let claude = &CLIENT_APPS[0];
        let cursor = &CLIENT_APPS[1];
        for (os, path) in [
            (Os::MacOs, "/Applications/Claude.app/Contents/MacOS/Claude"),
            (
                Os::MacOs,
                "/Applications/Claude.app/Contents/Frameworks/Claude Helper.app/Contents/MacOS/Claude Helper",
            ),
            (Os::Windows, r"C:\Program Files\WindowsApps\Claude_1.1.0.0_x64__pzs8sxrjxfjjc\app\Claude.exe"),
            (Os::Windows, r"C:\Users\ana\AppData\Local\AnthropicClaude\app-1.0.0\claude.exe"),
            (Os::Linux, "/usr/lib/claude-desktop/claude-desktop"),
            (Os::Linux, "/usr/bin/claude-desktop (deleted)"),
        ] {
            assert!(claude.owns_process(os, path), "{path}");
            assert!(!cursor.owns_process(os, path), "{path}");
        }
        for (os, path) in [
            (Os::Windows, r"C:\Users\ana\.local\bin\claude.exe"),
            (Os::Linux, "/home/ana/.local/bin/claude"),
            (Os::Linux, "/Applications/Claude.app/Contents/MacOS/Claude"),
            (Os::MacOs, "/opt/homebrew/bin/claude"),
        ] {
            assert!(!claude.owns_process(os, path), "{path}");
        }
        assert!(cursor.owns_process(Os::Windows, r"C:\Users\ana\AppData\Local\Programs\cursor\Cursor.exe"));
        assert!(cursor.owns_process(Os::Linux, "/usr/share/cursor/cursor"));
        assert!(!cursor.owns_process(Os::Linux, "/usr/bin/precursor"));
    }
}
