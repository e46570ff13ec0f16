//! Numbers in as many bytes as they need: seven bits a byte, lowest first, the high bit set on all but the last
//! (LEB128).

use crate::segment::Damaged;

/// Appends `value` in 1 to 5 bytes.
pub(super) fn write(mut value: u32, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a number off the front.
///
/// # Errors
/// [`Damaged`] when the bytes end inside it, or when it does not fit 32 bits.
#[inline]
pub(super) fn read(bytes: &mut &[u8]) -> Result<u32, Damaged> {
    let mut value = 0u64;
    for shift in 0..5 {
        let (&byte, rest) = bytes.split_first().ok_or(Damaged("number is cut off"))?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * shift);
        if byte < 0x80 {
            return u32::try_from(value).map_err(|_| Damaged("number is too large"));
        }
    }
    Err(Damaged("number is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_damage_is_seen() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u32::MAX - 1, u32::MAX] {
            let mut bytes = Vec::new();
            write(value, &mut bytes);
            let mut rest = bytes.as_slice();
            assert_eq!(read(&mut rest), Ok(value));
            assert!(rest.is_empty());
            assert!(read(&mut &bytes[..bytes.len() - 1]).is_err());
        }
        assert!(read(&mut [0xff, 0xff, 0xff, 0xff, 0x7f].as_slice()).is_err());
        assert!(read(&mut [0x80; 9].as_slice()).is_err());
    }
}
