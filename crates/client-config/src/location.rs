//! Finds an app's files. The system and its variables are values, so each system's rules run on all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use platform::Os;

use crate::client_app::{Base, ClientApp, Place, Presence};

/// What decides where files lie: the home folder and variables, handed in by the caller's process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocationEnv {
    home: PathBuf,
    project: Option<PathBuf>,
    variables: BTreeMap<String, String>,
}

/// One place where an app's file can lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The file.
    pub path: PathBuf,
    /// Why there, for people.
    pub reason: String,
    /// It is there.
    pub exists: bool,
    /// The one that the app reads, as far as can be told. None is preferred where only the person knows.
    pub preferred: bool,
    /// Whose it is.
    pub scope: Scope,
}

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The person's.
    User,
    /// A project's, shared with colleagues on whose machines our path does not exist. Never planned for.
    Project,
}

impl LocationEnv {
    /// The variables that may be handed in; all others are dropped.
    pub const ALLOWED: [&'static str; 3] = ["APPDATA", "LOCALAPPDATA", "XDG_CONFIG_HOME"];

    /// Takes the home folder and, of the variables, the allowed ones that hold an absolute path.
    pub fn new(home: &Path, variables: &BTreeMap<String, String>) -> Self {
        let allowed = |name: &str| Self::ALLOWED.contains(&name);
        let variables = variables
            .iter()
            .filter(|(name, value)| allowed(name) && is_absolute(value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Self { home: home.to_owned(), project: None, variables }
    }

    /// Looks into this project as well.
    #[must_use]
    pub fn with_project(mut self, project: &Path) -> Self {
        self.project = Some(project.to_owned());
        self
    }

    fn variable(&self, name: &str) -> Option<PathBuf> {
        self.variables.get(name).map(PathBuf::from)
    }

    fn local_app_data(&self) -> PathBuf {
        self.variable("LOCALAPPDATA").unwrap_or_else(|| self.home.join("AppData").join("Local"))
    }

    /// The folders that a base stands for: none, one, or one for each package.
    fn bases(&self, base: Base) -> Vec<PathBuf> {
        match base {
            Base::Home => vec![self.home.clone()],
            Base::AppData => {
                vec![self.variable("APPDATA").unwrap_or_else(|| self.home.join("AppData").join("Roaming"))]
            }
            Base::Package(prefix) => folders_starting_with(&self.local_app_data().join("Packages"), prefix),
            Base::XdgConfig => {
                vec![self.variable("XDG_CONFIG_HOME").unwrap_or_else(|| self.home.join(".config"))]
            }
            Base::Project => self.project.iter().cloned().collect(),
        }
    }
}

/// Lists where the files of `app` can lie, the most likely first. Looks at folders, changes nothing.
pub fn locate(os: Os, env: &LocationEnv, app: &ClientApp) -> Vec<Located> {
    let mut found: Vec<(Base, Located)> = Vec::new();
    for place in app.places.iter().filter(|place| place.os == os) {
        for base in env.bases(place.base) {
            let located = at(place, &base);
            let folder = located.path.parent().is_some_and(Path::is_dir);
            let shown = place.presence == Presence::Always || folder;
            if shown && !found.iter().any(|(_, other)| other.path == located.path) {
                found.push((place.base, located));
            }
        }
    }
    prefer(&mut found, env);
    found.into_iter().map(|(_, located)| located).collect()
}

fn at(place: &Place, base: &Path) -> Located {
    let path = place.path.iter().fold(base.to_owned(), |path, part| path.join(part));
    Located {
        exists: path.exists(),
        path,
        reason: place.reason.to_owned(),
        preferred: false,
        scope: if place.base == Base::Project { Scope::Project } else { Scope::User },
    }
}

/// Marks the file that the app reads: the packaged app's before the older install's; nothing where two
/// installs stand side by side, since then only the person knows which one is used.
fn prefer(found: &mut [(Base, Located)], env: &LocationEnv) {
    let packages = found.iter().filter(|(base, _)| matches!(base, Base::Package(_))).count();
    let older_install = env.local_app_data().join("AnthropicClaude").join("claude.exe").exists();
    if packages > 1 || (packages == 1 && older_install) {
        for (_, located) in found.iter_mut().filter(|(_, located)| located.scope == Scope::User) {
            located.reason.push_str("; several installs were found: choose the one that you use");
        }
        return;
    }
    if let Some((_, first)) = found.iter_mut().find(|(_, located)| located.scope == Scope::User) {
        first.preferred = true;
    }
}

fn folders_starting_with(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

/// Absolute on any system: the rules of one are tested on another.
fn is_absolute(path: &str) -> bool {
    let bytes = path.as_bytes();
    path.starts_with('/')
        || path.starts_with(r"\\")
        || (bytes.len() > 2
            && bytes[0].is_ascii_alphabetic()
            && bytes[1] == b':'
            && matches!(bytes[2], b'\\' | b'/'))
}
