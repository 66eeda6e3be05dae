//! Manage > Audit in a real browser: what a script adds to the page.

use annals_engine::{NewPerson, Principal, Role};
use serde_json::json;

use crate::support::TestServer;
use crate::webdriver::Window;

/// A server with some events of two days, and a window that is signed in.
pub(crate) async fn open(path: &str) -> (TestServer, Window) {
    let server = TestServer::start().await;
    let window = open_on(&server, path).await;
    (server, window)
}

/// The same on a server that was started otherwise.
pub(crate) async fn open_on(server: &TestServer, path: &str) -> Window {
    tokio::task::block_in_place(|| {
        let person = NewPerson {
            username: "demo-auditor",
            email: "",
            name: "",
            password: "correct horse",
            role: Role::SiteManager,
        };
        server.engine.add_person(&Principal::operator(), &person).unwrap();
    });
    let events: Vec<_> = (0..40)
        .map(|n| {
            let (action, kind) = (["create", "write", "delete"][n % 3], ["workspace", "template"][n % 2]);
            json!({
                "time": format!("2026-03-{:02}T{:02}:00:00Z", 1 + n / 20, n % 20),
                "action": action, "resource_type": kind,
                "resource_target": format!("thing-{n}"), "user": {"username": format!("demo-user-{}", n % 4)},
                "status_code": if n % 5 == 0 { 403 } else { 200 }, "before": {"name": "a"}, "after": {"name": format!("b{n}")},
            })
            .to_string()
        })
        .collect();
    assert_eq!(server.post_events(events.join("\n")).await.status(), 201);
    let window = Window::open().await;
    window.go(&format!("{}{path}", server.url)).await;
    window.wait_for("Sign in to Annals").await;
    window.type_into("input[name=username]", "demo-auditor").await;
    window.type_into("input[name=password]", "correct horse").await;
    window.click("button[type=submit]", "Resource type").await;
    window
}

pub(crate) const NO_COMPLAINT: [String; 0] = [];

