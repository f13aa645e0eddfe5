//! HTTP for unit tests: a table of addresses and answers, and what was asked.

use std::sync::Mutex;

use http::{HeaderMap, HeaderValue};
use model::Secret;

use crate::http::{BoxFuture, Http, HttpError, HttpRequest, HttpResponse};

/// Answers by exact address; everything else is 404.
pub(crate) struct Answers {
    table: Vec<(String, HttpResponse)>,
    asked: Mutex<Vec<HttpRequest>>,
    reachable: bool,
}

impl Answers {
    pub(crate) fn new<const N: usize>(table: [(&str, HttpResponse); N]) -> Self {
        Self {
            table: table.into_iter().map(|(url, answer)| (url.to_owned(), answer)).collect(),
            asked: Mutex::new(Vec::new()),
            reachable: true,
        }
    }

    pub(crate) fn unreachable() -> Self {
        Self { reachable: false, ..Self::new([]) }
    }

    pub(crate) fn set(&mut self, url: &str, answer: HttpResponse) {
        self.table.retain(|(known, _)| known != url);
        self.table.push((url.to_owned(), answer));
    }

    /// The addresses that were asked, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.url).collect()
    }

    pub(crate) fn requests(&self) -> Vec<HttpRequest> {
        self.asked.lock().unwrap().clone()
    }

    /// The form fields of the last request.
    pub(crate) fn last_form(&self) -> Vec<(String, String)> {
        let requests = self.requests();
        form(requests.last().unwrap())
    }
}

impl Http for Answers {
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpError>> {
        self.asked.lock().unwrap().push(request.clone());
        Box::pin(async move {
            if !self.reachable {
                return Err(HttpError::NotSent { origin: request.url, source: "refused".into() });
            }
            let found = self.table.iter().find(|(url, _)| *url == request.url);
            Ok(found.map_or_else(|| answer(404, "text/plain", "not found"), |(_, answer)| answer.clone()))
        })
    }
}

pub(crate) fn answer(status: u16, media_type: &'static str, body: &str) -> HttpResponse {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    HttpResponse { status, headers, body: Secret::new(body.as_bytes().to_vec()) }
}

pub(crate) fn json(body: &str) -> HttpResponse {
    answer(200, "application/json", body)
}

pub(crate) fn redirect(status: u16, to: &'static str) -> HttpResponse {
    with_header(answer(status, "text/html", ""), "location", to)
}

pub(crate) fn with_header(mut response: HttpResponse, name: &'static str, value: &str) -> HttpResponse {
    response.headers.insert(name, HeaderValue::from_str(value).unwrap());
    response
}

pub(crate) fn form(request: &HttpRequest) -> Vec<(String, String)> {
    url::form_urlencoded::parse(request.body.expose())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

pub(crate) fn field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    assert!(form.iter().filter(|(n, _)| n == name).count() < 2, "{name} stands twice");
    form.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}
