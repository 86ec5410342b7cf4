//! Kubernetes quantities: `100Gi`, `500m`, `1e3` (apimachinery, `api/resource/quantity.go`).

/// A quantity in nano-units, so that the smallest suffix, `n`, is a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantity(i128);

const NANO: i128 = 1_000_000_000;

impl Quantity {
    /// Parses a quantity; `None` if it is invalid, negative or out of range.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('+').unwrap_or(text);
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (numerator, denominator) = scale(suffix)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || fraction.len() > 9 {
            return None;
        }
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        let places = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let nanos = digits.checked_mul(NANO)?.checked_mul(numerator)?;
        Some(Self(nanos / places / denominator))
    }

    pub(crate) fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// The factor of a suffix, as numerator and denominator.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, NANO),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "k" => (1000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 { (1, power) } else { (power, 1) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_kubernetes_reads_them() {
        for (text, same) in [
            ("1", "1000m"),
            ("1.5", "1500m"),
            ("1Gi", "1024Mi"),
            ("1G", "1000M"),
            ("1e3", "1k"),
            ("+2", "2"),
            (".5", "500m"),
            ("5.", "5"),
        ] {
            assert!(Quantity::parse(text).is_some(), "{text}");
            assert_eq!(Quantity::parse(text), Quantity::parse(same), "{text} = {same}");
        }
        assert!(Quantity::parse("99Gi") < Quantity::parse("100Gi"));
        assert!(Quantity::parse("0").is_some_and(Quantity::is_zero));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", "Gi", "100GB", "1 Gi", "-1", "1..2", "ten", "1e", "1e999", "."] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }
}