#[tokio::test(flavor = "multi_thread")]
async fn keys_lead_through_the_page() {
    let (_server, window) = open("/audit?filter=resource_target%3Athing-*").await;
    window.run("document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'j', bubbles: true}))").await;
    assert_eq!(window.run("return document.querySelectorAll('.ev.cursor').length").await, 1);
    window.run("document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'j', bubbles: true}))").await;
    let at = "return [...document.querySelectorAll('.ev')].indexOf(document.querySelector('.ev.cursor'))";
    assert_eq!(window.run(at).await, 1);
    assert_eq!(window.run("return document.activeElement.classList.contains('open')").await, true);
    window
        .run("document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: 'k', bubbles: true}))")
        .await;
    assert_eq!(window.run(at).await, 0);
    window.run("document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '/', bubbles: true}))").await;
    assert_eq!(window.run("return document.activeElement.id").await, "query");
    window.run("document.activeElement.blur(); document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '?', bubbles: true}))").await;
    assert_eq!(window.run("return document.querySelector('#keys').open").await, true);
    assert_eq!(window.complaints().await, NO_COMPLAINT);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_completed_with_counts() {
    let (_server, window) = open("/audit?filter=resource_target%3Athing-*").await;
    window.run("const q = document.querySelector('#query'); q.value = ''; q.dispatchEvent(new Event('input', {bubbles: true}))").await;
    window.type_into("#query", "resource_ty").await;
    let first = "return document.querySelector('#complete [role=option] code')?.textContent";
    window.wait_until(&format!("{first} === 'resource_type'")).await;
    window.type_into("#query", "pe:work").await;
    window
        .wait_until(
            "return document.querySelector('#complete [role=option] code')?.textContent === 'workspace'",
        )
        .await;
    assert_eq!(
        window.run("return document.querySelector('#complete [role=option] .num').textContent").await,
        "20"
    );
    window.type_into("#query", "\u{e015}\u{e007}").await;
    assert_eq!(window.run("return document.querySelector('#query').value").await, "resource_type:workspace ");
    assert_eq!(window.complaints().await, NO_COMPLAINT);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_and_bars_narrow_the_query() {
    let (_server, window) = open("/audit?filter=resource_target%3Athing-*").await;
    let left_out = "const value = [...document.querySelectorAll('.fv')].find(value => value.textContent.includes('template')); \
        value.dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true, altKey: true}))";
    window.run(left_out).await;
    window.wait_until("return location.search.includes('-resource_type:template')").await;
    window.wait_for("20 events").await;

    // From the first bar of the chart to the second: the first hours.
    let drag = "const bars = [...document.querySelectorAll('#plot .wk')]; const center = bar => { const box = \
        bar.querySelector('.hit').getBoundingClientRect(); return {clientX: box.left + box.width / 2, clientY: box.top + 5}; }; \
        const fire = (name, bar) => bar.querySelector('.hit').dispatchEvent(new PointerEvent(name, {bubbles: true, button: 0, \
        ...center(bar)})); fire('pointerdown', bars[0]); fire('pointermove', bars[1]); fire('pointerup', bars[1]); return bars.length";
    let bars = window.run(drag).await.as_u64().unwrap();
    assert!(bars > 2);
    window
        .wait_until("return location.search.includes('since:') && location.search.includes('until:')")
        .await;
    assert!(!window.url().await.contains("from="), "the address holds the query and nothing beside it");
    window.wait_for("1 event · exact").await;
    assert_eq!(window.complaints().await, NO_COMPLAINT);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_events_are_counted_and_move_nothing() {
    let (server, window) = open("/audit?filter=resource_target%3Athing-*").await;
    let mut sent = 0;
    let mut send = async |count: u32| {
        for _ in 0..count {
            let event = json!({"action": "create", "resource_type": "workspace", "resource_target": format!("thing-new-{sent}")});
            assert_eq!(server.post_events(event.to_string()).await.status(), 201);
            sent += 1;
        }
    };
    let news = |count: u32, more: &str| {
        format!(
            "return document.querySelector('#fresh').innerText.startsWith('{count} new since you opened this page{more}.')"
        )
    };
    let words = "return document.querySelector('[data-live] .lbl').textContent";
    let first = window.run("return document.querySelector('.ev .say').textContent").await;
    // What came before the stream stood is new as well: the page knows where its list ends.
    send(1).await;
    assert_eq!(window.run(words).await, "Live");
    window.run("document.querySelector('[data-live]').click()").await;
    window.wait_until(&news(1, "")).await;
    send(2).await;
    window.wait_until(&news(3, "")).await;
    // Opening an event is no new list.
    window.click(".row .open", "Copy as JSON").await;
    assert_eq!(window.run(words).await, "Pause");

    window.run("document.querySelector('[data-live]').click()").await;
    assert_eq!(window.run(words).await, "Resume");
    send(2).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(window.run(&news(3, ", paused")).await, true);
    window.run("document.querySelector('[data-live]').click()").await;
    window.wait_until(&news(5, "")).await;
    assert_eq!(window.run("return document.querySelector('.ev .say').textContent").await, first);

    // Shown, they are not new any more, and what comes next is.
    window.run("document.querySelector('#fresh a').click()").await;
    window.wait_for("thing-new-4").await;
    window.wait_for("45 events").await;
    assert_eq!(window.run("return document.querySelector('#fresh').hidden").await, true);
    assert_eq!(window.run(words).await, "Pause");
    send(1).await;
    window.wait_until(&news(1, "")).await;
    assert_eq!(window.complaints().await, NO_COMPLAINT);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fetched_is_said_to_be_on_its_way_or_not_to_come() {
    let (_server, window) = open("/audit?filter=resource_target%3Athing-*").await;
    window.command("Network.enable", json!({})).await;
    let network = |latency: u32, is_offline: bool| json!({"offline": is_offline, "latency": latency, "downloadThroughput": -1, "uploadThroughput": -1});
    window.command("Network.emulateNetworkConditions", network(1_000, false)).await;
    window.run("document.querySelector('.ev .open').click()").await;
    window.wait_until("return document.querySelector('.ev').ariaBusy === 'true'").await;
    window.wait_for("Copy as JSON").await;
    window.wait_until("return document.querySelector('.ev').ariaBusy === null").await;
    window.run("document.querySelector('.chip').click()").await;
    window.wait_until("return document.querySelector('main').ariaBusy === 'true'").await;
    window.wait_until("return location.search.includes('action:create') && document.querySelector('main').ariaBusy === null").await;

    window.command("Network.emulateNetworkConditions", network(0, true)).await;
    window.run("document.querySelectorAll('.chip')[1].click()").await;
    window.wait_for("The server did not answer").await;
    assert_eq!(window.run("return document.querySelector('main').ariaBusy").await, serde_json::Value::Null);
    window.command("Network.emulateNetworkConditions", network(0, false)).await;
    window.run("document.querySelectorAll('.chip')[2].click()").await;
    window.wait_until("return document.querySelector('#no-answer').hidden").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_without_scripts_every_way_is_a_link_or_a_form() {
    let (server, window) = open("/audit?filter=resource_target%3Athing-*").await;
    window.command("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    let wide = json!({"width": 1440, "height": 900, "deviceScaleFactor": 1, "mobile": false});
    window.command("Emulation.setDeviceMetricsOverride", wide).await;
    window.go(&format!("{}/audit?filter=resource_target%3Athing-*", server.url)).await;
    window.wait_for("40 events").await;
    let seen = window
        .run("return [...document.querySelectorAll('.needs-js')].filter(e => e.checkVisibility()).length")
        .await;
    assert_eq!(seen, 0, "nothing is shown that needs a script");

    window.type_into("#query", " action:delete").await;
    window.click(".q-side button[type=submit]", "13 events").await;
    // A menu opens, and its choice is a link; beside the events a value is left out.
    window.click(".filters .menu summary", "exact").await;
    window.click("a.opt[href*='resource_type:workspace']", "7 events").await;
    // It shows under the pointer, or as here under the focus.
    window.run("document.querySelector('.fv-line:has(.fv-x[href*=\"-outcome:\"]) .fv').focus()").await;
    window.click(".fv-x[href*='-outcome:']", "exact").await;
    let url = window.url().await;
    assert!(url.contains("-outcome:"), "{url}");
    window.go(&format!("{}/audit?filter=resource_target%3Athing-*", server.url)).await;
    window.click("#plot a.wk", "exact").await;
    assert!(window.url().await.contains("since:"), "{}", window.url().await);

    // An event has its page, its resource a history; a search is saved.
    window.go(&format!("{}/audit?filter=resource_target%3Athing-1", server.url)).await;
    window.click(".row .open", "Actor type").await;
    assert!(window.url().await.contains("/audit/events/"));
    window
        .go(&format!("{}/audit?filter=resource_target%3Athing-*&from=2026-03-01&to=2026-03-01", server.url))
        .await;
    window.wait_for("20 events").await;
    window.run("document.querySelectorAll('.acts .menu')[0].open = true").await;
    window.type_into("input[name=name]", "first day").await;
    window.click("form[action='/searches'] button[type=submit]", "The search is saved").await;
    window.go(&format!("{}/searches", server.url)).await;
    window.wait_for("first day").await;
    window.click("details:has(form[action='/logout']) > summary", "first day").await;
    window.click("form[action='/logout'] button", "Sign in to Annals").await;
    assert_eq!(window.complaints().await, NO_COMPLAINT);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_script_the_page_does_the_same() {
    let (server, window) = open("/audit").await;
    let cookie = window.session_cookie().await;
    let page = async |path: &str| {
        let request = server.http.get(format!("{}{path}", server.url)).header("cookie", &cookie);
        let response = request.send().await.unwrap();
        let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), location.unwrap_or_default(), response.text().await.unwrap())
    };
    let (status, _, text) = page("/audit?filter=resource_target%3Athing-*").await;
    assert_eq!(status, 200);
    for part in
        ["<b class=\"num\">40</b>", "class=\"wk\"", "Leave out action delete", "type=\"date\"", "format=csv"]
    {
        assert!(text.contains(part), "{part} is missing");
    }
    // Times are those of the reader's zone, where the browser says it.
    let zoned = server.http.get(format!("{}/audit?filter=resource_target%3Athing-0", server.url));
    let zoned = zoned.header("cookie", format!("annals_zone=Asia%2FKolkata; {cookie}")).send().await.unwrap();
    let zoned = zoned.text().await.unwrap();
    assert!(zoned.contains(">05:30:00</time>") && zoned.contains("times in Asia/Kolkata"), "{zoned}");
    // The days of the form go into the query, so that the address holds everything.
    let (status, location, _) = page("/audit?filter=action%3Adelete&from=2026-03-01&to=2026-03-01").await;
    assert_eq!(
        (status, location.as_str()),
        (303, "/audit?filter=action:delete%20date_from:2026-03-01%20date_to:2026-03-01")
    );
    assert!(page(&location).await.2.contains("<b class=\"num\">6</b>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_on_any_page() {
    let (server, window) = open("/audit?filter=resource_target%3Athing-*").await;
    let axe = annals_testparts::axe_script();
    let id =
        server.search("resource_target:thing-1").await["audit_logs"][0]["id"].as_str().unwrap().to_owned();
    let event = format!("/audit/events/{id}");
    let pages = [
        "/audit",
        "/audit?filter=resource_target%3Athing-*%20-action%3Adelete",
        "/audit?filter=resource_tpye%3Ax",
        "/audit?filter=username%3Anobody",
        &event,
        "/audit/events/nothing",
        "/audit/tracked",
        "/audit/query-help",
        "/searches",
        "/sources",
        "/people",
        "/organizations",
        "/tokens",
        "/streams",
        "/streams/new",
        "/streams/new?kind=splunk",
        "/streams/new?kind=webhook",
        "/streams/new?kind=files",
        "/settings",
        "/license",
        "/account",
        "/login/forgotten",
    ];
    let mut found = Vec::new();
    for (width, scheme) in [(1440, "light"), (1440, "dark"), (360, "light"), (360, "dark")] {
        let metrics = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500});
        window.command("Emulation.setDeviceMetricsOverride", metrics).await;
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        window.command("Emulation.setEmulatedMedia", scheme.clone()).await;
        for path in pages {
            window.go(&format!("{}{path}", server.url)).await;
            let barriers = window.barriers(&axe).await;
            found.extend(barriers.into_iter().map(|barrier| format!("{path} {width} {scheme}: {barrier}")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
