//! What the importer knows of AWS: tables, in the order in which they are tried.

use serde_json::Value;

use super::super::vocabulary::Wording;

/// What people call a service.
const SERVICES: [(&str, &str); 58] = [
    ("access-analyzer", "IAM Access Analyzer"),
    ("account", "AWS account"),
    ("acm", "Certificate Manager"),
    ("apigateway", "API Gateway"),
    ("application-autoscaling", "Application Auto Scaling"),
    ("athena", "Athena"),
    ("autoscaling", "Auto Scaling"),
    ("backup", "AWS Backup"),
    ("bedrock", "Bedrock"),
    ("ce", "Cost Explorer"),
    ("cloudformation", "CloudFormation"),
    ("cloudfront", "CloudFront"),
    ("cloudshell", "CloudShell"),
    ("cloudtrail", "CloudTrail"),
    ("codebuild", "CodeBuild"),
    ("codepipeline", "CodePipeline"),
    ("cognito-idp", "Cognito"),
    ("config", "AWS Config"),
    ("dynamodb", "DynamoDB"),
    ("ecr", "ECR"),
    ("ecs", "ECS"),
    ("eks", "EKS"),
    ("elasticache", "ElastiCache"),
    ("elasticfilesystem", "EFS"),
    ("elasticloadbalancing", "Elastic Load Balancing"),
    ("elasticmapreduce", "EMR"),
    ("es", "OpenSearch"),
    ("events", "EventBridge"),
    ("firehose", "Firehose"),
    ("glacier", "S3 Glacier"),
    ("glue", "Glue"),
    ("guardduty", "GuardDuty"),
    ("health", "AWS Health"),
    ("inspector2", "Inspector"),
    ("kinesis", "Kinesis"),
    ("lambda", "Lambda"),
    ("lightsail", "Lightsail"),
    ("logs", "CloudWatch Logs"),
    ("monitoring", "CloudWatch"),
    ("notifications", "User Notifications"),
    ("organizations", "AWS Organizations"),
    ("ram", "Resource Access Manager"),
    ("redshift", "Redshift"),
    ("resource-explorer-2", "Resource Explorer"),
    ("route53", "Route 53"),
    ("route53domains", "Route 53 Domains"),
    ("sagemaker", "SageMaker"),
    ("secretsmanager", "Secrets Manager"),
    ("securityhub", "Security Hub"),
    ("servicecatalog", "Service Catalog"),
    ("servicequotas", "Service Quotas"),
    ("signin", "AWS console"),
    ("ssm", "Systems Manager"),
    ("sso", "IAM Identity Center"),
    ("states", "Step Functions"),
    ("tagging", "Resource Groups Tagging"),
    ("trustedadvisor", "Trusted Advisor"),
    ("wafv2", "WAF"),
];

/// Calls that read better in words of their own: what was done, and what was attempted.
const WORDINGS: [(&str, &str, &str); 3] = [
    ("ConsoleLogin", "signed in to", "sign in to"),
    ("AssumeRole", "assumed the role", "assume the role"),
    ("SwitchRole", "switched to the role", "switch to the role"),
];

/// The general action for a call, by its first word; used when the registry has no room for the call's own.
const GENERAL_ACTIONS: [(&str, &str); 24] = [
    ("BatchGet", "read"),
    ("Describe", "read"),
    ("Decrypt", "read"),
    ("Get", "read"),
    ("Head", "read"),
    ("List", "read"),
    ("Lookup", "read"),
    ("Query", "read"),
    ("Scan", "read"),
    ("Search", "read"),
    ("Select", "read"),
    ("Allocate", "create"),
    ("Create", "create"),
    ("Generate", "create"),
    ("Launch", "create"),
    ("Register", "create"),
    ("Run", "create"),
    ("Delete", "delete"),
    ("Deregister", "delete"),
    ("Release", "delete"),
    ("Terminate", "delete"),
    ("Start", "start"),
    ("Stop", "stop"),
    ("ConsoleLogin", "login"),
];

/// First words of calls whose resource comes into being by the call.
const MAKERS: [&str; 5] = ["Allocate", "Create", "Launch", "Request", "Run"];

/// What an error is as an HTTP status, by a part of its code. Codes without one here are 400, the code of AWS for
/// everything that is the caller's mistake.
const STATUSES: [(&str, u64); 39] = [
    ("AccessDenied", 403),
    ("Unauthorized", 403),
    ("NotAuthorized", 403),
    ("Forbidden", 403),
    ("AuthFailure", 403),
    ("OptInRequired", 403),
    ("ExpiredToken", 403),
    ("InvalidClientTokenId", 403),
    ("InvalidAccessKeyId", 403),
    ("UnrecognizedClient", 403),
    ("SignatureDoesNotMatch", 403),
    ("FailedAuthentication", 401),
    ("NotFound", 404),
    ("NoSuch", 404),
    ("DoesNotExist", 404),
    ("NonExistent", 404),
    ("Throttl", 429),
    ("TooManyRequests", 429),
    ("RequestLimitExceeded", 429),
    ("RateExceeded", 429),
    ("SlowDown", 429),
    ("AlreadyExists", 409),
    ("AlreadyOwned", 409),
    ("AlreadyInUse", 409),
    ("Conflict", 409),
    ("Duplicate", 409),
    ("NotEmpty", 409),
    ("DependencyViolation", 409),
    ("InUse", 409),
    ("IncorrectState", 409),
    ("IncorrectInstanceState", 409),
    ("InvalidState", 409),
    ("ConcurrentModification", 409),
    ("OperationAborted", 409),
    ("InternalError", 500),
    ("InternalFailure", 500),
    ("InternalServer", 500),
    ("ServiceException", 500),
    ("Unavailable", 503),
];

