//! Reads the claims that name an organisation.

use model::Tenant;
use serde_json::{Map, Value};

use crate::json_field;

/// Longest value that is kept, in bytes.
const LONGEST: usize = 256;

/// Reads the claims; `None` if there are none. What is no text, or holds control characters, is left out.
pub(crate) fn tenant_of(claims: &Map<String, Value>) -> Option<Tenant> {
    let text = |name| {
        json_field::text(claims, name)
            .filter(|text| text.len() <= LONGEST && !text.chars().any(char::is_control))
            .map(str::to_owned)
    };
    let found = Tenant {
        tid: text("tid"),
        oid: text("oid"),
        hosted_domain: text("hd"),
        organization: text("org_id"),
    };
    (found != Tenant::default()).then_some(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(claims: Value) -> Option<Tenant> {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        tenant_of(&claims)
    }

    #[test]
    fn claims_are_kept_as_text_and_odd_ones_left_out() {
        let entra = of(json!({ "tid": "t-1", "oid": "o-1", "acr": 1, "amr": "pwd" })).unwrap();
        assert_eq!((entra.tid.as_deref(), entra.oid.as_deref()), (Some("t-1"), Some("o-1")));
        assert_eq!(entra.label(), Some("t-1"));
        assert_eq!(of(json!({ "hd": "corp.example" })).unwrap().label(), Some("corp.example"));
        assert_eq!(of(json!({ "org_id": "org_9" })).unwrap().label(), Some("org_9"));
        for odd in [
            json!({}),
            json!({ "tid": 7, "oid": null, "hd": "", "org_id": ["x"] }),
            json!({ "hd": "a\u{1b}[2J" }),
            json!({ "tid": "x".repeat(257) }),
        ] {
            assert_eq!(of(odd.clone()), None, "{odd}");
        }
    }
}
