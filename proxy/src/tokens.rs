//! How many tokens a request for embeddings may have: OpenAI's limits, in tokens of `cl100k_base`, whatever the model counts.

use crate::error::{Error, Result};

/// Tokens of one text.
pub const MAX_TOKENS: usize = 8192;
/// Tokens of a request.
pub const MAX_TOTAL_TOKENS: usize = 300_000;
/// Bytes of the longest token: a longer text has too many of them, and is not worth counting.
const MAX_TOKEN_BYTES: usize = 128;

/// How many tokens a text has.
pub fn count(text: &str) -> usize {
    tiktoken_rs::cl100k_base_singleton().encode_ordinary(text).len()
}

/// Refuses inputs that have too many tokens. Counting takes milliseconds for each 10,000 of them.
pub fn check_lengths(inputs: &[String]) -> Result<()> {
    // A token has a byte at least, so that short texts need not be counted.
    let bytes = inputs.iter().map(String::len);
    if bytes.clone().all(|length| length <= MAX_TOKENS) && bytes.sum::<usize>() <= MAX_TOTAL_TOKENS {
        return Ok(());
    }
    let mut total = 0;
    for (at, text) in inputs.iter().enumerate() {
        if text.len() > MAX_TOKENS * MAX_TOKEN_BYTES {
            return Err(too_long(&format!("input[{at}]"), MAX_TOKENS, None));
        }
        let tokens = count(text);
        if tokens > MAX_TOKENS {
            return Err(too_long(&format!("input[{at}]"), MAX_TOKENS, Some(tokens)));
        }
        total += tokens;
        if total > MAX_TOTAL_TOKENS {
            return Err(too_long("input", MAX_TOTAL_TOKENS, None));
        }
    }
    Ok(())
}

fn too_long(path: &str, limit: usize, tokens: Option<usize>) -> Error {
    let got = tokens.map_or_else(|| "more".to_owned(), |tokens| tokens.to_string());
    let message = format!("Invalid '{path}': maximum context length is {limit} tokens, but got {got}.");
    Error::invalid("context_length_exceeded", "input", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(count: usize) -> String {
        // Each is one token.
        " a".repeat(count)
    }

    #[test]
    fn a_text_has_8192_tokens_at_most() {
        assert!(check_lengths(&[words(8192)]).is_ok());
        let error = check_lengths(&["x".into(), words(8193)]).unwrap_err().body("r");
        assert_eq!(error["error"]["code"], "context_length_exceeded");
        assert!(error["error"]["message"].as_str().unwrap().contains("input[1]"), "{error}");
        // Many bytes, but few tokens.
        assert!(check_lengths(&[" ".repeat(20_000)]).is_ok());
    }

    #[test]
    fn a_request_has_300000_tokens_at_most() {
        let mut inputs = vec![words(8000); 37];
        inputs.push(words(4000));
        assert!(check_lengths(&inputs).is_ok());
        inputs.push("x".into());
        assert!(check_lengths(&inputs).is_err());
    }

    #[test]
    fn counting_is_bounded() {
        for text in ["a".repeat(8 << 20), "a".repeat(1 << 20), "é".repeat(1 << 19), "\u{0}".repeat(1 << 20)]
        {
            let begin = std::time::Instant::now();
            assert!(check_lengths(&[text]).is_err());
            assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
        }
    }

    #[test]
    fn no_token_is_longer_than_assumed() {
        let bpe = tiktoken_rs::cl100k_base_singleton();
        let longest =
            (0..100_256).filter_map(|token| bpe.decode_bytes(&[token]).ok()).map(|bytes| bytes.len()).max();
        assert_eq!(longest, Some(MAX_TOKEN_BYTES));
    }
}
