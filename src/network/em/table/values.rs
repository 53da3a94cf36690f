//! Values of columns, from the texts of a CSV file and from Arrow arrays.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal32Type, Decimal64Type, Decimal128Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

/// Texts that pandas and R write for a value that is missing.
const MISSING: [&str; 14] =
    ["", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None"];

/// Whole numbers from here on are not all floats of 64 bits.
const FIRST_INEXACT: f64 = 9_007_199_254_740_992.0;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) enum Kind {
    /// Whole numbers from 0 on; None where one is missing or negative.
    Id,
    /// Names; empty where one is missing.
    Text,
    /// Numbers; one that is missing is NaN.
    Number,
    /// Three numbers, as a list or as a text `[x y z]`; NaN where they are missing or not three.
    Position,
    /// Yes or no; yes where it is missing.
    Flag,
}

/// The values of a column.
#[derive(Clone, Debug)]
pub(super) enum Values {
    Ids(Vec<Option<u64>>),
    Texts(Vec<String>),
    Numbers(Vec<f64>),
    Positions(Vec<[f64; 3]>),
    Flags(Vec<bool>),
}

/// What an array holds, whatever its width.
enum Plain {
    /// Whole numbers times 10^-scale.
    Whole {
        values: Vec<Option<i128>>,
        scale: i32,
    },
    /// Floats, whole numbers below `first_inexact` being told apart.
    Real {
        values: Vec<Option<f64>>,
        first_inexact: f64,
    },
    Texts(Vec<Option<String>>),
    Flags(Vec<Option<bool>>),
}

impl Values {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Id => Self::Ids(Vec::new()),
            Kind::Text => Self::Texts(Vec::new()),
            Kind::Number => Self::Numbers(Vec::new()),
            Kind::Position => Self::Positions(Vec::new()),
            Kind::Flag => Self::Flags(Vec::new()),
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::Ids(values) => values.clear(),
            Self::Texts(values) => values.clear(),
            Self::Numbers(values) => values.clear(),
            Self::Positions(values) => values.clear(),
            Self::Flags(values) => values.clear(),
        }
    }

    /// Adds the value that a text says; what it is not, if it says none.
    pub(super) fn push(&mut self, text: &str) -> Result<(), String> {
        let text = text.trim();
        match self {
            Self::Ids(values) => values.push(id(text)?),
            Self::Texts(values) => values.push(text.to_owned()),
            Self::Numbers(values) => values.push(number(text)?),
            Self::Positions(values) => values.push(position(text)?),
            Self::Flags(values) => values.push(flag(text)?),
        }
        Ok(())
    }

    /// Adds the values of an array; what is wrong with it and at which of its rows, if it is one row's fault.
    pub(super) fn extend(&mut self, array: &dyn Array) -> Result<(), (Option<usize>, String)> {
        let whole_array = |reason: String| (None, reason);
        if let Self::Positions(values) = self
            && let Some(lists) = positions_of_lists(array).map_err(whole_array)?
        {
            values.extend(lists);
            return Ok(());
        }
        let needs = self.needs();
        let plain = plain(array).map_err(whole_array)?;
        let of_type = || whole_array(format!("is of type {}, needs {needs}", array.data_type()));
        match (self, plain) {
            (Self::Ids(values), Plain::Whole { values: wholes, scale }) => {
                extend_each(values, wholes, |v| v.map_or(Ok(None), |v| id_of_whole(v, scale)))
            }
            (Self::Ids(values), Plain::Real { values: reals, first_inexact }) => {
                extend_each(values, reals, |v| v.map_or(Ok(None), |v| id_of_real(v, first_inexact)))
            }
            (Self::Numbers(values), Plain::Whole { values: wholes, scale }) => {
                // Both are exact up to 2^53 and 10^22, so the quotient is rounded once.
                let number = |v: i128| v as f64 / 10_f64.powi(scale);
                values.extend(wholes.into_iter().map(|v| v.map_or(f64::NAN, number)));
                Ok(())
            }
            (Self::Numbers(values), Plain::Real { values: reals, .. }) => {
                values.extend(reals.into_iter().map(|v| v.unwrap_or(f64::NAN)));
                Ok(())
            }
            (Self::Flags(values), Plain::Flags(flags)) => {
                values.extend(flags.into_iter().map(|v| v.unwrap_or(true)));
                Ok(())
            }
            (Self::Flags(values), Plain::Whole { values: wholes, scale: 0 })
                if wholes.iter().flatten().all(|v| [0, 1].contains(v)) =>
            {
                values.extend(wholes.into_iter().map(|v| v != Some(0)));
                Ok(())
            }
            (Self::Flags(_) | Self::Positions(_), Plain::Whole { .. } | Plain::Real { .. })
            | (_, Plain::Flags(_)) => Err(of_type()),
            (Self::Texts(values), Plain::Whole { values: wholes, scale: 0 }) => {
                values.extend(wholes.into_iter().map(|v| v.map_or_else(String::new, |v| v.to_string())));
                Ok(())
            }
            (Self::Texts(_), Plain::Whole { .. } | Plain::Real { .. }) => Err(of_type()),
            (values, Plain::Texts(texts)) => texts.into_iter().enumerate().try_for_each(|(row, text)| {
                values.push(text.as_deref().unwrap_or_default()).map_err(|reason| (Some(row), reason))
            }),
        }
    }

    fn needs(&self) -> &'static str {
        match self {
            Self::Ids(_) => "whole numbers",
            Self::Texts(_) => "text",
            Self::Numbers(_) => "numbers",
            Self::Positions(_) => "lists of three numbers",
            Self::Flags(_) => "true and false",
        }
    }
}

