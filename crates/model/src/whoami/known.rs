//! Servers whose whoami tool is known, each read off the code of the server itself.

use super::WhoamiTool;
use crate::Endpoint;

/// A server whose tool names the signed-in person. `field` is one that never changes and is never given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownWhoami {
    /// The host that it is reached at, exact.
    pub host: &'static str,
    /// The tool.
    pub tool: &'static str,
    /// Where in its answer the person stands.
    pub field: &'static str,
    /// Where in its answer a name for eyes stands.
    pub label: &'static str,
    /// Where that was read: repository, path, commit.
    pub source: &'static str,
    /// When.
    pub read_on: &'static str,
}

impl KnownWhoami {
    /// The one of this endpoint.
    pub fn of(endpoint: &Endpoint) -> Option<&'static Self> {
        let url = endpoint.url();
        let host = url.host_str().filter(|_| url.scheme() == "https" && url.port().is_none())?;
        KNOWN.iter().find(|known| known.host == host)
    }

    /// Tool and field.
    pub fn whoami(&self) -> WhoamiTool {
        WhoamiTool { tool: self.tool.to_owned(), field: Some(self.field.to_owned()) }
    }

    /// All of them.
    pub fn all() -> &'static [Self] {
        KNOWN
    }
}

/// Left out on purpose: tools that answer prose (Sentry's `whoami`), name the app's own bot instead of the person
/// (Notion's `notion-get-self`), or whose answer was not to be read in a public source (Atlassian's
/// `atlassianUserInfo`). A person may still name one when they add the server.
const KNOWN: &[KnownWhoami] = &[
    KnownWhoami {
        host: "api.githubcopilot.com",
        tool: "get_me",
        field: "id",
        label: "login",
        source: "github/github-mcp-server pkg/github/context_tools.go @031c7ee",
        read_on: "2026-11-22",
    },
    KnownWhoami {
        host: "mcp.buildkite.com",
        tool: "current_user",
        field: "id",
        label: "email",
        source: "buildkite/buildkite-mcp-server pkg/buildkite/user.go @11231d4, user_test.go @45d929d",
        read_on: "2026-11-22",
    },
    KnownWhoami {
        host: "mcp.pagerduty.com",
        tool: "get_user_data",
        field: "id",
        label: "email",
        source: "PagerDuty/pagerduty-mcp-server pagerduty_mcp/tools/users.py, models/users.py @103491f",
        read_on: "2026-11-22",
    },
    KnownWhoami {
        host: "mcp.eu.pagerduty.com",
        tool: "get_user_data",
        field: "id",
        label: "email",
        source: "PagerDuty/pagerduty-mcp-server pagerduty_mcp/tools/users.py, models/users.py @103491f",
        read_on: "2026-11-22",
    },
    KnownWhoami {
        host: "ai.todoist.net",
        tool: "user-info",
        field: "userId",
        label: "email",
        source: "Doist/todoist-ai src/tools/user-info.ts @3288205, README.md @185ae85",
        read_on: "2026-11-22",
    },
];
