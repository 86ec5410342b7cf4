//! Valid values of a single key: its type, and stellar-core's further rules about the value.

use stellar_strkey::ed25519::PublicKey;
use toml::Value;

use super::table::{Kind, Row};
use super::{found, invariants, reads_like_a_name};
use crate::core_config::problems::Problems;
use crate::core_config::version::Release;
use crate::core_config::{Keys, address};
use crate::kubernetes::names::distance;

/// `OperationType` of the network's XDR, and the protocol that added the last three.
const OPERATIONS: [&str; 27] = [
    "CREATE_ACCOUNT",
    "PAYMENT",
    "PATH_PAYMENT_STRICT_RECEIVE",
    "MANAGE_SELL_OFFER",
    "CREATE_PASSIVE_SELL_OFFER",
    "SET_OPTIONS",
    "CHANGE_TRUST",
    "ALLOW_TRUST",
    "ACCOUNT_MERGE",
    "INFLATION",
    "MANAGE_DATA",
    "BUMP_SEQUENCE",
    "MANAGE_BUY_OFFER",
    "PATH_PAYMENT_STRICT_SEND",
    "CREATE_CLAIMABLE_BALANCE",
    "CLAIM_CLAIMABLE_BALANCE",
    "BEGIN_SPONSORING_FUTURE_RESERVES",
    "END_SPONSORING_FUTURE_RESERVES",
    "REVOKE_SPONSORSHIP",
    "CLAWBACK",
    "CLAWBACK_CLAIMABLE_BALANCE",
    "SET_TRUST_LINE_FLAGS",
    "LIQUIDITY_POOL_DEPOSIT",
    "LIQUIDITY_POOL_WITHDRAW",
    "INVOKE_HOST_FUNCTION",
    "EXTEND_FOOTPRINT_TTL",
    "RESTORE_FOOTPRINT",
];
const SOROBAN_OPERATIONS: [&str; 3] = ["INVOKE_HOST_FUNCTION", "EXTEND_FOOTPRINT_TTL", "RESTORE_FOOTPRINT"];
const SOROBAN: Release = Release::new(20, 0, 0);

/// The problems of a value; none if one of the rows accepts it.
pub(super) fn problems(rows: &[Row], value: &Value, keys: Keys) -> Vec<String> {
    let mut problems = Vec::new();
    for row in rows {
        problems = problems_of(row, value, keys);
        if problems.is_empty() {
            break;
        }
    }
    problems
}

fn problems_of(row: &Row, value: &Value, keys: Keys) -> Vec<String> {
    let key = row.name;
    if matches!(value, Value::Float(number) if !is_readable(*number)) {
        return vec![format!(
            "{key} is {value}, which a floating-point number of 64 bits does not reach: write a number that it does"
        )];
    }
    let (min, max) = (row.min.unwrap_or(i64::MIN), row.max.unwrap_or(i64::MAX));
    let wanted = match (row.kind, value) {
        (Kind::Bool, Value::Boolean(_)) | (Kind::Text, Value::String(_)) | (Kind::Ignored | Kind::Tables, _) => {
            return Vec::new();
        }
        (Kind::Int, Value::Integer(number)) if (min..=max).contains(number) => return of_number(key, *number),
        (Kind::Double, number) if ratio(number).is_some_and(|number| within(number, row)) => return Vec::new(),
        (Kind::Texts | Kind::Operations, Value::Array(items)) if items.iter().all(Value::is_str) => {
            return of_strings(row, items, keys);
        }
        (Kind::Ints, Value::Array(items)) if items.iter().all(|item| is_within(item, min, max)) => return Vec::new(),
        (Kind::Bool, _) => "true or false".to_owned(),
        (Kind::Int, _) => format!("a whole number from {min} to {max}"),
        (Kind::Double, _) => match row.max {
            Some(max) => format!("a number above {min} and at most {max}"),
            None => format!("a number above {min} and at most {LARGEST_RATE:e}"),
        },
        (Kind::Text, _) => "a string in double quotes".to_owned(),
        (Kind::Texts | Kind::Operations, _) => "an array of strings, as [\"…\", \"…\"]".to_owned(),
        (Kind::Ints, _) => format!("an array of whole numbers from {min} to {max}"),
    };
    vec![format!("{key} is {}: write {wanted}", found(value))]
}

/// Whether cpptoml can read it: `std::stod` throws for numbers that are too large, and for subnormal ones.
fn is_readable(number: f64) -> bool {
    number.is_normal() || number == 0.0
}

/// Largest rate: multiplied by the operations of a ledger, it must fit in a whole number of 64 bits
/// (`getMaxResourcesToFloodThisPeriod`).
const LARGEST_RATE: f64 = 9.2e18;

/// cpptoml also accepts a whole number for a double.
fn ratio(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        Value::Integer(number) => i32::try_from(*number).ok().map(f64::from),
        _ => None,
    }
}

fn within(number: f64, row: &Row) -> bool {
    let bound = |bound: Option<i64>| bound.and_then(|bound| i32::try_from(bound).ok()).map(f64::from);
    bound(row.min).is_none_or(|min| number > min) && number <= bound(row.max).unwrap_or(LARGEST_RATE)
}

fn is_within(value: &Value, min: i64, max: i64) -> bool {
    value.as_integer().is_some_and(|number| (min..=max).contains(&number))
}

