//! What receivers there are.

use ipnet::IpNet;

use crate::setting::{Setting, SettingFault, Settings};
use crate::{Sink, files, log, otlp, s3, splunk, syslog, webhook};

/// A kind of receiver.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Name in settings.
    pub name: &'static str,
    /// What people call it.
    pub label: &'static str,
    /// What it is and how it acknowledges, in a sentence.
    pub about: &'static str,
    /// Its settings, in the order of forms.
    pub settings: &'static [Setting],
    /// It writes on the server's own machine or with the server's own rights: only the operator may set it up.
    pub is_local: bool,
    /// Only one batch may be on its way at a time: it appends to one place, so several senders would stand in each other's way.
    pub is_single: bool,
    /// Makes one of checked settings. Nothing is sent or connected yet, and no file is changed.
    pub(crate) open: Open,
}

/// Makes a sink of checked settings.
pub(crate) type Open = fn(&Settings, &Surroundings) -> Result<Box<dyn Sink>, SettingFault>;

/// What a sink should know of the server that it works for.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Name of the stream.
    pub stream: String,
    /// Name of the log on its checkpoints; tells logs apart at the receiver.
    pub origin: String,
    /// Version of the program.
    pub version: &'static str,
    /// Name of the form of events, such as `native`.
    pub format: &'static str,
    /// Whether lines are JSON objects.
    pub is_json: bool,
    /// Private networks that the stream may reach; [`Surroundings::any_network`] allows all.
    pub private_networks: Vec<IpNet>,
    /// Addresses of every network may be reached: the operator set the stream up so.
    pub any_network: bool,
}

/// Every kind, in the order of menus.
pub const KINDS: &[Kind] =
    &[splunk::KIND, webhook::KIND, syslog::KIND, otlp::KIND, s3::KIND, files::KIND, log::KIND];

impl Kind {
    /// Finds a kind by its name.
    pub fn from_name(name: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// Whether a setting is kept encrypted and never shown again.
    pub fn is_secret(&self, name: &str) -> bool {
        self.settings.iter().any(|setting| setting.name == name && setting.kind.is_secret())
    }

    /// Checks settings: fills in defaults, and finds every fault.
    ///
    /// # Errors
    /// Every [`SettingFault`]: unknown names, missing ones, values of another form.
    pub fn check(&self, settings: &Settings) -> Result<Settings, Vec<SettingFault>> {
        settings.checked(self.settings)
    }

    /// Makes a sink.
    ///
    /// # Errors
    /// [`SettingFault`] if the settings contradict each other, or name something that is not there.
    pub fn open(
        &self,
        settings: &Settings,
        surroundings: &Surroundings,
    ) -> Result<Box<dyn Sink>, SettingFault> {
        (self.open)(settings, surroundings)
    }
}
