//! CloudTrail's records.
//!
//! The service is the resource type (`s3.amazonaws.com` is `aws.s3`), the API call the action, in lower case. The
//! whole record is kept to the letter under `cloudtrail` in the additional fields.

mod names;

use std::borrow::Cow;

use annals_model::json;
use annals_model::limits::{ID_BYTES_MAX, TEXT_BYTES_MAX};
use annals_model::registry::KIND_BYTES_MAX;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::event::{ImportedActor, ImportedEvent, ImportedOrganization, cut, text};
use super::vocabulary::{ResourceWord, Vocabulary, Word, Words};

/// An event and the words that the registry must know for it.
#[derive(Debug)]
pub(super) struct Converted {
    pub(super) line: String,
    pub(super) resource_type: String,
    pub(super) words: Words,
}

/// Makes an event of a record.
///
/// A call for whose action the registry has no room is recorded under a general one.
///
/// # Errors
/// Why it is no record of CloudTrail.
pub(super) fn convert(record: &str, vocabulary: &Vocabulary) -> Result<Converted, String> {
    let raw: &RawValue = serde_json::from_str(record).map_err(|error| error.to_string())?;
    let object: Map<String, Value> =
        serde_json::from_str(record).map_err(|_| "a record is a JSON object".to_owned())?;
    for required in ["eventID", "eventTime", "eventSource", "eventName"] {
        if text(&object, required).is_empty() {
            return Err(format!("no CloudTrail record: `{required}` is missing"));
        }
    }
    let call = text(&object, "eventName");
    let service = text(&object, "eventSource").split('.').next().unwrap_or_default();
    let noun = names::service_noun(service);
    let action = word(call, "call");
    let resource_type = format!("aws.{}", inner_word(service, KIND_BYTES_MAX - 4));
    let new_resource = || ResourceWord::unnamed(resource_type.clone(), noun);
    let new_action = || Word::action(action.clone(), "CloudTrail", call, &names::wording(call));
    let words = Words {
        resource: (!vocabulary.knows_resource(&resource_type)).then(new_resource),
        actions: (!vocabulary.knows_action(&action)).then(new_action).into_iter().collect(),
        fields: Vec::new(),
    };
    let is_refused = vocabulary.is_refused(&action);
    let action = if is_refused { Cow::Borrowed(names::general_action(call)) } else { Cow::Owned(action) };

    let identity = object.get("userIdentity").and_then(Value::as_object);
    let source = text(&object, "sourceIPAddress");
    let request_id = text(&object, "requestID");
    let account = match text(&object, "recipientAccountId") {
        "" => identity.map_or("", |identity| text(identity, "accountId")),
        account => account,
    };
    let (resource_id, target) = resource(&object, service);
    let event = ImportedEvent {
        id: text(&object, "eventID").into(),
        time: text(&object, "eventTime").into(),
        user: identity.map(actor).unwrap_or_default(),
        actor_type: actor_type(identity, source).into(),
        organization: ImportedOrganization { id: account.into(), ..ImportedOrganization::default() },
        ip: if source.parse::<std::net::IpAddr>().is_ok() { source.into() } else { "".into() },
        user_agent: cut(text(&object, "userAgent"), TEXT_BYTES_MAX).into(),
        request_id: if is_uuid(request_id) { request_id.into() } else { "".into() },
        action,
        resource_type: resource_type.as_str().into(),
        resource_id: resource_id.into(),
        resource_target: if target.is_empty() { noun.to_owned().into() } else { target.into() },
        status_code: Some(status_code(&object)),
        additional_fields: Some(additional_fields(raw)),
        source: "cloudtrail".into(),
        ..ImportedEvent::default()
    };
    let line = serde_json::to_string(&event).map_err(|error| error.to_string())?;
    Ok(Converted { line, resource_type, words })
}

/// A name in the form that the registry takes.
fn word(text: &str, prefix: &str) -> String {
    let inner = inner_word(text, KIND_BYTES_MAX - prefix.len() - 1);
    if inner.starts_with(|c: char| c.is_ascii_lowercase()) { inner } else { format!("{prefix}_{inner}") }
}

fn inner_word(text: &str, bytes_max: usize) -> String {
    let allowed = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '_' | '.' | ':' | '-') => c,
        _ => '_',
    };
    text.chars().take(bytes_max).map(allowed).collect()
}

