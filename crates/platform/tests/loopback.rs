//! loopback: exclusive, and whose connection it is.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;

use hallpass_platform::loopback::{Loopback, LoopbackPort, peer_is_this_user};

const ANY: LoopbackPort = LoopbackPort::Any { preferred: None };

#[tokio::test]
async fn the_preferred_port_is_taken_if_it_is_free_and_another_if_not() {
    let first = Loopback::bind(ANY).expect("a listener");
    let port = first.local_addr().expect("an address").port();
    let second = Loopback::bind(LoopbackPort::Any { preferred: Some(port) }).expect("a listener");
    assert_ne!(second.local_addr().expect("an address").port(), port);
    drop(first);
    // A process that another test is just starting may have the first one's socket until it is its own program.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    crate::wait_for("the preferred port", || {
        let third = Loopback::bind(LoopbackPort::Any { preferred: Some(port) }).expect("a listener");
        (third.local_addr().expect("an address") == address).then_some(())
    });
}

#[tokio::test]
async fn nobody_shares_the_port() {
    let listener = Loopback::bind(ANY).expect("a listener");
    let address = listener.local_addr().expect("an address");
    for reuse in [false, true] {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(reuse).expect("an option");
        #[cfg(target_os = "linux")]
        socket.set_reuseport(reuse).expect("an option");
        let stolen = socket.bind(address).and_then(|()| socket.listen(1));
        assert!(stolen.is_err(), "with reuse {reuse}");
    }
}

#[tokio::test]
async fn a_connection_of_this_user_is_known_as_such_on_linux() {
    let listener = Loopback::bind(ANY).expect("a listener");
    let local = listener.local_addr().expect("an address");
    let caller = tokio::net::TcpStream::connect(local).await.expect("a connection");
    let (_accepted, peer) = listener.accept().await.expect("a connection");
    let expected = cfg!(target_os = "linux").then_some(true);
    assert_eq!(peer_is_this_user(local, peer), expected);
    drop(caller);
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    assert_eq!(peer_is_this_user(local, nobody), expected.map(|_| false));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_through_a_socket_for_both_families_is_known_too() {
    let listener = Loopback::bind(ANY).expect("a listener");
    let local = listener.local_addr().expect("an address");
    let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), local.port()));
    let Ok(_caller) = tokio::net::TcpStream::connect(mapped).await else { return };
    let (_accepted, peer) = listener.accept().await.expect("a connection");
    assert_eq!(peer_is_this_user(local, peer), Some(true));
}

#[tokio::test]
async fn a_fixed_port_is_that_port_or_none() {
    let first = Loopback::bind(ANY).expect("a listener");
    let port = NonZeroU16::new(first.local_addr().expect("an address").port()).expect("a port");
    let taken = Loopback::bind(LoopbackPort::Fixed(port)).expect_err("it is in use");
    assert!(taken.is_taken());
    assert!(Loopback::bind_localhost(LoopbackPort::Fixed(port)).expect_err("it is in use").is_taken());
    drop(first);
    crate::wait_for("that port", || {
        let again = Loopback::bind(LoopbackPort::Fixed(port)).ok()?;
        assert_eq!(again.local_addr().expect("an address").port(), port.get());
        Some(())
    });
}

#[tokio::test]
async fn localhost_is_one_port_of_every_family_that_there_is() {
    let (four, six) = Loopback::bind_localhost(ANY).expect("listeners");
    let port = four.local_addr().expect("an address").port();
    let has_v6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    assert_eq!(six.is_some(), has_v6);
    let Some(six) = six else { return };
    assert_eq!(six.local_addr().expect("an address").port(), port);
    // A port that somebody has in one family alone is not used: the browser may try that one first.
    drop(four);
    let fixed = LoopbackPort::Fixed(NonZeroU16::new(port).expect("a port"));
    assert!(Loopback::bind_localhost(fixed).expect_err("::1 is in use").is_taken());
    let other = Loopback::bind_localhost(LoopbackPort::Any { preferred: Some(port) }).expect("another port");
    assert_ne!(other.0.local_addr().expect("an address").port(), port);
}