/// Further rules about whole numbers.
fn of_number(key: &str, number: i64) -> Vec<String> {
    let wanted = match key {
        // validateAndLogConfig.
        "BUCKETLIST_DB_INDEX_PAGE_SIZE_EXPONENT" if number != 0 && !(8..=31).contains(&number) => "0, or from 8 to 31",
        "HISTOGRAM_WINDOW_SIZE" if 300 % number.max(1) != 0 => {
            "a number that divides 300 evenly, such as 30, 60, 100 or 300"
        }
        // MAX_OPS_PER_TX is 100.
        "MAX_DEX_TX_OPERATIONS_IN_TX_SET" if (1..=101).contains(&number) => "0, or at least 102",
        _ => return Vec::new(),
    };
    vec![format!("{key} is {number}: write {wanted}")]
}

/// Further rules about the strings of an array.
fn of_strings(row: &Row, items: &[Value], keys: Keys) -> Vec<String> {
    let key = row.name;
    let texts = || items.iter().filter_map(Value::as_str);
    let problems: Problems = match key {
        "KNOWN_PEERS" | "PREFERRED_PEERS" => texts().filter_map(address::problem).collect(),
        "INVARIANT_CHECKS" => invariants::problems(&texts().collect::<Vec<_>>(), keys)
            .into_iter()
            .collect(),
        "FILTERED_G_ADDRESSES" => texts().filter_map(account_problem).collect(),
        _ if row.kind == Kind::Operations => texts().filter_map(|text| operation_problem(text, keys)).collect(),
        _ => Problems::default(),
    };
    problems
        .into_vec()
        .into_iter()
        .map(|problem| format!("{key}: {problem}"))
        .collect()
}

/// `readXdrEnumArray`.
fn operation_problem(name: &str, keys: Keys) -> Option<String> {
    let too_new = keys.are_before(SOROBAN) && SOROBAN_OPERATIONS.contains(&name);
    let is_known = OPERATIONS.contains(&name) && !too_new;
    if is_known || (!keys.are_listed() && reads_like_a_name(name)) {
        return None;
    }
    let upper = name.to_ascii_uppercase();
    let near = OPERATIONS.iter().find(|known| distance(known, &upper, 2).is_some());
    let advice = match near {
        Some(near) if !too_new => format!("did you mean {near}?"),
        _ => "write one of its OperationType, such as PAYMENT".to_owned(),
    };
    Some(format!(
        "{keys} knows no operation {name:?} and would not start: {advice}"
    ))
}

/// `KeyUtils::fromStrKey<PublicKey>`.
fn account_problem(text: &str) -> Option<String> {
    let error = PublicKey::from_string(text).err()?;
    Some(format!(
        "one of them is no account: write its public key (G followed by 55 characters): {error}"
    ))
}

/// The file that this key makes stellar-core read at start (`ApplicationImpl::initialize`).
pub(super) fn file_of<'a>(key: &str, value: &'a Value) -> Option<&'a str> {
    let path = value.as_str().filter(|path| !path.is_empty())?;
    (key == "PATH_TO_PROTOCOL_23_CORRUPTION_FILE").then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core_config::keys::problems;

    #[test]
    fn values_are_held_to_the_type_that_stellar_core_reads() {
        let good = "TARGET_PEER_CONNECTIONS=8\nMAX_ADDITIONAL_PEER_CONNECTIONS=-1\nFLOOD_OP_RATE_PER_LEDGER=1\n\
                    COMMANDS=['ll?level=info']\nLOG_COLOR=true\nPREFERRED_PEERS=['a:1']\n\
                    FLOOD_ARB_TX_DAMPING_FACTOR=1.0\nLOADGEN_BYTE_COUNT_FOR_TESTING=[0, 4294967295]\n\
                    BACKGROUND_EVICTION_SCAN='x'";
        for (key, value) in &good.parse::<toml::Table>().unwrap() {
            assert_eq!(problems(key, value, Keys::of("26.1.0")), Vec::<String>::new());
        }
        let bad = "TARGET_PEER_CONNECTIONS=0\nMAX_PENDING_CONNECTIONS=65536\nFLOOD_OP_RATE_PER_LEDGER=0.0\n\
                   FLOOD_ARB_TX_DAMPING_FACTOR=1.1\nCOMMANDS='ll'\nLOG_COLOR='true'\nPREFERRED_PEERS=['::1']\n\
                   WORKER_THREADS=1\nINVARIANT_CHECKS=[1]\nLOADGEN_BYTE_COUNT_FOR_TESTING=[4294967296]";
        for (key, value) in &bad.parse::<toml::Table>().unwrap() {
            assert_eq!(problems(key, value, Keys::of("26.1.0")).len(), 1, "{key}");
            assert_eq!(
                problems(key, value, Keys::Listed).len(),
                usize::from(key != "WORKER_THREADS"),
                "{key}"
            );
        }
    }

    #[test]
    fn a_float_that_stellar_core_cannot_read_or_use_is_refused() {
        for (number, is_good) in [
            ("9e18", true),
            ("2.3e-308", true),
            ("1e19", false),
            ("1e308", false),
            ("1e-310", false),
            ("-1", false),
            ("inf", false),
            ("nan", false),
        ] {
            let document: toml::Table = format!("FLOOD_OP_RATE_PER_LEDGER={number}").parse().unwrap();
            let problems = problems(
                "FLOOD_OP_RATE_PER_LEDGER",
                &document["FLOOD_OP_RATE_PER_LEDGER"],
                Keys::of("26.1.0"),
            );
            assert_eq!(problems.is_empty(), is_good, "{number}: {problems:?}");
        }
    }
}
