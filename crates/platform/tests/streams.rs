//! stdio: the same bytes come through whatever descriptors 0 and 1 are, and they are left as they were found.

use std::io::{Read as _, Seek as _, Write as _};
use std::process::{Command, Stdio};

use crate::PROBE;

/// More than any pipe holds, and no two parts alike.
fn text() -> Vec<u8> {
    (0..300_000u32).flat_map(u32::to_le_bytes).collect()
}

fn echo() -> Command {
    let mut command = Command::new(PROBE);
    command.arg("echo").stderr(Stdio::inherit());
    command
}

#[test]
fn everything_comes_through_pipes() {
    let mut child = echo().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the probe starts");
    let mut stdin = child.stdin.take().expect("stdin");
    let writing = std::thread::spawn(move || stdin.write_all(&text()));
    let mut come = Vec::new();
    child.stdout.take().expect("stdout").read_to_end(&mut come).expect("its output");
    writing.join().expect("no panic").expect("it reads");
    assert!(child.wait().expect("an end").success());
    assert!(come == text(), "{} bytes came", come.len());
}

#[test]
fn everything_comes_through_files() {
    let (mut from, mut to) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
    from.write_all(&text()).and_then(|()| from.rewind()).expect("written");
    let target = to.try_clone().expect("a second handle");
    assert!(echo().stdin(from).stdout(target).status().expect("the probe starts").success());
    let mut come = Vec::new();
    to.rewind().and_then(|()| to.read_to_end(&mut come)).expect("read");
    assert!(come == text(), "{} bytes came", come.len());
}

#[cfg(unix)]
#[test]
fn everything_comes_through_sockets() {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    let ((mut near_in, far_in), (mut near_out, far_out)) =
        (UnixStream::pair().expect("a pair"), UnixStream::pair().expect("a pair"));
    let mut child =
        echo().stdin(OwnedFd::from(far_in)).stdout(OwnedFd::from(far_out)).spawn().expect("the probe starts");
    let writing = std::thread::spawn(move || near_in.write_all(&text()));
    let mut come = Vec::new();
    near_out.read_to_end(&mut come).expect("its output");
    writing.join().expect("no panic").expect("it reads");
    assert!(child.wait().expect("an end").success());
    assert!(come == text(), "{} bytes came", come.len());
}

/// A shell's next program shares the pipe and expects it to block.
#[cfg(unix)]
#[test]
fn a_shared_pipe_blocks_again_afterwards() {
    use rustix::fs::{OFlags, fcntl_getfl};
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let shared = reader.try_clone().expect("the same description");
    let child = echo().stdin(reader).stdout(Stdio::piped()).spawn().expect("the probe starts");
    writer.write_all(b"hello").expect("it reads");
    crate::wait_for("the probe to take the pipe", || {
        fcntl_getfl(&shared).expect("flags").contains(OFlags::NONBLOCK).then_some(())
    });
    drop(writer);
    let said = child.wait_with_output().expect("an end");
    assert_eq!(said.stdout, b"hello");
    assert!(!fcntl_getfl(&shared).expect("flags").contains(OFlags::NONBLOCK));
}
