//! The built-in registry against the published facts.

use annals_model::registry::{Deletion, Policy, Registry};

/// The published table: name, type, and the fields in its order, `+` for those it calls tracked.
const TABLE: [(&str, &str, &str); 9] = [
    ("AuditableGroup", "group", "avatar_url+ id+ members+ name+ organization_id- quota_allowance+"),
    ("GitSSHKey", "git_ssh_key", "created_at- private_key+ public_key+ updated_at- user_id+"),
    ("Organization", "organization", "created_at- description+ id+ name+ updated_at-"),
    ("OrganizationMember", "organization_member", "created_at- organization_id+ roles+ updated_at- user_id+"),
    (
        "Template",
        "template",
        "active_version_id+ allow_user_cancel_workspace_jobs+ created_at- created_by+ \
         default_ttl+ deleted- description+ display_name+ group_acl+ icon+ id+ is_private+ \
         min_autostart_interval+ name+ organization_id- provisioner+ updated_at- user_acl+",
    ),
    (
        "TemplateVersion",
        "template_version",
        "created_at- created_by+ id+ job_id- name+ organization_id- readme+ template_id+ \
         updated_at-",
    ),
    (
        "User",
        "user",
        "avatar_url- created_at- deleted+ email+ hashed_password+ id+ last_seen_at- login_type- \
         rbac_roles+ status+ updated_at- username+",
    ),
    (
        "Workspace",
        "workspace",
        "autostart_schedule+ created_at- deleted- id+ last_used_at- name+ organization_id- \
         owner_id+ template_id+ ttl+ updated_at-",
    ),
    (
        "WorkspaceBuild",
        "workspace_build",
        "build_number- created_at- daily_cost- deadline- id- initiator_id- job_id- \
         provisioner_state- reason- template_version_id+ transition- updated_at- workspace_id-",
    ),
];

/// The published admin settings: section, setting, action, target, field, diff.
const SETTINGS: &str = "
    Infrastructure | Access URL | write | infrastructure | access URL | coder.com
    Infrastructure | GPU Vendor | write | infrastructure | gpu vendor | amd/nvidia/none
    Infrastructure | Enable container-based virtual machines | write | infrastructure | enable container vms | true/false
    Infrastructure | Enable caching | write | infrastructure | enabled cached container vms | true/false
    Infrastructure | Enable auto loading of shiftfs kernel module | write | infrastructure | enable load shiftfs | true/false
    Infrastructure | Default to container-based virtual machines | write | infrastructure | default container vms | true/false
    Infrastructure | Enable self-contained workspace builds | write | features | coder agent pull assets | enabled/disabled
    Infrastructure | Enable workspace process logging | write | features | exectrace | enabled/disabled
    Infrastructure | Enable TUN device | write | features | fuse device | enabled/disabled
    Infrastructure | Enable FUSE device | write | features | tun device | enabled/disabled
    Infrastructure | Enable default registry | write | infrastructure | default registry enabled | true/false
    Infrastructure | Enable ECR IAM role authentication | write | features | ecr auth irsa | enabled/disabled
    Infrastructure | Enable AAD authentication for ACR | write | features | azure auth aad | enabled/disabled
    Infrastructure | Enable fallback shell support for K8s | write | features |  |
    Infrastructure | Extension marketplace type | write | * | ext marketplace type | public/custom
    Infrastructure | Dev URL access permissions | write | devurl access | public/org/authed/ | true/false
    Infrastructure | Enable memory overprovisioning | write | infrastructure | memory overprovisioning enabled | true/false
    Git OAuth | Client ID | write | oauth configs | client id | 0fb2...7a4a
    Git OAuth | Client Secret | write | oauth configs | client secret | ******
    Git OAuth | Description | write | oauth configs | description | example
    Git OAuth | Name | write | oauth configs | name | GitHub
    Git OAuth | Provider | write | oauth configs | service type | github/gitlab
    Git OAuth | URL | write | oauth configs | URL host | host.com
    Appearance | System Banner | write | system banner | enabled | true/false
    Appearance | Background color | write | system banner | color bg | #9A4967
    Appearance | Footer | write | system banner | text footer | UNCLASSIFIED
    Appearance | Header | write | system banner | text header | UNCLASSIFIED
    Appearance | Service Banner | write | appearance | svc banner enabled | true/false
    Appearance | Background color | write | appearance | svc banner color bg | #18382D
    Appearance | Message | write | appearance | svc banner body | Maintenance 9:01PM
    Appearance | Terms of Service | write | appearance | tos body | Accept Terms & Conditions
    Appearance | Text field | write | appearance | tos enabled | true/false
    Telemetry | Send crash reports | write | telemetry | crash reports enabled | true/false
    Telemetry | Send usage telemetry | write | telemetry | enhanced telemetry enabled | true/false
    Telemetry | Send enhanced usage telemetry | write | telemetry | telemetry enabled | true/false
    Templates | Enable workspace templates | write | infrastructure | enable workspaces as code | true/false
    Templates | Template policy | write | local | commit/file hash/filepath/git ref/From | 0000...0000/ed19...843b/local/local/User
