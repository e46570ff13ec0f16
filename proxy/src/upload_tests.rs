use super::*;

const BOUNDARY: &str = "x-boundary";

fn part(disposition: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

async fn read_limited(parts: &[Vec<u8>], max: u64) -> Result<Upload> {
    let mut body = parts.concat();
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    // In pieces, as from a network.
    let pieces: Vec<_> =
        body.chunks(7_000).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}").parse().unwrap();
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type)]);
    Upload::read(&headers, Body::from_stream(futures_util::stream::iter(pieces)), max, async || Ok(())).await
}

async fn read(parts: &[Vec<u8>]) -> Result<Upload> {
    read_limited(parts, 16 * 1024 * 1024).await
}

fn error(result: Result<Upload>) -> (u16, String) {
    let error = result.err().expect("the upload must fail");
    let param = error.body("r")["error"]["param"].as_str().unwrap_or("null").to_owned();
    (error.status().as_u16(), param)
}

fn file(content: &[u8]) -> Vec<u8> {
    part("name=\"file\"; filename=\"a.txt\"", content)
}

fn field(name: &str, value: &str) -> Vec<u8> {
    part(&format!("name=\"{name}\""), value.as_bytes())
}

#[tokio::test]
async fn parts_come_in_any_order() {
    for parts in
        [[file(b"hello"), field("purpose", "assistants")], [field("purpose", "assistants"), file(b"hello")]]
    {
        let upload = read(&parts).await.unwrap();
        assert_eq!((upload.file.filename.as_str(), upload.file.purpose.as_str()), ("a.txt", "assistants"));
        assert!(matches!(upload.content, Content::Small(bytes) if bytes == b"hello"));
    }
}

#[tokio::test]
async fn a_big_file_goes_to_disk_byte_for_byte() {
    let bytes: Vec<u8> = (0..SMALL_FILE_BYTES + 3_000_001).map(|i| (i % 251) as u8).collect();
    let upload = read(&[file(&bytes), field("purpose", "user_data")]).await.unwrap();
    let Content::Spooled(mut spool) = upload.content else { panic!("expected a spooled file") };
    let mut found = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut spool, &mut found).await.unwrap();
    assert!(found == bytes);
}

#[tokio::test]
async fn the_limit_is_exact() {
    assert!(read_limited(&[field("purpose", "batch"), file(&[b'x'; 9_000])], 9_000).await.is_ok());
    assert_eq!(error(read_limited(&[field("purpose", "batch"), file(&[b'x'; 9_001])], 9_000).await).0, 413);
}

#[tokio::test]
async fn a_foreign_key_writes_nothing_to_disk() {
    let body = [file(&vec![0; SMALL_FILE_BYTES + 10_000]), field("purpose", "batch")].concat();
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}").parse().unwrap();
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type)]);
    let pieces: Vec<_> =
        body.chunks(9_000).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    let result = Upload::read(&headers, body, u64::MAX, async || Err(Error::invalid_api_key())).await;
    assert_eq!(error(result).0, 401);
}

#[tokio::test]
async fn required_parts_are_named() {
    assert_eq!(error(read(&[file(b"x")]).await), (400, "purpose".into()));
    assert_eq!(error(read(&[field("purpose", "assistants")]).await), (400, "file".into()));
    assert_eq!(error(read(&[field("purpose", "assistant"), file(b"x")]).await), (400, "purpose".into()));
    assert_eq!(error(read(&[]).await).0, 400);
}

#[tokio::test]
async fn expiry_needs_both_parts_in_range() {
    let with = async |anchor: Option<&str>, seconds: Option<&str>| {
        let mut parts = vec![field("purpose", "assistants"), file(b"x")];
        parts.extend(anchor.map(|anchor| field("expires_after[anchor]", anchor)));
        parts.extend(seconds.map(|seconds| field("expires_after[seconds]", seconds)));
        read(&parts).await
    };
    assert_eq!(with(Some("created_at"), Some("3600")).await.unwrap().file.expires_seconds, Some(3600));
    for (anchor, seconds) in [
        (Some("created_at"), None),
        (None, Some("3600")),
        (Some("other"), Some("3600")),
        (Some("created_at"), Some("3599")),
        (Some("created_at"), Some("2592001")),
        (Some("created_at"), Some("x")),
    ] {
        assert_eq!(error(with(anchor, seconds).await).0, 400, "{anchor:?} {seconds:?}");
    }
}

#[tokio::test]
async fn hostile_bodies_are_400() {
    let many: Vec<_> = (0..10_000).map(|i| field(&format!("f{i}"), "x")).collect();
    assert_eq!(error(read(&many).await).0, 400);
    assert_eq!(error(read(&[field("purpose", &"x".repeat(100_000))]).await).0, 400);
    assert_eq!(error(read(&[field(&"n".repeat(500_000), "x")]).await).0, 400);
    assert_eq!(error(read(&[file(b"x"), file(b"y"), field("purpose", "batch")]).await).0, 400);
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, "multipart/form-data".parse().unwrap())]);
    assert_eq!(error(Upload::read(&headers, Body::empty(), 9, async || Ok(())).await).0, 400);
}

#[test]
fn only_the_last_component_is_the_name() {
    for (given, name) in [
        ("a.txt", "a.txt"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\x y.md", "x y.md"),
        ("grüße.txt", "grüße.txt"),
        ("a\r\nb\0.txt", "ab.txt"),
        ("", "upload"),
        ("dir/", "upload"),
        ("..", "upload"),
    ] {
        assert_eq!(clean_filename(given), name, "{given:?}");
    }
}
