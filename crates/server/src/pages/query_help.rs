//! Placeholder.
pub(crate) async fn show_query_help() {}
