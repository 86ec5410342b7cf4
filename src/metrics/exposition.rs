//! The text that a scraper asks for: OpenMetrics, or the older Prometheus format. Nothing is counted here.

/// Media type of OpenMetrics (OpenMetrics 1.0, "Content Negotiation").
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Media type of the older text (Prometheus docs, "Exposition formats").
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How metrics are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0, which Prometheus asks for.
    OpenMetrics,
    /// The text format of before, for whoever asks for nothing, such as curl.
    Prometheus,
}

impl Format {
    /// The one to answer with, by the `Accept` header.
    pub fn accepted(header: &str) -> Self {
        if header.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => OPEN_METRICS,
            Self::Prometheus => PROMETHEUS,
        }
    }

    /// `open_metrics` in this format.
    pub(super) fn of(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Prometheus => older(&open_metrics),
        }
    }
}

/// In the older format a counter's family has the name of its samples, an info is a gauge, and there are neither units
/// nor an end.
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
    fn what_is_asked_for_is_answered() {
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
