//! Placeholder.
pub(crate) async fn show_login() {}
pub(crate) async fn log_in() {}
pub(crate) async fn log_out() {}
