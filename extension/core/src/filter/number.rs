//! Decimals: exact comparison of JSON numbers.
//!
//! Postgres keeps the decimal a number is written as. Comparing in `f64` would call 2^53 and 2^53 + 1 equal, and
//! comparing the binary value of an `f64` with an integer would call `1.8446744073709552e19` equal to 2^64,
//! which is another decimal. So both sides are compared as decimals here too.

use std::cmp::Ordering;
use std::fmt;

use serde_json::Number;

/// Most digits, before and behind the point together, of a decimal that needs no memory of its own.
const SMALL_DIGITS: usize = 18;

/// The powers of ten up to [`SMALL_DIGITS`].
const POWERS: [i64; SMALL_DIGITS + 1] = {
    let mut powers = [1; SMALL_DIGITS + 1];
    let mut i = 1;
    while i <= SMALL_DIGITS {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// A number as the decimal it is written as, of any length. Two spellings of one number (`1`, `1.0`, `10e-1`)
/// are one decimal: they are equal, hash alike and print alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decimal(Form);

/// Each number has one form only: `Small` whenever 18 places suffice, with the least scale.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Form {
    /// `mantissa / 10^scale`; below 10^18 without its sign, scale at most 18.
    Small {
        mantissa: i64,
        scale: u8,
    },
    Large(Box<Large>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Large {
    negative: bool,
    point: i64,
    digits: Vec<u8>,
}

/// `0.d1d2d3.. * 10^point`, each digit 0 to 9, with no zero at either end; zero has no digits and the lowest
/// point, which puts it below every positive number, however small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    pub(crate) negative: bool,
    pub(crate) point: i64,
    pub(crate) digits: &'a [u8],
}

impl Decimal {
    /// Reads a number as JSON and the type numeric of Postgres write it: digits with at most one sign `-`, one
    /// point and one exponent. An exponent beyond 64 bits counts as the greatest or the least one. None for
    /// everything else (`NaN`, `Infinity`, spaces).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mut mantissa, mut digits, mut scale, mut fraction) = (0_i64, 0, 0_u8, false);
        for byte in rest.bytes() {
            match byte {
                b'0'..=b'9' if digits < SMALL_DIGITS => {
                    mantissa = mantissa * 10 + i64::from(byte - b'0');
                    digits += 1;
                    scale += u8::from(fraction);
                }
                b'.' if !fraction => fraction = true,
                _ => return Self::parse_any(negative, rest),
            }
        }
        (digits > 0).then(|| Self::small(if negative { -mantissa } else { mantissa }, scale))
    }

    /// The general case of [`Decimal::parse`], after the sign.
    fn parse_any(negative: bool, text: &str) -> Option<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let (sign, power) = match exponent.strip_prefix(['+', '-']) {
            Some(power) => (if exponent.starts_with('-') { -1 } else { 1 }, power),
            None => (1, exponent),
        };
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || power.is_empty() {
            return None;
        }
        if !(all_digits(whole) && all_digits(fraction) && all_digits(power)) {
            return None;
        }
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
        let power = power.parse().unwrap_or(i64::MAX).min(i64::MAX / 4);
        Some(Self::from_parts(Parts { negative, point: sign * power + whole.len() as i64, digits: &digits }))
    }

    /// The decimal of a mantissa below 10^18 and a scale of at most 18.
    fn small(mut mantissa: i64, mut scale: u8) -> Self {
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Self(Form::Small { mantissa, scale })
    }

    /// The decimal of parts that may have zeros at the ends of their digits.
    pub(crate) fn from_parts(parts: Parts<'_>) -> Self {
        let Parts { negative, point, digits } = parts;
        let Some(last) = digits.iter().rposition(|digit| *digit != 0) else { return Self::small(0, 0) };
        let leading = digits.iter().take_while(|digit| **digit == 0).count();
        let digits = &digits[leading..=last];
        let point = point.saturating_sub(leading as i64);
        // Places behind the point; less than none for an integer that ends in zeros.
        let scale = (digits.len() as i64).saturating_sub(point);
        let places = if point > 0 { point.max(digits.len() as i64) } else { scale };
        if places > SMALL_DIGITS as i64 {
            return Self(Form::Large(Box::new(Large { negative, point, digits: digits.to_vec() })));
        }
        let mantissa = digits.iter().fold(0, |mantissa, digit| mantissa * 10 + i64::from(*digit));
        let mantissa = if negative { -mantissa } else { mantissa };
        Self::small(mantissa * POWERS[(-scale).max(0) as usize], scale.max(0) as u8)
    }

    /// Calls `read` with the decimal's parts.
    pub(crate) fn with_parts<T>(&self, read: impl FnOnce(Parts<'_>) -> T) -> T {
        let (mantissa, scale) = match &self.0 {
            Form::Large(large) => {
                let Large { negative, point, digits } = large.as_ref();
                return read(Parts { negative: *negative, point: *point, digits });
            }
            Form::Small { mantissa, scale } => (*mantissa, *scale),
        };
        let mut digits = [0; SMALL_DIGITS];
        let (mut first, mut rest) = (digits.len(), mantissa.unsigned_abs());
        while rest > 0 && first > 0 {
            first -= 1;
            digits[first] = (rest % 10) as u8;
            rest /= 10;
        }
        let digits = &digits[first..];
        match digits.iter().rposition(|digit| *digit != 0) {
            None => read(Parts { negative: false, point: i64::MIN, digits: &[] }),
            Some(last) => {
                let point = digits.len() as i64 - i64::from(scale);
                read(Parts { negative: mantissa < 0, point, digits: &digits[..=last] })
            }
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (
                Form::Small { mantissa: left, scale: left_scale },
                Form::Small { mantissa: right, scale: right_scale },
            ) => {
                if left_scale == right_scale {
                    return left.cmp(right);
                }
                // Below 10^36, so it fits.
                let scaled = |mantissa: i64, by: u8| i128::from(mantissa) * i128::from(POWERS[by as usize]);
                let left = scaled(*left, right_scale.saturating_sub(*left_scale));
                left.cmp(&scaled(*right, left_scale.saturating_sub(*right_scale)))
            }
            _ => self.with_parts(|left| other.with_parts(|right| left.compare(right))),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Parts<'_> {
    fn compare(self, other: Parts<'_>) -> Ordering {
        let size = self.point.cmp(&other.point).then_with(|| self.digits.cmp(other.digits));
        match (self.negative, other.negative) {
            (false, false) => size,
            (true, true) => size.reverse(),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        if value.unsigned_abs() < POWERS[SMALL_DIGITS] as u64 {
            return Self(Form::Small { mantissa: value, scale: 0 });
        }
        Self::parse(&value.to_string()).expect("an integer is a decimal")
    }
}

impl From<&Number> for Decimal {
    fn from(number: &Number) -> Self {
        match number.as_i64() {
            Some(value) => Self::from(value),
            None => Self::parse(&number.to_string()).expect("a JSON number is a decimal"),
        }
    }
}

/// Writes a JSON number: plain digits, with an exponent only where they would be more than 40 places.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PLAIN: i64 = 40;
        self.with_parts(|Parts { negative, point, digits }| {
            let sign = if negative { "-" } else { "" };
            let text: String = digits.iter().map(|digit| char::from(b'0' + digit)).collect();
            let count = digits.len() as i64;
            match point {
                _ if digits.is_empty() => f.write_str("0"),
                0..=PLAIN if point >= count => write!(f, "{sign}{text}{:0<1$}", "", (point - count) as usize),
                1..=PLAIN => {
                    let (whole, fraction) = text.split_at(point as usize);
                    write!(f, "{sign}{whole}.{fraction}")
                }
                _ if point <= 0 && point > count - PLAIN => {
                    write!(f, "{sign}0.{:0<1$}{text}", "", point.unsigned_abs() as usize)
                }
                _ => {
                    let (first, rest) = text.split_at(1);
                    let dot = if rest.is_empty() { "" } else { "." };
                    write!(f, "{sign}{first}{dot}{rest}e{}", point.saturating_sub(1))
                }
            }
        })
    }
}

/// A number of a filter: as it was given, and ready to be compared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Literal {
    pub(crate) number: Number,
    pub(crate) decimal: Decimal,
}

impl From<&Number> for Literal {
    fn from(number: &Number) -> Self {
        Self { number: number.clone(), decimal: number.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Number {
        serde_json::from_str(text).unwrap()
    }

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    /// Compares numbers and their texts, which must agree.
    fn compare(left: &Number, right: &Number) -> Ordering {
        let order = Decimal::from(left).cmp(&Decimal::from(right));
        assert_eq!(decimal(&left.to_string()).cmp(&decimal(&right.to_string())), order);
        assert_eq!(Decimal::from(left) == Decimal::from(right), order.is_eq());
        order
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

        #[test]
        fn a_decimal_has_one_form(
            whole in "[0-9]{1,25}", fraction in "[0-9]{0,25}", shift in -45_i64..45, negative in any::<bool>(),
        ) {
            let sign = if negative { "-" } else { "" };
            let plain = decimal(&format!("{sign}{whole}.{fraction}"));
            // The same number with its point elsewhere and more zeros at both ends.
            let digits = format!("{whole}{fraction}");
            let power = -(fraction.len() as i64) - shift;
            let shifted = match usize::try_from(shift) {
                Ok(zeros) => format!("{sign}00{digits}{:0<1$}e{power}", "", zeros),
                Err(_) => {
                    let zeros = shift.unsigned_abs() as usize;
                    format!("{sign}0.{:0<1$}{digits}000e{2}", "", zeros, whole.len() + zeros)
                }
            };
            prop_assert_eq!(&decimal(&shifted), &plain, "{}", shifted);
            prop_assert_eq!(&decimal(&plain.to_string()), &plain);
            prop_assert_eq!(&plain.with_parts(Decimal::from_parts), &plain);
            prop_assert!(serde_json::from_str::<Number>(&plain.to_string()).is_ok());
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+.eE0-9]{0,12}") {
            if serde_json::from_str::<Number>(&text).is_ok() {
                prop_assert!(Decimal::parse(&text).is_some());
            }
            if let Some(decimal) = Decimal::parse(&text) {
                prop_assert_eq!(Decimal::parse(&decimal.to_string()), Some(decimal));
            }
        }
    }

    #[test]
    fn texts_that_only_postgres_writes() {
        assert!(decimal("1.50") == decimal("1.5") && decimal("-0.00") == decimal("0"));
        assert!(decimal("9007199254740993.00000000000000000001") > decimal("9007199254740993"));
        assert!(decimal("-1e99999999999999999999") < decimal("-1e308"));
        assert!(decimal("1e-99999999999999999999") > decimal("0"));
        for text in
            ["NaN", "Infinity", "-Infinity", "", "-", ".", "1e", "1e+", "--1", "1.2.3", " 1", "1 ", "0x1"]
        {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn decimals_print_as_json() {
        for (text, expected) in [
            ("-0", "0"),
            ("1.50", "1.5"),
            ("-1.5e3", "-1500"),
            ("1e20", "100000000000000000000"),
            ("1.25e-20", "0.0000000000000000000125"),
            ("1e300", "1e300"),
            ("-1.7976931348623157e308", "-1.7976931348623157e308"),
            ("5e-324", "5e-324"),
        ] {
            assert_eq!(decimal(text).to_string(), expected);
        }
    }
}