fn extend_each<T>(
    values: &mut Vec<Option<u64>>,
    found: Vec<T>,
    id: impl Fn(T) -> Result<Option<u64>, String>,
) -> Result<(), (Option<usize>, String)> {
    for (row, value) in found.into_iter().enumerate() {
        values.push(id(value).map_err(|reason| (Some(row), reason))?);
    }
    Ok(())
}

/// Whether a text stands for a value that is missing.
pub(in super::super) fn is_missing(text: &str) -> bool {
    MISSING.contains(&text)
}

fn id(text: &str) -> Result<Option<u64>, String> {
    if is_missing(text) {
        return Ok(None);
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        let wrong = || format!("'{text}' is beyond the ids of 64 bits");
        return if digits.len() < text.len() {
            Ok(None)
        } else {
            text.parse().map(Some).map_err(|_| wrong())
        };
    }
    let wrong = || format!("'{text}' is not a whole number from 0 on");
    text.parse().map_err(|_| wrong()).and_then(|real: f64| id_of_real(real, FIRST_INEXACT))
}

fn id_of_whole(value: i128, scale: i32) -> Result<Option<u64>, String> {
    let shown = || format!("'{value}e{}' is not a whole number of 64 bits", -scale);
    let power = 10_i128.checked_pow(scale.unsigned_abs()).ok_or_else(shown)?;
    let value = match scale {
        ..=0 => value.checked_mul(power).ok_or_else(shown)?,
        _ if value % power == 0 => value / power,
        _ => return Err(shown()),
    };
    if value < 0 { Ok(None) } else { u64::try_from(value).map(Some).map_err(|_| shown()) }
}

/// Ids that went through floats have lost digits, so that different ids have become one.
fn id_of_real(value: f64, first_inexact: f64) -> Result<Option<u64>, String> {
    match value {
        _ if value.is_nan() || value < 0.0 => Ok(None),
        _ if value >= first_inexact => Err(format!(
            "the id {value} is a float and has lost its last digits; write ids as whole numbers (Int64 in pandas) or as text"
        )),
        _ if value.fract() != 0.0 => Err(format!("'{value}' is not a whole number from 0 on")),
        _ => Ok(Some(value as u64)),
    }
}

fn number(text: &str) -> Result<f64, String> {
    if is_missing(text) {
        return Ok(f64::NAN);
    }
    text.parse().map_err(|_| format!("'{text}' is not a number"))
}

/// `[x y z]` as numpy prints it, `[x, y, z]` as lists are printed, or the same in other brackets or none.
fn position(text: &str) -> Result<[f64; 3], String> {
    if is_missing(text) {
        return Ok([f64::NAN; 3]);
    }
    let within = text.trim_start_matches(['[', '(', '{']).trim_end_matches([']', ')', '}']);
    let parts = within.split([',', ' ', ';', '\n', '\t']).filter(|part| !part.is_empty());
    let numbers: Vec<f64> = parts.map(number).collect::<Result<_, _>>()?;
    numbers.try_into().map_err(|_| format!("'{text}' is not three numbers"))
}

fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "t" | "true" | "1" => Ok(true),
        "f" | "false" | "0" => Ok(false),
        _ if is_missing(text) => Ok(true),
        _ => Err(format!("'{text}' is neither true nor false")),
    }
}

