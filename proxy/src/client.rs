//! Where a request comes from: the other end of the connection, or whom a trusted proxy in front of this one names.

use std::net::IpAddr;
use std::str::FromStr;

use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

const FORWARDED: &str = "x-forwarded-for";

/// The other end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// The client. Absent when it is not known, which keys that are bound to addresses do not allow.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub IpAddr);

/// Networks, written as a list with commas; an address alone is a network of one.
#[derive(Clone, Debug, Default)]
pub struct Networks(Vec<IpNet>);

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = |item: &str| {
            let address = || item.parse::<IpAddr>().map(IpNet::from);
            item.parse::<IpNet>().or_else(|_| address()).map_err(|_| format!("'{item}' is no network"))
        };
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Networks {
    fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Notes the client of a request.
pub fn note(extensions: &mut Extensions, headers: &HeaderMap, trusted: &Networks) {
    let Some(Peer(peer)) = extensions.get() else { return };
    if let Some(client) = find(peer.to_canonical(), headers, trusted) {
        extensions.insert(Client(client));
    }
}

/// Each proxy adds at the end whom it was called by, so the first word that no trusted one has written is read from
/// there. Everything in front of it the client may have made up.
fn find(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> Option<IpAddr> {
    let mut client = peer;
    for value in headers.get_all(FORWARDED).iter().rev() {
        for word in value.to_str().unwrap_or("unknown").rsplit(',') {
            if !trusted.contain(client) {
                return Some(client);
            }
            // A trusted proxy that hides whom it serves, not the proxy itself, is the caller: that is nobody we know.
            client = parse(word.trim())?;
        }
    }
    Some(client)
}

/// An address, as some proxies write it: with a port, or in brackets.
fn parse(word: &str) -> Option<IpAddr> {
    let bare =
        word.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(word, |(address, _)| address);
    let with_port = || word.parse().ok().map(|address: std::net::SocketAddr| address.ip());
    bare.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str], trusted: &str) -> Option<String> {
        let mut extensions = Extensions::new();
        extensions.insert(Peer(peer.parse().unwrap()));
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED, value.parse().unwrap());
        }
        note(&mut extensions, &headers, &trusted.parse().unwrap());
        extensions.get::<Client>().map(|client| client.0.to_string())
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = "10.0.0.0/8, 192.0.2.1,2001:db8::/32";
        for (peer, forwarded, expected) in [
            ("203.0.113.5", vec!["198.51.100.1"], Some("203.0.113.5")),
            ("10.1.2.3", vec![], Some("10.1.2.3")),
            ("10.1.2.3", vec!["198.51.100.1"], Some("198.51.100.1")),
            ("::ffff:10.1.2.3", vec!["198.51.100.1"], Some("198.51.100.1")),
            ("10.1.2.3", vec!["1.1.1.1, 198.51.100.1, 192.0.2.1"], Some("198.51.100.1")),
            ("10.1.2.3", vec!["1.1.1.1,198.51.100.1", "192.0.2.1"], Some("198.51.100.1")),
            ("192.0.2.2", vec!["1.1.1.1"], Some("192.0.2.2")),
            ("2001:db8::7", vec!["::ffff:198.51.100.1"], Some("198.51.100.1")),
            ("10.1.2.3", vec!["198.51.100.1:443"], Some("198.51.100.1")),
            ("10.1.2.3", vec!["[2001:db9::1]:443"], Some("2001:db9::1")),
            ("10.1.2.3", vec!["10.9.9.9"], Some("10.9.9.9")),
            ("10.1.2.3", vec!["198.51.100.1, unknown"], None),
            ("10.1.2.3", vec![""], None),
        ] {
            assert_eq!(client(peer, &forwarded, trusted).as_deref(), expected, "{peer} {forwarded:?}");
        }
        assert_eq!(client("127.0.0.1", &["198.51.100.1"], "").as_deref(), Some("127.0.0.1"));
        assert_eq!(client("::ffff:127.0.0.1", &[], "").as_deref(), Some("127.0.0.1"));
    }

    #[test]
    fn without_a_connection_there_is_no_client() {
        let mut extensions = Extensions::new();
        note(&mut extensions, &HeaderMap::new(), &Networks::default());
        assert!(extensions.get::<Client>().is_none());
    }

    #[test]
    fn networks_are_checked_at_the_start() {
        for bad in ["10.0.0.0/33", "localhost", "10.0.0.1;10.0.0.2"] {
            assert!(bad.parse::<Networks>().is_err(), "{bad}");
        }
    }
}
