//! Hostile strings in everything that a page can show, in a real browser: they stay text.

use annals_engine::{
    NewGroup, NewOrganization, NewPerson, NewStream, NewToken, OrganizationRole, Principal, Role,
    SinkSettings, StreamStart, TokenKind,
};
use annals_model::formats::EventFormat;
use serde_json::json;

use crate::audit_page::open;
use crate::hostile::naughty_strings;

/// Elements and attributes that no page of ours has in its body, but some of the strings do.
const FOREIGN: &str = "return [...document.body.querySelectorAll('*')].filter(element => \
    /^(SCRIPT|IMG|IFRAME|OBJECT|EMBED|STYLE|LINK|BASE|META|MARQUEE|AUDIO|VIDEO|FOREIGNOBJECT|MATH)$/i.test(element.tagName) || \
    [...element.attributes].some(attribute => /^on|^style$/.test(attribute.name) || \
        (/^(.*href|src|.*action|hx-.*)$/.test(attribute.name) && /^\\s*(javascript|data|vbscript):/i.test(attribute.value)))\
    ).map(element => element.outerHTML.slice(0, 200))";

#[tokio::test(flavor = "multi_thread")]
async fn hostile_strings_stay_text_on_every_page() {
    let Some(mut strings) = naughty_strings("hostile_strings_stay_text_on_every_page") else { return };
    // A target must have a name.
    strings.retain(|text| !text.is_empty());
    let (server, window) = open("/audit").await;
    let events = strings.iter().map(|text| {
        let short: String = text.chars().take(40).collect();
        let who = json!({"id": short, "username": text, "email": text, "name": text, "avatar_url": text, "roles": [short]});
        json!({"action": "write", "resource_type": "template", "resource_target": text, "resource_id": short, "user": who,
            "impersonator": who, "on_behalf_of": who, "organization": {"id": short, "name": text, "display_name": text, "icon": text},
            "user_agent": text, "source": short, "resource_icon": text, "additional_fields": {text.as_str(): text},
            "after": {"name": text, "description": text, "user_acl": {text.as_str(): [{"name": text}, text]}}})
        .to_string()
    });
    let response = server.post_events(events.collect::<Vec<_>>().join("\n")).await;
    assert_eq!(response.status(), 201, "{}", response.text().await.unwrap());

    // What of them Annals takes for its own things.
    let mut paths: Vec<String> =
        ["/people", "/organizations", "/tokens", "/streams", "/searches", "/sources"]
            .map(str::to_owned)
            .to_vec();
    let taken = tokio::task::block_in_place(|| {
        let operator = Principal::operator();
        let mut taken = [0; 5];
        for (number, text) in strings.iter().enumerate() {
            let username = format!("demo-person-{number}");
            let person = NewPerson {
                username: &username,
                email: "",
                name: text,
                password: "correct horse",
                role: Role::Member,
            };
            // Hashing a password takes its time; the strings with markup are among the first of each kind.
            if text.contains('<') && taken[0] < 20 && server.engine.add_person(&operator, &person).is_ok() {
                taken[0] += 1;
            }
            let name = format!("organization-{number}");
            let organization = NewOrganization {
                name: &name,
                display_name: text,
                description: text,
                ..NewOrganization::default()
            };
            if let Ok(organization) = server.engine.create_organization(&operator, &organization) {
                taken[1] += 1;
                let group = NewGroup {
                    name: &name,
                    display_name: text,
                    avatar_url: "",
                    role: OrganizationRole::Member,
                    quota_allowance: 0,
                };
                let group = server.engine.create_group(&operator, &organization.id, &group);
                taken[2] += usize::from(group.is_ok());
                if text.contains('<') {
                    paths.push(format!("/organizations/{}", organization.id.0));
                    paths.extend(group.map(|group| format!("/groups/{}", group.id.0)));
                }
            }
            let token = NewToken { kind: TokenKind::Ingest, name: text, owner: None, expires: None };
            taken[3] += usize::from(server.engine.create_token(&operator, &token).is_ok());
            let mut settings = SinkSettings::default();
            for (name, value) in [
                ("url", "https://a.example"),
                ("token", "t"),
                ("index", text),
                ("source", text),
                ("host", text),
            ] {
                settings.set(name, value);
            }
            let quoted = format!("resource_target:\"{}\"", text.replace('"', ""));
            let stream = NewStream {
                name: text,
                kind: "splunk",
                query: &quoted,
                format: EventFormat::Native,
                parallel: 1,
                silence_seconds: 0,
                settings,
                start: StreamStart::Now,
                is_paused: true,
            };
            if text.contains('<')
                && let Ok((stream, _)) = server.engine.create_stream(&operator, &stream)
            {
                taken[4] += 1;
                paths.push(format!("/streams/{}", stream.id.0));
            }
        }
        taken
    });
    assert!(taken.iter().all(|taken| *taken >= 20), "{taken:?}");

    paths.extend(
        (1..=strings.len().div_ceil(25))
            .map(|page| format!("/audit?filter=resource_type%3Atemplate&page={page}")),
    );
    for text in strings.iter().filter(|text| text.contains('<')) {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        paths.push(format!("/audit?filter={encoded}"));
        paths.push(format!("/audit?filter=username:%22{encoded}%22"));
        paths.push(format!("/audit/complete?q=username:{encoded}&at=9"));
        paths.push(format!("/streams/new?kind={encoded}"));
    }
    let found = server.search("resource_type:template").await;
    let with_markup = found["audit_logs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["resource_target"].as_str().unwrap().contains('<'));
    paths.extend(with_markup.map(|event| format!("/audit/events/{}", event["id"].as_str().unwrap())));
    // Every string stands on the pages of the list; of the pages that show one string, every third is opened.
    let is_list = |path: &&String| path.contains("&page=") || path.matches('/').count() == 1;
    let (lists, singles): (Vec<_>, Vec<_>) = paths.iter().partition(is_list);
    for path in lists.into_iter().chain(singles.into_iter().step_by(3)) {
        window.go(&format!("{}{path}", server.url)).await;
        let foreign = window.run(FOREIGN).await;
        assert_eq!(foreign, json!([]), "{path}");
    }
    // Nor did anything try to run, which the policy of the page would have refused and the browser told.
    let is_refusal = |told: &String| told.contains("status of 400") || told.contains("status of 422");
    let told: Vec<_> = window.complaints().await.into_iter().filter(|told| !is_refusal(told)).collect();
    assert!(told.is_empty(), "{told:#?}");
}
