//! Twenty bridges at once, as a host starts them.

use std::io;
use std::time::{Duration, Instant};

use super::Run;
use crate::proc;
use crate::world::{CONTENDERS, HALLPASS};

const COUNT: usize = 20;

pub(super) fn measure(run: &mut Run<'_>) {
    for _ in 0..run.rounds {
        for contender in CONTENDERS {
            run.attempt(&["many_ms", "many_pss_mib"], contender, |run| twenty(run, contender));
        }
    }
}

fn twenty(run: &mut Run<'_>, contender: &'static str) -> io::Result<()> {
    let began = Instant::now();
    let mut hosts = (0..COUNT)
        .map(|_| run.started_at(contender, ("bench", &run.world.server)))
        .collect::<io::Result<Vec<_>>>()?;
    let mut ids = Vec::new();
    for host in &mut hosts {
        let id = host.id();
        ids.push(id);
        // Written to all before any is waited for. The line has an id, so `pump` alone would wait.
        host.start_request(id)?;
    }
    for (host, id) in hosts.iter_mut().zip(ids) {
        host.finish_request(id)?;
    }
    run.figures.add("many_ms", contender, began.elapsed().as_secs_f64() * 1e3);
    std::thread::sleep(Duration::from_millis(300));
    let mut pss: f64 = hosts.iter().map(|host| proc::pss(host.pid())).sum();
    if contender == HALLPASS {
        pss += run.world.agent_pid().map_or(f64::INFINITY, proc::pss);
    }
    run.figures.add("many_pss_mib", contender, pss);
    Ok(())
}
