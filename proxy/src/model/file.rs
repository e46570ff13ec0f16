//! Files.

use utoipa::ToSchema;

/// An upload, as multipart form data.
#[derive(ToSchema)]
pub struct FileUpload {
    /// The file; its name decides how its text is found.
    #[schema(value_type = String, format = Binary)]
    pub file: Vec<u8>,
    /// What it is for.
    #[schema(pattern = "^(assistants|batch|fine-tune|vision|user_data|evals)$", example = "assistants")]
    pub purpose: String,
    /// Always `created_at`.
    #[schema(
        rename = "expires_after[anchor]",
        nullable = false,
        pattern = "^created_at$",
        example = "created_at"
    )]
    pub anchor: Option<String>,
    /// Seconds after which the file is deleted.
    #[schema(rename = "expires_after[seconds]", nullable = false, minimum = 3600, maximum = 2592000)]
    pub seconds: Option<i32>,
}

/// An uploaded file.
#[derive(ToSchema)]
pub struct File {
    /// Begins with `file-`.
    pub id: String,
    /// `file`
    #[schema(pattern = "^file$", example = "file")]
    pub object: String,
    /// Its size.
    pub bytes: i64,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub expires_at: Option<i64>,
    /// Its name, without folders.
    pub filename: String,
    /// What it is for.
    pub purpose: String,
    /// `processed`
    pub status: String,
    /// Always null.
    pub status_details: Option<String>,
}

/// A page of files.
#[derive(ToSchema)]
pub struct FileList {
    /// `list`
    #[schema(pattern = "^list$", example = "list")]
    pub object: String,
    /// The page.
    pub data: Vec<File>,
    /// Id of the first file.
    #[schema(required = true)]
    pub first_id: Option<String>,
    /// Id of the last file.
    #[schema(required = true)]
    pub last_id: Option<String>,
    /// Whether more files follow.
    pub has_more: bool,
}
