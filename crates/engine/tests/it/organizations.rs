//! Organizations, members, groups, and what an organization's auditor sees.

use annals_engine::{
    AccessError, Credential, Engine, GroupChange, GroupId, HistogramRequest, Key, NewGroup, NewOrganization,
    NewToken, Organization, OrganizationChange, OrganizationId, OrganizationRole, PersonId, Principal, Role,
    SearchRequest, TokenKind,
};
use annals_model::id::EventId;
use serde_json::{Value, json};

use crate::support::{TestLog, add_person, event_of, log_in};

fn organization(log: &TestLog, id: &str, name: &str) -> Organization {
    let new =
        NewOrganization { id: Some(id), name, display_name: "The people", ..NewOrganization::default() };
    log.engine.create_organization(&Principal::operator(), &new).unwrap()
}

fn new_group(name: &str) -> NewGroup<'_> {
    NewGroup { name, display_name: "", avatar_url: "", role: OrganizationRole::Member, quota_allowance: 0 }
}

/// A change as answers show it: a side that is null is left out.
fn pair(old: Value, new: Value) -> Value {
    let mut change = json!({"secret": false});
    for (side, value) in [("old", old), ("new", new)] {
        if !value.is_null() {
            change[side] = value;
        }
    }
    change
}

#[test]
fn every_change_of_an_organization_is_an_event_in_it() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let red = organization(&log, "id-red", "red");
    let event = event_of(&log, "resource_type:organization action:create");
    assert_eq!((&event["resource_id"], &event["resource_target"]), (&json!("id-red"), &json!("red")));
    assert_eq!(
        (&event["organization"]["id"], &event["organization"]["name"]),
        (&json!("id-red"), &json!("red"))
    );
    assert_eq!(
        event["diff"],
        json!({
            "id": pair(json!(""), json!("id-red")),
            "name": pair(json!(""), json!("red")),
            "display_name": pair(json!(""), json!("The people")),
        })
    );
    let change = OrganizationChange {
        name: Some("rouge"),
        description: Some("two\nlines"),
        icon: Some("/r.png"),
        ..OrganizationChange::default()
    };
    let changed = log.engine.change_organization(&operator, &red.id, &change).unwrap();
    assert_eq!((changed.name.as_str(), changed.display_name.as_str()), ("rouge", "The people"));
    let event = event_of(&log, "resource_type:organization action:write");
    assert_eq!(
        (&event["diff"]["name"], &event["resource_target"]),
        (&pair(json!("red"), json!("rouge")), &json!("rouge"))
    );
    assert_eq!(event["diff"]["icon"], pair(json!(""), json!("/r.png")));
    log.engine.change_organization(&operator, &red.id, &change).unwrap();
    assert_eq!(
        log.search("resource_type:organization action:write").0,
        1,
        "what changes nothing is no event"
    );
    assert_eq!(log.engine.organization_named(&operator, "ROUGE").unwrap().id, red.id);
    assert_eq!(log.engine.organization_named(&operator, "id-red").unwrap().id, red.id);
    assert_eq!(log.engine.organization(&operator, &red.id).unwrap().name, "rouge");
    log.engine.delete_organization(&operator, &red.id).unwrap();
    let event = event_of(&log, "resource_type:organization action:delete");
    assert_eq!(
        (&event["resource_target"], &event["organization"]["id"]),
        (&json!("rouge"), &json!("id-red"))
    );
    assert_eq!(event["additional_fields"], json!({"members": 0, "groups": 0}));
    assert!(log.engine.organizations(&operator).unwrap().is_empty());
    for result in [
        log.engine.delete_organization(&operator, &red.id),
        log.engine.change_organization(&operator, &red.id, &change).map(drop),
        log.engine.organization_named(&operator, "rouge").map(drop),
        log.engine.organization_named(&operator, "\0").map(drop),
        log.engine.members(&operator, &red.id).map(drop),
        log.engine.groups(&operator, &red.id).map(drop),
        log.engine.create_group(&operator, &red.id, &new_group("g")).map(drop),
    ] {
        assert!(matches!(result, Err(AccessError::UnknownOrganization { .. })), "{result:?}");
    }
}

