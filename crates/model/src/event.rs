//! The wire form of an event, as producers send it.
//!
//! Names are those of Coder's API. Only `action`, `resource_type` and one of `resource_id` and `resource_target` are
//! required. Reading is strict: an unknown or repeated member is an error, so that a misspelt field is never lost in silence.

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::Text;

/// One event as sent; texts borrow from the request body.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewEvent<'a> {
    /// UUID; the idempotency key. Made by the server when absent.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub id: Option<Text<'a>>,
    /// RFC 3339; the time of receipt when absent.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub time: Option<Text<'a>>,
    /// Who acted.
    #[serde(borrow, default, deserialize_with = "object")]
    pub user: Option<NewActor<'a>>,
    /// `user`, `service`, `system` or `anonymous`.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub actor_type: Option<Text<'a>>,
    /// Who really acted, under the name of `user`.
    #[serde(borrow, default, deserialize_with = "object")]
    pub impersonator: Option<NewActor<'a>>,
    /// For whom `user` acted.
    #[serde(borrow, default, deserialize_with = "object")]
    pub on_behalf_of: Option<NewActor<'a>>,
    /// The organization in whose scope the action lies.
    #[serde(borrow, default, deserialize_with = "object")]
    pub organization: Option<NewOrganization<'a>>,
    /// Address of the client, v4 or v6.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub ip: Option<Text<'a>>,
    /// User agent of the client.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub user_agent: Option<Text<'a>>,
    /// UUID of the request.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub request_id: Option<Text<'a>>,
    /// What was done; an action of the registry.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub action: Option<Text<'a>>,
    /// The type of what it was done to; a type of the registry.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub resource_type: Option<Text<'a>>,
    /// Identity of the resource: any text up to 200 bytes.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub resource_id: Option<Text<'a>>,
    /// Name of the resource.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub resource_target: Option<Text<'a>>,
    /// Icon of the resource, an address or path.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub resource_icon: Option<Text<'a>>,
    /// HTTP status of the action; 200 when absent.
    #[serde(default)]
    pub status_code: Option<u16>,
    /// Why a workspace build ran.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub build_reason: Option<Text<'a>>,
    /// The whole resource before the action.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub before: Option<&'a RawValue>,
    /// The whole resource after the action.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub after: Option<&'a RawValue>,
    /// A ready diff instead of `before` and `after`.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub diff: Option<&'a RawValue>,
    /// An object with anything else worth keeping; stored to the letter.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub additional_fields: Option<&'a RawValue>,
    /// Name of the producer, for completeness checks.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub source: Option<Text<'a>>,
    /// Running number of this event at its producer.
    #[serde(default)]
    pub source_seq: Option<u64>,
}

/// A person or service in an event, as they were at that moment.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewActor<'a> {
    /// Identity; any text up to 200 bytes. Not personal data by default.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub id: Option<Text<'a>>,
    /// Log-in name.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub username: Option<Text<'a>>,
    /// E-mail address.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub email: Option<Text<'a>>,
    /// Name for people.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub name: Option<Text<'a>>,
    /// Picture.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub avatar_url: Option<Text<'a>>,
    /// Roles at that moment. Not personal data by default.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
    pub roles: Option<Vec<Text<'a>>>,
}

/// An organization in an event, as it was at that moment.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewOrganization<'a> {
    /// Identity; any text up to 200 bytes.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub id: Option<Text<'a>>,
    /// Short name, as in addresses.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub name: Option<Text<'a>>,
    /// Name for people.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub display_name: Option<Text<'a>>,
    /// Icon, an address or path.
    #[serde(borrow, default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub icon: Option<Text<'a>>,
}

/// One thing wrong with one event of a request.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Fault {
    /// Which event of the request, from 0.
    pub index: usize,
    /// JSON Pointer inside the event; empty for the event as a whole.
    pub pointer: String,
    /// What is wrong and what is expected.
    pub detail: String,
    /// What to do next, where that can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Takes an object or null. A derived struct alone would also take a list, by position.
fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Object<T>(std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_unit<E>(self) -> Result<Option<T>, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
    deserializer.deserialize_any(Object(std::marker::PhantomData))
}

/// Reads one event from its JSON text.
///
/// # Errors
/// A [`Fault`] of index 0 that names the member and the expected type.
pub fn read_event(text: &str) -> Result<NewEvent<'_>, Box<Fault>> {
    if !text.trim_ascii_start().starts_with('{') {
        let detail = "an event is a JSON object".to_owned();
        return Err(Box::new(Fault { index: 0, pointer: String::new(), detail, hint: None }));
    }
    serde_json::from_str(text).map_err(|_| Box::new(locate(text)))
}

/// Reads a second time to learn the place of a failure; only a bad event pays for this.
fn locate(text: &str) -> Fault {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let result: Result<NewEvent<'_>, _> = serde_path_to_error::deserialize(&mut deserializer);
    let (pointer, detail) = match result {
        Err(error) => {
            use serde_path_to_error::Segment;
            let mut pointer = String::new();
            for segment in error.path() {
                pointer.push('/');
                match segment {
                    Segment::Seq { index } => pointer.push_str(&index.to_string()),
                    Segment::Map { key } => pointer.push_str(&crate::json::escape_pointer(key)),
                    Segment::Enum { .. } | Segment::Unknown => pointer.push('?'),
                }
            }
            (pointer, crate::json::plain_message(error.inner()))
        }
        Ok(_) => (String::new(), "trailing characters after the event".to_owned()),
    };
    Fault { index: 0, pointer, detail, hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_member_and_null_as_absent() {
        let event = read_event(r#"{"action":"write","resource_type":"template","resource_target":"do\u0063ker","user":{"roles":["owner"]},"ip":null}"#).unwrap();
        assert_eq!(event.resource_target.unwrap().as_str(), "docker");
        assert!(event.ip.is_none());
    }

    #[test]
    fn faults_name_the_member() {
        let cases = [
            (
                r#"{"user":{"roles":["a",5]}}"#,
                "/user/roles/1",
                "invalid type: integer `5`, expected a string",
            ),
            (r#"{"status_code":70000}"#, "/status_code", "invalid value: integer `70000`, expected u16"),
            (r#"{"acton":"write"}"#, "/acton", "unknown field `acton`, expected one of"),
            (r#"{"action":"a","action":"b"}"#, "", "duplicate field `action`"),
            (r#"[]"#, "", "an event is a JSON object"),
            (r#"{"user":[]}"#, "/user", "invalid type: sequence, expected an object"),
        ];
        for (text, pointer, detail) in cases {
            let fault = read_event(text).unwrap_err();
            assert_eq!(fault.pointer, pointer, "{text}: {}", fault.detail);
            assert!(fault.detail.starts_with(detail), "{text}: {}", fault.detail);
        }
    }
}
