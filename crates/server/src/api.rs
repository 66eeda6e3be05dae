//! The JSON API.

pub(crate) mod counts;
pub(crate) mod events;
pub(crate) mod evidence;
pub(crate) mod export;
pub(crate) mod health;
pub(crate) mod manifests;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod parameters;
pub(crate) mod proof;
pub(crate) mod resources;
pub(crate) mod search;
pub(crate) mod sources;
pub(crate) mod stream;