#[test]
fn no_organization_answers_to_the_id_of_another() {
    let log = TestLog::new();
    let operator = Principal::operator();
    organization(&log, "Id-Red", "red");
    let create = |id: Option<&str>, name: &str| {
        log.engine.create_organization(&operator, &NewOrganization { id, name, ..NewOrganization::default() })
    };
    for (id, name) in
        [(Some("id-red"), "x"), (Some("x"), "ID-RED"), (Some("RED"), "x"), (None, "Red"), (None, "id-red")]
    {
        let result = create(id, name);
        assert!(matches!(result, Err(AccessError::NameTaken { .. })), "{id:?} {name}: {result:?}");
    }
    for id in ["", "a b", "a\n", &"x".repeat(201)] {
        assert!(matches!(create(Some(id), "fine"), Err(AccessError::BadText { .. })), "{id:?}");
    }
    assert!(matches!(create(None, "not fine"), Err(AccessError::BadName { .. })));
    let blue = create(None, "blue").unwrap();
    assert_eq!(blue.id.0.len(), 36, "an id is made if none is given");
    let rename = OrganizationChange { name: Some("id-red"), ..OrganizationChange::default() };
    let result = log.engine.change_organization(&operator, &blue.id, &rename);
    assert!(matches!(result, Err(AccessError::NameTaken { .. })));
    let odd = OrganizationChange { icon: Some("javascript:alert(1)"), ..OrganizationChange::default() };
    let result = log.engine.change_organization(&operator, &blue.id, &odd);
    assert!(matches!(result, Err(AccessError::BadText { .. })));
}

#[test]
fn members_come_change_and_go_each_as_an_event() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let red = organization(&log, "id-red", "red");
    let anna = add_person(&log, "anna", Role::Member);
    log.engine.add_member(&operator, &red.id, &anna, OrganizationRole::Member).unwrap();
    let event = event_of(&log, "resource_type:organization_member action:create");
    assert_eq!((&event["resource_target"], &event["resource_id"]), (&json!("anna"), &json!(anna.0)));
    assert_eq!(event["organization"]["name"], "red");
    assert_eq!(
        event["diff"],
        json!({
            "organization_id": pair(json!(""), json!("id-red")),
            "user_id": pair(json!(""), json!(anna.0)),
            "username": pair(json!(""), json!("anna")),
            "roles": pair(Value::Null, json!(["member"])),
        })
    );
    let role = OrganizationRole::Auditor;
    log.engine.change_member_role(&operator, &red.id, &anna, role).unwrap();
    log.engine.change_member_role(&operator, &red.id, &anna, role).unwrap();
    let event = event_of(&log, "resource_type:organization_member action:write");
    assert_eq!(event["diff"], json!({"roles": pair(json!(["member"]), json!(["organization-auditor"]))}));
    let members = log.engine.members(&operator, &red.id).unwrap();
    assert_eq!((members.len(), members[0].0.username.as_str(), members[0].1.role), (1, "anna", role));
    let own = log.engine.memberships(&log_in(&log, "anna"), &anna).unwrap();
    assert_eq!((own.len(), own[0].0.name.as_str()), (1, "red"));
    let group = log.engine.create_group(&operator, &red.id, &new_group("readers")).unwrap();
    log.engine.add_group_member(&operator, &group.id, &anna).unwrap();
    log.engine.remove_member(&operator, &red.id, &anna).unwrap();
    let event = event_of(&log, "resource_type:organization_member action:delete");
    assert_eq!(event["diff"]["roles"], pair(json!(["organization-auditor"]), Value::Null));
    let left = log.search("resource_type:group action:write").1.remove(0);
    assert_eq!(left["diff"], json!({"members": pair(json!(["anna"]), json!([]))}));
    for result in [
        log.engine.remove_member(&operator, &red.id, &anna),
        log.engine.change_member_role(&operator, &red.id, &anna, role),
        log.engine.add_group_member(&operator, &group.id, &anna).map(drop),
    ] {
        assert!(
            matches!(&result, Err(AccessError::NotMember { username }) if username == "anna"),
            "{result:?}"
        );
    }
    let nobody = PersonId("nobody".to_owned());
    let result = log.engine.add_member(&operator, &red.id, &nobody, role);
    assert!(matches!(result, Err(AccessError::UnknownPerson { .. })));
}

