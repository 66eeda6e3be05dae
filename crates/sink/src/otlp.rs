//! Logs of OpenTelemetry: OTLP over HTTP, binary.
//!
//! Source: the OpenTelemetry protocol, version 1.7, section OTLP/HTTP.

use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value as Any,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use reqwest::Url;
use reqwest::header::{self, HeaderValue};
use serde_json::Value;

use crate::http::{self, Http};
use crate::kind::{Kind, Surroundings};
use crate::reason::{later, later_after, refused};
use crate::setting::{Setting, SettingFault, SettingKind, Settings};
use crate::{BatchLimits, Outcome, Outgoing, SendError, Sink, Which, tls};

const URL: &str = "url";
const SERVICE_NAME: &str = "service_name";

/// The collector takes 20 MiB a request by default; some hosted receivers take a few, and a record is larger than its line.
const LIMITS: BatchLimits = BatchLimits { events: 1_000, bytes: 1024 * 1024 };

pub(crate) const KIND: Kind = Kind {
    name: "otlp",
    label: "OpenTelemetry",
    about: "Sends events as log records of OpenTelemetry (OTLP over HTTP); the collector's answer acknowledges them.",
    settings: &[
        Setting::new(
            URL,
            "Address",
            "Address of the collector, such as `https://collector.example.com:4318`.",
            SettingKind::Line,
        )
        .required(),
        http::HEADERS,
        Setting::new(
            SERVICE_NAME,
            "Service",
            "Name of the service in records, such as `annals`.",
            SettingKind::Line,
        )
        .or("annals"),
        http::GZIP.or("true"),
        http::TIMEOUT,
        tls::CA,
        tls::CLIENT_CERT,
        tls::CLIENT_KEY,
    ],
    is_local: false,
    is_single: false,
    open,
};

fn open(settings: &Settings, surroundings: &Surroundings) -> Result<Box<dyn Sink>, SettingFault> {
    let url = http::read_url(URL, settings.get(URL), "put secrets into `headers`", surroundings)?;
    let url = http::with_path(&url, "/v1/logs");
    let resource = Resource {
        attributes: vec![
            attribute("service.name", text(settings.get(SERVICE_NAME))),
            attribute("service.version", text(surroundings.version)),
            attribute("annals.origin", text(&surroundings.origin)),
            attribute("annals.stream", text(&surroundings.stream)),
        ],
        ..Resource::default()
    };
    let http = Http::open(settings, surroundings, &url, &[])?;
    Ok(Box::new(Otlp { http, url, resource, version: surroundings.version, is_json: surroundings.is_json }))
}

#[derive(Debug)]
struct Otlp {
    http: Http,
    url: Url,
    resource: Resource,
    version: &'static str,
    is_json: bool,
}

impl Sink for Otlp {
    fn limits(&self) -> BatchLimits {
        LIMITS
    }

    fn acknowledges_each(&self) -> bool {
        true
    }

    fn send(&mut self, batch: &[Outgoing]) -> Result<(), SendError> {
        let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"))];
        let answer = self.http.post(&self.url, &headers, self.request(batch).encode_to_vec())?;
        let words = |said: Option<&str>| self.http.words(&self.url, &answer, said);
        match answer.status.as_u16() {
            200..=299 => {}
            // The body of a refusal is a message of protobuf, which has readable texts but is none.
            400 | 413 | 422 => return Err(refused(words(None), Which::All)),
            300..=399 => return Err(later(words(Some("redirects are not followed")))),
            401 | 403 => return Err(later(words(Some("check `headers`")))),
            404 => return Err(later(words(Some("check `url`")))),
            _ => return Err(later_after(words(None), answer.retry_after)),
        }
        let response = ExportLogsServiceResponse::decode(answer.body.as_slice())
            .map_err(|_| later(words(Some("that is no collector of OpenTelemetry"))))?;
        // A success with a message is a warning to us, and no event is missing.
        let partial = response.partial_success.filter(|partial| partial.rejected_log_records > 0);
        match partial {
            None => Ok(()),
            Some(partial) => {
                let rejected = usize::try_from(partial.rejected_log_records).unwrap_or(usize::MAX);
                let which = if rejected >= batch.len() { Which::All } else { Which::Some };
                let said = format!("{rejected} records rejected: {}", partial.error_message);
                Err(refused(words(Some(&said)), which))
            }
        }
    }
}

