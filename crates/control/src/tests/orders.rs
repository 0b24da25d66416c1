//! What instances cost, and how they are paid for.

use flow::harness::NoProbe;
use flow::{Clock, SystemClock};
use model::{InstanceId, Millis, TypeId};
use serde_json::{Value, json};

use super::site::{PASSWORD, Site, order};
use crate::keepers::expiry::end_expired;
use crate::prices::{PriceList, Rate};
use crate::settings::Settings;
use crate::when;

const YUAN: i64 = 100_000_000;

/// A site where a GiB of a node costs 25 CNY a month and 0.04 CNY an hour, and half of it for Redis 5.0.
fn priced() -> Site {
    let half = Rate { month: 25 * YUAN / 2, hour: YUAN / 50 };
    let types = [(TypeId::parse(8).unwrap(), half)].into();
    let prices = PriceList { default: Rate { month: 25 * YUAN, hour: YUAN / 25 }, types };
    Site::with(Settings { prices, ..Settings::default() })
}

/// An instance that is paid for a month in advance, as it was ordered at that moment.
async fn prepaid(site: &Site, now: Millis) -> InstanceId {
    let mut params = order();
    params["BillingMode"] = json!(1);
    let answer = site.call_at("CreateInstances", params, now).await.unwrap();
    site.settle(&NoProbe).await;
    InstanceId::parse(answer["InstanceIds"][0].as_str().unwrap()).unwrap()
}

fn at(text: &str) -> Millis {
    when::read(text, 8 * 3600).unwrap()
}

async fn shown(site: &Site, id: &InstanceId) -> (Value, Value) {
    let answer = site.call("DescribeInstances", json!({"InstanceId": id.as_str()})).await.unwrap();
    let instance = &answer["InstanceSet"][0];
    (instance["BillingMode"].clone(), instance["DeadlineTime"].clone())
}

#[tokio::test]
async fn an_order_costs_its_memory_on_all_nodes_for_all_months_or_for_an_hour() {
    let site = priced();
    for (changes, price) in [
        (json!({}), 2.0 * 4.0),
        (json!({"BillingMode": 1}), 2.0 * 2500.0),
        (json!({"BillingMode": 1, "Period": 12, "GoodsNum": 3}), 2.0 * 2500.0 * 36.0),
        (json!({"BillingMode": 1, "MemSize": 4096, "RedisReplicasNum": 0}), 4.0 * 2500.0),
        (json!({"BillingMode": 1, "TypeId": 8}), 2.0 * 1250.0),
        (json!({"Period": 0}), 2.0 * 4.0),
    ] {
        let mut params = order();
        params.as_object_mut().unwrap().remove("Password");
        params.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let answer = site.call("InquiryPriceCreateInstance", params).await.unwrap();
        let wanted = json!({
            "Price": price, "HighPrecisionPrice": price, "OriginalPrice": price, "HighPrecisionOriginalPrice": price,
            "Currency": "CNY", "AmountUnit": "pent",
        });
        assert_eq!(answer, wanted, "{changes}");
    }
}

#[tokio::test]
async fn what_cannot_be_ordered_has_no_price() {
    let site = priced();
    for (parameter, value, code) in [
        ("TypeId", json!(1), "InvalidParameterValue.InvalidInstanceTypeId"),
        ("TypeId", json!(7), "UnsupportedOperation"),
        ("MemSize", json!(1000), "LimitExceeded.InvalidMemSize"),
        ("MemSize", json!(1_048_576), "InvalidParameterValue.SpecNotExist"),
        ("GoodsNum", json!(0), "LimitExceeded.InvalidParameterGoodsNumNotInRange"),
        ("BillingMode", json!(2), "InvalidParameterValue"),
        ("Period", json!(0), "LimitExceeded.PeriodLessThanMinLimit"),
        ("Period", json!(37), "LimitExceeded.PeriodExceedMaxLimit"),
        ("RedisShardNum", json!(3), "InvalidParameterValue.SpecNotExist"),
        ("RedisReplicasNum", json!(6), "InvalidParameterValue.SpecNotExist"),
        ("ZoneId", json!(5), "InvalidParameterValue"),
        ("ReplicasReadonly", json!(true), "UnsupportedOperation"),
        ("ProductVersion", json!("cloud"), "UnsupportedOperation"),
    ] {
        let mut params = json!({"TypeId": 17, "MemSize": 1024, "GoodsNum": 1, "Period": 1, "BillingMode": 1});
        params[parameter] = value.clone();
        let error = site.call("InquiryPriceCreateInstance", params).await.unwrap_err();
        assert_eq!(error.code, code, "{parameter} = {value}: {error}");
    }
}

