use super::*;

const DETAIL: &str = r#"{"code": "invalid_value", "param": "x"}"#;

#[test]
fn every_sqlstate_has_its_status() {
    for (state, status) in [
        ("22023", 400),
        ("28000", 401),
        ("42501", 403),
        ("P0002", 404),
        ("23505", 409),
        ("2BP01", 409),
        ("44000", 412),
        ("53400", 429),
        ("54000", 429),
        ("55000", 503),
        ("40001", 503),
        ("40P01", 503),
        ("57014", 504),
        ("08006", 503),
        ("57P01", 503),
        ("53300", 503),
        ("XX000", 500),
        ("42883", 500),
        ("23503", 500),
    ] {
        assert_eq!(Error::from_sqlstate(state, "m", Some(DETAIL)).status().as_u16(), status, "{state}");
    }
}

#[test]
fn the_text_of_a_foreign_error_is_hidden() {
    for detail in [None, Some("Key (id)=(secret) exists."), Some("{}"), Some(r#"{"code":"x"}"#), Some("[1]")]
    {
        let error = Error::from_sqlstate("22023", "secret table", detail);
        assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR, "{detail:?}");
        let body = error.body("req_1").to_string();
        assert!(!body.contains("secret") && body.contains("req_1"), "{body}");
    }
}

#[test]
fn our_own_error_is_shown_whole() {
    let error = Error::from_sqlstate("22023", "Invalid value.", Some(DETAIL));
    let expected = json!({"error": {
        "message": "Invalid value.", "type": "invalid_request_error", "param": "x", "code": "invalid_value",
    }});
    assert_eq!(error.body("req_1"), expected);
    let error =
        Error::from_sqlstate("P0002", "No such File object: f", Some(r#"{"code": null, "param": "id"}"#));
    assert_eq!(error.body("req_1")["error"]["code"], Value::Null);
    assert_eq!(error.status(), StatusCode::NOT_FOUND);
}

#[test]
fn waiting_is_told_in_whole_seconds() {
    let detail = r#"{"code": null, "param": null, "retry_after_ms": 1200}"#;
    let response = Error::from_sqlstate("54000", "Slow down.", Some(detail)).render("req_1");
    assert_eq!(response.headers()["retry-after"], "2");
    assert_eq!(response.headers()["retry-after-ms"], "1200");
    assert_eq!(response.headers()["x-should-retry"], "true");
}

#[test]
fn permanent_states_say_so() {
    for state in ["53400", "23505"] {
        let response =
            Error::from_sqlstate(state, "m", Some(r#"{"code": null, "param": null}"#)).render("req_1");
        assert_eq!(response.headers()["x-should-retry"], "false", "{state}");
    }
    let quota = Error::from_sqlstate("53400", "m", Some(r#"{"code": null, "param": null}"#));
    assert_eq!(quota.body("r")["error"]["type"], "insufficient_quota");
    assert_eq!(quota.body("r")["error"]["code"], "insufficient_quota");
}

#[test]
fn a_long_database_message_is_cut_on_a_character() {
    let message = "é".repeat(1000);
    assert_eq!(shorten(&message).chars().count(), 301);
    assert_eq!(shorten("short"), "short");
}

#[test]
fn no_connection_is_503_with_a_hint() {
    let response = Error::from(sqlx::Error::PoolTimedOut).render("req_1");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
}

#[test]
fn a_parameter_has_the_name_that_the_client_knows() {
    let param =
        |error: Error| error.rename_param("embedding", "embeddings").body("r")["error"]["param"].clone();
    assert_eq!(param(Error::invalid("invalid_value", "embedding", "m")), "embeddings");
    assert_eq!(param(Error::invalid("invalid_value", "query", "m")), "query");
    assert_eq!(param(Error::bad_body("m")), Value::Null);
}
