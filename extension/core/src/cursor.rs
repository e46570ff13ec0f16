//! Page tokens of searches: base64url (RFC 4648, without padding) of a payload and its HMAC-SHA-256.
//!
//! A search hands out the frozen list of its hits, so that the pages behind the first have neither doubles nor
//! gaps, whatever is written meanwhile, and the server keeps nothing. A listing without a query hands out the
//! chunk after which the next page begins. The payload is signed, not encrypted: who holds a token can read the
//! chunk ids and scores in it, but not change them. It is bound to a fingerprint of the request, which is
//! to cover whatever must not change between pages: the query, its options, the caller's identity.
//!
//! Payload: version (1 byte), kind (1 byte), fingerprint (32 bytes), issued-at seconds, then for a list the
//! offset, the number of entries and each entry as two differences to the one before: of its id, and of its
//! score's bit pattern; for a keyset the last id. Numbers are LEB128, differences zigzag-coded, so an entry of
//! a ranked list takes about 6 bytes.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Most hits that a frozen list holds.
pub const MAX_ENTRIES: usize = 1_000;

/// Bytes of a request's fingerprint.
pub const FINGERPRINT_BYTES: usize = 32;

const VERSION: u8 = 1;
const LIST: u8 = 0;
const KEYSET: u8 = 1;
const SIGNATURE_BYTES: usize = 32;
/// No token is longer: every number takes at most 10 bytes.
const MAX_BYTES: usize = 2 + FINGERPRINT_BYTES + 3 * 10 + MAX_ENTRIES * 2 * 10 + SIGNATURE_BYTES;

/// What a page token carries.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    /// Seconds since 1970 at which the first page was computed; how old a token may get is up to the caller.
    pub issued_at: u64,
    /// Where the next page begins.
    pub place: Place,
}

/// Where the next page begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// In a frozen list.
    List {
        /// All hits, best first: chunk id and score. At most [`MAX_ENTRIES`].
        entries: Vec<(i64, f32)>,
        /// Number of hits that earlier pages had, at most `entries.len()`.
        offset: u32,
    },
    /// In a listing by id.
    After {
        /// The last chunk of the page before.
        chunk_id: i64,
    },
}

/// Why a token was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// It is not of the form of a token, or of another version.
    #[error("the page token is malformed")]
    Malformed,
    /// The signature is not ours: forged, changed, or of another secret.
    #[error("the signature of the page token is wrong")]
    Forged,
    /// It is ours, but was given out for another request.
    #[error("the page token belongs to another request")]
    OtherRequest,
}

/// The token of a cursor, signed with `secret` (any length; 32 random bytes are enough), for the request of this
/// fingerprint. `None` when the list has more than [`MAX_ENTRIES`] hits or the offset lies behind its end.
/// A list of 1,000 hits makes about 8,000 characters.
pub fn encode(cursor: &Cursor, secret: &[u8], fingerprint: &[u8; FINGERPRINT_BYTES]) -> Option<String> {
    let mut bytes = vec![VERSION, LIST];
    bytes.extend_from_slice(fingerprint);
    put(&mut bytes, cursor.issued_at);
    match &cursor.place {
        Place::List { entries, offset } => {
            if entries.len() > MAX_ENTRIES || *offset as usize > entries.len() {
                return None;
            }
            put(&mut bytes, u64::from(*offset));
            put(&mut bytes, entries.len() as u64);
            let mut last = (0i64, 0u32);
            for &(chunk_id, score) in entries {
                put(&mut bytes, zigzag(chunk_id.wrapping_sub(last.0)));
                put(&mut bytes, zigzag(i64::from(score.to_bits()) - i64::from(last.1)));
                last = (chunk_id, score.to_bits());
            }
        }
        Place::After { chunk_id } => {
            bytes[1] = KEYSET;
            put(&mut bytes, zigzag(*chunk_id));
        }
    }
    let signature = signer(secret, &bytes).finalize().into_bytes();
    bytes.extend_from_slice(&signature);
    Some(BASE64URL_NOPAD.encode(&bytes))
}