fn is_uuid(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok()
}

fn additional_fields(record: &RawValue) -> Box<RawValue> {
    let mut fields = b"{\"cloudtrail\":".to_vec();
    json::push_compact(&mut fields, record);
    fields.push(b'}');
    let fields = String::from_utf8(fields).expect("JSON made of JSON is a text");
    RawValue::from_string(fields).expect("an object around JSON is JSON")
}

fn actor(identity: &Map<String, Value>) -> ImportedActor<'_> {
    let (arn, principal) = (text(identity, "arn"), text(identity, "principalId"));
    let (invoker, account) = (text(identity, "invokedBy"), text(identity, "accountId"));
    let fits = |id: &&str| !id.is_empty() && id.len() <= ID_BYTES_MAX;
    let id = [arn, principal, invoker, account].into_iter().find(fits).unwrap_or_default();
    // `arn:aws:sts::1:assumed-role/ROLE/SESSION`: the session says who stands behind the role.
    let within = arn.splitn(6, ':').nth(5).unwrap_or_default();
    let within = within.split_once('/').map_or(within, |(_, name)| name);
    let last = within.rsplit('/').next().unwrap_or_default();
    let (username, name) = match text(identity, "type") {
        "Root" => ("root", ""),
        "AssumedRole" | "FederatedUser" if !last.is_empty() => (last, within),
        _ => {
            let names = [text(identity, "userName"), last, invoker, principal, account];
            (names.into_iter().find(|name| !name.is_empty()).unwrap_or_default(), "")
        }
    };
    ImportedActor {
        id: id.into(),
        username: cut(username, TEXT_BYTES_MAX).into(),
        name: if name == username { "".into() } else { cut(name, TEXT_BYTES_MAX).into() },
        ..ImportedActor::default()
    }
}

fn actor_type(identity: Option<&Map<String, Value>>, source: &str) -> &'static str {
    let Some(identity) = identity else { return "system" };
    let (kind, invoker) = (text(identity, "type"), text(identity, "invokedBy"));
    match kind {
        "AWSService" => "service",
        "" if !invoker.is_empty() => "service",
        // A service that works in a role of the account, such as auto scaling.
        "AssumedRole" if !invoker.is_empty() && invoker == source => "service",
        _ if text(identity, "principalId") == "ANONYMOUS_PRINCIPAL" => "anonymous",
        "" | "Unknown" if text(identity, "principalId").is_empty() && text(identity, "arn").is_empty() => {
            "anonymous"
        }
        _ => "user",
    }
}

/// Identity and name of what was called on; both empty if the record does not say.
fn resource<'r>(object: &'r Map<String, Value>, service: &str) -> (&'r str, &'r str) {
    let listed = object.get("resources").and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
    let arns = || {
        listed
            .iter()
            .filter_map(|resource| resource.get("ARN").and_then(Value::as_str))
            .filter(|arn| !arn.is_empty())
    };
    let of_service = |arn: &&str| arn.split(':').nth(2) == Some(service);
    if let Some(arn) = arns().find(of_service).or_else(|| arns().next()) {
        return (id_of(arn), arn_name(arn));
    }
    let call = text(object, "eventName");
    let request = object.get("requestParameters").filter(|value| value.is_object());
    let response = object.get("responseElements").filter(|value| value.is_object());
    let found = match names::makes_something(call) {
        // What is made has its identity in the answer; the request names what it is made in.
        true => response.and_then(names::find_name).or_else(|| request.and_then(names::find_name)),
        false => request.and_then(names::find_name).or_else(|| response.and_then(names::find_name)),
    };
    let details = || object.get("serviceEventDetails").and_then(names::find_name);
    let name = found.or_else(details).unwrap_or_default();
    if name.starts_with("arn:") {
        (id_of(name), arn_name(name))
    } else {
        (id_of(name), cut(name, TEXT_BYTES_MAX))
    }
}

/// The name as an identity; nothing rather than a part of one.
fn id_of(name: &str) -> &str {
    if name.len() <= ID_BYTES_MAX { name } else { "" }
}

