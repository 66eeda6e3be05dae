//! `/searches`: keeping, sharing and finding again, over HTTP as a browser does it.

use annals_engine::Role;

use crate::hostile::naughty_strings;
use crate::signed_in::Browser;
use crate::support::{TestServer, template_event};

/// Id of the only search of a page.
fn id_of(page: &str) -> String {
    let from = page.find("action=\"/searches/").unwrap() + "action=\"/searches/".len();
    page[from..].split(['"', '/']).next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_saved_renamed_shared_and_deleted() {
    let server = TestServer::start().await;
    let anna = Browser::new(&server, "demo-anna", Role::Auditor).await;
    let (_, empty) = anna.page("/searches").await;
    assert!(empty.contains("None yet.") && empty.contains("Nobody else shares a search."), "{empty}");

    let location = anna.done("/searches", &[("name", "Deleted & gone"), ("filter", "action:delete")]).await;
    assert_eq!(location, "/audit?filter=action:delete&done=saved");
    assert_eq!(anna.page(&location).await.0, 200);
    let (_, page) = anna.page("/searches").await;
    assert!(
        page.contains(r#"<a class="link" href="/audit?filter=action:delete">Deleted &#38; gone</a>"#),
        "{page}"
    );
    let path = format!("/searches/{}", id_of(&page));
    assert_eq!(anna.done(&path, &[("name", "Deletions")]).await, "/searches?done=saved");
    assert_eq!(server.count("resource_type:saved_search").await, 0, "nobody else saw anything");

    assert_eq!(anna.done(&path, &[("shared", "true")]).await, "/searches?done=saved");
    let (_, page) = anna.page("/searches?done=saved").await;
    assert!(page.contains("Deletions</a>") && page.contains("everyone who may read</td>"), "{page}");
    assert!(page.contains("Saved. What others see of it is recorded in the log."));
    assert_eq!(server.count("resource_type:saved_search changed:is_shared").await, 1);
    assert_eq!(anna.done(&path, &[("shared", "false")]).await, "/searches?done=saved");
    assert_eq!(server.count("resource_type:saved_search changed:is_shared").await, 2);
    assert_eq!(anna.done(&format!("{path}/delete"), &[]).await, "/searches?done=deleted");
    assert!(anna.page("/searches").await.1.contains("None yet."));
    assert_eq!(anna.send(&path, &[("name", "x")]).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_beside_the_form() {
    let server = TestServer::start().await;
    let anna = Browser::new(&server, "demo-anna", Role::Auditor).await;
    let fields = [("name", "Wrong"), ("filter", "acton:create status_code:x"), ("shared", "true")];
    let (status, _, page) = anna.send("/searches", &fields).await;
    assert_eq!(status, 422);
    for part in [
        "The query has errors",
        "“acton” is not a key.",
        "Did you mean “action”?",
        r#"value="Wrong""#,
        r#"value="acton:create status_code:x""#,
        r#"<option value="true" selected>"#,
        r#"href="/audit?filter=acton:create%20status_code:x""#,
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    anna.done("/searches", &[("name", "Twice"), ("filter", "")]).await;
    for (name, expect) in [
        ("", "A saved search needs a name of 1 to 64 characters on one line."),
        ("twice", "A saved search named twice exists already; choose another name."),
        (&"x".repeat(65), "needs a name of 1 to 64"),
    ] {
        let (status, _, page) = anna.send("/searches", &[("name", name)]).await;
        assert_eq!((status, page.contains(expect)), (422, true), "{name}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_keep_for_themselves_is_not_seen_or_changed() {
    let server = TestServer::start().await;
    let anna = Browser::new(&server, "demo-anna", Role::Auditor).await;
    let manager = Browser::new(&server, "demo-manager", Role::SiteManager).await;
    let bert = Browser::new(&server, "demo-bert", Role::Auditor).await;
    anna.done("/searches", &[("name", "Annas own"), ("filter", "action:delete")]).await;
    let path = format!("/searches/{}", id_of(&anna.page("/searches").await.1));
    for other in [&manager, &bert] {
        assert!(!other.page("/searches").await.1.contains("Annas own"));
        for (path, fields) in
            [(path.clone(), vec![("name", "Taken"), ("shared", "true")]), (format!("{path}/delete"), vec![])]
        {
            let (status, _, page) = other.send(&path, &fields).await;
            assert_eq!(status, 404, "{page}");
        }
    }
    anna.done(&path, &[("shared", "true")]).await;
    let (_, page) = bert.page("/searches").await;
    assert!(page.contains("Annas own") && page.contains("demo-anna"), "{page}");
    assert!(!page.contains("action=\"/searches/"), "nothing to change for bert: {page}");
    assert_eq!(bert.send(&path, &[("name", "Taken")]).await.0, 403);
    assert_eq!(bert.send(&format!("{path}/delete"), &[]).await.0, 403);
    assert_eq!(server.count("resource_type:saved_search outcome:denied username:demo-bert").await, 2);
    manager.done(&path, &[("name", "Tidied")]).await;
    assert!(anna.page("/searches").await.1.contains("Tidied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_search_finds_what_its_reader_may_see() {
    let server = TestServer::start().await;
    let anna = Browser::new(&server, "demo-anna", Role::Auditor).await;
    let reader = Browser::new(&server, "demo-reader", Role::Member).await;
    let organization = reader.made_auditor_of("red");
    let events = [
        template_event("seen-by-both", &format!(r#""organization":{{"id":"{organization}"}}"#)),
        template_event("seen-by-one", r#""organization":{"id":"blue"}"#),
    ];
    assert_eq!(server.post_events(format!("[{}]", events.join(","))).await.status(), 201);
    let filter = "resource_type:template";
    let href = anna.done("/searches", &[("name", "All"), ("filter", filter), ("shared", "true")]).await;
    let (_, page) = reader.page("/searches").await;
    assert!(page.contains(r#"href="/audit?filter=resource_type:template""#), "{page}");
    for (browser, sees_both) in [(&anna, true), (&reader, false)] {
        let (_, found) = browser.page(&href).await;
        assert!(found.contains("seen-by-both"));
        assert_eq!(found.contains("seen-by-one"), sees_both);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn naughty_names_and_queries_become_no_markup() {
    let Some(strings) = naughty_strings("naughty_names_and_queries_become_no_markup") else { return };
    let server = TestServer::start().await;
    let anna = Browser::new(&server, "demo-anna", Role::Auditor).await;
    let plain = anna.page("/searches").await.1;
    let tags = |page: &str| ["<script", "<img", "<svg", "<iframe"].map(|tag| page.matches(tag).count());
    let mut saved = 0;
    for text in &strings {
        let (status, _, page) = anna.send("/searches", &[("name", text), ("filter", text)]).await;
        assert!(matches!(status, 303 | 422), "{status} {text}");
        if status == 422 {
            // One mark more stands beside the fault.
            let [scripts, images, _, frames] = tags(&page);
            assert_eq!([scripts, images, frames], [tags(&plain)[0], 0, 0], "{text}: {page}");
        }
        saved += usize::from(status == 303);
    }
    assert!(saved > 100, "{saved}");
    let (_, page) = anna.page("/searches").await;
    assert_eq!(tags(&page), tags(&plain), "{page}");
}