#[test]
fn every_change_of_a_group_is_an_event_in_its_organization() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let red = organization(&log, "id-red", "red");
    let ids = ["anna", "bert"].map(|name| add_person(&log, name, Role::Member));
    for id in &ids {
        log.engine.add_member(&operator, &red.id, id, OrganizationRole::Member).unwrap();
    }
    let new = NewGroup { display_name: "Readers", quota_allowance: 7, ..new_group("readers") };
    let group = log.engine.create_group(&operator, &red.id, &new).unwrap();
    let event = event_of(&log, "resource_type:group action:create");
    assert_eq!((&event["resource_target"], &event["resource_id"]), (&json!("readers"), &json!(group.id.0)));
    assert_eq!(event["organization"]["id"], "id-red");
    assert_eq!(
        event["diff"],
        json!({
            "id": pair(json!(""), json!(group.id.0)),
            "name": pair(json!(""), json!("readers")),
            "display_name": pair(json!(""), json!("Readers")),
            "role": pair(json!(""), json!("member")),
            "quota_allowance": pair(json!(0), json!(7)),
            "members": pair(Value::Null, json!([])),
        })
    );
    let diff = |field: &str| {
        let query = format!("resource_type:group action:write changed:{field}");
        log.search(&query).1.remove(0)["diff"].clone()
    };
    log.engine.set_group_members(&operator, &group.id, &ids).unwrap();
    assert_eq!(diff("members"), json!({"members": pair(json!([]), json!(["anna", "bert"]))}));
    log.engine.remove_group_member(&operator, &group.id, &ids[0]).unwrap();
    assert_eq!(diff("members"), json!({"members": pair(json!(["anna", "bert"]), json!(["bert"]))}));
    let same = log.engine.add_group_member(&operator, &group.id, &ids[1]).unwrap();
    assert_eq!(same.members, [(ids[1].clone(), "bert".to_owned())]);
    let change = GroupChange { role: Some(OrganizationRole::Auditor), ..GroupChange::default() };
    log.engine.change_group(&operator, &group.id, &change).unwrap();
    assert_eq!(diff("role"), json!({"role": pair(json!("member"), json!("organization-auditor"))}));
    let change = GroupChange { name: Some("lectors"), quota_allowance: Some(0), ..GroupChange::default() };
    log.engine.change_group(&operator, &group.id, &change).unwrap();
    let expected = json!({
        "name": pair(json!("readers"), json!("lectors")), "quota_allowance": pair(json!(7), json!(0)),
    });
    assert_eq!(diff("name"), expected);
    assert_eq!(log.search("resource_type:group action:write").0, 4, "what changes nothing is no event");
    assert_eq!(log.engine.group_named(&operator, &red.id, "LECTORS").unwrap().id, group.id);
    assert_eq!(log.engine.group(&operator, &group.id).unwrap().members.len(), 1);
    let taken = log.engine.create_group(&operator, &red.id, &new_group("Lectors"));
    assert!(matches!(taken, Err(AccessError::NameTaken { .. })));
    let stranger = add_person(&log, "cleo", Role::SiteManager);
    let refused = log.engine.set_group_members(&operator, &group.id, &[ids[1].clone(), stranger]);
    assert!(matches!(refused, Err(AccessError::NotMember { username }) if username == "cleo"));
    let refused = log.engine.add_group_member(&operator, &group.id, &PersonId("nobody".to_owned()));
    assert!(matches!(refused, Err(AccessError::UnknownPerson { .. })), "{refused:?}");
    log.engine.delete_group(&operator, &group.id).unwrap();
    let event = event_of(&log, "resource_type:group action:delete organization:id-red");
    assert_eq!(event["diff"]["members"], pair(json!(["bert"]), Value::Null));
    assert!(matches!(log.engine.delete_group(&operator, &group.id), Err(AccessError::UnknownGroup { .. })));
    assert_eq!(log.engine.members(&operator, &red.id).unwrap().len(), 2, "they stay in the organization");
}

