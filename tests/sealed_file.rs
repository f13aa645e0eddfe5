//! A machine without a keychain: tokens in sealed files because a person said so, and never otherwise.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs;
use std::path::PathBuf;

use testbed::sandbox::Sandbox;
use testbed::scanner::{Wanted, scan_sandbox};

use crate::support::people::{refusal, whoami};
use crate::support::room::{is_inside, run_inside, small_disk};
use crate::support::{Ran, SERVER, World, eventually};

const PASSPHRASE: &str = "correct horse battery staple";

impl World {
    /// A home on which nobody offers a keychain, with the server added.
    async fn headless() -> Self {
        let world = Self::inside(Sandbox::without_dbus().unwrap()).await;
        world.add_server().await;
        world
    }

    /// The same with ana signed in, and a key file that opens the sealed files.
    async fn headless_with_ana() -> Self {
        let world = Self::headless().await;
        let key = world.key().display().to_string();
        world.login("ana", &["--store", "sealed-file", "--key-file", &key]).await.ok();
        world
    }

    fn key(&self) -> PathBuf {
        self.sandbox.root().join("key")
    }

    fn sealed(&self) -> PathBuf {
        self.root().join("sealed")
    }

    /// The one record of the folder: ana's.
    fn record(&self) -> PathBuf {
        let grants = self.state()["grants"].clone();
        self.sealed().join(format!("{}.sealed", grants[0]["record"].as_str().unwrap()))
    }

    /// A command with this line on its standard input.
    async fn typing(&self, line: &str, args: &[&str]) -> Ran {
        let typed = self.sandbox.root().join("typed");
        fs::write(&typed, format!("{line}\n")).unwrap();
        let mut command = self.hallpass(args);
        command.stdin(fs::File::open(&typed).unwrap());
        command.env("BROWSER", format!("{} browser --as ana", crate::support::testbed_program().display()));
        let ran = self.finish(command).await;
        fs::remove_file(typed).unwrap();
        ran
    }

    fn store(&self) -> String {
        self.state()["keychain"]["store"].as_str().unwrap_or("none").to_owned()
    }
}

#[tokio::test]
async fn with_a_passphrase_a_person_signs_in_and_calls_and_nothing_is_readable() {
    let world = World::headless().await;
    let refused = world.login("ana", &[]).await.fails(7);
    assert!(refused.err.contains("keychain") && refused.err.contains("sealed-file"), "{refused:?}");
    assert_eq!((world.store().as_str(), world.sealed().exists()), ("none", false), "never by itself");
    let weak = world.typing("short", &["store", "use", "sealed-file", "--passphrase-stdin"]).await.fails(2);
    assert!(weak.err.contains("at least 12"), "{weak:?}");
    let args = ["login", SERVER, "--yes", "--store", "sealed-file", "--passphrase-stdin"];
    world.typing(PASSPHRASE, &args).await.ok();
    assert_eq!(world.store(), "sealed-file");
    let status = world.run(&["status"]).await.ok();
    assert!(status.out.contains("sealed files"), "{status:?}");
    let doctor = world.run(&["doctor"]).await;
    assert!(doctor.out.contains("sealed-file in") && doctor.out.contains("by a passphrase"), "{doctor:?}");
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    world.issuer.handle().expire_access_tokens();
    assert_eq!(whoami(&host).await.unwrap(), "ana", "renewed");

    let mut wanted = vec![Wanted::new("passphrase", PASSPHRASE.into())];
    wanted.extend(world.issuer.handle().secrets().into_iter().map(Wanted::from));
    let report = scan_sandbox(&world.sandbox, wanted, &[]).unwrap();
    assert_eq!(report.broken(), Vec::<String>::new(), "the canary is found");
    assert_eq!(report.findings, [], "nothing of it lies anywhere");

    let before = world.state();
    let pid = world.agent_pid().await;
    world.run(&["agent", "stop"]).await.ok();
    let said = refusal(&host).await;
    assert!(said.contains("sealed files are locked") && said.contains("hallpass store unlock"), "{said}");
    world.run(&["status"]).await.fails(7);
    let shown = world.run(&["store", "show", "--json"]).await.fails(7).json();
    assert_eq!((&shown["state"], &shown["store"]), (&"locked".into(), &"sealed-file".into()));
    let wrong =
        world.typing("correct horse battery stapler", &["store", "unlock", "--passphrase-stdin"]).await;
    assert!(wrong.fails(7).err.contains("does not open"));
    assert_eq!(world.state()["grants"], before["grants"], "nobody has to sign in again");
    world.typing(PASSPHRASE, &["store", "unlock", "--passphrase-stdin"]).await.ok();
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
    assert_ne!(world.agent_pid().await, pid);
    let issuer = world.issuer.handle().stats();
    assert_eq!((issuer.families_revoked, issuer.code_exchanges), (0, 1));
}