";

/// The actions of Coder before version 2, and `read`, which its filter names.
const CLASSIC_ACTIONS: &str =
    "auto_off auto_start connect cordon create delete enqueue login open read ssh stop uncordon view write";

const CODER_ACTIONS: &str = "create write delete start stop login logout register request_password_reset connect \
     disconnect open close";

const BUILD_REASONS: &str = "initiator autostart autostop dormancy failedstop autodelete dashboard cli ssh_connection \
     vscode_connection jetbrains_connection task_auto_pause task_manual_pause task_resume";

/// The other types of today's Coder.
const CODER_TYPES: &str = "api_key license workspace_proxy convert_login health_settings oauth2_provider_app \
     oauth2_provider_app_secret custom_role notifications_settings notification_template \
     idp_sync_settings_organization idp_sync_settings_group idp_sync_settings_role workspace_agent workspace_app \
     prebuilds_settings task ai_seat chat user_secret ai_provider ai_provider_key group_ai_budget user_skill \
     ai_gateway_key user_ai_budget_override oauth2_provider_settings chat_instruction_settings mcp_server_config \
     chat_project chat_model_config chat_operational_settings experiment_rule";

#[test]
fn the_nine_resources_come_first_with_their_fields_in_order() {
    let registry = Registry::built_in();
    let mut row_count = 0;
    for (resource, (name, kind, rows)) in registry.resources().zip(TABLE) {
        assert_eq!((resource.name.as_str(), resource.kind.as_str()), (name, kind));
        assert_eq!(resource.registry, "coder");
        let mark = |is_tracked| if is_tracked { '+' } else { '-' };
        let fields: Vec<_> =
            resource.fields.iter().map(|f| format!("{}{}", f.name, mark(f.policy.is_tracked()))).collect();
        assert_eq!(fields.join(" "), rows, "{kind}");
        row_count += fields.len();
    }
    assert_eq!(row_count, 84);
}

#[test]
fn secrets_of_the_nine_are_the_private_key_and_the_password() {
    let registry = Registry::built_in();
    let mut secrets = Vec::new();
    for (_, kind, _) in TABLE {
        let resource = registry.resource(kind).unwrap();
        let is_secret = |policy| matches!(policy, Policy::Secret | Policy::Abbreviate);
        secrets
            .extend(resource.all_fields().filter(|f| is_secret(f.policy)).map(|f| (kind, f.name.as_str())));
    }
    assert_eq!(secrets, [("git_ssh_key", "private_key"), ("user", "hashed_password")]);
}

#[test]
fn later_fields_stand_apart_and_are_found_alike() {
    let registry = Registry::built_in();
    let template = registry.resource("template").unwrap();
    assert!(template.fields.iter().all(|field| field.name != "cors_behavior"));
    assert_eq!(template.field("cors_behavior").unwrap().policy, Policy::Track);
    assert_eq!(template.field("created_by_username").unwrap().policy, Policy::Ignore);
    assert_eq!(template.field("name").unwrap().policy, Policy::Track);
    for resource in registry.resources() {
        let names: Vec<_> = resource.all_fields().map(|field| field.name.as_str()).collect();
        for name in &names {
            assert_eq!(
                resource.field(name).map(|field| field.name.as_str()),
                Some(*name),
                "{}",
                resource.kind
            );
            assert_eq!(names.iter().filter(|other| other == &name).count(), 1, "{}.{name}", resource.kind);
        }
    }
}

#[test]
fn every_type_of_today_is_there() {
    let registry = Registry::built_in();
    for kind in CODER_TYPES.split_whitespace() {
        assert_eq!(
            registry.resource(kind).map(|resource| resource.registry.as_str()),
            Some("coder"),
            "{kind}"
        );
    }
    for kind in "image image_tag dev_url resource_pool workspace_provider secret job environment".split(' ') {
        assert_eq!(registry.resource(kind).map(|r| r.registry.as_str()), Some("coder-classic"), "{kind}");
    }
    for kind in
        "session token license stream setting erasure retention audit_log saved_search registry".split(' ')
    {
        assert!(registry.resource(kind).is_some(), "{kind}");
    }
}