#[test]
fn attempts_of_others_are_refused_and_recorded() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let red = organization(&log, "id-red", "red");
    let anna = add_person(&log, "anna", Role::Member);
    log.engine.add_member(&operator, &red.id, &anna, OrganizationRole::Auditor).unwrap();
    let group = log.engine.create_group(&operator, &red.id, &new_group("readers")).unwrap();
    add_person(&log, "auditor", Role::Auditor);
    let role = OrganizationRole::Auditor;
    let nowhere = OrganizationId("nowhere".to_owned());
    for name in ["anna", "auditor"] {
        let caller = log_in(&log, name);
        let attempts = [
            log.engine.create_organization(&caller, &NewOrganization::default()).map(drop),
            log.engine.change_organization(&caller, &red.id, &OrganizationChange::default()).map(drop),
            log.engine.delete_organization(&caller, &red.id),
            log.engine.delete_organization(&caller, &nowhere),
            log.engine.add_member(&caller, &red.id, &anna, role),
            log.engine.change_member_role(&caller, &red.id, &anna, role),
            log.engine.remove_member(&caller, &nowhere, &PersonId("x".to_owned())),
            log.engine.create_group(&caller, &red.id, &new_group("mine")).map(drop),
            log.engine.change_group(&caller, &group.id, &GroupChange::default()).map(drop),
            log.engine.set_group_members(&caller, &group.id, &[]).map(drop),
            log.engine.add_group_member(&caller, &group.id, &anna).map(drop),
            log.engine.remove_group_member(&caller, &group.id, &anna).map(drop),
            log.engine.delete_group(&caller, &GroupId("x".to_owned())),
        ];
        for (number, attempt) in attempts.iter().enumerate() {
            assert!(matches!(attempt, Err(AccessError::Forbidden(_))), "{name} {number}: {attempt:?}");
        }
        let recorded = log.search(&format!("status_code:403 username:{name}"));
        assert_eq!(recorded.0, attempts.len() as u64, "{name}");
        assert!(recorded.1.iter().all(|event| event["diff"] == json!({})));
        for read in [
            log.engine.organizations(&caller).map(drop),
            log.engine.organization(&caller, &red.id).map(drop),
            log.engine.organization_named(&caller, "red").map(drop),
            log.engine.members(&caller, &red.id).map(drop),
            log.engine.groups(&caller, &red.id).map(drop),
            log.engine.group(&caller, &group.id).map(drop),
            log.engine.group_named(&caller, &red.id, "readers").map(drop),
        ] {
            assert!(matches!(read, Err(AccessError::Forbidden(_))), "{name}");
        }
    }
    let refused = event_of(&log, "status_code:403 username:anna resource_type:group action:create");
    assert_eq!(
        (&refused["resource_target"], &refused["organization"]["id"]),
        (&json!("mine"), &json!("id-red"))
    );
    assert_eq!(log.search("status_code:403 organization:id-red").0, 18, "its auditors see who tried");
    assert_eq!(log.engine.members(&operator, &red.id).unwrap().len(), 1);
}

/// What a caller finds by every way there is to ask; each must be of organization `id-red`, or nothing.
struct Seen {
    count: u64,
    organizations: Vec<(String, u64)>,
    buckets: u64,
    by_id: usize,
}

