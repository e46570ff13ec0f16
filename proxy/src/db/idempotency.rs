//! Functions on requests with an `Idempotency-Key`.

use sqlx::Row;

use super::{Db, call};
use crate::account::note;
use crate::deadline::bound;
use crate::error::Result;
use crate::idempotency::{Claim, Known, LEASE};

impl Db {
    /// Begins a request, or says what became of it.
    pub async fn claim_request(&self, claim: &Claim) -> Result<Known> {
        let query = sqlx::query("SELECT c.*, vectorstore.api_rate_state() AS rate FROM vectorstore.api_claim_request($1, $2, $3, $4, $5) c")
            .bind(claim.key.credential())
            .bind(&claim.name)
            .bind(claim.digest().map(Vec::from))
            .bind(&claim.lease[..])
            .bind(LEASE.as_secs() as i32);
        let done = async {
            let mut lease = self.pool.acquire().await?;
            let result = async { query.fetch_one(lease.start().await?).await }.await;
            lease.finish(result)
        };
        let row = bound(done).await??;
        let known = Known {
            state: row.try_get("state")?,
            digest: row.try_get("digest")?,
            status: row.try_get("status")?,
            content_type: row.try_get("content_type")?,
            body: row.try_get("body")?,
        };
        // It counts as a request where it is answered.
        Ok(note("", row.try_get("rate").map(|rate| (known, rate)))?)
    }

    /// Says that a request still runs.
    pub async fn renew_request(&self, claim: &Claim) -> Result<bool> {
        call!(
            self,
            "SELECT vectorstore.api_renew_request($1, $2, $3, $4)",
            claim.key.credential(),
            &claim.name,
            &claim.lease[..],
            LEASE.as_secs() as i32,
        )
    }

    /// Ends a request and keeps its answer; false when another process has taken over.
    pub async fn finish_request(
        &self,
        claim: &Claim,
        status: u16,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<bool> {
        call!(
            self,
            "SELECT vectorstore.api_settle_request($1, $2, $3, $4, $5, $6, $7, true)",
            claim.key.credential(),
            &claim.name,
            &claim.lease[..],
            claim.digest().map(Vec::from),
            i32::from(status),
            content_type,
            body,
        )
    }

    /// Ends a request without an answer worth keeping.
    pub async fn release_request(&self, claim: &Claim) -> Result<()> {
        let query = sqlx::query("SELECT vectorstore.api_release_request($1, $2, $3)")
            .bind(claim.key.credential())
            .bind(&claim.name)
            .bind(&claim.lease[..]);
        let mut lease = self.pool.acquire().await?;
        let result = async { query.execute(lease.start().await?).await }.await;
        lease.finish(result)?;
        Ok(())
    }
}
