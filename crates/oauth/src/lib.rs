//! The MCP authorization client's messages and decisions (MCP authorization 2026-07-28 and earlier).
//!
//! Nothing here opens a keychain, a browser or a socket: HTTP, the bound listener and the time are handed
//! in. In order of a sign-in:
//!
//! ```text
//! discover -> choose / register -> AuthorizationRequest -> LoopbackRedirect::wait -> exchange -> identify
//!                                                            later: refresh -> same_person_at_refresh
//!                                                            last:  revoke
//! ```
//!
//! Issuers, resources and redirect URIs stay the exact texts that were published: they are compared as
//! texts and sent as texts.

mod authorization_request;
mod authorization_response;
mod authorization_server_metadata;
mod challenge;
mod client_credentials;
mod client_metadata_document;
mod client_registration;
mod device_authorization;
mod discovery;
mod document;
mod door;
mod extra_parameters;
mod http;
mod id_token;
mod identity;
mod identity_assertion;
mod introspection;
mod json_field;
mod loopback_page;
mod loopback_redirect;
mod network;
mod private_key;
mod private_key_jwt;
mod probe;
mod protected_resource_metadata;
mod reqwest_http;
mod retry_after;
mod revocation;
mod scopes;
mod server_text;
mod step_up;
mod tenant;
mod token;
mod token_answer;
mod token_endpoint_auth;
mod token_exchange;
mod userinfo;

#[cfg(test)]
mod testing;

pub use authorization_request::{
    AuthorizationParameters, AuthorizationRequest, BadRedirectUri, ExpectedResponse, IssParameter, Prompt,
    may_open,
};
pub use authorization_response::{Callback, CallbackError, NotOurs, parse_pasted};
pub use authorization_server_metadata::{
    AuthorizationServerMetadata, Offer, PkceSilence, ServerMetadataError,
};
pub use challenge::{Challenge, challenge, parse_challenges};
pub use client_credentials::{
    CLIENT_CREDENTIALS, ClientCredentialsError, client_credentials, offers_client_credentials,
};
pub use client_metadata_document::CLIENT_METADATA_URL;
pub use client_registration::{
    RegisterFor, Registered, Registration, RegistrationError, RegistrationRequest, choose, register,
};
pub use device_authorization::{
    DEVICE_CODE, DeviceAuthorization, DeviceAuthorizationError, DeviceAuthorizationRequest, Next,
    PollSchedule, Polled, poll, request_device_authorization,
};
pub use discovery::{
    Discovered, DiscoveryError, DiscoveryOptions, FoundBy, Protected, Quirk, ServerPin, Step, Want, discover,
    issuer_metadata, quirks_of,
};
pub use document::DocumentError;
pub use door::asks_who_is_there;
pub use extra_parameters::{ExtraParameterError, ExtraParameters};
pub use http::{BODY_CAP, BoxFuture, DOCUMENT_TIME, Http, HttpError, HttpRequest, HttpResponse, TOKEN_TIME};
pub use id_token::IdTokenError;
pub use identity::{
    Before, Identified, Identity, IdentityError, IdentitySources, SamePerson, expected_proof, hints_differ,
    identify, same_person_at_refresh,
};
pub use identity_assertion::{
    AssertionTarget, ID_JAG_PROFILE, IdJag, IdTokenClaims, IdentityAssertionError, IdentityProvider,
    JWT_BEARER, Subject, id_token_claims, redeem_id_jag, request_id_jag, takes_identity_assertions,
};
pub use introspection::{
    Introspection, IntrospectionError, identify_by_introspection, same_person_by_introspection,
};
pub use loopback_redirect::{
    Arrived, CALLBACK_PATH, LoopbackRedirect, PeerCheck, Reply, SignedIn, WaitError, redirect_uri,
};
pub use network::{Network, PrivateNetwork};
pub use private_key::{PrivateKey, PrivateKeyError, SigningAlgorithm};
pub use private_key_jwt::{AssertionError, ClientAssertionSigner, Clock};
pub use protected_resource_metadata::{ProtectedResourceMetadata, ResourceMetadataError};
pub use reqwest_http::{Enough, HttpSetupError, ReqwestHttp};
pub use revocation::{RevocationError, TokenKind, revoke};
pub use scopes::Scopes;
pub use server_text::ServerText;
pub use step_up::{GaveUp, MOST_STEP_UPS, Narrow, StepUp, step_up};
pub use token::{TokenAnswer, TokenEndpoint, TokenError, exchange, refresh};
pub use token_endpoint_auth::{AssertionAudience, ClientAuthentication};
pub use token_exchange::{Exchanged, TOKEN_EXCHANGE, TokenExchange, TokenType, exchange_token};
pub use userinfo::{UserinfoError, UserinfoSilence, userinfo_silence};
