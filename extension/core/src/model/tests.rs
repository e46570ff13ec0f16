use std::fs;
use std::sync::LazyLock;

use half::f16;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::*;

/// Ambiguous on purpose: "abc" has two origins, runs of blanks and of "d" merge in several ways.
const MERGES: &[&str] = &[
    "d d",
    "b c",
    "a b",
    "▁ ▁",
    "a bc",
    "ab c",
    "▁ a",
    "▁▁ ▁▁",
    "▁a bc",
    "▁ ab",
    "dd d",
    "dd dd",
    "é a",
    "▁ abc",
];
const CHARS: &[&str] = &["▁", "a", "b", "c", "d", "é", "<", "s", ">", "/"];
const SPECIAL: &[&str] = &["<unk>", "<s>", "</s>"];

fn tokens() -> Vec<String> {
    let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
    let chars = CHARS.iter().map(|c| c.to_string());
    let mut tokens: Vec<_> =
        SPECIAL.iter().map(|token| token.to_string()).chain(bytes).chain(chars).collect();
    for merge in MERGES {
        let product = merge.replace(' ', "");
        if !tokens.contains(&product) {
            tokens.push(product);
        }
    }
    tokens
}

fn id(token: &str) -> u32 {
    tokens().iter().position(|known| known == token).expect("token of the fixture") as u32
}

fn tokenizer_json() -> Value {
    let vocab: Map<String, Value> = tokens().into_iter().enumerate().map(|(id, t)| (t, json!(id))).collect();
    let added: Vec<_> = SPECIAL
        .iter()
        .enumerate()
        .map(|(id, content)| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true})
        })
        .collect();
    json!({
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]},
        "pre_tokenizer": null,
        "model": {"type": "BPE", "dropout": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "byte_fallback": true, "ignore_merges": false, "vocab": vocab, "merges": MERGES},
    })
}

/// Component `c` of token `t` in the fixture's matrix.
fn component(token: usize, c: usize) -> f16 {
    f16::from_f32(((token * 31 + c * 7) % 17) as f32 - 8.0)
}

fn weights_with(header: &str, rows: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    for row in 0..rows {
        file.extend((0..DIMENSIONS).flat_map(|c| component(row, c).to_le_bytes()));
    }
    file
}

fn header(rows: usize) -> String {
    let end = rows * DIMENSIONS * 2;
    json!({"embedding.weight": {"dtype": "F16", "shape": [rows, DIMENSIONS], "data_offsets": [0, end]}})
        .to_string()
}

fn folder(tokenizer: &[u8], weights: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().expect("temporary folder");
    fs::write(dir.path().join(TOKENIZER_FILE), tokenizer).expect("write");
    fs::write(dir.path().join(WEIGHTS_FILE), weights).expect("write");
    dir
}

fn weights() -> Vec<u8> {
    let rows = tokens().len();
    weights_with(&header(rows), rows)
}

fn model() -> &'static Model {
    static MODEL: LazyLock<Model> = LazyLock::new(|| {
        let dir = folder(tokenizer_json().to_string().as_bytes(), &weights());
        Model::open(dir.path()).expect("fixture opens")
    });
    &MODEL
}

fn open_error(tokenizer: &[u8], weights: &[u8]) -> ModelError {
    Model::open(folder(tokenizer, weights).path()).expect_err("must not open")
}

/// What the tokenizer must equal: the whole piece at once, rescanned for the best merge after each merge.
fn reference(text: &str) -> Vec<u32> {
    let tokens = tokens();
    let find = |token: &str| tokens.iter().position(|known| known == token);
    let mut ids = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let hit = SPECIAL.iter().filter_map(|token| Some((rest.find(token)?, *token))).min();
        let (piece, special) = hit.map_or((rest, ""), |(at, token)| (&rest[..at], token));
        rest = &rest[piece.len() + special.len()..];
        if !piece.is_empty() {
            let mut symbols: Vec<String> = format!("▁{}", piece.replace(' ', "▁"))
                .chars()
                .flat_map(|c| match find(&c.to_string()) {
                    Some(_) => vec![c.to_string()],
                    None => c.to_string().bytes().map(|byte| format!("<0x{byte:02X}>")).collect(),
                })
                .collect();
            let rank = |pair: &[String]| MERGES.iter().position(|merge| *merge == pair.join(" "));
            while let Some((_, at)) =
                symbols.windows(2).enumerate().filter_map(|(at, pair)| Some((rank(pair)?, at))).min()
            {
                let right = symbols.remove(at + 1);
                symbols[at].push_str(&right);
            }
            ids.extend(symbols.iter().map(|symbol| find(symbol).expect("known") as u32));
        }
        ids.extend(find(special).map(|id| id as u32));
    }
    ids
}

