use model::ApiError;

use super::{Scheme, Verified, errors, host};

/// What there is to call.
pub trait Catalogue {
    /// The names of all products, as the first label of an endpoint spells them.
    fn products(&self) -> &[&'static str];

    /// The product that is called as the service itself is. An endpoint may have that name and be for all products.
    fn own_name(&self) -> &'static str;

    /// Whether the product has that version.
    fn has_version(&self, product: &str, version: &str) -> bool;

    /// Whether that version of the product has that action.
    fn has_action(&self, product: &str, version: &str, action: &str) -> bool;
}

/// The action that a request means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// One of the catalogue's products.
    pub product: &'static str,
    /// One of its versions.
    pub version: String,
    /// One of its actions, as the catalogue spells it.
    pub action: String,
}

impl Verified {
    /// Finds the action that is meant, and checks the form of the region; whether the region is offered is not known
    /// here. The product is the one that the endpoint's name begins with, or else the one in the signature's scope, or
    /// else the only one that has the action: addresses name no product, and legacy signatures have no scope.
    ///
    /// # Errors
    /// `NoSuchProduct`, `NoSuchVersion`, `InvalidAction` or `InvalidParameterValue`.
    pub fn resolve(&self, catalogue: &dyn Catalogue) -> Result<Target, ApiError> {
        let version = self.version.as_str();
        let action = capitalised(&self.action);
        let has_version = |product: &&str| catalogue.has_version(product, version);
        let has_action = |product: &&str| catalogue.has_action(product, version, &action);

        let named: Vec<&'static str> = self.named_products(catalogue.products());
        let product = match named.as_slice() {
            [first, ..] => {
                // One endpoint for several products is named after one of them, or as the service itself.
                let fitting = named.iter().copied().find(has_action).or(named.iter().copied().find(has_version));
                let of_service = *first == catalogue.own_name();
                let other = || self.only_product(catalogue, &action).ok().filter(|_| of_service);
                fitting.or_else(other).unwrap_or(first)
            }
            [] => self.only_product(catalogue, &action)?,
        };
        if !has_version(&product) {
            return Err(errors::no_such_version(version, Some(product)));
        }
        if !has_action(&product) {
            return Err(errors::invalid_action(&self.action, product, version));
        }
        self.check_region()?;
        Ok(Target { product, version: version.to_owned(), action })
    }

    /// The products that the request names, the endpoint's first.
    fn named_products(&self, products: &[&'static str]) -> Vec<&'static str> {
        let names = [Some(host::first_label(&self.host)), self.service.as_deref()];
        let known = |name: &str| products.iter().copied().find(|product| product.eq_ignore_ascii_case(name));
        names.into_iter().flatten().filter_map(known).collect()
    }

    /// The product of a request that names none.
    fn only_product(&self, catalogue: &dyn Catalogue, action: &str) -> Result<&'static str, ApiError> {
        let only = |fits: &dyn Fn(&str) -> bool| {
            let mut fitting = catalogue.products().iter().copied().filter(|product| fits(product));
            fitting.next().filter(|_| fitting.next().is_none())
        };
        only(&|product| catalogue.has_action(product, &self.version, action))
            .or_else(|| only(&|product| catalogue.has_version(product, &self.version)))
            .ok_or_else(|| match self.unknown_product() {
                Some(product) => errors::no_such_product(product),
                None => errors::no_such_version(&self.version, None),
            })
    }

    /// The name that the client meant as a product's. Many clients sign the first label of the endpoint as their
    /// service, so that it means nothing where the endpoint is an address.
    fn unknown_product(&self) -> Option<&str> {
        let label = host::first_label(&self.host);
        let service = self.service.as_deref().filter(|service| host::first_label(service) != label);
        service.or(host::has_labels(&self.host).then_some(label))
    }

    fn check_region(&self) -> Result<(), ApiError> {
        let Some(region) = &self.region else { return Ok(()) };
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if region.len() <= 32 && region.bytes().all(allowed) {
            return Ok(());
        }
        let name = match self.scheme {
            Scheme::Tc3 => "X-TC-Region",
            Scheme::Legacy => "Region",
        };
        Err(errors::malformed_region(name, region))
    }
}

/// Actions begin with a capital letter; some clients take it as it is typed.
fn capitalised(action: &str) -> String {
    let mut chars = action.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Payload, Reply};
    use super::*;

    struct Fixture;

    const ACTIONS: [(&str, &str, &str); 7] = [
        ("opencrs", "2026-11-24", "CancelTask"),
        ("redis", "2018-04-12", "DescribeTaskList"),
        ("region", "2022-06-27", "DescribeZones"),
        ("sts", "2018-08-13", "GetCallerIdentity"),
        ("sts", "2018-08-13", "Shared"),
        ("tag", "2018-08-13", "GetTags"),
        ("tag", "2018-08-13", "Shared"),
    ];

