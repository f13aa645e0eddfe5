//! Servers: asked how they want people to sign in, added, asked again.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipc::{Error, ErrorCode, NewServer, ServerView};
use model::{
    AuthKind, ClientRegistration, Endpoint, EndpointError, Era, Origin, PrivateAuthority, Reach,
    RegistrationKind, Secret, Server, ServerId, State, TokenEndpointAuth, WebAddress, WhoamiTool, header,
    secret_rules, visible,
};
use oauth::{
    Discovered, DiscoveryError, DiscoveryOptions, HttpError, Protected, Scopes, ServerMetadataError,
    ServerPin, Step,
};
use platform::trust::Refused;
use token_store::StaticSecret;

use crate::agent::Agent;
use crate::network::Access;
use crate::{documents, error, redirects, views};

impl Agent {
    /// Asks a URL how people sign in there, and adds it. Nothing is added that does not answer.
    pub(crate) async fn add_server(self: &Arc<Self>, new: NewServer) -> Result<ServerView, Error> {
        let NewServer {
            url,
            id,
            label,
            headers,
            registration,
            identity_provider,
            personal_token,
            whoami,
            private_network,
            ca,
            imported_from,
        } = new;
        let authority = parse_authority(ca.as_deref())?;
        let origin = imported_from.map_or(Origin::HandMade, |app| Origin::Imported { app });
        redirects::check(&registration.parameters)?;
        documents::check(registration.metadata_url.as_deref())?;
        let endpoint = parse_endpoint(&url)?;
        refuse_secret(&endpoint)?;
        check_headers(&headers)?;
        let whoami = whoami.as_deref().map(parse_whoami).transpose()?;
        if endpoint.reach() == Reach::Private && !private_network {
            return Err(Error::new(
                ErrorCode::Usage,
                format!("{} lies in a private network", endpoint.origin()),
            )
            .hint("if that is right, add it with --private-network"));
        }
        self.refuse_duplicate(&endpoint, &headers, id.as_ref())?;
        let access = Access { private_network, authority: authority.as_ref() };
        if let Some(provider) = &registration.vouched_by {
            self.read(|state| refuse_no_provider(state, provider))?;
        }
        let mut era = None;
        let (auth, issuer) = if identity_provider {
            let http = self.network.http(&endpoint, access)?;
            let issuer = url.trim();
            let metadata =
                oauth::issuer_metadata(&*http, issuer).await.map_err(|error| of_discovery(&error))?;
            (AuthKind::IdentityProvider, Some(metadata.issuer))
        } else if personal_token {
            if !self.asks_who_is_there(&endpoint, &headers, access).await? {
                return Err(Error::new(
                    ErrorCode::Usage,
                    format!("{endpoint} answers anybody, so it takes no token"),
                )
                .hint("leave --personal-token out"));
            }
            (AuthKind::Bearer, None)
        } else {
            let mut look = |step| {
                if step == Step::Stateless {
                    era = Some(Era::Stateless);
                }
            };
            let pin = redirects::pin(&registration);
            match self.discover_at(&endpoint, &headers, access, pin, &mut look).await? {
                Discovered::Open => (AuthKind::None, None),
                Discovered::Protected(protected) => (AuthKind::Oauth, Some(protected.issuer)),
            }
        };
        self.refuse_duplicate(&endpoint, &headers, id.as_ref())?;
        let now = self.world.now();
        self.change(|state| {
            let id = id.unwrap_or_else(|| {
                let host = endpoint.url().host_str().unwrap_or("server").to_owned();
                // What comes out of a file keeps the name that it has there.
                let imported = matches!(origin, Origin::Imported { .. });
                let name = label.clone().filter(|_| imported).unwrap_or(host);
                ServerId::suggest(&name, |id| state.servers.contains_key(id))
            });
            let host = endpoint.url().host_str().unwrap_or_default().to_owned();
            let label = label.map(|label| visible(&label, 200)).filter(|l| !l.is_empty()).unwrap_or(host);
            let server = Server {
                id: id.clone(),
                label,
                endpoint,
                headers,
                auth,
                origin,
                issuer,
                registration,
                whoami,
                private_network,
                authority,
                era,
                listings: Vec::new(),
                extra: serde_json::Map::new(),
            };
            let view = views::server_view(state, &server, now);
            state.servers.insert(id, server);
            view
        })
        .map_err(error::of_state)
    }

