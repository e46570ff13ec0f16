//! Who calls: the API key as an extractor. A handler that names [`ApiKey`] needs one; there is no other way in.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, header};
use sha2::{Digest, Sha256};
use vectorstore_core::id::base32;

use crate::client::Client;
use crate::error::{Error, Result};

const PREFIX: &str = "vs_live_";
const ID_CHARS: usize = 16;
const SECRET_CHARS: usize = 52;
const HASH_BYTES: usize = 32;

/// What the database knows a caller by: the SHA-256 of the API key, and the address that it is used from. The key itself
/// goes no further than this module.
#[derive(Clone, Copy)]
pub struct ApiKey {
    bytes: [u8; HASH_BYTES + 16],
    length: usize,
}

impl ApiKey {
    /// The SHA-256, followed by the 4 or 16 bytes of the client's address when that is known.
    pub fn credential(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn new(key: &str, client: Option<IpAddr>) -> Self {
        let mut credential = Self { bytes: [0; HASH_BYTES + 16], length: 0 };
        credential.append(&Sha256::digest(key.as_bytes()));
        match client {
            Some(IpAddr::V4(address)) => credential.append(&address.octets()),
            Some(IpAddr::V6(address)) => credential.append(&address.octets()),
            None => {}
        }
        credential
    }

    fn append(&mut self, part: &[u8]) {
        let end = self.length + part.len();
        self.bytes[self.length..end].copy_from_slice(part);
        self.length = end;
    }
}

impl<S: Sync> FromRequestParts<S> for ApiKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        read(&parts.headers, &parts.extensions)
    }
}

/// The key of the request, and where it comes from.
pub fn read(headers: &HeaderMap, extensions: &Extensions) -> Result<ApiKey> {
    let client = extensions.get::<Client>().map(|client| client.0);
    read_key(headers).map(|key| ApiKey::new(key, client))
}

/// The key of the request. Only its form is checked, which is public; whether it exists the database says, by its hash.
fn read_key(headers: &HeaderMap) -> Result<&str> {
    let header = headers.get(header::AUTHORIZATION).ok_or_else(Error::missing_api_key)?;
    let text = header.to_str().map_err(|_| Error::invalid_api_key())?;
    let (scheme, key) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") || key.trim().is_empty() {
        return Err(Error::missing_api_key());
    }
    let key = key.trim();
    if has_form(key) { Ok(key) } else { Err(Error::invalid_api_key()) }
}

fn has_form(key: &str) -> bool {
    let is_base32 = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
    };
    key.strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('_'))
        .is_some_and(|(id, secret)| is_base32(id, ID_CHARS) && is_base32(secret, SECRET_CHARS))
}

/// The public part of the request's key, for the log. `None` when it has not the form of our keys: then it may be a secret of another service.
pub fn key_id(headers: &HeaderMap) -> Option<&str> {
    read_key(headers).ok().map(|key| &key[PREFIX.len()..PREFIX.len() + ID_CHARS])
}

/// A key that nobody has yet.
pub struct NewKey {
    /// The key itself, to be shown once.
    pub text: String,
    /// What the database stores.
    pub hash: [u8; HASH_BYTES],
}

/// Makes a key.
pub fn new_key() -> Result<NewKey, getrandom::Error> {
    let (mut id, mut secret) = ([0; 10], [0; 32]);
    getrandom::fill(&mut id)?;
    getrandom::fill(&mut secret)?;
    let text = format!("{PREFIX}{}_{}", base32(&id), base32(&secret));
    let hash = Sha256::digest(text.as_bytes()).into();
    Ok(NewKey { text, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    fn code(result: Result<&str>) -> serde_json::Value {
        let error = result.unwrap_err();
        assert_eq!(error.status(), 401);
        error.body("r")["error"]["code"].clone()
    }

    #[test]
    fn a_new_key_has_the_form_and_the_hash() {
        let NewKey { text: key, hash } = new_key().unwrap();
        assert!(has_form(&key), "{key}");
        assert_eq!(hash, *Sha256::digest(key.as_bytes()));
        assert_ne!(new_key().unwrap().text, key);
        let sent = headers(&format!("Bearer {key}"));
        assert_eq!(read_key(&sent).unwrap(), key);
        assert_eq!(key_id(&sent), Some(&key[8..24]));
    }

    #[test]
    fn a_credential_ends_with_the_address() {
        let key = new_key().unwrap();
        let sent = headers(&format!("Bearer {}", key.text));
        for (client, tail) in [
            (None, vec![]),
            (Some("192.0.2.7"), vec![192, 0, 2, 7]),
            (Some("::1"), [vec![0; 15], vec![1]].concat()),
        ] {
            let mut extensions = Extensions::new();
            if let Some(client) = client {
                extensions.insert(Client(client.parse().unwrap()));
            }
            let expected = [key.hash.to_vec(), tail].concat();
            assert_eq!(read(&sent, &extensions).unwrap().credential(), expected);
        }
    }

    #[test]
    fn the_scheme_is_case_insensitive() {
        let key = new_key().unwrap().text;
        assert_eq!(read_key(&headers(&format!("bearer  {key} "))).unwrap(), key);
    }

    #[test]
    fn no_key_and_a_wrong_key_differ() {
        assert_eq!(code(read_key(&HeaderMap::new())), serde_json::Value::Null);
        for value in ["Bearer", "Bearer ", "Basic dXNlcg=="] {
            assert_eq!(code(read_key(&headers(value))), serde_json::Value::Null, "{value}");
        }
        let key = new_key().unwrap().text;
        for value in ["sk-123", &key[1..], &key[..key.len() - 1], &key.to_uppercase(), &format!("{key}a")] {
            assert_eq!(code(read_key(&headers(&format!("Bearer {value}")))), "invalid_api_key", "{value}");
            assert_eq!(key_id(&headers(&format!("Bearer {value}"))), None);
        }
    }
}
