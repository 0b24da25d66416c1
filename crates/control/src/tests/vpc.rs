//! Networks and subnets, and how instances are filed in them.

use flow::End;
use flow::harness::NoProbe;
use model::InstanceId;
use serde_json::{Value, json};

use super::site::{Site, order};

async fn refused(site: &Site, action: &str, params: Value, code: &str) {
    let before = listed(site).await;
    let error = site.call(action, params.clone()).await.expect_err(&format!("{action} {params}"));
    assert_eq!(error.code, code, "{action} {params}: {error}");
    assert!(!error.message.en.is_empty() && !error.message.zh.is_empty(), "{action} {params}");
    assert_eq!(listed(site).await, before, "{action} {params}: something was changed");
}

async fn listed(site: &Site) -> (Value, Value, Value) {
    (
        site.call("DescribeVpcs", json!({})).await.unwrap(),
        site.call("DescribeSubnets", json!({})).await.unwrap(),
        site.call("DescribeInstances", json!({})).await.unwrap(),
    )
}

async fn make_vpc(site: &Site, cidr: &str) -> String {
    let answer = site.call("CreateVpc", json!({"VpcName": "mine", "CidrBlock": cidr})).await.unwrap();
    answer["Vpc"]["VpcId"].as_str().unwrap().to_owned()
}

async fn make_subnet(site: &Site, vpc: &str, cidr: &str, zone: &str) -> String {
    let params = json!({"VpcId": vpc, "SubnetName": "part", "CidrBlock": cidr, "Zone": zone});
    let answer = site.call("CreateSubnet", params).await.unwrap();
    answer["Subnet"]["SubnetId"].as_str().unwrap().to_owned()
}

async fn create_in(site: &Site, changes: Value) -> Result<Value, &'static str> {
    let mut params = order();
    params.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let answer = site.call("CreateInstances", params).await.map_err(|error| error.code)?;
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    let id = answer["InstanceIds"][0].clone();
    Ok(site.call("DescribeInstances", json!({"InstanceId": id})).await.unwrap()["InstanceSet"][0].clone())
}

#[tokio::test]
async fn the_default_networks_are_always_there() {
    let site = Site::new();
    let vpcs = site.call("DescribeVpcs", json!({})).await.unwrap();
    assert_eq!(vpcs["TotalCount"], 1);
    let vpc = &vpcs["VpcSet"][0];
    assert_eq!((&vpc["IsDefault"], &vpc["CidrBlock"]), (&json!(true), &json!("172.16.0.0/16")));
    let filters = json!([{"Name": "zone", "Values": ["ap-guangzhou-3"]}, {"Name": "is-default", "Values": ["true"]}]);
    let subnets = site.call("DescribeSubnets", json!({"Filters": filters})).await.unwrap();
    assert_eq!(subnets["TotalCount"], 1);
    let subnet = subnets["SubnetSet"][0].clone();
    assert_eq!((&subnet["CidrBlock"], &subnet["TotalIpAddressCount"]), (&json!("172.16.32.0/20"), &json!(4093)));
    let instance = create_in(&site, json!({"ZoneId": 100_003})).await.unwrap();
    assert_eq!((&instance["UniqVpcId"], &instance["UniqSubnetId"]), (&vpc["VpcId"], &subnet["SubnetId"]));
    let ids = json!({"SubnetIds": [subnet["SubnetId"]]});
    let now = site.call("DescribeSubnets", ids).await.unwrap();
    assert_eq!(now["SubnetSet"][0]["AvailableIpAddressCount"], 4092);
    let (vpc, subnet) = (vpc["VpcId"].clone(), subnet["SubnetId"].clone());
    for (action, params) in [
        ("DeleteVpc", json!({"VpcId": vpc})),
        ("DeleteSubnet", json!({"SubnetId": subnet})),
        ("ModifyVpcAttribute", json!({"VpcId": vpc, "VpcName": "mine"})),
        ("ModifySubnetAttribute", json!({"SubnetId": subnet, "SubnetName": "mine"})),
    ] {
        refused(&site, action, params, "UnsupportedOperation").await;
    }
}

