//! The words of the simulated deployment. Every name is made up; addresses are those set aside for documentation.

/// Organizations: name, display name, hours by which their day is ahead of UTC.
pub(super) const ORGANIZATIONS: [(&str, &str, i64); 3] =
    [("northwind", "Northwind", 1), ("fabrikam", "Fabrikam", -5), ("research", "Northwind Research", 1)];

/// Browsers and tools of people.
pub(super) const USER_AGENTS: [&str; 7] = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
];

/// The command line on a developer's machine.
pub(super) const COMMAND_LINE: &str = "coder-cli/2.27.1 (linux/amd64; go1.24)";
/// Infrastructure as code.
pub(super) const TERRAFORM: &str =
    "Terraform/1.13.3 (+https://www.terraform.io) terraform-provider-coderd/0.0.12";
/// The pipeline.
pub(super) const PIPELINE: &str = "demo-pipeline/4.2";
/// What tries passwords.
pub(super) const GUESSER: &str = "python-requests/2.32.5";

/// Templates at the beginning: organization, name, display name, icon.
pub(super) const TEMPLATES: [(usize, &str, &str, &str); 8] = [
    (0, "docker", "Docker", "/icon/docker.png"),
    (0, "kubernetes", "Kubernetes", "/icon/k8s.png"),
    (0, "web-frontend", "Web frontend", "/icon/code.svg"),
    (0, "data-science", "Data science", "/icon/jupyter.svg"),
    (1, "backend", "Backend", "/icon/go.svg"),
    (1, "windows-desktop", "Windows desktop", "/icon/desktop.svg"),
    (2, "gpu-training", "GPU training", "/icon/nvidia.svg"),
    (2, "notebook", "Notebook", "/icon/jupyter.svg"),
];

/// Names of templates to come.
pub(super) const TEMPLATES_TO_COME: [&str; 6] =
    ["mobile", "rust-services", "docs-site", "load-testing", "embedded", "security-lab"];

/// Descriptions that templates get.
pub(super) const DESCRIPTIONS: [&str; 6] = [
    "A container with the usual tools. Home directories are kept between builds; everything else is made anew at each start.",
    "Runs in the shared cluster, namespace `workspaces`. Four cores and eight gigabytes are the default; ask the platform team in the channel for more, and say for how long you need it.",
    "For the web team: node, pnpm and the browsers of the test suite are installed, and port 3000 is forwarded as a dev URL visible to your organization.",
    "Comes with the data catalogue mounted read-only under `/data`. Do not copy personal data into your home directory; the reviewers will ask.",
    "Use this one for anything that must reach the staging database. Access is recorded, sessions end after eight hours, and the template is rebuilt every night.",
    "Deprecated: please move to `kubernetes` before the end of the quarter. Workspaces of this template stop every night and are deleted after thirty days without use.",
];

/// First parts of workspace names; those of `task` stop and start as tasks do.
pub(super) const WORKSPACES: [&str; 15] = [
    "dev",
    "api",
    "billing",
    "checkout",
    "docs",
    "etl",
    "experiment",
    "frontend",
    "hotfix",
    "migration",
    "perf",
    "review",
    "sandbox",
    "search",
    "task",
];

/// Groups: organization and name.
pub(super) const GROUPS: [(usize, &str); 6] =
    [(0, "developers"), (0, "platform"), (0, "data"), (1, "backend"), (1, "release"), (2, "researchers")];

/// Names of tokens.
pub(super) const TOKENS: [&str; 6] = ["laptop", "ci-deploy", "nightly-tests", "terraform", "metrics", "ide"];
/// Names of a person's secrets.
pub(super) const SECRETS: [&str; 6] =
    ["registry-password", "npm-token", "staging-db", "signing-key", "api-key", "webhook-secret"];
/// Names of dev URLs.
pub(super) const DEV_URLS: [&str; 6] = ["preview", "storybook", "api-docs", "grafana", "admin", "webhook"];
/// Clusters that run workspaces.
pub(super) const PROVIDERS: [&str; 3] = ["eu-west", "us-east", "gpu-pool"];
/// Log-in names that a stranger tries.
pub(super) const GUESSED_NAMES: [&str; 8] =
    ["admin", "root", "test", "deploy", "jenkins", "backup", "postgres", "support"];

/// Weekly schedules of starting workspaces.
pub(super) const SCHEDULES: [&str; 3] = ["30 7 * * 1-5", "0 8 * * 1-5", "45 6 * * 1-5"];
