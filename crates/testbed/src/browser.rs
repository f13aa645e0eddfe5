//! A browser with a person in front of it, both scripted: follows redirects, keeps cookies, fills in every
//! form of a sign-in, and ends on the page that nothing leads away from.

mod jar;
mod page;

use http::Method;
use thiserror::Error;
use url::Url;

use crate::web::{Trust, exchange};
use jar::CookieJar;
use page::{FieldKind, Form, Page};

pub use crate::web::ExchangeError;

/// What the person does at a consent page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Agrees.
    Allow,
    /// Presses "deny", or follows the way out.
    Deny,
}

/// Where a visit ended.
#[derive(Clone, Debug)]
pub struct FinalPage {
    /// The address, which may hold a code: not for logs.
    pub url: Url,
    /// The HTTP status.
    pub status: u16,
    /// The page.
    pub body: String,
    /// Hosts and ports that were contacted, in order, each once.
    pub visited: Vec<String>,
}

/// Why a visit did not end on a page.
#[derive(Debug, Error)]
pub enum BrowserError {
    /// An address that is none.
    #[error("a page leads to something that is no address")]
    Address(#[from] url::ParseError),
    /// The connection failed.
    #[error("a page could not be fetched")]
    Connection(#[from] ExchangeError),
    /// It went round in circles.
    #[error("still no final page after {0} steps")]
    TooManySteps(usize),
}

/// A browser. Its cookies stay between visits, as they do for people.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    cookies: CookieJar,
    trust: Trust,
}

impl Browser {
    /// A browser without any cookie.
    pub fn new() -> Self {
        Self::default()
    }

    /// A browser that believes this authority (PEM) alone.
    pub fn trusting(pem: &str) -> Self {
        Self { trust: Some(crate::authority::client_config(pem)), ..Self::default() }
    }

    /// Opens `url` and signs in as `person`, up to the page that asks for nothing more.
    pub async fn sign_in(
        &mut self,
        url: &Url,
        person: &str,
        decision: Decision,
    ) -> Result<FinalPage, BrowserError> {
        let mut next = Step { method: Method::GET, url: url.clone(), body: String::new() };
        let mut visited = Vec::new();
        for _ in 0..MAX_STEPS {
            let cookies = self.cookies.header(&next.url);
            let mut headers = vec![("user-agent", "testbed-browser"), ("accept", "text/html")];
            if !cookies.is_empty() {
                headers.push(("cookie", &cookies));
            }
            if next.method == Method::POST {
                headers.push(("content-type", "application/x-www-form-urlencoded"));
            }
            let host = next.url.authority().to_owned();
            if !visited.contains(&host) {
                visited.push(host);
            }
            let answer = exchange(next.method.clone(), &next.url, &self.trust, &headers, next.body).await?;
            for cookie in answer.headers.get_all("set-cookie") {
                self.cookies.set(&next.url, &String::from_utf8_lossy(cookie.as_bytes()));
            }
            let body = answer.text();
            let follow = match answer.header("location").filter(|_| answer.status.is_redirection()) {
                Some(location) => {
                    Some(Step { method: Method::GET, url: next.url.join(location)?, body: String::new() })
                }
                None => Page::read(&body).answer(&next.url, person, decision)?,
            };
            match follow {
                Some(step) => next = step,
                None => {
                    return Ok(FinalPage { url: next.url, status: answer.status.as_u16(), body, visited });
                }
            }
        }
        Err(BrowserError::TooManySteps(MAX_STEPS))
    }
}

/// Opens `url` in a new browser and signs in as `person`.
pub async fn sign_in(url: &str, person: &str, decision: Decision) -> Result<FinalPage, BrowserError> {
    Browser::new().sign_in(&Url::parse(url)?, person, decision).await
}

struct Step {
    method: Method,
    url: Url,
    body: String,
}

impl Page {
    /// What the person does with this page; nothing if it asks for nothing.
    fn answer(&self, at: &Url, person: &str, decision: Decision) -> Result<Option<Step>, url::ParseError> {
        let Some(form) = self.forms.first() else { return Ok(None) };
        let asks =
            form.fields.iter().any(|field| matches!(field.kind, FieldKind::Text | FieldKind::Password));
        if decision == Decision::Deny && !asks && form.deny_button().is_none() {
            let way_out = self.links.iter().find(|link| WAYS_OUT.iter().any(|word| link.contains(word)));
            if let Some(link) = way_out {
                return Ok(Some(Step { method: Method::GET, url: at.join(link)?, body: String::new() }));
            }
        }
        let body = form.filled(person, decision);
        let mut url = at.join(form.action.as_deref().unwrap_or_default())?;
        if form.post {
            return Ok(Some(Step { method: Method::POST, url, body }));
        }
        url.set_query(Some(&body));
        Ok(Some(Step { method: Method::GET, url, body: String::new() }))
    }
}

impl Form {
    fn deny_button(&self) -> Option<usize> {
        let denies = |text: &str| WAYS_OUT.iter().any(|word| text.to_ascii_lowercase().contains(word));
        self.fields.iter().position(|field| {
            field.kind == FieldKind::Button && (denies(&field.value) || denies(&field.name))
        })
    }

    fn filled(&self, person: &str, decision: Decision) -> String {
        let deny = self.deny_button();
        let allow = self
            .fields
            .iter()
            .enumerate()
            .position(|(at, field)| field.kind == FieldKind::Button && Some(at) != deny);
        let pressed = match decision {
            Decision::Allow => allow,
            Decision::Deny => deny.or(allow),
        };
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        for (at, field) in self.fields.iter().enumerate().filter(|(_, field)| !field.name.is_empty()) {
            match field.kind {
                FieldKind::Fixed => body.append_pair(&field.name, &field.value),
                FieldKind::Text => body.append_pair(&field.name, person),
                FieldKind::Password => body.append_pair(&field.name, "any-password"),
                FieldKind::Button if Some(at) == pressed => body.append_pair(&field.name, &field.value),
                FieldKind::Button => &mut body,
            };
        }
        body.finish()
    }
}

const WAYS_OUT: [&str; 4] = ["deny", "abort", "cancel", "reject"];
const MAX_STEPS: usize = 30;
