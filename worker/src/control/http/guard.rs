//! Refuses commands that come from other sites' web pages.
//!
//! A browser sends the origin of the page with every POST; other programs do not, so a request without an origin
//! passes. One with an origin must come from a page of this server, reached by an address or as `localhost`: the owner
//! of any other name can point it at this server (DNS rebinding).

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{
    HeaderMap,
    header::{HOST, ORIGIN},
};

/// Whether a command with these headers is accepted, or why not.
pub(super) fn allows(headers: &HeaderMap) -> Result<(), &'static str> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let foreign = "commands from a page of another site are refused";
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return Err(foreign);
    }
    let Some(origin) = text(ORIGIN.as_str()) else { return Ok(()) };
    let host = text(HOST.as_str()).unwrap_or_default();
    if origin.strip_prefix("http://") != Some(host) {
        return Err(foreign);
    }
    is_address(host).then_some(()).ok_or("open this page by its address or as localhost to give commands")
}

fn is_address(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let version_six = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    match version_six {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => name == "localhost" || name.parse::<IpAddr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(pairs: &[(&'static str, &'static str)]) -> bool {
        let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        allows(&headers.collect()).is_ok()
    }

    #[test]
    fn programs_and_pages_of_this_server_may_command() {
        assert!(allowed(&[]));
        assert!(allowed(&[("host", "dbmazz.example:8080")]));
        for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "10.0.0.7"] {
            let origin: &'static str = format!("http://{host}").leak();
            assert!(
                allowed(&[("host", host), ("origin", origin), ("sec-fetch-site", "same-origin")]),
                "{host}"
            );
        }
    }

    #[test]
    fn pages_of_other_sites_may_not() {
        for headers in [
            vec![("host", "localhost:8080"), ("origin", "http://evil.example")],
            vec![("host", "localhost:8080"), ("origin", "null")],
            vec![("host", "localhost:8080"), ("origin", "http://localhost:3000")],
            vec![("host", "localhost:8080"), ("origin", "https://localhost:8080")],
            vec![("host", "localhost:8080"), ("sec-fetch-site", "cross-site")],
            vec![("origin", "http://")],
            // DNS rebinding: the name is the attacker's, the address is ours.
            vec![
                ("host", "evil.example:8080"),
                ("origin", "http://evil.example:8080"),
                ("sec-fetch-site", "same-origin"),
            ],
        ] {
            assert!(!allowed(&headers), "{headers:?}");
        }
    }
}
