//! Search over HTTP against the same search over one database connection.

use crate::database::{self, Connection, Store};
use crate::report::{Bound, Row};
use crate::stats::Summary;
use crate::timing::{self, Answer, Contestants, Times};
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
    /// A second session that does the same: what it differs by is what this run cannot tell apart.
    control: Connection,
    client: &'a Client,
    store: &'a Store,
    queries: &'a [String],
}

impl Field<'_> {
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
            let by_sql = by_sql(self.connection, self.store, query).await?;
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

async fn by_sql(
    connection: &mut Connection,
    store: &Store,
    query: &str,
) -> Result<Vec<(String, f64)>, Error> {
    let sql = "SELECT content, score FROM vs_search($1, $2)";
    Ok(sqlx::query_as(sql).bind(&store.id).bind(query).fetch_all(connection).await?)
}

/// What one contestant adds to another, query by query.
fn added(slower: &Times, faster: &Times) -> Result<Summary, Error> {
    let differences: Vec<f64> = slower.by_query.iter().zip(&faster.by_query).map(|(a, b)| a - b).collect();
    Summary::of(&differences).ok_or_else(|| Error::Setup("there was nothing to measure".into()))
}

impl Contestants for Field<'_> {
    fn count(&self) -> usize {
        3
    }

    fn answer(&mut self, contestant: usize, query: usize) -> Answer<'_> {
        let queries = self.queries;
        Box::pin(async move {
            match contestant {
                0 => self.client.search(self.store, &queries[query]).await.map(drop),
                1 => by_sql(self.connection, self.store, &queries[query]).await.map(drop),
                _ => by_sql(&mut self.control, self.store, &queries[query]).await.map(drop),
            }
        })
    }
}

/// Measures one store. The bound is for what HTTP adds to a query, the median over the queries: they differ far
/// more among each other than HTTP adds, so the difference of both medians (in the details) would mostly say which
/// side met the busier moments.
pub async fn measure(
    connection: &mut Connection,
    client: &Client,
    store: &Store,
    queries: &[String],
    name: String,
    options: &Options,
) -> Result<Row, Error> {
    let control = database::connect(&options.database_url).await?;
    let mut field = Field { connection, control, client, store, queries };
    field.check().await?;
    let times = timing::alternate(&mut field, queries.len(), ROUNDS * options.rounds, options.seed).await?;
    let (by_http, noise) = (added(&times[0], &times[1])?, added(&times[2], &times[1])?);
    let (http, sql) = (times[0].all, times[1].all);
    Ok(Row {
        name,
        unit: "ms",
        ours: http.median,
        peer: Some(sql.median),
        figure: by_http.median,
        bound: Some(Bound::AtMost(BOUND)),
        details: json!({
            "difference_of_medians": http.median - sql.median,
            "added": { "median": by_http.median, "p99": by_http.p99 },
            "added_by_a_second_session_without_http": { "median": noise.median, "p99": noise.p99 },
            "http": { "p99": http.p99, "spread": http.spread }, "sql": { "p99": sql.p99, "spread": sql.spread },
        }),
    })
}
