//! Organizations, members, groups.

use std::collections::BTreeSet;

use annals_store::{
    EndSessions, Group, GroupId, Membership, Organization, OrganizationId, OrganizationRole, PersonId, Store,
    StoreError,
};

use crate::fixture::Fixture;
use crate::people::{at, person};

on_both! {
    organizations_are_found_by_id_and_name,
    members_come_change_and_go,
    groups_hold_members_of_their_organization_only,
    sight_comes_from_ones_own_role_and_from_groups,
    what_is_deleted_takes_along_what_hangs_on_it,
}

fn organization(id: &str, name: &str) -> Organization {
    Organization {
        id: OrganizationId(id.to_owned()),
        name: name.to_owned(),
        display_name: format!("{name} & Co"),
        description: "what it is".to_owned(),
        icon: "/icon.png".to_owned(),
        created: at(1),
        updated: at(1),
    }
}

fn group(id: &str, organization: &str, name: &str, members: &[&str]) -> Group {
    Group {
        id: GroupId(id.to_owned()),
        organization_id: OrganizationId(organization.to_owned()),
        name: name.to_owned(),
        display_name: String::new(),
        avatar_url: String::new(),
        role: OrganizationRole::Member,
        quota_allowance: 3,
        created: at(1),
        updated: at(1),
        members: members.iter().map(|id| (PersonId((*id).to_owned()), String::new())).collect(),
    }
}

fn person_id(id: &str) -> PersonId {
    PersonId(id.to_owned())
}

fn membership(organization: &str, person: &str, role: OrganizationRole, seconds: i64) -> Membership {
    Membership {
        organization_id: OrganizationId(organization.to_owned()),
        person_id: person_id(person),
        role,
        created: at(seconds),
        updated: at(seconds),
    }
}

/// Organizations `red` and `blue`, people 1 `anna`, 2 `bert`, 3 `cleo`; the first two are in `red`.
fn fill(store: &Store) {
    for name in ["red", "blue"] {
        store.add_organization(&organization(&format!("id-{name}"), name)).unwrap();
    }
    for (id, name) in [("1", "anna"), ("2", "bert"), ("3", "cleo")] {
        store.add_person(&person(id, name, "")).unwrap();
    }
    for id in ["1", "2"] {
        store.put_member(&membership("id-red", id, OrganizationRole::Member, 5)).unwrap();
    }
}

fn names(members: &[(PersonId, String)]) -> Vec<&str> {
    members.iter().map(|(_, name)| name.as_str()).collect()
}

fn organizations_are_found_by_id_and_name(fixture: &Fixture) {
    let store = &fixture.store;
    fill(store);
    let read = store.organization(&OrganizationId("id-red".to_owned())).unwrap().unwrap();
    assert_eq!((read.name.as_str(), read.display_name.as_str()), ("red", "red & Co"));
    assert_eq!(
        (read.description.as_str(), read.icon.as_str(), read.created),
        ("what it is", "/icon.png", at(1))
    );
    assert_eq!(store.organization_by_name("RED").unwrap().unwrap().id.0, "id-red");
    for odd in ["id-red", "", "\0"] {
        assert!(store.organization_by_name(odd).unwrap().is_none(), "{odd:?}");
    }
    assert!(store.organization(&OrganizationId("\0".to_owned())).unwrap().is_none());
    for (id, name) in [("id-red", "other"), ("other", "Red")] {
        let taken = store.add_organization(&organization(id, name)).unwrap_err();
        assert!(matches!(taken, StoreError::NameTaken { .. }), "{id} {name}");
    }
    let all: Vec<String> = store.organizations().unwrap().into_iter().map(|found| found.name).collect();
    assert_eq!(all, ["blue", "red"]);
    let rename = |to: &'static str| {
        store.change_organization(&OrganizationId("id-red".to_owned()), at(9), |found| {
            found.name = to.to_owned()
        })
    };
    assert!(matches!(rename("BLUE"), Err(StoreError::NameTaken { name, .. }) if name == "BLUE"));
    let (before, after) = rename("Rouge").unwrap().unwrap();
    assert_eq!((before.name.as_str(), after.name.as_str(), after.updated), ("red", "Rouge", at(9)));
    assert_eq!(store.organization_by_name("rouge").unwrap().unwrap().created, at(1));
    assert!(store.change_organization(&OrganizationId("x".to_owned()), at(9), |_| ()).unwrap().is_none());
}

fn members_come_change_and_go(fixture: &Fixture) {
    let store = &fixture.store;
    fill(store);
    let red = OrganizationId("id-red".to_owned());
    let before = store.put_member(&membership("id-red", "1", OrganizationRole::Auditor, 7)).unwrap();
    assert_eq!(before, Some(membership("id-red", "1", OrganizationRole::Member, 5)));
    let members = store.members(&red).unwrap();
    let read: Vec<_> = members
        .iter()
        .map(|(person, member)| (person.username.as_str(), member.role, member.created))
        .collect();
    assert_eq!(
        read,
        [("anna", OrganizationRole::Auditor, at(5)), ("bert", OrganizationRole::Member, at(5))],
        "who is in it stays since then"
    );
    let memberships = store.memberships_of(&person_id("1")).unwrap();
    assert_eq!(
        (memberships.len(), memberships[0].0.name.as_str(), memberships[0].1.updated),
        (1, "red", at(7))
    );
    assert!(store.put_member(&membership("id-red", "9", OrganizationRole::Member, 5)).is_err());
    assert!(store.put_member(&membership("none", "1", OrganizationRole::Member, 5)).is_err());
    store.add_group(&group("g", "id-red", "readers", &["1", "2"])).unwrap();
    assert_eq!(store.remove_member(&red, &person_id("1")).unwrap().unwrap().role, OrganizationRole::Auditor);
    assert_eq!(store.remove_member(&red, &person_id("1")).unwrap(), None);
    let left = store.group(&GroupId("g".to_owned())).unwrap().unwrap();
    assert_eq!(names(&left.members), ["bert"], "who leaves an organization leaves its groups");
}