    /// Whether a server wants to know who is there; how it offers a sign-in is not looked at.
    pub(crate) async fn asks_who_is_there(
        &self,
        endpoint: &Endpoint,
        headers: &BTreeMap<String, String>,
        access: Access<'_>,
    ) -> Result<bool, Error> {
        let http = self.network.http(endpoint, access)?;
        let options = DiscoveryOptions { headers: headers.clone(), pin: ServerPin::default() };
        let asks = oauth::asks_who_is_there(&*http, endpoint, &options).await;
        asks.map_err(|error| of_discovery(&error))
    }

    /// Puts the secret of a pre-registered client into the keychain.
    pub(crate) async fn keep_client_secret(
        &self,
        server: &ServerId,
        secret: Secret<String>,
    ) -> Result<(), Error> {
        let found =
            self.read(|state| state.servers.get(server).cloned()).ok_or_else(|| error::no_server(server))?;
        let (Some(client_id), Some(issuer)) = (found.registration.client_id, found.issuer) else {
            return Err(Error::new(ErrorCode::Usage, format!("{server} was added without a client id"))
                .hint("remove it and add it again with --client-id and --client-secret"));
        };
        let item = self.world.item_id();
        let keychain = self.keychain().await.map_err(|e| error::of_store(&e))?;
        keychain.save_secret(&item, &StaticSecret(secret)).await.map_err(|e| error::of_store(&e))?;
        self.change(|state| {
            let server = state.servers.get_mut(server).map(|server| {
                server.registration.has_secret = true;
                server.registration.token_endpoint_auth
            });
            let auth = server.flatten().unwrap_or(TokenEndpointAuth::ClientSecretBasic);
            let registration = ClientRegistration {
                issuer,
                client_id: client_id.clone(),
                kind: RegistrationKind::PreRegistered,
                token_endpoint_auth: auth,
                redirect_uri: None,
                secret: Some(item),
            };
            let old = put_registration(&mut state.registrations, registration);
            if let Some(old) = old.and_then(|registration| registration.secret) {
                state.discard_secret(old, &client_id);
            }
        })
        .map_err(error::of_state)?;
        self.delete_discarded().await;
        Ok(())
    }

    /// Follows a Server's own words to its issuer.
    pub(crate) async fn discover(
        &self,
        server: &Server,
        pin: ServerPin,
        on_step: &mut (dyn FnMut(Step) + Send),
    ) -> Result<Discovered, Error> {
        self.discover_at(&server.endpoint, &server.headers, Access::of(server), pin, on_step).await
    }

    /// The same for an endpoint that is no Server yet.
    pub(crate) async fn discover_at(
        &self,
        endpoint: &Endpoint,
        headers: &BTreeMap<String, String>,
        access: Access<'_>,
        pin: ServerPin,
        on_step: &mut (dyn FnMut(Step) + Send),
    ) -> Result<Discovered, Error> {
        let http = self.network.http(endpoint, access)?;
        let options = DiscoveryOptions { headers: headers.clone(), pin };
        oauth::discover(&*http, endpoint, &options, on_step).await.map_err(|error| of_discovery(&error))
    }

    fn refuse_duplicate(
        &self,
        endpoint: &Endpoint,
        headers: &BTreeMap<String, String>,
        id: Option<&ServerId>,
    ) -> Result<(), Error> {
        self.read(|state| {
            if let Some(id) = id.filter(|id| state.servers.contains_key(id)) {
                return Err(Error::new(ErrorCode::Usage, format!("there is a server {id} already"))
                    .hint("choose another --id"));
            }
            match known_as(state, endpoint, headers) {
                Some(same) => {
                    Err(Error::new(ErrorCode::Usage, format!("{endpoint} is there already, as {same}"))
                        .hint(format!("run: hallpass login {same}")))
                }
                None => Ok(()),
            }
        })
    }
}

/// The Server that gets the same requests: its URL and its headers agree.
pub(crate) fn known_as(
    state: &State,
    endpoint: &Endpoint,
    headers: &BTreeMap<String, String>,
) -> Option<ServerId> {
    let url = endpoint.canonical();
    let same = |server: &&Server| server.headers == *headers && server.endpoint.canonical() == url;
    state.servers.values().find(same).map(|server| server.id.clone())
}