/// Reads a token back. The signature is compared in constant time, and before anything else is looked at.
pub fn decode(
    token: &str,
    secret: &[u8],
    fingerprint: &[u8; FINGERPRINT_BYTES],
) -> Result<Cursor, CursorError> {
    if token.len() > BASE64URL_NOPAD.encode_len(MAX_BYTES) {
        return Err(CursorError::Malformed);
    }
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| CursorError::Malformed)?;
    let (payload, signature) = bytes.split_last_chunk::<SIGNATURE_BYTES>().ok_or(CursorError::Malformed)?;
    signer(secret, payload).verify_slice(signature).map_err(|_| CursorError::Forged)?;
    read(payload, fingerprint)
}

fn signer(secret: &[u8], payload: &[u8]) -> Hmac<Sha256> {
    let mut signer =
        Hmac::<Sha256>::new_from_slice(secret).expect("HMAC (RFC 2104) takes keys of any length");
    signer.update(payload);
    signer
}

fn read(payload: &[u8], fingerprint: &[u8; FINGERPRINT_BYTES]) -> Result<Cursor, CursorError> {
    let (&[version, kind], rest) = payload.split_first_chunk().ok_or(CursorError::Malformed)?;
    let (stored, mut rest) = rest.split_first_chunk().ok_or(CursorError::Malformed)?;
    if version != VERSION {
        return Err(CursorError::Malformed);
    }
    if stored != fingerprint {
        return Err(CursorError::OtherRequest);
    }
    let cursor = read_place(&mut rest, kind).filter(|_| rest.is_empty());
    cursor.ok_or(CursorError::Malformed)
}

fn read_place(rest: &mut &[u8], kind: u8) -> Option<Cursor> {
    let issued_at = take(rest)?;
    let place = match kind {
        LIST => {
            let offset = u32::try_from(take(rest)?).ok()?;
            let count = usize::try_from(take(rest)?).ok().filter(|&count| count <= MAX_ENTRIES)?;
            let mut entries = Vec::with_capacity(count);
            let mut last = (0i64, 0u32);
            for _ in 0..count {
                let chunk_id = last.0.wrapping_add(unzigzag(take(rest)?));
                let bits = i64::from(last.1).checked_add(unzigzag(take(rest)?))?;
                last = (chunk_id, u32::try_from(bits).ok()?);
                entries.push((chunk_id, f32::from_bits(last.1)));
            }
            (offset as usize <= count).then_some(Place::List { entries, offset })?
        }
        KEYSET => Place::After { chunk_id: unzigzag(take(rest)?) },
        _ => return None,
    };
    Some(Cursor { issued_at, place })
}

