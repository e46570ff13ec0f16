//! Values as bytes whose order is the order of the values.
//!
//! A tag, then: nothing for a boolean; the bytes of a string; for a number its decimal exponent and two digits a
//! byte, complemented below zero. One comparison of bytes serves every type, and the longest values can be cut
//! without losing their order.

use std::borrow::Cow;

use crate::filter::{Decimal, Found, Parts};

/// Most bytes of a value that is kept whole, with its tag: strings of up to 512 bytes.
pub(super) const WHOLE: usize = 513;

const FALSE: u8 = 1;
const TRUE: u8 = 2;
const NEGATIVE: u8 = 3;
const ZERO: u8 = 4;
const POSITIVE: u8 = 5;
const STRING: u8 = 6;
const TIME: u8 = 7;

/// The tags where numbers and strings begin, for the bounds of the types within a dictionary.
pub(super) const NUMBERS: u8 = NEGATIVE;
pub(super) const STRINGS: u8 = STRING;

/// Exponents of this size take one byte.
const NEAR: i64 = 60;

/// A value of a column: compared, hashed and told apart as filters do (`1` and `1.0` are one value, `"1"` another).
/// Ordered: booleans, numbers by value, strings by code point. At most 529 bytes: of a longer string 512 bytes are
/// kept and a 128-bit hash (FNV-1a) of the rest of its identity, see [`Value::is_cut`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(Box<[u8]>);

impl Value {
    /// The value of an attribute.
    #[must_use]
    pub fn new(found: &Found<'_>) -> Self {
        let mut bytes = Vec::new();
        encode(found, &mut bytes);
        shorten(&mut bytes);
        Self(bytes.into())
    }

    /// A value as read from a page; whatever its bytes are, it can be used without a panic.
    pub(super) fn from_stored(prefix: &[u8], suffix: &[u8]) -> Self {
        Self([prefix, suffix].concat().into())
    }

    pub(super) fn stored(&self) -> &[u8] {
        &self.0
    }

    /// Whether only the first part of the value is kept: [`Value::found`] gives it without its end. Two cut values
    /// are equal when the whole values are, but for collisions of a 128-bit hash that someone would have to make.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.0.len() > WHOLE
    }

    /// The value. A time is the number of its microseconds.
    #[must_use]
    pub fn found(&self) -> Found<'_> {
        let whole = &self.0[..self.0.len().min(WHOLE)];
        let (tag, payload) = whole.split_first().map_or((STRING, whole), |(tag, payload)| (*tag, payload));
        match tag {
            FALSE | TRUE => Found::Bool(tag == TRUE),
            NEGATIVE => Found::Number(number(true, payload)),
            ZERO => Found::Number(Decimal::from(0)),
            POSITIVE => Found::Number(number(false, payload)),
            TIME => Found::Number(Decimal::from(ordered_i64(payload))),
            _ => Found::String(Cow::Borrowed(match std::str::from_utf8(payload) {
                Ok(text) => text,
                // Cut within a character.
                Err(error) => payload
                    .get(..error.valid_up_to())
                    .and_then(|payload| std::str::from_utf8(payload).ok())
                    .unwrap_or_default(),
            })),
        }
    }
}

/// Appends a value without cutting it.
pub(super) fn encode(found: &Found<'_>, out: &mut Vec<u8>) {
    match found {
        Found::Bool(flag) => out.push(if *flag { TRUE } else { FALSE }),
        Found::String(text) => {
            out.push(STRING);
            out.extend_from_slice(text.as_bytes());
        }
        Found::Number(decimal) => decimal.with_parts(|parts| encode_number(parts, out)),
    }
}

/// Appends a time in microseconds.
pub(super) fn encode_time(micros: i64, out: &mut Vec<u8>) {
    out.push(TIME);
    out.extend_from_slice(&order_i64(micros));
}

/// Cuts a value that is too long to be kept whole.
pub(super) fn shorten(bytes: &mut Vec<u8>) {
    if bytes.len() > WHOLE {
        let hash = bytes.iter().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
            (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        });
        bytes.truncate(WHOLE);
        bytes.extend_from_slice(&hash.to_be_bytes());
    }
}

fn encode_number(parts: Parts<'_>, out: &mut Vec<u8>) {
    let Parts { negative, point, digits } = parts;
    if digits.is_empty() {
        return out.push(ZERO);
    }
    out.push(if negative { NEGATIVE } else { POSITIVE });
    let start = out.len();
    if (-NEAR..=NEAR).contains(&point) {
        out.push((0x80 + point) as u8);
    } else {
        out.push(if point > 0 { 0xff } else { 0 });
        out.extend_from_slice(&order_i64(point));
    }
    // A pair is never 0, so what ends sooner sorts first, as it does among positive numbers.
    out.extend(digits.chunks(2).map(|pair| pair[0] * 10 + pair.get(1).copied().unwrap_or(0) + 1));
    if negative {
        out.push(0);
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

fn number(negative: bool, payload: &[u8]) -> Decimal {
    let flip = if negative { 0xff } else { 0 };
    let mut plain: Vec<u8> = payload.iter().map(|byte| byte ^ flip).collect();
    let far = plain.first().is_some_and(|first| matches!(first, 0 | 0xff));
    let pairs = plain.split_off(plain.len().min(if far { 9 } else { 1 }));
    let point = match plain.split_first() {
        Some((_, rest)) if far => ordered_i64(rest),
        Some((first, _)) => i64::from(*first) - 0x80,
        None => 0,
    };
    let digits: Vec<u8> = pairs
        .iter()
        .take_while(|pair| **pair != 0)
        .flat_map(|pair| {
            let pair = (pair - 1).min(99);
            [pair / 10, pair % 10]
        })
        .collect();
    Decimal::from_parts(Parts { negative, point, digits: &digits })
}

fn order_i64(value: i64) -> [u8; 8] {
    (value ^ i64::MIN).to_be_bytes()
}

fn ordered_i64(bytes: &[u8]) -> i64 {
    bytes.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes) ^ i64::MIN)
}
