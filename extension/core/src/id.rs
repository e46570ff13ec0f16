//! Public ids: a prefix and 32 characters of lower-case base32 over 20 bytes.
//!
//! The first 8 bytes carry the row's number, masked by the 12 random ones that follow. So an id tells its row
//! without a lookup (shards are chosen by that number), cannot be guessed (96 random bits, compared in full
//! by the caller against the stored id) and does not show how many rows there are.

use data_encoding::{Encoding, Specification};
use std::sync::LazyLock;

/// Random bytes that one id needs.
pub const RANDOM_BYTES: usize = 12;

/// Characters of an id behind its prefix.
pub const BODY_LEN: usize = 32;

static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    spec.encoding().expect("a constant alphabet of 32 distinct symbols")
});

/// Lower-case base32 without padding (RFC 4648 alphabet).
pub fn base32(bytes: &[u8]) -> String {
    BASE32.encode(bytes)
}

/// The id of row `number`, as `prefix` + 32 characters.
pub fn encode(prefix: &str, number: i64, random: &[u8; RANDOM_BYTES]) -> String {
    let mut bytes = [0u8; 8 + RANDOM_BYTES];
    bytes[..8].copy_from_slice(&(number as u64 ^ mask(random)).to_be_bytes());
    bytes[8..].copy_from_slice(random);
    format!("{prefix}{}", base32(&bytes))
}

/// The row number inside `id`, or `None` when `id` has another form. The caller must still compare the whole
/// id with the stored one: anybody can build an id that decodes to an existing number.
pub fn decode(prefix: &str, id: &str) -> Option<i64> {
    let body = id.strip_prefix(prefix)?;
    if body.len() != BODY_LEN {
        return None;
    }
    let bytes: [u8; 8 + RANDOM_BYTES] = BASE32.decode(body.as_bytes()).ok()?.try_into().ok()?;
    let (number, random) = bytes.split_at(8);
    let number = u64::from_be_bytes(number.try_into().ok()?);
    Some((number ^ mask(random.try_into().ok()?)) as i64)
}

/// A mask that differs for every id, so that neighbouring numbers do not look alike (SplitMix64's finaliser).
fn mask(random: &[u8; RANDOM_BYTES]) -> u64 {
    let mut low = [0u8; 8];
    low.copy_from_slice(&random[..8]);
    let mut z = u64::from_be_bytes(low) ^ u64::from(random[8]) << 32;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn has_the_documented_form() {
        let id = encode("vs_", 1, &[7; RANDOM_BYTES]);
        assert_eq!(id.len(), 3 + BODY_LEN);
        assert!(id[3..].bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b)));
        assert_ne!(&id[3..14], &encode("vs_", 2, &[8; RANDOM_BYTES])[3..14]);
    }

    #[test]
    fn refuses_other_forms() {
        let id = encode("vs_", 5, &[1; RANDOM_BYTES]);
        assert_eq!(decode("file-", &id), None);
        assert_eq!(decode("vs_", &id[..id.len() - 1]), None);
        assert_eq!(decode("vs_", &id.to_uppercase()), None);
        assert_eq!(decode("vs_", "vs_"), None);
        assert_eq!(decode("vs_", "vs_éééééééééééééééé"), None);
    }

    proptest! {
        #[test]
        fn round_trips(number: i64, random: [u8; RANDOM_BYTES]) {
            prop_assert_eq!(decode("file-", &encode("file-", number, &random)), Some(number));
        }

        #[test]
        fn never_panics(text in "\\PC{0,60}") {
            let _ = decode("vs_", &format!("vs_{text}"));
        }
    }
}
