//! Manage > Sources: what a producer numbers, and what of it is missing.

use annals_engine::Role;
use serde_json::json;

use crate::audit_page::{NO_COMPLAINT, open};
use crate::signed_in::Browser;
use crate::support::{TestServer, template_event};

async fn send(server: &TestServer, source: &str, numbers: &[u64]) {
    let event = |number: &u64| {
        let more = json!({"source": source, "source_seq": number}).to_string();
        template_event("docker", more.trim_start_matches('{').trim_end_matches('}'))
    };
    let lines: Vec<_> = numbers.iter().map(event).collect();
    let response = server.post_events(lines.join("\n")).await;
    assert_eq!(response.status(), 201, "{}", response.text().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_and_repeats_are_said_in_words() {
    let server = TestServer::start().await;
    let auditor = Browser::new(&server, "demo-auditor", Role::Auditor).await;
    let (status, page) = auditor.page("/sources").await;
    assert_eq!(status, 200);
    assert!(page.contains("No event names its source yet") && page.contains("source_seq"), "{page}");

    let odd: Vec<u64> = (0..25).map(|n| 1_001 + 2 * n).collect();
    send(&server, "coderd-1", &odd).await;
    send(&server, "coderd 2", &[1, 2, 3, 3]).await;
    send(&server, "whole", &[7, 8, 9]).await;
    let event = template_event("docker", r#""source":"unnumbered""#);
    assert_eq!(server.post_events(event).await.status(), 201);
    let (_, page) = auditor.page("/sources").await;
    let row = |name: &str| {
        let from = page.find(&format!(">{name}</a>")).unwrap_or_else(|| panic!("no {name}: {page}"));
        page[from..].split("</tr>").next().unwrap().to_owned()
    };
    let gaps = row("coderd-1");
    for part in
        [">Gaps<", "<b>24</b>", "<span>1,002</span>", "<span>1,040</span>", "and 4 more gaps", ">1,049<"]
    {
        assert!(gaps.contains(part), "{part}: {gaps}");
    }
    assert!(!gaps.contains("1,042") && !gaps.contains("Repeats"), "{gaps}");
    assert!(row("coderd 2").contains(">Repeats<") && !row("coderd 2").contains(">Gaps<"));
    assert!(row("whole").contains(">no gaps<"));
    assert!(row("unnumbered").contains(">not numbered<"));
    assert!(page.contains("href=\"/audit?filter=source:%22coderd%202%22\""), "{page}");
    let (status, found) = auditor.page("/audit?filter=source:%22coderd%202%22").await;
    assert!(status == 200 && found.contains("<b class=\"num\">4</b>"), "{found}");
    // What Annals records of itself is no source that could fall silent.
    assert!(!page.contains(">annals</a>"), "{page}");

    // A source may send events of several organizations.
    let part = Browser::new(&server, "demo-part", Role::Member).await;
    part.made_auditor_of("demo-organization");
    assert_eq!(part.page("/sources").await.0, 403);
    assert!(!part.page("/audit").await.1.contains("href=\"/sources\""));
    assert!(auditor.page("/audit").await.1.contains("href=\"/sources\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_stay_text() {
    let (server, window) = open("/audit").await;
    let names =
        ["<img src=x onerror=alert(1)>", "\"><script>alert(2)</script>", "' onclick='x", "{{ 7 * 7 }}"];
    for name in names {
        send(&server, name, &[1, 5]).await;
    }
    window.go(&format!("{}/sources", server.url)).await;
    let shown = window
        .run("return [...document.querySelectorAll('.sources tbody th')].map(e => e.textContent)")
        .await;
    let mut shown: Vec<_> = shown.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let mut expect = names.to_vec();
    shown.sort_unstable();
    expect.sort_unstable();
    assert_eq!(shown, expect);
    assert_eq!(window.run("return document.querySelectorAll('main img, main script').length").await, 0);
    // The link of each finds its events.
    window.run("[...document.querySelectorAll('.sources a')].find(a => a.textContent.startsWith('<img')).click()").await;
    window.wait_for("2 events").await;
    assert_eq!(window.complaints().await, NO_COMPLAINT);

    let axe = annals_testparts::axe_script();
    for (width, scheme) in [(1440, "light"), (1440, "dark"), (360, "light"), (360, "dark")] {
        let metrics = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500});
        window.command("Emulation.setDeviceMetricsOverride", metrics).await;
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        window.command("Emulation.setEmulatedMedia", scheme).await;
        window.go(&format!("{}/sources", server.url)).await;
        assert_eq!(window.barriers(&axe).await, NO_COMPLAINT, "{width}");
    }
}
