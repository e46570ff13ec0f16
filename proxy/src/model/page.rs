//! Errors, lists, and what else all endpoints share.

use utoipa::{IntoParams, ToSchema};

/// The body of every response with a status of 400 or more.
#[derive(ToSchema)]
pub struct ErrorResponse {
    /// What went wrong.
    pub error: ErrorObject,
}

/// What went wrong.
#[derive(ToSchema)]
pub struct ErrorObject {
    /// For people.
    pub message: String,
    /// Class of the error, such as `invalid_request_error` or `server_error`.
    #[schema(rename = "type")]
    pub kind: String,
    /// The parameter that is wrong.
    #[schema(required = true)]
    pub param: Option<String>,
    /// For programs, such as `missing_required_parameter`.
    #[schema(required = true)]
    pub code: Option<String>,
}

/// Order of a list by time of creation.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", default = "desc")]
pub enum Order {
    /// Oldest first.
    Asc,
    /// Newest first.
    Desc,
}

/// Paging of lists of vector stores.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Number of objects.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<i32>,
    /// Order by time of creation.
    #[param(inline)]
    pub order: Option<Order>,
    /// Objects behind the one with this id.
    pub after: Option<String>,
    /// Objects in front of the one with this id.
    pub before: Option<String>,
}

/// Paging of lists of the files of a store.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StoreFileListQuery {
    /// Number of objects.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<i32>,
    /// Order by time of creation.
    #[param(inline)]
    pub order: Option<Order>,
    /// Files behind the one with this id.
    pub after: Option<String>,
    /// Files in front of the one with this id.
    pub before: Option<String>,
    /// Only files with this status.
    #[param(inline)]
    pub filter: Option<super::StoreFileStatus>,
}

/// Paging of lists of files.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FileListQuery {
    /// Number of objects.
    #[param(minimum = 1, maximum = 10000, default = 10000)]
    pub limit: Option<i32>,
    /// Order by time of creation.
    #[param(inline)]
    pub order: Option<Order>,
    /// Files behind the one with this id.
    pub after: Option<String>,
    /// Only files with this purpose.
    pub purpose: Option<String>,
}

/// How a vector store is deleted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeleteQuery {
    /// `cascade` deletes everything in it, `restrict` only an empty store; after `soft` it can be restored for 7 days.
    #[param(pattern = "^(cascade|restrict|soft)$", default = "cascade")]
    pub mode: Option<String>,
}

/// What a deletion answers.
#[derive(ToSchema)]
pub struct Deleted {
    /// Id of what is gone.
    pub id: String,
    /// `vector_store.deleted`, `vector_store.file.deleted` or `file`
    pub object: String,
    /// Always true.
    pub deleted: bool,
}

/// Whether the server works.
#[derive(ToSchema)]
pub struct Health {
    /// `healthy`
    pub status: String,
    /// Unix seconds.
    pub timestamp: i64,
    /// Version of the proxy.
    pub version: String,
}

/// How much `/healthz` tells.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HealthQuery {
    /// Whether every check is told.
    #[param(allow_reserved, example = "true")]
    pub verbose: Option<String>,
}

/// How the server does.
#[derive(ToSchema)]
pub struct HealthDetails {
    /// `ok`, `degraded` or `down`
    pub status: String,
    /// Version of the proxy.
    pub version: String,
    /// Every check by its name; absent unless asked for.
    #[schema(nullable = false)]
    pub checks: Option<serde_json::Value>,
    /// Absent unless the status is `down`.
    #[schema(nullable = false)]
    pub error: Option<ErrorObject>,
}

/// Whether the server can answer requests.
#[derive(ToSchema)]
pub struct Ready {
    /// `ready` or `not_ready`
    pub status: String,
    /// Whether the database answers, and with which versions.
    pub database: Option<serde_json::Value>,
    /// Name of the embedding model.
    pub model: Option<String>,
    /// What is missing.
    pub reasons: Vec<String>,
    /// The same as an error; absent when the server is ready.
    #[schema(nullable = false)]
    pub error: Option<ErrorObject>,
}
