//! Functions on vector stores, their files, their rows, and search.

use pgvector::Vector;
use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;

use super::files::Body;
use super::{Attachment, Db, Raw, call, effect, part, read};
use crate::auth::ApiKey;
use crate::error::Result;
use crate::extract::{Page, StoreId};

/// Arguments of a vector store's creation; `None` takes the database's default.
#[derive(Default)]
pub struct NewStore<'a> {
    /// Its name.
    pub name: Option<&'a str>,
    /// What it is for.
    pub description: Option<&'a str>,
    /// Checked metadata.
    pub metadata: Option<&'a Value>,
    /// Days without use after which it expires.
    pub expires_days: Option<i32>,
    /// Embedding model.
    pub embedding_model: Option<&'a str>,
    /// Dimensions of its vectors.
    pub dimensions: Option<i32>,
    /// Its first files.
    pub files: Vec<Attachment<'a>>,
    /// The embedding models that this process has.
    pub models: &'a [&'a str],
}

/// A search. Texts and vectors go together by place; the last `options.negatives` of them say what is not wanted.
/// Without any, the chunks of the store are listed.
pub struct Search<'a> {
    /// The texts, as far as there are any.
    pub texts: Vec<Option<&'a str>>,
    /// The vectors, instead of the texts' own ones.
    pub vectors: Vec<Option<Vector>>,
    /// Everything else that decides what is found.
    pub options: SearchOptions<'a>,
    /// Token of the page, as the answer before gave it.
    pub page: Option<&'a str>,
    /// Attributes whose values are counted.
    pub facets: Option<Vec<&'a str>>,
}

/// Checked options of a search, under the names that the database knows; what is absent takes the database's default.
#[derive(Default, Serialize)]
pub struct SearchOptions<'a> {
    /// Number of results.
    pub k: i64,
    /// `vector_only`, `keyword_only` or `hybrid`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<&'a str>,
    /// Weight of the vector score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector_weight: Option<f64>,
    /// Weight of the keyword score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyword_weight: Option<f64>,
    /// How both become one score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fusion: Option<&'a str>,
    /// Constant of reciprocal rank fusion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rrf_k: Option<f64>,
    /// How the scores under several queries become one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub combine: Option<&'a str>,
    /// How many of the queries are negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negatives: Option<usize>,
    /// Share of its score that a negative query takes away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negative_weight: Option<f64>,
    /// Filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<&'a Value>,
    /// Least score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_threshold: Option<f64>,
    /// Least score of the vector leg.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector_threshold: Option<f64>,
    /// Least score of the keyword leg.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyword_threshold: Option<f64>,
    /// First time of creation, in microseconds since 2000-01-01 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_from: Option<i64>,
    /// Time of creation before which results must lie, in the same unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_to: Option<i64>,
    /// Attribute whose values have few results each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_by: Option<&'a str>,
    /// How many those are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_size: Option<i64>,
    /// Whether results say why they stand where they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<bool>,
}

impl Db {
    /// Creates a vector store.
    pub async fn create_store(&self, key: &ApiKey, new: &NewStore<'_>) -> Result<Raw> {
        let body: Body = effect!(
            self,
            "SELECT vectorstore.api_create_vector_store($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            key.credential(),
            new.name,
            new.description,
            new.metadata.map(Json),
            new.expires_days,
            new.embedding_model,
            new.dimensions,
            (!new.files.is_empty()).then_some(Json(&new.files)),
            new.models,
        )?;
        Ok(body.into())
    }

    /// Lists vector stores.
    pub async fn list_stores(&self, key: &ApiKey, page: &Page) -> Result<Raw> {
        let body: Body = read!(
            self,
            "SELECT vectorstore.api_list_vector_stores($1, $2, $3, $4, $5)",
            key.credential(),
            page.limit,
            &page.order,
            page.after.as_deref(),
            page.before.as_deref(),
        )?;
        Ok(body.into())
    }

    /// Fails unless the key is valid: before a body is read whose bytes another statement charges for.
    pub async fn check_key(&self, key: &ApiKey) -> Result<()> {
        let _: bool = read!(self, "SELECT vectorstore.api_check_key($1)", key.credential())?;
        Ok(())
    }

    /// Fails unless the key is valid and may ask for the list of models.
    pub async fn list_models(&self, key: &ApiKey) -> Result<()> {
        let _: bool = read!(self, "SELECT vectorstore.api_list_models($1)", key.credential())?;
        Ok(())
    }

    /// Fails unless the key is valid and may ask for a model.
    pub async fn retrieve_model(&self, key: &ApiKey) -> Result<()> {
        let _: bool = read!(self, "SELECT vectorstore.api_retrieve_model($1)", key.credential())?;
        Ok(())
    }

    /// One vector store.
    pub async fn get_store(&self, store: &StoreId, key: &ApiKey) -> Result<Raw> {
        let body: Body = read!(
            self,
            "SELECT vectorstore.api_get_vector_store($1, $2, $3)",
            store.number,
            &store.text,
            key.credential(),
        )?;
        Ok(body.into())
    }