#[tokio::test]
async fn a_passphrase_can_be_changed_and_a_crash_at_any_moment_leaves_one_that_opens() {
    let world = World::headless().await;
    let login = ["login", SERVER, "--yes", "--store", "sealed-file", "--passphrase-stdin"];
    world.typing(PASSPHRASE, &login).await.ok();
    let change = ["store", "passphrase", "--passphrase-stdin"];
    let next = "four other words entirely";
    let both = |old: &str, new: &str| format!("{old}\n{new}");
    let wrong = world.typing(&both("not the right passphrase", next), &change).await.fails(7);
    assert!(wrong.err.contains("does not open"), "{wrong:?}");
    let short = world.typing(&both(PASSPHRASE, "short"), &change).await.fails(2);
    assert!(short.err.contains("at least 12"), "{short:?}");
    // Dies with all ready and nothing written: the old one opens. Dies when it is written: the new one does.
    let unlock = ["store", "unlock", "--passphrase-stdin"];
    for (point, opens, refused) in
        [("passphrase.ready", PASSPHRASE, next), ("passphrase.changed", next, PASSPHRASE)]
    {
        world.plant_fault(point);
        world.typing(&both(PASSPHRASE, next), &change).await.fails(9);
        world.typing(refused, &unlock).await.fails(7);
        world.typing(opens, &unlock).await.ok();
    }
    world.typing(&both(next, PASSPHRASE), &change).await.ok();
    world.run(&["agent", "stop"]).await.ok();
    world.typing(PASSPHRASE, &unlock).await.ok();
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana", "nobody has to sign in again");
    let wanted = [Wanted::new("old", PASSPHRASE.into()), Wanted::new("new", next.into())];
    let report = scan_sandbox(&world.sandbox, wanted, &[]).unwrap();
    assert_eq!(
        (report.broken(), &report.findings[..]),
        (Vec::<String>::new(), &[][..]),
        "neither lies anywhere"
    );

    let keyed = World::headless_with_ana().await;
    let ran = keyed.typing(&both(PASSPHRASE, next), &change).await.fails(2);
    assert!(ran.err.contains("by no passphrase"), "{ran:?}");
    let other = World::new().await;
    let ran = other.typing(&both(PASSPHRASE, next), &change).await.fails(2);
    assert!(ran.err.contains("your keychain"), "{ran:?}");
}

#[tokio::test]
async fn an_agent_that_was_given_the_passphrase_stays() {
    let world = World::headless().await;
    fs::write(world.root().join("run/idle"), "200").unwrap();
    world.typing(PASSPHRASE, &["store", "use", "sealed-file", "--passphrase-stdin"]).await.ok();
    let pid = world.agent_pid().await;
    // Another agent of the same limit, with nothing to hold, ends: that is the clock here.
    let other = World::headless().await;
    fs::write(other.root().join("run/idle"), "200").unwrap();
    other.run(&["agent", "stop"]).await.ok();
    other.run(&["status"]).await;
    eventually("the end of the idle one", async || {
        (other.run(&["agent", "status"]).await.code == 9).then_some(())
    })
    .await;
    assert_eq!(world.agent_pid().await, pid);
}

#[tokio::test]
async fn a_key_file_asks_nobody_and_without_it_all_is_closed_and_nothing_lost() {
    let world = World::headless_with_ana().await;
    assert!(world.key().is_file());
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    world.run(&["agent", "stop"]).await.ok();
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
    world.run(&["agent", "stop"]).await.ok();
    let (before, aside) = (world.state(), world.key().with_file_name("aside"));
    fs::rename(world.key(), &aside).unwrap();
    let said = refusal(&host).await;
    assert!(said.contains("key file") && !said.contains("hallpass login"), "{said}");
    let login = world.login("ben", &[]).await.fails(7);
    assert!(login.err.contains("key file") && login.err.contains("nothing was lost"), "{login:?}");
    let status = world.run(&["status"]).await.fails(7);
    assert!(status.err.contains("key file"), "{status:?}");
    assert_eq!(world.state()["grants"], before["grants"]);
    fs::rename(&aside, world.key()).unwrap();
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
    let issuer = world.issuer.handle().stats();
    assert_eq!((issuer.families_revoked, issuer.code_exchanges), (0, 1));
}

#[tokio::test]
async fn what_is_stored_moves_both_ways_and_a_crash_in_between_loses_nobody() {
    let world = World::with_ana().await;
    let host = world.host("cursor").await;
    let keychain = world.store();
    let key = world.key().display().to_string();
    let to_files = ["store", "use", "sealed-file", "--key-file", key.as_str()];
    for (point, in_force) in [("store.copied", keychain.as_str()), ("store.recorded", "sealed-file")] {
        world.plant_fault(point);
        assert_ne!(world.run(&to_files).await.code, 0, "{point}");
        assert_eq!(world.store(), in_force);
        assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana", "{point}");
    }
    let doctor = world.run(&["doctor"]).await;
    assert!(doctor.out.contains("copies of sign-ins may still be in"), "{doctor:?}");
    world.run(&to_files).await.ok();
    let doctor = world.run(&["doctor"]).await;
    assert!(!doctor.out.contains("copies of sign-ins"), "{doctor:?}");
    // Nothing is needed of the keychain any more.
    world.sandbox.stop_keychain();
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
    world.sandbox.start_keychain().unwrap();
    let moved = world.run(&["store", "use", "keychain", "--json"]).await.ok().json();
    assert_eq!((&moved["moved"], &moved["left"]), (&1.into(), &serde_json::json!([])), "{moved}");
    assert_eq!((world.store(), world.sealed().exists()), (keychain, false));
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
    let issuer = world.issuer.handle().stats();
    assert_eq!((issuer.families_revoked, issuer.code_exchanges), (0, 1));
}

