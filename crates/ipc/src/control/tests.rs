//! The messages as they stand on the wire, letter by letter: an older window and a newer agent meet here.

use std::fmt::Debug;
use std::num::NonZeroU16;

use model::{AccountId, LoopbackHost, UnixTime};
use serde::de::DeserializeOwned;

use super::*;
use crate::ErrorCode;

fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, json: &str) {
    assert_eq!(serde_json::to_string(value).unwrap(), json);
    assert_eq!(serde_json::from_str::<T>(json).unwrap(), *value);
}

/// What an older or terser caller sends.
#[track_caller]
fn read<T: DeserializeOwned + PartialEq + Debug>(json: &str, value: &T) {
    assert_eq!(serde_json::from_str::<T>(json).unwrap(), *value, "{json}");
}

fn server(id: &str) -> ServerId {
    ServerId::parse(id).unwrap()
}

fn ana() -> AccountView {
    AccountView {
        id: AccountId::parse("a1").unwrap(),
        label: "ana".into(),
        name: None,
        email: Some("ana@acme.example".into()),
        email_verified: true,
        organization: None,
        issuer: "https://login.acme.example".into(),
        subject: Some("7".into()),
        proof: model::ProofKind::IdToken,
        proven_at: UnixTime(1000),
        servers: vec![server("jira")],
        pasted: Vec::new(),
    }
}

const ANA: &str = concat!(
    r#"{"id":"a1","label":"ana","name":null,"email":"ana@acme.example","email_verified":true,"organization":null,"#,
    r#""issuer":"https://login.acme.example","subject":"7","proof":"id_token","proven_at":1000,"servers":["jira"],"pasted":[]}"#,
);

