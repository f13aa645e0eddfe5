//! Gets the bytes of a list and of its signature, from https or from a file, and believes none of them.
//!
//! Nothing that is sent says who asks. No redirect leaves the origin, nothing compressed is unpacked, and no more
//! than a list may have is ever read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ipc::{Error, ErrorCode};
use model::{Endpoint, PrivateAuthority, Secret};
use oauth::{HttpError, HttpRequest, HttpResponse, ReqwestHttp};
use platform::file;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_ENCODING, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LOCATION};

use crate::agent::Agent;
use crate::network::Access;
use crate::servers::{certificate_hint, chain};

/// From connecting to the last byte, for each of the two files.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// The same for all of it, redirects included.
const WHOLE_LIMIT: Duration = Duration::from_secs(45);
const MAX_REDIRECTS: usize = 3;
const MAX_ETAG: usize = 256;
/// Where a registry of MCP Registry v0.1 lists its servers.
const REGISTRY_PATH: &str = "/v0.1/servers";

/// Where a list comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// An https URL.
    Url(Endpoint),
    /// An absolute path.
    File(PathBuf),
}

/// What is wanted beside the bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) authority: Option<&'a PrivateAuthority>,
    /// Ask only for what is newer than this.
    pub(super) etag: Option<&'a str>,
    /// The `.minisig` beside the list as well.
    pub(super) signature: bool,
}

/// What came.
#[derive(Debug)]
pub(super) enum Fetched {
    /// Nothing newer.
    NotModified,
    /// A file.
    File(ListFile),
}

/// A file that nobody has looked at yet.
#[derive(Debug)]
pub(super) struct ListFile {
    /// Where it was found: for a registry's base URL, the list below it.
    pub(super) source: Source,
    pub(super) bytes: Vec<u8>,
    pub(super) signature: Option<String>,
    pub(super) etag: Option<String>,
}

impl Source {
    /// An https URL or an absolute path.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if Path::new(text).is_absolute() {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let refused = |what: String| {
            Err(Error::new(ErrorCode::Usage, what)
                .hint("give the list's https URL, or the absolute path of its file"))
        };
        match Endpoint::parse(text) {
            Ok(endpoint) if endpoint.url().scheme() == "https" => Ok(Self::Url(endpoint)),
            Ok(_) => refused("a list is fetched by https alone".to_owned()),
            Err(error) => refused(format!("this is neither an https URL nor an absolute path: {error}")),
        }
    }

    /// As it is kept and shown.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Url(endpoint) => endpoint.to_string(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// A name for a registry that has none of its own.
    pub(super) fn host(&self) -> String {
        match self {
            Self::Url(endpoint) => endpoint.url().host_str().unwrap_or("registry").to_owned(),
            Self::File(path) => {
                path.file_stem().map_or_else(|| "file".to_owned(), |name| name.to_string_lossy().into_owned())
            }
        }
    }
}

impl Agent {
    /// Fetches a list. A URL that has none is tried as a registry's base.
    pub(super) async fn fetch_list(&self, source: &Source, wanted: Wanted<'_>) -> Result<Fetched, Error> {
        let fetched = tokio::time::timeout(WHOLE_LIMIT, self.fetch_unlimited(source, wanted)).await;
        fetched.unwrap_or_else(|_| {
            Err(Error::new(ErrorCode::Unreachable, "the list cannot be fetched: its server takes too long")
                .hint("try again later, and ask the list's publisher if it stays so"))
        })
    }

    async fn fetch_unlimited(&self, source: &Source, wanted: Wanted<'_>) -> Result<Fetched, Error> {
        let endpoint = match source {
            Source::File(path) => return from_file(path.clone(), wanted.signature).await,
            Source::Url(endpoint) => endpoint,
        };
        // The person named the address, so it may lie anywhere; the list itself is told nothing of them.
        let access = Access { private_network: true, authority: wanted.authority };
        let http = self.network.http(endpoint, access)?;
        let (endpoint, answer) = match get(&http, endpoint, wanted.etag).await {
            Err(Miss::NoList(error)) => match below(endpoint) {
                Some(listing) => match get(&http, &listing, None).await {
                    Ok(answer) => (listing, answer),
                    Err(_) => return Err(error),
                },
                None => return Err(error),
            },
            Err(Miss::Failed(error)) => return Err(error),
            Ok(answer) => (endpoint.clone(), answer),
        };
        let Answer::Document(answer) = answer else { return Ok(Fetched::NotModified) };
        let signature = if wanted.signature { signature(&http, &endpoint).await? } else { None };
        let etag = answer.headers.get(ETAG).and_then(|value| value.to_str().ok());
        Ok(Fetched::File(ListFile {
            source: Source::Url(endpoint),
            etag: etag.filter(|etag| etag.len() <= MAX_ETAG).map(str::to_owned),
            bytes: answer.body.expose().clone(),
            signature,
        }))
    }
}