#[tokio::test]
async fn a_store_that_is_lost_is_left_only_by_starting_over() {
    let world = World::with_ana().await;
    let key = world.key().display().to_string();
    let over = ["store", "use", "sealed-file", "--key-file", key.as_str(), "--start-over"];
    let refused = world.run(&over).await.fails(2);
    assert!(refused.err.contains("can be opened"), "{refused:?}");
    world.run(&["agent", "stop"]).await.ok();
    world.sandbox.stop_keychain();
    let before = world.state();
    let refused = world.run(&over[..5]).await.fails(7);
    assert!(refused.err.contains("--start-over"), "{refused:?}");
    assert_eq!(
        (world.state()["keychain"].clone(), world.sealed().exists()),
        (before["keychain"].clone(), false)
    );
    world.run(&over).await.ok();
    assert_eq!(world.store(), "sealed-file");
    assert_eq!(world.state()["grants"][0]["state"]["state"], "needs_sign_in");
    let host = world.host("cursor").await;
    assert!(refusal(&host).await.contains("hallpass login"));
    world.login("ana", &[]).await.ok();
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
    // The same where the passphrase of sealed files is lost: they are put aside, not removed.
    world.run(&["agent", "stop"]).await.ok();
    fs::write(world.key(), "another key of more than thirty-two bytes").unwrap();
    let started = world.run(&[&over[..], &["--json"]].concat()).await.ok().json();
    let aside = PathBuf::from(started["aside"].as_str().unwrap());
    assert!(aside.join("key.json").is_file(), "{started}");
    world.login("ana", &[]).await.ok();
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
}

#[tokio::test]
async fn an_older_copy_of_a_file_never_acts_and_the_person_signs_in_again() {
    let world = World::headless_with_ana().await;
    let older = fs::read(world.record()).unwrap();
    let host = world.host("cursor").await;
    // Renewed: the issuer has seen the refresh token of the older copy.
    world.issuer.handle().expire_access_tokens();
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    world.run(&["agent", "stop"]).await.ok();
    fs::write(world.record(), &older).unwrap();
    world.issuer.handle().expire_access_tokens();
    eventually("the end of the sign-in", async || {
        refusal(&host).await.contains("hallpass login").then_some(())
    })
    .await;
    let status = world.run(&["status"]).await.fails(4);
    assert!(status.out.contains("needs sign-in"), "{status:?}");
    world.login("ana", &["--account", "ana@corp.example"]).await.ok();
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
    // A copy from before that sign-in belongs to one that is over: its tokens are never used.
    let newer = fs::read(world.record()).unwrap();
    world.run(&["agent", "stop"]).await.ok();
    fs::write(world.record(), &older).unwrap();
    let refreshes = world.issuer.handle().stats().refreshes;
    let said = refusal(&host).await;
    assert!(said.contains("nothing was sent"), "{said}");
    assert_eq!(world.issuer.handle().stats().refreshes, refreshes);
    world.run(&["agent", "stop"]).await.ok();
    fs::write(world.record(), &newer).unwrap();
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
}

#[tokio::test]
async fn a_damaged_file_is_named_kept_and_cured_by_signing_in_again() {
    let world = World::headless_with_ana().await;
    let host = world.host("cursor").await;
    world.run(&["agent", "stop"]).await.ok();
    let path = world.record();
    fs::write(&path, "torn").unwrap();
    let said = refusal(&host).await;
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(said.contains(&name) && said.contains("sign in again"), "{said}");
    world.login("ana", &["--account", "ana@corp.example"]).await.ok();
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
    assert_eq!(fs::read_to_string(&path).unwrap(), "torn", "kept");
}

#[tokio::test]
async fn a_full_disk_loses_no_renewed_token() {
    if !is_inside() {
        return run_inside("sealed_file::a_full_disk_loses_no_renewed_token");
    }
    let world = World::headless().await;
    let disk = small_disk(&world.sealed());
    let key = world.key().display().to_string();
    world.login("ana", &["--store", "sealed-file", "--key-file", &key]).await.ok();
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    let filler = disk.fill();
    world.issuer.handle().expire_access_tokens();
    let said = refusal(&host).await;
    assert!(said.contains("No space left") && !said.contains("hallpass login"), "{said}");
    let refused = world.login("ben", &[]).await.fails(1);
    assert!(refused.err.contains("No space left"), "{refused:?}");
    let stopped = world.run(&["agent", "stop"]).await;
    assert_ne!(stopped.code, 0, "what is only in memory would be lost: {stopped:?}");
    drop(filler);
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
    eventually("the save", async || (world.status().await["agent"]["unsaved"] == 0).then_some(())).await;
    let stats = world.issuer.handle().stats();
    assert_eq!((stats.families_revoked, stats.reuse_detections), (0, 0), "{stats:?}");
}
