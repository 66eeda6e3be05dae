//! Files that pages need, compiled in.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::App;
use crate::auth::blocking;
use crate::error::ApiError;

struct Asset {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

const ASSETS: [Asset; 5] = [
    Asset {
        name: "annals.css",
        content_type: "text/css; charset=utf-8",
        bytes: include_bytes!("../assets/annals.css"),
    },
    Asset { name: "annals.js", content_type: JAVASCRIPT, bytes: include_bytes!("../assets/annals.js") },
    Asset { name: "page.js", content_type: JAVASCRIPT, bytes: include_bytes!("../assets/page.js") },
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

/// Serves the colors of the banners, which a site manager chose: a page of ours holds no style of its own.
pub(crate) async fn show_banner_colors(State(app): State<App>) -> Result<Response, ApiError> {
    let settings = blocking(&app, |engine| engine.settings()).await??;
    let mut css = String::new();
    for (class, setting) in
        [("system-banner", "system_banner_color"), ("service-banner", "service_banner_color")]
    {
        if let Some(color) = Color::read(settings.get(setting)) {
            css += &format!(".{class}{{background:{};color:{}}}\n", color.text(), color.ink());
        }
    }
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        // The address changes with the colors.
        (header::CACHE_CONTROL, "public, max-age=3600"),
    ];
    Ok((headers, css).into_response())
}

/// A color of a banner.
struct Color([u8; 3]);

impl Color {
    fn read(text: &str) -> Option<Color> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        let number = u32::from_str_radix(digits, 16).ok()?;
        let [_, red, green, blue] = number.to_be_bytes();
        Some(Color([red, green, blue]))
    }

    fn text(&self) -> String {
        let [red, green, blue] = self.0;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// Black or white, whichever stands out more: the formula of WCAG 2.
    fn ink(&self) -> &'static str {
        let linear = |byte: u8| {
            let share = f64::from(byte) / 255.0;
            if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        let luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
        if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) { "#000" } else { "#fff" }
    }
}

/// Serves the icon that browsers ask for unasked.
pub(crate) async fn show_favicon() -> Response {
    show_asset(Path("favicon.svg".to_owned())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ink_stands_out() {
        for (color, ink) in
            [("#ffffff", "#000"), ("#000000", "#fff"), ("#18382D", "#fff"), ("#F5C242", "#000")]
        {
            assert_eq!(Color::read(color).unwrap().ink(), ink, "{color}");
        }
        assert!(Color::read("red").is_none() && Color::read("#12345").is_none() && Color::read("").is_none());
    }
}
