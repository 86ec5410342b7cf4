//! Text formats for scrapers: OpenMetrics and the older Prometheus format.

/// Media type of OpenMetrics (OpenMetrics 1.0, "Content Negotiation").
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Media type of the older text (Prometheus docs, "Exposition formats").
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0, which Prometheus asks for.
    OpenMetrics,
    /// Prometheus text format 0.0.4, for clients without an Accept header, such as curl.
    Prometheus,
}

impl Format {
    /// Picks the format by the `Accept` header.
    pub fn accepted(header: &str) -> Self {
        if header.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => OPEN_METRICS,
            Self::Prometheus => PROMETHEUS,
        }
    }

    pub(super) fn of(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Prometheus => older(&open_metrics),
        }
    }
}

/// Converts OpenMetrics to the older format: there a counter's family is named like its samples, an info is a gauge,
/// and `UNIT` and `EOF` do not exist.
fn older(open_metrics: &str) -> String {
    let suffixes: Vec<(&str, &str)> = open_metrics
        .lines()
        .filter_map(|line| {
            let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
            match kind {
                "counter" => Some((name, "_total")),
                "info" => Some((name, "_info")),
                _ => None,
            }
        })
        .collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        let (mark, keyword) = (words.next(), words.next());
        match (mark, keyword, words.next(), words.next()) {
            (Some("#"), Some(keyword @ ("HELP" | "TYPE")), Some(name), Some(rest)) => {
                let suffix = suffixes.iter().find(|(family, _)| *family == name);
                let suffix = suffix.map_or("", |(_, suffix)| suffix);
                let rest = if (keyword, rest) == ("TYPE", "info") {
                    "gauge"
                } else {
                    rest
                };
                text.extend(["# ", keyword, " ", name, suffix, " ", rest, "\n"]);
            }
            (Some("#"), ..) => {}
            _ => text.extend([line, "\n"]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_header_picks_the_format() {
        for (accept, format) in [
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("text/plain;version=0.0.4", Format::Prometheus),
            (
                "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3",
                Format::OpenMetrics,
            ),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }

    #[test]
    fn the_older_text_has_the_names_of_its_samples() {
        let open = "\
# HELP calls Calls, in all.
# TYPE calls counter
calls_total{verb=\"get\"} 3
# HELP build The version.
# TYPE build info
build_info{version=\"1\"} 1
# HELP took_seconds Time.
# TYPE took_seconds gauge
# UNIT took_seconds seconds
took_seconds 0.5
# EOF
";
        let older = "\
# HELP calls_total Calls, in all.
# TYPE calls_total counter
calls_total{verb=\"get\"} 3
# HELP build_info The version.
# TYPE build_info gauge
build_info{version=\"1\"} 1
# HELP took_seconds Time.
# TYPE took_seconds gauge
took_seconds 0.5
";
        assert_eq!(Format::Prometheus.of(open.to_owned()), older);
        assert_eq!(Format::OpenMetrics.of(open.to_owned()), open);
    }
}
