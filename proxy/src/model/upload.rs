//! Uploads in parts.

use utoipa::ToSchema;

use super::File;

/// Begins an upload in parts.
#[derive(ToSchema)]
pub struct UploadCreate {
    /// Name of the file.
    #[schema(min_length = 1, max_length = 255)]
    pub filename: String,
    /// What it is for.
    #[schema(pattern = "^(assistants|batch|fine-tune|vision|user_data|evals)$", example = "assistants")]
    pub purpose: String,
    /// Size of the file: what its parts together must have.
    #[schema(minimum = 0, maximum = 8589934592_i64)]
    pub bytes: i64,
    /// Its MIME type.
    #[schema(max_length = 255, example = "text/plain")]
    pub mime_type: String,
    /// When the file is deleted.
    pub expires_after: Option<FileExpiry>,
}

/// When a file is deleted.
#[derive(ToSchema)]
pub struct FileExpiry {
    /// Always `created_at`.
    #[schema(pattern = "^created_at$", example = "created_at")]
    pub anchor: String,
    /// Seconds from then on.
    #[schema(minimum = 3600, maximum = 2592000)]
    pub seconds: i32,
}

/// Bytes of a part, as multipart form data.
#[derive(ToSchema)]
pub struct UploadPartData {
    /// At most 64 MiB.
    #[schema(value_type = String, format = Binary)]
    pub data: Vec<u8>,
}

/// Makes a file of an upload.
#[derive(ToSchema)]
pub struct UploadComplete {
    /// The parts in the order of the file.
    #[schema(max_items = 10000)]
    pub part_ids: Vec<String>,
    /// MD5 of the file in hexadecimal, to be checked.
    pub md5: Option<String>,
}

/// An upload in parts.
#[derive(ToSchema)]
pub struct Upload {
    /// Begins with `upload_`.
    pub id: String,
    /// `upload`
    #[schema(pattern = "^upload$", example = "upload")]
    pub object: String,
    /// Size of the file.
    pub bytes: i64,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds: a pending upload ends then.
    pub expires_at: i64,
    /// Name of the file.
    pub filename: String,
    /// What it is for.
    pub purpose: String,
    /// `pending`, `completed`, `cancelled` or `expired`
    #[schema(pattern = "^(pending|completed|cancelled|expired)$", example = "pending")]
    pub status: String,
    /// The file that a completed upload has become.
    pub file: Option<File>,
}

/// A part of an upload.
#[derive(ToSchema)]
pub struct UploadPart {
    /// Begins with `part_`.
    pub id: String,
    /// `upload.part`
    #[schema(pattern = "^upload\\.part$", example = "upload.part")]
    pub object: String,
    /// Unix seconds.
    pub created_at: i64,
    /// Id of the upload.
    pub upload_id: String,
}
