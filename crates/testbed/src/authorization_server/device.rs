//! Signing in on another device (RFC 8628): the endpoint that gives codes, the page where a person enters one, and
//! what the token endpoint says meanwhile.

use std::time::{Duration, Instant};

use http::{Response, StatusCode};
use serde_json::json;

use super::Inner;
use super::knobs::{Availability, Consent};
use super::ledger::{Ledger, Pending, SecretKind, sized};
use super::token::Refusal;
use crate::browser::Decision;
use crate::web::{Body, Incoming, fields, html, json as json_reply, random_text};

/// Added to the pause by each request that comes too early (RFC 8628 section 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// A request may come so much too early: clocks and schedulers are not exact.
const TOLERANCE: Duration = Duration::from_millis(250);

/// One sign-in under way.
pub(super) struct Device {
    pub(super) pending: Pending,
    user_code: String,
    ends: Instant,
    interval: Duration,
    asked: Option<Instant>,
    answer: Answer,
}

#[derive(Clone, PartialEq, Eq)]
enum Answer {
    Open,
    Allowed(String),
    Denied,
}

/// RFC 8628 section 3.1.
pub(super) fn device_authorization(inner: &Inner, request: &Incoming) -> Response<Body> {
    let knobs = inner.knobs();
    match knobs.device_authorization {
        Availability::Open => {}
        Availability::Absent => return super::not_found(),
        Availability::Refused => return Refusal::new("unauthorized_client").reply(),
        Availability::Unavailable => return super::unavailable(),
    }
    let form = fields(&request.body);
    let registration = match super::token::authenticate(inner, request, &form, &knobs) {
        Ok(registration) => registration,
        Err(refusal) => return refusal.reply(),
    };
    let resource = form.get("resource").cloned();
    if knobs.resource_required && resource.is_none() {
        return Refusal::new("invalid_target").reply();
    }
    let text = random_text(8).to_uppercase();
    let user_code = format!("{}-{}", &text[..4], &text[4..8]);
    let (device_code, interval) = (sized("device", 0), Duration::from_secs(knobs.device_interval));
    let pending = Pending {
        registration,
        resource,
        scope: form.get("scope").cloned().unwrap_or_default(),
        ..Pending::default()
    };
    let device = Device {
        pending,
        user_code: user_code.clone(),
        ends: Instant::now() + Duration::from_secs(knobs.device_code_lifetime),
        interval,
        asked: None,
        answer: Answer::Open,
    };
    let mut ledger = inner.ledger();
    ledger.stats.device_authorizations += 1;
    ledger.note(SecretKind::DeviceCode, None, &device_code);
    ledger.devices.insert(device_code.clone(), device);
    let page = format!("{}/device", inner.issuer);
    json_reply(
        StatusCode::OK,
        &json!({
            "device_code": device_code, "user_code": user_code, "verification_uri": page,
            "verification_uri_complete": format!("{page}?user_code={user_code}"),
            "expires_in": knobs.device_code_lifetime, "interval": knobs.device_interval,
        }),
    )
}

/// The page; with `person` and `decision` in the query it decides at once, for tests without a browser.
pub(super) fn page(inner: &Inner, request: &Incoming) -> Response<Body> {
    let query = fields(request.query.as_bytes());
    let get = |name: &str| query.get(name).map_or("", String::as_str);
    let page = |status, title: &str| html(status, title, &format!("<h1>{title}</h1>"));
    if get("person").is_empty() || get("decision").is_empty() {
        return html(
            StatusCode::OK,
            "Enter the code",
            &format!(
                r#"<h1>Enter the code</h1><form method="get" action="{}/device"><input name="user_code"><input name="person"><button type="submit" name="decision" value="allow">Allow</button><button type="submit" name="decision" value="deny">Deny</button></form>"#,
                inner.issuer
            ),
        );
    }
    let allow = get("decision") == "allow" && inner.knobs().consent != Consent::Deny;
    let decision = if allow { Decision::Allow } else { Decision::Deny };
    if inner.ledger().decide_device(get("user_code"), get("person"), decision) {
        page(StatusCode::OK, "You may close this")
    } else {
        page(StatusCode::BAD_REQUEST, "This code is not known")
    }
}

impl Ledger {
    /// What the person said about a code; `false` where there is no such code that still waits.
    pub(super) fn decide_device(&mut self, user_code: &str, person: &str, decision: Decision) -> bool {
        let waiting = |device: &&mut Device| {
            device.user_code == user_code && device.answer == Answer::Open && device.ends > Instant::now()
        };
        let Some(device) = self.devices.values_mut().find(waiting) else { return false };
        device.answer = match decision {
            Decision::Allow => Answer::Allowed(person.to_owned()),
            Decision::Deny => Answer::Denied,
        };
        true
    }

    /// A request at the token endpoint (RFC 8628 section 3.4): who has signed in, and for what.
    pub(super) fn poll_device(
        &mut self,
        code: &str,
        registration: &str,
    ) -> Result<(Pending, String), Refusal> {
        let now = Instant::now();
        let device = self
            .devices
            .get_mut(code)
            .filter(|device| device.pending.registration == registration)
            .ok_or(Refusal::new("invalid_grant"))?;
        if device.ends <= now {
            return Err(Refusal::new("expired_token"));
        }
        let early = device.asked.is_some_and(|asked| now + TOLERANCE < asked + device.interval);
        device.asked = Some(now);
        if early {
            device.interval += SLOWER;
            self.stats.device_slow_downs += 1;
            return Err(Refusal::new("slow_down"));
        }
        match device.answer.clone() {
            Answer::Open => Err(Refusal::new("authorization_pending")),
            Answer::Denied => Err(Refusal::new("access_denied")),
            Answer::Allowed(person) => {
                let pending = device.pending.clone();
                self.devices.remove(code);
                Ok((pending, person))
            }
        }
    }
}
