//! Bounds of the numbers in the schema.
//!
//! An API server does not hold a number to its format: what does not fit into the type that we read it as is to be
//! refused by a bound. Kubernetes' own types come without the bounds that its API server has in code; those of probes
//! are added here.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

/// The numbers of 64 bits that a bound, which is a float, can tell from those that do not fit.
const INT64: (f64, f64) = (-9_223_372_036_854_774_784.0, 9_223_372_036_854_774_784.0);
const INT32: (f64, f64) = (-2_147_483_648.0, 2_147_483_647.0);
const PORT: (f64, f64) = (1.0, 65_535.0);
/// Fields that are a number of 32 bits or a text; a quantity has the same type and no such bound.
const INT_OR_STRING: [&str; 2] = ["minAvailable", "maxUnavailable"];

/// Adds the bounds to a schema and to those within.
pub(super) fn add(schema: &mut JSONSchemaProps) {
    visit(schema, "");
}

fn visit(schema: &mut JSONSchemaProps, name: &str) {
    let is_number_or_text = schema.x_kubernetes_int_or_string == Some(true);
    let of_time = name.ends_with("Seconds") || name.ends_with("Threshold");
    match schema.format.as_deref() {
        Some("int32") if name == "port" => bound(schema, PORT),
        Some("int32") if of_time => bound(schema, (0.0, INT32.1)),
        Some("int32") => bound(schema, INT32),
        Some("int64") => bound(schema, INT64),
        _ if is_number_or_text && name == "port" => bound(schema, PORT),
        _ if is_number_or_text && INT_OR_STRING.contains(&name) => bound(schema, (0.0, INT32.1)),
        _ => {}
    }
    for (name, inner) in schema.properties.iter_mut().flatten() {
        visit(inner, name);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(inner)) = &mut schema.items {
        visit(inner, "");
    }
    if let Some(JSONSchemaPropsOrBool::Schema(inner)) = &mut schema.additional_properties {
        visit(inner, "");
    }
}

/// Narrower bounds that are there stay.
fn bound(schema: &mut JSONSchemaProps, (least, most): (f64, f64)) {
    schema.minimum = Some(schema.minimum.unwrap_or(least).max(least));
    schema.maximum = Some(schema.maximum.unwrap_or(most).min(most));
}
