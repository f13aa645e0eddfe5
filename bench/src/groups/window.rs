//! The window and the tray, beside the least that Tauri can do.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Run;
use crate::desk::Desk;
use crate::proc;
use crate::world::{BARE, HALLPASS};

const ROWS: [&str; 5] = ["window_ms", "tray_ms", "window_pss_mib", "tray_pss_mib", "web_left"];
/// A window has settled when its first picture was done so long ago, which `painted` has waited for, and this besides.
const SETTLED: Duration = Duration::from_secs(2);

pub(super) fn measure(run: &mut Run<'_>) {
    run.attempt(&ROWS, HALLPASS, |run| measured(run).map_err(|error| io::Error::other(error.to_string())));
}

fn measured(run: &mut Run<'_>) -> Result<(), Box<dyn Error>> {
    let Some(desktop) = run.world.programs.desktop.clone() else {
        return Err("left out (`--no-window`)".into());
    };
    let mut desk = Desk::new(&run.world.sandbox)?;
    let programs: [(&str, &Path, &str); 2] =
        [(BARE, &desktop.bare, "^Bare$"), (HALLPASS, &desktop.hallpass, "^Hallpass$")];
    // Once for nothing: fonts, caches, the first picture of a fresh home.
    for (_, program, _) in programs {
        opened(&mut desk, program)?;
    }
    for _ in 0..run.rounds {
        for _ in 0..STARTS {
            for (contender, program, _) in programs {
                run.figures.add("window_ms", contender, opened(&mut desk, program)?);
                let began = Instant::now();
                let app = desk.start(program, &["--hidden"])?;
                run.figures.add("tray_ms", contender, desk.icon(began)?);
                app.end()?;
            }
        }
        for (contender, program, title) in programs {
            let began = Instant::now();
            let app = desk.start(program, &[])?;
            desk.painted(began)?;
            std::thread::sleep(SETTLED);
            run.figures.add("window_pss_mib", contender, proc::pss(app.pid()));
            if contender == HALLPASS {
                desk.close_window(title)?;
                std::thread::sleep(SETTLED);
                run.figures.add("tray_pss_mib", contender, proc::pss(app.pid()));
                run.figures.add("web_left", contender, web_processes(app.pid()));
            }
            app.end()?;
            desk.screen.emptied(Duration::from_secs(30))?;
        }
        let app = desk.start(&desktop.bare, &["--hidden"])?;
        desk.icon(Instant::now())?;
        std::thread::sleep(SETTLED);
        run.figures.add("tray_pss_mib", BARE, proc::pss(app.pid()));
        app.end()?;
    }
    for (contender, programs) in
        [(BARE, vec![&desktop.bare]), (HALLPASS, vec![&desktop.hallpass, &run.world.programs.hallpass])]
    {
        run.figures.add("size_mb", contender, megabytes(&programs)?);
    }
    Ok(())
}

/// Milliseconds until the window is painted. It is ended afterwards.
fn opened(desk: &mut Desk<'_>, program: &Path) -> io::Result<f64> {
    let began = Instant::now();
    let app = desk.start(program, &[])?;
    let painted = desk.painted(began)?;
    app.end()?;
    desk.screen.emptied(Duration::from_secs(30))?;
    Ok(painted)
}

fn web_processes(pid: u32) -> f64 {
    let is_web = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("WebKitWeb"))
    };
    super::float(proc::tree(pid).iter().filter(|pid| is_web(pid)).count())
}

fn megabytes(programs: &[&PathBuf]) -> io::Result<f64> {
    let mut bytes = 0;
    for program in programs {
        bytes += std::fs::metadata(program)?.len();
    }
    Ok(f64::from(u32::try_from(bytes / 1000).map_err(io::Error::other)?) / 1000.0)
}

/// Starts a round, of each kind.
const STARTS: usize = 3;
