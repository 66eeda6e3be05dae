//! Who connects to which workspace, and how: recorded when it begins and when it ends, as the agent in the workspace says it.

use std::sync::Arc;

use annals_client::Audit;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;

use crate::app::App;
use crate::caller::Caller;
use crate::fault::Fault;
use crate::resources::Workspace;
use crate::workspaces::{find, of_workspace};

/// How somebody gets into a workspace.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ConnectionType {
    /// A terminal in the browser.
    WebTerminal,
    /// An app in the browser, such as the editor.
    WebApp,
    Ssh,
    Vscode,
    Jetbrains,
}

impl ConnectionType {
    /// Action, resource type and target: what is reached is the workspace itself, its agent, or an app in it.
    fn event(self, workspace: &Workspace, is_end: bool) -> (&'static str, &'static str, String) {
        let agent = "workspace_agent";
        match self {
            ConnectionType::WebTerminal if !is_end => ("ssh", "workspace", workspace.name.clone()),
            ConnectionType::WebApp if is_end => ("close", "workspace_app", "code-server".to_owned()),
            ConnectionType::WebApp => ("open", "workspace_app", "code-server".to_owned()),
            _ if is_end => ("disconnect", agent, "main".to_owned()),
            _ => ("connect", agent, "main".to_owned()),
        }
    }

    fn words(self) -> &'static str {
        match self {
            ConnectionType::WebTerminal => "web terminal",
            ConnectionType::WebApp => "web app",
            ConnectionType::Ssh => "SSH",
            ConnectionType::Vscode => "VS Code",
            ConnectionType::Jetbrains => "JetBrains",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connection {
    #[serde(rename = "type")]
    connection_type: ConnectionType,
}

/// Lets the caller in.
pub(crate) async fn begin(
    app: State<Arc<App>>,
    caller: Caller,
    audit: Audit<Workspace>,
    id: Path<String>,
    body: Json<Connection>,
) -> Result<StatusCode, Fault> {
    record(app, caller, audit, id, body, false)
}

/// Notes that the caller left.
pub(crate) async fn end(
    app: State<Arc<App>>,
    caller: Caller,
    audit: Audit<Workspace>,
    id: Path<String>,
    body: Json<Connection>,
) -> Result<StatusCode, Fault> {
    record(app, caller, audit, id, body, true)
}

fn record(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut audit: Audit<Workspace>,
    Path(id): Path<String>,
    Json(Connection { connection_type }): Json<Connection>,
    is_end: bool,
) -> Result<StatusCode, Fault> {
    let rows = app.begin()?;
    let (workspace, owner) = find(&rows, &id)?;
    of_workspace(&mut audit, &rows, &caller, &workspace, &owner)?;
    let (action, resource_type, target) = connection_type.event(&workspace, is_end);
    let mut fields = crate::app::workspace_fields(&workspace, &owner.username);
    fields["connection_type"] = connection_type.words().into();
    audit.action(action).with("resource_type", resource_type).with("resource_target", target);
    audit.with("resource_id", workspace.id.clone()).with("additional_fields", fields);
    caller.must_be_or(&owner.id, "owner")?;
    // Who leaves may do so also when it has stopped.
    if !workspace.is_running && !is_end {
        return Err(Fault::Conflict("start the workspace first".to_owned()));
    }
    rows.put(&Workspace { last_used_at: app.now(), ..workspace })?;
    rows.commit()?;
    Ok(StatusCode::NO_CONTENT)
}
