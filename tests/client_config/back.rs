//! The way back: byte for byte, or entry by entry where somebody else has been at the file since.

use serde_json::{Value, json};

use super::app_file::{AppFile, CLAUDE, CURSOR, HEADER_TOKEN, one_header};
use crate::support::{SERVER, World};

/// Files of every texture that the apps accept. `@` is the server's address.
const TEXTURES: [(&str, &str, &str); 8] = [
    (
        "CRLF, tabs, comments, trailing commas",
        CURSOR,
        "{\r\n\t// the team's\r\n\t\"mcpServers\": {\r\n\t\t/* old */ \"tracker\": {\r\n\t\t\t\"url\": \"@\", // here\r\n\t\t\t\"headers\": { \"Authorization\": \"Bearer TOKEN\", },\r\n\t\t},\r\n\t},\r\n}\r\n",
    ),
    (
        "a byte order mark",
        CURSOR,
        "\u{feff}{ \"mcpServers\": { \"tracker\": { \"url\": \"@\", \"headers\": { \"Authorization\": \"Bearer TOKEN\" } } } }",
    ),
    ("a byte order mark that the app cannot read", CLAUDE, "\u{feff}{\r\n  \"mcpServers\": {}\r\n}"),
    (
        "one line, no blanks, other members, escapes",
        CLAUDE,
        "{\"a\":1.0e2,\"mcpServers\":{\"tr\\u0061cker\":{\"url\":\"@\",\"headers\":{\"Authorization\":\"Bearer TOKEN\"}}},\"z\":\"\\ud83d\\ude00 é\"}",
    ),
    ("no servers at all", CLAUDE, "{\n    \"globalShortcut\": \"Ctrl+Space\"\n}\n"),
    ("an empty object", CURSOR, "{}"),
    ("an empty file", CURSOR, ""),
    ("blank lines only", CLAUDE, "\n\n"),
];

#[tokio::test]
async fn whatever_the_file_looks_like_restore_gives_back_each_byte() {
    let world = World::with_ana().await;
    for (what, app, text) in TEXTURES {
        let text = text.replace('@', &world.server.endpoint()).replace("TOKEN", HEADER_TOKEN);
        let file = AppFile::with(&world, app, &text);
        world.run(&["apps", "connect", app, "--yes"]).await.ok();
        let changed = file.text();
        assert!(changed.contains("\"bridge\"") && !changed.contains(HEADER_TOKEN), "{what}: {changed}");
        if text.contains("\r\n") {
            assert_eq!(changed.matches('\n').count(), changed.matches("\r\n").count(), "{what}: {changed}");
        }
        let restored = world.run(&["apps", "restore", app, "--yes"]).await.ok();
        assert_eq!(
            restored.out.contains("in plain text"),
            text.contains(HEADER_TOKEN),
            "{what}: {restored:?}"
        );
        assert_eq!(file.text(), text, "{what}");
    }
    println!("{} of {} textures", TEXTURES.len(), TEXTURES.len());
}

#[tokio::test]
async fn a_link_stays_a_link_and_permissions_stay_as_they_were() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::with_ana().await;
    let file = AppFile::of(&world, CURSOR);
    let dotfiles = world.sandbox.home().join("dotfiles/cursor.json");
    std::fs::create_dir_all(dotfiles.parent().unwrap()).unwrap();
    std::fs::write(&dotfiles, one_header(&world)).unwrap();
    std::fs::set_permissions(&dotfiles, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("../dotfiles/cursor.json", &file.path).unwrap();
    let mode = || std::fs::metadata(&dotfiles).unwrap().permissions().mode() & 0o777;
    world.run(&["apps", "connect", CURSOR, "--yes"]).await.ok();
    assert!(file.path.is_symlink());
    assert!(std::fs::read_to_string(&dotfiles).unwrap().contains("\"bridge\""));
    assert_eq!(mode(), 0o640);
    world.run(&["apps", "restore", CURSOR, "--yes"]).await.ok();
    assert!(file.path.is_symlink());
    assert_eq!(std::fs::read_to_string(&dotfiles).unwrap(), one_header(&world));
    assert_eq!(mode(), 0o640);
}

#[tokio::test]
async fn a_file_that_was_not_there_is_made_and_goes_again() {
    let world = World::with_ana().await;
    for (app, name) in [(CLAUDE, "Claude Desktop"), (CURSOR, "Cursor")] {
        let never = world.run(&["apps", "connect", app, "--yes"]).await.fails(1);
        let said = format!("{name} has never been started here");
        assert!(never.err.contains(&said) && never.err.contains("start it once"), "{never:?}");
        let file = AppFile::of(&world, app);
        let plan = world.run(&["apps", "restore", app, "--yes", "--json"]).await.ok().json();
        assert_eq!(plan["empty"], true);
        world.run(&["apps", "connect", app, "--yes"]).await.ok();
        assert_eq!(file.entry(SERVER)["args"][2], app);
        world.run(&["apps", "disconnect", app, "--yes"]).await.ok();
        assert!(!file.path.exists(), "{app}");
    }
}

#[tokio::test]
async fn after_edits_by_others_only_our_entries_go_back() {
    let world = World::with_ana().await;
    let file = AppFile::with(&world, CURSOR, &one_header(&world));
    world.run(&["apps", "connect", CURSOR, "--yes"]).await.ok();
    let mut edited: Value = serde_json::from_str(&file.text()).unwrap();
    edited["mcpServers"]["added"] = json!({ "command": "uvx", "args": ["mcp-server-time"] });
    edited["setting"] = json!(true);
    file.write(&serde_json::to_string_pretty(&edited).unwrap());
    world.run(&["apps", "restore", CURSOR, "--yes"]).await.ok();
    let original: Value = serde_json::from_str(&one_header(&world)).unwrap();
    edited["mcpServers"]["tracker"] = original["mcpServers"]["tracker"].clone();
    assert_eq!(serde_json::from_str::<Value>(&file.text()).unwrap(), edited);
    // Nothing of ours is left, so nothing more is to be done.
    let again = world.run(&["apps", "restore", CURSOR, "--yes", "--json"]).await.ok().json();
    assert_eq!(again["empty"], true, "{again}");
}

#[tokio::test]
async fn an_entry_of_ours_that_was_edited_by_hand_is_left_and_reported() {
    let world = World::with_ana().await;
    let file = AppFile::with(&world, CURSOR, &one_header(&world));
    world.run(&["apps", "connect", CURSOR, "--yes"]).await.ok();
    let mut edited: Value = serde_json::from_str(&file.text()).unwrap();
    edited["mcpServers"]["tracker"]["env"] = json!({ "LANG": "C" });
    let edited = serde_json::to_string(&edited).unwrap();
    file.write(&edited);
    for verb in ["restore", "connect"] {
        let said = world.run(&["apps", verb, CURSOR, "--yes"]).await.ok();
        assert!(
            said.out.contains("CANNOT CHANGE tracker") && said.out.contains("edited"),
            "{verb}: {said:?}"
        );
        assert_eq!(file.text(), edited, "{verb}");
    }
    // Its original is kept for the day when the person undoes the edit.
    let mut undone: Value = serde_json::from_str(&edited).unwrap();
    undone["mcpServers"]["tracker"].as_object_mut().unwrap().remove("env");
    file.write(&serde_json::to_string(&undone).unwrap());
    world.run(&["apps", "restore", CURSOR, "--yes"]).await.ok();
    let original: Value = serde_json::from_str(&one_header(&world)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&file.text()).unwrap(), original);
}
