//! The same as start and small calls, at a server behind TLS with a private authority (`servers add --ca`).

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use testbed::authority::{Authority, client_config};

use super::Run;
use super::calls::bridge_block;
use crate::host::Host;
use crate::proc;
use crate::server::Server;
use crate::stats::{median, percentile};
use crate::tls::DirectTls;
use crate::world::{DIRECT, HALLPASS};

const ROWS: [&str; 4] = ["tls_start_ms", "tls_start_cpu_ms", "tls_pss_mib", "tls_p50_us"];

pub(super) fn measure(run: &mut Run<'_>) {
    run.attempt(&ROWS, HALLPASS, |run| measured(run).map_err(|error| io::Error::other(error.to_string())));
}

fn measured(run: &mut Run<'_>) -> Result<(), Box<dyn Error>> {
    let authority = Authority::new("Benchmark CA");
    let server = run.world.server_behind_tls("tls", &authority)?;
    let trust = client_config(&authority.pem());
    let address = server.endpoint().trim_start_matches("https://").trim_end_matches("/mcp").to_owned();
    for _ in 0..run.rounds {
        direct_starts(run, &address, &authority)?;
        starts(run, &server)?;
        small(run, &server, &address, &trust)?;
    }
    Ok(())
}

fn direct_starts(run: &mut Run<'_>, address: &str, authority: &Authority) -> io::Result<()> {
    let mut times = Vec::new();
    for _ in 0..20 {
        // Settings that were used before would resume the session, which a new process cannot.
        let trust = client_config(&authority.pem());
        let began = Instant::now();
        DirectTls::open(address, &trust)?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    run.figures.add("tls_start_ms", DIRECT, median(&times));
    Ok(())
}

fn starts(run: &mut Run<'_>, server: &Server) -> io::Result<()> {
    let (mut times, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..30 {
        let command = run.world.command(HALLPASS, ("tls", server)).map_err(io::Error::other)?;
        let began = Instant::now();
        let mut host = Host::start(command)?;
        host.initialize()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        cpu.push(proc::cpu(host.pid()) / 1e3);
    }
    run.figures.add("tls_start_ms", HALLPASS, median(&times));
    run.figures.add("tls_start_cpu_ms", HALLPASS, median(&cpu));
    Ok(())
}

fn small(run: &mut Run<'_>, server: &Server, address: &str, trust: &Arc<ClientConfig>) -> io::Result<()> {
    let _held = run.on_one_processor();
    let mut host = run.greeted_at(HALLPASS, ("tls", server))?;
    std::thread::sleep(Duration::from_secs(1));
    run.figures.add("tls_pss_mib", HALLPASS, proc::pss(host.pid()));
    let mut direct = DirectTls::open(address, trust)?;
    bridge_block(&mut host, "echo", 20)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        for n in 0..200 {
            let body = super::call(n, "echo", "hello");
            let began = Instant::now();
            direct.ask(body.trim_end().as_bytes())?;
            theirs.push(began.elapsed().as_secs_f64() * 1e6);
        }
        ours.extend(bridge_block(&mut host, "echo", 200)?);
    }
    let p50 = percentile(&theirs, 50);
    run.figures.add("tls_p50_us", HALLPASS, percentile(&ours, 50) - p50);
    run.figures.add("tls_p50_us", DIRECT, p50);
    Ok(())
}
