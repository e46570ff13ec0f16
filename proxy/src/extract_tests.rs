use super::*;

fn body_error(bytes: &[u8]) -> Value {
    let error = parse_object(bytes).unwrap_err();
    assert_eq!(error.status(), 400);
    error.body("r")["error"].clone()
}

#[test]
fn an_absent_body_is_an_empty_object() {
    assert!(parse_object(b"").unwrap().is_empty());
    assert!(parse_object(b" \n").unwrap().is_empty());
}

#[test]
fn unusable_bodies_are_400() {
    for bytes in [
        &b"{"[..],
        b"{} x",
        b"\xff\xfe",
        b"{\"a\": \"\xff\"}",
        b"[1]",
        b"null",
        b"\"x\"",
        b"{\"a\":1e999}",
        b"{\"a\":NaN}",
        br#"{"a":"\ud800"}"#,
    ] {
        assert_eq!(body_error(bytes)["type"], "invalid_request_error", "{bytes:?}");
    }
    let bomb = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(body_error(bomb.as_bytes())["message"].as_str().unwrap().contains("recursion"));
    let nul = body_error(br#"{"name": "a\u0000b"}"#);
    assert_eq!((nul["code"].as_str(), nul["param"].as_str()), (Some("invalid_value"), Some("name")));
}

#[test]
fn only_json_is_json() {
    let check = |text: &str| {
        check_content_type(&HeaderMap::from_iter([(header::CONTENT_TYPE, text.parse().unwrap())]))
    };
    for good in ["application/json", "Application/JSON; charset=utf-8", "application/problem+json"] {
        assert!(check(good).is_ok(), "{good}");
    }
    for bad in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"] {
        assert!(check(bad).is_err(), "{bad}");
    }
    assert!(check_content_type(&HeaderMap::new()).is_ok());
}

#[test]
fn an_announced_length_is_checked_before_reading() {
    let headers = |length: &str| HeaderMap::from_iter([(header::CONTENT_LENGTH, length.parse().unwrap())]);
    assert!(check_length(&headers("8"), 8).is_ok());
    assert_eq!(check_length(&headers("9"), 8).unwrap_err().status(), 413);
}

#[tokio::test]
async fn a_body_without_length_is_cut_at_the_limit() {
    let body = || Body::from(vec![b' '; 9]);
    assert!(read_body(body(), 9, BODY_TIMEOUT).await.is_ok());
    assert_eq!(read_body(body(), 8, BODY_TIMEOUT).await.unwrap_err().status(), 413);
}

#[tokio::test]
async fn a_slow_body_is_given_up() {
    let never = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    assert_eq!(read_body(never, 8, Duration::from_millis(10)).await.unwrap_err().status(), 408);
}

#[test]
fn paging_has_bounds() {
    let page = |query: &str| QueryString(url_pairs(query)).page(20, 100, Some(("filter", &["failed"])));
    let plain = page("").unwrap();
    assert_eq!((plain.limit, plain.order.as_str(), plain.after, plain.filter), (20, "desc", None, None));
    let full = page("limit=100&order=asc&after=vs_1&before=a%2Bb&filter=failed&other=1").unwrap();
    assert_eq!((full.limit, full.order.as_str()), (100, "asc"));
    assert_eq!((full.after.as_deref(), full.before.as_deref()), (Some("vs_1"), Some("a+b")));
    for bad in [
        "limit=0",
        "limit=101",
        "limit=x",
        "limit=",
        "limit=1.5",
        "limit=99999999999999999999",
        "order=up",
        "filter=x",
    ] {
        assert!(page(bad).is_err(), "{bad}");
    }
}
