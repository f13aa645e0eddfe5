//! The entry that starts the tray when the person logs in to the computer.
//!
//! Linux: `autostart/<name>.desktop` in the folder of configurations (Desktop Application Autostart Specification),
//! written here, since its `Exec` has rules of its own for every character that a path can hold. Windows: a value
//! below `Run` of this user. macOS: a launch agent of this user.

use std::path::{Path, PathBuf};

use auto_launch::{AutoLaunchBuilder, WindowsEnableMode};
use platform::Root;
use platform::os::Os;

/// Puts the entry there or takes it away; what is so already is left as it is, with what a person or their desktop
/// changed about it.
pub(crate) fn set(root: &Root, wanted: bool) -> Result<(), String> {
    let program = crate::executable::this();
    match Os::current() {
        Os::Linux => {
            let file = entry_file(root, std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from));
            if wanted { put(&file, &program) } else { take_away(&file) }
        }
        Os::Windows | Os::MacOs => elsewhere(&program, wanted),
    }
}

fn elsewhere(program: &Path, wanted: bool) -> Result<(), String> {
    let program = text(program)?;
    // Windows reads one line, where a path with spaces is several words.
    let program = if Os::current() == Os::Windows { format!("\"{program}\"") } else { program.to_owned() };
    let mut entry = AutoLaunchBuilder::new();
    entry.set_app_name(ENTRY_NAME).set_app_path(&program).set_args(&[crate::HIDDEN]);
    // Of this person, also where this person may write for all.
    entry.set_windows_enable_mode(WindowsEnableMode::CurrentUser);
    let entry = entry.build().map_err(|error| error.to_string())?;
    let is = entry.is_enabled().map_err(|error| error.to_string())?;
    let done = match (wanted, is) {
        // Written anew each time: this program may have moved.
        (true, _) => entry.enable(),
        (false, true) => entry.disable(),
        (false, false) => Ok(()),
    };
    done.map_err(|error| error.to_string())
}

fn entry_file(root: &Root, config: Option<PathBuf>) -> PathBuf {
    // A relative one is to be ignored (XDG Base Directory Specification).
    let config = config.filter(|path| path.is_absolute());
    let home = root.path().parent().unwrap_or(root.path());
    let folder = config.unwrap_or_else(|| home.join(".config")).join("autostart");
    folder.join(format!("{ENTRY_NAME}.desktop"))
}

fn put(file: &Path, program: &Path) -> Result<(), String> {
    let program = text(program)?;
    let exec = format!("Exec={} {}\n", exec_program(program)?, crate::HIDDEN);
    if std::fs::read_to_string(file).is_ok_and(|there| there.contains(&exec)) {
        return Ok(());
    }
    // An entry whose program is gone says nothing (`TryExec`).
    let entry = format!(
        "[Desktop Entry]\nType=Application\nName={ENTRY_NAME}\nComment=Hallpass in the tray\n{exec}TryExec={}\n\
         Terminal=false\nStartupNotify=false\n",
        value(program)
    );
    let folder = file.parent().unwrap_or(file);
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    platform::file::write_private(file, entry.as_bytes()).map_err(|error| error.to_string())
}

fn take_away(file: &Path) -> Result<(), String> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {error}", file.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The program of `Exec`. GLib looks for it before it makes one `%` of two, so it would not find one with that in its
/// path; an argument of `env` it does not look for.
fn exec_program(program: &str) -> Result<String, String> {
    let word = exec_word(program)?;
    Ok(if program.contains('%') { format!("env {word}") } else { word })
}

/// One word of `Exec`: in double quotes, in which four characters are escaped, and `%` is doubled; then escaped as
/// every value is (Desktop Entry Specification, "The Exec key").
fn exec_word(word: &str) -> Result<String, String> {
    if word.contains(char::is_control) {
        return Err(format!("a path with control characters cannot stand in such an entry: {word:?}"));
    }
    let mut quoted = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '`' | '$' | '\\' => quoted.extend(['\\', c]),
            '%' => quoted.push_str("%%"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    Ok(value(&quoted))
}

/// A value of type string: the backslash is escaped.
fn value(text: &str) -> String {
    text.replace('\\', "\\\\")
}

fn text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("the path of this program is not text: {}", path.display()))
}

/// Other programs and people see this name. A build outside the release channel has its own.
const ENTRY_NAME: &str = if platform::CHANNEL_IS_RELEASE { "Hallpass" } else { "Hallpass-dev" };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_one_word_of_exec() {
        for (path, word) in [
            ("/usr/bin/hallpass-desktop", r#""/usr/bin/hallpass-desktop""#),
            ("/opt/my apps/Hallpass", r#""/opt/my apps/Hallpass""#),
            ("/opt/50%/$HOME/`id`/a\"b", r#""/opt/50%%/\\$HOME/\\`id\\`/a\\"b""#),
            (r"/opt/back\slash", r#""/opt/back\\\\slash""#),
            ("/opt/it's; rm -rf ~ & #(x)|>*?<é", r#""/opt/it's; rm -rf ~ & #(x)|>*?<é""#),
        ] {
            assert_eq!(exec_word(path).unwrap(), word);
        }
        assert!(exec_word("/opt/a\nExec=evil").is_err());
        assert_eq!(exec_program("/opt/a b").unwrap(), r#""/opt/a b""#);
        assert_eq!(exec_program("/opt/50% off").unwrap(), r#"env "/opt/50%% off""#);
    }

    #[test]
    fn on_and_off_say_the_same_twice_and_leave_alone_what_a_desktop_changed() {
        let home = tempfile::tempdir().unwrap();
        let root = Root::below(home.path());
        let file = entry_file(&root, None);
        assert_eq!(file, home.path().join(format!(".config/autostart/{ENTRY_NAME}.desktop")));
        take_away(&file).unwrap();
        put(&file, Path::new("/opt/my apps/hallpass")).unwrap();
        let first = std::fs::read_to_string(&file).unwrap();
        assert!(first.contains("\nExec=\"/opt/my apps/hallpass\" --hidden\n"), "{first}");
        assert!(first.contains("\nTryExec=/opt/my apps/hallpass\n"), "{first}");
        put(&file, Path::new("/opt/my apps/hallpass")).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), first);
        let changed = format!("{first}X-GNOME-Autostart-enabled=false\n");
        std::fs::write(&file, &changed).unwrap();
        put(&file, Path::new("/opt/my apps/hallpass")).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), changed);
        put(&file, Path::new("/opt/elsewhere/hallpass")).unwrap();
        let moved = std::fs::read_to_string(&file).unwrap();
        assert!(moved.contains("\nExec=\"/opt/elsewhere/hallpass\" --hidden\n"), "{moved}");
        take_away(&file).unwrap();
        take_away(&file).unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn the_folder_of_configurations_may_be_elsewhere_but_not_relative() {
        let root = Root::below(Path::new("/home/ana"));
        let in_folder = |config: Option<&str>| entry_file(&root, config.map(PathBuf::from));
        assert!(in_folder(Some("/etc/xdg-of-ana")).starts_with("/etc/xdg-of-ana/autostart"));
        assert!(in_folder(Some("relative")).starts_with("/home/ana/.config/autostart"));
        assert!(in_folder(Some("")).starts_with("/home/ana/.config/autostart"));
    }

    #[test]
    fn a_folder_that_takes_nothing_is_named() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(".config"), "a file").unwrap();
        let file = entry_file(&Root::below(home.path()), None);
        let why = put(&file, Path::new("/opt/hallpass")).unwrap_err();
        assert!(why.contains("autostart"), "{why}");
    }
}
