//! `vs_upsert` against a raw INSERT of the same rows into the same table.

use crate::database::{self, BATCH, Connection, Store};
use crate::report::{Bound, Row};
use crate::stats::Random;
use crate::{Error, Options};
use pgvector::Vector;
use serde_json::json;
use sqlx::{Postgres, QueryBuilder};
use std::time::Instant;

/// Share of the raw INSERT's rows a second.
const BOUND: f64 = 0.6;
const LANGUAGE_ENGLISH: i16 = 1;
const WAYS: [&str; 3] = ["vs_upsert", "INSERT ... SELECT FROM unnest", "INSERT ... VALUES"];

/// Rows of one call.
struct Batch {
    ids: Vec<String>,
    contents: Vec<String>,
    embeddings: Vec<Vector>,
    metadata: Vec<serde_json::Value>,
}

/// Fills three fresh stores with the same rows, in turns; each batch is one transaction.
pub async fn measure(connection: &mut Connection, source: &Store, options: &Options) -> Result<Row, Error> {
    let batches = read_batches(connection, source, options.ingest_rows).await?;
    let mut stores = Vec::new();
    for way in WAYS {
        stores.push(Store::create(connection, &format!("bench {way}")).await?);
    }
    let tenant: i64 = sqlx::query_scalar("SELECT tenant_id FROM vectorstore.stores WHERE store_id = $1")
        .bind(source.number)
        .fetch_one(&mut *connection)
        .await?;
    let mut seconds = [0.0; WAYS.len()];
    let mut turn = Random::new(options.seed, 3);
    for batch in &batches {
        for way in turn.order(WAYS.len()) {
            let begin = Instant::now();
            match way {
                0 => upsert(connection, &stores[way], batch).await?,
                1 => insert_from_arrays(connection, &stores[way], tenant, batch).await?,
                _ => insert_values(connection, &stores[way], tenant, batch).await?,
            }
            seconds[way] += begin.elapsed().as_secs_f64();
        }
    }
    let rows: usize = batches.iter().map(|batch| batch.ids.len()).sum();
    check(connection, &stores, rows).await?;

    let rates = seconds.map(|seconds| rows as f64 / seconds);
    let best = if rates[1] >= rates[2] { 1 } else { 2 };
    let all: serde_json::Map<_, _> =
        WAYS.iter().zip(rates).map(|(way, rate)| (way.to_string(), json!(rate))).collect();
    Ok(Row {
        name: format!("vs_upsert, {rows} rows"),
        unit: "rows/s",
        ours: rates[0],
        peer: Some(rates[best]),
        figure: rates[0] / rates[best],
        bound: Some(Bound::AtLeast(BOUND)),
        details: json!({ "peer": WAYS[best], "rows_per_second": all, "batch": BATCH }),
    })
}

/// Takes the rows, with their embeddings, from a store that is filled already.
async fn read_batches(connection: &mut Connection, source: &Store, rows: usize) -> Result<Vec<Batch>, Error> {
    let rows: Vec<(String, Vector)> = sqlx::query_as(
        "SELECT content, embedding FROM vectorstore.embeddings WHERE store_id = $1 ORDER BY chunk_id LIMIT $2",
    )
    .bind(source.number)
    .bind(rows as i64)
    .fetch_all(connection)
    .await?;
    let batch = |(number, rows): (usize, &[(String, Vector)])| Batch {
        ids: (0..rows.len()).map(|n| format!("row-{}", number * BATCH + n)).collect(),
        contents: rows.iter().map(|row| row.0.clone()).collect(),
        embeddings: rows.iter().map(|row| row.1.clone()).collect(),
        metadata: (0..rows.len()).map(|n| database::metadata(number * BATCH + n)).collect(),
    };
    Ok(rows.chunks(BATCH).enumerate().map(batch).collect())
}

async fn upsert(connection: &mut Connection, store: &Store, batch: &Batch) -> Result<(), Error> {
    sqlx::query("SELECT vs_upsert($1, $2, $3, $4, $5)")
        .bind(&store.id)
        .bind(&batch.contents)
        .bind(&batch.ids)
        .bind(&batch.embeddings)
        .bind(&batch.metadata)
        .execute(connection)
        .await?;
    Ok(())
}

async fn insert_from_arrays(
    connection: &mut Connection,
    store: &Store,
    tenant: i64,
    batch: &Batch,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO vectorstore.embeddings (store_id, tenant_id, language, id, content, embedding, metadata)
         SELECT $1, $2, $3, u.* FROM unnest($4::text[], $5::text[], $6::vector[], $7::jsonb[]) AS u",
    )
    .bind(store.number)
    .bind(tenant)
    .bind(LANGUAGE_ENGLISH)
    .bind(&batch.ids)
    .bind(&batch.contents)
    .bind(&batch.embeddings)
    .bind(&batch.metadata)
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_values(
    connection: &mut Connection,
    store: &Store,
    tenant: i64,
    batch: &Batch,
) -> Result<(), Error> {
    let mut insert = QueryBuilder::<Postgres>::new(
        "INSERT INTO vectorstore.embeddings (store_id, tenant_id, language, id, content, embedding, metadata) ",
    );
    insert.push_values(0..batch.ids.len(), |mut row, n| {
        row.push_bind(store.number)
            .push_bind(tenant)
            .push_bind(LANGUAGE_ENGLISH)
            .push_bind(&batch.ids[n])
            .push_bind(&batch.contents[n])
            .push_bind(&batch.embeddings[n])
            .push_bind(&batch.metadata[n]);
    });
    insert.build().execute(connection).await?;
    Ok(())
}

/// All stores must now hold the same, and count it the same.
async fn check(connection: &mut Connection, stores: &[Store], rows: usize) -> Result<(), Error> {
    let mut expected = None;
    for store in stores {
        let found: (i64, i64, i64, String) = sqlx::query_as(
            "SELECT c.chunks, c.tokens, c.usage_bytes,
                    md5(string_agg(e.id || e.content || e.embedding::text || e.metadata::text, ',' ORDER BY e.id))
             FROM vectorstore.store_counters c JOIN vectorstore.embeddings e USING (store_id)
             WHERE c.store_id = $1 GROUP BY c.store_id",
        )
        .bind(store.number)
        .fetch_one(&mut *connection)
        .await?;
        if found.0 != rows as i64 || expected.as_ref().is_some_and(|first| *first != found) {
            return Err(Error::Different(format!(
                "store {} holds {found:?}, expected {expected:?}",
                store.id
            )));
        }
        expected = Some(found);
    }
    Ok(())
}
