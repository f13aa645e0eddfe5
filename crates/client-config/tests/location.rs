//! Where files are looked for: the rules of three systems, all run on this one.
#![allow(clippy::unwrap_used, reason = "what helps a test may panic as the test may")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hallpass_client_config::{CLIENT_APPS, ClientApp, Located, LocationEnv, Scope, locate};
use platform::Os;

fn app(id: &str) -> &'static ClientApp {
    CLIENT_APPS.iter().find(|app| app.id == id).unwrap()
}

fn variables(pairs: &[(&str, &Path)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, path)| ((*name).to_owned(), path.to_str().unwrap().to_owned())).collect()
}

fn touch(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, "{}").unwrap();
}

fn relative(found: &[Located], home: &Path) -> Vec<(String, bool, bool)> {
    let name = |path: &PathBuf| path.strip_prefix(home).unwrap().to_str().unwrap().replace('\\', "/");
    found.iter().map(|l| (name(&l.path), l.exists, l.preferred)).collect()
}

#[test]
fn each_system_has_its_places_without_any_variable() {
    let home = tempfile::tempdir().unwrap();
    let env = LocationEnv::new(home.path(), &BTreeMap::new());
    for (id, os, expected) in [
        ("claude-desktop", Os::Linux, ".config/Claude/claude_desktop_config.json"),
        ("claude-desktop", Os::MacOs, "Library/Application Support/Claude/claude_desktop_config.json"),
        ("claude-desktop", Os::Windows, "AppData/Roaming/Claude/claude_desktop_config.json"),
        ("cursor", Os::Linux, ".cursor/mcp.json"),
        ("cursor", Os::MacOs, ".cursor/mcp.json"),
        ("cursor", Os::Windows, ".cursor/mcp.json"),
    ] {
        let found = locate(os, &env, app(id));
        assert_eq!(relative(&found, home.path()), [(expected.to_owned(), false, true)], "{id} on {os}");
        touch(&found[0].path);
        assert!(locate(os, &env, app(id))[0].exists);
        std::fs::remove_file(&found[0].path).unwrap();
        std::fs::remove_dir(found[0].path.parent().unwrap()).unwrap();
    }
}

#[test]
fn variables_move_the_places_and_only_allowed_absolute_ones_count() {
    let home = tempfile::tempdir().unwrap();
    let (config, roaming) = (home.path().join("elsewhere"), home.path().join("Roaming"));
    let env = LocationEnv::new(
        home.path(),
        &variables(&[("XDG_CONFIG_HOME", &config), ("APPDATA", &roaming), ("HOME", Path::new("/nowhere"))]),
    );
    let claude = app("claude-desktop");
    assert_eq!(locate(Os::Linux, &env, claude)[0].path, config.join("Claude/claude_desktop_config.json"));
    assert_eq!(locate(Os::Windows, &env, claude)[0].path, roaming.join("Claude/claude_desktop_config.json"));
    let relative = LocationEnv::new(home.path(), &variables(&[("XDG_CONFIG_HOME", Path::new("relative"))]));
    assert!(locate(Os::Linux, &relative, claude)[0].path.starts_with(home.path().join(".config")));
    // The file of an app that was started without the variable is reported too, but not preferred.
    touch(&home.path().join(".config/Claude/claude_desktop_config.json"));
    let both = locate(Os::Linux, &env, claude);
    assert_eq!(
        both.iter().map(|l| (l.exists, l.preferred)).collect::<Vec<_>>(),
        [(false, true), (true, false)]
    );
}

#[test]
fn the_packaged_claude_comes_first_and_two_installs_are_for_the_person_to_choose() {
    let home = tempfile::tempdir().unwrap();
    let (local, roaming) = (home.path().join("AppData/Local"), home.path().join("AppData/Roaming"));
    let env = LocationEnv::new(home.path(), &variables(&[("LOCALAPPDATA", &local), ("APPDATA", &roaming)]));
    let claude = app("claude-desktop");
    let package =
        "AppData/Local/Packages/Claude_pzs8sxrjxfjjc/LocalCache/Roaming/Claude/claude_desktop_config.json";
    let plain = "AppData/Roaming/Claude/claude_desktop_config.json";
    std::fs::create_dir_all(local.join("Packages/Microsoft.Other_x")).unwrap();
    std::fs::create_dir_all(local.join("Packages/Claude_pzs8sxrjxfjjc")).unwrap();
    touch(&home.path().join(plain));
    assert_eq!(
        relative(&locate(Os::Windows, &env, claude), home.path()),
        [(package.to_owned(), false, true), (plain.to_owned(), true, false)]
    );
    touch(&home.path().join(package));
    assert_eq!(
        relative(&locate(Os::Windows, &env, claude), home.path()),
        [(package.to_owned(), true, true), (plain.to_owned(), true, false)]
    );
    touch(&local.join("AnthropicClaude/claude.exe"));
    let found = locate(Os::Windows, &env, claude);
    assert!(found.iter().all(|l| !l.preferred && l.reason.contains("several installs")));
    std::fs::remove_file(local.join("AnthropicClaude/claude.exe")).unwrap();
    std::fs::create_dir_all(local.join("Packages/Claude_other")).unwrap();
    let found = locate(Os::Windows, &env, claude);
    assert_eq!((found.len(), found.iter().filter(|l| l.preferred).count()), (3, 0));
}

#[test]
fn a_second_build_is_reported_where_its_folder_is() {
    let home = tempfile::tempdir().unwrap();
    let env = LocationEnv::new(home.path(), &BTreeMap::new());
    touch(&home.path().join("Library/Application Support/Claude-3p/claude_desktop_config.json"));
    let found = locate(Os::MacOs, &env, app("claude-desktop"));
    assert_eq!(
        found.iter().map(|l| (l.exists, l.preferred)).collect::<Vec<_>>(),
        [(false, true), (true, false)]
    );
}

#[test]
fn a_project_file_is_shown_only_when_asked_for_and_never_preferred() {
    let home = tempfile::tempdir().unwrap();
    let project = home.path().join("work/project");
    touch(&project.join(".cursor/mcp.json"));
    let env = LocationEnv::new(home.path(), &BTreeMap::new());
    for os in Os::ALL {
        assert_eq!(locate(os, &env, app("cursor")).len(), 1);
        let found = locate(os, &env.clone().with_project(&project), app("cursor"));
        let scopes: Vec<_> = found.iter().map(|l| (l.scope, l.preferred)).collect();
        assert_eq!(scopes, [(Scope::User, true), (Scope::Project, false)]);
    }
}