#[test]
fn requests_without_options_on_the_wire() {
    let jira = || server("jira");
    for (request, json) in [
        (Request::Status, r#"{"verb":"status"}"#.to_owned()),
        (Request::Watch, r#"{"verb":"watch"}"#.to_owned()),
        (Request::ListServers, r#"{"verb":"list_servers"}"#.to_owned()),
        (Request::ShowServer { server: jira() }, r#"{"verb":"show_server","server":"jira"}"#.to_owned()),
        (Request::TestServer { server: jira() }, r#"{"verb":"test_server","server":"jira"}"#.to_owned()),
        (
            Request::RenameServer { server: jira(), label: "Jira".into() },
            r#"{"verb":"rename_server","server":"jira","label":"Jira"}"#.to_owned(),
        ),
        (
            Request::PauseServer { server: jira(), paused: true },
            r#"{"verb":"pause_server","server":"jira","paused":true}"#.to_owned(),
        ),
        (
            Request::TrustServer { server: jira(), ca: Some("pem".into()) },
            r#"{"verb":"trust_server","server":"jira","ca":"pem"}"#.to_owned(),
        ),
        (
            Request::GiveClientSecret { server: jira(), secret: "s".into() },
            r#"{"verb":"give_client_secret","server":"jira","secret":"s"}"#.to_owned(),
        ),
        (
            Request::UnlockStore { passphrase: Some("p".into()) },
            r#"{"verb":"unlock_store","passphrase":"p"}"#.to_owned(),
        ),
        (Request::RemoveServer { server: jira() }, r#"{"verb":"remove_server","server":"jira"}"#.to_owned()),
        (Request::ReadPaste { text: "x".into() }, r#"{"verb":"read_paste","text":"x"}"#.to_owned()),
        (
            Request::FindServers { location: BTreeMap::from([("APPDATA".into(), "C:".into())]) },
            r#"{"verb":"find_servers","location":{"APPDATA":"C:"}}"#.to_owned(),
        ),
        (
            Request::ConfirmSignIn { sign_in: SignInId(3), yes: true },
            r#"{"verb":"confirm_sign_in","sign_in":3,"yes":true}"#.to_owned(),
        ),
        (
            Request::PasteCallback { sign_in: SignInId(3), url: "u".into() },
            r#"{"verb":"paste_callback","sign_in":3,"url":"u"}"#.to_owned(),
        ),
        (
            Request::CancelSignIn { sign_in: SignInId(3) },
            r#"{"verb":"cancel_sign_in","sign_in":3}"#.to_owned(),
        ),
        (Request::ListAccounts, r#"{"verb":"list_accounts"}"#.to_owned()),
        (
            Request::RenameAccount { account: "a1".into(), label: "ana".into() },
            r#"{"verb":"rename_account","account":"a1","label":"ana"}"#.to_owned(),
        ),
        (
            Request::RemoveAccount { account: "a1".into() },
            r#"{"verb":"remove_account","account":"a1"}"#.to_owned(),
        ),
        (Request::ListProfiles, r#"{"verb":"list_profiles"}"#.to_owned()),
        (Request::UseProfile { name: "Work".into() }, r#"{"verb":"use_profile","name":"Work"}"#.to_owned()),
        (
            Request::DeleteProfile { name: "Work".into() },
            r#"{"verb":"delete_profile","name":"Work"}"#.to_owned(),
        ),
        (
            Request::PlanPresetUpdate {
                preset: "com.acme/dev".into(),
                bring_back: vec!["com.acme/tickets".into()],
            },
            r#"{"verb":"plan_preset_update","preset":"com.acme/dev","bring_back":["com.acme/tickets"]}"#
                .to_owned(),
        ),
        (
            Request::PlanPresetUpdate { preset: "com.acme/dev".into(), bring_back: Vec::new() },
            r#"{"verb":"plan_preset_update","preset":"com.acme/dev","bring_back":[]}"#.to_owned(),
        ),
        (Request::ApplyPreset { digest: "d".into() }, r#"{"verb":"apply_preset","digest":"d"}"#.to_owned()),
        (Request::ListPresets, r#"{"verb":"list_presets"}"#.to_owned()),
        (
            Request::RemovePreset { preset: "com.acme/dev".into() },
            r#"{"verb":"remove_preset","preset":"com.acme/dev"}"#.to_owned(),
        ),
        (
            Request::ChangeSettings { settings: SettingsView::default() },
            concat!(
                r#"{"verb":"change_settings","settings":{"keep_in_tray":true,"start_at_login":false,"#,
                r#""notify":true,"theme":"system"}}"#
            )
            .to_owned(),
        ),
        (Request::ListApps { location: BTreeMap::new() }, r#"{"verb":"list_apps","location":{}}"#.to_owned()),
        (Request::ApplyPlan { digest: "d".into() }, r#"{"verb":"apply_plan","digest":"d"}"#.to_owned()),
        (Request::Doctor, r#"{"verb":"doctor"}"#.to_owned()),
        (Request::Stop, r#"{"verb":"stop"}"#.to_owned()),
    ] {
        same(&request, &json);
    }
    same(&Call { id: 7, request: Request::Status }, r#"{"id":7,"request":{"verb":"status"}}"#);
    read(r#"{"verb":"from_the_future","x":1}"#, &Request::Unknown);
}

#[test]
fn what_a_request_may_leave_out() {
    let jira = || server("jira");
    read(
        r#"{"verb":"record_environment"}"#,
        &Request::RecordEnvironment { dbus_address: None, proxies: None },
    );
    read(
        r#"{"verb":"add_server","url":"https://a.example/mcp"}"#,
        &Request::AddServer(NewServer { url: "https://a.example/mcp".into(), ..NewServer::default() }),
    );
    read(
        r#"{"verb":"set_sign_in","server":"jira","redirect":{"port":4711,"host":"localhost"}}"#,
        &Request::SetSignIn {
            server: jira(),
            redirect: LoopbackSetting { port: NonZeroU16::new(4711), host: LoopbackHost::Localhost },
            parameters: BTreeMap::new(),
            except: Exceptions::default(),
            metadata_url: None,
        },
    );
    read(
        r#"{"verb":"begin_sign_in","server":"jira","approval":"ask","timeout":600}"#,
        &Request::BeginSignIn {
            server: jira(),
            account: None,
            expect: None,
            label: None,
            select: false,
            approval: Approval::Ask,
            same_person: false,
            login_hint: None,
            way: SignInWay::Browser,
            anew: false,
            timeout: 600,
        },
    );
    read(
        r#"{"verb":"sign_out","server":"jira"}"#,
        &Request::SignOut { server: jira(), account: None, all: false, keep_upstream: false },
    );
    read(
        r#"{"verb":"use_account","server":"jira"}"#,
        &Request::UseAccount { server: jira(), account: None, app: None, follow_selection: false },
    );
    read(
        r#"{"verb":"create_profile","name":"Work"}"#,
        &Request::CreateProfile { name: "Work".into(), replace: false },
    );
    read(
        r#"{"verb":"change_profile","name":"Work","server":"jira"}"#,
        &Request::ChangeProfile { name: "Work".into(), server: jira(), account: None },
    );
    read(
        r#"{"verb":"plan_preset","source":"https://a.example/l.json"}"#,
        &Request::PlanPreset { source: "https://a.example/l.json".into(), key: None, ca: None },
    );
    read(
        r#"{"verb":"change_settings","settings":{"theme":"dark"}}"#,
        &Request::ChangeSettings {
            settings: SettingsView { theme: model::Theme::Dark, ..SettingsView::default() },
        },
    );
    let cursor = || ClientAppId::parse("cursor").unwrap();
    read(
        r#"{"verb":"plan_connect","app":"cursor","location":{}}"#,
        &Request::PlanConnect { app: cursor(), location: BTreeMap::new(), servers: None, account: None },
    );
    read(
        r#"{"verb":"plan_restore","app":"cursor","location":{}}"#,
        &Request::PlanRestore { app: cursor(), location: BTreeMap::new() },
    );
    for bad in
        [r#"{"verb":"use_profile"}"#, r#"{"verb":"pause_server","server":"jira"}"#, r#"{"name":"Work"}"#]
    {
        assert!(serde_json::from_str::<Request>(bad).is_err(), "{bad}");
    }
}

#[test]
fn answers_on_the_wire() {
    same(&Response::Done, r#"{"kind":"done"}"#);
    same(&Response::SignIn { sign_in: SignInId(3) }, r#"{"kind":"sign_in","sign_in":3}"#);
    same(&Response::Servers { servers: Vec::new() }, r#"{"kind":"servers","servers":[]}"#);
    same(
        &Response::Accounts { accounts: vec![ana()] },
        &format!(r#"{{"kind":"accounts","accounts":[{ANA}]}}"#),
    );
    same(
        &Response::SignedOut(SignedOutView {
            signed_out: vec![(server("jira"), "ana".into())],
            pending: 1,
            not_revocable: 0,
            refused: 1,
            unreadable: 0,
            vouched: 2,
            pasted: 0,
        }),
        r#"{"kind":"signed_out","signed_out":[["jira","ana"]],"pending":1,"not_revocable":0,"refused":1,"unreadable":0,"vouched":2,"pasted":0}"#,
    );
    let switch = || SwitchView {
        server: server("jira"),
        app: None,
        account: Some(ana()),
        needs_sign_in: false,
        acknowledged: 2,
        cut_off: 0,
    };
    let switched = format!(
        r#""server":"jira","app":null,"account":{ANA},"needs_sign_in":false,"acknowledged":2,"cut_off":0}}"#
    );
    same(&Response::Switched(Box::new(switch())), &format!(r#"{{"kind":"switched",{switched}"#));
    same(
        &Response::ProfileUsed(Box::new(ProfileUsedView {
            profile: "Work".into(),
            changed: vec![switch()],
            acknowledged: 2,
            cut_off: 0,
        })),
        &format!(
            r#"{{"kind":"profile_used","profile":"Work","changed":[{{{switched}],"acknowledged":2,"cut_off":0}}"#
        ),
    );
    same(
        &Response::Profiles {
            profiles: vec![ProfileView {
                name: "Work".into(),
                selection: BTreeMap::from([(server("jira"), AccountId::parse("a1").unwrap())]),
                in_use: true,
            }],
        },
        r#"{"kind":"profiles","profiles":[{"name":"Work","selection":{"jira":"a1"},"in_use":true}]}"#,
    );
    same(
        &Response::Settings(SettingsView::default()),
        r#"{"kind":"settings","keep_in_tray":true,"start_at_login":false,"notify":true,"theme":"system"}"#,
    );
    same(
        &Response::Pasted(Box::new(PastedView { read_as: "a URL".into(), ..PastedView::default() })),
        r#"{"kind":"pasted","read_as":"a URL","servers":[],"lists":[],"problem":null}"#,
    );
    same(
        &Response::Found {
            servers: vec![FoundServerView {
                name: "acme".into(),
                url: Some("https://a.example/mcp".into()),
                headers: BTreeMap::new(),
                apps: vec![ClientAppId::parse("cursor").unwrap()],
                secrets: vec!["GitHub token in headers.Authorization".into()],
                server: None,
                problem: None,
            }],
        },
        concat!(
            r#"{"kind":"found","servers":[{"name":"acme","url":"https://a.example/mcp","headers":{},"apps":["cursor"],"#,
            r#""secrets":["GitHub token in headers.Authorization"],"server":null,"problem":null}]}"#
        ),
    );
    same(&Response::Checks { checks: Vec::new() }, r#"{"kind":"checks","checks":[]}"#);
    same(&Response::Apps { apps: Vec::new() }, r#"{"kind":"apps","apps":[]}"#);
    same(&Response::Presets { presets: Vec::new() }, r#"{"kind":"presets","presets":[]}"#);
    same(
        &Response::Plan(Box::new(PlanView {
            app: ClientAppId::parse("cursor").unwrap(),
            app_name: "Cursor".into(),
            pick_up: model::PickUp::Watches,
            path: "/h/.cursor/mcp.json".into(),
            digest: "d".into(),
            entries: Vec::new(),
            diff: String::new(),
            secrets_moved: 1,
            secrets_restored: 0,
            notes: Vec::new(),
            empty: false,
        })),
        concat!(
            r#"{"kind":"plan","app":"cursor","app_name":"Cursor","pick_up":"watches","path":"/h/.cursor/mcp.json","#,
            r#""digest":"d","entries":[],"diff":"","secrets_moved":1,"secrets_restored":0,"notes":[],"empty":false}"#
        ),
    );
}

#[test]
fn events_and_replies_on_the_wire() {
    let event = |step: SignInStep| FromAgent::Event { event: Event::SignIn { sign_in: SignInId(3), step } };
    let line =
        |step: &str| format!(r#"{{"type":"event","event":{{"event":"sign_in","sign_in":3,"step":{step}}}}}"#);
    for (step, json) in [
        (SignInStep::Found { what: "x".into() }, r#"{"step":"found","what":"x"}"#.to_owned()),
        (
            SignInStep::EnterCode {
                user_code: "WDJB-MJHT".into(),
                url: "https://a.example/device".into(),
                complete_url: None,
                qr: vec!["#.".into(), ".#".into()],
                ends_at: UnixTime(1000),
            },
            r##"{"step":"enter_code","user_code":"WDJB-MJHT","url":"https://a.example/device","complete_url":null,"qr":["#.",".#"],"ends_at":1000}"##.to_owned(),
        ),
        (
            SignInStep::OpenBrowser { url: "https://a.example".into(), port: 4000 },
            r#"{"step":"open_browser","url":"https://a.example","port":4000}"#.to_owned(),
        ),
        (SignInStep::Exchanging, r#"{"step":"exchanging"}"#.to_owned()),
        (SignInStep::Confirm { account: ana() }, format!(r#"{{"step":"confirm","account":{ANA}}}"#)),
        (SignInStep::SamePerson { account: ana() }, format!(r#"{{"step":"same_person","account":{ANA}}}"#)),
        (
            SignInStep::Done {
                account: ana(),
                selected: true,
                renewable: false,
                ends_at: Some(UnixTime(9)),
                new_account: true,
            },
            format!(
                r#"{{"step":"done","account":{ANA},"selected":true,"renewable":false,"ends_at":9,"new_account":true}}"#
            ),
        ),
        (
            SignInStep::Failed { error: Error::new(ErrorCode::Cancelled, "m").hint("h") },
            r#"{"step":"failed","error":{"code":"cancelled","message":"m","hint":"h"}}"#.to_owned(),
        ),
    ] {
        same(&event(step), &line(&json));
    }
    same(&FromAgent::Event { event: Event::Changed }, r#"{"type":"event","event":{"event":"changed"}}"#);
    read(r#"{"event":"from_the_future","x":1}"#, &Event::Unknown);
    same(
        &FromAgent::Reply { id: 7, result: Ok(Response::Done) },
        r#"{"type":"reply","id":7,"result":{"Ok":{"kind":"done"}}}"#,
    );
    same(
        &FromAgent::Reply { id: 7, result: Err(Error::new(ErrorCode::NotFound, "m").hint("h")) },
        r#"{"type":"reply","id":7,"result":{"Err":{"code":"not_found","message":"m","hint":"h"}}}"#,
    );
}

#[test]
fn a_status_of_an_older_agent_is_understood() {
    let json = concat!(
        r#"{"agent":{"version":"0.1.0","pid":1,"root":"/r","started_at":5,"keychain":{"state":"ready","store":"s"},"#,
        r#""proxies":{},"unsaved":0,"pending_revocations":0},"servers":[],"sessions":[]}"#
    );
    let status: StatusView = serde_json::from_str(json).unwrap();
    assert_eq!((status.profiles.len(), status.presets.len(), status.sign_ins.len()), (0, 0, 0));
    assert_eq!(status.settings, SettingsView::default());
    let whole = serde_json::to_string(&status).unwrap();
    let added = concat!(
        r#","profiles":[],"presets":[],"sign_ins":[],"settings":{"keep_in_tray":true,"start_at_login":false,"#,
        r#""notify":true,"theme":"system"}}"#
    );
    assert_eq!(whole, format!("{}{added}", json.strip_suffix('}').unwrap()));
}