async fn from_file(path: PathBuf, signed: bool) -> Result<Fetched, Error> {
    let read = move || {
        let unreadable = |error: platform::FileError| {
            Error::new(ErrorCode::NotFound, format!("the list cannot be read: {}", chain(&error)))
                .hint("check the path")
        };
        let bytes = file::read_limited(&path, preset::MAX_BYTES as u64).map_err(unreadable)?;
        let mut beside = path.clone().into_os_string();
        beside.push(".minisig");
        let signature = match file::read_limited(Path::new(&beside), preset::MAX_SIGNATURE_BYTES as u64) {
            Ok(bytes) if signed => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Ok(_) => None,
            Err(error) if error.is_missing() => None,
            Err(error) => return Err(unreadable(error)),
        };
        Ok(Fetched::File(ListFile { source: Source::File(path), bytes, signature, etag: None }))
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| Error::new(ErrorCode::Failed, format!("the list was not read: {error}")))?
}

/// What an origin answers.
enum Answer {
    NotModified,
    Document(HttpResponse),
}

/// Why there is no list.
enum Miss {
    /// There is something else, or nothing, at this address.
    NoList(Error),
    Failed(Error),
}

async fn get(http: &ReqwestHttp, endpoint: &Endpoint, etag: Option<&str>) -> Result<Answer, Miss> {
    let mut at = endpoint.clone();
    for _ in 0..=MAX_REDIRECTS {
        let answer = send(http, &at, etag, preset::MAX_BYTES).await.map_err(Miss::Failed)?;
        let says = |what: String| {
            Error::new(ErrorCode::Failed, format!("{} {what}", at.origin()))
                .hint("check the address, and ask the list's publisher")
        };
        match answer.status {
            200 if answer.headers.contains_key(CONTENT_ENCODING) => {
                return Err(Miss::Failed(says(
                    "sent the list compressed, which was not asked for".to_owned(),
                )));
            }
            200 if answer.media_type().contains("html") => {
                return Err(Miss::NoList(says("answered with a web page, not with a list".to_owned())));
            }
            200 => return Ok(Answer::Document(answer)),
            304 if etag.is_some() => return Ok(Answer::NotModified),
            304 => {
                let what = "says that nothing has changed, although nothing was here before";
                return Err(Miss::Failed(says(what.to_owned())));
            }
            301 | 302 | 303 | 307 | 308 => at = redirected(&at, &answer).map_err(Miss::Failed)?,
            404 | 410 => return Err(Miss::NoList(says("has no list at this address".to_owned()))),
            status @ (429 | 500..=599) => {
                let error = says(format!("answered with status {status}"));
                return Err(Miss::Failed(Error { code: ErrorCode::Unreachable, ..error }));
            }
            status => return Err(Miss::Failed(says(format!("answered with status {status}")))),
        }
    }
    Err(Miss::Failed(
        Error::new(ErrorCode::Failed, format!("{} redirects in circles", endpoint.origin()))
            .hint("ask the list's publisher"),
    ))
}

/// The text beside a list; `None` where there is none.
async fn signature(http: &ReqwestHttp, list: &Endpoint) -> Result<Option<String>, Error> {
    let mut url = list.url();
    url.set_path(&format!("{}.minisig", url.path()));
    let endpoint = Endpoint::parse(url.as_str())
        .map_err(|error| Error::new(ErrorCode::Failed, format!("the signature has no address: {error}")))?;
    let answer = send(http, &endpoint, None, preset::MAX_SIGNATURE_BYTES).await?;
    match answer.status {
        200 => Ok(Some(String::from_utf8_lossy(answer.body.expose()).into_owned())),
        404 | 410 => Ok(None),
        status => Err(Error::new(
            ErrorCode::Unreachable,
            format!("the signature cannot be had: {} answered with status {status}", endpoint.origin()),
        )
        .hint("try again later, and ask the list's publisher if it stays so")),
    }
}

