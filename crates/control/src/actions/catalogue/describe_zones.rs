//! Lists the zones of the region, for a product.

use model::{ApiError, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, Language, REGION};
use crate::errors::{Answer, excerpt};
use crate::settings::Zone;

/// For which product.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// redis.
    product: String,
    /// 1: zones that are not for sale are listed too; there are none here.
    #[expect(dead_code, reason = "every zone is for sale, so either value gives the same list")]
    scene: Option<i64>,
}

/// The zones.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// How many.
    total_count: u64,
    /// All of them.
    zone_set: Vec<ZoneInfo>,
}

/// A zone.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ZoneInfo {
    /// As in ZoneName of other actions: ap-guangzhou-3.
    zone: String,
    /// Its name, for people.
    zone_name: String,
    /// As in ZoneId of other actions, as text: 100003.
    zone_id: String,
    /// AVAILABLE.
    zone_state: &'static str,
    /// Always empty.
    parent_zone: String,
    /// Always empty.
    parent_zone_id: String,
    /// Always empty.
    parent_zone_name: String,
    /// Always empty.
    zone_type: String,
    /// Always empty.
    #[serde(rename = "MachineRoomTypeMC")]
    machine_room_type_mc: String,
    /// As ZoneId.
    #[serde(rename = "ZoneIdMC")]
    zone_id_mc: String,
}

pub(crate) struct DescribeZones;

impl Action for DescribeZones {
    const NAME: &'static str = "DescribeZones";
    const API: Api = REGION;
    const ACCESS: Access = Access::read(Resource::Catalogue);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        if request.product != "redis" {
            let product = excerpt(&request.product);
            return Err(ApiError::new(
                code::InvalidParameterValue,
                format!("The parameter `Product` names a product that is not here: {product}. It is redis."),
                format!("参数 `Product` 的产品不存在：{product}，应为 redis。"),
            )
            .into());
        }
        let zones = &call.cx.settings.region.zones;
        let zone_set: Vec<ZoneInfo> = zones.iter().map(|zone| show(call, zone)).collect();
        Ok(Response { total_count: zone_set.len() as u64, zone_set })
    }
}

fn show(call: &Call, zone: &Zone) -> ZoneInfo {
    ZoneInfo {
        zone: zone.name.clone(),
        zone_name: title(zone, call.language),
        zone_id: zone.id.to_string(),
        zone_state: "AVAILABLE",
        parent_zone: String::new(),
        parent_zone_id: String::new(),
        parent_zone_name: String::new(),
        zone_type: String::new(),
        machine_room_type_mc: String::new(),
        zone_id_mc: zone.id.to_string(),
    }
}

/// `ap-guangzhou-3` is Guangzhou Zone 3; a name of another form is its own title.
pub(super) fn title(zone: &Zone, language: Language) -> String {
    let Some((region, number)) = zone.name.rsplit_once('-') else { return zone.name.clone() };
    let place = region.rsplit_once('-').map_or(region, |(_, place)| place);
    match language {
        Language::En => format!("{} Zone {number}", capitalised(place)),
        Language::Zh => format!("{place} {number} 区"),
    }
}

/// `guangzhou` is Guangzhou.
pub(super) fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}
