//! Small calls: what the bridge adds to one, what it costs, how many go through, what it keeps of them.

use std::io;
use std::time::Instant;

use super::{Run, call, float, is_slow};
use crate::direct::Direct;
use crate::host::{Host, LIMIT, Next, good, id_of};
use crate::proc;
use crate::stats::{median, percentile};
use crate::world::{CONTENDERS, DIRECT, FLOOR, HALLPASS};

const ROWS: [&str; 10] = [
    "json_p50_us",
    "json_p99_us",
    "sse_p50_us",
    "cpu_call_us",
    "rss_growth_mib",
    "rss_growth_long_mib",
    "share_1",
    "share_16",
    "share_64",
    "progress_per_s",
];
const SHARES: [(&str, usize); 3] = [("share_1", 1), ("share_16", 16), ("share_64", 64)];

pub(super) fn measure(run: &mut Run<'_>) {
    let _held = run.on_one_processor();
    for _ in 0..run.rounds {
        for contender in CONTENDERS {
            run.attempt(&ROWS, contender, |run| small(run, contender));
            run.attempt(&SHARES.map(|(row, _)| row), contender, |run| shares(run, contender));
            run.attempt(&["progress_per_s"], contender, |run| progress(run, contender));
        }
        run.attempt(&["progress_per_s"], DIRECT, direct_progress);
    }
    for contender in [FLOOR, HALLPASS] {
        run.attempt(&["rss_growth_long_mib"], contender, |run| growth(run, contender));
    }
}

/// Blocks of direct calls and of the bridge's take turns, so that both see the same machine.
fn small(run: &mut Run<'_>, contender: &'static str) -> io::Result<()> {
    let mut host = run.greeted(contender)?;
    let mut direct = Direct::open(&run.world.server.address(), 1)?;
    let (blocks, each) = if is_slow(contender) { (4, 50) } else { (20, 200) };
    bridge_block(&mut host, "echo", 20)?;
    let rss = proc::rss(host.pid());
    let (mut ours, mut theirs, mut cpu) = (Vec::new(), Vec::new(), 0.0);
    for _ in 0..blocks {
        theirs.extend(direct_block(&mut direct, "echo", each)?);
        let before = proc::cpu(host.pid());
        ours.extend(bridge_block(&mut host, "echo", each)?);
        cpu += proc::cpu(host.pid()) - before;
    }
    let (p50, p99) = (percentile(&theirs, 50), percentile(&theirs, 99));
    run.figures.add("json_p50_us", contender, percentile(&ours, 50) - p50);
    run.figures.add("json_p99_us", contender, percentile(&ours, 99) - p99);
    run.figures.add("json_p50_us", DIRECT, p50);
    run.figures.add("json_p99_us", DIRECT, p99);
    run.figures.add("cpu_call_us", contender, cpu / float(ours.len()));
    for _ in ours.len()..1000 {
        bridge_block(&mut host, "echo", 1)?;
    }
    run.figures.add("rss_growth_mib", contender, proc::rss(host.pid()) - rss);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..blocks / 2 {
        theirs.extend(direct_block(&mut direct, "echo_sse", each)?);
        ours.extend(bridge_block(&mut host, "echo_sse", each)?);
    }
    run.figures.add("sse_p50_us", contender, percentile(&ours, 50) - percentile(&theirs, 50));
    run.figures.add("sse_p50_us", DIRECT, percentile(&theirs, 50));
    Ok(())
}

pub(super) fn bridge_block(host: &mut Host, tool: &str, count: usize) -> io::Result<Vec<f64>> {
    (0..count)
        .map(|_| {
            let id = host.id();
            let line = call(id, tool, "hello");
            let began = Instant::now();
            let answer = host.exchange(line.as_bytes(), id)?;
            let elapsed = began.elapsed().as_secs_f64() * 1e6;
            good(&answer)?;
            Ok(elapsed)
        })
        .collect()
}

fn direct_block(direct: &mut Direct, tool: &str, count: usize) -> io::Result<Vec<f64>> {
    (0..count)
        .map(|n| {
            let body = call(n as u64, tool, "hello");
            let began = Instant::now();
            direct.ask(body.trim_end().as_bytes())?;
            Ok(began.elapsed().as_secs_f64() * 1e6)
        })
        .collect()
}

