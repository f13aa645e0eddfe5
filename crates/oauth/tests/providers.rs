//! What Hallpass would do at well-known providers, by their public documents as others recorded them: each file
//! in `providers/` holds the documents by their address, the date, and where they were recorded. Facts only; a
//! provider whose documents could not be sourced is not here. Lists that are long and decide nothing were
//! shortened, and the file says so.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, in its helpers too")]

use std::collections::BTreeMap;

use hallpass_oauth::{
    Discovered, DiscoveryError, DiscoveryOptions, FoundBy, HttpError, HttpRequest, HttpResponse, Protected,
    Registration, RegistrationError, Scopes, ServerMetadataError, ServerPin, discover, expected_proof,
    takes_identity_assertions,
};
use http::{HeaderMap, HeaderValue};
use model::{Endpoint, ProofKind, RegistrationChoice, RegistrationKind, Secret};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Provider {
    name: String,
    /// The MCP endpoint; `None` where only the issuer's own documents are recorded.
    endpoint: Option<String>,
    date: String,
    recorded_in: String,
    #[serde(default)]
    note: Option<String>,
    documents: BTreeMap<String, Map<String, Value>>,
}

/// Stands for an MCP server of an issuer whose servers are not recorded.
const SOME_SERVER: &str = "https://mcp.customer.example/mcp";

impl Provider {
    fn endpoint(&self) -> Endpoint {
        Endpoint::parse(self.endpoint.as_deref().unwrap_or(SOME_SERVER)).unwrap()
    }

    /// Answers as the recorded documents say; everything else is not there.
    fn answer(&self, request: &HttpRequest) -> HttpResponse {
        if request.url == self.endpoint().as_str() {
            let mut response = response(401, &json!({}));
            response.headers.insert("www-authenticate", HeaderValue::from_static("Bearer"));
            return response;
        }
        if let Some(document) = self.documents.get(&request.url) {
            return response(200, &Value::Object(document.clone()));
        }
        let made_up = "https://mcp.customer.example/.well-known/oauth-protected-resource/mcp";
        if self.endpoint.is_none() && request.url == made_up {
            let issuer = &self.documents.values().next().unwrap()["issuer"];
            return response(200, &json!({ "resource": SOME_SERVER, "authorization_servers": [issuer] }));
        }
        response(404, &json!({}))
    }

    async fn found(&self, pin: ServerPin) -> Result<Protected, DiscoveryError> {
        let answers = |request: HttpRequest| {
            let answer = self.answer(&request);
            async move { Ok::<_, HttpError>(answer) }
        };
        let options = DiscoveryOptions { pin, ..DiscoveryOptions::default() };
        match discover(&answers, &self.endpoint(), &options, &mut |_| {}).await? {
            Discovered::Protected(found) => Ok(*found),
            Discovered::Open => panic!("{} is open", self.name),
        }
    }
}

fn response(status: u16, body: &Value) -> HttpResponse {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    HttpResponse { status, headers, body: Secret::new(body.to_string().into_bytes()) }
}

fn providers() -> Vec<Provider> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/providers");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .map(|file| {
            let provider: Provider = serde_json::from_slice(&std::fs::read(file).unwrap())
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            assert_eq!(file.file_stem().unwrap().to_str(), Some(provider.name.as_str()));
            provider
        })
        .collect()
}

/// The way to a registration, in a word.
fn registration(found: &Protected, choice: &RegistrationChoice) -> &'static str {
    match hallpass_oauth::choose(
        &found.metadata,
        choice,
        &[],
        hallpass_oauth::RegisterFor::Redirect("http://127.0.0.1:4711/callback"),
    ) {
        Ok(Registration::Register { .. }) => "dynamic",
        Ok(Registration::Use(registration)) => match registration.kind {
            RegistrationKind::PreRegistered => "pre-registered",
            RegistrationKind::MetadataDocument => "document",
            RegistrationKind::Dynamic => "stored",
        },
        Err(RegistrationError::NotOffered { .. }) => "administrator",
        Err(error) => panic!("{}: {error}", found.issuer),
    }
}

