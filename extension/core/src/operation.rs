//! Names of the operations that statistics count: those of the OpenAPI document, for SQL functions and HTTP routes
//! alike, so that a store's searches are one number, whoever searched.

/// What a call of a database function is to the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether the call is a request, and not a part of one or a worker's.
    pub counts: bool,
    /// Whether it is charged to the rate limits of its key.
    pub charges: bool,
}

/// Functions of the proxy's workers, and parts of requests that other functions count.
const INTERNAL: &[&str] = &[
    "api_append_file",
    "api_append_upload_part",
    "api_cache_embeddings",
    "api_cached_embeddings",
    "api_check_key",
    "api_claim_jobs",
    "api_claim_request",
    "api_count_cache_hits",
    "api_doctor",
    "api_fail_job",
    "api_finish_job",
    "api_health",
    "api_heartbeat_job",
    "api_metrics",
    "api_note_requests",
    "api_rate_state",
    "api_read_file_part",
    "api_read_job_part",
    "api_read_upload",
    "api_read_upload_piece",
    "api_release_job",
    "api_release_request",
    "api_renew_request",
    "api_settle_request",
    "api_sweep_cache",
    "api_sweep_expired",
    "api_uncounted",
    "api_vitals",
    "vs_stat_flush",
];

/// Functions that charge for what the proxy does by itself: it reports the request with what became of it.
const ANSWERED_OUTSIDE: &[&str] = &["api_charge_tokens", "api_list_models", "api_retrieve_model"];

/// Functions whose operation has another name than they.
const NAMED: &[(&str, &str)] = &[
    ("api_attach_file", "create_vector_store_file"),
    ("api_begin_file", "create_file"),
    ("api_begin_upload_part", "add_upload_part"),
    ("api_cancel_batch", "cancel_vector_store_file_batch"),
    ("api_charge_tokens", "create_embedding"),
    ("api_create_batch", "create_vector_store_file_batch"),
    ("api_create_upload_part", "add_upload_part"),
    ("api_delete_embedding", "delete_vector_store_embedding"),
    ("api_delete_embeddings", "delete_vector_store_embedding_batch"),
    ("api_delete_store_file", "delete_vector_store_file"),
    ("api_finish_file", "create_file"),
    ("api_finish_upload_part", "add_upload_part"),
    ("api_get_api_key", "retrieve_api_key"),
    ("api_get_batch", "retrieve_vector_store_file_batch"),
    ("api_get_embedding", "retrieve_vector_store_embedding"),
    ("api_get_file", "retrieve_file"),
    ("api_get_quotas", "list_quotas"),
    ("api_get_store_file", "retrieve_vector_store_file"),
    ("api_get_tenant", "retrieve_tenant"),
    ("api_get_vector_store", "retrieve_vector_store"),
    ("api_insert_embeddings", "create_vector_store_embedding"),
    ("api_list_batch_files", "list_vector_store_file_batch_files"),
    ("api_list_embeddings", "list_vector_store_embeddings"),
    ("api_list_store_files", "list_vector_store_files"),
    ("api_read_file", "download_file"),
    ("api_search", "search_vector_store"),
    ("api_set_quota", "set_quotas"),
    ("api_stats", "retrieve_stats"),
    ("api_store_file_content", "retrieve_vector_store_file_content"),
    ("api_store_stats", "retrieve_vector_store_stats"),
    ("api_update_embedding", "update_vector_store_embedding"),
    ("api_update_store_file", "modify_vector_store_file"),
    ("api_update_vector_store", "modify_vector_store"),
    ("vs_create_store", "create_vector_store"),
    ("vs_delete", "delete_vector_store_embedding"),
    ("vs_delete_store", "delete_vector_store"),
    ("vs_delete_where", "delete_vector_store_embedding_batch"),
    ("vs_embed", "create_embedding"),
    ("vs_get", "retrieve_vector_store_embedding"),
    ("vs_list", "list_vector_store_embeddings"),
    ("vs_search", "search_vector_store"),
    ("vs_search_page", "search_vector_store"),
    ("vs_set_quota", "set_quotas"),
    ("vs_set_tenant_quota", "set_quotas"),
    ("vs_stats", "retrieve_stats"),
    ("vs_update", "update_vector_store_embedding"),
    ("vs_update_store", "modify_vector_store"),
    ("vs_upsert", "create_vector_store_embedding"),
];

/// Routes that share the operation of another one, because they share its database function.
const ROUTES: &[(&str, &str)] = &[
    ("create_vector_store_embedding_batch", "create_vector_store_embedding"),
    ("replace_vector_store_embedding", "update_vector_store_embedding"),
];

/// The operation of a database function, which is named `vs_…` or `api_…`. A big upload is charged when it begins and
/// counted when it ends.
pub fn of_function(function: &str) -> Operation<'_> {
    let own = function.strip_prefix("vs_").or_else(|| function.strip_prefix("api_")).unwrap_or(function);
    let named = NAMED.iter().find(|(name, _)| *name == function);
    let begins = function.starts_with("api_begin_");
    let internal = INTERNAL.contains(&function);
    Operation {
        name: named.map_or(own, |(_, operation)| operation),
        counts: !internal && !begins && !ANSWERED_OUTSIDE.contains(&function),
        charges: !internal && !function.starts_with("api_finish_"),
    }
}

/// The operation of a route, by its name in the OpenAPI document.
pub fn of_route(route: &str) -> &str {
    ROUTES.iter().find(|(name, _)| *name == route).map_or(route, |(_, operation)| operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_and_http_share_names() {
        for function in ["vs_search", "api_search", "vs_search_page"] {
            let found = of_function(function);
            assert_eq!((found.name, found.counts, found.charges), ("search_vector_store", true, true));
        }
        assert_eq!(
            of_route("create_vector_store_embedding_batch"),
            of_function("api_insert_embeddings").name
        );
        assert_eq!(of_route("list_files"), of_function("api_list_files").name);
    }

    #[test]
    fn parts_of_requests_are_none() {
        assert!(!of_function("api_claim_jobs").counts);
        let outside = of_function("api_list_models");
        assert_eq!((outside.name, outside.counts, outside.charges), ("list_models", false, true));
        let (begin, end) = (of_function("api_begin_file"), of_function("api_finish_file"));
        assert_eq!((begin.counts, begin.charges, end.counts, end.charges), (false, true, true, false));
        assert_eq!(begin.name, end.name);
    }

    #[test]
    fn names_fit_their_place() {
        let names = NAMED.iter().map(|(_, name)| *name).chain(ROUTES.iter().map(|(name, _)| *name));
        assert!(names.into_iter().all(|name| name.len() <= 40), "see the extension's Key");
    }
}
