//! `GET /api/openapi.json`: the API described, made from the handlers.

use axum::Json;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::api::{
    counts, events, evidence, export, health, manifests, metrics, proof, resources, search, sources, stream,
};
use crate::auth::{Caller, SESSION_COOKIE};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Annals",
        description = "The audit log of a deployment. The search API has the shape of Coder's; everything beyond is a superset.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        search::search_events,
        search::show_event,
        counts::show_histogram,
        counts::show_facets,
        stream::stream_events,
        export::export_events,
        events::append_events,
        evidence::show_evidence,
        proof::show_receipt,
        proof::show_proof,
        proof::show_checkpoint,
        proof::show_consistency,
        proof::show_tile,
        sources::list_sources,
        manifests::list_manifests,
        manifests::show_manifest,
        resources::show_resources,
        resources::register_resources,
        health::show_health,
        health::show_readiness,
        metrics::show_metrics,
    ),
    modifiers(&Credentials),
)]
struct Api;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        let coder = ApiKey::Header(ApiKeyValue::new("Coder-Session-Token"));
        components.add_security_scheme("coder_token", SecurityScheme::ApiKey(coder));
        let session = ApiKey::Cookie(ApiKeyValue::new(SESSION_COOKIE));
        components.add_security_scheme("session", SecurityScheme::ApiKey(session));
    }
}

/// Returns the description of the API as OpenAPI 3.1.
///
/// # Panics
/// Never: the description is made of plain values.
pub fn openapi_json() -> serde_json::Value {
    serde_json::to_value(Api::openapi()).expect("a description made of plain values serialises")
}

/// Shows the description of the API.
pub(crate) async fn show_openapi(Caller(_): Caller) -> Json<serde_json::Value> {
    Json(openapi_json())
}
