//! The 37 settings of the admin panels, under the names that the published tables give their events.
//!
//! A panel is a struct; a change of it is an event of type `admin_setting`, whose target is the one of its rows.

use std::sync::Arc;

use annals_client::{Audit, Auditable};
use axum::Json;
use axum::extract::State;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::app::App;
use crate::caller::Caller;
use crate::database::{Stored, Transaction};
use crate::fault::Fault;
use crate::password::hash_token;
use crate::resources::view;
use crate::users::check_text;

/// A panel, or a part of one whose settings have the same target.
pub(crate) trait Panel: Auditable + Serialize + DeserializeOwned + Default + Clone + Send {
    /// The target of its events.
    const TARGET: &'static str;
}

macro_rules! panels {
    ($($panel:ident => $target:literal),* $(,)?) => {$(
        impl Panel for $panel {
            const TARGET: &'static str = $target;
        }
    )*};
}

panels! {
    Infrastructure => "infrastructure",
    Features => "features",
    Extensions => "*",
    DevUrlAccess => "devurl access",
    OauthConfigs => "oauth configs",
    SystemBanner => "system banner",
    Appearance => "appearance",
    Telemetry => "telemetry",
    TemplatePolicy => "local",
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, Auditable)]
#[serde(default, deny_unknown_fields)]
#[audit(type = "admin_setting", crate = "annals_client::model")]
pub(crate) struct Infrastructure {
    #[audit(track, rename = "access URL")]
    access_url: String,
    #[audit(track, rename = "gpu vendor")]
    gpu_vendor: String,
    #[audit(track, rename = "enable container vms")]
    enable_container_vms: bool,
    #[audit(track, rename = "enabled cached container vms")]
    enable_caching: bool,
    #[audit(track, rename = "enable load shiftfs")]
    enable_load_shiftfs: bool,
    #[audit(track, rename = "default container vms")]
    default_container_vms: bool,
    #[audit(track, rename = "default registry enabled")]
    default_registry_enabled: bool,
    #[audit(track, rename = "memory overprovisioning enabled")]
    memory_overprovisioning_enabled: bool,
    #[audit(track, rename = "enable workspaces as code")]
    enable_workspaces_as_code: bool,
}

/// `enabled` or `disabled` each; nothing here depends on them.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Auditable)]
#[serde(default, deny_unknown_fields)]
#[audit(type = "admin_setting", crate = "annals_client::model")]
pub(crate) struct Features {
    #[audit(track, rename = "coder agent pull assets")]
    self_contained_builds: String,
    #[audit(track, rename = "exectrace")]
    process_logging: String,
    // The published table gives the TUN device the field of the FUSE device, and the other way round.
    #[audit(track, rename = "fuse device")]
    tun_device: String,
    #[audit(track, rename = "tun device")]
    fuse_device: String,
    #[audit(track, rename = "ecr auth irsa")]
    ecr_auth: String,
    #[audit(track, rename = "azure auth aad")]
    azure_auth: String,
    // The published table has no field for it, so its events have no diff.
    #[audit(ignore)]
    fallback_shell: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, Auditable)]
#[serde(default, deny_unknown_fields)]
#[audit(type = "admin_setting", crate = "annals_client::model")]
pub(crate) struct Extensions {
    /// `public` or `custom`.
    #[audit(track, rename = "ext marketplace type")]
    marketplace_type: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, Auditable)]
#[serde(default, deny_unknown_fields)]
#[audit(type = "admin_setting", crate = "annals_client::model")]
pub(crate) struct DevUrlAccess {
    #[audit(track)]
    public: bool,
    #[audit(track)]
    org: bool,
    #[audit(track)]
    authed: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, Auditable)]
#[serde(default, deny_unknown_fields)]
#[audit(type = "admin_setting", crate = "annals_client::model")]
pub(crate) struct OauthConfigs {
    #[audit(abbreviate, rename = "client id")]
    client_id: String,
    #[audit(secret, rename = "client secret", mask = "******")]
    client_secret: String,
    #[audit(track)]
    description: String,
    #[audit(track)]
    name: String,
    /// `github` or `gitlab`.
    #[audit(track, rename = "service type")]
    service_type: String,
    #[audit(track, rename = "URL host")]
    url_host: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, Auditable)]
#[serde(default, deny_unknown_fields)]
#[audit(type = "admin_setting", crate = "annals_client::model")]
pub(crate) struct SystemBanner {
    #[audit(track)]
    enabled: bool,
    #[audit(track, rename = "color bg")]
    color: String,
    #[audit(track, rename = "text footer")]
    footer: String,
    #[audit(track, rename = "text header")]
    header: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, Auditable)]