/// Positions of an array of lists; None where it is no such array.
fn positions_of_lists(array: &dyn Array) -> Result<Option<Vec<[f64; 3]>>, String> {
    let n = array.len();
    let (values, bounds): (&ArrayRef, Vec<[usize; 2]>) = match array.data_type() {
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let offsets = lists.value_offsets();
            (lists.values(), offsets.windows(2).map(|w| [w[0] as usize, w[1] as usize]).collect())
        }
        DataType::LargeList(_) => {
            let lists = array.as_list::<i64>();
            let offsets = lists.value_offsets();
            (lists.values(), offsets.windows(2).map(|w| [w[0] as usize, w[1] as usize]).collect())
        }
        DataType::FixedSizeList(_, size) => {
            let (lists, size) = (array.as_fixed_size_list(), *size as usize);
            let start = |row: usize| lists.value_offset_at(row);
            (lists.values(), (0..n).map(|row| [start(row), start(row) + size]).collect())
        }
        _ => return Ok(None),
    };
    let mut numbers = Values::new(Kind::Number);
    numbers.extend(values.as_ref()).map_err(|(_, reason)| reason)?;
    let Values::Numbers(numbers) = numbers else { return Ok(None) };
    let of_row = |(row, [start, end]): (usize, [usize; 2])| match numbers.get(start..end) {
        Some(&[x, y, z]) if array.is_valid(row) => [x, y, z],
        _ => [f64::NAN; 3],
    };
    Ok(Some(bounds.into_iter().enumerate().map(of_row).collect()))
}

fn plain(array: &dyn Array) -> Result<Plain, String> {
    macro_rules! whole {
        ($of:ty, $scale:expr) => {{
            let values = array.as_primitive::<$of>().iter().map(|v| v.map(i128::from)).collect();
            Plain::Whole { values, scale: i32::from($scale) }
        }};
    }
    macro_rules! real {
        ($of:ty, $digits:expr) => {{
            let values = array.as_primitive::<$of>().iter().map(|v| v.map(f64::from)).collect();
            Plain::Real { values, first_inexact: f64::from(2_u32).powi($digits) }
        }};
    }
    macro_rules! texts {
        ($texts:expr) => {
            Plain::Texts($texts.iter().map(|v| v.map(str::to_owned)).collect())
        };
    }
    Ok(match array.data_type() {
        DataType::Null => Plain::Texts(vec![None; array.len()]),
        DataType::Boolean => Plain::Flags(array.as_boolean().iter().collect()),
        DataType::Int8 => whole!(Int8Type, 0_i8),
        DataType::Int16 => whole!(Int16Type, 0_i8),
        DataType::Int32 => whole!(Int32Type, 0_i8),
        DataType::Int64 => whole!(Int64Type, 0_i8),
        DataType::UInt8 => whole!(UInt8Type, 0_i8),
        DataType::UInt16 => whole!(UInt16Type, 0_i8),
        DataType::UInt32 => whole!(UInt32Type, 0_i8),
        DataType::UInt64 => whole!(UInt64Type, 0_i8),
        DataType::Decimal32(_, scale) => whole!(Decimal32Type, *scale),
        DataType::Decimal64(_, scale) => whole!(Decimal64Type, *scale),
        DataType::Decimal128(_, scale) => whole!(Decimal128Type, *scale),
        DataType::Float16 => real!(Float16Type, 11),
        DataType::Float32 => real!(Float32Type, 24),
        DataType::Float64 => real!(Float64Type, 53),
        DataType::Utf8 => texts!(array.as_string::<i32>()),
        DataType::LargeUtf8 => texts!(array.as_string::<i64>()),
        DataType::Utf8View => texts!(array.as_string_view()),
        DataType::Binary => utf_8(array.as_binary::<i32>().iter())?,
        DataType::LargeBinary => utf_8(array.as_binary::<i64>().iter())?,
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let taken = arrow_select::take::take(dictionary.values().as_ref(), dictionary.keys(), None);
            plain(taken.map_err(|e| e.to_string())?.as_ref())?
        }
        other => return Err(format!("is of type {other}, which is not read")),
    })
}

