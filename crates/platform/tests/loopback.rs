//! loopback: exclusive, and whose connection it is.

use std::net::{Ipv4Addr, SocketAddr};

use hallpass_platform::loopback::{Loopback, peer_is_this_user};

#[tokio::test]
async fn the_preferred_port_is_taken_if_it_is_free_and_another_if_not() {
    let first = Loopback::bind(None).expect("a listener");
    let port = first.local_addr().expect("an address").port();
    let second = Loopback::bind(Some(port)).expect("a listener");
    assert_ne!(second.local_addr().expect("an address").port(), port);
    drop(first);
    // A process that another test is just starting may have the first one's socket until it is its own program.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    crate::wait_for("the preferred port", || {
        let third = Loopback::bind(Some(port)).expect("a listener");
        (third.local_addr().expect("an address") == address).then_some(())
    });
}

#[tokio::test]
async fn nobody_shares_the_port() {
    let listener = Loopback::bind(None).expect("a listener");
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
    let listener = Loopback::bind(None).expect("a listener");
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
    let listener = Loopback::bind(None).expect("a listener");
    let local = listener.local_addr().expect("an address");
    let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), local.port()));
    let Ok(_caller) = tokio::net::TcpStream::connect(mapped).await else { return };
    let (_accepted, peer) = listener.accept().await.expect("a connection");
    assert_eq!(peer_is_this_user(local, peer), Some(true));
}
