//! Which addresses may be contacted for a Server: a public one may not send us into a private network.

use std::net::{IpAddr, SocketAddr};

use model::{Endpoint, Reach};

/// What a Server and everything that it names may lie on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Public addresses alone.
    Public,
    /// Public addresses and this machine: the Server itself is on this machine.
    PublicAndLoopback,
    /// Anything: the person said so (`--private-network`).
    Any,
}

impl Network {
    /// What an endpoint allows by itself; `private_network` is what the person allowed.
    pub fn of(endpoint: &Endpoint, private_network: PrivateNetwork) -> Self {
        match (private_network, endpoint.reach()) {
            (PrivateNetwork::Allowed, _) => Self::Any,
            (PrivateNetwork::Refused, Reach::Loopback) => Self::PublicAndLoopback,
            (PrivateNetwork::Refused, Reach::Private | Reach::Public) => Self::Public,
        }
    }

    /// Whether an address of this reach may be contacted.
    pub fn allows(self, reach: Reach) -> bool {
        match (self, reach) {
            (Self::Any, _) | (_, Reach::Public) | (Self::PublicAndLoopback, Reach::Loopback) => true,
            (Self::Public, Reach::Loopback | Reach::Private) | (Self::PublicAndLoopback, Reach::Private) => {
                false
            }
        }
    }

    /// Whether a resolved address may be contacted.
    pub(crate) fn allows_ip(self, ip: IpAddr) -> bool {
        self.allows(reach_of_ip(ip))
    }
}

/// Whether the person allowed addresses of private networks for a Server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivateNetwork {
    /// `servers add --private-network`.
    Allowed,
    /// The default.
    Refused,
}

/// Classifies a resolved address by the same rules as one that is written in a URL.
fn reach_of_ip(ip: IpAddr) -> Reach {
    let text = format!("https://{}/", SocketAddr::new(ip, 443));
    Endpoint::parse(&text).map_or(Reach::Private, |endpoint| endpoint.reach())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_server_cannot_send_us_into_a_private_network() {
        let public = Endpoint::parse("https://mcp.example.com/").unwrap();
        let local = Endpoint::parse("http://localhost:3000/mcp").unwrap();
        for (endpoint, ip, want) in [
            (&public, "8.8.8.8", true),
            (&public, "10.0.0.1", false),
            (&public, "127.0.0.1", false),
            (&public, "169.254.169.254", false),
            (&public, "::1", false),
            (&public, "::ffff:10.0.0.1", false),
            (&public, "fd00::1", false),
            (&public, "2606:4700::1111", true),
            (&local, "127.0.0.1", true),
            (&local, "::1", true),
            (&local, "10.0.0.1", false),
        ] {
            let network = Network::of(endpoint, PrivateNetwork::Refused);
            assert_eq!(network.allows_ip(ip.parse().unwrap()), want, "{ip}");
            assert!(Network::of(endpoint, PrivateNetwork::Allowed).allows_ip(ip.parse().unwrap()));
        }
    }
}
