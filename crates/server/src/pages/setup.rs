//! Placeholder.
pub(crate) async fn show_setup() {}
pub(crate) async fn set_up() {}
