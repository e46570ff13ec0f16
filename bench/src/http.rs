//! Search over HTTP against the same search over one database connection.

use crate::database::{Connection, Store};
use crate::report::{Bound, Row};
use crate::timing::{self, Answer, Contestants};
use crate::{Error, Options};
use serde_json::json;

/// Milliseconds that HTTP may add to the median.
const BOUND: f64 = 1.0;
/// Small stores answer in a moment: more rounds make the median steady.
const ROUNDS: usize = 3;

/// A client with one connection that is kept open.
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Client {
    /// A client for the API below `base`.
    pub fn new(base: &str, key: &str) -> Result<Self, Error> {
        // Fails only when a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http =
            reqwest::Client::builder().no_proxy().pool_max_idle_per_host(1).tcp_nodelay(true).build()?;
        Ok(Self { http, base: base.trim_end_matches('/').into(), key: key.into() })
    }

    async fn search(&self, store: &Store, query: &str) -> Result<Vec<u8>, Error> {
        let url = format!("{}/vector_stores/{}/search", self.base, store.id);
        let request = self.http.post(url).bearer_auth(&self.key).json(&json!({ "query": query }));
        Ok(request.send().await?.error_for_status()?.bytes().await?.into())
    }
}

struct Field<'a> {
    connection: &'a mut Connection,
    client: &'a Client,
    store: &'a Store,
    queries: &'a [String],
}

impl Field<'_> {
    async fn by_sql(&mut self, query: &str) -> Result<Vec<(String, f64)>, Error> {
        let sql = "SELECT content, score FROM vs_search($1, $2)";
        Ok(sqlx::query_as(sql).bind(&self.store.id).bind(query).fetch_all(&mut *self.connection).await?)
    }

    /// Both ways must give the same texts with the same scores.
    async fn check(&mut self) -> Result<(), Error> {
        for query in self.queries {
            let body: serde_json::Value =
                serde_json::from_slice(&self.client.search(self.store, query).await?)?;
            let by_http: Option<Vec<(String, f64)>> = body["data"].as_array().and_then(|data| {
                let hit = |hit: &serde_json::Value| {
                    Some((hit["content"][0]["text"].as_str()?.to_owned(), hit["score"].as_f64()?))
                };
                data.iter().map(hit).collect()
            });
            let by_sql = self.by_sql(query).await?;
            let equal = by_http.as_ref().is_some_and(|by_http| {
                by_http.len() == by_sql.len()
                    && by_http.iter().zip(&by_sql).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() <= 1e-6)
            });
            if !equal {
                return Err(Error::Different(format!("HTTP and SQL for '{query}'")));
            }
        }
        Ok(())
    }
}

impl Contestants for Field<'_> {
    fn count(&self) -> usize {
        2
    }

    fn answer(&mut self, contestant: usize, query: usize) -> Answer<'_> {
        let queries = self.queries;
        Box::pin(async move {
            match contestant {
                0 => self.client.search(self.store, &queries[query]).await.map(drop),
                _ => self.by_sql(&queries[query]).await.map(drop),
            }
        })
    }
}

/// Measures one store; the bound is for the difference of the medians.
pub async fn measure(
    connection: &mut Connection,
    client: &Client,
    store: &Store,
    queries: &[String],
    name: String,
    options: &Options,
) -> Result<Row, Error> {
    let mut field = Field { connection, client, store, queries };
    field.check().await?;
    let times = timing::alternate(&mut field, queries.len(), ROUNDS * options.rounds, options.seed).await?;
    let (http, sql) = (times[0], times[1]);
    Ok(Row {
        name,
        unit: "ms",
        ours: http.median,
        peer: Some(sql.median),
        figure: http.median - sql.median,
        bound: Some(Bound::AtMost(BOUND)),
        details: json!({ "http": { "p99": http.p99, "spread": http.spread }, "sql": { "p99": sql.p99, "spread": sql.spread } }),
    })
}
