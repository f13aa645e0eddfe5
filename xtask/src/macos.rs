//! Type-checks and lints the workspace for macOS on a Debian machine. Nothing is linked or run: that takes Apple's
//! libraries. C parts are compiled by zig, which brings the headers that it needs.

use std::path::PathBuf;
use std::process::Command;

use crate::windows::{self, write};
use crate::{command, paths, report, setup};

/// Runs it.
pub(crate) fn check() -> Result<(), String> {
    setup::for_other_systems()?;
    let zig = Zig { folder: paths::target().join("macos-cross") };
    zig.install()?;
    report::step("the workspace, for macOS", || command::run(&mut zig.clippy()))
}

const TARGET: &str = "aarch64-apple-darwin";
const ZIG: &str = "ziglang==0.17.0";

/// zig as C compiler, without the flags that it does not take.
const COMPILER: &str = r#"#!/bin/sh
skip=0
for word in "$@"; do
  shift
  if [ $skip = 1 ]; then skip=0; continue; fi
  case $word in
    -arch) skip=1 ;;
    -mmacosx-version-min=* | -gfull | --target=*) ;;
    *) set -- "$@" "$word" ;;
  esac
done
exec "$ZIG_PYTHON" -m ziglang cc -target aarch64-macos "$@"
"#;

const ARCHIVER: &str = "#!/bin/sh\nexec \"$ZIG_PYTHON\" -m ziglang ar \"$@\"\n";

struct Zig {
    folder: PathBuf,
}

impl Zig {
    fn python(&self) -> PathBuf {
        self.folder.join("zig/bin/python")
    }

    /// Installs zig from PyPI, once per version.
    fn install(&self) -> Result<(), String> {
        let scripts = [("cc", COMPILER), ("ar", ARCHIVER)];
        for (name, script) in scripts {
            let path = self.folder.join(name);
            write(&path, script)?;
            command::run(Command::new("chmod").arg("755").arg(&path))?;
        }
        let stamp = self.folder.join("zig/installed");
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == ZIG) {
            return Ok(());
        }
        report::step(&format!("pip installs {ZIG}"), || {
            command::run(Command::new("python3").args(["-m", "venv"]).arg(self.folder.join("zig")))?;
            command::run(Command::new(self.python()).args(["-m", "pip", "install", "--quiet", ZIG]))?;
            write(&stamp, ZIG)
        })
    }

    fn clippy(&self) -> Command {
        let mut clippy = windows::clippy();
        clippy.args(["-Zbuild-std=std,panic_unwind", "--target", TARGET, "--workspace"]);
        // The benchmark is made of what only Linux has.
        clippy.args(["--exclude", "xtask", "--exclude", "hallpass-bench"]);
        clippy.args(["--", "-D", "warnings"]).env("RUSTC_BOOTSTRAP", "1");
        clippy.env("CARGO_TARGET_DIR", self.folder.join("target")).env("ZIG_PYTHON", self.python());
        clippy.env("CC_aarch64_apple_darwin", self.folder.join("cc"));
        clippy.env("AR_aarch64_apple_darwin", self.folder.join("ar"));
        clippy
    }
}
