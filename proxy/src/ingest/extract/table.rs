//! CSV and TSV.

use csv::{ReaderBuilder, StringRecord};

use super::MAX_TEXT_BYTES;
use crate::ingest::text::Problem;

/// Columns that a header may have: the names of more would drown the values.
const MAX_COLUMNS: usize = 100;

/// The text of a table. With a header, each row becomes a block of lines `name: value`: a chunk from the middle of the
/// file then still says what its numbers are, and a question that names a column finds it. Without one, or when it is
/// no proper table, the file stays as it is.
pub fn text_of(text: &str) -> Result<String, Problem> {
    let Some(rows) = read_rows(text) else { return Ok(text.to_owned()) };
    let [header, body @ ..] = rows.as_slice() else { return Ok(text.to_owned()) };
    if body.is_empty() || !is_header(header) {
        return Ok(text.to_owned());
    }
    let mut out = String::with_capacity(2 * text.len());
    for row in body {
        if !out.is_empty() && !out.ends_with("\n\n") {
            out.push('\n');
        }
        for (name, value) in header.iter().zip(row).filter(|(_, value)| !value.trim().is_empty()) {
            for piece in [name.trim(), ": ", value.trim(), "\n"] {
                out.push_str(piece);
            }
            if out.len() > MAX_TEXT_BYTES {
                return Err(Problem::too_long());
            }
        }
    }
    Ok(out)
}

/// All rows, if they have the same number of columns, and more than one.
fn read_rows(text: &str) -> Option<Vec<StringRecord>> {
    let first = text.lines().next()?;
    let delimiter = b",;\t|".iter().copied().max_by_key(|delimiter| {
        // The first one, where several are as frequent.
        (first.bytes().filter(|byte| byte == delimiter).count(), std::cmp::Reverse(*delimiter != b','))
    })?;
    let mut reader =
        ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(text.as_bytes());
    // The reader fails at a row with another number of columns.
    let rows = reader.records().collect::<Result<Vec<_>, _>>().ok()?;
    rows.first().is_some_and(|row| (2..=MAX_COLUMNS).contains(&row.len())).then_some(rows)
}

/// Names: all there, all different, none of them a number.
fn is_header(row: &StringRecord) -> bool {
    let mut names: Vec<&str> = row.iter().map(str::trim).collect();
    names.sort_unstable();
    names.iter().all(|name| !name.is_empty() && name.len() <= 100 && name.parse::<f64>().is_err())
        && names.windows(2).all(|pair| pair[0] != pair[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_the_names_of_their_columns() {
        let expected = "city: Paris\nriver: Seine, mostly\n\ncity: Köln\nriver: Rhein\n\nriver: Nil\n";
        for text in [
            "city,river\nParis,\"Seine, mostly\"\nKöln,Rhein\n,Nil\n",
            "city;river\r\nParis;Seine, mostly\r\nKöln;Rhein\r\n;Nil",
            "city\triver\nParis\tSeine, mostly\nKöln\tRhein\n\tNil",
        ] {
            assert_eq!(text_of(text).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn what_has_no_header_stays() {
        for text in ["", "a,b\n", "1,2\n3,4\n", "a,a\n1,2\n", "a,b\n1,2,3\n", "one\ntwo\n", "a,\n1,2\n"] {
            assert_eq!(text_of(text).unwrap(), text);
        }
    }

    #[test]
    fn long_names_do_not_multiply_without_bound() {
        let name = |letter: &str| letter.repeat(100);
        let text = format!("{},{}\n{}", name("a"), name("b"), "1,2\n".repeat(1_000_000));
        assert_eq!(text_of(&text), Err(Problem::too_long()));
    }
}