#[tokio::test]
async fn an_upgrade_costs_the_difference_for_the_time_that_is_left() {
    let site = priced();
    let id = prepaid(&site, at("2026-11-01 08:00:00")).await;
    let price = async |changes: Value, now: &str| {
        let mut params = json!({"InstanceId": id.as_str(), "MemSize": 1024});
        params.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let answer = site.call_at("InquiryPriceUpgradeInstance", params, at(now)).await;
        answer.map(|answer| answer["Price"].as_f64().unwrap()).map_err(|error| error.code)
    };
    let begin = "2026-11-01 08:00:00";
    assert_eq!(price(json!({"MemSize": 2048}), begin).await, Ok(5000.0));
    assert_eq!(price(json!({"MemSize": 2048}), "2026-11-16 08:00:00").await, Ok(2500.0));
    assert_eq!(price(json!({"MemSize": 2048}), "2026-12-16 08:00:00").await, Ok(0.0), "nothing is left");
    assert_eq!(price(json!({"RedisReplicasNum": 2}), begin).await, Ok(2500.0));
    for (changes, code) in [
        (json!({"MemSize": 1}), "LimitExceeded.InvalidMemSize"),
        (json!({"MemSize": 131_072}), "LimitExceeded.MemSizeNotInRange"),
        (json!({"RedisShardNum": 3}), "InvalidParameterValue.SpecNotExist"),
        (json!({"RedisReplicasNum": 6}), "InvalidParameterValue.SpecNotExist"),
        (json!({"RedisReplicasNum": 0}), "InvalidParameterValue.SpecNotExist"),
        (json!({}), "InvalidParameterValue"),
        (json!({"MemSize": 2048, "RedisReplicasNum": 2}), "InvalidParameterValue"),
        (json!({"InstanceId": "crs-00000000"}), "ResourceNotFound.InstanceNotExists"),
    ] {
        assert_eq!(price(changes.clone(), begin).await, Err(code), "{changes}");
    }
    site.run("DestroyPrepaidInstance", &id).await;
    assert_eq!(price(json!({}), begin).await, Err("ResourceUnavailable.InstanceStatusError"));
}

#[tokio::test]
async fn less_memory_has_no_price_and_an_hour_of_more_has_one() {
    let site = priced();
    let mut params = order();
    params["MemSize"] = json!(2048);
    let answer = site.call("CreateInstances", params).await.unwrap();
    let id = answer["InstanceIds"][0].as_str().unwrap();
    let params = |mb: i64| json!({"InstanceId": id, "MemSize": mb});
    let refused = site.call("InquiryPriceUpgradeInstance", params(1024)).await.unwrap_err();
    assert_eq!(refused.code, "InvalidParameterValue.ReduceCapacityNotAllowed");
    let answer = site.call("InquiryPriceUpgradeInstance", params(4096)).await.unwrap();
    assert_eq!(answer["Price"], 4.0 * 2.0 * 4.0);
}