fn utf_8<'a>(bytes: impl Iterator<Item = Option<&'a [u8]>>) -> Result<Plain, String> {
    let text = |v: Option<&[u8]>| v.map(|v| std::str::from_utf8(v).map(str::to_owned)).transpose();
    let texts = bytes.map(text).collect::<Result<_, _>>();
    texts.map(Plain::Texts).map_err(|_| "holds bytes that are no text".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        Decimal128Array, DictionaryArray, Float64Array, Int64Array, LargeStringArray, ListArray, UInt64Array,
    };

    use super::*;

    fn ids(array: &dyn Array) -> Result<Vec<Option<u64>>, (Option<usize>, String)> {
        let mut values = Values::new(Kind::Id);
        values.extend(array)?;
        let Values::Ids(ids) = values else { panic!() };
        Ok(ids)
    }

    fn numbers(array: &dyn Array) -> Vec<f64> {
        let mut values = Values::new(Kind::Number);
        values.extend(array).unwrap();
        let Values::Numbers(numbers) = values else { panic!() };
        numbers
    }

    #[test]
    fn ids_are_exact_or_refused() {
        let big = 864_691_135_000_000_001_u64;
        for (text, expected) in [
            ("864691135000000001", Ok(Some(big))),
            ("18446744073709551615", Ok(Some(u64::MAX))),
            ("0", Ok(Some(0))),
            ("17.0", Ok(Some(17))),
            ("1e3", Ok(Some(1000))),
            ("NA", Ok(None)),
            ("", Ok(None)),
            ("<NA>", Ok(None)),
            ("-1", Ok(None)),
            ("two", Err("'two' is not a whole number")),
            ("1.5", Err("not a whole number")),
            ("8.64691135e+17", Err("lost its last digits")),
            ("864691135000000001.0", Err("lost its last digits")),
            ("18446744073709551616", Err("beyond the ids")),
        ] {
            match (id(text), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
                (Err(found), Err(words)) => assert!(found.contains(words), "{text}: {found}"),
                (found, expected) => panic!("{text}: {found:?} {expected:?}"),
            }
        }
        assert_eq!(ids(&Int64Array::from(vec![Some(5), None, Some(-1)])).unwrap(), [Some(5), None, None]);
        assert_eq!(ids(&UInt64Array::from(vec![u64::MAX])).unwrap(), [Some(u64::MAX)]);
        assert_eq!(ids(&Float64Array::from(vec![Some(7.0), None])).unwrap(), [Some(7), None]);
        let (row, reason) = ids(&Float64Array::from(vec![1.0, 8.6e17])).unwrap_err();
        assert!(row == Some(1) && reason.contains("lost its last digits"), "{reason}");
        let decimal = |value, scale| Decimal128Array::from(vec![value]).with_precision_and_scale(20, scale);
        assert_eq!(ids(&decimal(1230, 1).unwrap()).unwrap(), [Some(123)]);
        assert_eq!(ids(&decimal(123, -2).unwrap()).unwrap(), [Some(12300)]);
        assert!(ids(&decimal(1235, 1).unwrap()).unwrap_err().1.contains("not a whole number"));
        let texts = LargeStringArray::from(vec![Some("864691135000000001"), None]);
        assert_eq!(ids(&texts).unwrap(), [Some(big), None]);
    }

    #[test]
    fn decimals_keep_their_scale_and_lists_are_positions() {
        let decimals = Decimal128Array::from(vec![Some(307_080), None, Some(-15)]);
        let found = numbers(&decimals.with_precision_and_scale(12, 1).unwrap());
        assert!(found[0] == 30_708.0 && found[1].is_nan() && found[2] == -1.5, "{found:?}");
        let names: DictionaryArray<arrow_array::types::Int8Type> =
            vec![Some("2.5"), None, Some("NA"), Some("2.5")].into_iter().collect();
        let found = numbers(&names);
        assert!(found[0] == 2.5 && found[1].is_nan() && found[2].is_nan() && found[3] == 2.5, "{found:?}");
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
            Some(vec![Some(1), Some(2), Some(3)]),
            None,
            Some(vec![Some(4), Some(5)]),
            Some(vec![Some(6), None, Some(8)]),
            Some(vec![Some(7), Some(8), Some(9)]),
        ]);
        let mut values = Values::new(Kind::Position);
        values.extend(&lists.slice(0, 5)).unwrap();
        values.extend(&lists.slice(4, 1)).unwrap();
        values.extend(&LargeStringArray::from(vec!["[ 1. 2  3.5]", "(4, 5, 6)"])).unwrap();
        let Values::Positions(found) = values else { panic!() };
        assert_eq!([found[0], found[4], found[5]], [[1.0, 2.0, 3.0], [7.0, 8.0, 9.0], [7.0, 8.0, 9.0]]);
        assert!(found[1..4].iter().all(|at| at.iter().any(|x| x.is_nan())));
        assert_eq!(found[6..], [[1.0, 2.0, 3.5], [4.0, 5.0, 6.0]]);
        let wrong: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let reason = Values::new(Kind::Position).extend(wrong.as_ref()).unwrap_err().1;
        assert!(reason.contains("Int64") && reason.contains("three numbers"), "{reason}");
    }
}
