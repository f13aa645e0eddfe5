//! The shapes in which a secret may lie around.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// How a secret was written where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// As it is.
    Plain,
    /// RFC 4648 section 4, at any of the three alignments.
    Base64,
    /// RFC 4648 section 5, likewise.
    Base64Url,
    /// RFC 3986 section 2.1, upper or lower case, reserved characters or all.
    Percent,
    /// In a JSON string that escapes `/`.
    Json,
    /// UTF-16, little endian.
    Utf16,
}

/// Bytes to look for.
#[derive(Clone, Debug)]
pub(super) struct Needle {
    /// Whose; `None` = the canary's.
    pub(super) kind: Option<String>,
    pub(super) encoding: Encoding,
    pub(super) bytes: Vec<u8>,
}

/// All shapes of `secret`, each once. Of a large secret two parts are enough, its middle and its end: the
/// head of a JWT is no secret, and half a token is to be found as well.
pub(super) fn variants(kind: Option<&str>, secret: &str) -> Vec<Needle> {
    let bytes = secret.as_bytes();
    let parts = if bytes.len() <= WHOLE {
        vec![bytes]
    } else {
        let middle = bytes.len() / 2;
        vec![&bytes[middle..middle + PART], &bytes[bytes.len() - PART..]]
    };
    let mut needles: Vec<Needle> = Vec::new();
    for (encoding, shape) in parts.into_iter().flat_map(shapes) {
        if needles.iter().all(|known| known.bytes != shape) {
            needles.push(Needle { kind: kind.map(str::to_owned), encoding, bytes: shape });
        }
    }
    needles
}

fn shapes(part: &[u8]) -> Vec<(Encoding, Vec<u8>)> {
    let mut shapes = vec![(Encoding::Plain, part.to_vec())];
    for before in 0..3 {
        for (encoding, engine) in
            [(Encoding::Base64, &STANDARD_NO_PAD), (Encoding::Base64Url, &URL_SAFE_NO_PAD)]
        {
            let text = engine.encode([&vec![0; before], part].concat());
            // Only the characters that `part` alone decides: 6 bits each, none shared with a neighbour.
            let (first, end) = ((before * 8).div_ceil(6), (before + part.len()) * 8 / 6);
            shapes.push((encoding, text.as_bytes()[first..end].to_vec()));
        }
    }
    let keep: [fn(u8) -> bool; 4] = [
        |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte), // RFC 3986
        |byte| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte), // forms
        |byte| byte.is_ascii_alphanumeric(),
        |_| false,
    ];
    for keep in keep {
        shapes.push((Encoding::Percent, percent(part, keep, |byte| format!("%{byte:02X}"))));
        shapes.push((Encoding::Percent, percent(part, keep, |byte| format!("%{byte:02x}"))));
    }
    if let Ok(text) = std::str::from_utf8(part) {
        shapes.push((Encoding::Json, text.replace('/', "\\/").into_bytes()));
        shapes.push((Encoding::Utf16, text.encode_utf16().flat_map(u16::to_le_bytes).collect()));
    }
    shapes
}

fn percent(part: &[u8], keep: fn(u8) -> bool, escape: fn(u8) -> String) -> Vec<u8> {
    part.iter().flat_map(|byte| if keep(*byte) { vec![*byte] } else { escape(*byte).into_bytes() }).collect()
}

const WHOLE: usize = 192;
const PART: usize = 64;