#[test]
fn every_action_is_there_and_says_what_it_means() {
    let registry = Registry::built_in();
    for name in format!("{CODER_ACTIONS} {CLASSIC_ACTIONS} export erase stall recover").split_whitespace() {
        let action = registry.action(name).unwrap_or_else(|| panic!("{name}"));
        assert!(action.description.ends_with('.') && !action.done.is_empty(), "{action:?}");
    }
    assert_eq!(registry.actions().count(), 25);
    let in_order: Vec<_> = registry.actions().map(|action| action.name.as_str()).take(13).collect();
    assert_eq!(in_order.join(" "), CODER_ACTIONS);
    for resource in registry.resources() {
        for action in &resource.actions {
            assert!(registry.action(action).is_some(), "{}: {action}", resource.kind);
        }
    }
}

#[test]
fn build_reasons_are_the_fourteen() {
    assert_eq!(Registry::built_in().build_reasons().join(" "), BUILD_REASONS);
}

#[test]
fn settings_are_the_published_rows_string_for_string() {
    let registry = Registry::built_in();
    let expected: Vec<_> = SETTINGS.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let rows: Vec<_> = registry
        .settings()
        .map(|s| {
            [&s.section, &s.setting, &s.action, &s.target, &s.field, &s.diff].map(String::as_str).join(" | ")
        })
        .collect();
    assert_eq!(rows.iter().map(|row| row.trim()).collect::<Vec<_>>(), expected);
    assert_eq!(rows.len(), 37);

    let mut sections: Vec<_> = registry.settings().map(|setting| setting.section.as_str()).collect();
    sections.dedup();
    assert_eq!(sections, ["Infrastructure", "Git OAuth", "Appearance", "Telemetry", "Templates"]);
}

#[test]
fn rows_that_look_crossed_say_so() {
    let registry = Registry::built_in();
    let crossed: Vec<_> = registry
        .settings()
        .filter(|setting| setting.note.as_ref().is_some_and(|note| note.contains("crossed")))
        .map(|setting| setting.setting.as_str())
        .collect();
    assert_eq!(
        crossed,
        [
            "Enable TUN device",
            "Enable FUSE device",
            "Terms of Service",
            "Text field",
            "Send usage telemetry",
            "Send enhanced usage telemetry"
        ]
    );
}

#[test]
fn each_field_of_a_setting_has_a_policy() {
    let registry = Registry::built_in();
    let admin = registry.resource("admin_setting").unwrap();
    let mut fields: Vec<_> =
        registry.settings().map(|setting| setting.field.as_str()).filter(|field| !field.is_empty()).collect();
    assert_eq!(admin.fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>(), fields);
    fields.sort_unstable();
    fields.dedup();
    assert_eq!(fields.len(), 36);

    let secret = admin.field("client secret").unwrap();
    assert_eq!((secret.policy, secret.mask.as_deref()), (Policy::Secret, Some("******")));
    assert_eq!(admin.field("client id").unwrap().policy, Policy::Abbreviate);
}

#[test]
fn what_identifies_a_user_is_personal() {
    let registry = Registry::built_in();
    let user = registry.resource("user").unwrap();
    assert!(user.personal_target);
    let personal: Vec<_> = user.all_fields().filter(|f| f.personal).map(|f| f.name.as_str()).collect();
    assert_eq!(personal, ["avatar_url", "email", "username", "name", "github_com_user_id"]);
}

#[test]
fn deletion_follows_the_id_or_the_workspace() {
    let registry = Registry::built_in();
    let deletion = |kind: &str| registry.resource(kind).unwrap().deletion();
    assert_eq!(deletion("workspace"), Deletion::Own);
    assert_eq!(deletion("mcp_server_config"), Deletion::Own);
    // The id of a token's event is that of its user.
    assert_eq!(deletion("api_key"), Deletion::Unknown);
    for kind in ["workspace_build", "workspace_agent", "workspace_app"] {
        let Deletion::With(with) = deletion(kind) else { panic!("{kind}") };
        assert_eq!((with.kind.as_str(), with.additional_field.as_str()), ("workspace", "workspace_id"));
    }
}

#[test]
fn proposes_the_right_spelling() {
    let registry = Registry::built_in();
    assert_eq!(registry.nearest_resource("workspaces"), Some("workspace"));
    assert_eq!(registry.nearest_resource("GitSSHKey"), Some("git_ssh_key"));
    assert_eq!(registry.nearest_resource("quux_frobnicator"), None);
    assert_eq!(registry.nearest_action("update"), Some("write"));
    assert_eq!(registry.nearest_action("crate"), Some("create"));
    assert_eq!(registry.nearest_action("frobnicate"), None);
}
