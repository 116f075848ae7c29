//! Discovery (RFC 7644 §4), generated from the table of attributes.

use serde_json::{Value, json};

use super::read::PAGE_MAX;
use super::schema::{
    Attribute, ENTERPRISE_SCHEMA, GROUP_SCHEMA, Kind, Mutability, ResourceType, Schema, TYPES, USER_SCHEMA,
};

const CONFIG: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
const TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";

/// The supported features of the protocol.
pub fn config(base: &str) -> Value {
    json!({
        "schemas": [CONFIG],
        "patch": {"supported": true},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": PAGE_MAX},
        "changePassword": {"supported": false},
        "sort": {"supported": true},
        "etag": {"supported": true},
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "A token of the service with the role directory, made by im-push-gateway token create",
            "primary": true,
        }],
        "meta": {"resourceType": "ServiceProviderConfig", "location": format!("{base}/ServiceProviderConfig")},
    })
}

pub fn resource_types(base: &str) -> Vec<Value> {
    TYPES.iter().map(|kind| resource_type(kind, base)).collect()
}

fn resource_type(kind: &ResourceType, base: &str) -> Value {
    let extensions =
        kind.extensions.iter().map(|extension| json!({"schema": extension.urn, "required": false}));
    json!({
        "schemas": [TYPE],
        "id": kind.name,
        "name": kind.name,
        "endpoint": kind.endpoint,
        "description": kind.about,
        "schema": kind.schema.urn,
        "schemaExtensions": extensions.collect::<Vec<_>>(),
        "meta": {"resourceType": "ResourceType", "location": format!("{base}/ResourceTypes/{}", kind.name)},
    })
}

pub fn schemas(base: &str) -> Vec<Value> {
    [&USER_SCHEMA, &ENTERPRISE_SCHEMA, &GROUP_SCHEMA].iter().map(|schema| shown(schema, base)).collect()
}

fn shown(schema: &Schema, base: &str) -> Value {
    json!({
        "schemas": [SCHEMA],
        "id": schema.urn,
        "name": schema.name,
        "description": schema.about,
        "attributes": schema.attributes.iter().map(attribute).collect::<Vec<_>>(),
        "meta": {"resourceType": "Schema", "location": format!("{base}/Schemas/{}", schema.urn)},
    })
}

fn attribute(attribute: &Attribute) -> Value {
    let mut shown = json!({
        "name": attribute.name,
        "type": match attribute.kind {
            Kind::Text => "string",
            Kind::Flag => "boolean",
            Kind::Reference => "reference",
            Kind::Binary => "binary",
            Kind::Time => "dateTime",
            Kind::Complex => "complex",
        },
        "multiValued": attribute.many,
        "description": attribute.about,
        "required": attribute.required,
        "caseExact": attribute.case_exact,
        "mutability": match attribute.mutability {
            Mutability::ReadWrite => "readWrite",
            Mutability::ReadOnly => "readOnly",
            Mutability::Immutable => "immutable",
        },
        "returned": "default",
        "uniqueness": if attribute.unique { "server" } else { "none" },
    });
    if !attribute.canonical.is_empty() {
        shown["canonicalValues"] = json!(attribute.canonical);
    }
    if !attribute.refers_to.is_empty() {
        shown["referenceTypes"] = json!(attribute.refers_to);
    }
    if !attribute.parts.is_empty() {
        shown["subAttributes"] = attribute.parts.iter().map(self::attribute).collect();
    }
    shown
}