fn shares(run: &mut Run<'_>, contender: &'static str) -> io::Result<()> {
    for (row, flight) in SHARES {
        let mut direct = Direct::open(&run.world.server.address(), flight)?;
        let mut host = run.greeted(contender)?;
        let (blocks, count) = if is_slow(contender) { (5, 200) } else { (25, 600) };
        rate(&mut host, count, flight)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        // Short blocks that take turns: another program's second of work spoils a few of them, not the median.
        for _ in 0..blocks {
            theirs.push(direct.rate(600, |n| call(n as u64, "echo", "hello").trim_end().to_owned())?);
            ours.push(rate(&mut host, count, flight)?);
        }
        // Of neighbours, so that a slow minute of the machine is one of both.
        let shares: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
        run.figures.add(row, contender, median(&shares));
        run.figures.add(row, DIRECT, median(&theirs));
    }
    Ok(())
}

/// Calls answered a second, `flight` of them under way at any time.
fn rate(host: &mut Host, count: usize, flight: usize) -> io::Result<f64> {
    let mut next = host.id();
    let (mut first, mut sent) = (String::new(), 0);
    for _ in 0..flight.min(count) {
        first.push_str(&call(next, "echo", "hello"));
        next += 1;
        sent += 1;
    }
    let (mut answered, mut failed) = (0, None);
    let began = Instant::now();
    host.pump(first.as_bytes(), LIMIT, |line| {
        if id_of(line).is_none() {
            return Next::More;
        }
        if let Err(error) = good(line) {
            failed = Some(error);
            return Next::Done;
        }
        answered += 1;
        if answered == count {
            return Next::Done;
        }
        if sent == count {
            return Next::More;
        }
        sent += 1;
        next += 1;
        Next::Send(call(next - 1, "echo", "hello").into_bytes())
    })?;
    let elapsed = began.elapsed().as_secs_f64();
    while host.id() < next {}
    failed.map_or(Ok(float(count) / elapsed), Err)
}

/// Events of one call, in order and none lost.
fn progress(run: &mut Run<'_>, contender: &'static str) -> io::Result<()> {
    let mut host = run.greeted(contender)?;
    let count: u64 = if is_slow(contender) || contender == "mcp-relay" { 5_000 } else { 100_000 };
    let id = host.id();
    let line = progress_call(id, count);
    let (mut expected, mut wrong, mut end) = (1u64, 0u64, Vec::new());
    let began = Instant::now();
    host.pump(line.as_bytes(), LIMIT, |line| {
        if let Some(n) = bench::wire::member(line, "progress") {
            let n: u64 = std::str::from_utf8(n).ok().and_then(|n| n.parse::<f64>().ok()).map_or(0, whole);
            wrong += u64::from(n != expected);
            expected = n + 1;
            return Next::More;
        }
        if id_of(line) != Some(id) {
            return Next::More;
        }
        end = line.to_vec();
        Next::Done
    })?;
    let elapsed = began.elapsed().as_secs_f64();
    good(&end)?;
    if wrong > 0 || expected != count + 1 {
        run.figures.note("progress_per_s", contender, format!("out of order or lost: {wrong} of {count}"));
        return Ok(());
    }
    run.figures.add("progress_per_s", contender, float(usize::try_from(count).unwrap_or(0)) / elapsed);
    Ok(())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small count written as a float"
)]
fn whole(n: f64) -> u64 {
    n as u64
}

fn progress_call(id: u64, count: u64) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"progress\",\"arguments\":{{\"n\":{count}}},\"_meta\":{{\"progressToken\":1}}}}}}\n"
    )
}

fn direct_progress(run: &mut Run<'_>) -> io::Result<()> {
    let mut direct = Direct::open(&run.world.server.address(), 1)?;
    let mut lines = 0;
    let began = Instant::now();
    direct.stream(progress_call(1, 100_000).trim_end().as_bytes(), |part| {
        lines += memchr::memchr_iter(b'\n', part).count();
    })?;
    run.figures.add("progress_per_s", DIRECT, 100_000.0 / began.elapsed().as_secs_f64());
    if lines == 300_003 { Ok(()) } else { Err(io::Error::other(format!("{lines} lines"))) }
}

fn growth(run: &mut Run<'_>, contender: &'static str) -> io::Result<()> {
    let mut host = run.greeted(contender)?;
    rate(&mut host, 1000, 16)?;
    let rss = proc::rss(host.pid());
    for _ in 0..100 {
        rate(&mut host, 1000, 16)?;
    }
    run.figures.add("rss_growth_long_mib", contender, proc::rss(host.pid()) - rss);
    Ok(())
}
