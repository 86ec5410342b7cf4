//! Reviews that are invalid, damaged, large, or contain control characters.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::fixtures::{cases, validator, with};
use super::wire_tests::{bad_node, decided, request, rules};
use crate::webhook::reviewer::Reviewer as _;
use crate::webhook::wire::review;

#[test]
fn a_body_that_is_no_review_is_answered_in_one_sentence() {
    let good = request("CREATE", &validator("v1"), &Value::Null);
    let text = good.to_string();
    let edit = |pointer: &str, value: Value| with(good.clone(), pointer, &value).to_string();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (body, word) in [
        (String::new(), "not an AdmissionReview"),
        ("nonsense".to_owned(), "not an AdmissionReview"),
        ("[]".to_owned(), "not a JSON object"),
        ("{}".to_owned(), "kind is \"\""),
        (text[..text.len() / 2].to_owned(), "not an AdmissionReview"),
        (format!("{text}x"), "not an AdmissionReview"),
        (edit("/kind", json!("Pod")), "kind is \"Pod\""),
        (edit("/apiVersion", json!("admission.k8s.io/v1beta1")), "v1beta1"),
        (edit("/request", Value::Null), "no request"),
        (edit("/request", json!([])), "no request"),
        (edit("/request/uid", json!("")), "uid is empty"),
        (edit("/request/uid", json!(7)), "not an AdmissionReview"),
        (edit("/request/operation", json!("PATCH")), "not an AdmissionReview"),
        (edit("/request/operation", json!("A\nB")), "unknown variant `A B`"),
        (edit("/kind", json!("x".repeat(100_000))), "kind is \"xxx"),
        (
            edit("/request/object", Value::Null),
            "request.object is absent, which CREATE needs",
        ),
        (
            edit("/request/operation", json!("UPDATE")),
            "request.oldObject is absent",
        ),
        (
            edit("/request/object", json!("text")),
            "request.object is not a JSON object",
        ),
        (
            edit("/request/object", json!([])),
            "request.object is not a JSON object",
        ),
        (
            request("UPDATE", &validator("v1"), &json!(7)).to_string(),
            "request.oldObject is not a JSON object",
        ),
        (
            edit("/request/object/kind", json!("Pod")),
            "request.object is of kind \"Pod\", and request.kind says \"StellarNode\"",
        ),
        (
            request("UPDATE", &validator("v1"), &json!({})).to_string(),
            "request.oldObject is of kind \"\", and",
        ),
        (
            text.replacen('{', "{\"kind\":\"AdmissionReview\",", 1),
            "duplicate field",
        ),
        (
            text.replacen("\"object\":{", &format!("\"object\":{{\"deep\":{deep},"), 1),
            "request.object cannot be read",
        ),
        (
            text.replacen("\"object\":{", "\"object\":{\"kind\":\"StellarNode\",", 1),
            "key \"kind\" is given twice",
        ),
        (deep, "not an AdmissionReview"),
    ] {
        for answer in [rules().validate(body.as_bytes()), rules().mutate(body.as_bytes())] {
            let said = String::from_utf8(answer.body).expect("text");
            assert_eq!(answer.status, 400, "{said}");
            assert!(
                said.contains(word) && !said.contains(char::is_control),
                "{word:?} in {said:?}"
            );
            assert!(said.chars().count() <= 500, "{}", said.len());
            assert_eq!(answer.facts.allowed, None);
        }
    }
    assert_eq!(rules().validate(b"\xff{}").status, 400);
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn arbitrary_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(review::parse(&bytes).is_err());
    }

    #[test]
    fn what_is_read_at_once_is_read_in_steps(at in any::<prop::sample::Index>(), byte in any::<u8>(), update in any::<bool>()) {
        let (operation, old) = if update { ("UPDATE", validator("v1")) } else { ("CREATE", Value::Null) };
        let mut body = request(operation, &bad_node(), &old).to_string().into_bytes();
        let place = at.index(body.len());
        body[place] = byte;
        let Ok(text) = std::str::from_utf8(&body) else { return Ok(()) };
        let Some(mut at_once) = review::parse_at_once(text) else { return Ok(()) };
        let mut in_steps = review::parse_in_steps(text).expect("it is sound");
        let objects = |review: &mut review::Review<'_>| {
            let taken = (review.request.take_object(), review.request.take_old_object());
            format!("{taken:?} {review:?}")
        };
        prop_assert_eq!(objects(&mut at_once), objects(&mut in_steps));
    }

    #[test]
    fn a_damaged_review_is_no_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut body = request("UPDATE", &bad_node(), &validator("v1")).to_string().into_bytes();
        let place = at.index(body.len());
        body[place] = byte;
        let whole = rules().validate(&body);
        prop_assert!([200, 400].contains(&whole.status));
        body.truncate(cut.index(body.len()));
        prop_assert_eq!(rules().mutate(&body).status, 400);
    }
}

const OBEYED: &str = "a\u{1b}[2J\u{9b}1m\u{202e}\u{7f}b";

/// Whether a text has no control characters and contains the escaped ones.
fn is_told(text: &str) -> bool {
    text == crate::util::text::plain(text) && text.contains(r"\u{1b}[2J")
}

#[test]
fn what_a_terminal_obeys_is_written_as_text_in_every_part_of_an_answer() {
    let node = with(
        with(bad_node(), "/metadata/name", &json!(OBEYED)),
        "/spec/podLabels",
        &json!({ OBEYED: OBEYED }),
    );
    let node = with(
        node,
        "/metadata/annotations",
        &json!({ format!("stellar.org/{OBEYED}"): "x" }),
    );
    let answer = rules().validate(request("CREATE", &node, &Value::Null).to_string().as_bytes());
    let response = decided(&answer);
    let status = &response["status"];
    let causes = status["details"]["causes"].as_array().expect("causes");
    let told = |field: &str| causes.iter().any(|cause| cause[field].as_str().is_some_and(is_told));
    assert!(told("message") && told("field"), "{causes:?}");
    assert!(is_told(status["details"]["name"].as_str().expect("a name")), "{status}");
    let warnings = response["warnings"].as_array().expect("warnings");
    assert!(
        warnings
            .iter()
            .any(|warning| warning.as_str().is_some_and(|text| text.contains(r"\u{202e}"))),
        "{warnings:?}"
    );
    let texts = causes
        .iter()
        .flat_map(|cause| [&cause["message"], &cause["field"]])
        .chain(warnings);
    for text in texts.filter_map(Value::as_str) {
        assert_eq!(text, crate::util::text::plain(text));
    }
    // Most messages quote the text; one without quotes is escaped as well.
    let error = crate::kubernetes::field_error::FieldError::invalid("spec", OBEYED);
    assert!(is_told(&error.message), "{error}");
}

#[test]
fn a_problem_is_told_in_bounded_words() {
    let node = with(bad_node(), "/spec/podLabels", &json!({ "x".repeat(50_000): "y" }));
    let answer = rules().validate(request("CREATE", &node, &Value::Null).to_string().as_bytes());
    assert!(answer.body.len() < 16 << 10, "{} bytes", answer.body.len());
}

#[test]
fn a_large_review_is_not_decided_on_the_thread_that_read_it() {
    assert!(rules().is_quick(&[b' '; 8 << 10]));
    assert!(!rules().is_quick(&[b' '; (8 << 10) + 1]));
}