    impl Catalogue for Fixture {
        fn products(&self) -> &[&'static str] {
            &["opencrs", "redis", "region", "sts", "tag"]
        }
        fn own_name(&self) -> &'static str {
            "opencrs"
        }
        fn has_version(&self, product: &str, version: &str) -> bool {
            ACTIONS.iter().any(|row| (row.0, row.1) == (product, version))
        }
        fn has_action(&self, product: &str, version: &str, action: &str) -> bool {
            ACTIONS.contains(&(product, version, action))
        }
    }

    fn resolve(host: &str, service: Option<&str>, version: &str, action: &str) -> Result<Target, ApiError> {
        request(host, service, version, action).resolve(&Fixture)
    }

    fn request(host: &str, service: Option<&str>, version: &str, action: &str) -> Verified {
        Verified {
            secret_id: None,
            scheme: Scheme::Tc3,
            action: action.to_owned(),
            version: version.to_owned(),
            region: None,
            host: host.to_owned(),
            service: service.map(str::to_owned),
            request_client: None,
            reply: Reply::default(),
            payload: Payload::Pairs(Vec::new()),
        }
    }

    #[test]
    fn the_product_is_the_hosts_or_the_scopes_or_the_only_one() {
        let check = |host: &str, service: Option<&str>, version: &str, action: &str, product: &str| {
            let target = resolve(host, service, version, action).unwrap();
            assert_eq!((target.product, target.version.as_str(), target.action.as_str()), (product, version, action));
        };
        check("redis.example.com:80", Some("x"), "2018-04-12", "DescribeTaskList", "redis");
        check("http://REDIS.example.com", None, "2018-04-12", "DescribeTaskList", "redis");
        check("127.0.0.1:80", Some("redis"), "2018-04-12", "DescribeTaskList", "redis");
        check("127.0.0.1:80", Some("127"), "2018-04-12", "DescribeTaskList", "redis");
        check("localhost:80", Some("localhost:80"), "2018-08-13", "GetTags", "tag");
        check("localhost:80", None, "2018-08-13", "GetCallerIdentity", "sts");
        check("tag.example.com", Some("tag"), "2018-08-13", "Shared", "tag");
        check("redis.example.com", Some("region"), "2022-06-27", "DescribeZones", "region");
        check("127.0.0.1:80", Some("opencrs"), "2026-11-24", "CancelTask", "opencrs");
        check("redis.example.com", Some("opencrs"), "2026-11-24", "CancelTask", "opencrs");
        check("opencrs.example.com", Some("opencrs"), "2018-04-12", "DescribeTaskList", "redis");
        check("opencrs.example.com", None, "2022-06-27", "DescribeZones", "region");
        check("opencrs.example.com", Some("redis"), "2026-11-24", "CancelTask", "opencrs");
    }

    #[test]
    fn an_action_may_begin_with_a_small_letter() {
        let target = resolve("redis.a", None, "2018-04-12", "describeTaskList").unwrap();
        assert_eq!(target.action, "DescribeTaskList");
    }

    #[test]
    fn what_does_not_exist_is_told_apart() {
        let check = |host: &str, service: Option<&str>, version: &str, action: &str, code: &str| {
            let error = resolve(host, service, version, action).unwrap_err();
            assert_eq!(error.code, code, "{error}");
        };
        check("redis.a", Some("redis"), "2099-01-01", "DescribeTaskList", "NoSuchVersion");
        check("redis.a", Some("redis"), "2018-04-12", "Describe", "InvalidAction");
        check("redis.a", Some("redis"), "2022-06-27", "DescribeZones", "NoSuchVersion");
        check("opencrs.a", Some("opencrs"), "2018-04-12", "Describe", "InvalidAction");
        check("opencrs.a", Some("opencrs"), "2099-01-01", "CancelTask", "NoSuchVersion");
        check("redis.a", Some("redis"), "2018-04-12", "describetasklist", "InvalidAction");
        check("127.0.0.1:80", Some("127"), "2018-04-12", "Describe", "InvalidAction");
        check("127.0.0.1:80", None, "2018-04-12", "\u{e9}", "InvalidAction");
        check("127.0.0.1:80", Some("127"), "2099-01-01", "DescribeTaskList", "NoSuchVersion");
        check("localhost:80", Some("localhost:80"), "2099-01-01", "DescribeTaskList", "NoSuchVersion");
        check("127.0.0.1:80", None, "2099-01-01", "DescribeTaskList", "NoSuchVersion");
        check("127.0.0.1:80", Some("cvm"), "2017-03-12", "DescribeInstances", "NoSuchProduct");
        check("cvm.example.com", Some("cvm"), "2017-03-12", "DescribeInstances", "NoSuchProduct");
        check("cvm.example.com", None, "2017-03-12", "DescribeInstances", "NoSuchProduct");
    }

    #[test]
    fn a_malformed_region_is_named_as_the_client_gave_it() {
        let check = |scheme: Scheme, region: &str, name: Option<&str>| {
            let mut request = request("redis.a", None, "2018-04-12", "DescribeTaskList");
            request.scheme = scheme;
            request.region = Some(region.to_owned());
            let error = request.resolve(&Fixture).err();
            assert_eq!(error.is_some(), name.is_some());
            if let (Some(error), Some(name)) = (error, name) {
                assert_eq!(error.code, "InvalidParameterValue");
                assert!(error.message.en.contains(name) && error.message.zh.contains(name), "{error}");
            }
        };
        check(Scheme::Tc3, "ap-guangzhou", None);
        check(Scheme::Tc3, "AP-guangzhou", Some("`X-TC-Region`"));
        check(Scheme::Legacy, "ap_guangzhou", Some("`Region`"));
        check(Scheme::Legacy, &"a".repeat(33), Some("`Region`"));
    }
}