async fn send(
    http: &ReqwestHttp,
    endpoint: &Endpoint,
    etag: Option<&str>,
    limit: usize,
) -> Result<HttpResponse, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.1"));
    if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
        headers.insert(IF_NONE_MATCH, etag);
    }
    let request = HttpRequest {
        method: Method::GET,
        url: endpoint.to_string(),
        headers,
        body: Secret::new(Vec::new()),
        time_limit: TIME_LIMIT,
    };
    http.fetch(request, limit).await.map_err(|error| of_http(&error))
}

/// The next address of a redirect that stays at its origin.
fn redirected(at: &Endpoint, answer: &HttpResponse) -> Result<Endpoint, Error> {
    let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let next = at.url().join(location).ok().and_then(|url| Endpoint::parse(url.as_str()).ok());
    match next {
        Some(next) if next.origin() == at.origin() => Ok(next),
        other => {
            let to = other.map_or_else(|| "something that is no https URL".to_owned(), |next| next.origin());
            Err(Error::new(
                ErrorCode::Failed,
                format!("{} redirects to {to}, which was not followed", at.origin()),
            )
            .hint("if the list has moved, ask its publisher for the new address and subscribe to that"))
        }
    }
}

/// Where the list is if `base` is a registry's.
fn below(base: &Endpoint) -> Option<Endpoint> {
    let mut url = base.url();
    let path = url.path().trim_end_matches('/').to_owned();
    if path.ends_with("/servers") || url.query().is_some() {
        return None;
    }
    url.set_path(&format!("{path}{REGISTRY_PATH}"));
    Endpoint::parse(url.as_str()).ok()
}

fn of_http(error: &HttpError) -> Error {
    let text = format!("the list cannot be fetched: {}", chain(error));
    match error {
        HttpError::NotSent { .. } | HttpError::Unknown { .. } => Error::new(ErrorCode::Unreachable, text)
            .hint("check the address and your network, then try again"),
        HttpError::Certificate { .. } => {
            Error::new(ErrorCode::Unreachable, text).hint(certificate_hint(error))
        }
        HttpError::TooLarge { .. } | HttpError::BadUrl { .. } | HttpError::PrivateAddress { .. } => {
            Error::new(ErrorCode::Failed, text).hint("ask the list's publisher")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_by_https_or_from_an_absolute_path() {
        assert!(matches!(Source::parse("https://a.example/list.json"), Ok(Source::Url(_))));
        assert!(matches!(Source::parse("/srv/acme.mcpreset"), Ok(Source::File(_))));
        for bad in
            ["http://a.example/l", "http://localhost/l", "file:///l", "l.json", "", "https://u:p@a.example/"]
        {
            assert!(Source::parse(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn a_registry_is_tried_below_its_base() {
        let below = |base: &str| below(&Endpoint::parse(base).unwrap()).map(|e| e.to_string());
        assert_eq!(below("https://r.example").as_deref(), Some("https://r.example/v0.1/servers"));
        assert_eq!(below("https://r.example/mcp/").as_deref(), Some("https://r.example/mcp/v0.1/servers"));
        assert_eq!(below("https://r.example/v0.1/servers"), None);
    }

    #[test]
    fn a_redirect_stays_at_its_origin() {
        let at = Endpoint::parse("https://a.example/one").unwrap();
        let to = |location: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_static(location));
            redirected(&at, &HttpResponse { status: 302, headers, body: Secret::new(Vec::new()) })
        };
        assert_eq!(to("/two").unwrap().as_str(), "https://a.example/two");
        for away in
            ["https://b.example/one", "http://a.example/one", "https://a.example:444/", "//b.example/", ""]
        {
            assert_eq!(to(away).is_err(), !away.is_empty(), "{away}");
        }
    }
}
