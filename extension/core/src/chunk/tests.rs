use proptest::prelude::*;

use super::*;

const KINDS: [ChunkKind; 3] = [ChunkKind::Text, ChunkKind::Markdown, ChunkKind::Code];

fn config(max_tokens: usize, overlap_tokens: usize) -> ChunkConfig {
    ChunkConfig { max_tokens, overlap_tokens }
}

fn texts<'t>(text: &'t str, chunks: &[Chunk]) -> Vec<&'t str> {
    chunks.iter().map(|chunk| &text[chunk.start..chunk.end]).collect()
}

/// What holds for the chunks of any text.
fn check(text: &str, config: ChunkConfig, kind: ChunkKind) -> Result<Vec<Chunk>, TestCaseError> {
    let chunks = split(text, config, kind);
    let mut covered = 0;
    let mut last_start = None;
    for chunk in &chunks {
        prop_assert!(text.is_char_boundary(chunk.start) && text.is_char_boundary(chunk.end));
        let content = &text[chunk.start..chunk.end];
        prop_assert!(!content.trim().is_empty());
        prop_assert_eq!(content, content.trim_end());
        prop_assert_eq!(chunk.tokens, count_tokens(content));
        prop_assert!(chunk.tokens <= config.max_tokens, "{} tokens", chunk.tokens);
        prop_assert!(last_start < Some(chunk.start) && chunk.end > covered, "no progress");
        if chunk.start > covered {
            prop_assert!(text[covered..chunk.start].trim().is_empty(), "text between chunks");
        } else {
            let shared = count_tokens(&text[chunk.start..covered]);
            prop_assert!(shared <= config.overlap_tokens, "{shared} tokens shared");
        }
        (last_start, covered) = (Some(chunk.start), chunk.end);
    }
    prop_assert!(text[covered..].trim().is_empty(), "text after the last chunk");
    Ok(chunks)
}

fn checked(text: &str, config: ChunkConfig, kind: ChunkKind) -> Vec<Chunk> {
    check(text, config, kind).expect("chunks are sound")
}

#[test]
fn bounds_of_the_configuration() {
    assert_eq!(ChunkConfig::default(), config(800, 400));
    for good in [config(100, 0), config(100, 50), config(4096, 2048), config(101, 50)] {
        assert_eq!(good.validate(), Ok(()));
    }
    let sizes = [99, 4097, 0, usize::MAX];
    for given in sizes {
        let error = ChunkError::MaxTokens { given, least: 100, most: 4096 };
        assert_eq!(chunk("text", config(given, 0), ChunkKind::Text), Err(error));
    }
    assert_eq!(
        chunk("text", config(800, 401), ChunkKind::Text).map_err(|error| error.to_string()),
        Err("the chunk overlap must be at most half of the chunk size (400 tokens), not 401".to_owned())
    );
}

#[test]
fn a_short_text_is_one_trimmed_chunk() {
    for kind in KINDS {
        let chunks = chunk("\n\nHello, world!\n", ChunkConfig::default(), kind);
        assert_eq!(chunks, Ok(vec![Chunk { start: 2, end: 15, tokens: 4 }]));
    }
}

#[test]
fn white_space_alone_yields_nothing() {
    for kind in KINDS {
        for text in ["", " ", "\n", " \t\r\n\u{a0}\u{3000}"] {
            assert_eq!(chunk(text, ChunkConfig::default(), kind), Ok(vec![]));
        }
    }
}

#[test]
fn paragraphs_stay_whole() {
    let paragraph = "one two three four five six seven eight.\nNine ten eleven twelve.";
    let text = [paragraph; 5].join("\n\n");
    let chunks = checked(&text, config(24, 0), ChunkKind::Text);
    assert_eq!(texts(&text, &chunks), [paragraph; 5]);
}

#[test]
fn sentences_are_preferred_to_words() {
    let text =
        "Alpha beta gamma delta. Epsilon zeta eta theta iota! (\"Kappa lambda mu?\") Nu xi omicron pi rho.";
    let chunks = checked(text, config(16, 0), ChunkKind::Text);
    for content in texts(text, &chunks) {
        assert!(content.ends_with(['.', '!', ')']), "{content:?}");
    }
    let text = "数据库存储向量。全文检索很快。混合搜索更好。".repeat(3);
    for content in texts(&text, &checked(&text, config(32, 0), ChunkKind::Text)) {
        assert!(content.ends_with('。'), "{content:?}");
    }
}

