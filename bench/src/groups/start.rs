//! From spawn to the answer to `initialize`, and what a bridge is then: memory, threads, wake-ups.

use std::io;
use std::time::{Duration, Instant};

use super::{Run, is_slow};
use crate::direct::Direct;
use crate::host::Host;
use crate::proc;
use crate::stats::median;
use crate::world::{CONTENDERS, DIRECT, HALLPASS};

const ROWS: [&str; 6] = ["start_ms", "start_cpu_ms", "pss_mib", "threads", "wakeups", "agent_pss_mib"];
const IDLE: Duration = Duration::from_secs(3);

pub(super) fn measure(run: &mut Run<'_>) {
    for _ in 0..run.rounds {
        run.attempt(&ROWS, DIRECT, direct);
        for contender in CONTENDERS {
            run.attempt(&ROWS, contender, |run| starts(run, contender));
        }
        run.attempt(&["no_agent_ms"], HALLPASS, without_agent);
        idle(run);
    }
}

fn direct(run: &mut Run<'_>) -> io::Result<()> {
    let address = run.world.server.address();
    let mut times = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        Direct::open(&address, 1)?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    run.figures.add("start_ms", DIRECT, median(&times));
    Ok(())
}

fn starts(run: &mut Run<'_>, contender: &'static str) -> io::Result<()> {
    let (mut times, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..if is_slow(contender) { 3 } else { 30 } {
        let command = run.world.command(contender, ("bench", &run.world.server)).map_err(io::Error::other)?;
        let began = Instant::now();
        let mut host = Host::start(command)?;
        host.initialize()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        cpu.push(proc::cpu(host.pid()) / 1e3);
    }
    run.figures.add("start_ms", contender, median(&times));
    run.figures.add("start_cpu_ms", contender, median(&cpu));
    Ok(())
}

/// The agent has to be started first: process, keychain, hello.
fn without_agent(run: &mut Run<'_>) -> io::Result<()> {
    let mut times = Vec::new();
    for _ in 0..5 {
        run.world.hallpass(&["agent", "stop"]).map_err(|error| io::Error::other(error.to_string()))?;
        let command = run.world.command(HALLPASS, ("bench", &run.world.server)).map_err(io::Error::other)?;
        let began = Instant::now();
        let mut host = Host::start(command)?;
        host.initialize()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    run.figures.add("no_agent_ms", HALLPASS, median(&times));
    Ok(())
}

/// All at once, since they do nothing.
fn idle(run: &mut Run<'_>) {
    let mut hosts = Vec::new();
    for contender in CONTENDERS {
        run.attempt(&ROWS, contender, |run| {
            hosts.push((contender, run.greeted(contender)?));
            Ok(())
        });
    }
    std::thread::sleep(Duration::from_secs(1));
    let before: Vec<f64> = hosts.iter().map(|(_, host)| proc::sleeps(host.pid())).collect();
    std::thread::sleep(IDLE);
    for ((contender, host), before) in hosts.iter().zip(before) {
        let pid = host.pid();
        run.figures.add("wakeups", contender, (proc::sleeps(pid) - before) / IDLE.as_secs_f64());
        run.figures.add("threads", contender, proc::threads(pid));
        run.figures.add("pss_mib", contender, proc::pss(pid));
        if *contender == HALLPASS
            && let Some(agent) = run.world.agent_pid()
        {
            run.figures.add("agent_pss_mib", contender, proc::pss(agent));
        }
    }
}
