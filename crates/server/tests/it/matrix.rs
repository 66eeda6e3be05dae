//! Who may call what: every route of the router times every role and kind of token.

use annals_engine::{NewOrganization, NewPerson, NewToken, OrganizationRole, Principal, Role, TokenKind};
use annals_server::ROUTES;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};

use crate::support::TestServer;

const PASSWORD: &str = "correct horse battery";

/// The columns of the table: nobody, sessions of a member, an organization auditor, an auditor and a site manager; then tokens: ingest,
/// read, read of the organization auditor, read of the member, metrics.
const COLUMNS: usize = 10;

/// A letter a column: `a` let in, `d` denied with 403, `u` 401, `l` sent to the log-in page, `o` open to everyone. What is let in may still
/// find nothing, or dislike the empty form that is sent here.
const TABLE: &[(&str, &str, &str)] = &[
    ("get", "/healthz", "ooooo ooooo"),
    ("get", "/readyz", "ooooo ooooo"),
    ("get", "/login", "ooooo ooooo"),
    ("post", "/login", "ooooo ooooo"),
    ("get", "/login/forgotten", "ooooo ooooo"),
    ("post", "/login/forgotten", "ooooo ooooo"),
    ("get", "/login/oidc", "ooooo ooooo"),
    ("get", "/login/oidc/callback", "ooooo ooooo"),
    ("get", "/setup", "ooooo ooooo"),
    ("post", "/setup", "ooooo ooooo"),
    ("get", "/assets/banners.css", "ooooo ooooo"),
    ("get", "/assets/{name}", "ooooo ooooo"),
    ("get", "/favicon.ico", "ooooo ooooo"),
    ("get", "/", "ooooo ooooo"),
    ("post", "/logout", "ooooo ooooo"),
    ("get", "/api/v2/audit", "udaaa daadd"),
    ("post", "/api/v2/audit/events", "udddd adddd"),
    ("get", "/api/v2/audit/resources", "uaaaa aaaaa"),
    ("put", "/api/v2/audit/resources", "uddda adddd"),
    ("get", "/api/v2/audit/histogram", "udaaa daadd"),
    ("get", "/api/v2/audit/facets", "udaaa daadd"),
    ("get", "/api/v2/audit/stream", "udaaa daadd"),
    ("get", "/api/v2/audit/export", "udaaa daadd"),
    ("get", "/api/v2/audit/evidence", "uddaa daddd"),
    ("get", "/metrics", "uddda dddda"),
    ("get", "/api/v2/audit/sources", "uddaa daddd"),
    ("get", "/api/v2/audit/streams/{name}/manifests", "uddaa daddd"),
    ("get", "/api/v2/audit/streams/{name}/manifests/{number}", "uddaa daddd"),
    ("get", "/api/v2/audit/{id}", "udaaa daadd"),
    ("get", "/api/v2/audit/{id}/receipt", "udaaa daadd"),
    ("get", "/api/v2/audit/{id}/proof", "udaaa daadd"),
    ("get", "/tlog/checkpoint", "udaaa daadd"),
    ("get", "/tlog/consistency", "udaaa daadd"),
    ("get", "/tlog/tile/{*path}", "udaaa daadd"),
    ("get", "/api/openapi.json", "uaaaa aaaaa"),
    ("get", "/audit", "ldaaa lllll"),
    ("get", "/audit/events/{id}", "ldaaa lllll"),
    ("get", "/audit/complete", "ldaaa lllll"),
    ("get", "/audit/history", "ldaaa lllll"),
    ("get", "/audit/tracked", "laaaa lllll"),
    ("get", "/audit/query-help", "laaaa lllll"),
    ("get", "/sources", "lddaa lllll"),
    ("get", "/searches", "ldaaa lllll"),
    ("post", "/searches", "ldaaa lllll"),
    ("post", "/searches/{id}", "ldaaa lllll"),
    ("post", "/searches/{id}/delete", "ldaaa lllll"),
    ("get", "/account", "laaaa lllll"),
    ("post", "/account/password", "laaaa lllll"),
    ("post", "/account/sessions/{id}/end", "laaaa lllll"),
    ("post", "/account/sign-out-elsewhere", "laaaa lllll"),
    ("post", "/account/tokens", "laaaa lllll"),
    ("post", "/account/tokens/{id}/revoke", "laaaa lllll"),
    ("get", "/people", "lddda lllll"),
    ("post", "/people", "lddda lllll"),
    ("get", "/people/{id}", "lddda lllll"),
    ("post", "/people/{id}", "lddda lllll"),
    ("post", "/people/{id}/suspend", "lddda lllll"),
    ("post", "/people/{id}/activate", "lddda lllll"),
    ("post", "/people/{id}/password", "lddda lllll"),
    ("post", "/people/{id}/sign-out", "lddda lllll"),
    ("post", "/people/{id}/delete", "lddda lllll"),
    ("post", "/people/{id}/sessions/{session}/end", "lddda lllll"),
    ("get", "/organizations", "lddda lllll"),
    ("post", "/organizations", "lddda lllll"),
    ("get", "/organizations/{id}", "lddda lllll"),
    ("post", "/organizations/{id}", "lddda lllll"),
    ("post", "/organizations/{id}/delete", "lddda lllll"),
    ("post", "/organizations/{id}/members", "lddda lllll"),
    ("post", "/organizations/{id}/members/{person}", "lddda lllll"),
    ("post", "/organizations/{id}/members/{person}/remove", "lddda lllll"),
    ("post", "/organizations/{id}/groups", "lddda lllll"),
    ("get", "/groups/{id}", "lddda lllll"),
    ("post", "/groups/{id}", "lddda lllll"),
    ("post", "/groups/{id}/delete", "lddda lllll"),
    ("post", "/groups/{id}/members", "lddda lllll"),
    ("post", "/groups/{id}/members/{person}/remove", "lddda lllll"),
    ("get", "/tokens", "lddda lllll"),
    ("post", "/tokens", "lddda lllll"),
    ("post", "/tokens/{id}/revoke", "lddda lllll"),
    ("get", "/streams", "lddda lllll"),
    ("post", "/streams", "lddda lllll"),
    ("get", "/streams/new", "lddda lllll"),
    ("get", "/streams/{id}", "lddda lllll"),
    ("get", "/streams/{id}/edit", "lddda lllll"),
    ("post", "/streams/{id}/edit", "lddda lllll"),
    ("post", "/streams/{id}/pause", "lddda lllll"),
    ("post", "/streams/{id}/resume", "lddda lllll"),
    ("post", "/streams/{id}/delete", "lddda lllll"),
    ("post", "/streams/{id}/replay", "lddda lllll"),
    ("post", "/streams/{id}/replay/cancel", "lddda lllll"),
    ("post", "/streams/{id}/dead-letters/resend", "lddda lllll"),
    ("post", "/streams/{id}/dead-letters/discard", "lddda lllll"),
    ("post", "/streams/{id}/secret/rotate", "lddda lllll"),
    ("post", "/streams/{id}/secret/finish", "lddda lllll"),
    ("get", "/settings", "lddda lllll"),
    ("post", "/settings", "lddda lllll"),
    ("get", "/license", "lddda lllll"),
    ("post", "/license", "lddda lllll"),
    ("post", "/license/{id}/remove", "lddda lllll"),
];

