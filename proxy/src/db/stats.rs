//! Functions on usage and rate limits.

use super::files::Body;
use super::{Db, Raw, call};
use crate::account::{Count, Subject};
use crate::auth::ApiKey;
use crate::error::Result;
use crate::extract::StoreId;

/// Rate limits; what is absent is not limited.
#[derive(Default)]
pub struct RateLimit<'a> {
    /// `key`, `tenant` or `default`
    pub scope: Option<&'a str>,
    /// The key.
    pub api_key_id: Option<&'a str>,
    /// Requests a second.
    pub requests_per_second: Option<i64>,
    /// Requests at once.
    pub requests_burst: Option<i64>,
    /// Requests a minute.
    pub requests_per_minute: Option<i64>,
    /// Tokens a minute.
    pub tokens_per_minute: Option<i64>,
    /// Whether nobody is refused.
    pub dry_run: Option<bool>,
    /// Whether the limits are taken away instead.
    pub inherit: Option<bool>,
}

impl Db {
    /// Usage of a store.
    pub async fn store_stats(
        &self,
        store: &StoreId,
        key: &ApiKey,
        range: Option<&str>,
        bucket: Option<&str>,
    ) -> Result<Raw> {
        let body: Body = call!(
            self,
            "SELECT vectorstore.api_store_stats($1, $2, $3, $4, $5)",
            store.number,
            &store.text,
            key.credential(),
            range,
            bucket,
        )?;
        Ok(body.into())
    }

    /// Usage of a tenant.
    pub async fn stats(&self, key: &ApiKey, range: Option<&str>, bucket: Option<&str>) -> Result<Raw> {
        let body: Body =
            call!(self, "SELECT vectorstore.api_stats($1, $2, $3)", key.credential(), range, bucket)?;
        Ok(body.into())
    }

    /// Rate limits.
    pub async fn list_rate_limits(&self, key: &ApiKey) -> Result<Raw> {
        let body: Body = call!(self, "SELECT vectorstore.api_list_rate_limits($1)", key.credential())?;
        Ok(body.into())
    }

    /// Sets rate limits.
    pub async fn set_rate_limit(&self, key: &ApiKey, limit: &RateLimit<'_>) -> Result<Raw> {
        let body: Body = call!(
            self,
            "SELECT vectorstore.api_set_rate_limit($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            key.credential(),
            limit.scope,
            limit.api_key_id,
            limit.requests_per_second,
            limit.requests_burst,
            limit.requests_per_minute,
            limit.tokens_per_minute,
            limit.dry_run,
            limit.inherit,
        )?;
        Ok(body.into())
    }

    /// Charges a key for a request for embeddings.
    pub async fn charge_embeddings(&self, key: &ApiKey, tokens: usize) -> Result<()> {
        let _: bool =
            call!(self, "SELECT vectorstore.api_charge_tokens($1, $2)", key.credential(), tokens as i64)?;
        Ok(())
    }

    /// Charges a key for texts that are embedded as a part of another request.
    pub async fn charge_tokens(&self, key: &ApiKey, tokens: usize) -> Result<()> {
        let _: bool = super::part!(
            self,
            "SELECT vectorstore.api_charge_tokens($1, $2)",
            key.credential(),
            tokens as i64,
        )?;
        Ok(())
    }

    /// Reports requests that the database has not seen.
    pub async fn note_requests(&self, notes: &[(Subject, Count)]) -> Result<i64> {
        let keys: Vec<Option<&[u8]>> =
            notes.iter().map(|((key, _, _), _)| key.as_ref().map(|key| &key[..])).collect();
        let stores: Vec<Option<&str>> = notes.iter().map(|((_, store, _), _)| store.as_deref()).collect();
        let operations: Vec<&str> = notes.iter().map(|((_, _, operation), _)| *operation).collect();
        let number = |of: fn(&Count) -> i64| notes.iter().map(|(_, count)| of(count)).collect::<Vec<_>>();
        call!(
            self,
            "SELECT vectorstore.api_note_requests($1, $2, $3, $4, $5, $6)",
            &keys,
            &stores,
            &operations,
            number(|count| count.calls),
            number(|count| count.errors),
            number(|count| count.microseconds),
        )
    }
}
