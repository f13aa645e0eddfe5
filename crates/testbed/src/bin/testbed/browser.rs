//! `testbed browser`: signs in at the given address without a display.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write as _;

use testbed::browser::{Browser, Decision};
use url::Url;

/// Names hosts alone in its words and its log: the final address may hold a code.
pub(crate) async fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let (mut person, mut decision, mut log, mut url) = (None, Decision::Allow, None, None);
    let mut browser = Browser::new();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--as" => person = arguments.next(),
            "--deny" => decision = Decision::Deny,
            "--ca" => {
                let file = arguments.next().ok_or("browser: --ca wants a file")?;
                browser = Browser::trusting(&std::fs::read_to_string(file)?);
            }
            "--log" => log = arguments.next(),
            _ => url = Some(argument),
        }
    }
    let person = person.ok_or("browser: who signs in? add --as NAME")?;
    let url = url.ok_or("browser: no address was given")?;
    let page = browser.sign_in(&Url::parse(&url)?, &person, decision).await?;
    if let Some(log) = log {
        let mut file = OpenOptions::new().create(true).append(true).open(log)?;
        for host in &page.visited {
            writeln!(file, "{host}")?;
        }
    }
    if page.status >= 400 {
        return Err(format!("browser: ended at {} with status {}", page.url.authority(), page.status).into());
    }
    Ok(())
}
