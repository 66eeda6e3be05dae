//! Who asks: the user of a session or token, as whom the events of the request are recorded.

use std::sync::Arc;

use annals_client::AuditContext;
use axum::extract::Request;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::app::{App, actor, actor_type};
use crate::database::Transaction;
use crate::fault::Fault;
use crate::password::hash_token;
use crate::resources::{ApiKey, Asked, OrganizationMember, User};

/// Names the user in whose place an owner acts.
const IMPERSONATE: &str = "x-impersonate";

/// Who asks.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) user: User,
    pub(crate) impersonator: Option<User>,
    /// The session or token with which they came.
    pub(crate) key: ApiKey,
}

impl Caller {
    fn of(app: &App, headers: &HeaderMap) -> Result<Caller, Fault> {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = bearer.and_then(|value| value.strip_prefix("Bearer ")).ok_or(Fault::Unauthorized)?;
        let rows = app.begin()?;
        let key: ApiKey = rows.find(&hash_token(token))?.ok_or(Fault::Unauthorized)?;
        let user: User = rows.find(&key.user_id)?.ok_or(Fault::Unauthorized)?;
        if user.status != "active" || key.expires_at <= app.now() {
            return Err(Fault::Unauthorized);
        }
        let Some(name) = headers.get(IMPERSONATE) else {
            return Ok(Caller { user, impersonator: None, key });
        };
        // Before the name is looked up: others are not told which names there are.
        if !has_role(&user, "owner") {
            return Err(Fault::Forbidden);
        }
        let name = name.to_str().map_err(|_| Fault::BadRequest(format!("`{IMPERSONATE}` is no name")))?;
        let other = rows.named::<User>("", name)?.filter(|other| other.status == "active");
        Ok(Caller { user: other.ok_or(Fault::NotFound("user"))?, impersonator: Some(user), key })
    }

    pub(crate) fn is_owner(&self) -> bool {
        has_role(&self.user, "owner")
    }

    /// Refuses who has neither this role nor that of an owner.
    pub(crate) fn must_be(&self, role: &str) -> Result<(), Fault> {
        if self.is_owner() || has_role(&self.user, role) { Ok(()) } else { Err(Fault::Forbidden) }
    }

    /// Refuses who is neither this user, nor has the role or that of an owner.
    pub(crate) fn must_be_or(&self, user_id: &str, role: &str) -> Result<(), Fault> {
        if self.user.id == user_id { Ok(()) } else { self.must_be(role) }
    }

    /// Refuses who acts in the place of another: what would outlive that, or is nobody else's to see.
    pub(crate) fn must_be_themselves(&self) -> Result<(), Fault> {
        if self.impersonator.is_none() { Ok(()) } else { Err(Fault::Forbidden) }
    }

    /// Refuses who may not manage a user: one with roles is managed by owners alone.
    pub(crate) fn must_manage(&self, user: &User) -> Result<(), Fault> {
        self.must_be(if user.rbac_roles.is_empty() { "user-admin" } else { "owner" })
    }

    /// Refuses who does not belong to an organization, besides owners.
    pub(crate) fn must_belong(&self, rows: &Transaction<'_>, organization_id: &str) -> Result<(), Fault> {
        let key = format!("{organization_id}/{}", self.user.id);
        match self.is_owner() || rows.find::<OrganizationMember>(&key)?.is_some() {
            true => Ok(()),
            false => Err(Fault::NotFound("organization")),
        }
    }

    /// The user that a path names: `me`, an id or a name.
    pub(crate) fn user_named(&self, rows: &Transaction<'_>, name: &str) -> Result<User, Fault> {
        if name == "me" {
            return Ok(self.user.clone());
        }
        let by_id = rows.find::<User>(name)?;
        by_id.map_or_else(|| rows.named("", name), |user| Ok(Some(user)))?.ok_or(Fault::NotFound("user"))
    }

    /// What a job keeps of who asked for it.
    pub(crate) fn asked(context: &AuditContext) -> Asked {
        let names = ["user", "actor_type", "impersonator", "request_id", "ip", "user_agent"];
        Asked(names.iter().filter_map(|name| Some(((*name).to_owned(), context.member(name)?))).collect())
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Caller, Fault> {
        let caller = Caller::of(app, &parts.headers)?;
        if let Some(audit) = parts.extensions.get::<AuditContext>() {
            audit.with("user", actor(&caller.user));
            audit.with("actor_type", actor_type(&caller.user));
            if let Some(impersonator) = &caller.impersonator {
                audit.with("impersonator", actor(impersonator));
            }
        }
        Ok(caller)
    }
}

fn has_role(user: &User, wanted: &str) -> bool {
    user.rbac_roles.iter().any(|role| role == wanted)
}

/// Where the clock was set, events get its time.
pub(crate) async fn stamp(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if let (Some(time), Some(audit)) = (app.clock.set(), request.extensions().get::<AuditContext>()) {
        audit.with("time", time.to_string());
    }
    next.run(request).await
}
