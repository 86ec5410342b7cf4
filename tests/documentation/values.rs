//! The table in `docs/install.md` lists each value of the chart.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{code, read, rows, section};

/// Values that the chart passes to Kubernetes unchanged.
const WHOLE: [&str; 1] = ["resources"];

fn keys(prefix: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() && !WHOLE.contains(&prefix) => {
            for (name, value) in fields {
                let key = if prefix.is_empty() {
                    name.clone()
                } else {
                    format!("{prefix}.{name}")
                };
                keys(&key, value, found);
            }
        }
        _ => {
            found.insert(prefix.to_owned());
        }
    }
}

#[test]
fn table_lists_each_value_of_the_chart() {
    let values: Value = serde_saphyr::from_str(&read("manifests/chart/values.yaml")).expect("YAML");
    let mut expected = BTreeSet::new();
    keys("", &values, &mut expected);
    let install = read("docs/install.md");
    let documented: BTreeSet<String> = rows(section(&install, "## Helm"))
        .into_iter()
        .skip(1)
        .flat_map(|row| code(&row[0]))
        .collect();
    assert_eq!(documented, expected);
}
