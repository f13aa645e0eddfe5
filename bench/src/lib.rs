//! What the floor bridge and the benchmark share: HTTP/1.1 as far as both need it.

pub mod wire;