/// What a caller shows.
enum Shown {
    Nothing,
    Cookie(String),
    Token(String),
}

/// Everyone of the table, in the order of its columns.
async fn callers(server: &TestServer) -> Vec<Shown> {
    let operator = Principal::operator();
    let engine = &server.engine;
    let tokens = tokio::task::block_in_place(|| {
        let ids: Vec<_> = [
            ("demo-member", Role::Member),
            ("demo-organization-auditor", Role::Member),
            ("demo-auditor", Role::Auditor),
            ("demo-manager", Role::SiteManager),
        ]
        .into_iter()
        .map(|(username, role)| {
            let person = NewPerson { username, email: "", name: "", password: PASSWORD, role };
            engine.add_person(&operator, &person).unwrap()
        })
        .collect();
        let organization = NewOrganization { name: "demo-organization", ..NewOrganization::default() };
        let organization = engine.create_organization(&operator, &organization).unwrap();
        engine.add_member(&operator, &organization.id, &ids[1], OrganizationRole::Auditor).unwrap();
        [
            (TokenKind::Ingest, None),
            (TokenKind::Read, None),
            (TokenKind::Read, Some("demo-organization-auditor")),
            (TokenKind::Read, Some("demo-member")),
            (TokenKind::Metrics, None),
        ]
        .map(|(kind, owner)| {
            let token = NewToken { kind, name: "demo-token", owner, expires: None };
            engine.create_token(&operator, &token).unwrap().reveal().to_owned()
        })
    });
    let mut callers = vec![Shown::Nothing];
    for username in ["demo-member", "demo-organization-auditor", "demo-auditor", "demo-manager"] {
        let form = format!("username={username}&password={}", PASSWORD.replace(' ', "+"));
        let login = server.http.post(format!("{}/login", server.url)).header(CONTENT_TYPE, FORM).body(form);
        let response = login.send().await.unwrap();
        assert_eq!(response.status(), 303, "{username}");
        let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
        callers.push(Shown::Cookie(cookie.split(';').next().unwrap().to_owned()));
    }
    callers.extend(tokens.into_iter().map(Shown::Token));
    assert_eq!(callers.len(), COLUMNS);
    callers
}