impl Otlp {
    fn request(&self, batch: &[Outgoing]) -> ExportLogsServiceRequest {
        let scope = InstrumentationScope {
            name: "annals".to_owned(),
            version: self.version.to_owned(),
            ..InstrumentationScope::default()
        };
        let log_records = batch.iter().map(|event| self.record(event)).collect();
        let scope_logs = vec![ScopeLogs { scope: Some(scope), log_records, schema_url: String::new() }];
        let resource = Some(self.resource.clone());
        ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs { resource, scope_logs, schema_url: String::new() }],
        }
    }

    fn record(&self, event: &Outgoing) -> LogRecord {
        let (severity, severity_text) = match event.outcome {
            Outcome::Success => (SeverityNumber::Info, "INFO"),
            Outcome::Denied | Outcome::Failure => (SeverityNumber::Warn, "WARN"),
        };
        let parsed = self.is_json.then(|| serde_json::from_str(&event.line).ok()).flatten();
        LogRecord {
            time_unix_nano: nanos(event.time_us),
            observed_time_unix_nano: nanos(event.received_us),
            severity_number: severity as i32,
            severity_text: severity_text.to_owned(),
            event_name: "audit_log".to_owned(),
            body: Some(parsed.map_or_else(|| text(&event.line), any_value)),
            attributes: vec![
                attribute("log.record.uid", text(&event.id)),
                // A seq beyond the numbers of the protocol is far beyond any log.
                attribute(
                    "annals.seq",
                    Any::IntValue(i64::try_from(event.seq).unwrap_or(i64::MAX)).into_value(),
                ),
                attribute("annals.action", text(&event.action)),
                attribute("annals.resource_type", text(&event.resource_type)),
            ],
            ..LogRecord::default()
        }
    }
}

/// Nanoseconds since 1970; 0, which stands for an unknown time, for what is before or too far after.
fn nanos(micros: i64) -> u64 {
    u64::try_from(micros).ok().and_then(|micros| micros.checked_mul(1_000)).unwrap_or(0)
}

trait IntoValue {
    fn into_value(self) -> AnyValue;
}

impl IntoValue for Any {
    fn into_value(self) -> AnyValue {
        AnyValue { value: Some(self) }
    }
}

fn text(text: &str) -> AnyValue {
    Any::StringValue(text.to_owned()).into_value()
}

fn attribute(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// A JSON value in the protocol's own form. Whole numbers that fit are exact, others are the nearest double.
fn any_value(value: Value) -> AnyValue {
    match value {
        Value::Null => AnyValue { value: None },
        Value::Bool(is_true) => Any::BoolValue(is_true).into_value(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Any::IntValue(whole).into_value(),
            None => Any::DoubleValue(number.as_f64().unwrap_or_default()).into_value(),
        },
        Value::String(text) => Any::StringValue(text).into_value(),
        Value::Array(values) => {
            let values = values.into_iter().map(any_value).collect();
            Any::ArrayValue(ArrayValue { values }).into_value()
        }
        Value::Object(members) => {
            let values = members.into_iter().map(|(key, value)| attribute(&key, any_value(value))).collect();
            Any::KvlistValue(KeyValueList { values }).into_value()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_form() {
        let json = r#"{"a":9223372036854775807,"b":18446744073709551615,"c":null,"d":[1.5,true,"x"]}"#;
        let AnyValue { value: Some(Any::KvlistValue(list)) } = any_value(serde_json::from_str(json).unwrap())
        else {
            panic!("an object is a list of members")
        };
        let values: Vec<Option<Any>> =
            list.values.into_iter().map(|member| member.value.and_then(|value| value.value)).collect();
        assert_eq!(values[0], Some(Any::IntValue(i64::MAX)));
        assert_eq!(values[1], Some(Any::DoubleValue(18_446_744_073_709_551_615.0)));
        assert_eq!(values[2], None);
        let Some(Any::ArrayValue(array)) = &values[3] else { panic!("an array is one") };
        assert_eq!(
            array.values,
            [Any::DoubleValue(1.5).into_value(), Any::BoolValue(true).into_value(), text("x")]
        );
    }

    #[test]
    fn a_time_before_1970_is_unknown() {
        assert_eq!((nanos(1), nanos(-1), nanos(i64::MAX)), (1_000, 0, 0));
    }
}
