//! The benchmark of `docs/performance.md`. `cargo xtask bench` builds what it needs and starts it.
//!
//! ```text
//! bench --hallpass PATH --floor PATH [--peers DIR] [--windows DIR] [--only GROUP]... [--rounds N] [--page docs/performance.md]
//! ```

mod desk;
mod direct;
mod groups;
mod host;
mod pin;
mod proc;
mod rows;
mod screen;
mod server;
mod stats;
mod table;
mod tls;
mod world;

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use crate::groups::{GROUPS, Run};
use crate::stats::Figures;
use crate::world::{Programs, Windows, World};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((verb, rest)) if verb == "browser" => browser(rest),
        Some((verb, rest)) if verb == "stand-in" => groups::stand_in(rest).map_err(Into::into),
        _ => Options::parse(&arguments).map_err(Into::into).and_then(|options| measure(&options)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Options {
    hallpass: PathBuf,
    floor: PathBuf,
    peers: Option<PathBuf>,
    windows: Option<PathBuf>,
    only: Vec<String>,
    rounds: usize,
    page: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self { rounds: 3, ..Self::default() };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            match word.as_str() {
                "--hallpass" => options.hallpass = value.into(),
                "--floor" => options.floor = value.into(),
                "--peers" => options.peers = Some(value.into()),
                "--windows" => options.windows = Some(value.into()),
                "--only" => options.only.push(value.clone()),
                "--rounds" => options.rounds = value.parse().map_err(|_| format!("--rounds {value}"))?,
                "--page" => options.page = Some(value.into()),
                other => return Err(format!("{other} is no option")),
            }
        }
        if let Some(unknown) = options.only.iter().find(|name| !GROUPS.iter().any(|(group, _)| group == name))
        {
            let known: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).collect();
            return Err(format!("there is no group {unknown}, but {}", known.join(", ")));
        }
        Ok(options)
    }
}

fn measure(options: &Options) -> Result<(), Box<dyn Error>> {
    let load_before = proc::load();
    let began = Instant::now();
    let world = World::new(Programs {
        hallpass: options.hallpass.clone(),
        floor: options.floor.clone(),
        peers: options.peers.clone(),
        desktop: options.windows.as_ref().map(|folder| Windows {
            hallpass: folder.join("hallpass-desktop"),
            bare: folder.join("bare-window"),
        }),
    })?;
    let mut run = Run { world: &world, figures: Figures::default(), rounds: options.rounds };
    for (name, group) in GROUPS {
        if options.only.is_empty() || options.only.iter().any(|only| only == name) {
            say(&format!("measuring {name} (load {})", proc::load()));
            group(&mut run);
        }
    }
    let about = format!(
        "Measured {} on {}; load of the last minute {load_before} before and {} after; medians of {} rounds, {} s in all.",
        today(),
        proc::machine(),
        proc::load(),
        options.rounds,
        began.elapsed().as_secs(),
    );
    for (name, text) in
        [("bridge", table::markdown(&run.figures, &about)), ("window", table::windows(&run.figures))]
    {
        say(&text);
        // A part of the rows does not replace all of them.
        if let (Some(page), true) = (&options.page, options.only.is_empty()) {
            table::put(page, name, &text)?;
            say(&format!("written to {}", page.display()));
        }
    }
    Ok(())
}

/// What `hallpass login` opens: ana, who says yes.
fn browser(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [_as, person, url] = arguments else { return Err("browser --as NAME URL".into()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let decision = testbed::browser::Decision::Allow;
    runtime.block_on(testbed::browser::sign_in(url, person, decision))?;
    Ok(())
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The date, UTC, as `date` gives it.
fn today() -> String {
    let said = std::process::Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]).output();
    said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned()).unwrap_or_default()
}
