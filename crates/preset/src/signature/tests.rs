//! Signatures that hold and signatures that do not. Those of the minisign tool were made with minisign 0.11.

use model::Secret;

use super::*;
use crate::signing::{Protection, SecretKey, generate, needs_password};

fn keys() -> (PublicKey, SecretKey) {
    let keys = generate(Protection::None).unwrap();
    let secret = SecretKey::open(&keys.secret_file, None).unwrap();
    (PublicKey::parse(&keys.public_file).unwrap(), secret)
}

#[test]
fn our_own_signature_holds_for_these_bytes_this_key_and_this_comment_only() {
    let (key, secret) = keys();
    assert_eq!(secret.public().unwrap(), key);
    let signature = secret.sign(b"bytes", "serial 1").unwrap();
    let verified = verify(&key, b"bytes", &signature).unwrap();
    assert_eq!((verified.key, verified.comment.as_str()), (key.clone(), "serial 1"));
    let windows = signature.replace('\n', "\r\n");
    assert!(verify(&key, b"bytes", &windows).is_ok());

    assert_eq!(verify(&key, b"Bytes", &signature), Err(SignatureError::Wrong));
    assert_eq!(verify(&key, b"", &signature), Err(SignatureError::Wrong));
    let comment = signature.replace("serial 1", "serial 2");
    assert_eq!(verify(&key, b"bytes", &comment), Err(SignatureError::Wrong));
    let (other, other_secret) = keys();
    assert_eq!(verify(&other, b"bytes", &signature), Err(SignatureError::OtherKey));
    let swapped = other_secret.sign(b"bytes", "serial 1").unwrap();
    assert_eq!(verify(&key, b"bytes", &swapped), Err(SignatureError::OtherKey));
}

#[test]
fn a_key_with_the_same_id_and_other_bytes_does_not_verify() {
    let (key, secret) = keys();
    let (other, _) = keys();
    let signature = secret.sign(b"bytes", "").unwrap();
    let mut bytes = key.bytes();
    bytes[10..].copy_from_slice(&other.bytes()[10..]);
    let forged = PublicKey::parse(&STANDARD.encode(bytes)).unwrap();
    assert_eq!(forged.id(), key.id());
    assert_eq!(verify(&forged, b"bytes", &signature), Err(SignatureError::Wrong));
}

#[test]
fn the_legacy_kind_and_broken_files_are_refused_by_name() {
    let (key, secret) = keys();
    let signature = secret.sign(b"bytes", "c").unwrap();
    let lines: Vec<&str> = signature.lines().collect();
    let algorithm = |algorithm: &[u8; 2]| {
        let mut bytes = STANDARD.decode(lines[1]).unwrap();
        bytes[..2].copy_from_slice(algorithm);
        [lines[0], &STANDARD.encode(bytes), lines[2], lines[3]].join("\n")
    };
    assert!(verify(&key, b"bytes", &algorithm(b"ED")).is_ok());
    assert_eq!(verify(&key, b"bytes", &algorithm(b"Ed")), Err(SignatureError::Legacy));
    assert_eq!(verify(&key, b"bytes", &algorithm(b"EX")), Err(SignatureError::Algorithm));
    for broken in [
        String::new(),
        lines[..3].join("\n"),
        lines[1..].join("\n"),
        [lines[0], lines[1], "trusted: c", lines[3]].join("\n"),
        [lines[0], lines[1], lines[3], lines[2]].join("\n"),
        [lines[0], "AAAA", lines[2], lines[3]].join("\n"),
        format!("{signature}\nmore"),
        format!("{signature}{}", " ".repeat(MAX_SIGNATURE_BYTES)),
        "\u{0}".repeat(100),
    ] {
        assert_eq!(verify(&key, b"bytes", &broken), Err(SignatureError::Form), "{broken:?}");
    }
}

#[test]
fn only_a_public_key_is_a_key() {
    let (key, _) = keys();
    assert!(key.as_str().starts_with("RW") && key.as_str().len() == 56);
    assert_eq!(key.id().len(), 16);
    assert_eq!(key.eight_words().split(' ').count(), 8);
    assert_eq!(serde_json::from_str::<PublicKey>(&format!("\"{key}\"")).unwrap(), key);
    let secret = generate(Protection::None).unwrap().secret_file;
    for bad in ["", "RW", "RWabc", &key.as_str()[..55], &format!("{key}A"), secret.expose(), "a\nb\nc"] {
        assert!(PublicKey::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_protected_key_opens_with_its_password_only() {
    let keys = generate(Protection::Password("correct horse".into())).unwrap();
    assert!(needs_password(&keys.secret_file).unwrap());
    let open = |password: Option<&str>| {
        SecretKey::open(&keys.secret_file, password.map(Secret::from).as_ref())
            .map(|key| key.public().unwrap())
    };
    assert_eq!(open(Some("correct horse")).unwrap(), keys.public);
    assert!(open(Some("correct horsf")).is_err());
    assert!(open(None).is_err());
    assert!(needs_password(&"x".into()).is_err());
    assert!(SecretKey::open(&keys.public_file.as_str().into(), None).is_err());
    assert!(!format!("{keys:?}").contains(&keys.secret_file.expose()[..40]));
}
