//! Formats rows as a table in the style of kubectl. Pure.

use jiff::Timestamp;

use super::rows::Row;

/// Spaces between two columns, as in kubectl.
const GAP: usize = 3;

/// The table, with or without its heading; `wide` adds columns.
pub(crate) fn table(rows: &[Row], heading: bool, wide: bool, now: Timestamp) -> String {
    if rows.is_empty() {
        return "no validators found\n".to_owned();
    }
    let mut lines: Vec<Vec<String>> = Vec::new();
    if heading {
        let names = [
            "NAMESPACE",
            "NAME",
            "NETWORK",
            "ADDRESS",
            "READY",
            "LOADED",
            "STATUS",
            "AGE",
        ];
        let more = ["POD", "CONFIGMAP", "RESTART"];
        let names = names.iter().chain(more.iter().filter(|_| wide)).chain(&["WHY"]);
        lines.push(names.map(|name| (*name).to_owned()).collect());
    }
    lines.extend(rows.iter().map(|row| cells(row, wide, now)));
    let columns = lines.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| lines.iter().map(|line| width(&line[column])).max().unwrap_or_default())
        .collect();
    lines.iter().map(|line| aligned(line, &widths)).collect()
}

fn cells(row: &Row, wide: bool, now: Timestamp) -> Vec<String> {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let loaded = match row.loaded {
        Some(loaded) => format!("{loaded}/{}", row.known),
        None if row.address.is_none() => "-".to_owned(),
        None => format!("?/{}", row.known),
    };
    let mut cells = vec![
        row.namespace.clone(),
        row.name.clone(),
        row.network.clone(),
        or_dash(&row.address),
        if row.ready { "yes" } else { "no" }.to_owned(),
        loaded,
        row.status.clone(),
        age(row.created, now),
    ];
    if wide {
        cells.extend([or_dash(&row.pod), row.list.clone(), or_dash(&row.pending_restart)]);
    }
    cells.push(row.why.clone());
    cells
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn aligned(line: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, width_of_column) in line.iter().zip(widths) {
        text.push_str(cell);
        text.push_str(&" ".repeat(width_of_column - width(cell) + GAP));
    }
    format!("{}\n", text.trim_end())
}

/// The age in its largest unit, as kubectl prints it.
fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, loaded: Option<i32>) -> Row {
        Row {
            namespace: "stellar".to_owned(),
            name: name.to_owned(),
            network: "testnet".to_owned(),
            list: "stellar-peers".to_owned(),
            pod: Some(format!("{name}-0")),
            address: Some("10.0.0.1:11625".to_owned()),
            ready: true,
            known: 3,
            loaded,
            pending_restart: None,
            status: "Loaded".to_owned(),
            why: "its pod loaded all members of its group".to_owned(),
            created: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn columns_stand_below_each_other() {
        let now = Timestamp::from_second(300).unwrap();
        let text = table(&[row("a", Some(3)), row("validator-2", None)], true, false, now);
        assert_eq!(
            text,
            "NAMESPACE   NAME          NETWORK   ADDRESS          READY   LOADED   STATUS   AGE   WHY\n\
             stellar     a             testnet   10.0.0.1:11625   yes     3/3      Loaded   5m    its pod loaded all members of its group\n\
             stellar     validator-2   testnet   10.0.0.1:11625   yes     ?/3      Loaded   5m    its pod loaded all members of its group\n"
        );
        let wide = table(&[row("a", Some(3))], true, true, now);
        assert!(wide.contains("CONFIGMAP") && wide.contains("a-0"), "{wide}");
        assert!(!table(&[row("a", None)], false, false, now).contains("NAME"));
        assert_eq!(table(&[], true, false, now), "no validators found\n");
    }

    #[test]
    fn an_age_is_told_in_its_greatest_unit() {
        let age = |seconds| age(Timestamp::UNIX_EPOCH, Timestamp::from_second(seconds).unwrap());
        assert_eq!(
            [0, 119, 120, 7_199, 7_200, 172_799, 172_800].map(age),
            ["0s", "119s", "2m", "119m", "2h", "47h", "2d"]
        );
        assert_eq!(age(-5), "0s", "a clock that is behind");
    }
}
