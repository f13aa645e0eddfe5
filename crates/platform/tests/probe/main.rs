//! A process for the tests to start, kill and look at. Its first argument is the part it plays.

use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use hallpass_platform::process::Hardening;
use hallpass_platform::spawn::Log;
use hallpass_platform::{Lock, Root, process, socket, spawn};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let part = args.next().unwrap_or_default().to_string_lossy().into_owned();
    let rest: Vec<OsString> = args.collect();
    let path = |index: usize| PathBuf::from(&rest[index]);
    match part.as_str() {
        "hold-lock" => hold_lock(&path(0)),
        "report" => report(&path(0)),
        "start-detached" => start_detached(&path(0), &path(1)),
        "watch-parent" => watch_parent(&path(0)),
        "parent-of" => parent_of(&rest),
        "listen" => listen(&path(0)),
        "write-for-ever" => write_for_ever(&path(0)),
        "harden" => harden(&path(0)),
        "echo" => echo(),
        "ensure-root" => return ensure_root(),
        #[cfg(unix)]
        "listen-on-stdin" => listen_on_stdin(),
        #[cfg(unix)]
        "expect-end" => expect_end(&path(0)),
        #[cfg(windows)]
        "in-job" => in_job(&rest[0].to_string_lossy()),
        "wait" => say_and_wait(),
        _ => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

fn say(word: &str) {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{word}").and_then(|()| stdout.flush()).expect("stdout");
}

/// Standard input to standard output, as a bridge takes them.
fn echo() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (mut stdin, mut stdout) = (hallpass_platform::stdio::stdin(), hallpass_platform::stdio::stdout());
        tokio::io::copy(&mut stdin, &mut stdout).await.expect("bytes go through");
        stdout.flush().await.expect("and out");
    });
}

/// Until the test closes stdin or kills us.
fn say_and_wait() {
    say("ready");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

fn hold_lock(path: &Path) {
    let _lock = Lock::try_acquire(path).expect("a usable lock file").expect("a free lock");
    say_and_wait();
}

/// Writes what this process is to a file, whole, then stays for a while.
fn report(path: &Path) {
    let mut lines = vec![
        format!("pid {}", std::process::id()),
        format!("folder {}", std::env::current_dir().expect("a folder").display()),
    ];
    for (name, value) in std::env::vars_os() {
        lines.push(format!("variable {}={}", name.display(), value.display()));
    }
    for argument in std::env::args_os().skip(3) {
        lines.push(format!("argument {}", argument.display()));
    }
    #[cfg(target_os = "linux")]
    {
        let own = rustix::process::getpid();
        let session = rustix::process::getsid(None).expect("a session");
        lines.push(format!("session-leader {}", session == own));
        // The folder that is being listed has a descriptor itself, which is gone when we ask for it.
        for entry in fs::read_dir("/proc/self/fd").expect("descriptors").flatten() {
            if let Ok(target) = fs::read_link(entry.path())
                && !target.starts_with(format!("/proc/{}", std::process::id()))
            {
                lines.push(format!("descriptor {} {}", entry.file_name().display(), target.display()));
            }
        }
    }
    writeln!(std::io::stderr(), "to the log").expect("stderr");
    let scratch = path.with_extension("part");
    fs::write(&scratch, lines.join("\n")).expect("a report");
    fs::rename(&scratch, path).expect("a report");
    thread::sleep(Duration::from_mins(5));
}

fn start_detached(report: &Path, log: &Path) {
    let own = std::env::current_exe().expect("own path");
    #[cfg(unix)]
    let _leak = {
        // What a careless host hands down: a descriptor that survives exec.
        let file = fs::File::open("/").expect("a folder");
        let leak = rustix::io::dup(&file).expect("a descriptor");
        rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).expect("a flag");
        leak
    };
    spawn::detached(
        &own,
        &["report".as_ref(), report.as_os_str(), "two words".as_ref(), "q\"uote\\".as_ref(), "".as_ref()],
        &[("GIVEN", "only this")],
        Log::Append(log),
    )
    .expect("a detached process");
    say_and_wait();
}