/// Members of requests and answers that name the resource, the most telling first. A path leads into objects; `0` is
/// the first of a list. What a thing is attached to, such as its VPC, comes after the thing.
const NAMES: [&str; 103] = [
    "bucketName",
    "functionName",
    "secretId",
    "keyId",
    "aliasName",
    "accessKeyId",
    "instanceProfileName",
    "roleName",
    "userName",
    "policyArn",
    "policyName",
    "roleArn",
    "groupName",
    "trailName",
    "serialNumber",
    "instanceId",
    "instanceIds.0",
    "instancesSet.items.0.instanceId",
    "commandId",
    "documentName",
    "associationId",
    "networkInterfaceId",
    "networkInterface.networkInterfaceId",
    "natGatewayId",
    "CreateNatGatewayResponse.natGateway.natGatewayId",
    "CreateNatGatewayRequest.SubnetId",
    "DeleteNatGatewayRequest.NatGatewayId",
    "DescribeNatGatewaysRequest.NatGatewayId.content",
    "internetGatewayId",
    "internetGateway.internetGatewayId",
    "routeTableId",
    "routeTable.routeTableId",
    "subnetId",
    "subnet.subnetId",
    "snapshotId",
    "volumeId",
    "imageId",
    "allocationId",
    "groupId",
    "vpcEndpointId",
    "launchTemplateId",
    "CreateFlowLogsResponse.flowLogIdSet.item",
    "DeleteFlowLogsRequest.FlowLogId.content",
    "keyName",
    "vpcId",
    "vpc.vpcId",
    "routeTableIdSet.items.0.routeTableId",
    "subnetSet.items.0.subnetId",
    "vpcSet.items.0.vpcId",
    "volumeSet.items.0.volumeId",
    "networkInterfaceIdSet.items.0.networkInterfaceId",
    "networkAclIdSet.items.0.networkAclId",
    "internetGatewayIdSet.items.0.internetGatewayId",
    "securityGroupIdSet.items.0.groupId",
    "allocationIdsSet.items.0.allocationId",
    "imagesSet.items.0.imageId",
    "dBInstanceIdentifier",
    "dBClusterIdentifier",
    "dBSnapshotIdentifier",
    "clusterName",
    "clusterIdentifier",
    "cluster",
    "serviceName",
    "taskDefinition",
    "repositoryName",
    "tableName",
    "streamName",
    "deliveryStreamName",
    "queueName",
    "queueUrl",
    "topicArn",
    "stackName",
    "stateMachineArn",
    "distributionId",
    "hostedZoneId",
    "certificateArn",
    "domainName",
    "userPoolId",
    "detectorId",
    "projectName",
    "pipelineName",
    "jobName",
    "workGroup",
    "autoScalingGroupName",
    "launchConfigurationName",
    "loadBalancerName",
    "loadBalancerArn",
    "targetGroupArn",
    "ruleName",
    "alarmName",
    "logGroupName",
    "logGroupNamePrefix",
    "resourceArn",
    "resourceARN",
    "resourceId",
    "configurationARN",
    "configRuleName",
    "trailNameList.0",
    "resourceIdList.0",
    "aRN",
    "arn",
    "name",
    "names.0",
];

/// The noun of a service; its own name in capitals if it is short, such as `KMS`.
pub(super) fn service_noun(service: &str) -> &str {
    const SHORT: [(&str, &str); 8] = [
        ("ec2", "EC2"),
        ("iam", "IAM"),
        ("kms", "KMS"),
        ("rds", "RDS"),
        ("s3", "S3"),
        ("sns", "SNS"),
        ("sqs", "SQS"),
        ("sts", "STS"),
    ];
    let find = |table: &'static [(&str, &'static str)]| table.iter().find(|(name, _)| *name == service);
    find(&SHORT).or_else(|| find(&SERVICES)).map_or(service, |(_, noun)| noun)
}

/// The verbs of a call, with the preposition that leads to its target.
pub(super) fn wording(call: &str) -> Wording {
    match WORDINGS.iter().find(|(name, ..)| *name == call) {
        Some((_, done, attempt)) => Wording { done: (*done).to_owned(), attempt: (*attempt).to_owned() },
        None => Wording { done: format!("called {call} on"), attempt: format!("call {call} on") },
    }
}

/// The built-in action that comes nearest to a call.
pub(super) fn general_action(call: &str) -> &'static str {
    GENERAL_ACTIONS.iter().find(|(start, _)| call.starts_with(start)).map_or("write", |(_, action)| action)
}

/// Whether the answer, rather than the request, names what a call was about.
pub(super) fn makes_something(call: &str) -> bool {
    MAKERS.iter().any(|start| call.starts_with(start))
}

/// The HTTP status of an error.
pub(super) fn status_of_error(code: &str) -> u64 {
    let server = if code.starts_with("Server.") { 500 } else { 400 };
    STATUSES.iter().find(|(part, _)| code.contains(part)).map_or(server, |(_, status)| *status)
}

/// The name of a resource among the members of a request or an answer.
pub(super) fn find_name(members: &Value) -> Option<&str> {
    NAMES.iter().find_map(|path| {
        let found = path.split('.').try_fold(members, |value, step| match step.parse::<usize>() {
            Ok(index) => value.get(index),
            Err(_) => value.get(step),
        });
        found.and_then(Value::as_str).filter(|name| !name.is_empty())
    })
}
