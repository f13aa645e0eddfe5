//! Enterprise-managed authorization, both sides: as the identity provider, which exchanges an id_token or refresh
//! token for an ID-JAG (RFC 8693), and as the issuer of an MCP server, which redeems one (RFC 7523 section 2.1).

use std::time::SystemTime;

use serde_json::{Value, json};

use super::client_assertion::verify;
use super::knobs::{Availability, IdJagFault, Knobs};
use super::ledger::{Pending, SecretKind, sized};
use super::signing::JwtTime;
use super::token::{Form, Refusal};
use super::{Handle, Inner};

const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
const KIND: &str = "oauth-id-jag+jwt";

/// An identity provider whose word is taken.
#[derive(Clone)]
pub(super) struct Trusted {
    issuer: String,
    keys: Value,
}

impl Handle {
    /// Takes the word of another server about who somebody is (see [`super::Knobs::jwt_bearer`]).
    pub fn trust(&self, identity_provider: &Handle) {
        let trusted =
            Trusted { issuer: identity_provider.0.issuer.clone(), keys: identity_provider.0.key.key_set() };
        self.0.ledger().trusted.push(trusted);
    }
}

/// RFC 8693 section 2.1: whose word is asked for, and for whom.
pub(super) fn exchange(
    inner: &Inner,
    form: &Form,
    registration: &str,
    knobs: &Knobs,
) -> Result<Value, Refusal> {
    if knobs.token_exchange != Availability::Open {
        return Err(Refusal::new("unsupported_grant_type"));
    }
    let get = |name: &str| form.get(name).map_or("", String::as_str);
    let asks_for_assertion = get("requested_token_type") == ID_JAG;
    if !asks_for_assertion || get("audience").is_empty() || get("subject_token").is_empty() {
        return Err(Refusal::new("invalid_request"));
    }
    let mut ledger = inner.ledger();
    let person = match get("subject_token_type") {
        "urn:ietf:params:oauth:token-type:id_token" => {
            let issued = |known: &&super::IssuedSecret| {
                known.kind == SecretKind::IdToken && known.value.expose() == get("subject_token")
            };
            // A key of ours does not suffice: an id_token of another app is not this app's to show.
            let right = verify_own(inner, get("subject_token"), registration);
            let known = ledger.secrets.iter().find(issued).and_then(|known| known.person.clone());
            known.filter(|_| right)
        }
        "urn:ietf:params:oauth:token-type:refresh_token" => {
            ledger.person_of_refresh(get("subject_token"), registration)
        }
        _ => return Err(Refusal::new("invalid_request")),
    };
    let person = person.ok_or(Refusal::new("invalid_grant"))?;
    if knobs.id_jag_denied.contains(&person) {
        return Err(Refusal::new("access_denied"));
    }
    let fault = knobs.id_jag_fault;
    let now = SystemTime::now().seconds();
    let or = |wrong: IdJagFault, bad: &str, good: &str| {
        if fault == Some(wrong) { bad.to_owned() } else { good.to_owned() }
    };
    let mut claims = json!({
        "iss": or(IdJagFault::Issuer, "https://other.example", &inner.issuer),
        "aud": or(IdJagFault::Audience, "https://other.example", get("audience")),
        "client_id": or(IdJagFault::App, "another-app", knobs.id_jag_app.as_deref().unwrap_or(registration)),
        "sub": person, "email": format!("{person}@corp.example"), "jti": sized("jag", 0), "iat": now,
        "exp": if fault == Some(IdJagFault::Expired) { now - 60 } else { now + 300 },
    });
    if let Some(resource) = form.get("resource") {
        claims["resource"] = or(IdJagFault::Resource, "https://other.example/mcp", resource).into();
    }
    if let Some(scope) = form.get("scope") {
        claims["scope"] = scope.as_str().into();
    }
    let kind = if fault == Some(IdJagFault::Kind) { "JWT" } else { KIND };
    let assertion = inner.key.sign(kind, &claims);
    ledger.stats.token_exchanges += 1;
    ledger.note(SecretKind::IdJag, Some(&person), &assertion);
    let mut answer = json!({"access_token": assertion, "issued_token_type": ID_JAG, "token_type": "N_A", "expires_in": 300});
    if let Some(scope) = form.get("scope") {
        answer["scope"] = scope.as_str().into();
    }
    Ok(answer)
}

/// Whether an id_token was made by us for this app; it may have expired long ago in the eyes of others.
fn verify_own(inner: &Inner, token: &str, registration: &str) -> bool {
    let claims = token.split('.').nth(1).and_then(super::signing::decoded);
    claims.is_some_and(|claims| claims["iss"] == inner.issuer.as_str() && claims["aud"] == registration)
}

/// RFC 7523 section 2.1: who the assertion speaks of, and what for.
pub(super) fn redeem(
    inner: &Inner,
    form: &Form,
    registration: &str,
    knobs: &Knobs,
) -> Result<(Pending, String), Refusal> {
    if knobs.jwt_bearer != Availability::Open {
        return Err(Refusal::new("unsupported_grant_type"));
    }
    let refused = || Refusal::new("invalid_grant");
    let text = form.get("assertion").ok_or(Refusal::new("invalid_request"))?;
    let mut ledger = inner.ledger();
    let assertion = ledger
        .trusted
        .iter()
        .find_map(|trusted| {
            verify(text, &trusted.keys).filter(|a| a.text("iss") == Some(trusted.issuer.as_str()))
        })
        .ok_or_else(refused)?;
    let right = assertion.kind.as_deref() == Some(KIND)
        && assertion.text("aud") == Some(inner.issuer.as_str())
        && assertion.text("client_id") == Some(registration)
        && ledger.use_once(assertion.text("jti").unwrap_or_default());
    let person = assertion.text("sub").filter(|_| right).ok_or_else(refused)?.to_owned();
    let resource = assertion.text("resource").or(form.get("resource").map(String::as_str));
    if form.get("resource").is_some_and(|asked| Some(asked.as_str()) != resource) {
        return Err(Refusal::new("invalid_target"));
    }
    ledger.stats.assertions_redeemed += 1;
    let scope = form.get("scope").map(String::as_str).or(assertion.text("scope")).unwrap_or_default();
    let pending = Pending {
        registration: registration.to_owned(),
        resource: resource.map(str::to_owned),
        scope: scope.to_owned(),
        ..Pending::default()
    };
    Ok((pending, person))
}
