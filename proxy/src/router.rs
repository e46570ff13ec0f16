//! Every route and every layer, on one page.

use axum::Router;
use axum::routing::get;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::account;
use crate::deadline;
use crate::idempotency;
use crate::openapi::{Document, say_what_is_optional};
use crate::respond::{method_not_allowed, not_found, panicked, respond};
use crate::routes::{
    api_keys, embeddings, file_batches, files, health, litellm, quotas, search, stats, store_embeddings,
    store_files, stores, tenants, uploads,
};
use crate::state::AppState;

/// What needs an API key. A handler gets it by naming [`crate::auth::ApiKey`] among its arguments.
#[rustfmt::skip]
fn api() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        // /vector_stores, /vector_stores/{vector_store_id}
        .routes(routes!(stores::create_vector_store, stores::list_vector_stores))
        .routes(routes!(stores::retrieve_vector_store, stores::modify_vector_store, stores::delete_vector_store))
        .routes(routes!(stores::restore_vector_store))
        // /vector_stores/{vector_store_id}/search
        .routes(routes!(search::search_vector_store))
        // /vector_stores/{vector_store_id}/files, .../{file_id}, .../{file_id}/content
        .routes(routes!(store_files::create_vector_store_file, store_files::list_vector_store_files))
        .routes(routes!(store_files::retrieve_vector_store_file, store_files::modify_vector_store_file, store_files::delete_vector_store_file))
        .routes(routes!(store_files::retrieve_vector_store_file_content))
        // /vector_stores/{vector_store_id}/file_batches, .../{batch_id}, .../{batch_id}/cancel, .../{batch_id}/files
        .routes(routes!(file_batches::create_vector_store_file_batch))
        .routes(routes!(file_batches::retrieve_vector_store_file_batch))
        .routes(routes!(file_batches::cancel_vector_store_file_batch))
        .routes(routes!(file_batches::list_vector_store_file_batch_files))
        // /vector_stores/{vector_store_id}/embeddings, .../batch, .../{embedding_id}
        .routes(routes!(litellm::create_vector_store_embedding, store_embeddings::list_vector_store_embeddings))
        .routes(routes!(litellm::create_vector_store_embedding_batch, store_embeddings::delete_vector_store_embedding_batch))
        .routes(routes!(store_embeddings::retrieve_vector_store_embedding, store_embeddings::replace_vector_store_embedding, store_embeddings::update_vector_store_embedding, store_embeddings::delete_vector_store_embedding))
        // /files, /files/{file_id}, /files/{file_id}/content
        .routes(routes!(files::create_file, files::list_files))
        .routes(routes!(files::retrieve_file, files::delete_file))
        .routes(routes!(files::download_file))
        // /uploads, /uploads/{upload_id}/parts, .../complete, .../cancel
        .routes(routes!(uploads::create_upload))
        .routes(routes!(uploads::add_upload_part))
        .routes(routes!(uploads::complete_upload))
        .routes(routes!(uploads::cancel_upload))
        // /stats, /vector_stores/{vector_store_id}/stats, /admin/rate_limits
        .routes(routes!(stats::retrieve_stats))
        .routes(routes!(stats::retrieve_vector_store_stats))
        .routes(routes!(stats::list_rate_limits, stats::set_rate_limit))
        // /embeddings, /models, /models/{model}
        .routes(routes!(embeddings::create_embedding))
        .routes(routes!(embeddings::list_models))
        .routes(routes!(embeddings::retrieve_model))
        // /api_keys, /api_keys/{key_id}, .../rotate
        .routes(routes!(api_keys::list_api_keys, api_keys::create_api_key))
        .routes(routes!(api_keys::retrieve_api_key, api_keys::update_api_key, api_keys::delete_api_key))
        .routes(routes!(api_keys::rotate_api_key))
        // /admin/tenants, /admin/tenants/{tenant_id}, /admin/quotas
        .routes(routes!(tenants::list_tenants, tenants::create_tenant))
        .routes(routes!(tenants::retrieve_tenant, tenants::update_tenant, tenants::delete_tenant))
        .routes(routes!(quotas::list_quotas, quotas::set_quotas))
}

/// Further names of documented paths.
pub(crate) const ALIASES: [(&str, &str); 2] = [("/livez", "/health"), ("/readyz", "/ready")];

/// What needs none.
fn open() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(health::health_details))
        .routes(routes!(health::metrics))
}

/// The routes and the document that describes them.
pub(crate) fn parts() -> (Router<AppState>, utoipa::openapi::OpenApi) {
    let (routes, mut document) =
        OpenApiRouter::with_openapi(Document::openapi()).merge(open()).nest("/v1", api()).split_for_parts();
    say_what_is_optional(&mut document);
    let routes = routes
        // The same API without the prefix, as litellm-pgvector serves it.
        .merge(api().split_for_parts().0)
        .route(ALIASES[0].0, get(health::health))
        .route(ALIASES[1].0, get(health::ready))
        .route("/v1/health", get(health::health));
    (routes, document)
}

/// The service.
pub fn build_router(state: AppState) -> Router {
    let (routes, document) = parts();
    account::learn(&document);
    routes
        .merge(SwaggerUi::new("/docs").url("/openapi.json", document))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(
            // From the outside to the inside.
            ServiceBuilder::new()
                .layer(SetSensitiveRequestHeadersLayer::new([axum::http::header::AUTHORIZATION]))
                .layer(axum::middleware::from_fn_with_state(state.clone(), respond))
                .layer(axum::middleware::from_fn_with_state(state.clone(), deadline::layer))
                .layer(axum::middleware::from_fn_with_state(state.clone(), idempotency::layer))
                .layer(CatchPanicLayer::custom(panicked)),
        )
        .with_state(state)
}
