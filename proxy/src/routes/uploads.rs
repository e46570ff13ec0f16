//! `/uploads`: big files in parts.

use axum::extract::{Request, State};
use md5::{Digest, Md5};

use crate::auth::ApiKey;
use crate::config::{MAX_UPLOAD_BYTES, MAX_UPLOAD_PART_BYTES};
use crate::db::{NewFile, Raw};
use crate::error::{Error, Result};
use crate::extract::{JsonBody, MAX_ID_CHARS, UploadId};
use crate::fields::{Fields, missing};
use crate::model::{Upload, UploadComplete, UploadCreate, UploadPart, UploadPartData};
use crate::openapi::Failures;
use crate::state::AppState;
use crate::upload::{Content, PURPOSES, clean_filename, read_data};

const MAX_TEXT: usize = 255;
const MAX_PARTS: usize = 10_000;

/// Begin an upload in parts
#[utoipa::path(
    post, path = "/uploads", tag = "uploads", request_body = UploadCreate,
    responses((status = 200, description = "The upload", body = Upload), Failures)
)]
pub async fn create_upload(State(state): State<AppState>, key: ApiKey, body: JsonBody) -> Result<Raw> {
    let (new, mime_type, bytes) = body.read(read_upload)?;
    state.db().create_upload(&key, &new, mime_type, bytes).await
}

/// Add a part to an upload
#[utoipa::path(
    post, path = "/uploads/{upload_id}/parts", tag = "uploads",
    request_body(content = UploadPartData, content_type = "multipart/form-data"),
    params(("upload_id" = String, Path, description = "Id of the upload")),
    responses((status = 200, description = "The part", body = UploadPart), Failures)
)]
pub async fn add_upload_part(
    State(state): State<AppState>,
    key: ApiKey,
    upload: UploadId,
    request: Request,
) -> Result<Raw> {
    let (parts, body) = request.into_parts();
    let authorise = async || state.db().check_key(&key).await;
    match read_data(&parts.headers, body, MAX_UPLOAD_PART_BYTES, authorise).await? {
        Content::Small(bytes) => state.db().add_upload_part(&key, &upload.0, &bytes).await,
        Content::Spooled(file) => state.db().add_big_upload_part(&key, &upload.0, file).await,
    }
}

/// Make a file of an upload
#[utoipa::path(
    post, path = "/uploads/{upload_id}/complete", tag = "uploads", request_body = UploadComplete,
    params(("upload_id" = String, Path, description = "Id of the upload")),
    responses((status = 200, description = "The upload with its file", body = Upload), Failures)
)]
pub async fn complete_upload(
    State(state): State<AppState>,
    key: ApiKey,
    upload: UploadId,
    body: JsonBody,
) -> Result<Raw> {
    let (part_ids, md5) = body.read(|fields| {
        let part_ids = fields.strings("part_ids", 0, MAX_PARTS, MAX_ID_CHARS)?;
        Ok((part_ids.ok_or_else(|| missing("part_ids"))?, fields.string("md5", MAX_TEXT)?))
    })?;
    if let Some(md5) = md5 {
        check_md5(&state, &key, &upload.0, &part_ids, md5).await?;
    }
    state.db().complete_upload(&key, &upload.0, &part_ids).await
}

/// Give an upload up
#[utoipa::path(
    post, path = "/uploads/{upload_id}/cancel", tag = "uploads",
    params(("upload_id" = String, Path, description = "Id of the upload")),
    responses((status = 200, description = "The upload", body = Upload), Failures)
)]
pub async fn cancel_upload(State(state): State<AppState>, key: ApiKey, upload: UploadId) -> Result<Raw> {
    state.db().cancel_upload(&key, &upload.0).await
}

fn read_upload<'a>(fields: &Fields<'a>) -> Result<(NewFile, &'a str, i64)> {
    let filename = fields.required("filename", fields.string("filename", MAX_TEXT)?)?;
    crate::fields::not_empty("filename", filename)?;
    let new = NewFile {
        filename: clean_filename(filename),
        purpose: fields.required("purpose", fields.choice("purpose", &PURPOSES)?)?.to_owned(),
        expires_seconds: expires_after(fields)?,
    };
    let mime_type = fields.required("mime_type", fields.string("mime_type", MAX_TEXT)?)?;
    let bytes = fields.required("bytes", fields.integer("bytes", 0, MAX_UPLOAD_BYTES)?)?;
    Ok((new, mime_type, bytes))
}

fn expires_after(fields: &Fields<'_>) -> Result<Option<i32>> {
    let Some(policy) = fields.object("expires_after")? else { return Ok(None) };
    policy.required("anchor", policy.choice("anchor", &["created_at"])?)?;
    let seconds = policy.required("seconds", policy.integer("seconds", 3_600, 2_592_000)?)?;
    Ok(Some(seconds as i32))
}

/// Parts never change, so what is read here is what the file will be.
async fn check_md5(
    state: &AppState,
    key: &ApiKey,
    upload: &str,
    part_ids: &[&str],
    expected: &str,
) -> Result<()> {
    let mut hash = Md5::new();
    for part in state.db().read_upload(key, upload, part_ids).await? {
        for piece in 0..part.pieces {
            hash.update(state.db().read_upload_piece(key, &part.id, piece).await?);
        }
    }
    let found = data_encoding::HEXLOWER.encode(&hash.finalize());
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let message = format!("Invalid 'md5': the parts in this order have the MD5 {found}.");
    Err(Error::invalid("invalid_value", "md5", message))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(changes: Value) -> Result<(NewFile, i64), String> {
        let mut body =
            json!({"filename": "a.txt", "purpose": "assistants", "mime_type": "text/plain", "bytes": 3});
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let read = read_upload(&Fields::root(body.as_object().unwrap())).map(|(new, _, bytes)| (new, bytes));
        read.map_err(|error| error.body("r")["error"]["code"].as_str().unwrap().to_owned())
    }

    #[test]
    fn a_name_loses_its_folders_and_an_expiry_is_optional() {
        let (new, bytes) = read(json!({"filename": "../b/c.md", "expires_after": null})).unwrap();
        assert_eq!((new.filename.as_str(), new.expires_seconds, bytes), ("c.md", None, 3));
        let expiry = json!({"expires_after": {"anchor": "created_at", "seconds": 3600}});
        assert_eq!(read(expiry).unwrap().0.expires_seconds, Some(3600));
        assert_eq!(read(json!({"bytes": 8_589_934_592_i64})).unwrap().1, MAX_UPLOAD_BYTES);
    }

    #[test]
    fn all_four_fields_are_required_and_bounded() {
        for (changes, code) in [
            (json!({"filename": null}), "missing_required_parameter"),
            (json!({"purpose": null}), "missing_required_parameter"),
            (json!({"mime_type": null}), "missing_required_parameter"),
            (json!({"bytes": null}), "missing_required_parameter"),
            (json!({"filename": ""}), "empty_string"),
            (json!({"purpose": "party"}), "invalid_value"),
            (json!({"bytes": -1}), "integer_below_min_value"),
            (json!({"bytes": 8_589_934_593_i64}), "integer_above_max_value"),
            (json!({"bytes": 1.5}), "invalid_type"),
            (json!({"expires_after": {"anchor": "created_at"}}), "missing_required_parameter"),
            (json!({"expires_after": {"anchor": "created_at", "seconds": 3599}}), "integer_below_min_value"),
            (json!({"expires_after": {"anchor": "last_active_at", "seconds": 3600}}), "invalid_value"),
        ] {
            assert_eq!(read(changes.clone()).err().as_deref(), Some(code), "{changes}");
        }
    }
}