fn groups_hold_members_of_their_organization_only(fixture: &Fixture) {
    let store = &fixture.store;
    fill(store);
    let red = OrganizationId("id-red".to_owned());
    let stranger = store.add_group(&group("g", "id-red", "readers", &["1", "3"])).unwrap_err();
    assert!(matches!(stranger, StoreError::NotMember { person_id } if person_id == "3"));
    assert_eq!(fixture.count("person_group"), 0, "nothing of it was done");
    store.add_group(&group("g", "id-red", "readers", &["2", "1", "1"])).unwrap();
    store.add_group(&group("h", "id-red", "writers", &[])).unwrap();
    store.add_group(&group("i", "id-blue", "readers", &[])).unwrap();
    let taken = store.add_group(&group("j", "id-red", "Readers", &[])).unwrap_err();
    assert!(matches!(taken, StoreError::NameTaken { .. }), "{taken}");
    let listed = store.groups(&red).unwrap();
    let read: Vec<_> = listed.iter().map(|group| (group.name.as_str(), names(&group.members))).collect();
    assert_eq!(read, [("readers", vec!["anna", "bert"]), ("writers", vec![])]);
    let id = GroupId("g".to_owned());
    let (before, after) = store
        .change_group(&id, at(9), |group| {
            group.role = OrganizationRole::Auditor;
            group.quota_allowance = -1;
            group.display_name = "All readers".to_owned();
            group.members.retain(|(id, _)| id.0 == "2");
        })
        .unwrap()
        .unwrap();
    assert_eq!((names(&before.members), names(&after.members)), (vec!["anna", "bert"], vec!["bert"]));
    let read = store.group(&id).unwrap().unwrap();
    assert_eq!((read.role, read.quota_allowance, read.updated), (OrganizationRole::Auditor, -1, at(9)));
    let rename = store.change_group(&id, at(9), |group| group.name = "WRITERS".to_owned()).unwrap_err();
    assert!(matches!(rename, StoreError::NameTaken { .. }));
    let stranger =
        store.change_group(&id, at(9), |group| group.members.push((person_id("3"), String::new())));
    assert!(matches!(stranger, Err(StoreError::NotMember { .. })));
    assert_eq!(names(&store.group(&id).unwrap().unwrap().members), ["bert"]);
    assert_eq!(names(&store.delete_group(&id).unwrap().unwrap().members), ["bert"]);
    assert!(store.delete_group(&id).unwrap().is_none() && store.group(&id).unwrap().is_none());
}

fn sight_comes_from_ones_own_role_and_from_groups(fixture: &Fixture) {
    let store = &fixture.store;
    fill(store);
    let sight = |id: &str| store.audited_organizations(&person_id(id)).unwrap();
    let set = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<BTreeSet<String>>();
    assert_eq!(sight("1"), set(&[]));
    store.put_member(&membership("id-blue", "1", OrganizationRole::Auditor, 5)).unwrap();
    assert_eq!(sight("1"), set(&["id-blue"]));
    store.add_group(&group("g", "id-red", "readers", &["1", "2"])).unwrap();
    assert_eq!(sight("2"), set(&[]), "a group without a role gives none");
    let audit = |group: &mut Group| group.role = OrganizationRole::Auditor;
    store.change_group(&GroupId("g".to_owned()), at(9), audit).unwrap().unwrap();
    assert_eq!((sight("1"), sight("2")), (set(&["id-blue", "id-red"]), set(&["id-red"])));
    assert_eq!(sight("3"), set(&[]));
    store.remove_member(&OrganizationId("id-red".to_owned()), &person_id("1")).unwrap();
    assert_eq!(sight("1"), set(&["id-blue"]));
    fixture.tamper("UPDATE organization_member SET role = 'of the future' WHERE organization_id = 'id-blue'");
    assert_eq!(sight("1"), set(&[]), "an unknown role gives nothing");
}

fn what_is_deleted_takes_along_what_hangs_on_it(fixture: &Fixture) {
    let store = &fixture.store;
    fill(store);
    store.add_group(&group("g", "id-red", "readers", &["1", "2"])).unwrap();
    store.change_person(&person_id("2"), EndSessions::None, at(9), |_| ()).unwrap();
    store.delete_person(&person_id("2")).unwrap().unwrap();
    assert_eq!((fixture.count("organization_member"), fixture.count("group_member")), (1, 1));
    let red = OrganizationId("id-red".to_owned());
    assert_eq!(store.delete_organization(&red).unwrap().unwrap().name, "red");
    assert!(store.delete_organization(&red).unwrap().is_none());
    let left = ["organization", "organization_member", "person_group", "group_member"]
        .map(|table| fixture.count(table));
    assert_eq!(left, [1, 0, 0, 0]);
}