#[tokio::test]
async fn networks_are_made_changed_found_and_deleted() {
    let site = Site::new();
    let made =
        json!({"VpcName": "mine", "CidrBlock": "10.0.0.0/16", "EnableMulticast": "true", "DnsServers": ["10.0.0.2"]});
    let vpc = site.call("CreateVpc", made).await.unwrap()["Vpc"].clone();
    assert_eq!(
        (&vpc["EnableMulticast"], &vpc["DnsServerSet"], &vpc["IsDefault"]),
        (&json!(true), &json!(["10.0.0.2"]), &json!(false))
    );
    let id = vpc["VpcId"].as_str().unwrap();
    let changed = json!({"VpcId": id, "VpcName": "yours", "EnableMulticast": "false", "DomainName": "a.example"});
    site.call("ModifyVpcAttribute", changed).await.unwrap();
    let subnet = make_subnet(&site, id, "10.0.20.0/28", "ap-guangzhou-3").await;
    site.call("ModifySubnetAttribute", json!({"SubnetId": subnet, "EnableBroadcast": "true"})).await.unwrap();
    let filter = |name: &str, value: &str| json!([{"Name": name, "Values": [value]}]);
    for (name, value, count) in [
        ("vpc-id", id, 1),
        ("vpc-name", "yours", 1),
        ("vpc-name", "mine", 0),
        ("cidr-block", "10.0.0.0/16", 1),
        ("is-default", "false", 1),
        ("is-default", "True", 1),
        ("tag-key", "team", 0),
        ("tag:team", "a", 0),
    ] {
        let found = site.call("DescribeVpcs", json!({"Filters": filter(name, value)})).await.unwrap();
        assert_eq!(found["TotalCount"], count, "{name} {value}");
    }
    for (name, value, count) in [
        ("vpc-id", id, 1),
        ("subnet-id", subnet.as_str(), 1),
        ("subnet-name", "part", 1),
        ("zone", "ap-guangzhou-3", 2),
    ] {
        let found = site.call("DescribeSubnets", json!({"Filters": filter(name, value)})).await.unwrap();
        assert_eq!(found["TotalCount"], count, "{name} {value}");
    }
    let shown = site.call("DescribeSubnets", json!({"SubnetIds": [subnet]})).await.unwrap()["SubnetSet"][0].clone();
    assert_eq!(
        (&shown["EnableBroadcast"], &shown["Zone"], &shown["VpcId"]),
        (&json!(true), &json!("ap-guangzhou-3"), &json!(id))
    );
    let filters = json!([{"Name": "vpc-id", "Values": [id]}, {"Name": "association.main", "Values": ["true"]}]);
    let tables = site.call("DescribeRouteTables", json!({"Filters": filters})).await.unwrap();
    assert_eq!(
        (&tables["TotalCount"], &tables["RouteTableSet"][0]["RouteTableId"]),
        (&json!(1), &shown["RouteTableId"])
    );
    refused(&site, "DeleteVpc", json!({"VpcId": id}), "ResourceInUse").await;
    site.call("DeleteSubnet", json!({"SubnetId": subnet})).await.unwrap();
    site.call("DeleteVpc", json!({"VpcId": id})).await.unwrap();
    assert_eq!(site.call("DescribeVpcs", json!({})).await.unwrap()["TotalCount"], 1);
}

#[tokio::test]
async fn pages_are_asked_for_by_text_or_by_numbers() {
    let site = Site::new();
    for (page, count) in [
        (json!({"Offset": "0", "Limit": "5"}), 5),
        (json!({"Offset": 5, "Limit": 5}), 2),
        (json!({"Offset": "7"}), 0),
        (json!({}), 7),
    ] {
        let answer = site.call("DescribeSubnets", page.clone()).await.unwrap();
        assert_eq!(answer["TotalCount"], 7, "{page}");
        assert_eq!(answer["SubnetSet"].as_array().unwrap().len(), count, "{page}");
    }
    let mut seen = 0;
    let mut token = json!("");
    while seen == 0 || token != "" {
        let answer = site.call("DescribeSubnets", json!({"MaxResults": 3, "NextToken": token})).await.unwrap();
        seen += answer["SubnetSet"].as_array().unwrap().len();
        token = answer["NextToken"].clone();
    }
    assert_eq!(seen, 7);
    for (page, code) in [
        (json!({"Limit": "0"}), "InvalidParameterValue.Range"),
        (json!({"Limit": 101}), "InvalidParameterValue.Range"),
        (json!({"Offset": "-1"}), "InvalidParameterValue"),
        (json!({"Offset": "x"}), "InvalidParameterValue"),
        (json!({"NextToken": "x"}), "InvalidParameterValue"),
    ] {
        refused(&site, "DescribeSubnets", page, code).await;
    }
}