fn watch_parent(gone: &Path) {
    runtime().block_on(async {
        let watch = process::watch_parent();
        tokio::pin!(watch);
        // Once round, so that the watch has begun before the test is told to kill the parent.
        tokio::select! {
            () = &mut watch => panic!("the parent was gone at once"),
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
        fs::write(gone.with_extension("watching"), std::process::id().to_string()).expect("a mark");
        watch.await;
        fs::write(gone, "gone").expect("a mark");
    });
}

/// Starts the rest of the arguments as a part of this program and stays.
fn parent_of(rest: &[OsString]) {
    let mut child =
        Command::new(std::env::current_exe().expect("own path")).args(rest).spawn().expect("a child");
    say(&child.id().to_string());
    let _ = child.wait();
}

fn listen(home: &Path) {
    let root = Root::below(home);
    root.ensure().expect("a root");
    let lock = Lock::try_acquire(&root.run().join("agent.lock")).expect("a lock file").expect("a free lock");
    runtime().block_on(async {
        let mut listener = socket::Listener::bind(&root, &lock).expect("a socket");
        say("ready");
        loop {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                while let Ok(count @ 1..) = connection.read(&mut buffer).await {
                    if connection.write_all(&buffer[..count]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
}

/// Replaces one private file over and over, with content that betrays a torn write.
fn write_for_ever(path: &Path) {
    say("ready");
    for round in 0_u32.. {
        let content = round.to_string().repeat(20_000);
        hallpass_platform::file::write_private(path, content.as_bytes()).expect("a write");
    }
}

fn ensure_root() -> ExitCode {
    if Root::locate().and_then(|root| root.ensure()).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Makes the socket that it was given its own: the kernel takes a listener to be who called `listen`.
#[cfg(unix)]
fn listen_on_stdin() {
    rustix::net::listen(std::io::stdin(), 8).expect("a listener");
    say("ready");
    thread::sleep(Duration::from_mins(5));
}

/// Succeeds if the connection ends without a byte.
#[cfg(unix)]
fn expect_end(path: &Path) {
    let mut stream = std::os::unix::net::UnixStream::connect(path).expect("a connection");
    say("ready");
    let end = stream.read(&mut [0; 8]);
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

/// Puts itself into a job and says what the platform makes of it.
#[cfg(windows)]
#[expect(unsafe_code, reason = "jobs have no safe interface")]
fn in_job(kind: &str) {
    use windows_sys::Win32::System::JobObjects::{
        AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_BREAKAWAY_OK,
        JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation, SetInformationJobObject,
    };
    use windows_sys::Win32::System::Threading::GetCurrentProcess;
    let length = u32::try_from(size_of::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>()).expect("a length");
    // SAFETY: the job is open, the structure is as long as we say and all zeros are a valid value of it.
    unsafe {
        let job = CreateJobObjectW(std::ptr::null(), std::ptr::null());
        let mut limits: JOBOBJECT_EXTENDED_LIMIT_INFORMATION = std::mem::zeroed();
        if kind == "open" {
            limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_BREAKAWAY_OK;
        }
        let pointer = (&raw const limits).cast();
        assert_ne!(SetInformationJobObject(job, JobObjectExtendedLimitInformation, pointer, length), 0);
        if kind != "outside" {
            assert_ne!(AssignProcessToJobObject(job, GetCurrentProcess()), 0);
        }
    }
    say(&format!("{:?}", spawn::sandboxed()));
    say_and_wait();
}

fn harden(report: &Path) {
    process::harden(Hardening::Closed).expect("hardening");
    #[cfg(target_os = "linux")]
    {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Core);
        let dumpable = rustix::process::dumpable_behavior().expect("an answer");
        fs::write(report, format!("{:?} {:?} {dumpable:?}", limit.current, limit.maximum)).expect("a report");
    }
    #[cfg(not(target_os = "linux"))]
    fs::write(report, "hardened").expect("a report");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