const FORM: &str = "application/x-www-form-urlencoded";

/// Answers of public routes that look like refusals and are none: a log-in that fails, a link that is used up, the way on.
fn is_open(path: &str, found: char) -> bool {
    matches!((path, found), ("/login", 'u') | ("/setup", 'd') | ("/login/oidc/callback", 'u' | 'd'))
}

/// Asks for a route with nothing in its form; places in the path name nothing that is there.
async fn ask(server: &TestServer, method: &str, path: &str, shown: &Shown) -> char {
    let path = path.split('/').map(|part| if part.starts_with('{') { "nothing" } else { part });
    let url = format!("{}{}", server.url, path.collect::<Vec<_>>().join("/"));
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    let mut request = server.http.request(method.clone(), url);
    if method == Method::POST {
        request = request.header(CONTENT_TYPE, FORM).body("");
    }
    request = match shown {
        Shown::Nothing => request,
        Shown::Cookie(cookie) => request.header(COOKIE, cookie),
        Shown::Token(token) => request.bearer_auth(token),
    };
    let response = request.send().await.unwrap();
    let goes_to = response.headers().get(LOCATION).map_or("", |location| location.to_str().unwrap());
    match response.status().as_u16() {
        401 => 'u',
        403 => 'd',
        303 if goes_to.starts_with("/login") => 'l',
        status @ 500.. => panic!("{method} {}: {status}", response.url()),
        _ => 'a',
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_lets_in_whom_it_should() {
    let listed: Vec<_> = TABLE.iter().map(|(method, path, _)| (*method, *path)).collect();
    for route in ROUTES {
        assert!(listed.contains(route), "{route:?} has no row in the table of this test");
    }
    for route in &listed {
        assert!(ROUTES.contains(route), "{route:?} is no route any more");
    }

    let server = TestServer::start().await;
    let callers = callers(&server).await;
    let mut wrong = Vec::new();
    for (method, path, row) in TABLE.iter().filter(|(_, path, _)| *path != "/logout") {
        let row: Vec<char> = row.chars().filter(|letter| *letter != ' ').collect();
        assert_eq!(row.len(), COLUMNS, "{path}");
        for (at, (expected, shown)) in row.into_iter().zip(&callers).enumerate() {
            let found = ask(&server, method, path, shown).await;
            let is_right =
                if expected == 'o' { found == 'a' || is_open(path, found) } else { found == expected };
            if !is_right {
                wrong.push(format!("{method} {path}: column {at} is `{found}`, not `{expected}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Asked all that, nobody got more than they had: every attempt to manage was refused.
    let people = tokio::task::block_in_place(|| server.engine.people(&Principal::operator()).unwrap());
    assert_eq!(people.len(), 4);
    assert_eq!(people.iter().filter(|person| person.role == Role::SiteManager).count(), 1);
    // And what was tried to be changed stands in the log.
    for query in [
        "outcome:denied resource_type:user username:demo-auditor",
        "outcome:denied resource_type:group username:demo-member",
        "outcome:denied resource_type:organization username:demo-organization-auditor",
        "outcome:denied resource_type:license username:demo-auditor",
        "outcome:denied resource_type:stream action:create username:demo-auditor",
        "outcome:denied resource_type:stream action:write username:demo-member",
    ] {
        assert!(server.count(query).await > 0, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_lets_nobody_in() {
    let server = TestServer::start().await;
    let callers = callers(&server).await;
    let operator = Principal::operator();
    tokio::task::block_in_place(|| {
        for username in ["demo-auditor", "demo-organization-auditor"] {
            let person = server.engine.person_named(&operator, username).unwrap();
            server.engine.suspend_person(&operator, &person.id).unwrap();
        }
        for token in server.engine.tokens(&operator).unwrap() {
            // All but the token of the organization auditor, which ends with its owner.
            if token.owner.is_none() {
                server.engine.revoke_token(&operator, &token.id).unwrap();
            }
        }
    });
    let api = "/api/v2/audit";
    for at in [2, 3, 5, 6, 7, 9] {
        assert_eq!(ask(&server, "get", api, &callers[at]).await, 'u', "column {at}");
    }
    for at in [2, 3] {
        assert_eq!(ask(&server, "get", "/audit", &callers[at]).await, 'l', "column {at}");
    }
    assert_eq!(ask(&server, "get", api, &callers[4]).await, 'a');
    for secret in ["", "annals_read_", "annals_read_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "x"] {
        assert_eq!(ask(&server, "get", api, &Shown::Token(secret.to_owned())).await, 'u', "{secret}");
        let cookie = Shown::Cookie(format!("annals_session={secret}"));
        assert_eq!(ask(&server, "get", api, &cookie).await, 'u', "{secret}");
    }
}
