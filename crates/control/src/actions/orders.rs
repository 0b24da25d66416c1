//! What instances cost, and how they are paid for.

pub(crate) mod inquiry_price_create_instance;
pub(crate) mod inquiry_price_renew_instance;
pub(crate) mod inquiry_price_upgrade_instance;
pub(crate) mod modify_instance_charge_type;
pub(crate) mod quote;
pub(crate) mod renew_instance;