#[test]
fn blanks_belong_to_the_word_after_them() {
    assert_eq!(model().tokenize("abc abc"), [id("▁abc"), id("▁abc")]);
    assert_eq!(model().tokenize("abc   "), [id("▁abc"), id("▁▁"), id("▁")]);
    assert_eq!(model().tokenize("   "), [id("▁▁▁▁")]);
}

#[test]
fn unknown_characters_become_bytes() {
    let expected = ["▁", "<0x0A>", "<0xE6>", "<0x95>", "<0xB0>", "éa"].map(id);
    assert_eq!(model().tokenize("\n数éa"), expected);
}

#[test]
fn added_tokens_match_verbatim_and_each_piece_gets_its_blank() {
    assert_eq!(model().tokenize("a<s>b</s> "), ["▁a", "<s>", "▁", "b", "</s>", "▁▁"].map(id));
    assert_eq!(model().tokenize("<<s"), ["▁", "<", "<", "s"].map(id));
}

#[test]
fn embedding_is_the_mean_of_the_rows_at_length_one() {
    let text = "abc d\ncab";
    let mut expected = vec![0.0_f32; DIMENSIONS];
    let ids = reference(text);
    for (c, total) in expected.iter_mut().enumerate() {
        *total = ids.iter().map(|id| component(*id as usize, c).to_f32()).sum::<f32>() / ids.len() as f32;
    }
    let norm = expected.iter().map(|x| x * x).sum::<f32>().sqrt();
    let embedding = model().embed(text);
    assert_eq!(embedding.len(), model().dimensions());
    for (got, want) in embedding.iter().zip(&expected) {
        assert!((got - want / norm).abs() < 1e-5, "{got} is not {}", want / norm);
    }
}

#[test]
fn empty_text_has_the_zero_vector() {
    assert_eq!(model().tokenize(""), [0_u32; 0]);
    assert_eq!(model().embed(""), vec![0.0; DIMENSIONS]);
}

#[test]
fn a_long_word_is_not_quadratic() {
    let started = std::time::Instant::now();
    assert_eq!(model().tokenize(&"d".repeat(1 << 18)).len(), (1 << 16) + 1);
    assert!(started.elapsed().as_secs() < 20, "took {:?}", started.elapsed());
}

#[test]
fn missing_files_are_named() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let error = Model::open(dir.path()).expect_err("empty folder").to_string();
    assert!(error.contains(WEIGHTS_FILE) && error.contains(&dir.path().display().to_string()), "{error}");
    fs::write(dir.path().join(WEIGHTS_FILE), weights()).expect("write");
    let error = Model::open(dir.path()).expect_err("no tokenizer").to_string();
    assert!(error.contains(TOKENIZER_FILE), "{error}");
    fs::create_dir(dir.path().join(TOKENIZER_FILE)).expect("folder in place of the file");
    assert!(matches!(Model::open(dir.path()), Err(ModelError::Io { .. })));
}

