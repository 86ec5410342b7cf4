//! How far apart two words are: whoever writes one that means nothing is told which was meant.

/// Letters to insert, delete or change to make one word of another (Levenshtein).
pub fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, (b, above)) in to.iter().zip(row.windows(2)).enumerate() {
            let left = next.get(j).copied().unwrap_or(usize::MAX - 1);
            next.push((above[0] + usize::from(a != *b)).min(above[1] + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_letters() {
        for (from, to, expected) in [
            ("", "", 0),
            ("peer", "peer", 0),
            ("peer", "pear", 1),
            ("prot", "port", 2),
            ("a", "", 1),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }
}
