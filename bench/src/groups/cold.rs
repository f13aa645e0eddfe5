//! A start from disk, and a server with a thousand tools.

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Instant;

use super::{Run, float};
use crate::direct::Direct;
use crate::host::{Host, good};
use crate::stats::median;
use crate::world::{DIRECT, FLOOR, HALLPASS};

pub(super) fn measure(run: &mut Run<'_>) {
    run.attempt(&["cold_ms", "tools_ms"], HALLPASS, |run| {
        measured(run).map_err(|error| io::Error::other(error.to_string()))
    });
}

fn measured(run: &mut Run<'_>) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::Builder::new()
        .prefix("cold")
        .tempdir_in(run.world.programs.floor.parent().unwrap_or(Path::new(".")))?;
    let large = run.world.another_server("thousand", 1000)?;
    for _ in 0..run.rounds {
        for contender in [FLOOR, HALLPASS] {
            run.attempt(&["cold_ms"], contender, |run| cold(run, contender, folder.path()));
            run.attempt(&["tools_ms"], contender, |run| {
                let mut host = run.greeted_at(contender, ("thousand", &large))?;
                let mut times = Vec::new();
                for _ in 0..50 {
                    let began = Instant::now();
                    good(&host.ask("tools/list", "{}")?)?;
                    times.push(began.elapsed().as_secs_f64() * 1e3);
                }
                run.figures.add("tools_ms", contender, median(&times));
                Ok(())
            });
        }
        run.attempt(&["tools_ms"], DIRECT, |run| {
            let mut direct = Direct::open(&large.address(), 1)?;
            let began = Instant::now();
            for _ in 0..50 {
                direct.ask(br#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#)?;
            }
            run.figures.add("tools_ms", DIRECT, began.elapsed().as_secs_f64() * 1e3 / float(50));
            Ok(())
        });
    }
    Ok(())
}

/// A fresh copy of the executable whose pages are not in memory. (The libraries stay: other programs use them.)
fn cold(run: &mut Run<'_>, contender: &'static str, folder: &Path) -> io::Result<()> {
    let mut times = Vec::new();
    for n in 0..5 {
        let source =
            if contender == FLOOR { &run.world.programs.floor } else { &run.world.programs.hallpass };
        let copy = folder.join(format!("{contender}-{n}"));
        fs::copy(source, &copy)?;
        let file = File::open(&copy)?;
        file.sync_all()?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        drop(file);
        let server = ("bench", &run.world.server);
        let command = run.world.command_of(&copy, &copy, contender, server).map_err(io::Error::other)?;
        let began = Instant::now();
        let mut host = Host::start(command)?;
        host.initialize()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        drop(host);
        fs::remove_file(&copy)?;
    }
    run.figures.add("cold_ms", contender, median(&times));
    Ok(())
}
