//! Sign-ins that are left before their end: gone on with, given up, or found to have ended; and what the browser says.

use std::process::Stdio;

use testbed::authorization_server::Availability;
use testbed::browser::{Decision, sign_in};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr};

use crate::support::people::whoami;
use crate::support::process::signal;
use crate::support::{LIMIT, Ran, SERVER, World, eventually};

/// A `login` that runs, and what it says.
struct Login {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    said: String,
}

impl Login {
    fn start(world: &World, more: &[&str]) -> Self {
        let mut command = world.hallpass(&[&["login", SERVER, "--yes"][..], more].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            tokio::process::Command::from(command).kill_on_drop(true).spawn().expect("it can be started");
        let lines = BufReader::new(child.stderr.take().expect("it is a pipe")).lines();
        Self { child, lines, said: String::new() }
    }

    /// Reads on until a line fits, and returns what it found in it.
    async fn until<T>(&mut self, found: impl Fn(&str) -> Option<T>) -> T {
        loop {
            let line =
                tokio::time::timeout(LIMIT, self.lines.next_line()).await.expect("in time").expect("UTF-8");
            let line = line.unwrap_or_else(|| panic!("it said no more than {}", self.said));
            self.said.push_str(&line);
            self.said.push('\n');
            if let Some(found) = found(&line) {
                return found;
            }
        }
    }

    async fn address(&mut self) -> String {
        self.until(|line| line.contains("/authorize?").then(|| line.trim().to_owned())).await
    }

    async fn code(&mut self) -> String {
        let code = |line: &str| Some(line.trim().strip_prefix("code: ")?.split(' ').next()?.to_owned());
        self.until(code).await
    }

    /// As Ctrl-C does.
    async fn interrupt(self) -> Ran {
        signal(self.child.id().expect("it runs"), "INT");
        self.end().await
    }

    async fn end(mut self) -> Ran {
        while let Some(line) =
            tokio::time::timeout(LIMIT, self.lines.next_line()).await.expect("in time").expect("UTF-8")
        {
            self.said.push_str(&line);
            self.said.push('\n');
        }
        let ended = tokio::time::timeout(LIMIT, self.child.wait_with_output()).await.expect("in time");
        let output = ended.expect("its output");
        let out = String::from_utf8(output.stdout).expect("UTF-8");
        Ran { code: output.status.code().unwrap_or(-1), out, err: self.said }
    }
}

/// Somebody at the browser, where it opens this address: what its last page says.
async fn browse(address: &str, person: &str) -> String {
    match tokio::time::timeout(LIMIT, sign_in(address, person, Decision::Allow)).await.expect("in time") {
        Ok(page) => page.body,
        Err(error) => error.to_string(),
    }
}

/// Where the issuer sends a browser that cannot come back, for this person.
async fn last_address(address: &str, person: &str) -> String {
    let rest = address.strip_prefix("http://").expect("an issuer on this machine");
    let (host, path) = rest.split_once('/').expect("a path");
    let mut stream = tokio::net::TcpStream::connect(host).await.expect("the issuer listens");
    let head = format!(
        "GET /{path}&person={person}&decision=allow HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    let is_location = |line: &&str| line.to_ascii_lowercase().starts_with("location: ");
    let line = answer.lines().find(is_location).expect("a redirect");
    line["location: ".len()..].to_owned()
}

fn grants(world: &World) -> usize {
    world.state()["grants"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn a_sign_in_that_was_left_at_the_browser_goes_on_with_the_same_command() {
    let world = World::new().await;
    world.add_server().await;
    let mut first = Login::start(&world, &["--no-browser"]);
    let address = first.address().await;
    let left = first.interrupt().await.fails(130);
    assert!(left.err.contains("nothing was changed") && left.err.contains("--anew"), "{left:?}");
    let mut second = Login::start(&world, &["--no-browser"]);
    assert_eq!(second.address().await, address, "the same one: {}", second.said);
    assert!(second.said.contains("going on with the sign-in that was begun"), "{}", second.said);
    browse(&address, "ana").await;
    second.end().await.ok();
    assert_eq!(whoami(&world.host("cursor").await).await.expect("she acts"), "ana");
    assert_eq!(world.issuer.handle().stats().code_exchanges, 1);
}

#[tokio::test]
async fn whoever_comes_back_while_nobody_is_there_is_bound_to_nothing_before_somebody_is() {
    let world = World::new().await;
    world.add_server().await;
    let mut first = Login::start(&world, &["--no-browser"]);
    let address = first.address().await;
    // A terminal that is closed.
    let pid = first.child.id().expect("it runs");
    signal(pid, "KILL");
    first.end().await;
    let browser = browse(&address, "ana");
    let resumed = async {
        eventually("the code to be exchanged", async || {
            (world.issuer.handle().stats().code_exchanges == 1).then_some(())
        })
        .await;
        assert_eq!(grants(&world), 0, "nothing is kept before somebody is there");
        Login::start(&world, &["--no-browser"]).end().await.ok()
    };
    let (page, ran) = tokio::join!(browser, resumed);
    assert!(ran.err.contains("going on with"), "{ran:?}");
    assert!(page.contains("Signed in"), "the page says how it ended: {page}");
    assert_eq!(grants(&world), 1);
}

#[tokio::test]
async fn another_sign_in_than_the_one_that_was_left_begins_anew_and_says_so() {
    let world = World::new().await;
    world.add_server().await;
    for more in [&["--anew"][..], &["--expect", "ana"]] {
        let mut first = Login::start(&world, &["--no-browser"]);
        let address = first.address().await;
        first.interrupt().await.fails(130);
        let mut second = Login::start(&world, &[&["--no-browser"][..], more].concat());
        assert_ne!(second.address().await, address);
        assert!(second.said.contains("is given up; this is a new one"), "{}", second.said);
        // What the first one left in the browser leads nowhere.
        let page = browse(&address, "ben").await;
        assert!(!page.contains("Signed in"), "{page}");
        second.interrupt().await.fails(130);
        world.login("ana", &["--anew"]).await.ok();
        world.run(&["logout", SERVER]).await.ok();
    }
}

#[tokio::test]
async fn a_device_code_is_gone_on_with_while_it_is_good_and_its_end_is_told() {
    let world = World::new().await;
    world.add_server().await;
    world.issuer.handle().set(|knobs| {
        (knobs.device_authorization, knobs.device_interval) = (Availability::Open, 1);
    });
    let mut first = Login::start(&world, &["--device"]);
    let code = first.code().await;
    first.interrupt().await.fails(130);
    let mut second = Login::start(&world, &["--device"]);
    assert_eq!(second.code().await, code);
    assert!(world.issuer.handle().decide_device(&code, "ana", Decision::Allow));
    second.end().await.ok();
    // One that ended while nobody was there.
    let mut third = Login::start(&world, &["--device"]);
    let code = third.code().await;
    third.interrupt().await.fails(130);
    assert!(world.issuer.handle().decide_device(&code, "ana", Decision::Deny));
    eventually("its end", async || {
        let status = world.status().await;
        status["sign_ins"].as_array().is_none_or(Vec::is_empty).then_some(())
    })
    .await;
    let mut fourth = Login::start(&world, &["--device"]);
    assert_ne!(fourth.code().await, code);
    assert!(
        fourth.said.contains("ended while nobody was there: the sign-in was declined"),
        "{}",
        fourth.said
    );
    fourth.interrupt().await.fails(130);
}

#[tokio::test]
async fn without_a_browser_here_the_way_over_ssh_is_named_and_a_pasted_address_ends_it() {
    let world = World::new().await;
    world.add_server().await;
    let mut login = Login::start(&world, &["--no-browser"]);
    let address = login.address().await;
    let port = address.split("127.0.0.1%3A").nth(1).and_then(|rest| rest.split('%').next()).expect("a port");
    login.until(|line| line.contains("paste the final address").then_some(())).await;
    let tunnel = format!("ssh -L {port}:127.0.0.1:{port}");
    assert!(login.said.contains(&tunnel), "{}", login.said);
    // The browser of another machine cannot come back; its last address is typed here.
    let last = last_address(&address, "ana").await;
    let (before, code) = last.split_once("code=").expect("a code");
    let without_code = format!("{before}{}", code.split_once('&').expect("a state").1);
    let mut stdin = login.child.stdin.take().expect("it is a pipe");
    for (bad, words) in [
        ("https://evil.example/callback?code=x&state=y", "not the address"),
        (&*without_code, "not a complete answer"),
        (&*last.replace("state=", "state=other"), "does not belong"),
    ] {
        stdin.write_all(format!("{bad}\n").as_bytes()).await.expect("it reads");
        login.until(|line| line.contains(words).then_some(())).await;
    }
    stdin.write_all(format!("{last}\n").as_bytes()).await.expect("it reads");
    login.end().await.ok();
    assert_eq!(whoami(&world.host("cursor").await).await.expect("she acts"), "ana");
}
