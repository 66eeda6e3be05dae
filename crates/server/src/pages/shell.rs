//! What is around every page for someone who is signed in.

use annals_engine::{EngineError, LicenseState, Principal, Refusal, Role, Settings};

use super::format;
use super::page_error::PageError;
use crate::App;
use crate::auth::blocking;

/// In the address of each asset, so that a browser keeps it until the next release.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A page of the menu Manage, or of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Audit,
    Searches,
    Sources,
    Tracked,
    QueryHelp,
    People,
    Organizations,
    Tokens,
    Streams,
    Settings,
    License,
    Account,
}

impl Section {
    /// The menu, in its order: those for everyone who may read, then those for site managers.
    const MENU: [Section; 11] = [
        Section::Audit,
        Section::Searches,
        Section::Sources,
        Section::Tracked,
        Section::QueryHelp,
        Section::People,
        Section::Organizations,
        Section::Tokens,
        Section::Streams,
        Section::Settings,
        Section::License,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Section::Audit => "Audit",
            Section::Searches => "Saved searches",
            Section::Sources => "Sources",
            Section::Tracked => "Tracked events",
            Section::QueryHelp => "Query language",
            Section::People => "People",
            Section::Organizations => "Organizations",
            Section::Tokens => "Tokens",
            Section::Streams => "Streams",
            Section::Settings => "Settings",
            Section::License => "License",
            Section::Account => "Account",
        }
    }

    pub(super) fn href(self) -> &'static str {
        match self {
            Section::Audit => "/audit",
            Section::Searches => "/searches",
            Section::Sources => "/sources",
            Section::Tracked => "/audit/tracked",
            Section::QueryHelp => "/audit/query-help",
            Section::People => "/people",
            Section::Organizations => "/organizations",
            Section::Tokens => "/tokens",
            Section::Streams => "/streams",
            Section::Settings => "/settings",
            Section::License => "/license",
            Section::Account => "/account",
        }
    }

    fn is_for_managers(self) -> bool {
        matches!(
            self,
            Section::People
                | Section::Organizations
                | Section::Tokens
                | Section::Streams
                | Section::Settings
                | Section::License
        )
    }
}

/// The lines that a site manager puts on the pages. Their colors come from a style sheet of ours.
#[derive(Debug, Default)]
pub(super) struct Banners {
    pub(super) header: String,
    pub(super) footer: String,
    pub(super) service: String,
    /// Changes with the colors, so that browsers ask again.
    pub(super) version: u64,
}

impl Banners {
    pub(super) fn new(settings: &Settings) -> Banners {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let line =
            |is_on: bool, name: &str| if is_on { settings.get(name).to_owned() } else { String::new() };
        let has_system = settings.is_on("system_banner_enabled");
        let mut hasher = DefaultHasher::new();
        (settings.get("system_banner_color"), settings.get("service_banner_color")).hash(&mut hasher);
        Banners {
            header: line(has_system, "system_banner_header"),
            footer: line(has_system, "system_banner_footer"),
            service: line(settings.is_on("service_banner_enabled"), "service_banner_message"),
            version: hasher.finish(),
        }
    }
}

/// The top bar and the banners.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) version: &'static str,
    pub(super) section: Section,
    pub(super) username: String,
    pub(super) initials: String,
    pub(super) tint: u32,
    pub(super) role: &'static str,
    pub(super) may_read: bool,
    /// The whole site is in sight, not some organizations only.
    pub(super) sees_all: bool,
    pub(super) may_manage: bool,
    pub(super) banners: Banners,
    /// What a site manager should know about the license, or nothing.
    pub(super) license_warning: String,
    /// Why the log takes no events, or nothing: words, and between them, at odd places, code.
    pub(super) refusal: Vec<String>,
}

impl Shell {
    pub(super) async fn new(app: &App, principal: &Principal, section: Section) -> Result<Shell, PageError> {
        let (settings, license) =
            blocking(app, |engine| Ok::<_, EngineError>((engine.settings()?, engine.license_state()?)))
                .await??;
        let may_manage = principal.may_manage().is_ok();
        let sees_all = principal.may_see_all("see the sources of events").is_ok();
        let username = principal.person().map(|person| person.username.clone()).unwrap_or_default();
        let role = match principal.person().map(|person| person.role) {
            Some(Role::SiteManager) => "Site manager",
            Some(Role::Auditor) => "Auditor",
            Some(Role::Member) if principal.may_read().is_ok() => "Organization auditor",
            Some(Role::Member) => "Member",
            None => "",
        };
        Ok(Shell {
            version: VERSION,
            section,
            initials: format::initials(&username),
            tint: format::tint(&username),
            username,
            role,
            may_read: principal.may_read().is_ok(),
            sees_all,
            may_manage,
            banners: Banners::new(&settings),
            license_warning: license_warning(&license),
            refusal: app
                .engine
                .refusal()
                .map(|refusal| refusal_words(&refusal, sees_all))
                .unwrap_or_default(),
        })
    }

    /// The entries of the menu that are of use to this person.
    pub(super) fn menu(&self) -> impl Iterator<Item = &'static Section> {
        Section::MENU.iter().filter(|section| match section {
            Section::Audit | Section::Searches => self.may_read,
            Section::Sources => self.sees_all,
            section => self.may_manage || !section.is_for_managers(),
        })
    }
}

/// The reason holds sizes of the log and a path on the server, which are not for those who see a part of the log or nothing.
fn refusal_words(refusal: &Refusal, sees_all: bool) -> Vec<String> {
    let reason =
        if sees_all { refusal.to_string() } else { "its operator has to decide how it goes on".to_owned() };
    format!("{reason}.").split('`').map(str::to_owned).collect()
}

fn license_warning(state: &LicenseState) -> String {
    let day = |time: annals_model::time::Time| time.to_string().get(..10).unwrap_or_default().to_owned();
    match state {
        LicenseState::NotRequired | LicenseState::Valid(_) => String::new(),
        LicenseState::Grace(license) => format!(
            "The license ended on {}. New events are taken until {}; what was recorded stays readable.",
            day(license.expires()),
            day(license.grace_ends())
        ),
        LicenseState::Expired(license) => format!(
            "The license ended on {}. New events are refused; what was recorded stays readable.",
            day(license.expires())
        ),
        LicenseState::Missing => {
            "This feature is only available with an enterprise license that names audit_log. New \
                                  events are refused; what was recorded stays readable."
                .to_owned()
        }
    }
}