#[tokio::test]
async fn a_renewal_follows_the_months_that_are_paid_for_already() {
    let site = priced();
    let id = prepaid(&site, at("2027-01-30 20:00:00")).await;
    assert_eq!(shown(&site, &id).await, (json!(1), json!("2027-02-28 20:00:00")));
    let asked = json!({"InstanceId": id.as_str(), "Period": 12});
    let price = site.call("InquiryPriceRenewInstance", asked.clone()).await.unwrap();
    assert_eq!(price["Price"], 12.0 * 2.0 * 2500.0);
    let now = at("2027-02-01 09:00:00");
    let answer = site.call_at("RenewInstance", asked, now).await.unwrap();
    assert_eq!(answer["DealId"], answer["DealName"]);
    assert_eq!(shown(&site, &id).await, (json!(1), json!("2028-02-28 20:00:00")));
    let deal = site.call("DescribeInstanceDealDetail", json!({"DealName": answer["DealName"]})).await.unwrap();
    let deal = &deal["DealDetails"][0];
    assert_eq!((&deal["Status"], &deal["Price"]), (&json!(4), &json!(60_000)));
    assert_eq!((&deal["EndTime"], &deal["InstanceIds"]), (&json!("2027-02-01 09:00:00"), &json!([id.as_str()])));
}

#[tokio::test]
async fn an_instance_that_is_paid_by_use_is_renewed_only_into_one_that_is_paid_in_advance() {
    let site = priced();
    let id = site.create().await;
    let asked = |mode: &str| json!({"InstanceId": id.as_str(), "Period": 1, "ModifyPayMode": mode});
    for (action, mode, code) in [
        ("RenewInstance", "", "FailedOperation.UnSupportError"),
        ("RenewInstance", "postpaid", "InvalidParameterValue"),
    ] {
        assert_eq!(site.call(action, asked(mode)).await.unwrap_err().code, code, "{mode}");
    }
    let inquiry = json!({"InstanceId": id.as_str(), "Period": 1});
    let refused = site.call("InquiryPriceRenewInstance", inquiry).await.unwrap_err();
    assert_eq!(refused.code, "FailedOperation.UnSupportError");
    assert_eq!(shown(&site, &id).await, (json!(0), json!(when::NEVER)));
    site.call_at("RenewInstance", asked("prepaid"), at("2026-11-24 08:00:00")).await.unwrap();
    assert_eq!(shown(&site, &id).await, (json!(1), json!("2026-12-24 08:00:00")));
    site.call_at("RenewInstance", asked("PREPAID"), at("2026-11-24 08:00:00")).await.unwrap();
    assert_eq!(shown(&site, &id).await, (json!(1), json!("2027-01-24 08:00:00")));
}

#[tokio::test]
async fn what_a_task_holds_or_what_is_isolated_is_not_renewed_and_has_no_price() {
    let site = priced();
    let id = prepaid(&site, SystemClock.now()).await;
    let before = shown(&site, &id).await;
    let refusals = async |code: &str| {
        for action in ["RenewInstance", "InquiryPriceRenewInstance"] {
            let error = site.call(action, json!({"InstanceId": id.as_str(), "Period": 1})).await.unwrap_err();
            assert_eq!(error.code, code, "{action}");
        }
    };
    for (period, code) in [(0, "LimitExceeded.PeriodLessThanMinLimit"), (48, "LimitExceeded.PeriodExceedMaxLimit")] {
        for action in ["RenewInstance", "InquiryPriceRenewInstance"] {
            let error = site.call(action, json!({"InstanceId": id.as_str(), "Period": period})).await.unwrap_err();
            assert_eq!(error.code, code, "{action}");
        }
    }
    let password = json!({"InstanceId": id.as_str(), "Password": PASSWORD});
    site.call("ResetPassword", password).await.unwrap();
    refusals("ResourceInUse.InstanceBeenLocked").await;
    site.settle(&NoProbe).await;
    site.run("DestroyPrepaidInstance", &id).await;
    refusals("ResourceUnavailable.InstanceDeleted").await;
    assert_eq!(shown(&site, &id).await, before, "a refusal changes nothing");
}

