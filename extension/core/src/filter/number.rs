//! Exact comparison of JSON numbers.
//!
//! Postgres keeps the decimal a number is written as. Comparing in `f64` would call 2^53 and 2^53 + 1 equal, and
//! comparing the binary value of an `f64` with an integer would call `1.8446744073709552e19` equal to 2^64,
//! which is another decimal. So both sides are compared as decimals here too.

use std::cmp::Ordering;

use serde_json::Number;

/// Order of two numbers by the decimals they print as.
pub(super) fn compare(left: &Number, right: &Number) -> Ordering {
    match (integer(left), integer(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => Decimal::new(left).cmp(&Decimal::new(right)),
    }
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// `0.d1d2d3.. * 10^point`, with no zero at either end of the digits; zero has no digits and the lowest point,
/// which puts it below every positive number, however small.
struct Decimal {
    negative: bool,
    point: i64,
    digits: Vec<u8>,
}

impl Decimal {
    fn new(number: &Number) -> Self {
        let text = number.to_string();
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.as_str()),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let leading = digits.iter().take_while(|digit| **digit == b'0').count();
        let Some(last) = digits.iter().rposition(|digit| *digit != b'0') else {
            return Self { negative: false, point: i64::MIN, digits: Vec::new() };
        };
        let exponent: i64 =
            exponent.parse().unwrap_or(if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 });
        let point = exponent + whole.len() as i64 - leading as i64;
        Self { negative, point, digits: digits[leading..=last].to_vec() }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let size = self.point.cmp(&other.point).then_with(|| self.digits.cmp(&other.digits));
        match (self.negative, other.negative) {
            (false, false) => size,
            (true, true) => size.reverse(),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Number {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn spellings_of_one_decimal_are_equal() {
        for group in [
            &["1", "1.0", "10e-1", "0.1e1", "1.000"][..],
            &["0", "-0", "0.0", "-0.0", "0e9"],
            &["-150", "-1.5e2", "-150.0"],
            &["9007199254740992", "9007199254740992.0"],
            &["1e19", "10000000000000000000"],
        ] {
            for left in group {
                for right in group {
                    assert_eq!(compare(&number(left), &number(right)), Ordering::Equal, "{left} {right}");
                }
            }
        }
    }

    #[test]
    fn neighbours_stay_apart() {
        let ascending = [
            "-1.7976931348623157e308",
            "-9223372036854775808",
            "-1.5",
            "-1",
            "-0.5",
            "-0.25",
            "-5e-324",
            "0",
            "5e-324",
            "0.001",
            "0.25",
            "0.5",
            "1",
            "1.5",
            "10",
            "9007199254740992",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
            "1.8446744073709552e19",
            "1e300",
        ];
        for (i, left) in ascending.iter().enumerate() {
            for (j, right) in ascending.iter().enumerate() {
                assert_eq!(compare(&number(left), &number(right)), i.cmp(&j), "{left} {right}");
            }
        }
    }

    proptest! {
        #[test]
        fn floats_keep_their_order(left in prop::num::f64::NORMAL, right in prop::num::f64::NORMAL) {
            let (a, b) = (Number::from_f64(left).unwrap(), Number::from_f64(right).unwrap());
            prop_assert_eq!(compare(&a, &b), left.partial_cmp(&right).unwrap());
        }

        #[test]
        fn integers_keep_their_order_beside_floats(left in any::<i64>(), right in -1e15..1e15_f64) {
            let right = right.trunc();
            let (a, b) = (Number::from(left), Number::from_f64(right).unwrap());
            prop_assert_eq!(compare(&a, &b), left.cmp(&(right as i64)));
        }
    }
}
