//! End to end: the real executable, real sockets, real HTTP, a real keychain service, one module a journey.
//!
//! Every test makes a [`support::World`] of its own: a scratch home with its own D-Bus session and keychain,
//! an authorization server that knows ana and ben, and a protected MCP server.

mod support;

// A person signs in, or is told in one sentence why not; what is in the keychain, in the state, upstream.
mod sign_in;

// Every other way in: another device, an application, a company's identity provider; and more rights.
mod ways_in;

// Personal tokens that people make at a server and paste, and servers that say themselves who is signed in.
mod pasted_tokens;

// Bad input of every kind: one sentence, the next step, the exit code, and nothing lost.
mod bad_input;

// The disk is full: refused in words, nothing lost.
mod disk_full;

// A machine without a keychain: sealed files, chosen, moved, locked, damaged, older, full.
mod sealed_file;

// Who acts changes while apps run: calls in flight, closed servers, silent bridges, a thousand calls.
mod account_switch;

// Apps and servers of different eras of the protocol: translated both ways, as the person of each call.
mod eras;

// Apps start before their server has answered, and while it is away, by what it said to the same person before.
mod start;

// Saved choices of who acts everywhere: made, used in one write, forgotten; all in one step.
mod profiles;

// Servers come in: pasted text of every form, other apps' files.
mod adding;

// How a server is: paused, renewing, out of reach.
mod pauses;

// Other people's authorization server, protected server and clients: interleaved calls, switches, refreshes.
mod peers;

// Issuers that lie, break off, change their mind or answer for somebody else: on the wire, at every step.
mod faults;

// Tokens renew themselves, once for everybody; whatever goes wrong meanwhile loses no login.
mod refresh;

// Many apps, tokens of seconds, and whatever dies at random: nothing is lost, nobody is mixed up.
mod soak;

// Agent and bridges die at once, at every point of their life that has a name; nothing is lost but what must be.
mod kills;

// The agent starts, finds its keychain, is found, is refused, ends: one of it, whatever happens around it.
mod agent_lifecycle;

// Other apps' files: plaintext tokens leave them, our bridge takes their place, and everything goes back.
mod client_config;

// Administrators make, check, sign and verify lists; the minisign tool reads them.
mod admin_lists;

// Servers in TLS behind a private authority: trusted where a person said so, and nowhere else.
mod private_authority;

// Sign-ins that are left before their end: gone on with, given up, found to have ended.
mod left;

// Who Hallpass is to an issuer: its own document in place of a registration.
mod documents;

// Signing in again and out: what was replaced or ended lives on nowhere, and nobody loses what is newer.
mod replaced;

// Issuers that are particular about where the browser comes back to, and what they are sent besides.
mod redirects;

// Proxies that open, ask, refuse, fall silent; who vouches for a connection.
mod proxies;

// Lists of administrators: followed, moved, taken back; hostile ones refused, and the list in force stays.
mod presets;

// The demo that anybody can run, to its end.
mod demo;