fn refuse_no_provider(state: &State, provider: &ServerId) -> Result<(), Error> {
    match state.servers.get(provider) {
        Some(server) if server.auth == AuthKind::IdentityProvider => Ok(()),
        Some(_) => Err(Error::new(ErrorCode::Usage, format!("{provider} is no identity provider"))
            .hint("name one that was added with --identity-provider")),
        None => Err(Error::new(ErrorCode::NotFound, format!("there is no identity provider {provider}"))
            .hint("add it first: hallpass servers add <issuer> --identity-provider --client-id <id>")),
    }
}

/// The scopes that will be asked for.
pub(crate) fn scopes(protected: &Protected) -> Scopes {
    Scopes::select(
        protected.challenged_scope.as_deref(),
        protected.resource_scopes.as_deref(),
        protected.metadata.scopes_supported.as_deref(),
    )
}

/// Enters a registration in place of an older one of the same (issuer, client id), which is returned.
pub(crate) fn put_registration(
    registrations: &mut Vec<ClientRegistration>,
    registration: ClientRegistration,
) -> Option<ClientRegistration> {
    let same =
        |r: &ClientRegistration| r.issuer == registration.issuer && r.client_id == registration.client_id;
    if let Some(old) = registrations.iter_mut().find(|r| same(r)) {
        Some(std::mem::replace(old, registration))
    } else {
        registrations.push(registration);
        None
    }
}

/// A step of discovery in words.
pub(crate) fn words(step: &Step) -> String {
    match step {
        Step::Reached { status } => format!("reached the server (status {status})"),
        Step::Stateless => "it speaks MCP 2026-07-28 or later".to_owned(),
        Step::NeedsSignIn => "it asks for a sign-in".to_owned(),
        Step::ResourceMetadata { url } => format!("read its protected resource metadata at {url}"),
        Step::ForeignMetadataIgnored { origin } => {
            format!("did not use metadata that it named at another host ({origin})")
        }
        Step::Issuer { issuer } => format!("people sign in at {issuer}"),
        Step::IssuerUnusable { issuer, why } => format!("tried another issuer than {issuer}: {why}"),
        Step::ServerMetadata { url } => format!("read the issuer's metadata at {url}"),
        Step::DefaultEndpoints => {
            "it publishes no metadata: the default paths of 2025-03-26 are used".to_owned()
        }
    }
}

fn parse_endpoint(url: &str) -> Result<Endpoint, Error> {
    let parsed = Endpoint::parse(url.trim());
    if let Ok(endpoint) = &parsed
        && !endpoint.as_str().is_ascii()
    {
        let real = endpoint.url();
        let text = "that address holds letters that look like others, and is not what it looks like";
        return Err(Error::new(ErrorCode::Usage, text)
            .hint(format!("its real name is {real}: if that is the one you mean, give it so")));
    }
    parsed.map_err(|error| {
        let hint = match &error {
            EndpointError::NotAUrl { .. } | EndpointError::NoHost => {
                "give the whole URL, such as https://mcp.example.com/mcp"
            }
            EndpointError::UserInfo => "remove user name and password from it, then: hallpass login <server>",
            EndpointError::Scheme
            | EndpointError::PlainHttp
            | EndpointError::Fragment
            | EndpointError::Characters => "take the URL from the server's documentation",
        };
        Error::new(ErrorCode::Usage, error.to_string()).hint(hint)
    })
}

/// A Server's address is kept, shown and handed on: no secret may stand in it, whichever way it came in.
fn refuse_secret(endpoint: &Endpoint) -> Result<(), Error> {
    match WebAddress::read(endpoint.as_str()).kinds.first() {
        None => Ok(()),
        Some(kind) => Err(Error::new(
            ErrorCode::Usage,
            format!("that address carries a secret ({kind}), and it was not kept"),
        )
        .hint("add the server without it and sign in instead, and replace the secret at its issuer")),
    }
}

/// A private authority that a person named, checked before it is used.
pub(crate) fn parse_authority(pem: Option<&str>) -> Result<Option<PrivateAuthority>, Error> {
    pem.map(PrivateAuthority::parse).transpose().map_err(|error| {
        Error::new(ErrorCode::Usage, format!("the file of --ca cannot be used: {error}"))
            .hint("ask your administrator for the authority's certificate as a PEM file")
    })
}

