//! Reads and writes TOML.
//!
//! The output uses the plain subset of TOML that stellar-core's parser (cpptoml) reads: one key per line, keys before
//! tables on every level, basic strings only. The same document always gives the same bytes, in insertion order.

use toml::{Table, Value};

use super::ConfigError;

/// Parses a text; `what` names it in the error. A duplicate key is an error, as in cpptoml.
pub(super) fn parse(what: &'static str, text: &str) -> Result<Table, ConfigError> {
    text.parse::<Table>().map_err(|error| ConfigError::Toml {
        what,
        // The parser's own message quotes the line, which may contain a secret; keep only position and reason.
        reason: match error.span() {
            Some(span) => {
                let line = text
                    .get(..span.start)
                    .map_or(1, |before| before.matches('\n').count() + 1);
                format!("line {line}: {}", error.message())
            }
            None => error.message().to_owned(),
        },
    })
}

/// Most bytes of a user's text. A thousand validators, stellar-core's limit, take half of that.
const MOST_BYTES: usize = 512 << 10;
/// Most delimiters of a user's text. Each may create a table entry, which takes a hundred times the memory of the
/// character.
const MOST_SIGNS: usize = 30_000;
/// Most keys of the top level. All releases of stellar-core together know some 240.
const MOST_KEYS: usize = 500;
/// Longest path of a key in characters, with the names of the tables around it: the output repeats it in each table
/// header.
const LONGEST_PATH: usize = 512;

/// Like [`parse`], for a text from a StellarNode. It refuses a text larger than any real config before parsing costs
/// memory.
pub(super) fn parse_given(what: &'static str, text: &str) -> Result<Table, ConfigError> {
    let too_large = |reason: String| Err(ConfigError::TooLarge { what, reason });
    if text.len() > MOST_BYTES {
        return too_large(format!("it has {} bytes: write at most {MOST_BYTES}", text.len()));
    }
    let is_sign = |byte: &&u8| matches!(byte, b'=' | b',' | b'[' | b'{' | b'\n');
    if text.as_bytes().iter().filter(is_sign).count() > MOST_SIGNS {
        return too_large(format!("it has more than {MOST_SIGNS} lines and values: write fewer"));
    }
    let table = parse(what, text)?;
    if table.len() > MOST_KEYS {
        return too_large(format!("it has {} keys: write at most {MOST_KEYS}", table.len()));
    }
    if has_longer_path(&table, LONGEST_PATH) {
        return too_large(format!(
            "a key and the names of the tables around it have more than {LONGEST_PATH} characters: write shorter names"
        ));
    }
    Ok(table)
}

fn has_longer_path(table: &Table, left: usize) -> bool {
    table.iter().any(|(key, value)| match left.checked_sub(key.len()) {
        None => true,
        Some(left) => inside(value, left),
    })
}

fn inside(value: &Value, left: usize) -> bool {
    match value {
        Value::Table(table) => has_longer_path(table, left),
        Value::Array(items) => items.iter().any(|item| inside(item, left)),
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => false,
    }
}

pub(super) fn write(document: &Table) -> String {
    let mut out = String::new();
    write_table(&mut out, &mut Vec::new(), document);
    out
}

fn write_table(out: &mut String, path: &mut Vec<String>, table: &Table) {
    for (key, value) in table {
        if !is_section(value) {
            out.push_str(&format!("{}={}\n", bare_or_quoted(key), inline(value)));
        }
    }
    for (key, value) in table {
        if !is_section(value) {
            continue;
        }
        path.push(bare_or_quoted(key));
        let name = path.join(".");
        match value {
            Value::Table(inner) => {
                // A table that contains only tables needs no header of its own, unless it is empty.
                if inner.is_empty() || inner.values().any(|value| !is_section(value)) {
                    out.push_str(&format!("\n[{name}]\n"));
                }
                write_table(out, path, inner);
            }
            Value::Array(items) => {
                for item in items.iter().filter_map(Value::as_table) {
                    out.push_str(&format!("\n[[{name}]]\n"));
                    write_table(out, path, item);
                }
            }
            _ => {}
        }
        path.pop();
    }
}

/// Whether a value is written under its own `[header]`.
fn is_section(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::Array(items) => !items.is_empty() && items.iter().all(Value::is_table),
        _ => false,
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(",")),
        Value::Table(table) => {
            let pairs: Vec<String> = table
                .iter()
                .map(|(key, value)| format!("{}={}", bare_or_quoted(key), inline(value)))
                .collect();
            format!("{{{}}}", pairs.join(","))
        }
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => value.to_string(),
    }
}

fn bare_or_quoted(key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if bare { key.to_owned() } else { quoted(key) }
}

/// A text as a TOML basic string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_come_before_tables_on_every_level() {
        let text = "[B.sub]\nx=1\n[B]\ny=2\n[[C]]\nn='1'\n[[C]]\nn='2'\n[E]\n[D.a]\nz=[1,2]\n";
        let mut document = parse("the test", text).unwrap();
        document.insert("LAST".to_owned(), Value::String("a\"b\\c\u{7}\n".to_owned()));
        let written = write(&document);
        assert_eq!(
            written,
            "LAST=\"a\\\"b\\\\c\\u0007\\n\"\n\n[B]\ny=2\n\n[B.sub]\nx=1\n\n[[C]]\nn=\"1\"\n\n[[C]]\nn=\"2\"\n\n[E]\n\n[D.a]\nz=[1,2]\n"
        );
        assert_eq!(parse("what was written", &written).unwrap(), document);
    }

    #[test]
    fn an_error_says_where_and_quotes_nothing() {
        let error = parse("coreConfig", "A=1\nSECRET=\"hush\"\nA=2\n")
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("coreConfig is not TOML: line 3: "), "{error}");
        let error = parse("coreConfig", "PASSWORD=hush hush").unwrap_err().to_string();
        assert!(!error.contains("hush"), "{error}");
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::Integer),
            any::<bool>().prop_map(Value::Boolean),
            any::<String>().prop_map(Value::String),
            (-1e12f64..1e12).prop_map(Value::Float),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| Value::Table(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_it_was(map in prop::collection::btree_map(any::<String>(), value(), 0..6)) {
            let document: Table = map.into_iter().collect();
            let written = write(&document);
            prop_assert_eq!(parse("what was written", &written).unwrap(), document);
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = parse("the text", &text);
        }
    }
}
