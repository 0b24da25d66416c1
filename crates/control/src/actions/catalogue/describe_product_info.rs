//! Lists what can be ordered: each type whose engine is installed, in each zone, and the sizes that it may have.

use model::{Architecture, BillingMode, TypeId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::describe_zones::capitalised;
use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::actions::lifecycle::create_request::can_run;
use crate::errors::Answer;

/// Nothing to ask for.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Request {}

/// What can be ordered.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// By region: there is one.
    region_set: Vec<RegionConf>,
}

/// A region.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RegionConf {
    /// Its name, as in X-TC-Region.
    region_id: String,
    /// Its name, for people.
    region_name: String,
    /// The same, short.
    region_short_name: String,
    /// Where it is.
    area: String,
    /// Its zones.
    zone_set: Vec<ZoneCapacityConf>,
}

/// A zone.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ZoneCapacityConf {
    /// Its code. Clients take ZoneId and ZoneName both for the code, one for the other.
    zone_id: String,
    /// The same code.
    zone_name: String,
    /// Whether nothing can be ordered here.
    is_saleout: bool,
    /// Whether it is the one for orders that name none.
    is_default: bool,
    /// Its kinds of network.
    net_work_type: Vec<String>,
    /// What can be ordered here.
    product_set: Vec<ProductConf>,
    /// Its number, as in ZoneId of other actions.
    old_zone_id: i64,
}

/// A type, for one way of paying.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ProductConf {
    /// Engine, version and architecture, as in TypeId of CreateInstances.
    r#type: i64,
    /// The same in words.
    type_name: String,
    /// Instances in an order at least.
    min_buy_num: i64,
    /// Instances in an order at the most.
    max_buy_num: i64,
    /// Whether it can't be ordered.
    saleout: bool,
    /// Redis or Valkey.
    engine: String,
    /// Engine and version, as Redis-7.0.
    version: String,
    /// Sizes of an instance in GB.
    total_size: Vec<String>,
    /// Sizes of a shard in GB.
    shard_size: Vec<String>,
    /// Numbers of replicas.
    replica_num: Vec<String>,
    /// Numbers of shards.
    shard_num: Vec<String>,
    /// 0 paid by use, 1 in advance.
    pay_mode: String,
    /// Whether replicas can serve reads.
    enable_repica_read_only: bool,
    /// Whether replicas can serve reads.
    enable_replica_read_only: bool,
}

pub(crate) struct DescribeProductInfo;

impl Action for DescribeProductInfo {
    const NAME: &'static str = "DescribeProductInfo";
    const ACCESS: Access = Access::read(Resource::Catalogue);
    const IS_OF_ANY_REGION: bool = true;
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, _: Request) -> Answer<Response> {
        let region = &call.cx.settings.region;
        let place = capitalised(region.name.rsplit_once('-').map_or(region.name.as_str(), |(_, place)| place));
        let zone_set = region.zones.iter().enumerate().map(|(index, zone)| {
            let product_set = products(call);
            ZoneCapacityConf {
                zone_id: zone.name.clone(),
                zone_name: zone.name.clone(),
                is_saleout: product_set.is_empty(),
                is_default: index == 0,
                net_work_type: vec!["vpcnet".into()],
                product_set,
                old_zone_id: zone.id,
            }
        });
        Ok(Response {
            region_set: vec![RegionConf {
                region_id: region.name.clone(),
                region_name: place.clone(),
                region_short_name: place.clone(),
                area: place,
                zone_set: zone_set.collect(),
            }],
        })
    }
}

/// The sizes that are listed, in GB; any whole number of them up to the last can be ordered.
const SIZES_GB: [i64; 9] = [1, 2, 4, 8, 12, 16, 24, 32, 64];

fn products(call: &Call) -> Vec<ProductConf> {
    let standard = TypeId::all().filter(|type_id| type_id.architecture() == Architecture::Standard);
    let here: Vec<TypeId> = standard.filter(|type_id| can_run(&call.cx, *type_id)).collect();
    let each = |pay: BillingMode| here.iter().map(move |type_id| product(*type_id, pay));
    each(BillingMode::Postpaid).chain(each(BillingMode::Prepaid)).collect()
}

fn product(type_id: TypeId, pay: BillingMode) -> ProductConf {
    let (engine, version) = (type_id.engine(), type_id.version());
    let version = format!("{engine}-{}.{}", version.major, version.minor);
    ProductConf {
        r#type: type_id.number(),
        type_name: format!("{version} Standard"),
        min_buy_num: 1,
        max_buy_num: 100,
        saleout: false,
        engine: engine.to_string(),
        version,
        total_size: SIZES_GB.iter().map(ToString::to_string).collect(),
        shard_size: SIZES_GB.iter().map(ToString::to_string).collect(),
        replica_num: (0..=5).map(|n| n.to_string()).collect(),
        shard_num: vec!["1".into()],
        pay_mode: pay.number().to_string(),
        enable_repica_read_only: false,
        enable_replica_read_only: false,
    }
}
