//! The rule for the URL of an HTTP server.

use axum::http::Uri;

/// The problem of a URL and how to fix it; `None` if it is valid.
pub(crate) fn problem(text: &str) -> Option<String> {
    let printable = !text.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'<>`".contains(c));
    let url = text.parse::<Uri>().ok().filter(|_| printable);
    (!url.is_some_and(|url| serves_http(&url)))
        .then(|| format!("{text:?} is not the URL of an HTTP server: write for example http://core.stellar.svc:11626"))
}

fn serves_http(url: &Uri) -> bool {
    let scheme = matches!(url.scheme_str(), Some("http" | "https"));
    let Some(authority) = url.authority().filter(|_| scheme) else {
        return false;
    };
    let host = authority.host();
    // `port_u16` is also `None` for an invalid port, as in `core:` or `core:99999`.
    let after_host = authority.as_str().rsplit_once(host).map_or("", |(_, rest)| rest);
    let port_is_right = after_host.is_empty() || authority.port_u16().is_some_and(|port| port > 0);
    !host.is_empty() && port_is_right
}

#[cfg(test)]
mod tests {
    use super::problem;

    #[test]
    fn urls_of_http_servers() {
        for text in [
            "http://core:11626",
            "https://a.b/c?d=e",
            "http://[::1]:80/",
            "http://10.0.0.1",
            "HTTP://core",
        ] {
            assert_eq!(problem(text), None, "{text}");
        }
        for text in [
            "core:11626",
            "ftp://core",
            "http://",
            "http:///x",
            "http://a b",
            "http://core:99999",
            "http://core:",
            "http://:80",
            "http://core:0",
            "http://a:b:80",
            "http://[[::",
            "http://[::1]80",
            "//core",
            "",
        ] {
            assert!(problem(text).is_some_and(|said| said.contains("write")), "{text}");
        }
    }
}
