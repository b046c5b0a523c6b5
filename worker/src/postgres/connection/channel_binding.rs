//! `tls-server-end-point` of RFC 5929: binds the login to the server's certificate.

use rustls::ClientConnection;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The hash of the server's certificate; `None` for a signature algorithm that has no single hash.
pub(super) fn tls_server_end_point(tls: &ClientConnection) -> Option<Vec<u8>> {
    let certificate = tls.peer_certificates()?.first()?;
    match signature_algorithm(certificate)? {
        // RSA and ECDSA with SHA-1 or SHA-256; the RFC has SHA-256 for the weaker too.
        [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x04 | 0x05 | 0x0B]
        | [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x01]
        | [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02] => Some(Sha256::digest(certificate).to_vec()),
        [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0C]
        | [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x03] => Some(Sha384::digest(certificate).to_vec()),
        [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0D]
        | [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x04] => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}

/// `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OID, … }, … }`.
pub(super) fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const OBJECT_IDENTIFIER: u8 = 0x06;
    let (content, _) = element(certificate, SEQUENCE)?;
    let (_, after_body) = element(content, SEQUENCE)?;
    let (algorithm, _) = element(after_body, SEQUENCE)?;
    Some(element(algorithm, OBJECT_IDENTIFIER)?.0)
}

/// One DER element: its content and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    if *found != tag {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7F => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(*first & 0x7F))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_algorithm_follows_the_body() {
        let certificate = [0x30, 9, 0x30, 1, 0, 0x30, 4, 0x06, 2, 0x2A, 0x03];
        assert_eq!(signature_algorithm(&certificate), Some(&[0x2A, 0x03][..]));
    }

    #[test]
    fn a_broken_certificate_has_no_algorithm() {
        for bytes in [&b""[..], b"\x30", b"\x30\x85\0\0\0\0\x01", b"\x30\x84\xFF\xFF\xFF\xFF", b"\x31\0"] {
            assert_eq!(signature_algorithm(bytes), None);
        }
    }
}