fn look(engine: &Engine, principal: &Principal, ids: &[EventId], query: &str) -> Seen {
    let request = SearchRequest { query, limit: 1_000, offset: 0, after: None };
    let results = engine.search(principal, &request, |found| Ok(found.added.seq)).unwrap();
    assert_eq!(results.events.len() as u64, results.count);
    let (facets, _) = engine.facets(principal, query, Key::Organization, 100).unwrap();
    let organizations = facets.top;
    let request = HistogramRequest { query, bucket: None, from_us: None, to_us: None };
    let histogram = engine.histogram(principal, &request).unwrap();
    assert_eq!(histogram.buckets.iter().map(|(_, count)| count).sum::<u64>(), histogram.count);
    let by_id = ids.iter().filter(|id| engine.event(principal, **id, |_| Ok(())).unwrap().is_some()).count();
    Seen { count: results.count, organizations, buckets: histogram.count, by_id }
}

fn fill(log: &TestLog) -> Vec<EventId> {
    let mut lines = Vec::new();
    for (number, organization) in [
        r#"{"id":"id-red","name":"red"}"#,
        r#"{"id":"id-blue","name":"blue"}"#,
        r#"{"name":"nameless"}"#,
        "null",
    ]
    .iter()
    .cycle()
    .take(40)
    .enumerate()
    {
        lines.push(format!(
            r#"{{"action":"write","resource_type":"template","resource_target":"t-{number}","organization":{organization}}}"#
        ));
    }
    let appended = log.append(&lines.join("\n")).unwrap();
    appended.events.iter().map(|event| EventId::new(event.id.parse().unwrap())).collect()
}

#[test]
fn an_organizations_auditor_sees_its_events_and_no_others() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let ids = fill(&log);
    let red = organization(&log, "id-red", "red");
    let blue = organization(&log, "id-blue", "blue");
    let anna = add_person(&log, "anna", Role::Member);
    let who = |name: &str| log_in(&log, name);
    assert!(who("anna").may_read().is_err());
    log.engine.add_member(&operator, &red.id, &anna, OrganizationRole::Member).unwrap();
    assert!(who("anna").may_read().is_err(), "a member sees nothing");
    log.engine.change_member_role(&operator, &red.id, &anna, OrganizationRole::Auditor).unwrap();
    let token = {
        let new = NewToken { kind: TokenKind::Read, name: "laptop", owner: None, expires: None };
        let secret = log.engine.create_token(&who("anna"), &new).unwrap();
        log.engine.authenticate(Credential::Token(secret.reveal())).unwrap().unwrap()
    };
    for principal in [who("anna"), token] {
        let seen = look(&log.engine, &principal, &ids, "resource_type:template");
        assert_eq!((seen.count, seen.buckets, seen.by_id), (10, 10, 10));
        assert_eq!(seen.organizations, [("red".to_owned(), 10)]);
        for query in [
            "organization:id-blue",
            "organization:blue",
            "-organization:id-red",
            "organization:id-blue OR organization:nameless",
            "resource_target:t-1",
            "username:anna action:login",
            "resource_type:user",
        ] {
            let seen = look(&log.engine, &principal, &[], query);
            assert_eq!((seen.count, seen.buckets, seen.organizations.len()), (0, 0, 0), "{query}");
        }
        let own = look(&log.engine, &principal, &[], "resource_type:organization,organization_member");
        assert_eq!(own.count, 3, "what is done to the organization is its event");
        assert_eq!(principal.organizations_in_sight().unwrap().iter().collect::<Vec<_>>(), ["id-red"]);
    }
    log.engine.add_member(&operator, &blue.id, &anna, OrganizationRole::Member).unwrap();
    let group = log.engine.create_group(&operator, &blue.id, &new_group("readers")).unwrap();
    log.engine.add_group_member(&operator, &group.id, &anna).unwrap();
    assert_eq!(look(&log.engine, &who("anna"), &ids, "resource_type:template").count, 10);
    let change = GroupChange { role: Some(OrganizationRole::Auditor), ..GroupChange::default() };
    log.engine.change_group(&operator, &group.id, &change).unwrap();
    let seen = look(&log.engine, &who("anna"), &ids, "resource_type:template");
    assert_eq!((seen.count, seen.buckets, seen.by_id), (20, 20, 20), "a group gives its role");
    log.engine.remove_member(&operator, &red.id, &anna).unwrap();
    let seen = look(&log.engine, &who("anna"), &ids, "resource_type:template");
    assert_eq!((seen.count, seen.organizations), (10, vec![("blue".to_owned(), 10)]));
    log.engine.delete_organization(&operator, &blue.id).unwrap();
    assert!(who("anna").may_read().is_err());
}

