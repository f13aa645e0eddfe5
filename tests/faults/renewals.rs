//! Faults that meet somebody who is signed in: at a renewal, in what the issuer publishes since, and at the sign-out.
//! Nothing of the issuer's troubles signs anybody out; what proves another person is never used.

use serde_json::json;
use testbed::authorization_server::IdTokenFault;
use testbed::interposer::{Lie, Where};

use super::bench::{Bench, deep, endless, huge, json_lie, packed, page};

/// A fault at a renewal or a sign-out.
pub(super) struct Case {
    pub(super) surface: &'static str,
    pub(super) fault: &'static str,
    pub(super) plant: fn(&Bench),
    pub(super) then: Then,
}

/// What has to come of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Then {
    /// The call is refused with this in words, the sign-in is kept, and a renewal after the fault succeeds.
    Kept(&'static str),
    /// The call is refused with this in words, and only a new sign-in helps.
    Ended(&'static str),
    /// Nobody notices.
    Fine,
}

const fn case(surface: &'static str, fault: &'static str, plant: fn(&Bench), then: Then) -> Case {
    Case { surface, fault, plant, then }
}

pub(super) const REFRESHES: Where = Where { path: "/token", body: "grant_type=refresh_token" };
const REVOKE: Where = Where::path("/revoke");

use Then::{Ended, Fine, Kept};

/// At the token endpoint, with a refresh token.
pub(super) fn renewals() -> Vec<Case> {
    const S: &str = "token endpoint";
    fn answer(bench: &Bench, body: &serde_json::Value) {
        bench.lie(REFRESHES, json_lie(200, body));
    }
    vec![
        case(S, "redirect to a stranger (307)", |b| b.lie(REFRESHES, b.away(307)), Kept("redirects")),
        case(S, "redirect to a stranger (302)", |b| b.lie(REFRESHES, b.away(302)), Kept("redirects")),
        case(S, "captive portal", |b| b.lie(REFRESHES, page(200)), Kept("no usable answer")),
        case(S, "network login required (511)", |b| b.lie(REFRESHES, page(511)), Kept("status 511")),
        case(S, "500", |b| b.lie(REFRESHES, page(500)), Kept("status 500")),
        case(
            S,
            "503",
            |b| b.lie(REFRESHES, json_lie(503, &json!({"error": "invalid_grant"}))),
            Kept("status 503"),
        ),
        case(
            S,
            "429 with Retry-After",
            |b| b.lie(REFRESHES, Lie::reply(429, &[("retry-after", "2")], "")),
            Kept("status 429"),
        ),
        case(S, "a page with 400", |b| b.lie(REFRESHES, page(400)), Kept("status 400")),
        case(S, "endless", |b| b.lie(REFRESHES, endless()), Kept("longer than")),
        case(S, "huge", |b| b.lie(REFRESHES, huge()), Kept("longer than")),
        case(S, "packed", |b| b.lie(REFRESHES, packed()), Kept("no usable answer")),
        case(S, "deep", |b| b.lie(REFRESHES, deep()), Kept("no usable answer")),
        case(S, "connection dropped", |b| b.lie(REFRESHES, Lie::Drop), Kept("did not answer to the end")),
        case(
            S,
            "cut short",
            |b| b.lie(REFRESHES, Lie::cut_short("application/json", "{\"access_token\":")),
            Kept("did not answer to the end"),
        ),
        case(
            S,
            "a line break in the access token",
            |b| answer(b, &json!({"access_token": "a\r\nb", "token_type": "Bearer"})),
            Kept("characters that no token may hold"),
        ),
        case(
            S,
            "another kind of token",
            |b| answer(b, &json!({"access_token": "a", "token_type": "mac"})),
            Kept("not of the type Bearer"),
        ),
        case(S, "no token", |b| answer(b, &json!({})), Kept("no usable answer")),
        case(
            S,
            "HTML in the error",
            |b| {
                let error =
                    json!({"error": "temporarily_unavailable", "error_description": "<script>\u{1b}[2J"});
                b.lie(REFRESHES, json_lie(400, &error));
            },
            Kept("<script>"),
        ),
        case(
            S,
            "invalid_client",
            |b| b.lie(REFRESHES, json_lie(401, &json!({"error": "invalid_client"}))),
            Ended("does not know this Hallpass any more"),
        ),
        case(
            S,
            "invalid_grant",
            |b| b.lie(REFRESHES, json_lie(400, &json!({"error": "invalid_grant"}))),
            Ended("ended this sign-in"),
        ),
        case(
            S,
            "answer lost after the rotation",
            |b| b.issuer.handle().tell_once(REFRESHES, Lie::Lose),
            Ended("ended this sign-in"),
        ),
    ]
}

/// Who the issuer says that the new tokens are for.
pub(super) fn people() -> Vec<Case> {
    const I: &str = "id_token";
    const U: &str = "userinfo";
    const OTHER: Then = Ended("another person");
    const UNASKED: Then = Kept("cannot say now whose it is");
    fn token(bench: &Bench, fault: IdTokenFault) {
        bench.knobs(|knobs| knobs.id_token_fault = Some(fault));
    }
    fn userinfo(bench: &Bench, lie: Lie) {
        bench.knobs(|knobs| knobs.id_token_at_refresh = false);
        bench.lie(Where::path("/userinfo"), lie);
    }
    vec![
        case(I, "another subject", |b| b.knobs(|k| k.refresh_as = Some("ben".into())), OTHER),
        case(I, "another audience", |b| token(b, IdTokenFault::Audience), OTHER),
        case(I, "another issuer", |b| token(b, IdTokenFault::Issuer), OTHER),
        case(I, "a forged signature", |b| token(b, IdTokenFault::Signature), UNASKED),
        case(I, "no subject", |b| token(b, IdTokenFault::NoSubject), UNASKED),
        case(
            U,
            "another subject",
            |b| {
                b.knobs(|k| {
                    k.id_token_at_refresh = false;
                    k.userinfo_as = Some("ben".into());
                });
            },
            OTHER,
        ),
        case(U, "503", |b| userinfo(b, page(503)), UNASKED),
        case(U, "captive portal", |b| userinfo(b, page(200)), UNASKED),
        case(U, "redirect to a stranger", |b| userinfo(b, b.away(307)), UNASKED),
        case(U, "endless", |b| userinfo(b, endless()), UNASKED),
        case(U, "connection dropped", |b| userinfo(b, Lie::Drop), UNASKED),
        case("keys of the issuer", "a page", |b| b.lie(Where::path("/jwks"), page(200)), UNASKED),
        case(
            "keys of the issuer",
            "redirect to a stranger",
            |b| b.lie(Where::path("/jwks"), b.away(302)),
            UNASKED,
        ),
    ]
}

/// The issuer or the server publishes something else since the sign-in.
pub(super) fn changes() -> Vec<Case> {
    const S: &str = "metadata changed after the sign-in";
    fn metadata(bench: &Bench, change: fn(&mut serde_json::Value, &str)) {
        let stranger = bench.stranger.origin().to_owned();
        bench.lie(Where::path("/.well-known/"), Lie::Edit(change, stranger));
    }
    fn server(bench: &Bench, change: fn(&mut serde_json::Value, &str)) {
        let stranger = bench.stranger.origin().to_owned();
        bench.server.handle().tell(Where::path("/.well-known/"), Lie::Edit(change, stranger));
    }
    vec![
        case(
            S,
            "token endpoint at a stranger's",
            |b| metadata(b, |d, x| d["token_endpoint"] = x.into()),
            Fine,
        ),
        case(S, "keys at a stranger's", |b| metadata(b, |d, x| d["jwks_uri"] = x.into()), Fine),
        case(S, "userinfo at a stranger's", |b| metadata(b, |d, x| d["userinfo_endpoint"] = x.into()), Fine),
        case(
            S,
            "revocation at a stranger's",
            |b| metadata(b, |d, x| d["revocation_endpoint"] = x.into()),
            Fine,
        ),
        case(S, "another issuer", |b| metadata(b, |d, x| d["issuer"] = x.into()), Fine),
        case(S, "no metadata any more", |b| b.lie(Where::path("/.well-known/"), page(404)), Fine),
        case(
            S,
            "the server names a stranger as its issuer",
            |b| server(b, |d, x| d["authorization_servers"] = json!([x])),
            Fine,
        ),
        case(S, "the server is another resource", |b| server(b, |d, x| d["resource"] = x.into()), Fine),
        case(
            S,
            "the server's metadata are gone",
            |b| b.server.handle().tell(Where::path("/.well-known/"), page(404)),
            Fine,
        ),
    ]
}

/// At the revocation endpoint; what is expected is said by the sign-out, which succeeds here in any case.
pub(super) fn sign_outs() -> Vec<Case> {
    const S: &str = "revocation endpoint";
    const LATER: Then = Kept("could not be told yet");
    const NEVER: Then = Ended("refused to revoke");
    vec![
        case(S, "redirect to a stranger", |b| b.lie(REVOKE, b.away(307)), NEVER),
        case(S, "503", |b| b.lie(REVOKE, page(503)), LATER),
        case(S, "429", |b| b.lie(REVOKE, page(429)), LATER),
        case(S, "endless", |b| b.lie(REVOKE, endless()), LATER),
        case(S, "connection dropped", |b| b.lie(REVOKE, Lie::Drop), LATER),
        case(S, "HTML in the error", |b| b.lie(REVOKE, page(400)), NEVER),
    ]
}
