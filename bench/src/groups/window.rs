//! The window and the tray, beside the least that Tauri can do.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Run, float};
use crate::desk::Desk;
use crate::proc;
use crate::world::{BARE, HALLPASS};

const ROWS: [&str; 8] = [
    "window_ms",
    "window_no_agent_ms",
    "tray_ms",
    "tray_no_agent_ms",
    "window_pss_mib",
    "closed_pss_mib",
    "web_left",
    "tray_pss_mib",
];
/// Starts a round, of each kind.
const STARTS: usize = 5;
/// What a program does after its start or after its window was closed is over by then.
const SETTLED: Duration = Duration::from_secs(3);
/// Processes of a window that was closed end within this time, or are said to stay.
const LEAVING: Duration = Duration::from_secs(30);

pub(super) fn measure(run: &mut Run<'_>) {
    run.attempt(&ROWS, HALLPASS, |run| measured(run).map_err(|error| io::Error::other(error.to_string())));
}

fn measured(run: &mut Run<'_>) -> Result<(), Box<dyn Error>> {
    let Some(desktop) = run.world.programs.desktop.clone() else {
        return Err("left out (`--no-window`)".into());
    };
    let mut desk = Desk::new(&run.world.sandbox)?;
    let programs = [(BARE, desktop.bare.as_path()), (HALLPASS, desktop.hallpass.as_path())];
    // Once for nothing: fonts, caches, the first picture of a fresh home.
    for (_, program) in programs {
        opened(&mut desk, program)?;
    }
    for _ in 0..run.rounds {
        for _ in 0..STARTS {
            for (contender, program) in programs {
                run.figures.add("window_ms", contender, opened(&mut desk, program)?);
                run.figures.add("tray_ms", contender, registered(&desk, program)?);
            }
            run.world.hallpass(&["agent", "stop"])?;
            run.figures.add("window_no_agent_ms", HALLPASS, opened(&mut desk, &desktop.hallpass)?);
            run.world.hallpass(&["agent", "stop"])?;
            run.figures.add("tray_no_agent_ms", HALLPASS, registered(&desk, &desktop.hallpass)?);
        }
        for (contender, program) in programs {
            memory(run, &mut desk, contender, program)?;
        }
    }
    for (contender, programs) in
        [(BARE, vec![&desktop.bare]), (HALLPASS, vec![&desktop.hallpass, &run.world.programs.hallpass])]
    {
        run.figures.add("size_mb", contender, megabytes(&programs)?);
    }
    Ok(())
}

/// Milliseconds until the window can be used. It is ended afterwards.
fn opened(desk: &mut Desk<'_>, program: &Path) -> io::Result<f64> {
    let began = Instant::now();
    let app = desk.start(program, &[])?;
    let usable = desk.usable(began)?;
    app.end()?;
    desk.emptied()?;
    Ok(usable)
}

/// Milliseconds until the icon of a start without a window is there. It is ended afterwards.
fn registered(desk: &Desk<'_>, program: &Path) -> io::Result<f64> {
    let began = Instant::now();
    let app = desk.start(program, &["--hidden"])?;
    let there = desk.icon(began)?;
    app.end()?;
    Ok(there)
}

/// What it takes with its window open, after that was closed, and where none was ever opened.
fn memory(
    run: &mut Run<'_>,
    desk: &mut Desk<'_>,
    contender: &'static str,
    program: &Path,
) -> Result<(), Box<dyn Error>> {
    let app = desk.start(program, &[])?;
    desk.usable(Instant::now())?;
    std::thread::sleep(SETTLED);
    if web_processes(app.pid()) == 0 {
        return Err(format!("{contender}: no web process is seen with the window open").into());
    }
    run.figures.add("window_pss_mib", contender, proc::pss(app.pid()));
    desk.close_window()?;
    let closed = Instant::now();
    while web_processes(app.pid()) > 0 && closed.elapsed() < LEAVING {
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(SETTLED);
    if !app.runs() {
        return Err(format!("{contender} ended with its window").into());
    }
    run.figures.add("web_left", contender, float(web_processes(app.pid())));
    run.figures.add("closed_pss_mib", contender, proc::pss(app.pid()));
    app.end()?;
    let app = desk.start(program, &["--hidden"])?;
    desk.icon(Instant::now())?;
    std::thread::sleep(SETTLED);
    run.figures.add("tray_pss_mib", contender, proc::pss(app.pid()));
    app.end()?;
    Ok(())
}

/// The processes below this one that show pages.
fn web_processes(pid: u32) -> usize {
    let is_web = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("WebKitWeb"))
    };
    proc::tree(pid).iter().filter(|pid| is_web(pid)).count()
}

fn megabytes(programs: &[&PathBuf]) -> io::Result<f64> {
    let mut bytes = 0;
    for program in programs {
        bytes += std::fs::metadata(program)?.len();
    }
    Ok(f64::from(u32::try_from(bytes / 1000).map_err(io::Error::other)?) / 1000.0)
}
