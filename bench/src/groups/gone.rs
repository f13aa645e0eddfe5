//! How long a bridge outlives its host: end of input, killed, and killed while a stranger keeps the pipe open.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Run, call};
use crate::host::{Host, gone, watch};
use crate::world::CONTENDERS;

const ROWS: [&str; 4] = ["eof_ms", "eof_hang_ms", "killed_ms", "stranger_ms"];
const EOF_LIMIT: Duration = Duration::from_secs(8);
const STRANGER_LIMIT: Duration = Duration::from_secs(4);

pub(super) fn measure(run: &mut Run<'_>) {
    for _ in 0..run.rounds {
        for contender in CONTENDERS {
            run.attempt(&ROWS, contender, |run| {
                let ended = run.greeted(contender)?.end(EOF_LIMIT)?;
                run.figures.add("eof_ms", contender, ended);
                let ended = hanging(run.greeted(contender)?)?.end(EOF_LIMIT)?;
                run.figures.add("eof_hang_ms", contender, ended);
                let ended = killed(run, contender, "alone", EOF_LIMIT)?;
                run.figures.add("killed_ms", contender, ended);
                let ended = killed(run, contender, "stranger", STRANGER_LIMIT)?;
                run.figures.add("stranger_ms", contender, ended);
                Ok(())
            });
        }
    }
}

/// With a call under way that is never answered.
fn hanging(mut host: Host) -> io::Result<Host> {
    let id = host.id();
    let line = call(id, "hang", "");
    let sent = host.pump(line.as_bytes(), Duration::from_millis(200), |_| crate::host::Next::More);
    match sent {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(host),
        Err(error) => Err(error),
        Ok(()) => Err(io::Error::other("the call that never ends has ended")),
    }
}

/// A host in a process of its own is killed; milliseconds until its bridge is gone.
fn killed(run: &mut Run<'_>, contender: &str, way: &str, limit: Duration) -> io::Result<f64> {
    let bridge = run.world.command(contender, ("bench", &run.world.server)).map_err(io::Error::other)?;
    let mut command = run.world.sandbox.bare_command(std::env::current_exe()?);
    if let Some(folder) = bridge.get_current_dir() {
        command.current_dir(folder);
    }
    command.args(["stand-in", way]).arg(bridge.get_program()).args(bridge.get_args());
    let mut host = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut said = String::new();
    if let Some(stdout) = host.stdout.take() {
        BufReader::new(stdout).read_line(&mut said)?;
    }
    let pids: Vec<u32> = said.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    let Some(bridge) = pids.first() else {
        host.kill()?;
        host.wait()?;
        return Err(io::Error::other("the bridge did not start"));
    };
    let watched = watch(*bridge)?;
    let began = Instant::now();
    host.kill()?;
    host.wait()?;
    let ended = gone(&watched, began, limit)?;
    for pid in &pids {
        let pid = i32::try_from(*pid).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    Ok(ended)
}

/// The host that is killed: `bench stand-in alone|stranger <command...>`. Says the process ids of its bridge and of
/// the stranger, then waits for its end.
pub(crate) fn stand_in(arguments: &[String]) -> io::Result<()> {
    let [way, program, rest @ ..] = arguments else { return Err(io::ErrorKind::InvalidInput.into()) };
    let (reader, writer) = io::pipe()?;
    let bridge = Command::new(program)
        .args(rest)
        .stdin(reader)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut pids = bridge.id().to_string();
    if way == "stranger" {
        // Another child of the host that got the writing end with everything else, as happens without close-on-exec.
        let stranger =
            Command::new("sleep").arg("60").stdin(Stdio::null()).stdout(writer.try_clone()?).spawn()?;
        pids = format!("{pids} {}", stranger.id());
    }
    let mut input = &writer;
    input.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":\"bench\",\"version\":\"1\"}}}\n")?;
    let mut answer = String::new();
    let stdout = bridge.stdout.ok_or(io::ErrorKind::BrokenPipe)?;
    let mut output = BufReader::new(stdout);
    output.read_line(&mut answer)?;
    input.write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n")?;
    std::thread::sleep(Duration::from_millis(100));
    writeln!(io::stdout(), "{pids}")?;
    loop {
        std::thread::park();
    }
}