/// Small differences of either sign to small numbers.
fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Seven bits a byte, the lowest first; the top bit says that more follow (LEB128).
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part {
            return None;
        }
        number |= part << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &[u8] = b"secret";
    const REQUEST: [u8; FINGERPRINT_BYTES] = [7; FINGERPRINT_BYTES];

    fn list(entries: Vec<(i64, f32)>, offset: u32) -> Cursor {
        Cursor { issued_at: 1_700_000_000, place: Place::List { entries, offset } }
    }

    fn signed(payload: &[u8]) -> String {
        let signature = signer(SECRET, payload).finalize().into_bytes();
        BASE64URL_NOPAD.encode(&[payload, &signature].concat())
    }

    #[test]
    fn the_format_is_fixed() {
        // RFC 4231, test case 2: the signature is HMAC-SHA-256.
        let signature = signer(b"Jefe", b"what do ya want for nothing?").finalize().into_bytes();
        assert_eq!(signature[..4], [0x5b, 0xdc, 0xc1, 0x46]);
        let cursor = Cursor { issued_at: 300, place: Place::After { chunk_id: -2 } };
        let bytes = BASE64URL_NOPAD.decode(encode(&cursor, SECRET, &REQUEST).unwrap().as_bytes()).unwrap();
        let payload = [&[1, 1][..], &REQUEST, &[0xac, 0x02, 0x03]].concat();
        assert_eq!(bytes[..bytes.len() - SIGNATURE_BYTES], payload);
    }

    #[test]
    fn a_full_list_is_small_and_a_longer_one_is_refused() {
        let entries: Vec<_> = (0..1001i64).map(|n| (n * 7_919 % 100_003, 0.9 - n as f32 * 4e-4)).collect();
        assert_eq!(encode(&list(entries.clone(), 0), SECRET, &REQUEST), None);
        let cursor = list(entries[..MAX_ENTRIES].to_vec(), 1000);
        let token = encode(&cursor, SECRET, &REQUEST).unwrap();
        assert!(token.len() < 8_500, "{}", token.len());
        assert_eq!(decode(&token, SECRET, &REQUEST), Ok(cursor));
        assert_eq!(encode(&list(vec![(1, 0.5)], 2), SECRET, &REQUEST), None);
    }

    #[test]
    fn errors_tell_what_is_wrong() {
        let token = encode(&list(vec![(1, 0.5)], 0), SECRET, &REQUEST).unwrap();
        assert_eq!(decode(&token, b"other", &REQUEST), Err(CursorError::Forged));
        assert_eq!(decode(&token, SECRET, &[8; 32]), Err(CursorError::OtherRequest));
        // Another secret is told before another request: a stranger learns nothing.
        assert_eq!(decode(&token, b"other", &[8; 32]), Err(CursorError::Forged));
        for text in ["", "a", "!!", &token[1..][..20], &format!("{token}="), &"A".repeat(100_000)] {
            assert_eq!(decode(text, SECRET, &REQUEST), Err(CursorError::Malformed), "{text}");
        }
    }

    #[test]
    fn signed_payloads_of_another_form_are_malformed() {
        let bodies: [&[u8]; 9] = [
            &[2, 0],                                                    // version
            &[1, 2],                                                    // kind
            &[1, 0],                                                    // nothing follows
            &[1, 0, 0, 1, 0],                                           // offset behind the end
            &[1, 0, 0, 0, 1, 2],                                        // entry cut off
            &[1, 0, 0, 0, 0xe9, 0x07],                                  // 1,001 entries
            &[1, 0, 0, 0, 1, 2, 1],                                     // score bits below 0
            &[1, 1, 0, 2, 0],                                           // trailing byte
            &[1, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2, 0], // more than 64 bits
        ];
        for body in bodies {
            let payload = [&body[..2], &REQUEST, &body[2..]].concat();
            assert_eq!(decode(&signed(&payload), SECRET, &REQUEST), Err(CursorError::Malformed), "{body:?}");
        }
        assert_eq!(decode(&signed(&[1]), SECRET, &REQUEST), Err(CursorError::Malformed));
    }

    fn any_cursor() -> impl Strategy<Value = Cursor> {
        let score = prop_oneof![0.0..1.0f32, -1e30..1e30f32];
        let entries = proptest::collection::vec((any::<i64>(), score), 0..60);
        let listed = (entries, any::<prop::sample::Index>()).prop_map(|(entries, at)| {
            let offset = at.index(entries.len() + 1) as u32;
            Place::List { entries, offset }
        });
        let after = any::<i64>().prop_map(|chunk_id| Place::After { chunk_id });
        (any::<u64>(), prop_oneof![listed, after]).prop_map(|(issued_at, place)| Cursor { issued_at, place })
    }

    proptest! {
        #[test]
        fn round_trip(cursor in any_cursor(), secret: Vec<u8>, request: [u8; FINGERPRINT_BYTES]) {
            let token = encode(&cursor, &secret, &request).unwrap();
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(decode(&token, &secret, &request), Ok(cursor));
        }

        #[test]
        fn any_flipped_bit_is_refused(cursor in any_cursor(), at: prop::sample::Index) {
            let token = encode(&cursor, SECRET, &REQUEST).unwrap();
            let mut bytes = BASE64URL_NOPAD.decode(token.as_bytes()).unwrap();
            let bit = at.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let changed = BASE64URL_NOPAD.encode(&bytes);
            prop_assert_eq!(decode(&changed, SECRET, &REQUEST), Err(CursorError::Forged));
            let mut characters = token.into_bytes();
            let bit = at.index(characters.len() * 7);
            characters[bit / 7] ^= 1 << (bit % 7);
            let changed = String::from_utf8(characters).unwrap();
            prop_assert!(decode(&changed, SECRET, &REQUEST).is_err());
        }

        #[test]
        fn strings_never_panic(text: String, base64 in "[A-Za-z0-9_-]{0,200}") {
            prop_assert!(decode(&text, SECRET, &REQUEST).is_err());
            prop_assert!(decode(&base64, SECRET, &REQUEST).is_err());
        }

        #[test]
        fn signed_bytes_never_panic(kind in 0u8..3, body: Vec<u8>) {
            let payload = [&[VERSION, kind][..], &REQUEST, &body].concat();
            if let Ok(cursor) = decode(&signed(&payload), SECRET, &REQUEST) {
                prop_assert!(encode(&cursor, SECRET, &REQUEST).is_some());
            }
        }
    }
}