#[serde(default, deny_unknown_fields)]
#[audit(type = "admin_setting", crate = "annals_client::model")]
pub(crate) struct Appearance {
    #[audit(track, rename = "svc banner enabled")]
    service_banner_enabled: bool,
    #[audit(track, rename = "svc banner color bg")]
    service_banner_color: String,
    #[audit(track, rename = "svc banner body")]
    service_banner_message: String,
    // The published table seems to have the next two rows crossed; the strings are kept.
    #[audit(track, rename = "tos body")]
    terms_of_service: String,
    #[audit(track, rename = "tos enabled")]
    terms_enabled: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, Auditable)]
#[serde(default, deny_unknown_fields)]
#[audit(type = "admin_setting", crate = "annals_client::model")]
pub(crate) struct Telemetry {
    #[audit(track, rename = "crash reports enabled")]
    crash_reports: bool,
    // As in the published table: usage telemetry under the name of the enhanced one, and the other way round.
    #[audit(track, rename = "enhanced telemetry enabled")]
    usage: bool,
    #[audit(track, rename = "telemetry enabled")]
    enhanced_usage: bool,
}

/// The policy of templates, uploaded as a file. One from a disk has `local` as its path and reference.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Auditable)]
#[serde(default, deny_unknown_fields)]
#[audit(type = "admin_setting", crate = "annals_client::model")]
pub(crate) struct TemplatePolicy {
    #[audit(abbreviate)]
    commit: String,
    #[audit(abbreviate, rename = "file hash")]
    file_hash: String,
    #[audit(track)]
    filepath: String,
    #[audit(track, rename = "git ref")]
    git_ref: String,
    #[audit(track, rename = "From")]
    from: String,
    #[audit(ignore)]
    policy: String,
}

/// A panel as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    target: String,
    body: Value,
}

impl Stored for Row {
    const KIND: &'static str = "setting";

    fn key(&self) -> String {
        self.target.clone()
    }

    fn scope(&self) -> &'static str {
        ""
    }

    fn name(&self) -> String {
        self.target.clone()
    }
}

fn load<P: Panel>(rows: &Transaction<'_>) -> Result<P, Fault> {
    let row = rows.find::<Row>(P::TARGET)?;
    Ok(row.map(|row| serde_json::from_value(row.body)).transpose()?.unwrap_or_default())
}

fn store<P: Panel>(rows: &Transaction<'_>, panel: &P) -> Result<(), Fault> {
    rows.put(&Row { target: P::TARGET.to_owned(), body: serde_json::to_value(panel)? })
}

/// Shows a panel.
pub(crate) async fn show<P: Panel>(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Value>, Fault> {
    caller.must_be("owner")?;
    Ok(Json(view(&load::<P>(&app.begin()?)?)))
}

/// Changes a panel: what is named in the body.
pub(crate) async fn write<P: Panel>(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<P>,
    Json(changes): Json<Map<String, Value>>,
) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    let old: P = load(&rows)?;
    audit.with("resource_target", P::TARGET).before(old.clone());
    caller.must_be("owner")?;
    let mut members = match serde_json::to_value(&old)? {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    members.extend(changes);
    for value in members.values().filter_map(Value::as_str) {
        check_text("a setting", value)?;
    }
    let new: P =
        serde_json::from_value(members.into()).map_err(|error| Fault::BadRequest(error.to_string()))?;
    store(&rows, &new)?;
    rows.commit()?;
    audit.after(new.clone());
    Ok(Json(view(&new)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upload {
    policy: String,
}

/// Takes a file with the policy of templates.
pub(crate) async fn upload_policy(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<TemplatePolicy>,
    Json(body): Json<Upload>,
) -> Result<Json<Value>, Fault> {
    let rows = app.begin()?;
    let old: TemplatePolicy = load(&rows)?;
    audit.with("resource_target", TemplatePolicy::TARGET).before(old);
    caller.must_be("owner")?;
    let new = TemplatePolicy {
        commit: "0".repeat(40),
        file_hash: hash_token(&body.policy),
        filepath: "local".to_owned(),
        git_ref: "local".to_owned(),
        from: "User".to_owned(),
        policy: body.policy,
    };
    store(&rows, &new)?;
    rows.commit()?;
    audit.after(new.clone());
    Ok(Json(view(&new)))
}
