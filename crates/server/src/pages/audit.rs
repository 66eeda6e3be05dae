//! Placeholder.
pub(crate) async fn show_audit() {}
