//! What is around every page for someone who is signed in.

use annals_engine::{Principal, Role};

use super::format;

/// In the address of each asset, so that a browser keeps it until the next release.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A page of the menu Manage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Audit,
    Tracked,
    QueryHelp,
}

/// The top bar.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) version: &'static str,
    pub(super) section: Section,
    pub(super) username: String,
    pub(super) initials: String,
    pub(super) tint: u32,
    pub(super) role: &'static str,
    pub(super) may_read: bool,
}

impl Shell {
    pub(super) fn new(principal: &Principal, section: Section) -> Shell {
        let username = principal.person().map(|person| person.username.clone()).unwrap_or_default();
        let role = match principal.person().map(|person| person.role) {
            Some(Role::SiteManager) => "Site manager",
            Some(Role::Auditor) => "Auditor",
            Some(Role::Member) => "Member",
            None => "",
        };
        Shell {
            version: VERSION,
            section,
            initials: format::initials(&username),
            tint: format::tint(&username),
            username,
            role,
            may_read: principal.may_read().is_ok(),
        }
    }

    pub(super) fn section_name(&self) -> &'static str {
        match self.section {
            Section::Audit => "Audit",
            Section::Tracked => "Tracked events",
            Section::QueryHelp => "Query language",
        }
    }

    pub(super) fn section_href(&self) -> &'static str {
        match self.section {
            Section::Audit => "/audit",
            Section::Tracked => "/audit/tracked",
            Section::QueryHelp => "/audit/query-help",
        }
    }

    pub(super) fn is_audit(&self) -> bool {
        self.section == Section::Audit
    }

    pub(super) fn is_tracked(&self) -> bool {
        self.section == Section::Tracked
    }

    pub(super) fn is_query_help(&self) -> bool {
        self.section == Section::QueryHelp
    }
}
