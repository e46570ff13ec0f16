//! Fixtures of the integration tests: a fresh database for each test, and the proxy's router over it.
//!
//! Needs `VS_TEST_DATABASE_URL`, a superuser's URL of a throw-away cluster into which the extension is installed, and
//! `VECTORSTORE_MODEL_PATH`. `make test` provides both.

pub mod store;

use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use tower::ServiceExt;
use vectorstore_proxy::config::{Config, LogFormat};
use vectorstore_proxy::state::AppState;

/// The key that every fixture registers.
pub const KEY: &str = "vs_live_aaaaaaaaaaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// Login role of the tested proxy: what it may do is what vectorstore_app may do.
const APP: &str = "vs_it_app";

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Databases are made one after the other: copying a template and creating roles do not run in parallel.
static MAKING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} must be set; make test sets it"))
}

fn options() -> PgConnectOptions {
    setting("VS_TEST_DATABASE_URL").parse().expect("VS_TEST_DATABASE_URL is a postgres:// URL")
}

/// A database of its own with the extension, and a router over it. Dropped with [`Fixture::close`]; a test that fails
/// leaves its database to the throw-away cluster.
pub struct Fixture {
    /// The service under test.
    pub router: Router,
    /// Its shared state.
    pub state: AppState,
    name: String,
}

impl Fixture {
    /// Creates the database and the router.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with settings that differ from the test's defaults.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let name = format!("vs_it_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let making = MAKING.lock().await;
        let mut server = PgConnection::connect_with(&options()).await.expect("the test cluster answers");
        execute(&mut server, &format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        let mut database =
            PgConnection::connect_with(&options().database(&name)).await.expect("the new database answers");
        execute(&mut database, "CREATE EXTENSION vectorstore CASCADE").await;
        // Roles belong to the whole cluster: an earlier test may have made this one.
        execute(
            &mut database,
            &format!(
                "DO $$ BEGIN CREATE ROLE {APP} LOGIN PASSWORD '{APP}' IN ROLE vectorstore_app;
                 EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            ),
        )
        .await;
        drop(making);
        execute(&mut database, &format!("SELECT vs_create_api_key('test', sha256('{KEY}'))")).await;
        let url = options();
        let mut config = Config {
            database_url: format!("postgres://{APP}:{APP}@127.0.0.1:{}/{name}", url.get_port()),
            listen: ([127, 0, 0, 1], 0).into(),
            model_path: Some(setting("VECTORSTORE_MODEL_PATH").into()),
            pool_size: 4,
            max_file_bytes: 16 * 1024 * 1024,
            providers: None,
            cache_mib: 64,
            cache_days: 1,
            extract_memory: 1024,
            extract_seconds: 30,
            statement_timeout: 30,
            request_timeout: 600,
            trusted_proxies: Default::default(),
            drain_seconds: 0,
            ingest_workers: 0,
            ingest_wait: 10,
            ingest_lease: 30,
            sweep_interval: 60,
            strict: false,
            litellm_compat: false,
            log_format: LogFormat::Pretty,
            log: "off".into(),
        };
        change(&mut config);
        let state = AppState::connect(config).expect("the state is complete");
        Self { router: vectorstore_proxy::router::build_router(state.clone()), state, name }
    }

    /// Runs statements as the superuser.
    pub async fn sql(&self, statements: &str) {
        let mut database =
            PgConnection::connect_with(&options().database(&self.name)).await.expect("the database answers");
        execute(&mut database, statements).await;
    }

    /// Sends a request as it is.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        Answer::read(self.router.clone().oneshot(request).await.expect("a router never fails")).await
    }

    /// Sends a request with the key and, unless it is null, a JSON body.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {KEY}"));
        let request = match body {
            Value::Null => request.body(Body::empty()),
            body => {
                request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string()))
            }
        };
        self.send(request.expect("a well-formed request")).await
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Value::Null).await
    }

    /// `POST path` with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    /// `DELETE path`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, Value::Null).await
    }

    /// Uploads a file and returns its id.
    pub async fn upload(&self, filename: &str, content: &str) -> String {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n\
             --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n\r\n{content}\r\n--b--\r\n"
        );
        let request = Request::post("/v1/files")
            .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
            .body(Body::from(body))
            .expect("a well-formed request");
        self.send(request).await.ok()["id"].as_str().expect("a file has an id").to_owned()
    }

    /// Drops the database.
    pub async fn close(self) {
        self.state.db().close().await;
        let mut server = PgConnection::connect_with(&options()).await.expect("the test cluster answers");
        execute(&mut server, &format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
    }
}

/// Runs statements of the tests' own making.
async fn execute(connection: &mut PgConnection, statements: &str) {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
        .execute(connection)
        .await
        .unwrap_or_else(|error| panic!("{statements}: {error}"));
}

/// A response, read whole.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: StatusCode,
    /// Headers.
    pub headers: axum::http::HeaderMap,
    /// Body as text.
    pub text: String,
}

impl Answer {
    async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body that ends").to_bytes();
        Self {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {:?}", self.text))
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json()
    }

    /// Checks that this is a complete error object with this status, and returns it.
    #[track_caller]
    pub fn error(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        let error = self.json()["error"].clone();
        let fields: Vec<&String> = error.as_object().expect("an error object").keys().collect();
        assert_eq!(fields.len(), 4, "{fields:?}");
        assert!(error["message"].is_string() && error["type"].is_string(), "{error}");
        assert!(error["param"].is_string() || error["param"].is_null(), "{error}");
        assert!(error["code"].is_string() || error["code"].is_null(), "{error}");
        assert!(self.headers.get("x-request-id").is_some_and(|id| id.as_bytes().starts_with(b"req_")));
        error
    }
}
