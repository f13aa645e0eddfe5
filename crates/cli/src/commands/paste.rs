//! What `servers add` was given: a URL, an install link, a command or a snippet, read by the agent.

use ipc::{Error, ErrorCode, PastedServerView, PastedView, Request, Response};

use super::unexpected;
use crate::link::Link;
use crate::output::Output;

/// Which of several servers are meant.
#[derive(Clone, Debug)]
pub(crate) enum Which {
    /// The only one.
    Only,
    /// The one of this name.
    Named(String),
    /// All that can be added.
    All,
}

/// The servers that a text names and that shall be added.
pub(crate) async fn choose(
    link: &mut Link,
    out: Output,
    text: &str,
    which: &Which,
) -> Result<Vec<PastedServerView>, Error> {
    let pasted = match link.ask(Request::ReadPaste { text: text.to_owned() }).await? {
        Response::Pasted(pasted) => *pasted,
        other => return Err(unexpected(&other)),
    };
    let chosen = pick(pasted, which)?;
    for one in &chosen {
        for secret in &one.secrets {
            out.notice(format!(
                "warning: a secret ({secret}) stood beside {} and was not kept; sign in instead, and replace it \
                 at its issuer, since it was in this command",
                one.label
            ));
        }
    }
    Ok(chosen)
}

fn pick(pasted: PastedView, which: &Which) -> Result<Vec<PastedServerView>, Error> {
    if let Some(problem) = pasted.problem {
        return Err(Error::new(ErrorCode::Usage, problem).hint("hallpass servers add --help shows examples"));
    }
    if let Some(list) = pasted.lists.first() {
        let key = list.key.as_ref().map_or_else(String::new, |key| format!(" --key {key}"));
        return Err(Error::new(ErrorCode::Usage, format!("this is a list of servers, {}", list.source))
            .hint(format!("run: hallpass presets subscribe {}{key}", list.source)));
    }
    let names: Vec<String> = pasted.servers.iter().map(|one| one.label.clone()).collect();
    let mut servers = pasted.servers;
    match which {
        Which::Only if servers.len() == 1 => {}
        Which::Only => {
            return Err(Error::new(
                ErrorCode::Usage,
                format!("{} names: {}", pasted.read_as, names.join(", ")),
            )
            .hint("say which with --name, or --all"));
        }
        Which::Named(name) => {
            servers.retain(|one| one.label == *name);
            if servers.is_empty() {
                let message = format!("{} does not name {name:?}", pasted.read_as);
                return Err(
                    Error::new(ErrorCode::NotFound, message).hint(format!("it names: {}", names.join(", ")))
                );
            }
        }
        Which::All => servers.retain(|one| one.problem.is_none() && one.server.is_none()),
    }
    match servers.iter().find_map(|one| one.problem.clone()) {
        Some(problem) => Err(Error::new(ErrorCode::Usage, problem)
            .hint("take the URL from the server's documentation: hallpass servers add https://…")),
        None if servers.is_empty() => {
            Err(Error::new(ErrorCode::Usage, "none of them can be added, or all are there already")
                .hint("hallpass servers list shows those that are there"))
        }
        None => Ok(servers),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn pasted(servers: &[(&str, Option<&str>)]) -> PastedView {
        let server = |(label, problem): &(&str, Option<&str>)| PastedServerView {
            label: (*label).to_owned(),
            url: problem.is_none().then(|| format!("https://{label}.example/mcp")),
            headers: BTreeMap::new(),
            secrets: Vec::new(),
            server: None,
            problem: problem.map(str::to_owned),
        };
        let servers = servers.iter().map(server).collect();
        PastedView { read_as: "a snippet".to_owned(), servers, ..PastedView::default() }
    }

    #[test]
    fn one_of_several_must_be_named() {
        let two = || pasted(&[("a", None), ("b", None), ("c", Some("local"))]);
        let labels = |found: Result<Vec<PastedServerView>, Error>| {
            found.map(|all| all.into_iter().map(|one| one.label).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(labels(pick(pasted(&[("a", None)]), &Which::Only)).unwrap(), "a");
        assert_eq!(labels(pick(two(), &Which::Named("b".into()))).unwrap(), "b");
        assert_eq!(labels(pick(two(), &Which::All)).unwrap(), "a b");
        let refused = pick(two(), &Which::Only).unwrap_err();
        assert!(refused.message.contains("a, b, c") && refused.hint.contains("--all"), "{refused:?}");
        assert_eq!(pick(two(), &Which::Named("x".into())).unwrap_err().code, ErrorCode::NotFound);
        assert_eq!(pick(two(), &Which::Named("c".into())).unwrap_err().message, "local");
        assert!(pick(pasted(&[("c", Some("local"))]), &Which::All).is_err());
    }
}
