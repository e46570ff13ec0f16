//! The database: connections, stores, and everything about a query that a peer may have ready.

use crate::Error;
use pgvector::Vector;
use sqlx::{Connection as _, PgConnection};

/// One session. Statements are prepared once and cached by it.
pub type Connection = PgConnection;

/// Rows that one call of ingest carries.
pub const BATCH: usize = 500;

/// Opens a session.
pub async fn connect(url: &str) -> Result<Connection, Error> {
    Ok(PgConnection::connect(url).await?)
}

/// A store.
pub struct Store {
    /// Public id.
    pub id: String,
    /// Key of its rows.
    pub number: i64,
}

impl Store {
    /// Creates an empty store.
    pub async fn create(connection: &mut Connection, name: &str) -> Result<Self, Error> {
        let id: String = sqlx::query_scalar("SELECT vs_create_store($1)")
            .bind(name)
            .fetch_one(&mut *connection)
            .await
            .map_err(|error| match error.as_database_error().and_then(|e| e.code()) {
                Some(code) if code == "23505" => {
                    Error::Setup(format!("the database already has a store '{name}'; give a fresh one"))
                }
                _ => error.into(),
            })?;
        let number = sqlx::query_scalar("SELECT store_id FROM vectorstore.stores WHERE id = $1")
            .bind(&id)
            .fetch_one(connection)
            .await?;
        Ok(Self { id, number })
    }

    /// Stores passages, embedded by the local model.
    pub async fn fill(&self, connection: &mut Connection, passages: &[String]) -> Result<(), Error> {
        for (batch, contents) in passages.chunks(BATCH).enumerate() {
            let metadata: Vec<_> = (0..contents.len()).map(|n| metadata(batch * BATCH + n)).collect();
            sqlx::query("SELECT vs_upsert($1, $2::text[], metadatas => $3)")
                .bind(&self.id)
                .bind(contents)
                .bind(metadata)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

/// Metadata as documents have them: a few short keys.
pub fn metadata(row: usize) -> serde_json::Value {
    serde_json::json!({ "source": format!("source {}", row % 7), "year": 1990 + row % 30, "page": row % 400 })
}

/// Brings the tables into the state that autovacuum would leave: statistics, visibility map, an index without
/// pending entries.
pub async fn settle(connection: &mut Connection) -> Result<(), Error> {
    sqlx::query("VACUUM (ANALYZE) vectorstore.embeddings, vectorstore.stores, vectorstore.store_counters")
        .execute(&mut *connection)
        .await?;
    sqlx::query("CHECKPOINT").execute(connection).await?;
    Ok(())
}

/// A query with all that its peers need.
pub struct Query {
    /// The words as a user types them.
    pub text: String,
    /// Their embedding by the local model.
    pub embedding: Vector,
    /// Its lexemes.
    pub words: Vec<String>,
    /// How often the query repeats each.
    pub weights: Vec<f64>,
    /// A tsquery that any lexeme satisfies, as text.
    pub any: String,
}

/// Prepares queries; what has neither tokens nor lexemes could not be asked.
pub async fn prepare_queries(connection: &mut Connection, texts: &[String]) -> Result<Vec<Query>, Error> {
    let mut queries = Vec::with_capacity(texts.len());
    for text in texts {
        let (embedding, words, weights, any): (Vector, Vec<String>, Vec<f64>, String) = sqlx::query_as(
            "SELECT vs_embed($1), array_agg(u.lexeme), array_agg(cardinality(u.positions)::float8),
                        string_agg(quote_literal(u.lexeme), ' | ')
                 FROM to_tsvector('english', $1) AS t(tsv), unnest(t.tsv) AS u GROUP BY t.tsv",
        )
        .bind(text)
        .fetch_optional(&mut *connection)
        .await?
        .ok_or_else(|| Error::Setup(format!("the query '{text}' has no words")))?;
        queries.push(Query { text: text.clone(), embedding, words, weights, any });
    }
    Ok(queries)
}