#[tokio::test]
async fn instances_whose_charge_type_cannot_be_changed_are_listed_and_the_others_are_changed() {
    let site = priced();
    let (by_use, in_advance, held) =
        (site.create().await, prepaid(&site, SystemClock.now()).await, site.create().await);
    let password = json!({"InstanceId": held.as_str(), "Password": PASSWORD});
    site.call("ResetPassword", password).await.unwrap();
    let ids = json!([by_use.as_str(), in_advance.as_str(), "crs-00000000", held.as_str(), "nonsense"]);
    let asked = json!({"InstanceIds": ids, "InstanceChargeType": "PREPAID", "Period": 13});
    let answer = site.call_at("ModifyInstanceChargeType", asked, at("2026-11-24 08:00:00")).await.unwrap();
    let failed: Vec<_> = answer["FailedInstanceIds"].as_array().unwrap().iter().map(|it| &it["InstanceId"]).collect();
    assert_eq!(failed, [in_advance.as_str(), "crs-00000000", held.as_str(), "nonsense"]);
    let message = answer["FailedInstanceIds"][0]["Message"].as_str().unwrap();
    assert!(message.contains("in advance already"), "{message}");
    assert_eq!(shown(&site, &by_use).await, (json!(1), json!("2027-12-24 08:00:00")));
    assert_eq!(shown(&site, &held).await.0, 0);
    let back = json!({"InstanceIds": [by_use.as_str()], "InstanceChargeType": "POSTPAID"});
    assert_eq!(site.call("ModifyInstanceChargeType", back).await.unwrap()["FailedInstanceIds"], json!([]));
    assert_eq!(shown(&site, &by_use).await, (json!(0), json!(when::NEVER)));
    for (changes, code) in [
        (json!({"InstanceIds": []}), "MissingParameter"),
        (json!({"InstanceIds": vec![by_use.as_str(); 21]}), "InvalidParameterValue"),
        (json!({"InstanceChargeType": "FREE"}), "InvalidParameterValue"),
        (json!({"Period": 0}), "LimitExceeded.PeriodLessThanMinLimit"),
        (json!({"Period": 37}), "LimitExceeded.PeriodExceedMaxLimit"),
    ] {
        let mut params = json!({"InstanceIds": [by_use.as_str()], "InstanceChargeType": "PREPAID", "Period": 1});
        params.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let error = site.call("ModifyInstanceChargeType", params).await.unwrap_err();
        assert_eq!(error.code, code, "{changes}");
    }
    let asked = json!({"InstanceIds": [by_use.as_str()], "InstanceChargeType": "PREPAID"});
    assert_eq!(site.call("ModifyInstanceChargeType", asked).await.unwrap_err().code, "MissingParameter");
}

#[tokio::test]
async fn what_is_paid_for_no_longer_is_renewed_isolated_or_protected() {
    let site = priced();
    let ordered_at = site.clock.now();
    let id = prepaid(&site, ordered_at).await;
    let by_use = site.create().await;
    let set = async |what: &str, value: Value| {
        let mut params = json!({"Operation": what, "InstanceIds": [id.as_str()]});
        let field = if what == "modifyAutoRenew" { "AutoRenews" } else { "DeleteProtectionSwitches" };
        params[field] = json!([value]);
        site.call("ModifyInstance", params).await.unwrap();
    };
    let look = async || {
        end_expired(&site.cx).await.unwrap();
        site.settle(&NoProbe).await;
        site.status(&id)
    };
    set("modifyAutoRenew", json!(1)).await;
    let (_, deadline) = shown(&site, &id).await;
    assert_eq!(look().await, Some(2));
    assert_eq!(shown(&site, &id).await.1, deadline, "its time is not over");

    site.call("AdvanceClock", json!({"Seconds": 32 * 86_400})).await.unwrap();
    assert_eq!(look().await, Some(2));
    let (mode, renewed) = shown(&site, &id).await;
    assert_eq!(mode, 1);
    assert!(renewed.as_str() > deadline.as_str(), "{renewed}");

    set("modifyAutoRenew", json!(0)).await;
    set("modifyDeleteProtectionSwitch", json!(1)).await;
    site.call("AdvanceClock", json!({"Seconds": 32 * 86_400})).await.unwrap();
    assert_eq!(look().await, Some(2), "it is protected");
    set("modifyDeleteProtectionSwitch", json!(0)).await;
    assert_eq!(look().await, Some(-2));
    let task = site.cx.ledger.read(|reader| ledger::task(reader, site.last_task())).unwrap().unwrap();
    assert_eq!((task.kind.as_str(), task.caller.as_str()), ("003", "0"));
    assert_eq!(site.status(&by_use), Some(2));
    site.assert_settled("after it");
}