#[test]
fn a_deleted_person_leaves_organizations_and_groups_by_events() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let red = organization(&log, "id-red", "red");
    let anna = add_person(&log, "anna", Role::Member);
    log.engine.add_member(&operator, &red.id, &anna, OrganizationRole::Member).unwrap();
    let group = log.engine.create_group(&operator, &red.id, &new_group("readers")).unwrap();
    log.engine.create_group(&operator, &red.id, &new_group("writers")).unwrap();
    log.engine.add_group_member(&operator, &group.id, &anna).unwrap();
    log.engine.delete_person(&operator, &anna).unwrap();
    assert_eq!(event_of(&log, "resource_type:organization_member action:delete")["resource_target"], "anna");
    let (count, mut events) = log.search("resource_type:group action:write");
    assert_eq!(count, 2, "she came to one group and left it");
    assert_eq!(events.remove(0)["diff"], json!({"members": pair(json!(["anna"]), json!([]))}));
}

#[test]
fn sight_holds_in_sealed_segments_too() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let ids: Vec<EventId> = (0..16).flat_map(|_| fill(&log)).collect();
    assert!(log.engine.seal_now().unwrap() > 0);
    let red = organization(&log, "id-red", "red");
    let anna = add_person(&log, "anna", Role::Member);
    log.engine.add_member(&operator, &red.id, &anna, OrganizationRole::Auditor).unwrap();
    let seen = look(&log.engine, &log_in(&log, "anna"), &ids, "resource_type:template");
    assert_eq!((seen.count, seen.buckets, seen.by_id), (160, 160, 160));
    let seen = look(&log.engine, &operator, &ids, "resource_type:template");
    assert_eq!((seen.count, seen.by_id), (640, 640));
}

#[test]
fn a_backup_brings_people_organizations_and_groups_back() {
    let log = TestLog::new();
    let operator = Principal::operator();
    let red = organization(&log, "id-red", "red");
    let anna = add_person(&log, "anna", Role::Member);
    log.engine.add_member(&operator, &red.id, &anna, OrganizationRole::Member).unwrap();
    let new = NewGroup { role: OrganizationRole::Auditor, ..new_group("readers") };
    let group = log.engine.create_group(&operator, &red.id, &new).unwrap();
    log.engine.add_group_member(&operator, &group.id, &anna).unwrap();
    let session = log.engine.log_in("anna", crate::support::PASSWORD, &Default::default()).unwrap();
    let to = tempfile::tempdir().unwrap();
    let (copy, restored) = (to.path().join("copy"), to.path().join("restored"));
    let location = annals_engine::Location::embedded(log.dir.path());
    annals_engine::backup(&location, &copy, &mut |_, _| {}).unwrap();
    annals_engine::restore(&copy, &restored, &mut |_, _| {}).unwrap();
    let engine = Engine::open(restored.as_path(), crate::support::options()).unwrap();
    let back = engine.authenticate(Credential::Session(session.reveal())).unwrap().unwrap();
    assert_eq!(back.organizations_in_sight().unwrap().iter().collect::<Vec<_>>(), ["id-red"]);
    assert_eq!(engine.groups(&operator, &red.id).unwrap()[0].members, [(anna, "anna".to_owned())]);
}