#[test]
fn overlap_repeats_the_end_of_the_chunk_before() {
    let text = (0..200).map(|n| format!("Sentence number {n} stands here.")).collect::<Vec<_>>().join(" ");
    let chunks = checked(&text, config(100, 50), ChunkKind::Text);
    assert!(chunks.len() > 10);
    for pair in chunks.windows(2) {
        let shared = count_tokens(&text[pair[1].start..pair[0].end]);
        assert!((25..=50).contains(&shared), "{shared} tokens shared");
        assert!(text[pair[1].start..].starts_with("Sentence"));
    }
    for pair in checked(&text, config(100, 0), ChunkKind::Text).windows(2) {
        assert!(pair[0].end <= pair[1].start);
    }
}

#[test]
fn markdown_is_cut_before_headings() {
    let section =
        |n| format!("## Section {n}\n\nSome *words* about topic {n}.\n\n- first item\n- second item");
    let text = (0..6).map(section).collect::<Vec<_>>().join("\n\n");
    let chunks = checked(&text, config(40, 0), ChunkKind::Markdown);
    assert_eq!(texts(&text, &chunks), (0..6).map(section).collect::<Vec<_>>());
}

#[test]
fn a_heading_is_not_torn_from_its_text() {
    let text = "Some words come first, and they go on.\n\nAnd a second block.\n\n# Title\n\n## Sub\n\n1. one\n2. two\n3. three";
    for max in 16..40 {
        for content in texts(text, &checked(text, config(max, 0), ChunkKind::Markdown)) {
            let last = content.lines().last().expect("a line");
            assert!(!last.starts_with('#'), "max {max}: {content:?}");
        }
    }
}

#[test]
fn a_new_page_is_the_strongest_break() {
    let page = |n| {
        format!("# Title {n}\n\nSome words about topic {n}.\n\n# Other {n}\n\nMore words, and some more.")
    };
    for kind in KINDS {
        let text = (0..5).map(page).collect::<Vec<_>>().join("\n\u{c}\n");
        let chunks = checked(&text, config(36, 0), kind);
        assert_eq!(texts(&text, &chunks), (0..5).map(page).collect::<Vec<_>>(), "{kind:?}");
    }
}

#[test]
fn a_comment_in_a_code_block_is_no_heading() {
    let text = "Intro words here.\n\n```sh\n# not a heading\necho one two three\n\n# nor this one\necho four five six\n```\n\nClosing words here.";
    let chunks = checked(text, config(32, 0), ChunkKind::Markdown);
    assert_eq!(texts(text, &chunks)[0], &text[..text.find("\n\nClosing").expect("present")]);
}

#[test]
fn code_is_cut_between_functions_and_keeps_indentation() {
    let function =
        |n| format!("def function_{n}(argument):\n    if argument:\n\n        return {n}\n    return None");
    let text = (0..6).map(function).collect::<Vec<_>>().join("\n\n");
    let chunks = checked(&text, config(34, 0), ChunkKind::Code);
    assert_eq!(texts(&text, &chunks), (0..6).map(function).collect::<Vec<_>>());
    let body = (0..40).map(|n| format!("    call_{n}();\n")).collect::<String>();
    for content in texts(&body, &checked(&body, config(40, 10), ChunkKind::Code)) {
        assert!(content.starts_with("    call_") && content.ends_with(");"), "{content:?}");
    }
}

#[test]
fn hostile_texts_are_cut_in_time() {
    let unit = 200_000;
    let texts = [
        "a".repeat(unit),
        "=".repeat(unit),
        "7".repeat(unit),
        "\u{301}".repeat(unit / 2),
        "🦀".repeat(unit / 4),
        "数据".repeat(unit / 6),
        format!("x{}y", " ".repeat(unit)),
        format!("x{}y", "\n".repeat(unit)),
        format!("x{}y", "\u{a0}\t".repeat(unit / 3)),
        "'s".repeat(unit / 2),
        ">".repeat(unit / 10),
        "> ".repeat(unit / 10),
        "- ".repeat(unit / 10),
        "[".repeat(unit / 10),
        "`*_".repeat(unit / 10),
        "# a\n".repeat(unit / 8),
        "|a|b|\n|-|-|\n".repeat(unit / 40),
    ];
    for text in &texts {
        let name: String = text.chars().take(4).collect();
        let largest = (config(4096, 2048), ChunkKind::Text);
        for (config, kind) in KINDS.map(|kind| (ChunkConfig::default(), kind)).into_iter().chain([largest]) {
            let started = std::time::Instant::now();
            checked(text, config, kind);
            assert!(started.elapsed().as_secs() < 20, "{name:?} as {kind:?} took {:?}", started.elapsed());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_text_is_covered_by_sound_chunks(
        text in "(?s:[a-z]{1,9}|  ?|\n{1,3}|\t|[.!?,;] |# |- |> |```\n|[0-9]{1,20}|é|数据。|🦀|\u{301}|.){0,120}",
        max in 16_usize..120, share in 0_usize..=100, kind in prop::sample::select(KINDS.to_vec())
    ) {
        check(&text, config(max, max / 2 * share / 100), kind)?;
    }
}