#[test]
fn damaged_weights_are_refused() {
    let json = tokenizer_json().to_string();
    let rows = tokens().len();
    let mut endless = weights();
    endless[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut infinite = weights();
    let at = infinite.len() - 300;
    infinite[at..at + 2].copy_from_slice(&f16::INFINITY.to_le_bytes());
    let huge = format!(
        r#"{{"embedding.weight":{{"dtype":"F16","shape":[{},256],"data_offsets":[2,1]}}}}"#,
        usize::MAX
    );
    let whole = weights();
    let damaged: [&[u8]; 8] = [
        b"",
        &whole[..7],
        &whole[..50],
        &whole[..whole.len() - 1],
        &endless,
        &infinite,
        &weights_with("{]", rows),
        &weights_with(&huge, rows),
    ];
    for file in damaged {
        assert!(matches!(open_error(json.as_bytes(), file), ModelError::Corrupt { .. }));
    }
}

#[test]
fn foreign_weights_are_refused() {
    let json = tokenizer_json().to_string();
    let rows = tokens().len();
    let foreign = [
        "{}".to_owned(),
        header(rows).replace("F16", "BF16"),
        header(rows).replace(",256]", ",128]"),
        header(rows).replace(",256]", "]"),
        header(0),
        // Sound in itself, yet too small for the tokenizer.
        header(rows - 1),
    ];
    for header in foreign {
        let error = open_error(json.as_bytes(), &weights_with(&header, rows));
        assert!(matches!(error, ModelError::Unsupported { .. }), "{header}: {error}");
    }
}

#[test]
fn damaged_or_foreign_tokenizers_are_refused() {
    let changed = |pointer: &str, value: Value| {
        let mut json = tokenizer_json();
        *json.pointer_mut(pointer).expect("field of the fixture") = value;
        json.to_string()
    };
    let vocab_without = |token: &str| {
        let mut vocab = tokenizer_json()["model"]["vocab"].clone();
        vocab.as_object_mut().expect("object").remove(token);
        changed("/model/vocab", vocab)
    };
    let cases = [
        (changed("/normalizer", Value::Null), "normalizer"),
        (changed("/pre_tokenizer", json!({"type": "Whitespace"})), "pre-tokenizer"),
        (changed("/model/type", json!("Unigram")), "BPE"),
        (changed("/model/byte_fallback", json!(false)), "byte fallback"),
        (changed("/model/dropout", json!(0.1)), "BPE"),
        (changed("/added_tokens/1/lstrip", json!(true)), "verbatim"),
        (changed("/added_tokens/1/content", json!("")), "verbatim"),
        (changed("/added_tokens/1/id", json!(2)), "two ids"),
        (changed("/model/vocab/a", json!(65535)), "65535"),
        (changed("/model/vocab/a", json!(65536)), "invalid"),
        (changed("/model/merges/0", json!("dd")), "not a pair"),
        (changed("/model/merges/0", json!("a b")), "twice"),
        (changed("/model/merges/0", json!("a x")), "not in the vocabulary"),
        (changed("/model/merges/0", json!("a ▁")), "joins two words"),
        (changed("/model/merges", json!({})), "array of merges"),
        (vocab_without("<0xFF>"), "<0xFF>"),
        (vocab_without("<s>"), "<s>"),
        (tokenizer_json().to_string().replacen("\"a\":", "\"a\":1,\"a\":", 1), "occurs twice"),
        ("{}".to_owned(), "invalid"),
        (String::new(), "invalid"),
    ];
    for (json, reason) in cases {
        let error = open_error(json.as_bytes(), &weights()).to_string();
        assert!(error.contains(reason) && error.contains(TOKENIZER_FILE), "{reason:?} expected: {error}");
    }
}

proptest! {
    #[test]
    fn tokens_equal_those_of_the_plain_algorithm(text in "(?s:[abcd é▁\n数]|  |<s>|</s>|<unk>|<|>|abc| dddd|.){0,40}") {
        prop_assert_eq!(model().tokenize(&text), reference(&text));
    }

    #[test]
    fn embeddings_have_length_one(text in ".{1,60}") {
        let norm = model().embed(&text).iter().map(|x| x * x).sum::<f32>().sqrt();
        prop_assert!((norm - 1.0).abs() < 1e-4, "norm {norm}");
    }

    #[test]
    fn altered_files_never_panic(in_weights: bool, at: prop::sample::Index, byte: u8, cut: bool) {
        let (mut json, mut weights) = (tokenizer_json().to_string().into_bytes(), weights());
        let file = if in_weights { &mut weights } else { &mut json };
        // Most of the weights file are numbers; its interesting part is the header.
        let at = at.index(if in_weights { 128 } else { file.len() });
        if cut { file.truncate(at) } else { file[at] = byte }
        if let Ok(model) = Model::open(folder(&json, &weights).path()) {
            prop_assert!(model.embed("abc <s> d\n").iter().all(|x| x.is_finite()));
        }
    }
}