/// The tool that a person named.
fn parse_whoami(text: &str) -> Result<WhoamiTool, Error> {
    WhoamiTool::parse(text).map_err(|error| {
        Error::new(ErrorCode::Usage, format!("{} cannot be asked: {error}", visible(text, 60)))
            .hint("write it as TOOL or TOOL:FIELD, such as --whoami get_me:id")
    })
}

fn check_headers(headers: &BTreeMap<String, String>) -> Result<(), Error> {
    for (name, value) in headers {
        let value_ok = value.bytes().all(|b| (0x20..0x7f).contains(&b));
        if !header::is_name(name) || !value_ok {
            return Err(Error::new(ErrorCode::Usage, "a header cannot be sent as it stands")
                .hint("names hold letters, digits and dashes; values hold printable ASCII"));
        }
        if secret_rules::shape(name).is_some()
            || secret_rules::is_credential_header(name)
            || secret_rules::sure_header(name, value).is_some()
        {
            let shown = if secret_rules::shape(name).is_some() { "given" } else { name };
            return Err(Error::new(ErrorCode::Usage, format!("the header {shown} carries a credential"))
                .hint("leave it out and sign in instead: hallpass login <server>"));
        }
        if header::is_reserved(name) {
            return Err(Error::new(ErrorCode::Usage, format!("the header {name} is set by Hallpass itself"))
                .hint("leave it out"));
        }
    }
    Ok(())
}

/// Discovery's errors at the edge.
pub(crate) fn of_discovery(error: &DiscoveryError) -> Error {
    let text = chain(error);
    match error {
        DiscoveryError::Http(HttpError::NotSent { .. } | HttpError::Unknown { .. })
        | DiscoveryError::ServerTrouble { .. } => Error::new(ErrorCode::Unreachable, text)
            .hint("check the address and your network, then try again"),
        DiscoveryError::Http(HttpError::Certificate { .. }) => {
            Error::new(ErrorCode::Unreachable, text).hint(certificate_hint(error))
        }
        DiscoveryError::Http(HttpError::PrivateAddress { .. }) => Error::new(ErrorCode::Unreachable, text)
            .hint("if that is right, add the server with --private-network"),
        DiscoveryError::Document(_) => Error::new(ErrorCode::Unreachable, text)
            .hint("try again; if it stays so, ask the server's operator"),
        DiscoveryError::ServerMetadata(ServerMetadataError::SilentOnPkce { .. }) => Error::new(ErrorCode::Failed, text)
            .hint("if its administrator says that it checks PKCE all the same, add or set the server with --except missing-pkce"),
        DiscoveryError::NotMcp { .. } => Error::new(ErrorCode::Failed, text)
            .hint("take the URL from the server's documentation; many end in /mcp"),
        DiscoveryError::NotOauth { .. } => Error::new(ErrorCode::Failed, text)
            .hint("if it takes a token that you make there: hallpass servers add <url> --personal-token"),
        DiscoveryError::Http(HttpError::TooLarge { .. } | HttpError::BadUrl { .. })
        | DiscoveryError::ResourceMetadata(_)
        | DiscoveryError::ServerMetadata(_)
        | DiscoveryError::NoServerMetadata { .. }
        | DiscoveryError::NoResourceMetadata { .. }
        | DiscoveryError::OtherIssuer { .. }
        | DiscoveryError::Redirected { .. } => Error::new(ErrorCode::Failed, text)
            .hint("nothing was sent; ask the server's operator to mend this"),
    }
}

/// What to do about a certificate that is not accepted.
pub(crate) fn certificate_hint(error: &(dyn std::error::Error + 'static)) -> &'static str {
    match Refused::behind(error) {
        Some(Refused::UnknownAuthority { .. }) => {
            "nothing was sent; if that is your organisation's own authority, get its certificate from your \
             administrator and add it with --ca FILE"
        }
        Some(Refused::NotYetValid) => {
            "nothing was sent; set this machine's clock, or ask the server's operator"
        }
        Some(Refused::OtherHost { .. } | Refused::Expired | Refused::Revoked | Refused::Invalid { .. })
        | None => {
            "nothing was sent; check the address, and ask the server's operator to mend its certificate"
        }
    }
}

/// An error and what caused it, in one sentence.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text.chars().take(600).collect()
}