/// What is known of one provider.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    /// Who.
    name: &'static str,
    /// The pin without which its own contradiction stops the sign-in.
    metadata_issuer: Option<&'static str>,
    /// How its issuer is found.
    found: FoundBy,
    /// Without a client id metadata document of ours, and with one.
    registration: [&'static str; 2],
    /// As a public client, and with a secret that an administrator gave.
    proof: [ProofKind; 2],
    /// Whether it takes the word of a company's identity provider, and has a device flow.
    others: [bool; 2],
}

const fn row(
    name: &'static str,
    registration: [&'static str; 2],
    proof: [ProofKind; 2],
    others: [bool; 2],
) -> Row {
    Row { name, metadata_issuer: None, found: FoundBy::ResourceMetadata, registration, proof, others }
}

#[rustfmt::skip]
fn table() -> Vec<Row> {
    use ProofKind::{IdToken, Introspection, Unknown};
    const PAGERDUTY: &str = "https://app.pagerduty.com/global/oauth/anonymous";
    vec![
        row("asana",                    ["dynamic", "dynamic"],             [Unknown, Unknown],             [false, false]),
        Row { found: FoundBy::OriginMetadata, ..
        row("atlassian",                ["dynamic", "dynamic"],             [Unknown, Unknown],             [false, false]) },
        Row { metadata_issuer: Some("https://api.box.com"), ..
        row("box",                      ["administrator", "administrator"], [Unknown, Unknown],             [false, false]) },
        row("canva",                    ["dynamic", "document"],            [Unknown, Unknown],             [true, false]),
        row("cloudflare-observability", ["dynamic", "dynamic"],             [Unknown, Unknown],             [false, false]),
        row("figma",                    ["dynamic", "dynamic"],             [Unknown, Unknown],             [true, false]),
        row("gitlab",                   ["dynamic", "dynamic"],             [IdToken, IdToken],             [false, false]),
        row("hubspot",                  ["administrator", "administrator"], [Unknown, Introspection],       [false, false]),
        row("linear",                   ["dynamic", "document"],            [Unknown, Unknown],             [true, false]),
        row("notion",                   ["dynamic", "document"],            [Unknown, Introspection],       [true, false]),
        row("okta",                     ["dynamic", "document"],            [IdToken, IdToken],             [false, true]),
        Row { metadata_issuer: Some(PAGERDUTY), ..
        row("pagerduty",                ["administrator", "administrator"], [IdToken, IdToken],             [false, false]) },
        row("sentry",                   ["dynamic", "document"],            [Unknown, Unknown],             [false, false]),
        row("stripe",                   ["dynamic", "dynamic"],             [Unknown, Unknown],             [false, false]),
        row("supabase",                 ["dynamic", "dynamic"],             [Unknown, Unknown],             [true, false]),
        row("vercel",                   ["dynamic", "dynamic"],             [IdToken, IdToken],             [false, true]),
        row("workos",                   ["dynamic", "document"],            [IdToken, IdToken],             [false, true]),
    ]
}

/// `docs/providers.md`, made of the files and the table. `HALLPASS_WRITE_PROVIDERS=1` writes it anew.
#[test]
fn the_page_about_providers_says_what_the_files_say() {
    use ProofKind::{Application, IdToken, Introspection, Unknown, Userinfo, Vouched, Whoami};
    let (providers, table) = (providers(), table());
    let proof = |kind| match kind {
        IdToken => "id_token",
        Userinfo => "userinfo",
        Introspection => "introspection",
        Unknown => "**nothing**",
        Vouched | Application | Whoami => unreachable!("no metadata promise that"),
    };
    let count = |nth: usize, kind| table.iter().filter(|row| row.proof[nth] == kind).count();
    let proving = |nth: usize| table.len() - count(nth, Unknown);
    let mut page = format!(
        "# Providers\n\n\
         What Hallpass does at well-known providers, by their public documents as others recorded them\n\
         (`crates/oauth/tests/providers`, one file each; a provider whose documents could not be sourced is not here).\n\
         This page is made of those files and of what the code decides about them: a test compares it.\n\n\
         **{all} providers. {public} prove a person as things stand ({by_id_token} by an id_token); {secret} do where an\n\
         administrator gives Hallpass a client secret, by introspection at {by_introspection} more. At the others an account is shown as\n\
         unverified**, until a whoami tool or the like is chosen for it.\n\n\
         Before anybody signs in, `hallpass servers test <server>`, `hallpass doctor` and the window say the same for a\n\
         server of yours, with what its issuer is known for (`crates/oauth/src/discovery/quirks.rs`, each with its evidence).\n\n\
         | provider | registration | with our document | proof | with a secret | device | vouched for | recorded |\n\
         |---|---|---|---|---|---|---|---|\n",
        all = table.len(),
        public = proving(0),
        by_id_token = count(0, IdToken),
        secret = proving(1),
        by_introspection = count(1, Introspection),
    );
    for (provider, row) in providers.iter().zip(&table) {
        let yes = |flag| if flag { "yes" } else { "-" };
        let [alone, with_document] = row.registration;
        let pin = row
            .metadata_issuer
            .map(|issuer| format!("; contradicts itself, stops without a pin of {issuer}"));
        let line = format!(
            "| {} | {alone}{} | {with_document} | {} | {} | {} | {} | {}, {} |\n",
            row.name,
            pin.unwrap_or_default(),
            proof(row.proof[0]),
            proof(row.proof[1]),
            yes(row.others[1]),
            yes(row.others[0]),
            provider.recorded_in,
            provider.date,
        );
        page.push_str(&line);
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/providers.md");
    if std::env::var_os("HALLPASS_WRITE_PROVIDERS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == page, "{} is stale; write it with HALLPASS_WRITE_PROVIDERS=1", path.display());
}

#[tokio::test]
async fn every_provider_goes_the_way_that_its_documents_show() {
    let (providers, table) = (providers(), table());
    let names: Vec<&str> = providers.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(
        names,
        table.iter().map(|row| row.name).collect::<Vec<_>>(),
        "a file without a row, or the other way"
    );
    let with_document = RegistrationChoice {
        metadata_url: Some("https://hallpass.example/client.json".into()),
        ..RegistrationChoice::default()
    };
    for (provider, row) in providers.iter().zip(table) {
        if let Some(metadata_issuer) = row.metadata_issuer {
            let error = provider.found(ServerPin::default()).await.unwrap_err();
            let refused =
                matches!(error, DiscoveryError::ServerMetadata(ServerMetadataError::OtherIssuer { .. }));
            assert!(refused, "{}: {error}", provider.name);
            assert!(error.to_string().contains(metadata_issuer), "{error}");
        }
        let pin =
            ServerPin { metadata_issuer: row.metadata_issuer.map(str::to_owned), ..ServerPin::default() };
        let found = provider.found(pin).await.unwrap_or_else(|error| panic!("{}: {error}", provider.name));
        let scopes = Scopes::select(
            found.challenged_scope.as_deref(),
            found.resource_scopes.as_deref(),
            found.metadata.scopes_supported.as_deref(),
        );
        let proof = |method| expected_proof(&found.metadata, &scopes, method);
        let is = Row {
            name: row.name,
            metadata_issuer: row.metadata_issuer,
            found: found.found,
            registration: [
                registration(&found, &RegistrationChoice::default()),
                registration(&found, &with_document),
            ],
            proof: [proof(model::TokenEndpointAuth::None), proof(model::TokenEndpointAuth::ClientSecretPost)],
            others: [
                takes_identity_assertions(&found.metadata),
                found.metadata.device_authorization_endpoint.is_some(),
            ],
        };
        assert_eq!(is, row);
    }
}

#[test]
fn the_number_of_those_who_prove_a_person_is_known() {
    let table = table();
    let proving = |nth: usize| table.iter().filter(|row| row.proof[nth] != ProofKind::Unknown).count();
    assert_eq!((table.len(), proving(0), proving(1)), (17, 5, 7));
}

#[test]
fn every_file_says_from_where_and_when() {
    for provider in providers() {
        assert!(provider.recorded_in.len() > 20, "{}", provider.name);
        let parts: Vec<&str> = provider.date.split('-').collect();
        assert!(parts.len() == 3 && parts[0] == "2026", "{}: {}", provider.name, provider.date);
        assert!(provider.endpoint.is_some() || provider.note.is_some(), "{}", provider.name);
        for address in provider.documents.keys() {
            assert!(address.starts_with("https://") && address.contains("/.well-known/"), "{address}");
        }
    }
}