/// The name that people know: `arn:aws:iam::1:role/admin` is `admin`, `arn:aws:s3:::logs/2026` is `logs/2026`.
fn arn_name(arn: &str) -> &str {
    let mut parts = arn.splitn(6, ':');
    let service = parts.nth(2).unwrap_or_default();
    let within = parts.nth(2).unwrap_or(arn);
    let name = match service {
        "s3" | "sns" | "sqs" => within,
        // The name of a parameter in a hierarchy begins with the slash.
        "ssm" if within.matches('/').count() > 1 && within.starts_with("parameter/") => {
            &within["parameter".len()..]
        }
        _ => within.split_once(['/', ':']).map_or(within, |(_, name)| name),
    };
    cut(if name.is_empty() { arn } else { name }, TEXT_BYTES_MAX)
}

fn status_code(object: &Map<String, Value>) -> u64 {
    let code = text(object, "errorCode");
    if !code.is_empty() {
        return names::status_of_error(code);
    }
    let answer = object.get("responseElements");
    let failed = answer.and_then(Value::as_object).is_some_and(|answer| {
        answer.iter().any(|(name, value)| *name == text(object, "eventName") && value == "Failure")
    });
    match (failed, text(object, "errorMessage").is_empty()) {
        (true, _) => 401,
        (false, false) => 400,
        (false, true) => 200,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn converted(changes: Value) -> Value {
        let mut record = json!({
            "eventVersion": "1.08", "eventID": "0b8b6d4e-0000-4000-8000-000000000001", "eventTime": "2026-01-02T03:04:05Z",
            "eventSource": "s3.amazonaws.com", "eventName": "DeleteBucket", "sourceIPAddress": "192.0.2.7",
            "recipientAccountId": "111122223333", "userAgent": "aws-cli", "requestID": "GXK0PSB1Y7JKAY2B",
            "userIdentity": {"type": "IAMUser", "principalId": "AIDA1", "arn": "arn:aws:iam::111122223333:user/demo-lead",
                "accountId": "111122223333", "userName": "demo-lead"},
            "requestParameters": {"bucketName": "demo-bucket"}, "responseElements": null,
        });
        for (name, value) in changes.as_object().unwrap() {
            record[name] = value.clone();
        }
        let line = convert(&record.to_string(), &Vocabulary::new(None)).unwrap().line;
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["additional_fields"]["cloudtrail"], record);
        event
    }

    #[test]
    fn converts_a_call() {
        let mut event = converted(json!({}));
        event["additional_fields"].take();
        let expect = json!({
            "id": "0b8b6d4e-0000-4000-8000-000000000001", "time": "2026-01-02T03:04:05Z", "action": "deletebucket",
            "user": {"id": "arn:aws:iam::111122223333:user/demo-lead", "username": "demo-lead"}, "actor_type": "user",
            "organization": {"id": "111122223333"}, "ip": "192.0.2.7", "user_agent": "aws-cli",
            "resource_type": "aws.s3", "resource_id": "demo-bucket", "resource_target": "demo-bucket", "status_code": 200,
            "source": "cloudtrail", "additional_fields": null,
        });
        assert_eq!(event, expect);
    }

    #[test]
    fn the_status_follows_the_error() {
        let cases = [
            ("AccessDenied", 403),
            ("AccessDeniedException", 403),
            ("Client.UnauthorizedOperation", 403),
            ("NoSuchBucketPolicy", 404),
            ("TrailNotFoundException", 404),
            ("Client.InvalidRouteTableID.NotFound", 404),
            ("InvocationDoesNotExist", 404),
            ("ThrottlingException", 429),
            ("Client.RequestLimitExceeded", 429),
            ("EntityAlreadyExists", 409),
            ("BucketNotEmpty", 409),
            ("InternalFailure", 500),
            ("Server.InternalError", 500),
            ("Client.InvalidParameterValue", 400),
        ];
        for (code, status) in cases {
            assert_eq!(converted(json!({"errorCode": code}))["status_code"], status, "{code}");
        }
        let login = json!({"eventName": "ConsoleLogin", "eventSource": "signin.amazonaws.com",
            "responseElements": {"ConsoleLogin": "Failure"}, "errorMessage": "Failed authentication"});
        assert_eq!(converted(login)["status_code"], 401);
    }

    #[test]
    fn names_who_acted() {
        let role = "arn:aws:sts::1:assumed-role/deploy/demo-session";
        let cases = [
            (json!({"type": "AssumedRole", "arn": role}), "user", "demo-session", "deploy/demo-session"),
            (json!({"type": "Root", "arn": "arn:aws:iam::1:root"}), "user", "root", ""),
            (
                json!({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}),
                "service",
                "ec2.amazonaws.com",
                "",
            ),
            (json!({"accountId": "1", "invokedBy": "ec2.amazonaws.com"}), "service", "ec2.amazonaws.com", ""),
            (json!({"type": "AWSAccount", "principalId": "AIDA2", "accountId": "2"}), "user", "AIDA2", ""),
            (
                json!({"type": "AWSAccount", "principalId": "ANONYMOUS_PRINCIPAL"}),
                "anonymous",
                "ANONYMOUS_PRINCIPAL",
                "",
            ),
        ];
        for (identity, actor_type, username, name) in cases {
            let event = converted(json!({"userIdentity": identity}));
            let shown = |key: &str| event["user"][key].as_str().unwrap_or_default().to_owned();
            assert_eq!(
                (event["actor_type"].as_str().unwrap(), shown("username").as_str(), shown("name").as_str()),
                (actor_type, username, name),
                "{identity}"
            );
        }
    }

    #[test]
    fn names_what_was_called_on() {
        let arn = |arn: &str| json!({"resources": [{"ARN": arn}], "eventSource": "x.amazonaws.com"});
        let cases = [
            (arn("arn:aws:kms:eu-west-1:1:key/0b8b"), "arn:aws:kms:eu-west-1:1:key/0b8b", "0b8b"),
            (arn("arn:aws:s3:::logs/2026"), "arn:aws:s3:::logs/2026", "logs/2026"),
            (arn("arn:aws:secretsmanager:e:1:secret:db-x"), "arn:aws:secretsmanager:e:1:secret:db-x", "db-x"),
            (
                json!({"eventName": "CreateSubnet", "requestParameters": {"vpcId": "vpc-1"},
                    "responseElements": {"subnet": {"subnetId": "subnet-1", "vpcId": "vpc-1"}}}),
                "subnet-1",
                "subnet-1",
            ),
            (
                json!({"eventName": "TerminateInstances", "eventSource": "ec2.amazonaws.com",
                    "requestParameters": {"instancesSet": {"items": [{"instanceId": "i-1"}]}}}),
                "i-1",
                "i-1",
            ),
            (json!({"requestParameters": null}), "", "S3"),
        ];
        for (changes, id, target) in cases {
            let event = converted(changes);
            let id_found = event["resource_id"].as_str().unwrap_or_default();
            assert_eq!((id_found, event["resource_target"].as_str().unwrap()), (id, target));
        }
    }

    #[test]
    fn addresses_and_ids_of_another_form_stay_in_the_record_only() {
        let event = converted(
            json!({"sourceIPAddress": "AWS Internal", "requestID": "0b8b6d4e-0000-4000-8000-00000000000a"}),
        );
        assert_eq!(
            (&event["ip"], &event["request_id"]),
            (&Value::Null, &json!("0b8b6d4e-0000-4000-8000-00000000000a"))
        );
    }

    #[test]
    fn odd_names_become_words_and_a_full_registry_falls_back() {
        assert_eq!(word("ConsoleLogin", "call"), "consolelogin");
        assert_eq!(word("2fa é", "call"), "call_2fa__");
        assert_eq!(word(&"x".repeat(300), "call").len(), KIND_BYTES_MAX - 5);
        let record = json!({"eventID": "0b8b6d4e-0000-4000-8000-000000000001", "eventTime": "2026-01-02T03:04:05Z",
            "eventSource": "s3.amazonaws.com", "eventName": "DeleteBucket"});
        let mut full = Vocabulary::new(None);
        full.add("", convert(&record.to_string(), &full).unwrap().words);
        let mut refuse = |document: &str| match document.contains("action") {
            true => Err(anyhow::anyhow!("513 actions exceed the limit of 512")),
            false => Ok(()),
        };
        assert!(full.register(&mut refuse).unwrap());
        let line = convert(&record.to_string(), &full).unwrap().line;
        assert!(line.contains(r#""action":"delete""#), "{line}");
        assert!(convert("{}", &Vocabulary::new(None)).unwrap_err().contains("eventID"));
    }
}
