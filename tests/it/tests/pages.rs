//! Pages of a search.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use vectorstore_it::store::{Store, ids, new_store, passages, scores, with_page};

#[tokio::test]
async fn pages_have_neither_doubles_nor_gaps_whatever_is_written() {
    let mut store = Store::new().await;
    for merged in [false, true] {
        for mode in ["hybrid", "keyword_only", "vector_only", "list"] {
            store.id = new_store(&store.fixture).await;
            let before: BTreeSet<String> = store.insert(passages(0..40)).await.into_iter().collect();
            if merged {
                store.merge().await;
            }
            let body = json!({"query": "harbour", "search_mode": mode, "max_num_results": 7});
            let mut page = store.search(body.clone()).await;
            let (mut seen, mut last) = (ids(&page), f64::INFINITY);
            let mut deleted = BTreeSet::new();
            while page["has_more"] == true {
                for (_, score) in scores(&page) {
                    assert!(score <= last, "{mode}: sorted over all pages");
                    last = score;
                }
                // One that was seen, one that was not, and new ones that fit better than all.
                let unseen = before.iter().find(|id| !seen.contains(id) && !deleted.contains(*id));
                for id in [seen.last().cloned(), unseen.cloned()].into_iter().flatten() {
                    store.delete(&id).await;
                    deleted.insert(id);
                }
                store.insert([("harbour harbour".to_owned(), json!({}))]).await;
                if merged {
                    store.merge().await;
                }
                page = store.search(with_page(&body, &page["next_page"])).await;
                assert_eq!(page["search_query"], if mode == "list" { json!([]) } else { json!(["harbour"]) });
                seen.extend(ids(&page));
            }
            assert_eq!(page["next_page"], Value::Null);
            let distinct: BTreeSet<String> = seen.iter().cloned().collect();
            assert_eq!(distinct.len(), seen.len(), "{mode}: a result came twice");
            let missing: Vec<_> = before.difference(&distinct).collect();
            assert!(missing.iter().all(|id| deleted.contains(*id)), "{mode}: {missing:?}");
            if mode != "list" {
                assert!(distinct.is_subset(&before), "{mode}: the list is frozen");
            }
        }
    }
    store.fixture.close().await;
}

#[tokio::test]
async fn a_page_belongs_to_its_request() {
    let store = Store::new().await;
    store.insert(passages(0..20)).await;
    let body = json!({"query": "harbour", "max_num_results": 5});
    let first = store.search(body.clone()).await;
    let token = &first["next_page"];
    let second = store.search(with_page(&body, token)).await;
    assert_eq!(store.search(with_page(&body, token)).await, second, "a token can be used again");
    let mut longer = with_page(&body, token);
    longer["max_num_results"] = json!(10);
    assert_eq!(ids(&store.search(longer).await)[..5], ids(&second), "the size of a page may change");

    for (name, value) in [
        ("query", json!("harbours")),
        ("query", json!(["harbour", "harbour"])),
        ("search_mode", json!("vector_only")),
        ("search_mode", json!("list")),
        ("filters", json!({"even": true})),
        ("vector_weight", json!(0.5)),
        ("fusion", json!("rrf")),
        ("negative_query", json!("sunny")),
        ("created_after", json!(0)),
        ("group_by", json!("even")),
        ("ranking_options", json!({"score_threshold": 0.1})),
    ] {
        let mut other = with_page(&body, token);
        other[name] = value;
        assert_eq!(store.refused(other.clone()).await, "page", "{other}");
    }
    let other = new_store(&store.fixture).await;
    let error = store
        .fixture
        .post(&format!("/v1/vector_stores/{other}/search"), with_page(&body, token))
        .await
        .error(400);
    assert_eq!((&error["param"], &error["code"]), (&json!("page"), &json!("invalid_value")));
    // A list's token is none of a listing, and the other way round.
    let listing = json!({"search_mode": "list", "max_num_results": 5});
    let keyset = store.search(listing.clone()).await["next_page"].clone();
    assert_eq!(store.refused(with_page(&body, &keyset)).await, "page");
    assert_eq!(store.refused(with_page(&listing, token)).await, "page");
    store.fixture.close().await;
}

#[tokio::test]
async fn a_changed_token_is_refused() {
    let store = Store::new().await;
    store.insert(passages(0..20)).await;
    for body in
        [json!({"query": "harbour", "max_num_results": 5}), json!({"search_mode": "list", "limit": 5})]
    {
        let token = store.search(body.clone()).await["next_page"].as_str().unwrap().to_owned();
        let mut changed: Vec<String> = (0..token.len())
            .step_by(7)
            .map(|at| {
                let other = if &token[at..=at] == "A" { "B" } else { "A" };
                format!("{}{other}{}", &token[..at], &token[at + 1..])
            })
            .collect();
        changed.extend([token[..token.len() - 4].to_owned(), format!("{token}AAAA"), format!("{token}=")]);
        changed.extend(["A", "null", "'; SELECT 1; --", "ä"].map(str::to_owned));
        for token in changed {
            assert_eq!(store.refused(with_page(&body, &json!(token))).await, "page", "{token}");
        }
    }
    store.fixture.close().await;
}