    /// The same as a part of another request.
    pub async fn look_at_store(&self, store: &StoreId, key: &ApiKey) -> Result<Raw> {
        let body: Body = part!(
            self,
            "SELECT vectorstore.api_get_vector_store($1, $2, $3)",
            store.number,
            &store.text,
            key.credential(),
        )?;
        Ok(body.into())
    }

    /// Changes the fields that are present.
    pub async fn update_store(&self, store: &StoreId, key: &ApiKey, changes: &Value) -> Result<Raw> {
        let body: Body = call!(
            self,
            "SELECT vectorstore.api_update_vector_store($1, $2, $3, $4)",
            store.number,
            &store.text,
            key.credential(),
            Json(changes),
        )?;
        Ok(body.into())
    }

    /// Deletes a vector store with everything in it.
    pub async fn delete_store(&self, store: &StoreId, key: &ApiKey) -> Result<Raw> {
        self.delete_store_in_mode(store, key, "cascade").await
    }

    /// Deletes a vector store; in the mode `restrict` only an empty one, in the mode `soft` so that it can be restored.
    pub async fn delete_store_in_mode(&self, store: &StoreId, key: &ApiKey, mode: &str) -> Result<Raw> {
        let body: Body = call!(
            self,
            "SELECT vectorstore.api_delete_vector_store($1, $2, $3, $4)",
            store.number,
            &store.text,
            key.credential(),
            mode,
        )?;
        Ok(body.into())
    }

    /// Brings a vector store back.
    pub async fn restore_store(&self, store: &StoreId, key: &ApiKey) -> Result<Raw> {
        let body: Body = effect!(
            self,
            "SELECT vectorstore.api_restore_vector_store($1, $2, $3)",
            store.number,
            &store.text,
            key.credential(),
        )?;
        Ok(body.into())
    }

    /// Searches a vector store.
    pub async fn search(&self, store: &StoreId, key: &ApiKey, search: &Search<'_>) -> Result<Raw> {
        let body: Body = read!(
            self,
            "SELECT vectorstore.api_search($1, $2, $3, $4, $5, $6, $7, $8)",
            store.number,
            &store.text,
            key.credential(),
            &search.texts,
            &search.vectors,
            Json(&search.options),
            search.page,
            search.facets.as_ref(),
        )?;
        Ok(body.into())
    }

    /// Lists the files of a store.
    pub async fn list_store_files(&self, store: &StoreId, key: &ApiKey, page: &Page) -> Result<Raw> {
        let body: Body = read!(
            self,
            "SELECT vectorstore.api_list_store_files($1, $2, $3, $4, $5, $6, $7, $8)",
            store.number,
            &store.text,
            key.credential(),
            page.limit,
            &page.order,
            page.after.as_deref(),
            page.before.as_deref(),
            page.filter.as_deref(),
        )?;
        Ok(body.into())
    }

    /// One file of a store.
    pub async fn get_store_file(&self, store: &StoreId, key: &ApiKey, file: &str) -> Result<Raw> {
        let body: Body = read!(
            self,
            "SELECT vectorstore.api_get_store_file($1, $2, $3, $4)",
            store.number,
            &store.text,
            key.credential(),
            file,
        )?;
        Ok(body.into())
    }

    /// The same as a part of another request.
    pub async fn look_at_store_file(&self, store: &StoreId, key: &ApiKey, file: &str) -> Result<Raw> {
        let body: Body = part!(
            self,
            "SELECT vectorstore.api_get_store_file($1, $2, $3, $4)",
            store.number,
            &store.text,
            key.credential(),
            file,
        )?;
        Ok(body.into())
    }

    /// Replaces the attributes of a file.
    pub async fn update_store_file(
        &self,
        store: &StoreId,
        key: &ApiKey,
        file: &str,
        attributes: &Value,
    ) -> Result<Raw> {
        let body: Body = call!(
            self,
            "SELECT vectorstore.api_update_store_file($1, $2, $3, $4, $5)",
            store.number,
            &store.text,
            key.credential(),
            file,
            Json(attributes),
        )?;
        Ok(body.into())
    }

    /// Takes a file out of a store.
    pub async fn delete_store_file(&self, store: &StoreId, key: &ApiKey, file: &str) -> Result<Raw> {
        let body: Body = call!(
            self,
            "SELECT vectorstore.api_delete_store_file($1, $2, $3, $4)",
            store.number,
            &store.text,
            key.credential(),
            file,
        )?;
        Ok(body.into())
    }

    /// The parsed text of a file.
    pub async fn store_file_content(&self, store: &StoreId, key: &ApiKey, file: &str) -> Result<Raw> {
        let body: Body = read!(
            self,
            "SELECT vectorstore.api_store_file_content($1, $2, $3, $4)",
            store.number,
            &store.text,
            key.credential(),
            file,
        )?;
        Ok(body.into())
    }
}
