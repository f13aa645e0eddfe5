//! Large messages there and back, and the memory that they take. As in any host, the request is written as JSON and the
//! answer is read from it, with a bridge and without.

use std::io;
use std::time::Instant;

use serde::Serialize;

use super::{Run, is_slow};
use crate::direct::Direct;
use crate::proc;
use crate::stats::median;
use crate::world::{CONTENDERS, DIRECT};

const SIZES: [(&str, &str, usize, usize); 2] =
    [("mb1_ms", "mb1_peak_mib", 1_000_000, 10), ("mb10_ms", "mb10_peak_mib", 10_000_000, 5)];

pub(super) fn measure(run: &mut Run<'_>) {
    for (row, peak, size, count) in SIZES {
        let message = "x".repeat(size);
        for _ in 0..run.rounds {
            for contender in CONTENDERS {
                run.attempt(&[row, peak], contender, |run| {
                    there_and_back(run, contender, (row, peak), &message, count)
                });
            }
        }
    }
}

/// The message as a host makes it: written as JSON.
fn request(id: u64, message: &str) -> io::Result<Vec<u8>> {
    let params = Params { name: "echo", arguments: Arguments { message } };
    Ok(serde_json::to_vec(&Request { jsonrpc: "2.0", id, method: "tools/call", params })?)
}

/// The answer as a host takes it: read from JSON.
fn text(answer: &[u8], length: usize) -> io::Result<()> {
    let answer: serde_json::Value = serde_json::from_slice(answer)?;
    let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_default();
    if text.len() == length { Ok(()) } else { Err(io::Error::other("the answer is another one")) }
}

#[derive(Serialize)]
struct Request<'a> {
    jsonrpc: &'static str,
    id: u64,
    method: &'static str,
    params: Params<'a>,
}

#[derive(Serialize)]
struct Params<'a> {
    name: &'static str,
    arguments: Arguments<'a>,
}

#[derive(Serialize)]
struct Arguments<'a> {
    message: &'a str,
}

fn there_and_back(
    run: &mut Run<'_>,
    contender: &'static str,
    (row, peak): (&'static str, &'static str),
    message: &str,
    count: usize,
) -> io::Result<()> {
    let mut host = run.greeted(contender)?;
    let mut direct = Direct::open(&run.world.server.address(), 1)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..if is_slow(contender) { 3 } else { count } {
        let began = Instant::now();
        let body = request(0, message)?;
        let (head, all) = direct.ask(&body)?;
        text(&all[head.len..], message.len())?;
        theirs.push(began.elapsed().as_secs_f64() * 1e3);
        let id = host.id();
        let began = Instant::now();
        let mut line = request(id, message)?;
        line.push(b'\n');
        let answer = host.exchange(&line, id)?;
        text(&answer, message.len())?;
        ours.push(began.elapsed().as_secs_f64() * 1e3);
    }
    run.figures.add(row, contender, median(&ours));
    run.figures.add(row, DIRECT, median(&theirs));
    run.figures.add(peak, contender, proc::peak_rss(host.pid()));
    Ok(())
}