#[tokio::test]
async fn networks_that_cannot_be_are_refused() {
    let site = Site::new();
    let vpc = make_vpc(&site, "10.1.0.0/16").await;
    let subnet = make_subnet(&site, &vpc, "10.1.2.0/24", "ap-guangzhou-1").await;
    let (value, malformed, range) =
        ("InvalidParameterValue", "InvalidParameterValue.Malformed", "InvalidParameterValue.Range");
    let long = "x".repeat(61);
    for (changes, code) in [
        (json!({"CidrBlock": "8.8.0.0/16"}), range),
        (json!({"CidrBlock": "10.0.0.0/8"}), range),
        (json!({"CidrBlock": "10.0.0.0/29"}), range),
        (json!({"CidrBlock": "10.0.0.1/16"}), malformed),
        (json!({"CidrBlock": "10.0.0.0"}), malformed),
        (json!({"CidrBlock": ""}), malformed),
        (json!({"VpcName": ""}), value),
        (json!({"VpcName": long}), "InvalidParameterValue.TooLong"),
        (json!({"EnableMulticast": "maybe"}), value),
        (json!({"DnsServers": ["a"]}), value),
        (json!({"DnsServers": ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4", "1.1.1.5"]}), value),
        (json!({"Tags": [{"Key": "a", "Value": "b"}]}), "UnsupportedOperation"),
        (json!({"StackType": "IPv6"}), "UnsupportedOperation"),
    ] {
        let mut params = json!({"VpcName": "a", "CidrBlock": "10.0.0.0/16"});
        params.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        refused(&site, "CreateVpc", params, code).await;
    }
    for (changes, code) in [
        (json!({"CidrBlock": "10.2.0.0/24"}), "InvalidParameterValue.SubnetRange"),
        (json!({"CidrBlock": "10.1.2.0/24"}), "InvalidParameterValue.SubnetConflict"),
        (json!({"CidrBlock": "10.1.2.0/28"}), "InvalidParameterValue.SubnetOverlap"),
        (json!({"CidrBlock": "10.1.0.0/16"}), "InvalidParameterValue.SubnetOverlap"),
        (json!({"Zone": "ap-nowhere-1"}), "InvalidParameterValue.UnavailableZone"),
        (json!({"VpcId": "vpc-00000000"}), "ResourceNotFound"),
        (json!({"VpcId": "nonsense"}), malformed),
        (json!({"CdcId": "cluster-1"}), "UnsupportedOperation"),
    ] {
        let mut params = json!({"VpcId": vpc, "SubnetName": "a", "CidrBlock": "10.1.9.0/24", "Zone": "ap-guangzhou-1"});
        params.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        refused(&site, "CreateSubnet", params, code).await;
    }
    let filters = json!([{"Name": "vpc-id", "Values": [vpc]}]);
    for (action, params, code) in [
        ("DescribeVpcs", json!({"VpcIds": [vpc], "Filters": filters}), "InvalidParameter.Coexist"),
        (
            "DescribeVpcs",
            json!({"Filters": [{"Name": "colour", "Values": ["red"]}]}),
            "InvalidParameter.FilterInvalidKey",
        ),
        ("DescribeVpcs", json!({"VpcIds": ["vpc-00000000"]}), "ResourceNotFound"),
        ("DescribeSubnets", json!({"SubnetIds": ["subnet-1"]}), malformed),
        ("DeleteVpc", json!({"VpcId": "vpc-00000000"}), "ResourceNotFound"),
        ("DeleteSubnet", json!({"SubnetId": "subnet-00000000"}), "ResourceNotFound"),
        ("ModifySubnetAttribute", json!({"SubnetId": subnet, "EnableBroadcast": "x"}), value),
        ("ModifyVpcAttribute", json!({"VpcId": vpc, "EnableCdcPublish": true}), "UnsupportedOperation"),
    ] {
        refused(&site, action, params, code).await;
    }
    for _ in 1..20 {
        make_vpc(&site, "10.0.0.0/16").await;
    }
    refused(&site, "CreateVpc", json!({"VpcName": "a", "CidrBlock": "10.0.0.0/16"}), "LimitExceeded").await;
}

#[tokio::test]
async fn instances_are_filed_in_networks_and_have_addresses_of_those_that_have_some() {
    let site = Site::new();
    let (vpc, elsewhere) = (make_vpc(&site, "127.88.4.0/22").await, make_vpc(&site, "10.0.0.0/16").await);
    let subnet = make_subnet(&site, &vpc, "127.88.5.0/28", "ap-guangzhou-2").await;
    let other = make_subnet(&site, &elsewhere, "10.0.20.0/28", "ap-guangzhou-3").await;
    let both = json!({"VpcId": vpc, "SubnetId": subnet});
    let instance = create_in(&site, both.clone()).await.unwrap();
    let ip = instance["WanIp"].as_str().unwrap().to_owned();
    assert!(ip.starts_with("127.88.5.") && ip[9..].parse::<u8>().unwrap() < 15, "{ip}");
    assert_eq!(instance["ZoneId"], 100_002, "the zone is the subnet's");
    assert_eq!((&instance["UniqVpcId"], &instance["UniqSubnetId"]), (&json!(vpc), &json!(subnet)));
    let found = site.call("DescribeInstances", json!({"UniqVpcIds": [vpc]})).await.unwrap();
    assert_eq!(found["TotalCount"], 1);
    let unknown_subnet = "InvalidParameterValue.InvalidSubnetId";
    for (changes, code) in [
        (json!({"VpcId": "vpc-00000000"}), "InvalidParameterValue.UnVpcIdNotExists"),
        (json!({"VpcId": vpc}), unknown_subnet),
        (json!({"VpcId": vpc, "SubnetId": "subnet-00000000"}), unknown_subnet),
        (json!({"VpcId": elsewhere, "SubnetId": subnet}), unknown_subnet),
        (json!({"VpcId": vpc, "SubnetId": subnet, "ZoneId": 100_001}), unknown_subnet),
    ] {
        assert_eq!(create_in(&site, changes.clone()).await.unwrap_err(), code, "{changes}");
    }
    // It moves, and what it had is kept for a while: that subnet stays.
    let id = InstanceId::parse(instance["InstanceId"].as_str().unwrap()).unwrap();
    let params = json!({
        "InstanceId": id.as_str(), "Operation": "changeVpc", "VpcId": elsewhere, "SubnetId": other, "Recycle": 1,
    });
    let answer = site.call("ModifyNetworkConfig", params).await.unwrap();
    assert_eq!((&answer["VpcId"], &answer["SubnetId"]), (&json!(elsewhere), &json!(other)));
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    site.assert_settled("moved");
    let moved =
        site.call("DescribeInstances", json!({"InstanceId": id.as_str()})).await.unwrap()["InstanceSet"][0].clone();
    assert_eq!((&moved["UniqSubnetId"], &moved["WanIp"]), (&json!(other), &answer["Vip"]));
    assert!(answer["Vip"].as_str().unwrap().starts_with("127.88."), "a subnet of other addresses takes the service's");
    for subnet in [&subnet, &other] {
        refused(&site, "DeleteSubnet", json!({"SubnetId": subnet}), "ResourceInUse").await;
    }
    site.call("AdvanceClock", json!({"Seconds": 2 * 24 * 3600})).await.unwrap();
    crate::keepers::addresses::close_due(&site.cx).await.unwrap();
    site.settle(&NoProbe).await;
    site.call("DeleteSubnet", json!({"SubnetId": subnet})).await.unwrap();
    // Fourteen addresses are fourteen instances.
    let small = make_subnet(&site, &vpc, "127.88.6.0/28", "ap-guangzhou-1").await;
    let mut params = order();
    params["VpcId"] = json!(vpc);
    params["SubnetId"] = json!(small);
    params["RedisReplicasNum"] = json!(0);
    params["GoodsNum"] = json!(14);
    site.call("CreateInstances", params.clone()).await.unwrap();
    params["GoodsNum"] = json!(1);
    refused(&site, "CreateInstances", params, "ResourceUnavailable.NoEnoughVipInVPC").await;
}
