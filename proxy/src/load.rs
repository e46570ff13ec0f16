//! `load`: uploads the texts of a folder into a vector store, through the public HTTP API only.
//!
//! Running it again uploads what has changed: each file carries its relative path and the SHA-256 of its bytes as attributes.

mod client;

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::config::LoadArgs;
use client::Client;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// Longest string that an attribute may be.
const MAX_ATTRIBUTE: usize = 512;

/// A file of the store that an earlier run put there.
struct Known {
    id: String,
    sha256: String,
}

/// Runs the sub-command.
pub async fn run(args: LoadArgs) -> Result<()> {
    let files = text_files(&args.dir)?;
    if files.is_empty() {
        return Err(format!("{} has no .md or .txt file", args.dir.display()).into());
    }
    let client = Client::new(&args.base_url, &args.api_key)?;
    let store = find_or_create_store(&client, &args.store).await?;
    let mut known = known_files(&client, &store).await?;
    let progress = Progress::new(files.len());
    let (mut loaded, mut same, mut failed) = (0, 0, 0);
    for path in &files {
        let name = relative_name(&args.dir, path);
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let sha256 = HEXLOWER.encode(&Sha256::digest(&bytes));
        let earlier = known.remove(&name);
        if earlier.as_ref().is_some_and(|known| known.sha256 == sha256) {
            same += 1;
            progress.step(&format!("{name}: unchanged"));
            continue;
        }
        let attributes =
            json!({"path": name, "title": title(&String::from_utf8_lossy(&bytes), &name), "sha256": sha256});
        let problem = upload(&client, &store, path, bytes, &attributes).await?;
        match &problem {
            None => loaded += 1,
            Some(_) => failed += 1,
        }
        // Only now, so that a search finds the old text until it finds the new one.
        if let Some(earlier) = earlier {
            client.delete(&format!("/files/{}", earlier.id)).await?;
        }
        progress.step(&match problem {
            None => format!("{name}: loaded"),
            Some(problem) => format!("{name}: {problem}"),
        });
    }
    progress.finish();
    println!("store={store} loaded={loaded} unchanged={same} failed={failed}");
    if failed > 0 { Err(format!("{failed} of {} files failed", files.len()).into()) } else { Ok(()) }
}

/// Uploads and attaches one file; returns why it failed, if the server could not read it.
async fn upload(
    client: &Client,
    store: &str,
    path: &Path,
    bytes: Vec<u8>,
    attributes: &Value,
) -> Result<Option<String>> {
    let filename = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = client.upload(&filename, bytes).await?;
    let id = text(&file, "id")?;
    let body = json!({"file_id": id, "attributes": attributes});
    let mut attached = client.post(&format!("/vector_stores/{store}/files"), &body).await?;
    while attached["status"] == "in_progress" {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        attached = client.get(&format!("/vector_stores/{store}/files/{id}"), &[]).await?;
    }
    let message = attached["last_error"]["message"].as_str().unwrap_or("failed");
    Ok((attached["status"] != "completed").then(|| message.to_owned()))
}

async fn find_or_create_store(client: &Client, name: &str) -> Result<String> {
    for store in client.list("/vector_stores").await? {
        if store["name"] == name {
            return text(&store, "id");
        }
    }
    text(&client.post("/vector_stores", &json!({"name": name})).await?, "id")
}

/// Files that earlier runs have loaded, by relative path.
async fn known_files(client: &Client, store: &str) -> Result<HashMap<String, Known>> {
    let mut known = HashMap::new();
    for file in client.list(&format!("/vector_stores/{store}/files")).await? {
        let attribute = |name: &str| file["attributes"][name].as_str().map(str::to_owned);
        if let (Some(path), Some(sha256)) = (attribute("path"), attribute("sha256")) {
            // A failed one is loaded again.
            let sha256 = if file["status"] == "completed" { sha256 } else { String::new() };
            known.insert(path, Known { id: text(&file, "id")?, sha256 });
        }
    }
    Ok(known)
}

fn text(object: &Value, name: &str) -> Result<String> {
    object[name]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("the server's answer has no '{name}': {object}").into())
}

/// All .md and .txt files below a folder, sorted. Links are not followed, hidden entries are left out.
fn text_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, entry.path());
            let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            } else if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && (extension == "md" || extension == "txt") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The path below the folder, with slashes on every system.
fn relative_name(dir: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(dir).unwrap_or(path);
    let parts: Vec<_> = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    shorten(&parts.join("/"))
}

/// The first heading, or the name.
fn title(text: &str, name: &str) -> String {
    let heading = text.lines().map(str::trim).find_map(|line| {
        let rest = line.trim_start_matches('#');
        (rest.len() < line.len() && rest.starts_with(' '))
            .then(|| rest.trim())
            .filter(|rest| !rest.is_empty())
    });
    shorten(heading.unwrap_or(name))
}

fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_ATTRIBUTE).collect()
}

/// A bar on a terminal, a line a file otherwise.
struct Progress(ProgressBar);

impl Progress {
    fn new(total: usize) -> Self {
        let bar = ProgressBar::new(total as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {eta} {wide_msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    fn step(&self, message: &str) {
        self.0.inc(1);
        if self.0.is_hidden() {
            println!("{}/{} {message}", self.0.position(), self.0.length().unwrap_or_default());
        } else {
            self.0.set_message(message.to_owned());
        }
    }

    fn finish(&self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_title_is_the_first_heading() {
        assert_eq!(title("intro\n\n## Set up ##x\n# Other", "a.md"), "Set up ##x");
        assert_eq!(title("#hashtag\n#\n# Real", "a.md"), "Real");
        assert_eq!(title("no heading", "sub/a.txt"), "sub/a.txt");
        assert_eq!(title(&format!("# {}", "é".repeat(600)), "a").chars().count(), 512);
    }

    #[test]
    fn only_visible_texts_are_found() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("b/.git")).unwrap();
        for name in ["z.md", "b/a.TXT", "b/.git/x.md", ".hidden.md", "c.html"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let names: Vec<_> =
            text_files(dir.path()).unwrap().iter().map(|path| relative_name(dir.path(), path)).collect();
        assert_eq!(names, ["b/a.TXT", "z.md"]);
        assert!(text_files(&dir.path().join("absent")).is_err());
    }
}
