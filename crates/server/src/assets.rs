//! Files that pages need, compiled in.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

struct Asset {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

const ASSETS: [Asset; 4] = [
    Asset {
        name: "annals.css",
        content_type: "text/css; charset=utf-8",
        bytes: include_bytes!("../assets/annals.css"),
    },
    Asset { name: "annals.js", content_type: JAVASCRIPT, bytes: include_bytes!("../assets/annals.js") },
    Asset { name: "htmx.min.js", content_type: JAVASCRIPT, bytes: include_bytes!("../assets/htmx.min.js") },
    Asset {
        name: "favicon.svg",
        content_type: "image/svg+xml",
        bytes: include_bytes!("../assets/favicon.svg"),
    },
];
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Serves one file. Pages name it with `?v=VERSION`, so a browser may keep it for good.
pub(crate) async fn show_asset(Path(name): Path<String>) -> Response {
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(asset) => {
            let headers = [
                (header::CONTENT_TYPE, asset.content_type),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ];
            (headers, asset.bytes).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Serves the icon that browsers ask for unasked.
pub(crate) async fn show_favicon() -> Response {
    show_asset(Path("favicon.svg".to_owned())).await
}
