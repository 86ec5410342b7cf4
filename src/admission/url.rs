//! Whether a text is the URL of an HTTP server.

/// What is wrong with a URL and what to write instead; `None` if nothing is.
pub(super) fn problem(text: &str) -> Option<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let authority = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let is_host = |host: &str| {
        !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte))
    };
    let port_is_right = |authority: &str| match authority.rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => super::stateful_set::parse_port(port).is_some(),
        _ => true,
    };
    let printable = !text.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'<>`".contains(c));
    let right =
        printable && authority.is_some_and(|host| is_host(host) && !host.starts_with(':') && port_is_right(host));
    (!right).then(|| format!("{text:?} is no URL of an HTTP server: write for example http://core.stellar.svc:11626"))
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
        ] {
            assert!(problem(text).is_some_and(|said| said.contains("write")), "{text}");
        }
    }
}
